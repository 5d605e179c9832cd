"""Indexes of many kinds brought to one recall: what is at hand, and the effort each needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from .checks import InputError
from .indexes import build_index
from .kinds import named
from .metrics import overlap
from .neighbors import Neighbors

# Two efforts closer than this share are one: finer steps move recall by less than its interval.
FINEST = 0.02
SETTINGS = ["engine", "target", "knob", "ef", "recall", "reached"]
CURVE = ["engine", "ef", "recall", "microseconds", "distances", "missing"]


class Effort(NamedTuple):
    """The effort found, None where an engine has no knob, and the mean overlap it gave."""

    ef: int | None
    recall: float


def build_all(engines, base, *, metric: str = "l2", seed: int = 0, threads: int = 1, cache=None, progress: bool = True):
    """Build an index for each engine that can be built here, and say of the others why not.

    Parameters
    ----------
    engines : iterable of str
        Names of engines; build parameters follow an @: ``"faiss-ivf@nlist=256"``.
    base : (n, d) array
    metric, seed, cache
        As in `build_index`; every index is built by one thread.
    threads : int, default 1
        Indexes built at a time, and search threads of the indexes returned.
    progress : bool, default True
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    dict of str to Index, DataFrame
        The indexes by the names given; and one row for each engine that has none: engine, reason.

    Examples
    --------
    >>> made, absent = build_all(["faiss-flat", "faiss-hnsw@M=8"], np.arange(20.0).reshape(10, 2))
    >>> list(made), made["faiss-hnsw@M=8"].params["M"], len(absent)
    (['faiss-flat', 'faiss-hnsw@M=8'], 8, 0)
    """
    names = list(dict.fromkeys(engines))
    with ThreadPoolExecutor(threads) as pool:
        attempts = pool.map(lambda name: _built(name, base, metric, seed, cache), names)
        results = list(tqdm(attempts, desc="builds", total=len(names), disable=None if progress else True))
    made, absent = {}, []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, str):
            absent.append({"engine": name, "reason": result})
        else:
            made[name], result.threads = result, threads
    return made, pd.DataFrame(absent, columns=["engine", "reason"])


def _built(name, base, metric, seed, cache):
    """The index, or why there is none."""
    try:
        engine, params = named(name)
        return build_index(engine, base, metric=metric, seed=seed, cache=cache, **params)
    except (ImportError, InputError) as error:
        return str(error)


def at_recall(index, base, rows, exact: Neighbors, k: int, target: float, *, tried: dict | None = None) -> Effort:
    """Find the least effort at which an index reaches a mean overlap, by doubling and bisection.

    Parameters
    ----------
    index : Index
        Over ``base``.
    base : (n, d) array
    rows : (q,) integers
        Base points that are asked, leave-one-out.
    exact : Neighbors
        (q, K) exact neighbors of these queries, K at least k.
    k : int
        Neighbors a query.
    target : float
        Mean overlap to reach, from 0 to 1.
    tried : dict, optional
        Efforts already searched, each with its row of `curve`; it is read and added to, so that several targets share
        their searches. One dict serves one index, one k and one set of queries.

    Returns
    -------
    Effort
        ``ef`` to within two percent, and the recall these queries had at it. Above the target by far: a step of the
        knob is coarse, or its lowest value gives that much already. Below the target: no effort reaches it, and ``ef``
        is the highest tried (None for an engine without a knob).

    Raises
    ------
    InputError
        If the target is not a share, or exact neighbors are of other queries.

    Notes
    -----
    Overlap is taken to rise with effort, which holds in expectation; where it does not, the effort found reaches the
    target and may not be the least that does.

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> base = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    >>> index = build_index("faiss-hnsw", base, M=4)
    >>> ef, recall = at_recall(index, base, np.arange(200), exact_neighbors(base, k=10), 10, 0.9)
    >>> ef > 1, recall >= 0.9
    (True, True)
    """
    if not 0 <= target <= 1:
        raise InputError(f"target is {target}; a recall lies between 0 and 1.")
    asked, truth = np.asarray(base)[rows], exact.first(k)
    tried = {} if tried is None else tried

    def recall(ef):
        if ef not in tried:
            tried[ef] = _search(index, asked, rows, k, ef, truth)
        return tried[ef]["recall"]

    if index.effort is None:
        return Effort(None, recall(None))
    below, above = _edge(lambda ef: recall(ef) >= target, *index.effort_range())
    ef = below if above is None else above
    return Effort(ef, recall(ef))


def at_work(index, base, rows, exact: Neighbors, k: int, work: float, *, tried: dict | None = None) -> Effort:
    """Find the most effort at which an index computes no more distances a query than ``work``, and its recall.

    Parameters and examples are those of `at_recall`, with distances a query in place of the recall.

    Returns
    -------
    Effort
        ``ef`` is None and the recall nan where the library does not count, has no knob, or computes more at its
        lowest effort.
    """
    asked, truth = np.asarray(base)[rows], exact.first(k)
    tried = {} if tried is None else tried
    if index.effort is None:
        return Effort(None, np.nan)

    def beyond(ef):
        if ef not in tried:
            tried[ef] = _search(index, asked, rows, k, ef, truth)
        return not tried[ef]["distances"] <= work

    below, _ = _edge(beyond, *index.effort_range())
    if below < index.effort_range()[0]:
        return Effort(None, np.nan)
    return Effort(below, tried[below]["recall"])


def _edge(passes, lowest: int, highest: int) -> tuple[int, int | None]:
    """The last effort that fails and the first that passes, by doubling and bisection.

    The first value is lowest - 1, which is not tried, where all pass; the second is None where none does.
    """
    below, above = lowest - 1, lowest
    while not passes(above):
        if above >= highest:
            return above, None
        below, above = above, min(2 * above, highest)
    while above - below > max(1, FINEST * below):
        middle = (below + above) // 2
        below, above = (below, middle) if passes(middle) else (middle, above)
    return below, above


def find_efforts(indexes: dict, base, rows, exact: Neighbors, k: int, targets, *, progress: bool = True):
    """Find the effort of every index at every recall, and keep all that was searched on the way.

    Parameters
    ----------
    indexes : dict of str to Index
        Of `build_all`.
    base, rows, exact, k
        As in `at_recall`.
    targets : iterable of float
        Recalls, at least one.
    progress : bool, default True

    Returns
    -------
    settings : DataFrame
        One row an index and target: engine, target, knob (the library's word), ef (nan: no knob), recall, and reached:
        "yes", "no" (not at the highest effort), "lowest" (the lowest effort gives more, by over 0.005). Without
        indexes both tables have no row.
    curve : DataFrame
        One row a search: engine, ef, recall, microseconds (wall time a query), distances (computed a query; nan where
        not counted), missing (share of the slots left empty), by engine and recall.
    """
    settings, curves = [], []
    for name, index in tqdm(indexes.items(), desc="efforts", disable=None if progress else True):
        tried = {}
        for target in sorted(targets):
            ef, recall = at_recall(index, base, rows, exact, k, target, tried=tried)
            row = {"engine": name, "target": target, "knob": index.effort or "", "ef": ef, "recall": recall}
            settings.append({**row, "reached": _reached(index, ef, recall, target)})
        curves.append(pd.DataFrame(tried.values()).assign(engine=name))
    curve = pd.concat(curves, ignore_index=True)[CURVE] if curves else pd.DataFrame(columns=CURVE)
    curve = curve.astype(dict.fromkeys(CURVE[1:], float)).sort_values(["engine", "recall"], ignore_index=True)
    settings = pd.DataFrame(settings, columns=SETTINGS).astype({"target": float, "ef": float, "recall": float})
    return settings, curve


def distinct(settings: pd.DataFrame) -> pd.DataFrame:
    """Keep each search once: of several targets with one effort, the one that its recall is nearest to.

    >>> rows = {"engine": "a", "target": [0.9, 0.95], "ef": [1.0, 1.0], "recall": [0.96, 0.96]}
    >>> distinct(pd.DataFrame(rows))["target"].tolist()
    [0.95]
    """
    away = (settings["recall"] - settings["target"]).abs()
    return settings.loc[away.groupby([settings["engine"], settings["ef"].fillna(0)]).idxmin()].sort_index()


def ask(indexes: dict, settings: pd.DataFrame, base, rows, k: int, *, progress: bool = True) -> dict:
    """Search each index at each of its settings.

    Parameters
    ----------
    indexes : dict of str to Index
    settings : DataFrame
        Of `find_efforts`.
    base : (n, d) array
    rows : (q,) integers
        Base points that are asked, leave-one-out.
    k : int
    progress : bool, default True

    Returns
    -------
    dict of (engine, target) to Neighbors
        (q, k) each.
    """
    steps = tqdm(list(settings.itertuples()), desc="searches", disable=None if progress else True)
    asked = np.asarray(base)[rows]
    return {
        (row.engine, row.target): indexes[row.engine].search(
            asked, k, ef=None if np.isnan(row.ef) else int(row.ef), exclude_self=rows
        )
        for row in steps
    }


def _reached(index, ef, recall, target) -> str:
    if recall < target:
        return "no"
    lowest = ef is None or ef == index.effort_range()[0]
    return "lowest" if lowest and recall > target + 0.005 else "yes"


def _search(index, asked, rows, k, ef, truth) -> dict:
    found = index.search(asked, k, ef=ef, exclude_self=rows)
    count = index.distance_computations
    return {
        "ef": ef,
        "recall": float(overlap(truth, found).mean()),
        "microseconds": 1e6 * index.search_seconds / len(asked),
        "distances": np.nan if count is None else count / len(asked),
        "missing": float(1 - found.found.mean() / k),
    }
