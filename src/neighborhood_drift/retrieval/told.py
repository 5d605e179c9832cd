"""Tables and facts of notebook 11: what a collection's answers kept, what was exchanged, and what deletions cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..facts import fixed, interval, number, percent
from ..intervals import bootstrap_means, limits
from ..summaries import ABSENT
from .measure import BEFORE, COMPACTED, LAZY, Life, exchanged, losses

FEWEST = 20  # queries that an interval over queries takes
WORST = 10  # the worst lists are those of one query in so many


def setting(one: Life, metric: str) -> dict[str, str]:
    """What a table of a separate run was measured on, in the words of ``separate.POINTS``."""
    points = number(len(one.searched.base))
    return {"data": one.searched.name, "sha256": one.searched.checksum, "metric": metric, "points": points}


def together(own: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The rows of this run and those of separate runs (`separate.published`), which the name of the data then tells.

    >>> together(pd.DataFrame({"data": ["a"]}), pd.DataFrame({"source": ["b"], "run": ["there"], "data": ["b"]}))
                      data
    0                    a
    1  b (separate run)
    """
    if not len(kept):
        return own
    return pd.concat([own, kept.assign(data=kept["data"] + " (separate run)")[own.columns]], ignore_index=True)


def efforts(table: pd.DataFrame) -> pd.DataFrame:
    """Overlap and the neighbors' vote at each ef while all points are there, for readers.

    Parameters
    ----------
    table : DataFrame
        Of `measure.losses` or `together`.
    """
    rows = [
        {
            "data": row.data,
            "points": row.points,
            "ef": row.ef,
            f"overlap at k = {row.k}": _cell(row, "overlap"),
            "accuracy": _cell(row, "accuracy"),
            "minus that of exact neighbors": _cell(row, "accuracy_change", 4),
        }
        for row in table[table["state"] == BEFORE].itertuples()
    ]
    return pd.DataFrame(rows)


