"""Compiled loops that NumPy has no fast form for: candidate selection, float64 distances of chosen pairs, id look-up.

Every kernel is parallel over queries and sums in an order that depends on the dimension alone, so results do not
hang on the number of threads, and equal vectors have equal distances.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# Codes of `ranks` for a returned id that has no rank in the reference list.
NOT_THERE, ABSENT, REPEATED = -1, -2, -3


@njit(cache=True, fastmath={"reassoc"})
def _squared_distance(x, y, x_scale, y_scale):
    total = 0.0
    for j in range(x.shape[0]):
        difference = np.float64(x[j]) * x_scale - np.float64(y[j]) * y_scale
        total += difference * difference
    return total


@njit(cache=True)
def _sift_down(heap, value):
    """Replace the largest value of a max-heap by ``value``."""
    size, parent = heap.shape[0], 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = value


@njit(cache=True, parallel=True)
def nearest(
    products,
    base_norms,
    query_norms,
    slope,
    share,
    floor,
    base,
    base_scales,
    queries,
    query_scales,
    left_out,
    ids,
    squares,
):
    """Fill ``ids`` and ``squares`` (q, k) with the nearest base points by float64 squared distance, lower id first.

    The float32 ``products`` (q, n) give an interval of each squared distance, ``centre -+ error`` with
    ``centre = a^2 + b^2 - 2 product`` and ``error = slope a b + share (a^2 + b^2) + floor`` (a, b the norms). All points
    whose interval begins at or below the k-th smallest interval end are candidates; no other point can be among the k.
    """
    n, k = base.shape[0], ids.shape[1]
    for i in prange(products.shape[0]):
        norm, skipped = query_norms[i], left_out[i]
        heap = np.full(k, np.inf)
        for j in range(n):
            both = norm * norm + base_norms[j] * base_norms[j]
            error = slope * norm * base_norms[j] + share * both + floor
            upper = both - 2.0 * products[i, j] + error
            if upper < heap[0] and j != skipped:
                _sift_down(heap, upper)
        candidates = np.empty(n, np.int64)
        count = 0
        for j in range(n):
            both = norm * norm + base_norms[j] * base_norms[j]
            error = slope * norm * base_norms[j] + share * both + floor
            if both - 2.0 * products[i, j] - error <= heap[0] and j != skipped:
                candidates[count] = j
                count += 1
        exact = np.empty(count)
        for c in range(count):
            j = candidates[c]
            exact[c] = _squared_distance(queries[i], base[j], query_scales[i], base_scales[j])
        # Candidates stand in ascending id order and the sort is stable: equal distances keep the lower id first.
        order = np.argsort(exact, kind="mergesort")
        for r in range(k):
            ids[i, r] = candidates[order[r]]
            squares[i, r] = exact[order[r]]


@njit(cache=True, parallel=True)
def squared_distances(base, base_scales, queries, query_scales, ids, wanted, squares):
    """Fill ``squares`` where ``wanted`` (both (q, k)) with the float64 squared distance of query i to point ids[i, r]."""
    for i in prange(ids.shape[0]):
        for r in range(ids.shape[1]):
            if wanted[i, r]:
                j = ids[i, r]
                squares[i, r] = _squared_distance(queries[i], base[j], query_scales[i], base_scales[j])


@njit(cache=True, parallel=True)
def ranks(reference, ids, points, found):
    """Fill ``found`` (q, k) with the position of each id in the query's ``reference`` list.

    NOT_THERE marks a missing slot, ABSENT an id that the reference does not hold, REPEATED an id that stands
    earlier in the same list. ``points`` is larger than every id.
    """
    for i in prange(ids.shape[0]):
        position = np.full(points, ABSENT, np.int32)
        for r in range(reference.shape[1]):
            if reference[i, r] >= 0:
                position[reference[i, r]] = r
        for r in range(ids.shape[1]):
            j = ids[i, r]
            if j < 0:
                found[i, r] = NOT_THERE
            else:
                found[i, r] = position[j]
                position[j] = REPEATED


@njit(cache=True, parallel=True)
def weighted_norms(base, base_scales, ids, weights, norms):
    """Fill ``norms`` (q,) with the length of the sum over r of ``weights[i, r]`` times point ids[i, r], in float64."""
    for i in prange(ids.shape[0]):
        total = np.zeros(base.shape[1])
        for r in range(ids.shape[1]):
            if weights[i, r] != 0.0:
                point = base[ids[i, r]]
                weight = weights[i, r] * base_scales[ids[i, r]]
                for c in range(point.shape[0]):
                    total[c] += weight * point[c]
        norms[i] = np.sqrt(np.sum(total * total))


@njit(cache=True, parallel=True)
def sort_lists(ids, distances):
    """Sort each row in place by distance, equal distances by the lower id, missing slots last.

    Insertion sort: engines return lists that are sorted but for the last digits of their distances.
    """
    for i in prange(ids.shape[0]):
        for r in range(1, ids.shape[1]):
            j, distance = ids[i, r], distances[i, r]
            slot = r
            while slot > 0 and (
                distances[i, slot - 1] > distance or (distances[i, slot - 1] == distance and ids[i, slot - 1] > j)
            ):
                ids[i, slot], distances[i, slot] = ids[i, slot - 1], distances[i, slot - 1]
                slot -= 1
            ids[i, slot], distances[i, slot] = j, distance
