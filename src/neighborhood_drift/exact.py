"""Exact neighbors: a float32 product narrows the field, a rounding bound proves it, float64 decides."""

from __future__ import annotations

import numpy as np

from . import kernels
from .checks import METRICS, InputError, one_of, vectors, whole_number
from .neighbors import MISSING, Neighbors

UNIT_ROUNDOFF = 2.0**-24  # of float32, round to nearest
# One block of float32 products: 64 MiB at most, whatever n is.
BLOCK_VALUES = 2**24
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
        Queries handled at a time; the default keeps a block of products at 64 MiB. It does not change the result.

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
    and multiplied by BLAS. With u = 2^-24 and gamma = d u / (1 - d u), a float32 inner product is off by at most
    gamma |w_i|.|w_j| <= gamma ‖w_i‖ ‖w_j‖ in whatever order it is summed, with or without fused multiply-add
    (Higham 2002, Accuracy and Stability of Numerical Algorithms, eq. 3.5), and rounding the points moves a distance
    by at most u (‖w_i‖ + ‖w_j‖) to first order. So the squared distance of two points is off from
    ‖w_i‖^2 + ‖w_j‖^2 - 2 w_i.w_j by at most 2 gamma ‖w_i‖ ‖w_j‖ + 2 u (‖w_i‖ + ‖w_j‖)^2; the code takes 2.5 u in place
    of 2 u to cover second order terms and all float64 rounding, and adds a floor for underflow. Every point whose
    interval begins at or below the k-th smallest interval end is measured anew in float64, and so is every point that
    the cosine distance may put at 0 (see `distances_to`): points of one direction differ by rounding alone, which the
    intervals resolve where the mean has that direction too. Where the bound separates
    nothing (all points equal, say) that is every point: slow, still exact.

    Examples
    --------
    >>> exact_neighbors([[0.0], [1.0], [3.0]], k=1).ids
    array([[1], [0], [1]])
    >>> exact_neighbors([[0.0], [1.0], [3.0]], [[2.0]], k=3).distances
    array([[1., 1., 2.]])
    """
    alone = queries is None
    base, queries, base_scales, query_scales = _points(base, queries, metric)
    n, d = base.shape
    if d > MOST_DIMENSIONS:
        raise InputError(f"base has {d} dimensions; exact search allows at most {MOST_DIMENSIONS}.")
    left_out = _left_out(exclude, len(queries), n, alone)
    k = whole_number(k, "k", 1, n if left_out is None else n - 1)
    if left_out is None:
        left_out = np.full(len(queries), MISSING)
    if block is None:
        block = max(1, BLOCK_VALUES // n)
    block = min(whole_number(block, "block", 1), len(queries))

    centre = _mean(base, base_scales)
    reach = 2.0 if metric == "cosine" else max(_reach(base, centre), _reach(queries, centre))
    power = 0.5 ** np.frexp(reach)[1]  # exact scaling: all coordinates within [-1, 1], so no product overflows
    near_base, base_norms = _shifted(base, base_scales, centre, power)
    gamma = d * UNIT_ROUNDOFF / (1 - d * UNIT_ROUNDOFF)
    share = 2.5 * UNIT_ROUNDOFF
    floor = 16 * d * 2.0**-126
    least = (kernels.rounding(d) * power) ** 2 if metric == "cosine" else 0.0
    ids = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    products = np.empty((block, n), np.float32)
    for start in range(0, len(queries), block):
        rows = slice(start, min(start + block, len(queries)))
        if alone:
            near, norms = near_base[rows], base_norms[rows]
        else:
            near, norms = _shifted(queries[rows], query_scales[rows], centre, power)
        part = np.matmul(near, near_base.T, out=products[: len(near)])
        kernels.nearest(
            part,
            base_norms,
            norms,
            2 * gamma + 2 * share,
            share,
            floor,
            least,
            base,
            base_scales,
            queries[rows],
            query_scales[rows],
            left_out[rows],
            metric == "cosine",
            ids[rows],
            distances[rows],
        )
    return Neighbors(ids, distances)


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


def _chunks(points):
    step = max(1, BLOCK_VALUES // (4 * points.shape[1]))
    return (slice(start, start + step) for start in range(0, len(points), step))


def _mean(points, factors):
    total = np.zeros(points.shape[1])
    for rows in _chunks(points):
        total += factors[rows] @ points[rows]
    return total / len(points)


def _reach(points, centre):
    """Largest absolute coordinate of the points around ``centre``."""
    return max(np.abs(points.max(axis=0) - centre).max(), np.abs(points.min(axis=0) - centre).max())


def _shifted(points, factors, centre, power):
    """Float32 points around ``centre``, scaled by ``power``, and their float64 norms."""
    near, norms = np.empty(points.shape, np.float32), np.empty(len(points))
    for rows in _chunks(points):
        near[rows] = (points[rows] * factors[rows, None] - centre) * power
        norms[rows] = np.sqrt(np.einsum("ij,ij->i", near[rows], near[rows], dtype=np.float64))
    return near, norms
