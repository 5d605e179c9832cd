"""Causes of loss, put together: searches traced side by side, traits of lost neighbors, other data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from . import causes, describe, intervals, odds, variance
from .checks import InputError
from .exact import exact_neighbors
from .indexes import build_index
from .lid import lid
from .metrics import overlap
from .neighbors import Neighbors
from .trace import distance_rows, same_answers, trace, undecided

# Traits with a long tail, which enter the model as logarithms.
LOGS = ("in_degree", "rank", "k_occurrence", "label_frequency")


class Traced(NamedTuple):
    """Several searches traced on the same queries; made by `traced`."""

    check: pd.DataFrame
    missed: pd.DataFrame
    shares: pd.DataFrame


def traced(indexes, base, rows, exact: Neighbors, ef: int, *, metric: str = "l2", seed: int = 0) -> Traced:
    """Trace the leave-one-out search of each index, check it against the library's own, and class what was lost.

    Parameters
    ----------
    indexes : iterable of Index
        With a graph, over ``base``.
    base : (n, d) array
    rows : (q,) integers
        Points that are asked, ascending.
    exact : Neighbors
        (q, k) exact neighbors of them.
    ef : int
    metric, seed

    Returns
    -------
    Traced
        ``check``: one row a search: engine, effort, same (share of the queries with the library's own ids, of those
        that no rounding decides), undecided (queries), same_undecided (share of those), distances and
        library_distances (a query, traced and as the library counts, nan where it does not), visited, expanded (points
        of level 0, a query). ``missed``: of `causes.missed`, with engine, effort and found_at_twice (whether the
        library finds the neighbor at twice the effort). ``shares``: of `causes.shares`, with engine and found_at_twice
        (share).

    Raises
    ------
    InputError
        If an index has no graph that can be traced, or rows and exact neighbors do not fit.

    Examples
    --------
    >>> base = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    >>> index = build_index("hnswlib", base)
    >>> traced([index], base, np.arange(100), exact_neighbors(base, k=5), 5).check["same"].tolist()
    [1.0]
    """
    distances = distance_rows(base, base[rows], metric)
    checks, lost, parts = [], [], []
    for index in indexes:
        traces = trace(index, distances, exact.k + 1, ef)
        found = index.search(base[rows], exact.k + 1, ef=ef)
        same, close = same_answers(traces, found), undecided(traces, distances, metric=metric)
        counted = np.nan if index.distance_computations is None else index.distance_computations / len(rows)
        effort = index.effective_ef(exact.k + 1, ef)
        checks.append({
            "engine": index.engine, "effort": effort, "same": _mean(same[~close]), "undecided": int(close.sum()),
            "same_undecided": _mean(same[close]), "distances": _mean([one.distance_computations for one in traces]),
            "library_distances": counted, "visited": _mean([len(one.visited) for one in traces]),
            "expanded": _mean([len(one.expanded) for one in traces]),
        })  # fmt: skip
        missed = causes.missed(index.graph(), distances, traces, exact, rows)
        more = index.search(base[rows], exact.k, ef=2 * effort, exclude_self=rows).ids
        place = np.searchsorted(rows, missed["query"].to_numpy(dtype=np.int64))
        again = (more[place] == missed["point"].to_numpy()[:, None]).any(axis=1) if len(missed) else np.zeros(0, bool)
        missed = missed.assign(engine=index.engine, effort=effort, found_at_twice=again)
        by_cause = missed.groupby("cause")["found_at_twice"].mean()
        shares = causes.shares(missed, rows, seed=seed)
        parts.append(shares.assign(engine=index.engine, found_at_twice=shares["cause"].map(by_cause).astype(float)))
        lost.append(missed)
    return Traced(pd.DataFrame(checks), pd.concat(lost, ignore_index=True), pd.concat(parts, ignore_index=True))


def _varies(values) -> bool:
    return len(np.unique(values)) > 1


def _mean(values) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def trait_pairs(found: Neighbors, exact_all: Neighbors, rows, in_degree, labels=None) -> pd.DataFrame:
    """Pairs of a query and a true neighbor, with the traits of `causes.TRAITS` that can be told, as `causes.pairs`.

    Parameters
    ----------
    found : Neighbors
        (q, k) of a search of an hnswlib index that took the points in the order of the base.
    exact_all : Neighbors
        (n, k) exact neighbors of every point of the base.
    rows : (q,) integers
    in_degree : (n,) integers
        Of each point at level 0 of the graph that was searched.
    labels : (n,) integers, optional

    Returns
    -------
    DataFrame
        k_occurrence: how many points have the neighbor among their k nearest; inserted: its place in the order of
        insertion; label_frequency: points of the base that have its label; same_label: 1 where it has the query's.

    Raises
    ------
    InputError
        If degrees or labels are not one a point, or rows lie outside the base.

    Examples
    --------
    >>> base = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    >>> exact, rows = exact_neighbors(base, k=5), np.arange(50)
    >>> list(trait_pairs(exact, exact, rows, np.ones(50)))[4:]
    ['in_degree', 'k_occurrence', 'point_lid', 'inserted', 'query_lid']
    """
    n, dimension, rows = len(exact_all.ids), lid(exact_all), np.asarray(rows)
    for name, values in {"in_degree": in_degree, "labels": labels}.items():
        if values is not None and np.shape(values) != (n,):
            raise InputError(f"{name} have shape {np.shape(values)}; ({n},) is needed, one a point.")
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (len(rows) and not 0 <= rows.min() <= rows.max() < n):
        raise InputError(f"rows must be whole numbers from 0 to {n - 1}, the points that were asked.")
    of_points = {
        "in_degree": in_degree,
        "k_occurrence": describe.k_occurrence(exact_all, n),
        "point_lid": dimension,
        "inserted": np.arange(n),
    }
    if labels is not None:
        labels = np.asarray(labels)
        _, place, count = np.unique(labels, return_inverse=True, return_counts=True)
        of_points["label_frequency"] = count[place]
    exact, of_queries = exact_all.rows(rows), {"query_lid": dimension}
    pairs = causes.pairs(exact, found, rows, of_points=of_points, of_queries=of_queries)
    if labels is not None:
        pairs["same_label"] = (labels[pairs["query"]] == labels[pairs["point"]]).astype(float)
    return pairs


def told(pairs: pd.DataFrame) -> list[str]:
    """Traits among the columns of a table of pairs, in the order of `causes.TRAITS`."""
    return [trait for trait in causes.TRAITS if trait in pairs]


def agreement(overlaps: dict[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """Intraclass correlation of single queries' overlap over repeated graphs: repeated, graphs, icc, low, high.

    Parameters
    ----------
    overlaps : dict of str to (q, r) array
        By what was repeated. Fewer than two graphs, or queries, give nan.

    Examples
    --------
    >>> agreement({"seeds": np.array([[0.5, 0.5], [1.0, 1.0]])})[["repeated", "graphs", "icc"]]
      repeated  graphs  icc
    0    seeds       2  1.0
    """
    rows = []
    for name, values in overlaps.items():
        known = min(values.shape) >= 2
        rows.append((name, values.shape[1], *(variance.icc(values, seed=seed) if known else (np.nan,) * 3)))
    return pd.DataFrame(rows, columns=["repeated", "graphs", "icc", "low", "high"])


def on_other_data(samples, k: int, ef: int, *, metric: str = "l2", seed: int = 0, cache=None, **params) -> pd.DataFrame:
    """Repeat the main measures on further data, with hnswlib.

    Parameters
    ----------
    samples : iterable of Sample
    k, ef, metric, seed, cache
    **params
        Build parameters of hnswlib.

    Returns
    -------
    DataFrame
        One row a sample: data, points, queries, lost (share), too_far, missed_links, cut_off, tied (shares of the
        lost), found_at_twice (share of the lost that twice the effort finds), low_in_degree and high_in_degree (share
        lost in the lowest and highest group by in-degree) with low_pairs and high_pairs (share of the pairs in that
        group, a tenth but for ties), auc with auc_low and auc_high, lid_correlation with lid_low and
        lid_high.
    """
    rows = []
    for sample in samples:
        near = min(k, len(sample.base) - 2)
        exact_all = exact_neighbors(sample.base, k=near, metric=metric)
        index = build_index("hnswlib", sample.base, metric=metric, seed=seed, cache=cache, **params)
        exact = exact_all.rows(sample.rows)
        one = traced([index], sample.base, sample.rows, exact, ef, metric=metric, seed=seed)
        found = index.search(sample.base[sample.rows], near, ef=ef, exclude_self=sample.rows)
        pairs = trait_pairs(found, exact_all, sample.rows, index.graph().in_degree(), sample.labels)
        low = high = {"rate": np.nan, "pairs": np.nan}
        if _varies(pairs["in_degree"]):
            degree = causes.rates(pairs, ["in_degree"], seed=seed)
            low, high = degree.iloc[0], degree.iloc[-1]
        area = (np.nan,) * 3
        if any(_varies(pairs[trait]) for trait in told(pairs)):
            model = odds.fit(pairs, told(pairs), logs=LOGS, seed=seed)
            area = (model.auc, model.low, model.high)
        drifted = intervals.rank_correlation(1 - overlap(exact, found), lid(exact), seed=seed)
        share = one.shares.set_index("cause")["share"]
        rows.append({
            "data": sample.name, "points": len(sample.base), "queries": len(sample.rows), "lost": pairs["lost"].mean(),
            "too_far": share[causes.TOO_FAR], "missed_links": share[causes.MISSED], "cut_off": share[causes.CUT_OFF],
            "tied": share[causes.TIED],
            "found_at_twice": _mean(one.missed["found_at_twice"]),
            "low_in_degree": low["rate"], "high_in_degree": high["rate"],
            "low_pairs": low["pairs"] / len(pairs), "high_pairs": high["pairs"] / len(pairs),
            **dict(zip(("auc", "auc_low", "auc_high"), area, strict=True)),
            **dict(zip(("lid_correlation", "lid_low", "lid_high"), drifted, strict=True)),
        })  # fmt: skip
    return pd.DataFrame(rows)
