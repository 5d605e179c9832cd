"""What stores that another program keeps have in common: the checks, the order of equal distances, ef by target."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from tqdm import tqdm

from ..calibration import calibration_sample, choose_ef, parse_target
from ..calibration.decide import Choice
from ..calibration.targets import Target
from ..checks import METRICS, InputError, one_of, vectors, whole_number
from ..indexes.base import HIGHEST_EF
from ..indexes.points import refuse_overflow
from .store import HIGHEST_ID, Hits, Id, Store, checked_ids, checked_metadata
from .view import StoreIndex

MOST_READ = 2**28  # numbers that `tune` reads at most: a gibibyte of float32
STALE = 0.1  # share of the points that may have changed before an effort is chosen anew


class Unreachable(InputError):
    """The server that keeps a store does not answer."""


class Found(NamedTuple):
    """One point that a search found: its distance, its place in the order of adding, and its id."""

    distance: float
    number: int
    id: Id


class RemoteStore(Store):
    """A store kept by another program; a subclass says how a batch of points is written, read, searched and removed.

    Checks are made here before anything is sent, so that nothing is written where a value is refused. Whether an id is
    there is asked before it is written: of two processes that add one id at the same moment, the later one stays.
    What is written is with the server when `add` or `delete` returns; an `add` that is cut off leaves the batches of
    ``batch`` points that it had sent, each whole.
    """

    batch: ClassVar[int] = 256

    def __init__(self, *, dimension: int | None, metric: str, M: int, ef_construction: int, ef: int, encoder=None):
        self.metric = one_of(metric, METRICS, "metric")
        self.dimension = None if dimension is None else whole_number(dimension, "dimension", 1)
        self.M, self.ef_construction = whole_number(M, "M", 2), whole_number(ef_construction, "ef_construction", 1)
        self.ef = whole_number(ef, "ef", 1, HIGHEST_EF)
        self.encoder: dict | None = encoder
        self._changes = threading.RLock()
        self._changed, self._chosen = 0, {}

    def add(self, array, ids: Iterable[Id] | None = None, metadata: Sequence[dict | None] | None = None, *,
            replace: bool = False, progress: bool = False) -> list[Id]:  # fmt: skip
        points = vectors(array, "vectors", metric=self.metric, dimension=self.dimension)
        refuse_overflow(points, "vectors", self.metric)
        metadata = checked_metadata(metadata, len(points))
        ids = None if ids is None else checked_ids(ids, len(points))
        with self._changes:
            if ids is None:
                ids = self._next_ids(len(points))
            elif not replace:
                there = next((one for one, known in zip(ids, self._known(ids), strict=True) if known), None)
                if there is not None:
                    raise InputError(f"id {there!r} is there already; replace=True gives it the new vector.")
            self._begin(points.shape[1])
            bar = tqdm(total=len(ids), desc="points added", unit="point", disable=None if progress else True)
            with bar:
                for part in self._parts(ids):
                    self._put(ids[part], points[part], metadata[part])
                    self._changed += len(ids[part])
                    bar.update(len(ids[part]))
        return ids

    def search(self, queries, k: int = 10, *, ef: int | None = None, target=None, exact: bool = False) -> Hits:
        queries = vectors(queries, "queries", metric=self.metric, dimension=self.dimension)
        refuse_overflow(queries, "queries", self.metric)
        k = whole_number(k, "k", 1)
        if target is not None and (ef is not None or exact):
            raise InputError("target is given beside ef or exact; a search takes one of the three.")
        if target is not None:
            ef = self._chosen_ef(target, k)
        ef = self.ef if ef is None else whole_number(ef, "ef", 1, HIGHEST_EF)
        exact = exact or self._always_exact
        began = time.perf_counter()
        limit = min(k, self.count())
        lists = [[] for _ in queries] if not limit else list(self._nearest(queries, limit, ef, exact))
        seconds = time.perf_counter() - began
        ids = tuple(tuple(one.id for one in found) for found in lists)
        distances = tuple(np.array([one.distance for one in found], dtype=np.float64) for found in lists)
        return Hits(ids, distances, k, None if exact else ef, seconds, exact)

    def tune(self, target: Target | str, k: int, confidence: float = 0.95, *, size: int = 500, seed: int = 0,
             progress: bool = False) -> Choice:  # fmt: skip
        """Choose the smallest effort that reaches a target, as `choose_ef` does, and keep it for searches by target.

        All points are read from the server for it, as the exact neighbors of a sample of them are needed: it holds
        for queries like the points, asked leave-one-out. Raises an `InputError` where they are too many to read, or
        too few to certify anything.
        """
        target = target if isinstance(target, Target) else parse_target(target)
        points = self.count()
        if points * (self.dimension or 0) > MOST_READ:
            raise InputError(
                f"a target needs exact neighbors among all {points:,} points, which are read from the server for it, "
                f"at most {MOST_READ // self.dimension:,} of them; name ef instead."
            )
        k = whole_number(k, "k", 1, max(points - 1, 1))
        if points < 2:
            raise InputError(f"a target needs at least 2 points to choose ef on; the store holds {points}.")
        changed = self._changed
        index = StoreIndex.over(self)
        sample = calibration_sample(index.base, k, size=size, metric=self.metric, seed=seed)
        choice = choose_ef(index, target, k, confidence, sample=sample, seed=seed, progress=progress)
        self._chosen[target.text, k] = (choice, changed, points)
        return choice

    def delete(self, ids: Iterable[Id]) -> int:
        ids = checked_ids(ids)
        with self._changes:
            self._all_known(ids)
            for part in self._parts(ids):
                self._drop(ids[part])
                self._changed += len(ids[part])
        return len(ids)

    def vectors(self, ids: Iterable[Id]) -> np.ndarray:
        ids = checked_ids(ids)
        rows = [row for part in self._parts(ids) for row in _all_there(ids[part], self._vectors(ids[part]))]
        return np.array(rows, dtype=np.float32).reshape(len(ids), self.dimension or 0)

    def metadata(self, ids: Iterable[Id]) -> list[dict]:
        ids = checked_ids(ids)
        return [one for part in self._parts(ids) for one in _all_there(ids[part], self._metadata(ids[part]))]

    def ids(self, start: int = 0, count: int | None = None) -> list[Id]:
        start = whole_number(start, "start", 0)
        return self._page(start, None if count is None else whole_number(count, "count", 0))

    def compact(self, *, background: bool = False) -> None:
        """Nothing is left to do: the server frees by itself what deleted points take."""

    def _nearest(self, queries, k: int, ef: int, exact: bool) -> Iterator[list[Found]]:
        """The k nearest of each query; in an exact search, equally near ones in the order of adding, also at the cut.

        For that one more is asked for than is wanted, and more and more while the last ones are equally near.
        """
        for start in range(0, len(queries), self.batch):
            part = queries[start : start + self.batch]
            for query, found in zip(part, self._near(part, k + exact, ef, exact), strict=True):
                limit = k + 1
                while exact and len(found) >= limit and found[-1].distance == found[k - 1].distance:
                    limit *= 2
                    (found,) = self._near(query[None], limit, ef, exact)
                yield sorted(found)[:k]

    def _chosen_ef(self, target: Target | str, k: int) -> int:
        target = target if isinstance(target, Target) else parse_target(target)
        choice, changed, points = self._chosen.get((target.text, k), (None, 0, 0))
        if choice is None or max(self._changed - changed, abs(self.count() - points)) > STALE * points:
            choice = self.tune(target, k)
        if choice.ef is None:
            raise InputError(choice.sentence)
        return choice.ef

    def _next_ids(self, count: int) -> list[Id]:
        highest = self._highest()
        first = 0 if highest is None else highest + 1
        if first + count - 1 > HIGHEST_ID:
            raise InputError(f"no {count} whole numbers of 64 bits are left after the id {highest}; name ids.")
        return list(range(first, first + count))

    def _parts(self, ids: list[Id]) -> list[slice]:
        return [slice(start, start + self.batch) for start in range(0, len(ids), self.batch)]

    def _all_known(self, ids: list[Id]) -> None:
        _all_there(ids, [known or None for known in self._known(ids)])

    def _tuned(self) -> list[dict]:
        """The efforts chosen so far, for `info`."""
        return [
            {"target": text, "k": k, "ef": choice.ef, "changes_since": self._changed - changed}
            for (text, k), (choice, changed, _) in self._chosen.items()
        ]

    @property
    def _always_exact(self) -> bool:
        """Whether every search is exact, whatever the effort."""
        return False

    @abstractmethod
    def _begin(self, dimension: int) -> None:
        """Make the place for vectors of this dimension, where there is none, and note the dimension."""

    @abstractmethod
    def _known(self, ids: list[Id]) -> list[bool]: ...

    @abstractmethod
    def _highest(self) -> int | None:
        """The highest whole number among the ids."""

    @abstractmethod
    def _put(self, ids: list[Id], points: np.ndarray, metadata: list[dict]) -> None:
        """Write at most ``batch`` points, over those of the same id."""

    @abstractmethod
    def _drop(self, ids: list[Id]) -> None: ...

    @abstractmethod
    def _near(self, queries: np.ndarray, k: int, ef: int, exact: bool) -> list[list[Found]]:
        """The k nearest of at most ``batch`` queries, nearest first."""

    @abstractmethod
    def _vectors(self, ids: list[Id]) -> list[np.ndarray | None]: ...

    @abstractmethod
    def _metadata(self, ids: list[Id]) -> list[dict | None]: ...

    @abstractmethod
    def _page(self, start: int, count: int | None) -> list[Id]: ...


def _all_there(ids: list[Id], values: list) -> list:
    for one, value in zip(ids, values, strict=True):
        if value is None:
            raise InputError(f"id {one!r} is not in the store.")
    return values
