"""A collection through its life: how its answers differ from exact ones before and after deletions, and compacted."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..calibration import parse_target
from ..checks import InputError, numbers, whole_number
from ..consequences.voting import vote
from ..intervals import bootstrap_means, limits
from ..metrics import overlap
from ..neighbors import MISSING, Neighbors
from .searched import Searched
from .store import Hits, Store

BEFORE, LAZY, COMPACTED = STATES = ("all points", "deleted lazily", "compacted")
TIMED = 100  # queries that are timed, at most


@dataclass(frozen=True, eq=False)
class Answers:
    """What the queries were answered in one state of a collection.

    Attributes
    ----------
    state : str
        One of `STATES`.
    points : int
        That the collection held.
    exact : Neighbors
        Among these points.
    by_ef : dict of int to Neighbors
    milliseconds : dict
        Least processor time a query of several passes, by ef; None stands for the exact search.
    """

    state: str
    points: int
    exact: Neighbors
    by_ef: dict[int, Neighbors]
    milliseconds: dict[int | None, float]


@dataclass(frozen=True, eq=False)
class Life:
    """A collection's answers in all its states, and what it took to get there.

    Attributes
    ----------
    searched : Searched
    states : tuple of Answers
    gone : (m,) int64
        Ids of the points deleted, drawn at random; ascending.
    seconds : dict
        Processor time of "build" and "compact".
    chosen : dict of str to dict
        For each state with all points or compacted: ``ef`` that the target chose, None and the ``reason`` where none
        was certified, and the overlap (q,) that the queries then got.
    """

    searched: Searched
    states: tuple[Answers, ...]
    gone: np.ndarray
    seconds: dict[str, float]
    chosen: dict[str, dict]

    def of(self, state: str) -> Answers:
        """The answers in a state."""
        return next(one for one in self.states if one.state == state)


def as_neighbors(hits: Hits) -> Neighbors:
    """Answers of a store whose ids are row numbers, as the study's measures take them.

    Examples
    --------
    >>> as_neighbors(Hits(((4,),), (np.array([0.5]),), k=2, ef=10, seconds=0.0)).ids
    array([[ 4, -1]])
    """
    ids = np.full((len(hits.ids), hits.k), MISSING)
    distances = np.full(ids.shape, np.inf)
    for row, (found, near) in enumerate(zip(hits.ids, hits.distances, strict=True)):
        ids[row, : len(found)], distances[row, : len(found)] = found, near
    return Neighbors(ids, distances)


def answers(store: Store, searched: Searched, k: int, efs, state: str = BEFORE, *, repeats: int = 5) -> Answers:
    """Ask all queries, exactly and at each ef, and time some of them again.

    Parameters
    ----------
    store : Store
        Its ids are row numbers of ``searched.base``.
    searched : Searched
    k : int
    efs : iterable of int
    state : str
    repeats : int, default 5
        Timed passes over up to `TIMED` queries, of which the fastest counts: a cold cache and other work only add.

    Returns
    -------
    Answers
    """
    exact = as_neighbors(store.search(searched.queries, k, exact=True))
    by_ef = {ef: as_neighbors(store.search(searched.queries, k, ef=ef)) for ef in efs}
    timed = searched.queries[:TIMED]
    passes = range(whole_number(repeats, "repeats", 1))
    seconds = {
        ef: min(_seconds(lambda ef=ef: store.search(timed, k, ef=ef, exact=ef is None)) for _ in passes)
        for ef in (*efs, None)
    }
    milliseconds = {ef: 1000 * spent / len(timed) for ef, spent in seconds.items()}
    return Answers(state, store.count(), exact, by_ef, milliseconds)


def life(
    searched: Searched,
    k: int,
    efs,
    *,
    target: str = "overlap=0.95",
    tuning_queries: int = 500,
    share: float = 0.3,
    metric: str = "l2",
    M: int = 32,
    ef_construction: int = 200,
    seed: int = 0,
    repeats: int = 5,
) -> Life:
    """Build a collection, search it, delete a share of its points at random, search, compact, and search again.

    Parameters
    ----------
    searched : Searched
    k : int
        From 1 to the points that are left after the deletions.
    efs : iterable of int
    target : str
        What a search has to reach instead of an effort, see `choose_ef`; it is asked with all points and compacted.
    tuning_queries : int, default 500
        Points of the collection on which its effort is chosen, at most.
    share : float, default 0.3
        Of the points deleted, from 0 to below 1.
    metric, M, ef_construction, seed
        Of `Collection`; ``seed`` also draws what is deleted.
    repeats : int
        Of `answers`.

    Returns
    -------
    Life

    Raises
    ------
    InputError
        If the share is out of its range, fewer than k points would be left, or the target is no such thing.
    """
    from .collection import Collection

    n, _ = len(searched.base), parse_target(target)
    share = float(numbers(share, "share"))
    if not 0 <= share < 1:
        raise InputError(f"share is {share:g}; it must be from 0 to below 1.")
    deleted = round(share * n)
    k = whole_number(k, "k", 1, n - deleted)
    efs = sorted({whole_number(ef, "ef", 1) for ef in efs})
    collection = Collection(searched.base.shape[1], metric=metric, M=M, ef_construction=ef_construction, seed=seed)
    names = searched.labels if searched.labels is not None else [None] * n
    about = [{} if name is None else {"label": _class(searched, name)} for name in names]
    seconds = {"build": _seconds(lambda: collection.add(searched.base, ids=range(n), metadata=about))}
    states = [answers(collection, searched, k, efs, BEFORE, repeats=repeats)]
    chosen = {BEFORE: _chosen(collection, searched, k, target, tuning_queries, states[-1].exact)}
    gone = np.sort(np.random.default_rng([seed, 2]).choice(n, deleted, replace=False))
    collection.delete(gone)
    states.append(answers(collection, searched, k, efs, LAZY, repeats=repeats))
    seconds["compact"] = _seconds(collection.compact)
    states.append(answers(collection, searched, k, efs, COMPACTED, repeats=repeats))
    chosen[COMPACTED] = _chosen(collection, searched, k, target, tuning_queries, states[-1].exact)
    return Life(searched, tuple(states), gone, seconds, chosen)


def losses(one: Life, *, seed: int = 0) -> pd.DataFrame:
    """Overlap and the neighbors' vote at each ef in each state, with 95 % intervals over queries.

    Parameters
    ----------
    one : Life
    seed : int
        Of the bootstrap; one set of resamples serves everything that is measured on the queries.

    Returns
    -------
    DataFrame
        One row a state and ef: data, state, points, queries, k, ef, overlap, accuracy (share of queries whose
        neighbors' vote is their label), accuracy_exact, accuracy_change (minus that of the exact neighbors), and
        change (overlap minus that of the compacted collection, which has the same exact neighbors as the lazy one; nan
        where all points are there), each with ``_low`` and ``_high``; missing (share of the slots left empty);
        milliseconds and milliseconds_exact (processor time a query). Accuracies are nan without labels.
    """
    overlaps = {(of.state, ef): overlap(of.exact, nb) for of in one.states for ef, nb in of.by_ef.items()}
    columns, places = [], []
    for of in one.states:
        truth = right(of.exact, one.searched)
        for ef, nb in of.by_ef.items():
            voted = right(nb, one.searched)
            shared = overlaps[of.state, ef]
            change = shared - overlaps[COMPACTED, ef] if of.state != BEFORE else np.full(len(shared), np.nan)
            columns += [shared, voted, truth, voted - truth, change]
            places.append((of, ef, nb))
    values = np.stack(columns, axis=1)
    low, high = limits(bootstrap_means(values, seed=seed))
    rows = []
    for place, (of, ef, nb) in enumerate(places):
        row = {"data": one.searched.name, "state": of.state, "points": of.points, "queries": len(values)}
        row |= {"k": of.exact.k, "ef": ef}
        for offset, name in enumerate(("overlap", "accuracy", "accuracy_exact", "accuracy_change", "change")):
            column = 5 * place + offset
            row |= {name: values[:, column].mean(), f"{name}_low": low[column], f"{name}_high": high[column]}
        row |= {"missing": float((nb.ids == MISSING).mean()), "milliseconds": of.milliseconds[ef]}
        rows.append({**row, "milliseconds_exact": of.milliseconds[None]})
    return pd.DataFrame(rows)


def right(nb: Neighbors, searched: Searched) -> np.ndarray:
    """(q,) 1.0 where the vote of a query's neighbors is its label, else 0.0; nan without labels."""
    if searched.labels is None:
        return np.full(len(nb.ids), np.nan)
    # a class that only queries have would get no vote, and a negative label is allowed here
    known = np.unique(searched.labels)
    winner, _, found = vote(nb, np.searchsorted(known, searched.labels))
    return ((found > 0) & (known[winner] == searched.query_labels)).astype(np.float64)


def exchanged(of: Answers, ef: int, searched: Searched) -> pd.DataFrame:
    """What was missed and what came instead, a row for each query whose lists differ, most lost first.

    Parameters
    ----------
    of : Answers
    ef : int
        One of those measured.
    searched : Searched

    Returns
    -------
    DataFrame
        Columns query (row number), lost (true neighbors not returned), nearest (whether the first is among them), ratio
        (mean distance of those that came instead to that of the missed ones; nan where none came), missed_same and
        instead_same (share of each that has the query's label; nan without labels or where none came).
    """
    nb, rows = of.by_ef[ef], []
    for query, (true, got) in enumerate(zip(of.exact.ids, nb.ids, strict=True)):
        missed, instead = ~np.isin(true, got) & (true != MISSING), ~np.isin(got, true) & (got != MISSING)
        if missed.any():
            far, near = nb.distances[query][instead], of.exact.distances[query][missed]
            ratio = far.mean() / near.mean() if len(far) and near.mean() > 0 else np.nan
            same = [_same(ids, query, searched) for ids in (true[missed], got[instead])]
            rows.append((query, int(missed.sum()), bool(missed[0]), ratio, *same))
    table = pd.DataFrame(rows, columns=["query", "lost", "nearest", "ratio", "missed_same", "instead_same"])
    return table.sort_values(["lost", "ratio", "query"], ascending=[False, False, True], ignore_index=True)


def _same(ids, query: int, searched: Searched) -> float:
    if searched.labels is None or not len(ids):
        return np.nan
    return float((searched.labels[ids] == searched.query_labels[query]).mean())


def _chosen(collection, searched: Searched, k: int, target: str, size: int, exact: Neighbors) -> dict:
    try:
        collection.tune(target, k, size=size)
        hits = collection.search(searched.queries, k, target=target)
    except InputError as error:
        return {"ef": None, "reason": str(error), "overlap": np.full(len(searched.queries), np.nan)}
    return {"ef": hits.ef, "reason": "", "overlap": overlap(exact, as_neighbors(hits))}


def _class(searched: Searched, label) -> str:
    return searched.classes[label] if 0 <= label < len(searched.classes) else str(label)


def _seconds(call) -> float:
    """Processor time of this process, which is not lengthened by waiting for a core."""
    start = time.process_time()
    call()
    return time.process_time() - start
