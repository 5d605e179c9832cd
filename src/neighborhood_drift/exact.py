"""Exact neighbors: a float32 product narrows the field, a rounding bound proves it, float64 decides."""

from __future__ import annotations

import numba
import numpy as np

from . import kernels
from .checks import METRICS, InputError, one_of, vectors, whole_number
from .exact_search import Search
from .neighbors import MISSING, Neighbors

# So few queries are measured against every point: the bound takes several passes over the points before it saves one.
FEW = 8
# Beyond this many dimensions float64 rounding is no longer far below the float32 bound.
MOST_DIMENSIONS = 2**20


def exact_neighbors(base, queries=None, *, k: int, metric: str = "l2", exclude=None, block: int | None = None):
    """Find the exact k nearest neighbors of each query, with float64 distances.

    Parameters
    ----------
    base : (n, d) array
        Points to search; converted to float32 if it is something else.
    queries : (q, d) array, optional
        Points to ask for. Without it each base point is asked, leave-one-out: a point is never its own neighbor, by
        id, while its duplicates are.
    k : int
        Neighbors of each query, from 1 to n, or to n - 1 where a point is left out.
    metric : {"l2", "cosine"}
        Euclidean distance (not squared), or cosine distance 1 - cos.
    exclude : (q,) integers, optional
        The one base id, from 0 to n - 1, left out for each query; ``queries=base[rows], exclude=rows`` asks some points
        leave-one-out.
    block : int, optional
        Points along a side of a tile of products, 1,000 by default. It does not change the result.

    Returns
    -------
    Neighbors
        (q, k), nothing missing. Order and distances are those of float64 arithmetic (see `distances_to`), so two
        points change places only if their distances agree to about d 2^-53; equal distances: lower id first.

    Raises
    ------
    InputError
        If an array is not 2-d, finite and of one dimension, k is out of range, or ``exclude`` does not fit.

    Notes
    -----
    Points are shifted by their mean and scaled by a power of two (both leave the order), rounded to float32 points w,
    and multiplied by BLAS. With u = 2^-24 and gamma_m = m u / (1 - m u), a float32 sum of products in which no product
    passes through more than m roundings is off by at most gamma_m |w_i|.|w_j| <= gamma_m ‖w_i‖ ‖w_j‖, whatever the
    order of the sum, with or without fused multiply-add (Higham 2002, Accuracy and Stability of Numerical Algorithms,
    section 3.1 and eq. 3.5). A sum over c dimensions has m <= c; a sum over h chunks of c dimensions, added up one
    after another, has m <= c + h - 1. Rounding the points moves a distance by at most u (‖w_i‖ + ‖w_j‖) to first
    order. (A vector divided by its length is rounded to float64 before all else, and by the same product here and where
    distances are measured: that rounding makes the points, and is no error of one against the other. Every later one is
    relative to w, or to the difference of two points, however short these are beside the length of 1.)
    So the squared distance of two points is off from ‖w_i‖^2 + ‖w_j‖^2 - 2 w_i.w_j by at most
    2 gamma_m ‖w_i‖ ‖w_j‖ + 2 u (‖w_i‖ + ‖w_j‖)^2; the code takes 2.5 u in place of 2 u to cover second order terms
    and all float64 rounding, and adds a floor for underflow. Every point whose interval begins at or below the k-th
    smallest interval end is a candidate, and measured in float64, and so is every point that the cosine distance may
    put at 0 (see `distances_to`): points of one direction differ by rounding alone, which the intervals resolve where
    the mean has that direction too. Where the bound separates nothing (all points equal, say) that is every point:
    slow, still exact.

    Products come by tiles. The k-th smallest interval end among the points seen so far is no smaller than that among
    all, so a list of what begins at or below it loses no candidate; it is cleared when it is full, and a row whose list
    cannot be cleared is asked again against all points. Each thread takes tiles of its own, and a list takes them in
    ascending order of their points. Leave-one-out takes two shortcuts. Tile (J, I) is tile (I, J)
    turned, so half of the products do. And d(i, j) = d(j, i) to the last bit, since both sum the same squares in an
    order that depends on d alone, so a pair that stands in both lists is measured once.

    Examples
    --------
    >>> exact_neighbors([[0.0], [1.0], [3.0]], k=1).ids
    array([[1], [0], [1]])
    >>> exact_neighbors([[0.0], [1.0], [3.0]], [[2.0]], k=3).distances
    array([[1., 1., 2.]])
    """
    return Neighbors(*_search(base, queries, k, metric, exclude, block, chunks=False).neighbors())


