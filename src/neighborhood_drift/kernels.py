"""Compiled loops that NumPy has no fast form for: float64 distances of chosen pairs, id look-up, means, sorted lists.

Every kernel is parallel over queries and sums in an order that depends on the dimension alone, so results do not
hang on the number of threads, and equal vectors have equal distances.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# Codes of `ranks` for a returned id that has no rank in the reference list.
NOT_THERE, ABSENT, REPEATED = -1, -2, -3
# Queries that share one look-up table.
ROWS = 64
EPSILON = 2.0**-52


@njit(cache=True)
def rounding(dimension):
    """Distance that rounding can leave between two vectors of one direction divided by their lengths, in float64.

    With u = 2^-53, a length is off by (d - 1) u / 2 for its sum and u for its root, the division and the product add
    u each: two unit vectors differ by at most (d + 5) u to first order, and 2 (d + 3) u covers the rest.
    """
    return (dimension + 3) * EPSILON


@njit(cache=True, fastmath={"reassoc"})
def _four_squares(x, x_scale, points, scales, ids, squares):
    """Fill ``squares`` (4,) with the squared distances of x to four points; four at once hide the wait for memory."""
    p0, p1, p2, p3 = points[ids[0]], points[ids[1]], points[ids[2]], points[ids[3]]
    s0, s1, s2, s3 = scales[ids[0]], scales[ids[1]], scales[ids[2]], scales[ids[3]]
    t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
    for j in range(x.shape[0]):
        value = np.float64(x[j]) * x_scale
        d0, d1 = value - np.float64(p0[j]) * s0, value - np.float64(p1[j]) * s1
        d2, d3 = value - np.float64(p2[j]) * s2, value - np.float64(p3[j]) * s3
        t0 += d0 * d0
        t1 += d1 * d1
        t2 += d2 * d2
        t3 += d3 * d3
    squares[0], squares[1], squares[2], squares[3] = t0, t1, t2, t3


@njit(cache=True)
def _distances(x, x_scale, points, scales, ids, count, cosine, distances):
    """Fill ``distances[:count]`` for the first ``count`` ids; both arrays have room for three more."""
    for extra in range(count, count + 3):
        ids[extra] = ids[0]  # so that the last group of four sums like all others
    for start in range(0, count, 4):
        _four_squares(x, x_scale, points, scales, ids[start : start + 4], distances[start : start + 4])
    least = rounding(x.shape[0]) ** 2
    for c in range(count):
        if not cosine:
            distances[c] = np.sqrt(distances[c])
        else:
            distances[c] = 0.5 * distances[c] if distances[c] > least else 0.0


@njit(cache=True, parallel=True)
def measure(base, base_scales, queries, query_scales, cosine, known, found, ids, distances):
    """Fill ``distances`` (q, k) with the float64 distance of query i to point ids[i, r]; infinite where the id is -1.

    Where ``found[i, r]`` is a rank (see `ranks`), the distance is ``known[i, found[i, r]]``.
    """
    k = ids.shape[1]
    for i in prange(ids.shape[0]):
        slots, points, values, count = np.empty(k, np.int64), np.empty(k + 3, np.int64), np.empty(k + 3), 0
        for r in range(k):
            if found[i, r] >= 0:
                distances[i, r] = known[i, found[i, r]]
            elif ids[i, r] >= 0:
                slots[count], points[count] = r, ids[i, r]
                count += 1
            else:
                distances[i, r] = np.inf
        if count > 0:
            _distances(queries[i], query_scales[i], base, base_scales, points, count, cosine, values)
            for c in range(count):
                distances[i, slots[c]] = values[c]


@njit(cache=True, parallel=True)
def ranks(reference, ids, points, found):
    """Fill ``found`` (q, k) with the position of each id in the query's ``reference`` list.

    NOT_THERE marks a missing slot, ABSENT an id that the reference does not hold, REPEATED an id that stands
    earlier in the same list. ``points`` is larger than every id.
    """
    queries = ids.shape[0]
    for part in prange((queries + ROWS - 1) // ROWS):
        # One table a part, cleared where it was written: clearing all of it would cost more than the look-ups.
        position = np.full(points, ABSENT, np.int32)
        for i in range(part * ROWS, min((part + 1) * ROWS, queries)):
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
            for r in range(reference.shape[1]):
                if reference[i, r] >= 0:
                    position[reference[i, r]] = ABSENT
            for r in range(ids.shape[1]):
                if ids[i, r] >= 0:
                    position[ids[i, r]] = ABSENT


@njit(cache=True)
def _add_four(total, points, scales, ids, weights, start):
    """Add four weighted points in one pass over ``total``, which saves most of the memory traffic."""
    p0, p1, p2, p3 = points[ids[start]], points[ids[start + 1]], points[ids[start + 2]], points[ids[start + 3]]
    w0, w1 = weights[start] * scales[ids[start]], weights[start + 1] * scales[ids[start + 1]]
    w2, w3 = weights[start + 2] * scales[ids[start + 2]], weights[start + 3] * scales[ids[start + 3]]
    for c in range(total.shape[0]):
        total[c] += (w0 * p0[c] + w1 * p1[c]) + (w2 * p2[c] + w3 * p3[c])


@njit(cache=True, parallel=True)
def barycenter_shifts(base, base_scales, exact, approx, found, shifts):
    """Fill ``shifts`` (q,) with the distance between the means of two id lists, in float64; nan where a list is empty.

    ``found`` are the `ranks` of ``approx`` in ``exact``. A point of both lists weighs the difference of their shares:
    nothing, and it is passed over, where the lists are equally long.
    """
    k = exact.shape[1]
    for i in prange(exact.shape[0]):
        true_count, returned_count = np.sum(exact[i] >= 0), np.sum(approx[i] >= 0)
        if true_count == 0 or returned_count == 0:
            shifts[i] = np.nan
            continue
        weight = np.zeros(2 * k)
        weight[:k] = 1.0 / true_count
        weight[k:] = -1.0 / returned_count
        for r in range(k):
            if found[i, r] >= 0:
                weight[found[i, r]] = 1.0 / true_count - 1.0 / returned_count
                weight[k + r] = 0.0
        ids, weights, count = np.zeros(2 * k + 3, np.int64), np.zeros(2 * k + 3), 0
        for r in range(2 * k):
            j = exact[i, r] if r < k else approx[i, r - k]
            if j >= 0 and weight[r] != 0.0:
                ids[count], weights[count] = j, weight[r]
                count += 1
        total = np.zeros(base.shape[1])
        for start in range(0, count, 4):  # the last pass may add point 0 with weight 0
            _add_four(total, base, base_scales, ids, weights, start)
        shifts[i] = np.sqrt(np.sum(total * total))


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
