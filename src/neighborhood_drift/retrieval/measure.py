"""A collection through its life: how its answers differ from exact ones before and after deletions, and compacted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..calibration import parse_target
from ..checks import InputError, numbers, whole_number
from ..consequences.voting import vote
from ..intervals import bootstrap_means, limits
from ..metrics import overlap
from ..neighbors import MISSING, Neighbors
from .collection import Collection
from .promised import Promise, promises
from .searched import Searched
from .work import as_neighbors, distances_computed, milliseconds, seconds

BEFORE, LAZY, COMPACTED = STATES = ("all points", "deleted lazily", "compacted")


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
    computed : dict of int to (t,) int64
        Distances computed for each of the first queries, by ef; see `distances_computed`.
    milliseconds : dict
        Of `work.milliseconds`, while all points are there; empty in other states, which come minutes later, when the
        machine may be slower or faster.
    """

    state: str
    points: int
    exact: Neighbors
    by_ef: dict[int, Neighbors]
    computed: dict[int, np.ndarray] = field(default_factory=dict)
    milliseconds: dict[int | None, float] = field(default_factory=dict)


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
    promises : tuple of Promise
        The effort chosen for the target while all points are there, and compacted.
    """

    searched: Searched
    states: tuple[Answers, ...]
    gone: np.ndarray
    seconds: dict[str, float]
    promises: tuple[Promise, ...]

    def of(self, state: str) -> Answers:
        """The answers in a state."""
        return next(one for one in self.states if one.state == state)


def answers(collection, searched: Searched, k: int, efs, state: str = BEFORE, *, repeats: int = 5) -> Answers:
    """Ask all queries, exactly and at each ef, and count and time what some of them take.

    Parameters
    ----------
    collection : Collection
        Its ids are row numbers of ``searched.base``.
    searched : Searched
    k : int
    efs : iterable of int
    state : str
    repeats : int, default 5
        Timed passes, while all points are there.

    Returns
    -------
    Answers
    """
    queries = searched.queries
    exact = as_neighbors(collection.search(queries, k, exact=True))
    by_ef = {ef: as_neighbors(collection.search(queries, k, ef=ef)) for ef in efs}
    spent = milliseconds(collection, queries, k, efs, repeats=repeats) if state == BEFORE else {}
    return Answers(state, collection.count(), exact, by_ef, distances_computed(collection, queries, k, efs), spent)


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
        Points on which its effort is chosen, at most.
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
    spent = {"build": seconds(lambda: collection.add(searched.base, ids=range(n), metadata=about))}
    states = [answers(collection, searched, k, efs, BEFORE, repeats=repeats)]
    how = (collection, searched, k, target, tuning_queries)
    chosen = promises(*how, states[-1].exact, state=BEFORE, seed=seed)
    gone = np.sort(np.random.default_rng([seed, 2]).choice(n, deleted, replace=False))
    collection.delete(gone)
    states.append(answers(collection, searched, k, efs, LAZY))
    spent["compact"] = seconds(collection.compact)
    states.append(answers(collection, searched, k, efs, COMPACTED))
    chosen += promises(*how, states[-1].exact, gone, state=COMPACTED, seed=seed)
    return Life(searched, tuple(states), gone, spent, tuple(chosen))


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
        where all points are there), computed (distances a query, over those that were traced) and more (times as many
        as compacted; nan where all points are there), each with ``_low`` and ``_high``; missing (share of the slots
        left empty); milliseconds and milliseconds_exact (processor time a query; nan but where all points are there);
        build_seconds and compact_seconds. Accuracies are nan without labels.
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
    counted = np.stack([of.computed[ef] for of, ef, _ in places], axis=1)
    resampled = bootstrap_means(counted, seed=seed)
    where = {(of.state, ef): place for place, (of, ef, _) in enumerate(places)}
    rows = []
    for place, (of, ef, nb) in enumerate(places):
        row = {"data": one.searched.name, "state": of.state, "points": of.points, "queries": len(values)}
        row |= {"k": of.exact.k, "ef": ef}
        for offset, name in enumerate(("overlap", "accuracy", "accuracy_exact", "accuracy_change", "change")):
            column = 5 * place + offset
            row |= {name: values[:, column].mean(), f"{name}_low": low[column], f"{name}_high": high[column]}
        anew = where[COMPACTED, ef] if of.state != BEFORE else None
        for name, drawn, mean in (
            ("computed", resampled[:, place], counted[:, place].mean()),
            ("more", _ratio(resampled, place, anew), _ratio(counted.mean(axis=0)[None], place, anew)[0]),
        ):
            (below,), (above,) = limits(drawn[:, None])
            row |= {name: mean, f"{name}_low": below, f"{name}_high": above}
        row |= {"missing": float((nb.ids == MISSING).mean()), "milliseconds": of.milliseconds.get(ef, np.nan)}
        row |= {"milliseconds_exact": of.milliseconds.get(None, np.nan)}
        rows.append(row | {f"{name}_seconds": spent for name, spent in one.seconds.items()})
    return pd.DataFrame(rows)


def _ratio(means, place: int, to: int | None) -> np.ndarray:
    return np.full(len(means), np.nan) if to is None else means[:, place] / means[:, to]


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


def _class(searched: Searched, label) -> str:
    return searched.classes[label] if 0 <= label < len(searched.classes) else str(label)