def exact_ids(base, queries=None, *, k: int, metric: str = "l2", exclude=None, block: int | None = None) -> np.ndarray:
    """Find the ids of the exact k nearest neighbors of each query in their order, measuring only where it is in doubt.

    Parameters
    ----------
    base, queries, k, metric, exclude, block
        As in `exact_neighbors`.

    Returns
    -------
    (q, k) int64
        ``exact_neighbors(...).ids``, to the last one.

    Raises
    ------
    InputError
        As `exact_neighbors` does.

    Notes
    -----
    Sort the candidates by the beginnings of their intervals (see `exact_neighbors`), and part them where an interval
    begins beyond the end of all before it. Two intervals that are apart have float64 distances that are apart. Each has
    0.5 u (‖w_i‖ + ‖w_j‖)^2 to spare on either side, of which float64 rounding and second order terms take less than a
    thirtieth, and the squared distance is at most (‖w_i‖ + ‖w_j‖)^2: so two computed squares differ by more than u / 4
    of the larger one, and the roots of doubles that far apart are different doubles. Hence only within a run of
    intervals that touch can float64 change the order or find a tie, and only there distances are measured; the runs
    from the k-th place on are dropped. Squared distances that cosine takes for 0 are one run. Sums over chunks of the
    dimensions keep the intervals, and with them the runs, short.

    Examples
    --------
    >>> exact_ids([[0.0], [1.0], [3.0]], k=1)
    array([[1],
           [0],
           [1]])
    """
    return _search(base, queries, k, metric, exclude, block, chunks=True).ids()


def distances_to(base, queries, ids, *, metric: str = "l2") -> np.ndarray:
    """Measure the distance of each query to the base points named by its ids, directly and in float64.

    Parameters
    ----------
    base, queries : (n, d) and (q, d) arrays
    ids : (q, k) integers
        Row numbers of the base; -1 where a neighbor is missing.
    metric : {"l2", "cosine"}

    Returns
    -------
    (q, k) float64
        ``"l2"``: root of the sum of squared differences. ``"cosine"``: half the squared distance of the vectors divided
        by their lengths, which equals 1 - cos and keeps the digits that 1 - cos loses where two directions almost
        agree; values that float64 cannot tell from 0 are 0. Infinite where the id is -1.

    Raises
    ------
    InputError
        If shapes do not fit or an id is not a row of the base.

    Examples
    --------
    >>> distances_to([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0]], [[0, 1, -1]])
    array([[ 0.,  5., inf]])
    """
    base, queries, base_scales, query_scales = _points(base, queries, metric)
    ids = checked_ids(ids, len(queries), len(base))
    unknown, none = np.full(ids.shape, kernels.ABSENT, np.int32), np.empty((len(ids), 0))
    distances = np.empty(ids.shape)
    kernels.measure(base, base_scales, queries, query_scales, metric == "cosine", none, unknown, ids, distances)
    return distances


def checked_ids(ids, queries: int, points: int) -> np.ndarray:
    """Return ``ids`` as (q, k) int64 if each is a row of a base of ``points`` points, or -1."""
    ids = np.asarray(ids)
    if ids.ndim != 2 or len(ids) != queries or ids.dtype.kind not in "iu":
        raise InputError(f"ids have shape {ids.shape} and dtype {ids.dtype}; they must be {queries} rows of integers.")
    if ids.size and (ids.min() < MISSING or ids.max() >= points):
        raise InputError(
            f"ids run from {ids.min()} to {ids.max()}; a base of {points} points has ids 0 to {points - 1}."
        )
    return np.ascontiguousarray(ids, dtype=np.int64)


