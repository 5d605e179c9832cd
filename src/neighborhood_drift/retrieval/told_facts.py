"""What the paper cites of notebook 11."""

from __future__ import annotations

import numpy as np

from ..facts import fixed, interval, number, percent
from ..summaries import ABSENT
from .measure import BEFORE, COMPACTED, LAZY, Life, losses
from .promised import GONE, INSIDE
from .told import exchange, percents, promised


def all_facts(lives, ef: int, *, seed: int = 0) -> dict[str, str]:
    """What the paper cites: of the run's own vectors, which come first, under "main", of others under their name."""
    words = ["main", *(one.searched.name.replace("-", "_") for one in lives[1:])]
    found = {}
    for one, word in zip(lives, words, strict=True):
        found |= life_facts(one, ef, word, seed=seed)
    return found


def life_facts(one: Life, ef: int, word: str, *, seed: int = 0) -> dict[str, str]:
    """What the paper cites of one data set, each fact beginning with ``word``.

    Parameters
    ----------
    one : Life
    ef : int
        The effort cited, beside the lowest and the highest that were measured.
    word : str
    seed : int
    """
    table = losses(one, seed=seed)
    efs = sorted(table["ef"].unique())
    found = {
        "data": one.searched.name,
        "n": number(len(one.searched.base)),
        "dimension": number(one.searched.base.shape[1]),
        "queries": number(len(one.searched.queries)),
        "asked": "held out of the data" if one.searched.held_out else "from outside",
        "k": number(int(table["k"].iloc[0])),
        "ef": number(ef),
        "ef_low": number(int(efs[0])),
        "ef_high": number(int(efs[-1])),
        "deleted": number(len(one.gone)),
        "left": number(one.of(LAZY).points),
        "build_seconds": number(one.seconds["build"]),
        "compact_seconds": number(one.seconds["compact"]),
    }
    rows = {(row.state, row.ef): row for row in table.itertuples()}
    for name, at in (("low", efs[0]), ("ef", ef), ("high", efs[-1])):
        before, lazy, compacted = (rows[state, at] for state in (BEFORE, LAZY, COMPACTED))
        found |= _with_interval(f"overlap_{name}", before, "overlap")
        found |= _with_interval(f"accuracy_{name}", before, "accuracy")
        found |= _with_interval(f"vote_{name}", before, "accuracy_change", 4)
        found |= _with_interval(f"lazy_{name}", lazy, "overlap")
        found |= _with_interval(f"compacted_{name}", compacted, "overlap")
        found |= _with_interval(f"change_{name}", lazy, "change", 4)
        found |= _with_interval(f"more_{name}", lazy, "more", 2)
        found[f"ms_{name}"] = number(before.milliseconds)
        found[f"faster_{name}"] = number(before.milliseconds_exact / before.milliseconds)
    found |= _with_interval("accuracy_exact", rows[BEFORE, efs[0]], "accuracy_exact")
    found["ms_exact"] = number(rows[BEFORE, ef].milliseconds_exact)
    low, cited = exchange(one, [efs[0], ef], seed=seed).itertuples()
    found |= {"differing_ef": percent(cited.differing), "nearest_lost_ef": percent(cited.nearest)}
    for fact, name, decimals in (("differing", "differing", 1), ("nearest_lost", "nearest", 1)):
        found |= {fact: percent(getattr(low, name), decimals), f"{fact}_interval": percents(low, name, decimals)}
        found[f"{fact}_ef_interval"] = percents(cited, name, decimals)
    found["nearest_lost_worst"] = percent(low.nearest_worst, 0)
    found["nearest_lost_worst_interval"] = percents(low, "nearest_worst", 0)
    found |= _with_interval("lost", low, "lost", 2) | {"most": number(low.most)}
    for name in ("ratio", "missed_same", "instead_same", "same_change"):
        found |= _with_interval(name, low, name)
    chosen = {(row.state, row.sample): row for row in promised(one, "", seed=seed).itertuples()}
    for name, key in (
        ("chosen", (BEFORE, INSIDE)),
        ("chosen_compacted", (COMPACTED, INSIDE)),
        ("fresh", (COMPACTED, GONE)),
    ):
        row = chosen.get(key)
        found[f"{name}_ef"] = number(row.ef) if row and row.ef else ABSENT
        for kind, of in (("overlap", "queries"), ("inside", "inside"), ("gone", "gone")):
            nothing = {f"{name}_{kind}": ABSENT, f"{name}_{kind}_interval": ABSENT}
            found |= _with_interval(f"{name}_{kind}", row, of) if row else nothing
    return {f"{word}_{name}": value for name, value in found.items()}


def _with_interval(fact: str, row, name: str, decimals: int = 3) -> dict[str, str]:
    low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
    around = interval(low, high, decimals) if np.isfinite(low) and np.isfinite(high) else ABSENT
    return {fact: fixed(getattr(row, name), decimals), f"{fact}_interval": around}
