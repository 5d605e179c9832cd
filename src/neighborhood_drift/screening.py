"""Compiled loops of the exact search: intervals of float32, lists of what they leave, an order that float64 decides.

A row asks, a list holds the points that may be among its nearest: their ids in ascending order and their float32 inner
products, from which an interval of each squared distance follows (`Bound`). Every loop is parallel over rows, but for
`gather`, of which several run at a time, in threads of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from .kernels import _distances

# Mark of a list that was longer than its room: the row is asked again, against all points at once.
OVERFLOW = -1
# Larger than every squared distance, and no infinity: a point that is left out has that.
NO_LIMIT = 2.0**1000
# Steps in which a limit near the k-th interval end is sought before all ends are sorted out.
HALVINGS = 12
# Points added to a list before its room is looked at again.
SEGMENT = 256
# Rows taken from a tile at a time: a line of the cache holds as many float32 values.
LINES = 16
# Points whose float64 distances are taken before the next: 8 MiB at 2,048 dimensions, which a processor's cache holds.
TILE_VALUES = 2**21


class Bound(NamedTuple):
    """An interval of a squared distance: ``a^2 + b^2 - 2 product``, more or less its error (a, b the norms).

    The error is ``slope a b + share (a^2 + b^2) + floor``. Squared distances up to ``least`` are one distance, 0.
    """

    slope: float
    share: float
    floor: float
    least: float


@njit(cache=True)
def _interval(product, norm, other, bound):
    both = norm * norm + other * other
    centre, error = both - 2.0 * product, bound.slope * norm * other + bound.share * both + bound.floor
    return centre - error, centre + error


@njit(cache=True, parallel=True)
def shift(points, factors, centre, power, near, norms):
    """Fill ``near`` (chunks, n, c) with float32 points around ``centre``, scaled by ``power``; ``norms`` in float64."""
    chunks, _, width = near.shape
    for i in prange(len(points)):
        total = 0.0
        for c in range(chunks):
            for j in range(c * width, min((c + 1) * width, points.shape[1])):
                value = np.float32((np.float64(points[i, j]) * factors[i] - centre[j]) * power)
                near[c, i, j - c * width] = value
                total += np.float64(value) * np.float64(value)
        norms[i] = np.sqrt(total)


@njit(cache=True)
def _end(highs, k):
    """A value that at least k of ``highs`` do not exceed, and about k where halving soon finds one: else the k-th."""
    low, high = highs.min(), highs.max()
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        below = np.sum(highs <= middle)
        if below < k:
            low = middle
        else:
            high = middle
            if below <= k + k // 8:
                return high
    return np.partition(highs, k - 1)[k - 1]


@njit(cache=True)
def _drop(ids, products, count, norm, others, bound, limit):
    """Keep in a list what begins at or below ``limit``; return how many."""
    kept = 0
    for c in range(count):  # always written, counted where it holds: no branch to mispredict
        ids[kept], products[kept] = ids[c], products[c]
        kept += _interval(products[c], norm, others[ids[c]], bound)[0] <= limit
    return kept


@njit(cache=True)
def _highs(ids, products, count, norm, others, bound):
    highs = np.empty(count)
    for c in range(count):
        highs[c] = _interval(products[c], norm, others[ids[c]], bound)[1]
    return highs


@njit(cache=True)
def _add(values, first, norm, others, own, bound, k, ids, products, count, limit):
    """Add the points ``first``, ``first + 1``, ... with the inner products ``values``; return count and limit.

    ``limit`` is a value that k interval ends do not exceed. It falls, and the list is cleared, whenever room is short.
    """
    below, words = np.zeros(SEGMENT, np.uint8), SEGMENT // 8
    eights = below.view(np.uint64)
    for start in range(0, len(values), SEGMENT):
        part, near = values[start : start + SEGMENT], others[first + start : first + start + SEGMENT]
        if count + len(part) > len(ids):
            if count >= k:
                highs = _highs(ids, products, count, norm, others, bound)
                limit = min(limit, max(_end(highs, k), bound.least))
                count = _drop(ids, products, count, norm, others, bound, limit)
            if count + len(part) > len(ids):
                return OVERFLOW, limit
        below[len(part) :] = 0
        for j in range(len(part)):
            below[j] = _interval(part[j], norm, near[j], bound)[0] <= limit
        if 0 <= own - first - start < len(part):
            below[own - first - start] = 0
        for word in range(words):
            if eights[word] != 0:  # most hold none: eight are passed over at once
                for j in range(8 * word, min(8 * word + 8, len(part))):
                    ids[count], products[count] = first + start + j, part[j]
                    count += below[j]
    return count, limit


@njit(cache=True)
def _close(norm, others, bound, k, ids, products, count):
    """Keep in a list what begins at or below ``least`` or the k-th smallest interval end; return how many."""
    near = max(_end(_highs(ids, products, count, norm, others, bound), k), bound.least)
    count = _drop(ids, products, count, norm, others, bound, near)
    highs = _highs(ids, products, count, norm, others, bound)
    limit = max(np.partition(highs, k - 1)[k - 1], bound.least)
    return _drop(ids, products, count, norm, others, bound, limit)


@njit(cache=True, nogil=True)
def gather(tile, turned, first, norms, others, left_out, bound, k, ids, products, counts, limits):
    """Add to the list of each row of a tile the points of its columns, or to those of the columns its rows.

    ``tile`` (rows, columns) are inner products, ``first`` is the id of the first point that is added, ``others`` are
    the norms of all points.
    """
    rows, width = (tile.shape[1], tile.shape[0]) if turned else tile.shape
    for group in range((rows + LINES - 1) // LINES):
        begin, lines = group * LINES, min(LINES, rows - group * LINES)
        values = tile[begin : begin + lines]
        if turned:
            values = np.empty((lines, width), np.float32)
            for j in range(width):
                for r in range(lines):
                    values[r, j] = tile[j, begin + r]
        for r in range(lines):
            i = begin + r
            if counts[i] != OVERFLOW:
                counts[i], limits[i] = _add(
                    values[r], first, norms[i], others, left_out[i], bound, k, ids[i], products[i], counts[i], limits[i]
                )


@njit(cache=True, parallel=True)
def close(norms, others, bound, k, ids, products, counts):
    """Keep in each list the points whose interval begins at or below ``least`` or the k-th smallest interval end."""
    for i in prange(len(ids)):
        if counts[i] != OVERFLOW:
            counts[i] = _close(norms[i], others, bound, k, ids[i], products[i], counts[i])


@njit(cache=True, parallel=True)
def order(base, base_scales, queries, query_scales, cosine, norms, others, bound, ids, products, counts, nearest):
    """Fill ``nearest`` (q, k) from closed lists: by interval where intervals are apart, by float64 where they are not.

    Sorted by their beginning, intervals fall into runs that do not touch; the order of the runs is proven, and within
    a run of several points distances are measured. Intervals that begin up to ``least`` are one run.
    Returns how many were measured.
    """
    k, measured = nearest.shape[1], 0
    for i in prange(len(nearest)):
        count = counts[i]
        if count == OVERFLOW:
            continue
        lows, highs = np.empty(count), np.empty(count)
        for c in range(count):
            lows[c], highs[c] = _interval(products[i, c], norms[i], others[ids[i, c]], bound)
        place = np.argsort(lows)
        points, ends, doubtful = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count + 3, np.int64)
        start, runs, asked = 0, 0, 0
        while start < k:
            stop, end = start + 1, max(highs[place[start]], bound.least)
            while stop < count and lows[place[stop]] <= end:
                end = max(end, highs[place[stop]])
                stop += 1
            for r in range(start, stop):
                points[r] = ids[i, place[r]]
            if stop - start > 1:
                points[start:stop].sort()
                doubtful[asked : asked + stop - start] = points[start:stop]
                asked += stop - start
            ends[runs] = stop
            start, runs = stop, runs + 1
        distances = np.empty(asked + 3)
        if asked > 0:
            _distances(queries[i], query_scales[i], base, base_scales, doubtful, asked, cosine, distances)
        measured += asked
        start, asked = 0, 0
        for run in range(runs):
            stop = ends[run]
            if stop - start > 1:
                places = np.argsort(distances[asked : asked + stop - start], kind="mergesort")
                for r in range(start, min(stop, k)):
                    nearest[i, r] = points[start + places[r - start]]
                asked += stop - start
            else:
                nearest[i, start] = points[start]
            start = stop
    return measured


@njit(cache=True)
def _place(ids, count, wanted):
    """Position of ``wanted`` in the ascending ``ids[:count]``, or -1."""
    place = np.searchsorted(ids[:count], wanted)
    return place if place < count and ids[place] == wanted else -1


@njit(cache=True, parallel=True)
def measure_lists(base, base_scales, queries, query_scales, cosine, first, ids, counts, starts, values):
    """Fill ``values`` with the float64 distances of closed lists, list i from ``starts[i]``.

    Where the rows are the points ``first``, ``first + 1``, ... of the base (``first`` is -1 otherwise), a pair that
    stands in both lists is measured in that of its lower id and copied to the other: d(i, j) and d(j, i) are the same
    sum of the same squares. Until then the place to copy from stands as a negative number. Returns how many were
    measured.
    """
    rows, step, measured = len(ids), max(1, TILE_VALUES // base.shape[1]), 0
    done = np.zeros(rows, np.int64)
    for tile in range(0, len(base), step):  # the points of a tile stay in the cache while all rows pass
        for i in prange(rows):
            count, c, asked = max(counts[i], 0), done[i], 0
            wanted, slots = np.empty(count + 3, np.int64), np.empty(count, np.int64)
            while c < count and ids[i, c] < tile + step:
                j, known = ids[i, c], -1
                if first >= 0 and first <= j < first + i and counts[j - first] != OVERFLOW:
                    known = _place(ids[j - first], counts[j - first], first + i)
                if known >= 0:
                    values[starts[i] + c] = -1.0 - (starts[j - first] + known)
                else:
                    wanted[asked], slots[asked] = j, c
                    asked += 1
                c += 1
            done[i] = c
            measured += asked
            if asked > 0:
                distances = np.empty(asked + 3)
                _distances(queries[i], query_scales[i], base, base_scales, wanted, asked, cosine, distances)
                for a in range(asked):
                    values[starts[i] + slots[a]] = distances[a]
    for i in prange(rows):
        for slot in range(starts[i], starts[i] + max(counts[i], 0)):
            if values[slot] < 0:
                values[slot] = values[int(-1.0 - values[slot])]
    return measured


@njit(cache=True, parallel=True)
def sort(ids, counts, starts, values, nearest, distances):
    """Fill ``nearest`` and ``distances`` (q, k) from measured lists, equal distances by the lower id."""
    for i in prange(len(nearest)):
        measured = values[starts[i] : starts[i] + max(counts[i], 0)]
        places = np.argsort(measured, kind="mergesort")
        for r in range(min(nearest.shape[1], len(places))):
            nearest[i, r], distances[i, r] = ids[i, places[r]], measured[places[r]]


@njit(cache=True, parallel=True)
def nearest_of_all(
    products, others, norms, bound, base, base_scales, queries, query_scales, cosine, left_out, nearest, distances
):
    """Fill ``nearest`` and ``distances`` (q, k) from products with all points; return how many were measured."""
    k, n, total = nearest.shape[1], len(base), 0
    for i in prange(len(nearest)):
        ids, left = np.empty(n + 3, np.int64), np.empty(n, np.float32)
        count, _ = _add(products[i], 0, norms[i], others, left_out[i], bound, k, ids[:n], left, 0, NO_LIMIT)
        count = _close(norms[i], others, bound, k, ids, left, count)
        total += count
        measured = np.empty(count + 3)
        _distances(queries[i], query_scales[i], base, base_scales, ids, count, cosine, measured)
        # Candidates stand in ascending id order and the sort is stable: equal distances keep the lower id first.
        places = np.argsort(measured[:count], kind="mergesort")
        for r in range(k):
            nearest[i, r], distances[i, r] = ids[places[r]], measured[places[r]]
    return total