def scales(points: np.ndarray, metric: str) -> np.ndarray:
    """(n,) float64 factors that give the metric's vectors: 1 for l2, 1 / length for cosine."""
    if metric == "l2":
        return np.ones(len(points))
    return 1.0 / np.sqrt(np.einsum("ij,ij->i", points, points, dtype=np.float64))


def _points(base, queries, metric):
    one_of(metric, METRICS, "metric")
    base = vectors(base, "base", metric=metric)
    base_scales = scales(base, metric)
    if queries is None:
        return base, base, base_scales, base_scales
    queries = vectors(queries, "queries", metric=metric, dimension=base.shape[1])
    return base, queries, base_scales, scales(queries, metric)


def _search(base, queries, k, metric, exclude, block, chunks):
    alone = queries is None
    base, queries, base_scales, query_scales = _points(base, queries, metric)
    n, d = base.shape
    if d > MOST_DIMENSIONS:
        raise InputError(f"base has {d} dimensions; exact search allows at most {MOST_DIMENSIONS}.")
    left_out = _left_out(exclude, len(queries), n, alone)
    k = whole_number(k, "k", 1, n if left_out is None else n - 1)
    if left_out is None:
        left_out = np.full(len(queries), MISSING)
    if block is not None:
        block = whole_number(block, "block", 1)
    if len(queries) <= FEW and not alone:
        return Measured(base, queries, base_scales, query_scales, left_out, k, metric == "cosine")
    others = None if alone else queries
    return Search(base, others, base_scales, query_scales, left_out, k, metric == "cosine", block, chunks)


class Measured:
    """Neighbors of a few queries, by their float64 distances to all points; the parameters are those of `Search`."""

    def __init__(self, base, queries, base_scales, query_scales, left_out, k, cosine):
        q, n, parts = len(queries), len(base), numba.get_num_threads()
        rows = np.full((q, parts, -(-n // parts)), MISSING)  # a part of the points for each thread, the last padded
        rows.reshape(q, -1)[:, :n] = np.arange(n)
        rows, distances = rows.reshape(q * parts, -1), np.empty((q * parts, rows.shape[2]))
        unknown, none = np.full(rows.shape, kernels.ABSENT, np.int32), np.empty((len(rows), 0))
        asked, factors = np.repeat(queries, parts, axis=0), np.repeat(query_scales, parts)
        kernels.measure(base, base_scales, asked, factors, cosine, none, unknown, rows, distances)
        distances = distances.reshape(q, -1)[:, :n]
        leaving = np.flatnonzero(left_out >= 0)
        distances[leaving, left_out[leaving]] = np.inf
        self._ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
        self._distances = np.take_along_axis(distances, self._ids, axis=1)

    def neighbors(self) -> tuple[np.ndarray, np.ndarray]:
        """(q, k) int64 ids by (float64 distance, id), and the distances."""
        return self._ids, self._distances

    def ids(self) -> np.ndarray:
        """(q, k) int64 ids, as in `neighbors`."""
        return self._ids


def _left_out(exclude, queries: int, points: int, alone: bool):
    if alone:
        if exclude is not None:
            raise InputError("exclude needs queries; without queries each point already leaves itself out.")
        return np.arange(points)
    if exclude is None:
        return None
    exclude = np.asarray(exclude)
    if exclude.shape != (queries,) or exclude.dtype.kind not in "iu":
        raise InputError(f"exclude has shape {exclude.shape}; it must be {queries} integers, one base id a query.")
    if queries and (exclude.min() < 0 or exclude.max() >= points):
        raise InputError(f"exclude holds ids outside the base; a base of {points} points has ids 0 to {points - 1}.")
    return exclude.astype(np.int64)
