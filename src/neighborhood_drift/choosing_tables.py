"""Which ef for which k, at which price: tables for readers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import facts
from .calibration import MeanOverlap, decide, queries_needed
from .choosing import smallest
from .summaries import ABSENT, label

NONE = "none"


def choices(searched: dict, targets, *, size: int, points: int, confidence: float = 0.95, seed: int = 0):
    """The certified effort of each engine, k and mean overlap, and what a search at it costs.

    Parameters
    ----------
    searched : dict of (str, int) to Searched
        Engine and k -> searches of a pool of queries in random order, with the losses "overlap".
    targets : iterable of float
        Mean overlaps.
    size : int
        The choice is made on so many of the queries, half the pool at most, and checked on the others.
    points : int
        Points of the base: the distances of an exact search.
    confidence, seed
        Of `calibration.decide`.

    Returns
    -------
    DataFrame
        engine, k, target, ef (nan: none certified), certified (the bound on the mean overlap), measured and overlap
        (its mean over the sample and over the others), smallest (the least effort that is good enough over the whole
        pool; nan: none), ratio of ef to it, distances and microseconds a query at ef, share of an exact search's
        distances, lowest (whether ef is the lowest effort there is at this k) and needed (the fewest queries that
        could certify the target).
    """
    rows = []
    for (engine, k), found in searched.items():
        losses, efs = found.losses["overlap"], found.efs
        sample, others = np.split(losses, [min(size, losses.shape[1] // 2)], axis=1)
        for least in targets:
            target = MeanOverlap(least)
            choice = decide(sample, efs, target, confidence, seed=seed)
            at, best = choice.position, smallest(losses, target.limit)
            row = {"engine": engine, "k": k, "target": least, "ef": np.nan, "certified": choice.bound}
            row |= {"measured": choice.estimate, "overlap": np.nan, "distances": np.nan, "microseconds": np.nan}
            if at is not None:
                row |= {"ef": float(choice.ef), "overlap": 1 - float(others[at].mean())}
                row |= {"distances": found.distances[at], "microseconds": found.microseconds[at]}
            row["smallest"] = float(efs[best]) if best >= 0 else np.nan
            row |= {"ratio": row["ef"] / row["smallest"], "share": row["distances"] / points, "lowest": at == 0}
            rows.append(row | {"needed": queries_needed(target, confidence)})
    return pd.DataFrame(rows)


def by_k(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `choices` for readers: one row a search and target, one column a k.

    A cell holds the certified ef and, in brackets, the least that is good enough; "none" where there is none.
    """
    shown = table.assign(
        search=table["engine"].map(label),
        text=[
            NONE if np.isnan(ef) else f"{ef:.0f} ({NONE if np.isnan(least) else f'{least:.0f}'})"
            for ef, least in zip(table["ef"], table["smallest"], strict=True)
        ],
    )
    wide = shown.pivot_table(index=["search", "target"], columns="k", values="text", aggfunc="first", sort=False)
    wide.columns = [f"k = {k}" for k in wide.columns]
    return wide.fillna(ABSENT).reset_index()


def price(table: pd.DataFrame) -> pd.DataFrame:
    """What the certified efforts cost: columns of `choices` for readers, one row a search, k and target."""
    shown = table.assign(search=table["engine"].map(label), per_neighbor=table["distances"] / table["k"])
    names = {
        "certified": "bound", "overlap": "overlap of the others", "distances": "distances a query",
        "per_neighbor": "distances a neighbor", "share": "of exact search",
    }  # fmt: skip
    columns = ["search", "target", "k", "ef", "certified", "overlap", "distances", "per_neighbor", "share"]
    return shown[columns].rename(columns=names)


