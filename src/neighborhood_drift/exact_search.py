"""The route of the exact search: float32 products by tiles, lists of what they leave open, and float64 for the rest.

Products in bfloat16 would take half the time again and could be screened by the same bound, with a unit roundoff of
2^-8. But NumPy has none, and the wider intervals leave more to float64: on the vectors of benchmarks/bench_exact.py
five times as many candidates as neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numba
import numpy as np

from . import screening
from .kernels import rounding
from .turns import InTurn

UNIT_ROUNDOFF = 2.0**-24  # of float32, round to nearest
# Chunks of the dimensions, each with a product of its own, and how many dimensions a chunk has at least: shorter sums
# have smaller bounds, which leave fewer orders open, and cost more products.
MOST_CHUNKS = 8
CHUNK = 256
# Points along a side of a tile: tiles, and the points they are made of, stay in a processor's cache.
BLOCK = 1000
# Tiles for each thread, at least, where few queries ask: a thread without one waits for the others.
SHARES = 2
# Bytes of all lists at a time, and of all tiles, whatever n, q and the number of threads are.
LIST_BYTES, TILE_BYTES = 2**29, 2**28
# Products of rows whose list was too short: 64 MiB.
ROW_VALUES = 2**24


@dataclass(frozen=True)
class Points:
    """Vectors, the factors that give the metric's vectors, and their float32 copies around the mean."""

    vectors: np.ndarray  # (n, d) float32
    scales: np.ndarray  # (n,) float64
    near: np.ndarray  # (chunks, n, c) float32
    norms: np.ndarray  # (n,) float64

    def rows(self, rows) -> Points:
        """The points of ``rows``, a slice or ids."""
        return Points(self.vectors[rows], self.scales[rows], self.near[:, rows], self.norms[rows])


