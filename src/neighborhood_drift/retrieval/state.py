"""The rows of a collection and the hnswlib graph over them: appended to, marked as deleted, never moved."""

from __future__ import annotations

import time

import numpy as np

from ..indexes.base import unit
from ..indexes.hnswlib_index import TOO_FEW
from ..neighbors import MISSING
from .checked import next_ids
from .locks import ReadWriteLock
from .settings import Settings
from .store import Id

FIRST_CAPACITY = 1024
EXCLUSIVE_SECONDS = 0.005  # how long an insertion should keep searches waiting
MOST_AT_ONCE = 1024  # points inserted in one moment
LEAST_EACH = 8  # points for each of several threads: of 4 or fewer hnswlib makes one thread's work
QUERIES_AT_ONCE = 16  # queries that each thread searches before a change may come in
SLOTS_AT_ONCE = 1 << 20  # slots of lists that one call of the library may fill
MARKED = "already deleted"  # what the library says of a point that it has marked before


class State:
    """Rows 0, 1, 2, ... in the order in which points were added, and hnswlib's graph with the row as its label.

    Rows are only appended and marked as deleted: a vector, an id and a row's metadata never change once written, so
    that what a search found can be read after it has let go of ``lock``. Who changes a state holds the collection's
    mutex, and ``lock`` alone for moments.
    """

    def __init__(self, settings: Settings, dimension: int, capacity: int = FIRST_CAPACITY, native=None):
        self.settings, self.dimension = settings, dimension
        self.lock = ReadWriteLock()
        self.ids: list[Id] = []
        self.metadata: list[dict | None] = []
        self.row_of: dict[Id, int] = {}
        self.size = self.version = 0
        self.capacity = capacity
        self._points = np.empty((capacity, dimension), dtype=np.float32)
        self._deleted = np.zeros(capacity, dtype=bool)
        self._live: tuple[int, np.ndarray] | None = None
        self._base: tuple[int, np.ndarray] | None = None
        self._reach = 0
        self._highest: int | None = None
        self._least = 1 if settings.threads == 1 else LEAST_EACH * settings.threads
        self._chunk = max(self._least, LEAST_EACH)
        # with one thread its own time, as waiting for a processor says nothing about the points
        self._clock = time.thread_time if settings.threads == 1 else time.perf_counter
        self.native = self._new_native() if native is None else native

    @property
    def points(self) -> np.ndarray:
        """(size, d) float32, the vectors of all rows as they were added."""
        return self._points[: self.size]

    @property
    def deleted(self) -> np.ndarray:
        """(size,) bool, which rows are deleted."""
        return self._deleted[: self.size]

    @property
    def dead(self) -> int:
        """How many rows are deleted: each other one has its id."""
        return self.size - len(self.row_of)

    @classmethod
    def of_rows(cls, settings: Settings, points, ids, metadata, deleted, native) -> State:
        """A state that was kept: its rows, and the library's index over them."""
        state = cls(settings, points.shape[1], max(len(points), 1), native)
        state._points[: len(points)], state._deleted[: len(points)] = points, deleted
        state.ids, state.metadata, state.size = ids, metadata, len(points)
        state.row_of = {one: row for row, one in enumerate(ids) if not deleted[row]}
        native.set_ef(1)
        return state

    def append(self, points: np.ndarray, ids: list[Id], metadata: list[dict | None], tick=None, stop=None) -> None:
        """Add rows in moments short enough for searches to go on between them; a known id's old row is deleted.

        ``tick`` is called with the number of points after each moment; ``stop()`` may raise before one. Where the
        library fails in the midst of some points, what it holds of them counts as deleted, and its error is raised.
        """
        self._grow(self.size + len(points))
        scaled = unit(points) if self.settings.metric == "cosine" else points
        start = 0
        while start < len(points):
            if stop is not None:
                stop()
            part = slice(start, min(start + self._chunk, len(points)))
            first, held = self.size, self.native.get_current_count()
            rows = first, held, points[part], ids[part], metadata[part]
            with self.lock.exclusive():
                began = self._clock()
                try:
                    labels = np.arange(first, first + part.stop - start)
                    self.native.add_items(scaled[part], labels, num_threads=self.settings.threads)
                finally:  # an interrupt arrives when the library returns: what it holds must have its rows
                    try:
                        self._settle(*rows)
                    except BaseException:
                        self._settle(*rows)
                        raise
                took = self._clock() - began
            if self.native.get_current_count() - held < part.stop - start:
                raise RuntimeError("hnswlib took fewer points than it was given.")
            if tick is not None:
                tick(part.stop - start)
            self._chunk = self._next_chunk(part.stop - start, took)
            start = part.stop

    def remove(self, rows) -> None:
        """Mark rows as deleted."""
        for start in range(0, len(rows), MOST_AT_ONCE):
            with self.lock.exclusive():
                part = rows[start : start + MOST_AT_ONCE]
                try:
                    self._mark(part)
                except BaseException:  # an interrupt between two steps: half a mark is made a whole one
                    self._mark(part)
                    raise

    def rows(self, ids: list[Id]) -> list[int | None]:
        """Rows of ids, None for an id that is not there; all as of one moment."""
        with self.lock.shared():
            return [self.row_of.get(one) for one in ids]

    def next_ids(self, count: int) -> list[Id]:
        """Whole numbers that go on after the highest there is; refused beyond 64 bits."""
        if self._highest is None:
            self._highest = max((one for one in self.row_of if not isinstance(one, str)), default=-1)
        return next_ids(self._highest, count)

    def counts(self) -> tuple[int, int, int]:
        """Live points, deleted rows, and the number of changes so far, as of one moment."""
        with self.lock.shared():
            return self.size - self.dead, self.dead, self.version

    def ask(self, queries: np.ndarray, k: int, ef: int, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Rows and the library's distances of the nearest live points, (q, max(k, ef)) at most, -1 and inf if missing.

        The library searches with max(its ef, k) and its ef is shared by all threads: it stays at 1, and as many
        neighbors are asked for as the effort says.
        """
        effort = max(k, ef)
        batch = max(1, min(QUERIES_AT_ONCE * threads, SLOTS_AT_ONCE // effort))
        return _below([self._ask(queries[at : at + batch], effort, threads) for at in range(0, len(queries), batch)])

    def live_rows(self) -> np.ndarray:
        """(live,) int64 rows that are not deleted, in the order in which they were added."""
        with self.lock.shared():
            return self._live_rows()

    def base(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the live rows, (live, d), and these rows; copied only where a row is deleted."""
        with self.lock.shared():
            rows, version, points = self._live_rows(), self.version, self.points
        if len(rows) == len(points):
            return points, rows
        kept = self._base
        if kept is None or kept[0] != version:
            kept = self._base = (version, points[rows])
        return kept[1], rows

    def _live_rows(self):
        kept = self._live
        if kept is None or kept[0] != self.version:
            kept = self._live = (self.version, np.flatnonzero(~self.deleted))
        return kept[1]

    def _ask(self, queries, effort, threads):
        with self.lock.shared():
            wanted = min(effort, self.size - self.dead)
            if wanted == 0:
                return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
            answer = self._answered(queries, wanted, threads)
            if answer is not None:
                return answer
            return _below([self._ask_one(query[None], wanted) for query in queries])

    def _ask_one(self, query, wanted):
        """All points that a search can reach, where these are fewer than ``wanted``: their number is bisected.

        An effort of no more than that number meets as many points as it names, so the largest number that is
        answered is the number of points that can be reached, and its answer that of any higher effort.
        """
        low, high = 0, wanted + 1
        best = np.empty((1, 0), np.int64), np.empty((1, 0), np.float32)
        attempts = [wanted, self._reach, self._reach + 1]
        while high - low > 1:
            attempt = next((one for one in attempts if low < one < high), (low + high) // 2)
            answer = self._answered(query, attempt, 1)
            if answer is None:
                high = attempt
            else:
                low, best = attempt, answer
        self._reach = low
        return best

    def _answered(self, queries, count, threads):
        many = threads if len(queries) > 4 * threads else 1
        try:
            rows, values = self.native.knn_query(queries, k=count, num_threads=many)
        except RuntimeError as error:
            if TOO_FEW not in str(error):
                raise
            return None
        return rows.astype(np.int64), values

    def _mark(self, rows) -> None:
        """Mark rows as deleted; done twice it is as done once, and the id goes last, so that half a mark is known."""
        for row in rows:
            one = self.ids[row]
            if self.row_of.get(one) != row:
                continue
            self._deleted[row] = True
            self._mark_native(row)
            self.version += 1
            if one == self._highest:
                self._highest = None
            self.row_of.pop(one, None)

    def _mark_native(self, row) -> None:
        try:
            self.native.mark_deleted(row)
        except RuntimeError as error:
            if MARKED not in str(error):
                raise

    def _settle(self, first, held, points, ids, metadata) -> None:
        """Give what the library took its rows, from ``first``; it held ``held`` points before. May be done twice."""
        end, taken = first + len(points), self.native.get_current_count() - held
        if not taken:
            return
        self._points[first:end] = points
        self.ids[first:], self.metadata[first:] = ids, metadata
        if taken < len(points):
            self._deleted[first:end] = True
            for row in self.native.get_ids_list():
                if row >= first:
                    self._mark_native(row)
        else:
            self._mark([self.row_of[one] for one in ids if self.row_of.get(one, first) < first])
            if self._highest is not None:
                self._highest = max([self._highest, *(one for one in ids if not isinstance(one, str))])
            self.row_of.update(zip(ids, range(first, end), strict=True))
        if self.size < end:
            self.version += len(points)
            self.size = end

    def _grow(self, needed: int) -> None:
        if needed <= self.capacity:
            return
        capacity = max(needed, 2 * self.capacity)
        points, deleted = np.empty((capacity, self.dimension), np.float32), np.zeros(capacity, bool)
        points[: self.size], deleted[: self.size] = self.points, self.deleted
        with self.lock.exclusive():
            self.native.resize_index(capacity)
            self._points, self._deleted, self.capacity = points, deleted, capacity

    def _next_chunk(self, count: int, seconds: float) -> int:
        fitting = int(count * EXCLUSIVE_SECONDS / max(seconds, 1e-6))
        return max(self._least, min(fitting, 2 * self._chunk, MOST_AT_ONCE))

    def _new_native(self):
        settings = self.settings
        native = settings.native(self.dimension)
        # the seed is raised by one because 0 and 1 are the same to the library's generator
        native.init_index(
            max_elements=self.capacity, M=settings.M, ef_construction=settings.ef_construction,
            random_seed=settings.seed + 1,
        )  # fmt: skip
        native.set_ef(1)
        return native


def _below(answers):
    """Rows and distances of several answers below each other, -1 and inf where one is shorter than the longest."""
    if len(answers) == 1:
        return answers[0]
    width = max(rows.shape[1] for rows, _ in answers)
    fills = zip(zip(*answers, strict=True), (MISSING, np.inf), strict=True)
    return tuple(
        np.concatenate([np.pad(one, ((0, 0), (0, width - one.shape[1])), constant_values=fill) for one in parts])
        for parts, fill in fills
    )