def held(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `validation.validated` for readers."""
    shown = table.assign(
        search=table["engine"].map(label),
        covered=[_percent_interval(row.coverage, row.coverage_low, row.coverage_high) for row in table.itertuples()],
        others=[ABSENT if np.isnan(rest) else facts.percent(rest) for rest in table["rest"]],
        none=[facts.percent(share) for share in table["none"]],
        lands=[_ratio(row.ratio, row.ratio_low, row.ratio_high) for row in table.itertuples()],
    )
    names = {"limit_kind": "limit", "covered": "coverage", "others": "held by the rest", "none": "none chosen"}
    columns = ["data", "search", "k", "target", "limit_kind", "covered", "others", "none", "lands"]
    return shown[columns].rename(columns=names | {"lands": "ef over the least"})


def sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `validation.by_size` for readers."""
    rows = []
    for row in table.itertuples():
        covered = _percent_interval(row.coverage, row.coverage_low, row.coverage_high)
        plain = _percent_interval(row.asked, row.asked_low, row.asked_high)
        about = {"bound": row.bound, "queries": row.size, "kept at the limit asked": plain, "at the hardest": covered}
        lands = _ratio(row.ratio, row.ratio_low, row.ratio_high)
        rows.append(about | {"none chosen": facts.percent(row.none), "ef over the least": lands})
    return pd.DataFrame(rows)


def risks(table: pd.DataFrame, targets: dict) -> pd.DataFrame:
    """Lay out `validation.validated` of targets in expectation for readers, in the unit of each quantity.

    Parameters
    ----------
    table : DataFrame
    targets : dict of str to (str, Target)
        As given to `validation.validated`.
    """
    rows = []
    for row in table.itertuples():
        target = targets[row.target][1]
        value, low, high = (float(target.value(loss)) for loss in (row.loss, row.loss_low, row.loss_high))
        goal = facts.fixed(float(target.value(row.limit)), 4)
        about = {"search": label(row.engine), "k": row.k, "quantity": target.quantity, "limit": goal}
        mean = f"{facts.fixed(value, 4)} ({facts.interval(low, high, 4)})"
        about |= {"kind": row.limit_kind, "mean over samples": mean, "none chosen": facts.percent(row.none)}
        rows.append(about | {"ef over the least": _ratio(row.ratio, row.ratio_low, row.ratio_high)})
    return pd.DataFrame(rows)


def simpler(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out the rules of `simple_rules.rules`, with columns data and engine, for readers: one row a rule and search.

    Returns
    -------
    DataFrame
        data, search, rule, met (of how many pairs of k and target), and over those pairs the lowest overlap minus
        target (the overlap is that of `simple_rules.overlap_at`: read off a line between the efforts searched), and the
        least and the largest ratio to the smallest ef that is good enough.
    """
    rows = []
    named = table.assign(name=[_rule(row.rule, row.alpha) for row in table.itertuples()])
    for (data, engine, name), own in named.groupby(["data", "engine", "name"], sort=False):
        about = {"data": data, "search": label(engine), "rule": name, "met": f"{own['meets'].sum()} of {len(own)}"}
        short = (own["overlap"] - own["target"]).min()
        about |= {"overlap minus target, lowest": short, "ef over the least, lowest": own["ratio"].min()}
        rows.append(about | {"highest": own["ratio"].max()})
    return pd.DataFrame(rows)


def calibration_cost(choice, points: int) -> dict[str, float]:
    """What a choice by `choose_ef` cost.

    Returns
    -------
    dict
        exact_seconds and search_seconds; exact_distances and search_distances a query (nan where not counted); and
        searches: queries at the ef chosen that compute as many distances as the whole calibration (nan: none chosen).
    """
    computed = choice.table["distance_computations"]
    one = np.nan if choice.position is None else float(computed.iloc[choice.position])
    work = choice.queries * (points + float(computed.sum(min_count=len(computed))))
    return {
        "exact_seconds": choice.seconds["exact"], "search_seconds": choice.seconds["searches"],
        "exact_distances": float(points), "search_distances": work / choice.queries - points, "searches": work / one,
    }  # fmt: skip


def _rule(rule, alpha) -> str:
    return "drift law, one probe" if rule == "law" else f"ef = {alpha:g} k"


def _percent_interval(share, low, high) -> str:
    return ABSENT if np.isnan(share) else f"{facts.percent(share)} ({100 * low:.1f} to {100 * high:.1f})"


def _ratio(middle, low, high) -> str:
    return ABSENT if np.isnan(middle) else f"{middle:.2f} ({low:.2f} to {high:.2f})"
