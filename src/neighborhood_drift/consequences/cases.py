"""The point sets that tasks run on, and neighbor lists of all their points at many recalls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..checks import InputError, vectors, whole_number
from ..exact import distances_to, exact_neighbors
from ..indexes import ENGINES, build_index
from ..metrics import overlap
from ..neighbors import MISSING, Neighbors
from ..null import lost_at_random

# Of the points of a planted sample, the share that is of another class.
PLANTED = 0.02
# A planted sample takes further classes in until it holds this many usual points.
FEWEST_USUAL = 100
# From this recall on, more effort changes nothing that a task could show.
ENOUGH = 0.995


@dataclass(frozen=True, eq=False)
class Case:
    """Points, each of them a query, with their exact lists; made by `samples` or `planted`.

    Parameters
    ----------
    base : (n, d) float32
    labels : (n,) int64 or None
    outliers : (n,) bool or None
        The planted points.
    exact : Neighbors
        (n, K) exact leave-one-out neighbors, K at least k; 2 k where n allows, so that lost ones can be replaced.
    k : int
        Length of the lists that tasks work on.
    metric : {"l2", "cosine"}
    seed : int
        Of the sample, of the index built over it, and of whatever a task draws.
    """

    base: np.ndarray
    labels: np.ndarray | None
    outliers: np.ndarray | None
    exact: Neighbors
    k: int
    metric: str
    seed: int

    @property
    def truth(self) -> Neighbors:
        """(n, k) exact lists."""
        return self.exact.first(self.k)


def samples(base, labels, *, size: int, k: int, count: int, metric: str = "l2", seed: int = 0) -> list[Case]:
    """Draw several samples of the base, disjoint where it is large enough.

    Parameters
    ----------
    base : (n, d) array
    labels : (n,) integers or None
    size : int
        Points a sample; 0, or more than there are: all.
    k : int
        Length of the lists, made shorter where a sample has fewer than 2 k + 1 points.
    count : int
        Samples: consecutive parts of one random order of the base, which begins anew where it ends.
    metric, seed

    Returns
    -------
    list of Case
        With ``outliers`` None.

    Examples
    --------
    >>> base = np.random.default_rng(0).random((40, 3), dtype=np.float32)
    >>> first, second = samples(base, None, size=20, k=5, count=2)
    >>> first.exact.ids.shape, first.truth.k
    ((20, 10), 5)
    """
    base = vectors(base, "base", metric=metric)
    size = min(whole_number(size, "size", 0) or len(base), len(base))
    order = np.random.default_rng([seed, 2]).permutation(len(base))
    starts = size * np.arange(whole_number(count, "count", 1))
    # a sample starts wherever the one before it ended, so no two share points before the base is used up
    parts = [np.sort(np.take(order, np.arange(start, start + size), mode="wrap")) for start in starts]
    return [_case(base, labels, None, part, k, metric, seed + i) for i, part in enumerate(parts)]


def planted(base, labels, *, size: int, k: int, count: int, metric: str = "l2", seed: int = 0) -> list[Case]:
    """Draw several samples of one class each, in which two percent of the points are of other classes.

    Parameters
    ----------
    base, size, k, count, metric, seed
        As in `samples`; ``size`` counts usual points, planted ones come on top.
    labels : (n,) integers or None
        None gives no cases. A class that is too small for a sample is joined by the next one drawn.

    Returns
    -------
    list of Case
        With ``outliers``; none where all points are of one class.
    """
    if labels is None:
        return []
    base, labels = vectors(base, "base", metric=metric), np.asarray(labels)
    cases = []
    for i in range(whole_number(count, "count", 1)):
        generator = np.random.default_rng([seed + i, 3])
        classes = generator.permutation(np.unique(labels))
        counts = np.cumsum([(labels == one).sum() for one in classes[:-1]])
        if not len(counts):
            return []
        joined = min(int(np.searchsorted(counts, FEWEST_USUAL)) + 1, len(counts))
        own = np.isin(labels, classes[:joined])
        usual = generator.permutation(np.flatnonzero(own))[: size or None]
        strange = generator.permutation(np.flatnonzero(~own))[: max(1, round(PLANTED * len(usual)))]
        outliers = np.isin(np.arange(len(base)), strange)
        cases.append(_case(base, labels, outliers, np.sort(np.concatenate([usual, strange])), k, metric, seed + i))
    return cases


def at_random(case: Case, recalls, *, replace: bool = True) -> Iterator[tuple[str, Neighbors]]:
    """Lists that lost neighbors at random, at each recall: (recall as text, Neighbors)."""
    for recall in recalls:
        yield f"{recall:g}", lost_at_random(case.exact, case.k, 1 - recall, seed=case.seed, replace=replace)


def from_index(case: Case, engine: str, *, params: dict, threads: int, cache=None) -> Iterator[tuple[str, Neighbors]]:
    """Lists of an index at efforts that double from its lowest: (effort as text, Neighbors).

    Every point is asked, leave-one-out; distances are measured again in float64. Ends at the highest effort, or at
    one where overlap is 0.995. An engine without effort is asked once.
    """
    index = build_index(
        engine, case.base, metric=case.metric, seed=case.seed, threads=threads, cache=cache, **_fitting(engine, params)
    )
    searched = set()
    for effort in _doubling(*index.effort_range()):
        # below k, some libraries apply one effort whatever is asked: that is one search
        applied = index.effective_ef(case.k + 1, effort)
        if applied in searched:
            continue
        searched.add(applied)
        found = remeasured(case, index.search(case.base, case.k, ef=effort, exclude_self=True))
        yield f"{effort}", found
        if overlap(case.truth, found).mean() >= ENOUGH:
            return


def _doubling(lowest: int, highest: int) -> list[int]:
    """Whole numbers from ``lowest`` that double, up to ``highest``, which is the last.

    >>> _doubling(1, 10), _doubling(3, 3)
    ([1, 2, 4, 8, 10], [3])
    """
    doublings = int(np.ceil(np.log2(highest / lowest)))
    return [lowest * 2**i for i in range(doublings)] + [highest]


def lowest_recall(case: Case, engine: str, *, params: dict, threads: int, cache=None) -> float:
    """Mean overlap of an index's lists at its lowest effort."""
    _, found = next(from_index(case, engine, params=params, threads=threads, cache=cache))
    return float(overlap(case.truth, found).mean())


