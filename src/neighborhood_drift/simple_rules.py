"""Simpler rules for the effort, to be held against a certified one: ef in proportion to k, and the drift law."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .calibration import Calibration
from .choosing import Searched, lowest_effort, smallest, within
from .indexes.base import Index
from .law import Law, fit, predict, visit_probability

# efforts that are a number of candidates, which is what the law is about; others count cells, say
CANDIDATES = ("efSearch", "ef", "EF", "expansion_search", "search_L", "search_k")


def overlap_at(searched: Searched, ef: float) -> float:
    """Mean overlap at an effort between those searched, on a line over log ef; no search is made.

    Below the lowest effort searched it is that of the lowest, so too high; above the highest, where hardly anything is
    lost, that of the highest.

    >>> round(overlap_at(Searched(np.array([1, 4]), {"overlap": np.array([[0.2], [0.1]])}, None, None), 2), 6)
    0.85
    """
    means = 1 - searched.losses["overlap"].mean(axis=1)
    return float(np.interp(np.log(ef), np.log(searched.efs), means))


def law_effort(law: Law, k: int, least: float, *, floor: int = 1, highest: int) -> int | None:
    """The smallest ef at which the drift law gives a mean overlap of ``least`` at k, or None up to the ``highest``.

    Parameters
    ----------
    law : Law
        Of `law.fit`.
    k : int
    least : float
        Mean overlap.
    floor : int, default 1
        Effort of the search at its lowest ef: where effort follows k, about k.
    highest : int

    Examples
    --------
    >>> law = Law(a=3.0, b=2.0)
    >>> ef = law_effort(law, 50, 0.95, highest=1000)
    >>> bool(predict(law, ef, 50).mean() >= 0.95 > predict(law, ef - 1, 50).mean())
    True
    """
    if predict(law, highest, k).mean() < least:
        return None
    low, high = floor - 1, highest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if predict(law, middle, k).mean() >= least else (middle, high)
    return high


def rules(searched: Searched, k: int, targets, alphas, law: Law | None, index: Index) -> pd.DataFrame:
    """The efforts that simpler rules give for a mean overlap, and what they reach.

    Parameters
    ----------
    searched : Searched
        With the losses "overlap", over the queries that stand for the truth, leave-one-out.
    k : int
    targets : iterable of float
        Mean overlaps that are wanted.
    alphas : iterable of float
        Of ef = alpha k.
    law : Law or None
        Of `probe`; no rows for it where it is None, or where the index's effort is no number of candidates.
    index : Index
        The one searched; an ef below its `lowest_effort` counts as that.

    Returns
    -------
    DataFrame
        rule ("alpha k" or "law"), alpha (nan: the law), k, target, ef (nan: the law knows none), overlap there
        (`overlap_at`), meets, smallest (the least ef searched that meets the target, nan: none) and ratio of ef to it.
    """
    floor, highest = lowest_effort(index, k), index.effort_range()[1]
    rows = []
    for least in targets:
        best = smallest(searched.losses["overlap"], 1 - least)
        true_ef = float(searched.efs[best]) if best >= 0 else np.nan
        found = [("alpha k", alpha, min(highest, max(floor, round(alpha * k)))) for alpha in alphas]
        if law is not None and index.effort in CANDIDATES:
            found.append(("law", np.nan, law_effort(law, k, least, floor=floor, highest=highest)))
        for rule, alpha, ef in found:
            reached = np.nan if ef is None else overlap_at(searched, ef)
            row = {"rule": rule, "alpha": alpha, "k": k, "target": least, "ef": np.nan if ef is None else float(ef)}
            row |= {"overlap": reached, "meets": bool(within(1 - reached, 1 - least)), "smallest": true_ef}
            rows.append(row | {"ratio": row["ef"] / true_ef})
    return pd.DataFrame(rows)


def probe(index: Index, calibration: Calibration, ef: int) -> Law | None:
    """Fit the drift law on one search: all exact neighbors known of a sample's queries asked for, at one ef.

    The law is about the effort that the search really makes, which may be more than ``ef``. None for an engine without
    an effort, or with one that is no number of candidates.

    >>> from neighborhood_drift.calibration import calibration_sample
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    >>> probe(build_index("faiss-hnsw", base, M=4), calibration_sample(base, 100, size=50), 10).a > 0
    True
    """
    if index.effort not in CANDIDATES:
        return None
    alone = calibration.rows is not None
    exclude, effort = calibration.rows if alone else False, index.effective_ef(calibration.exact.k + alone, ef)
    found = index.search(calibration.queries, calibration.exact.k, ef=ef, exclude_self=exclude)
    return fit({effort: visit_probability(calibration.exact, found)})
