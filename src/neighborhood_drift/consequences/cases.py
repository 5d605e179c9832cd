"""The point sets that tasks run on, and neighbor lists of all their points at many recalls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..checks import InputError, vectors, whole_number
from ..exact import distances_to, exact_neighbors
from ..families import build_all
from ..indexes import ENGINES, Index
from ..kinds import named
from ..metrics import overlap
from ..neighbors import MISSING, Neighbors
from ..null import lost_at_random
from ..summaries import ABSENT

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
        From 0 on, in the order of the classes' own numbers.
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
    """Draw several samples of the base, no two with a point in common.

    Parameters
    ----------
    base : (n, d) array
    labels : (n,) integers or None
    size : int
        Points a sample; 0, or more than there are: all.
    k : int
        Length of the lists, made shorter where a sample has fewer than 2 k + 1 points.
    count : int
        Samples, at most as many as the base holds and at least one: consecutive parts of one random order of it.
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
    parts = order[: len(base) // size * size].reshape(-1, size)[: whole_number(count, "count", 1)]
    codes = _codes(labels)
    return [_case(base, codes, None, np.sort(part), k, metric, seed + i) for i, part in enumerate(parts)]


def planted(base, labels, *, size: int, k: int, count: int, metric: str = "l2", seed: int = 0) -> list[Case]:
    """Draw several samples of one class each, with as many points of other classes as two percent of it.

    Parameters
    ----------
    base, size, k, count, metric, seed
        As in `samples`; ``size`` counts usual points, of which a class may have fewer, and planted ones come on top.
    labels : (n,) integers or None
        None gives no cases. Classes come in a random order, each once, so no usual point is in two samples; one that
        is too small for a sample is joined by the next.

    Returns
    -------
    list of Case
        With ``outliers``; fewer than ``count`` where the classes are used up, none where all points are of one class.
        What varies over them is the class, and with it the points.
    """
    if labels is None or len(np.unique(labels)) < 2:
        return []
    base, labels = vectors(base, "base", metric=metric), _codes(labels)
    cases = []
    for i, classes in enumerate(_joined(labels, seed)[: whole_number(count, "count", 1)]):
        generator = np.random.default_rng([seed + i, 3])
        own = np.isin(labels, classes)
        usual = generator.permutation(np.flatnonzero(own))[: size or None]
        strange = generator.permutation(np.flatnonzero(~own))[: max(1, round(PLANTED * len(usual)))]
        outliers = np.isin(np.arange(len(base)), strange)
        cases.append(_case(base, labels, outliers, np.sort(np.concatenate([usual, strange])), k, metric, seed + i))
    return cases


def sizes(cases: list[Case]) -> str:
    """Points of the cases for readers: one number, or the smallest and the largest; "not available" without cases.

    >>> sizes([]), sizes(samples(np.eye(12), None, size=6, k=2, count=2))
    ('not available', '6')
    """
    known = sorted({len(case.base) for case in cases})
    ends = dict.fromkeys(f"{known[i]:,}" for i in (0, -1)) if known else {ABSENT: None}
    return " to ".join(ends)


def _joined(labels, seed: int) -> list[list[int]]:
    """Classes in a random order, in groups that have points enough for a planted sample and leave one class out.

    >>> [sorted(group) for group in _joined(np.repeat([0, 1], [5, 300]), 0)]
    [[1]]
    """
    groups, open_group = [], []
    counts = np.bincount(labels)
    order = [int(one) for one in np.random.default_rng([seed, 3]).permutation(len(counts))]
    for one in order:
        open_group = [*open_group, one]
        if counts[open_group].sum() >= FEWEST_USUAL:
            groups, open_group = [*groups, open_group], []
    groups = groups or [order]
    if len(groups[0]) < len(order):
        return groups
    smallest = min(order, key=lambda one: counts[one])
    return [[one for one in order if one != smallest]]


def at_random(case: Case, recalls, *, replace: bool = True) -> Iterator[tuple[str, Neighbors]]:
    """Lists that lost neighbors at random, at each recall: (recall as text, Neighbors)."""
    for recall in recalls:
        yield f"{recall:g}", lost_at_random(case.exact, case.k, 1 - recall, seed=case.seed, replace=replace)


def build(case: Case, engines, *, params=None, threads: int = 1, cache=None) -> tuple[dict[str, Index], pd.DataFrame]:
    """Build the indexes of a case that can be built here, and say of the others why not.

    Parameters
    ----------
    case : Case
    engines : iterable of str
        Names; an engine's own build parameters follow an @: ``"faiss-ivf@nlist=20"``.
    params : dict, optional
        Build parameters of all engines that know them.
    threads, cache
        Of `neighborhood_drift.families.build_all`.

    Returns
    -------
    dict of str to Index, DataFrame
        The indexes by the names given; and one row for each engine that has none: engine, reason.
    """
    full = {engine: _with(engine, params or {}) for engine in engines}
    options = {"metric": case.metric, "seed": case.seed, "threads": threads, "cache": cache, "progress": False}
    made, absent = build_all(full.values(), case.base, **options)
    reasons = dict(zip(absent["engine"], absent["reason"], strict=True))
    rows = [(engine, reasons[name]) for engine, name in full.items() if name in reasons]
    indexes = {engine: made[name] for engine, name in full.items() if name in made}
    return indexes, pd.DataFrame(rows, columns=["engine", "reason"])


def from_index(case: Case, index: Index) -> Iterator[tuple[str, Neighbors]]:
    """Lists of an index over the case at efforts that double from its lowest: (effort as text, Neighbors).

    Every point is asked, leave-one-out; distances are measured again in float64. Ends at the highest effort, or at
    one where overlap is 0.995. An engine without effort is asked once.
    """
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


def lowest_recall(case: Case, engine: str, **options) -> float:
    """Mean overlap of an index's lists at its lowest effort, cut after two digits; nan without an index.

    ``options`` are those of `build`.
    """
    for index in build(case, [engine], **options)[0].values():
        _, found = next(from_index(case, index))
        return float(np.floor(100 * overlap(case.truth, found).mean()) / 100)
    return np.nan


def remeasured(case: Case, found: Neighbors) -> Neighbors:
    """Give each neighbor its distance in float64, and its place by it: engines differ in ids, not in arithmetic."""
    distances = distances_to(case.base, case.base, found.ids, metric=case.metric)
    return Neighbors.sorted(found.ids, np.where(found.ids == MISSING, np.inf, distances))


def without(case: Case, share: float) -> tuple[np.ndarray, Neighbors]:
    """Take a share of the points away, and give the exact lists of the others.

    Returns
    -------
    (n,) bool, Neighbors
        Which points stay; the exact lists of these alone, ids counted among them, from the 2 k nearest: shorter ones
        have missing slots.

    Examples
    --------
    >>> case = samples(np.arange(12.0).reshape(12, 1) ** 2, None, size=0, k=3, count=1)[0]
    >>> stay, lists = without(case, 0.25)
    >>> int(stay.sum()), lists.ids.shape, int(lists.ids.max())
    (9, (9, 3), 8)
    """
    if not 0 <= share < 1:
        raise InputError(f"share is {share}; it must be at least 0 and below 1.")
    n = len(case.base)
    stay = np.ones(n, dtype=bool)
    stay[np.random.default_rng([case.seed, 4]).permutation(n)[: round(share * n)]] = False
    among = np.where(stay, np.cumsum(stay) - 1, MISSING)
    exact_ids, exact_distances = among[case.exact.ids[stay]], case.exact.distances[stay]
    known = exact_ids != MISSING
    order = np.argsort(~known, axis=1, kind="stable")[:, : case.k]
    there = np.take_along_axis(known, order, axis=1)
    ids, distances = (np.take_along_axis(part, order, axis=1) for part in (exact_ids, exact_distances))
    return stay, Neighbors(np.where(there, ids, MISSING), np.where(there, distances, np.inf))


def _case(base, labels, outliers, rows, k, metric, seed) -> Case:
    points = np.ascontiguousarray(base[rows])
    if len(points) < 4:
        raise InputError(f"a sample has {len(points)} points; the tasks need at least four.")
    k = min(whole_number(k, "k", 2), (len(points) - 1) // 2) if len(points) > 5 else 1
    exact = exact_neighbors(points, k=2 * k, metric=metric)
    part = [None if each is None else each[rows] for each in (labels, outliers)]
    return Case(points, *part, exact, k, metric, seed)


def _codes(labels) -> np.ndarray | None:
    """Labels as 0, 1, ... so that none of them is the -1 of a point that got no answer."""
    return None if labels is None else np.unique(labels, return_inverse=True)[1]


def _with(name: str, params: dict) -> str:
    """Give an engine's name those of the parameters that the engine knows and the name does not set.

    >>> _with("faiss-hnsw@M=8", {"M": 32, "ef_construction": 50, "bits": 6}), _with("unknown", {"M": 32})
    ('faiss-hnsw@M=8,ef_construction=50', 'unknown')
    """
    engine, own = named(name)
    known = getattr(ENGINES.get(engine), "defaults", {})
    all_of_it = {key: value for key, value in params.items() if key in known} | own
    return engine + "@" * bool(all_of_it) + ",".join(f"{key}={value}" for key, value in all_of_it.items())