def remeasured(case: Case, found: Neighbors) -> Neighbors:
    """Give each neighbor its distance in float64, and its place by it: engines differ in ids, not in arithmetic."""
    distances = distances_to(case.base, case.base, found.ids, metric=case.metric)
    return Neighbors.sorted(found.ids, np.where(found.ids == MISSING, np.inf, distances))


def without(case: Case, share: float) -> tuple[np.ndarray, Neighbors]:
    """Take a share of the points away, and give the exact lists of the others.

    Returns
    -------
    (n,) bool, Neighbors
        Which points stay; the exact lists of all n points among those that stay, from the 2 k nearest: shorter ones
        have missing slots. Rows of points that are gone are empty.

    Examples
    --------
    >>> case = samples(np.arange(12.0).reshape(12, 1) ** 2, None, size=0, k=3, count=1)[0]
    >>> stay, lists = without(case, 0.25)
    >>> int(stay.sum()), set(lists.ids[stay].ravel()) <= {-1, *np.flatnonzero(stay)}
    (9, True)
    """
    if not 0 <= share < 1:
        raise InputError(f"share is {share}; it must be at least 0 and below 1.")
    n = len(case.base)
    stay = np.ones(n, dtype=bool)
    stay[np.random.default_rng([case.seed, 4]).permutation(n)[: round(share * n)]] = False
    known = stay[case.exact.ids] & stay[:, None]
    order = np.argsort(~known, axis=1, kind="stable")[:, : case.k]
    there = np.take_along_axis(known, order, axis=1)
    ids, distances = (np.take_along_axis(part, order, axis=1) for part in (case.exact.ids, case.exact.distances))
    return stay, Neighbors(np.where(there, ids, MISSING), np.where(there, distances, np.inf))


def _case(base, labels, outliers, rows, k, metric, seed) -> Case:
    points = np.ascontiguousarray(base[rows])
    if len(points) < 4:
        raise InputError(f"a sample has {len(points)} points; the tasks need at least four.")
    k = min(whole_number(k, "k", 2), (len(points) - 1) // 2) if len(points) > 5 else 1
    exact = exact_neighbors(points, k=2 * k, metric=metric)
    part = [None if each is None else each[rows] for each in (labels, outliers)]
    return Case(points, *part, exact, k, metric, seed)


def _fitting(engine: str, params: dict) -> dict:
    """The build parameters that the engine knows."""
    return {name: value for name, value in params.items() if name in ENGINES[engine].defaults}