def times(table: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds of a query in each state, exact and at each ef, a column an ef.

    Parameters
    ----------
    table : DataFrame
        Of `measure.losses` or `together`.
    """
    rows = []
    for (data, state), of in table.groupby(["data", "state"], sort=False):
        known = {f"ef {ef}": ms for ef, ms in zip(of["ef"], of["milliseconds"], strict=True)}
        rows.append({"data": data, "state": state, **known, "exact": of["milliseconds_exact"].iloc[0]})
    return pd.DataFrame(rows)


def deletions(table: pd.DataFrame) -> pd.DataFrame:
    """Overlap in each state, and what tombstones change, for readers; one row a data set and ef.

    Parameters
    ----------
    table : DataFrame
        Of `measure.losses` or `together`.
    """
    rows = []
    for (data, ef), of in table.groupby(["data", "ef"], sort=False):
        states = {row.state: row for row in of.itertuples()}
        shown = {state: _cell(states[state], "overlap") for state in (BEFORE, LAZY, COMPACTED)}
        change = _cell(states[LAZY], "change", 4)
        slower = states[LAZY].milliseconds / states[COMPACTED].milliseconds
        rows.append({"data": data, "ef": ef, **shown, "lazily minus compacted": change, "times as long": slower})
    return pd.DataFrame(rows)


def exchange(one: Life, efs, *, state: str = BEFORE, seed: int = 0) -> pd.DataFrame:
    """What was missed and what came instead at some ef, over the queries whose lists differ.

    Parameters
    ----------
    one : Life
    efs : iterable of int
    state : str
    seed : int
        Of the bootstrap over those queries.

    Returns
    -------
    DataFrame
        One row an ef: ef, differing (share of the queries), nearest (share that missed its nearest neighbor), lost
        (mean number, of those that differ), most (lost by one query), ratio, missed_same, instead_same and same_change
        (instead minus missed), the last four with ``_low`` and ``_high``, which are nan where fewer than `FEWEST` lists
        differ.
    """
    of, rows = one.of(state), []
    for ef in efs:
        table = exchanged(of, ef, one.searched)
        table["same_change"] = table["instead_same"] - table["missed_same"]
        names = ["ratio", "missed_same", "instead_same", "same_change"]
        count = len(of.exact.ids)
        row = {"ef": ef, "differing": len(table) / count, "nearest": int(table["nearest"].sum()) / count}
        row |= {"lost": table["lost"].mean(), "most": int(table["lost"].max()) if len(table) else 0}
        if len(table) >= FEWEST:
            values = table[names].to_numpy(dtype=np.float64)
            low, high = limits(bootstrap_means(values, seed=seed))
        else:
            low = high = [np.nan] * len(names)
        for place, name in enumerate(names):
            row |= {name: table[name].mean(), f"{name}_low": low[place], f"{name}_high": high[place]}
        rows.append(row)
    return pd.DataFrame(rows)


def exchanges(lives, efs, *, seed: int = 0) -> pd.DataFrame:
    """`exchange` of each data set, for readers."""
    return pd.DataFrame(
        {
            "data": one.searched.name,
            "ef": row.ef,
            "queries whose lists differ": percent(row.differing),
            "that miss the nearest": percent(row.nearest),
            "lost by these": fixed(row.lost, 2) if row.most else "–",
            "most": row.most,
            "distance, instead to missed": _cell(row, "ratio"),
            "missed, of the query's class": _cell(row, "missed_same"),
            "instead, of the query's class": _cell(row, "instead_same"),
        }
        for one in lives
        for row in exchange(one, efs, seed=seed).itertuples()
    )


def promised(lives, target: str, *, seed: int = 0) -> pd.DataFrame:
    """What `choose_ef` chose for the target, and the overlap of the queries at it; a row a data set and state."""
    rows = []
    for one in lives:
        for state, chosen in one.chosen.items():
            low, high = limits(bootstrap_means(chosen["overlap"][:, None], seed=seed))
            known = chosen["ef"] is not None
            shown = f"{fixed(chosen['overlap'].mean())} ({interval(low[0], high[0])})" if known else ABSENT
            about = {"data": one.searched.name, "state": state, "target": target}
            rows.append({**about, "ef": str(chosen["ef"]) if known else "none certified", "overlap": shown})
    return pd.DataFrame(rows)


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
        found[f"slower_{name}"] = number(lazy.milliseconds / compacted.milliseconds)
        found[f"ms_{name}"] = number(before.milliseconds)
        found[f"faster_{name}"] = number(before.milliseconds_exact / before.milliseconds)
    found |= _with_interval("accuracy_exact", rows[BEFORE, efs[0]], "accuracy_exact")
    found["ms_exact"] = number(rows[BEFORE, ef].milliseconds_exact)
    low, cited = exchange(one, [efs[0], ef], seed=seed).itertuples()
    found |= {"differing_ef": percent(cited.differing), "nearest_lost_ef": percent(cited.nearest)}
    found |= {"differing": percent(low.differing), "nearest_lost": percent(low.nearest)}
    found |= {"lost": fixed(low.lost, 2), "most": number(low.most)}
    worst = exchanged(one.of(BEFORE), efs[0], one.searched).head(max(1, len(one.searched.queries) // WORST))
    found["nearest_lost_worst"] = percent(worst["nearest"].mean(), 0)
    for name in ("ratio", "missed_same", "instead_same", "same_change"):
        found |= _with_interval(name, low, name)
    for name, state in (("chosen", BEFORE), ("chosen_compacted", COMPACTED)):
        chosen = one.chosen[state]
        low, high = limits(bootstrap_means(chosen["overlap"][:, None], seed=seed))
        found[f"{name}_ef"] = ABSENT if chosen["ef"] is None else number(chosen["ef"])
        found[f"{name}_overlap"] = fixed(chosen["overlap"].mean())
        found[f"{name}_overlap_interval"] = interval(low[0], high[0]) if chosen["ef"] else ABSENT
    return {f"{word}_{name}": value for name, value in found.items()}


def _cell(row, name: str, decimals: int = 3) -> str:
    value = getattr(row, name)
    if not np.isfinite(value):
        return "–"
    low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
    if not np.isfinite(low):
        return fixed(value, decimals)
    return f"{fixed(value, decimals)} ({interval(low, high, decimals)})"


def _with_interval(fact: str, row, name: str, decimals: int = 3) -> dict[str, str]:
    low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
    around = interval(low, high, decimals) if np.isfinite(low) and np.isfinite(high) else ABSENT
    return {fact: fixed(getattr(row, name), decimals), f"{fact}_interval": around}
