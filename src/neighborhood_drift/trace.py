"""A search of an HNSW graph, written out: what it visits and expands, and in which order."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from .checks import METRICS, InputError, one_of, vectors, whole_number
from .graph import Graph
from .indexes.base import Index, unit


@dataclass(frozen=True, eq=False)
class Trace:
    """What one search did; made by `search`.

    Parameters
    ----------
    ids : (m,) int64
        The points returned, nearest first (equal distances: lower id first); m is k, or less where fewer were visited.
    entry : int
        Point at which the search entered level 0.
    visited : (v,) int64
        Points of level 0 whose distance was computed, in that order, the entry first.
    expanded : (x,) int64
        Visited points whose links were followed, in that order.
    radius : float
        Distance of the last of as many points as the effort, at the end: nothing beyond it was left to expand. Infinite
        where fewer points than the effort were visited.
    hops : int
        Points whose links were read, on all levels.
    distance_computations : int
        As FAISS counts: links followed above level 0, and points visited at level 0 without the entry.
    """

    ids: np.ndarray
    entry: int
    visited: np.ndarray
    expanded: np.ndarray
    radius: float
    hops: int
    distance_computations: int


def search(graph: Graph, distances, k: int, ef: int, *, follows_k: bool, hidden=None) -> Trace:
    """Search the k nearest points in a graph, given the distance of the query to each point.

    Above level 0 the search walks to the nearest neighbor while there is a nearer one. At level 0 it expands the
    nearest point that is visited and not yet expanded, until as many visited points as its effort are nearer than that
    one.

    Parameters
    ----------
    graph : Graph
        Of n points.
    distances : (n,) floats
        Distance of the query to every point, in any unit that orders them; only those of visited points are used.
    k, ef : int
    follows_k : bool
        True: the effort is max(ef, k), as in hnswlib and in FAISS's unbounded queue. False: it is ef whatever k is, as
        in FAISS's default.
    hidden : (n,) bool, optional
        Points that are marked as deleted: the search passes through them and returns none, as in hnswlib; they are not
        among the points that fill its effort.

    Returns
    -------
    Trace

    Raises
    ------
    InputError
        If the distances are not one a point, or k or ef is out of its range.

    Notes
    -----
    Malkov and Yashunin (2020), Algorithms 2 and 5. One procedure serves three library functions
    (``searchBaseLayerST`` in hnswlib's hnswalg.h, ``search_from_candidates`` and ``search_from_candidate_unbounded``
    in FAISS's HNSW.cpp): FAISS's default queue of max(ef, k) points drops only points that at least ef others precede,
    and it would never have expanded those.

    Examples
    --------
    Three points in a row, entered at the farthest:

    >>> from neighborhood_drift.graph import stack_levels
    >>> graph = Graph(np.zeros(3, dtype=int), stack_levels([([0, 1, 1, 2], [1, 0, 2, 1])], 3), 0)
    >>> trace = search(graph, [3.0, 2.0, 1.0], 1, 1, follows_k=True)
    >>> trace.ids, trace.expanded, trace.distance_computations
    (array([2]), array([0, 1, 2]), 2)
    """
    distances = np.asarray(distances, dtype=np.float64)
    if distances.shape != (graph.size,):
        raise InputError(f"distances have shape {distances.shape}; ({graph.size},) is needed, one a point.")
    k, ef = whole_number(k, "k", 1, graph.size), whole_number(ef, "ef", 1)
    effort = max(ef, k) if follows_k else ef
    entry, hops, computed = _descend(graph, distances)
    matrix = graph.neighbors()
    starts, links = matrix.indptr, matrix.indices
    seen = np.zeros(graph.size, dtype=bool)
    seen[entry] = True
    visited, expanded = [np.array([entry])], []
    waiting = [(distances[entry], entry)]
    shown = np.ones(graph.size, dtype=bool) if hidden is None else ~np.asarray(hidden, dtype=bool)
    nearest = [-distances[entry]] if shown[entry] else []  # the `effort` smallest distances so far, the largest first
    while waiting:
        distance, point = heapq.heappop(waiting)
        if len(nearest) == effort and distance > -nearest[0]:
            break
        expanded.append(point)
        targets = links[starts[point] : starts[point + 1]]
        fresh = targets[~seen[targets]]
        seen[fresh] = True
        visited.append(fresh)
        for near, target, counts in zip(distances[fresh].tolist(), fresh.tolist(), shown[fresh].tolist(), strict=True):
            full = len(nearest) == effort
            if full and near >= -nearest[0]:
                continue  # as many points as the effort are nearer: it would never be expanded
            if counts:
                (heapq.heapreplace if full else heapq.heappush)(nearest, -near)
            heapq.heappush(waiting, (near, target))
    visited, radius = np.concatenate(visited).astype(np.int64), -nearest[0] if len(nearest) == effort else np.inf
    order = np.lexsort((visited, distances[visited]))
    order = order[shown[visited[order]]]
    return Trace(
        visited[order[:k]],
        entry,
        visited,
        np.array(expanded, dtype=np.int64),
        radius,
        hops + len(expanded),
        computed + len(visited) - 1,
    )


def _descend(graph: Graph, distances) -> tuple[int, int, int]:
    """Walk from the entry point down to level 1: where that ends, points whose links were read, links followed."""
    here, hops, computed = graph.entry_point, 0, 0
    for level in range(len(graph.links) - 1, 0, -1):
        matrix = graph.neighbors(level)
        moved = True
        while moved:
            targets = matrix.indices[matrix.indptr[here] : matrix.indptr[here + 1]]
            hops, computed = hops + 1, computed + len(targets)
            best = targets[distances[targets].argmin()] if len(targets) else here
            moved = distances[best] < distances[here]
            here = int(best) if moved else here
    return here, hops, computed


def distance_rows(base, queries, metric: str = "l2") -> np.ndarray:
    """Distance of each query to each base point, as an index orders them: (q, n) float64.

    Squared Euclidean distances, or 1 - cos of the normalised float32 vectors that an index of `build_index` holds, from
    float64 products. A library sums in float32, in an order of its own, so that points whose distances agree to that
    rounding can stand in another order there: see `undecided`. Squares are clipped at 0.

    >>> distance_rows([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0]])
    array([[ 0., 25.]])
    """
    base, queries = vectors(base, "base", metric=metric), vectors(queries, "queries", metric=metric)
    if metric == "cosine":
        return 1 - unit(queries).astype(np.float64) @ unit(base).astype(np.float64).T
    base, queries = base.astype(np.float64), queries.astype(np.float64)
    squares = np.einsum("ij,ij->i", queries, queries)[:, None] + np.einsum("ij,ij->i", base, base)
    return np.maximum(squares - 2 * queries @ base.T, 0)


def trace(index: Index, distances, k: int, ef: int) -> list[Trace]:
    """Search the graph inside an index as its library does, query by query.

    Parameters
    ----------
    index : Index
        One with a graph that is searched by the vectors' own distances: "faiss-hnsw", "faiss-hnsw-unbounded" or
        "hnswlib".
    distances : (q, n) array
        Of `distance_rows`.
    k, ef : int
        In a leave-one-out search the library is asked for k + 1 and the query is dropped after; so ask here too.

    Returns
    -------
    list of Trace
        One a query.

    Raises
    ------
    InputError
        If the index has no graph, or searches by compressed vectors, whose distances are not those of `distance_rows`.

    Examples
    --------
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.arange(20, dtype=np.float32)[:, None]
    >>> trace(build_index("hnswlib", base), distance_rows(base, base[:1]), 3, 10)[0].ids
    array([0, 1, 2])
    """
    if not index.exact_at_full_effort:
        raise InputError(f"{index.engine} searches by compressed vectors, whose distances a trace does not have.")
    graph = index.graph()
    follows_k = index.effective_ef(2, 1) == 2
    return [search(graph, row, k, ef, follows_k=follows_k) for row in distances]


def undecided(traces, distances, rtol: float = 1e-6, *, metric: str = "l2") -> np.ndarray:
    """Whether rounding to float32 could change what a search returns: (q,) bool.

    It can where, beside the point that sets it, another one lies within rounding of the distance at which the search
    stopped, or of the last point returned. A step on the way that rounding decides is not looked for: another step
    nearly always leads to the same points, unless the effort is as small as 1.

    Parameters
    ----------
    traces : list of Trace
    distances : (q, n) array
        Of `distance_rows`.
    rtol : float, default 1e-6
        Rounding of a sum of a few thousand float32 terms, relative to the query's largest distance.
    metric : str
        "cosine": 1 - cos is rounded as the product of unit vectors is, so that the rounding is relative to 1 at least,
        however small the distances are.

    Raises
    ------
    InputError
        If the traces and distances are not of equally many queries, or the metric is not known.

    Examples
    --------
    >>> made = Trace(np.array([0]), 0, np.array([0, 1]), np.array([0]), np.inf, 1, 1)
    >>> undecided([made, made], [[1.0, 1.0 + 1e-9], [1.0, 2.0]])
    array([ True, False])
    """
    distances = np.asarray(distances)
    if len(traces) != len(distances):
        raise InputError(f"{len(traces)} traces for {len(distances)} rows of distances; they must be of one a query.")
    least = 1.0 if one_of(metric, METRICS, "metric") == "cosine" else 0.0
    close = []
    for one, row in zip(traces, distances, strict=True):
        width = rtol * max(least, row.max())
        limits = [limit for limit in (one.radius, row[one.ids[-1]]) if np.isfinite(limit)]
        close.append(any((np.abs(row - limit) <= width).sum() > 1 for limit in limits))
    return np.array(close, dtype=bool)


def same_answers(traces, found) -> np.ndarray:
    """Whether each trace returned the same set of points as the library: (q,) bool.

    Parameters
    ----------
    traces : list of Trace
    found : Neighbors
        (q, k) of the library's own search for as many points, nothing left out.

    Raises
    ------
    InputError
        If there are not as many traces as lists.

    Examples
    --------
    >>> from neighborhood_drift.neighbors import Neighbors
    >>> made = Trace(np.array([2, 1]), 0, np.array([0, 1, 2]), np.array([0]), 1.0, 1, 2)
    >>> same_answers([made], Neighbors([[1, 2]], [[1.0, 1.0]]))
    array([ True])
    """
    if len(traces) != len(found.ids):
        raise InputError(f"{len(traces)} traces for {len(found.ids)} lists; they must be of the same queries.")
    return np.array(
        [np.array_equal(np.sort(one.ids), np.sort(ids[ids >= 0])) for one, ids in zip(traces, found.ids, strict=True)]
    )