class Search:
    """Exact neighbors of rows of a base, or of other queries; see `exact.exact_neighbors` for the proof.

    Parameters
    ----------
    base : (n, d) float32
    queries : (q, d) float32 or None
        None: the base asks itself.
    base_scales, query_scales : (n,) and (q,) float64
        See `exact.scales`.
    left_out : (q,) int64
        The base id that is left out for each query, or -1.
    k : int
    cosine : bool
    block : int or None
        Points along a side of a tile.
    chunks : bool
        Whether the dimensions are summed in chunks: worth it where the order is asked and the distances are not.
    """

    def __init__(self, base, queries, base_scales, query_scales, left_out, k, cosine, block, chunks):
        n, d = base.shape
        self.alone, self.k, self.cosine, self.left_out = queries is None, k, cosine, left_out
        self.block = min(block or BLOCK, n)
        self.measured = 0  # float64 distances taken so far
        self.products = 0  # float32 inner products taken so far
        self.chunks = min(MOST_CHUNKS, -(-d // CHUNK)) if chunks else 1
        self.centre = _mean(base, base_scales)
        reach = 2.0 if cosine else max(_reach(part, self.centre) for part in (base, queries) if part is not None)
        self.power = 0.5 ** np.frexp(reach)[1]  # exact scaling: coordinates within [-1, 1], so no product overflows
        self.base = self._points(base, base_scales)
        self.queries = base if self.alone else queries
        self.query_scales = base_scales if self.alone else query_scales
        roundings = self.base.near.shape[2] + self.chunks - 1
        gamma, share = roundings * UNIT_ROUNDOFF / (1 - roundings * UNIT_ROUNDOFF), 2.5 * UNIT_ROUNDOFF
        least = (rounding(d) * self.power) ** 2 if cosine else 0.0
        self.bound = screening.Bound(2 * gamma + 2 * share, share, 16 * d * 2.0**-126, least)

    def ids(self) -> np.ndarray:
        """(q, k) int64 ids in the order of `neighbors`, with float64 distances only where float32 leaves doubt."""
        ids = np.empty((len(self.queries), self.k), np.int64)
        for rows, asked, lists, counts in self._lists():
            self.measured += screening.order(
                *self._pair(asked), asked.norms, self.base.norms, self.bound, *lists, counts, ids[rows]
            )
            self._overflown(asked, self.left_out[rows], counts, ids[rows], np.empty(ids[rows].shape))
        return ids

    def neighbors(self) -> tuple[np.ndarray, np.ndarray]:
        """(q, k) int64 ids by (float64 distance, id), and the distances."""
        ids = np.empty((len(self.queries), self.k), np.int64)
        distances = np.empty(ids.shape)
        for rows, asked, (found, _), counts in self._lists():
            self._measure(rows, asked, found, counts, ids[rows], distances[rows])
            self._overflown(asked, self.left_out[rows], counts, ids[rows], distances[rows])
        return ids, distances

    def _measure(self, rows, asked, found, counts, ids, distances):
        ends = np.cumsum(np.maximum(counts, 0))
        starts, values = ends - np.maximum(counts, 0), np.empty(ends[-1])
        first = rows.start if self.alone else -1
        self.measured += screening.measure_lists(*self._pair(asked), first, found, counts, starts, values)
        screening.sort(found, counts, starts, values, ids, distances)

    def _points(self, vectors, factors):
        width = -(-vectors.shape[1] // self.chunks)
        near, norms = np.zeros((self.chunks, len(vectors), width), np.float32), np.empty(len(vectors))
        screening.shift(vectors, factors, self.centre, self.power, near, norms)
        return Points(vectors, factors, near, norms)

    def _pair(self, asked):
        return self.base.vectors, self.base.scales, asked.vectors, asked.scales, self.cosine

    def _lists(self):
        """Yield rows (a slice), their points, and their closed lists: ids, products, counts."""
        n, d = self.base.vectors.shape
        room = min(n, 3 * self.k + 2 * screening.SEGMENT)
        # An id, a product and a distance for each place of a list, and a float32 copy of the vector.
        most = max(1, LIST_BYTES // (16 * room + 4 * d) // self.block) * self.block
        most = min(most, len(self.queries))
        every_id, every_product = np.empty((most, room), np.int32), np.empty((most, room), np.float32)
        for start in range(0, len(self.queries), most):
            rows = slice(start, min(start + most, len(self.queries)))
            asked = self.base.rows(rows) if self.alone else self._points(self.queries[rows], self.query_scales[rows])
            size = len(asked.norms)
            ids, products = every_id[:size], every_product[:size]
            counts, limits = np.zeros(size, np.int64), np.full(size, screening.NO_LIMIT)
            self._fill(asked, rows, (ids, products, counts, limits))
            screening.close(asked.norms, self.base.norms, self.bound, self.k, ids, products, counts)
            yield rows, asked, (ids, products), counts

    def _fill(self, asked, rows, lists):
        size, n = len(asked.norms), len(self.base.norms)
        side = min(self.block, size)
        workers = numba.get_num_threads()
        # Few queries take wider tiles, as many products as others.
        width = self.block if self.alone else max(self.block, min(self.block**2 // side, n // (SHARES * workers)))
        buffers = [_buffer(side * min(width, n), self.chunks)]
        workers = min(workers, max(1, TILE_BYTES // buffers[0].nbytes))
        buffers += [_buffer(side * min(width, n), self.chunks) for _ in range(workers - 1)]
        with InTurn(workers) as turns:
            for first in range(0, n, width):  # in ascending order, and so are the ids of each list
                columns = slice(first, min(first + width, n))
                own = self.alone and rows.start <= first < rows.stop
                for begin in range(0, size, side):
                    if own and rows.start + begin > first:
                        break  # found from the other side, when the columns are these rows
                    part, turned = slice(begin, min(begin + side, size)), None
                    if own and rows.start + begin < first:
                        turned = slice(first - rows.start, columns.stop - rows.start)
                    self.products += (part.stop - part.start) * (columns.stop - first)
                    tile = partial(self._tile, asked, part, columns, buffers)
                    add = partial(self._add, asked, rows, part, turned, columns, buffers, lists)
                    turns.begin(tile, add, {begin} if turned is None else {begin, turned.start})

    def _tile(self, asked, part, columns, buffers):
        buffer = buffers.pop()
        return buffer, _product(asked.near[:, part], self.base.near[:, columns], buffer)

    def _add(self, asked, rows, part, turned, columns, buffers, lists, made):
        """Add the points of a tile's columns to the lists of its rows; turned, those of its rows to its columns'."""
        buffer, tile = made
        for place, first in ((part, columns.start), (turned, rows.start + part.start)):
            if place is not None:
                norms, left_out, some = asked.norms[place], self.left_out[rows][place], [each[place] for each in lists]
                screening.gather(
                    tile, place is turned, first, norms, self.base.norms, left_out, self.bound, self.k, *some
                )
        buffers.append(buffer)

    def _overflown(self, asked, left_out, counts, ids, distances):
        """Ask those rows again, against all points at once, whose lists had no room for what float32 leaves open."""
        again = np.flatnonzero(counts == screening.OVERFLOW)
        n = len(self.base.norms)
        step = max(1, ROW_VALUES // (n * min(self.chunks, 2)))
        for start in range(0, len(again), step):
            few = again[start : start + step]
            some = asked.rows(few)
            tile = _product(some.near, self.base.near, _buffer(len(few) * n, self.chunks))
            found, measured = np.empty((len(few), self.k), np.int64), np.empty((len(few), self.k))
            self.measured += screening.nearest_of_all(
                tile, self.base.norms, some.norms, self.bound, *self._pair(some), left_out[few], found, measured
            )
            ids[few], distances[few] = found, measured


def _buffer(products, chunks):
    """Room for a tile, and for what is added to it."""
    return np.empty((min(chunks, 2), products), np.float32)


def _product(near, others, buffer):
    """Inner products, chunk by chunk of the dimensions, added up in order."""
    shape = (near.shape[1], others.shape[1])
    parts = [part[: shape[0] * shape[1]].reshape(shape) for part in buffer]
    np.matmul(near[0], others[0].T, out=parts[0])
    for chunk in range(1, len(near)):
        parts[0] += np.matmul(near[chunk], others[chunk].T, out=parts[1])
    return parts[0]


def _chunks(points):
    step = max(1, ROW_VALUES // (4 * points.shape[1]))
    return (slice(start, start + step) for start in range(0, len(points), step))


def _mean(points, factors):
    total = np.zeros(points.shape[1])
    for rows in _chunks(points):
        total += factors[rows] @ points[rows]
    return total / len(points)


def _reach(points, centre):
    """Largest absolute coordinate of the points around ``centre``."""
    return max(np.abs(points.max(axis=0) - centre).max(), np.abs(points.min(axis=0) - centre).max())
