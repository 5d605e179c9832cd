"""What stores that another program keeps have in common: the checks, the order of equal distances, ef by target."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from tqdm import tqdm

from ..calibration.decide import Choice
from ..calibration.targets import Target
from ..checks import METRICS, InputError, one_of, vectors, whole_number
from ..indexes.points import refuse_overflow
from .checked import SAMPLE, checked_search, checked_start, next_ids, sample_size
from .chosen import ChosenEfforts, tuned
from .store import Hits, Id, Store, checked_ids, checked_metadata

MOST_READ = 2**28  # numbers that `tune` reads at most: a gibibyte of float32


class Unreachable(InputError):
    """The server that keeps a store does not answer; for the service's own clients that is its 503."""

    status = 503


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
    ``batch`` points that it had sent, and of the last one what the server had taken.
    """

    batch: ClassVar[int] = 256
    location: str  # without passwords
    name: str

    def __init__(self, *, dimension: int | None, metric: str, M: int, ef_construction: int, ef: int,
                 encoder: dict | None, target: str | None):  # fmt: skip
        self.metric = one_of(metric, METRICS, "metric")
        self.M, self.ef_construction = whole_number(M, "M", 2), whole_number(ef_construction, "ef_construction", 1)
        self.dimension, self.ef, self.encoder, self.target = checked_start(dimension, ef, encoder, target)
        self._changes = threading.RLock()
        self._version, self._chosen, self._there = 0, ChosenEfforts(), False

    def add(self, array, ids: Iterable[Id] | None = None, metadata: Sequence[dict | None] | None = None, *,
            replace: bool = False, progress: bool = False) -> list[Id]:  # fmt: skip
        if not self._there:  # another process may have made the place, with its metric and dimension
            self._recognize()
        points = vectors(array, "vectors", metric=self.metric, dimension=self.dimension)
        refuse_overflow(points, "vectors", self.metric)
        metadata = checked_metadata(metadata, len(points))
        ids = None if ids is None else checked_ids(ids, len(points))
        with self._changes:
            if ids is None:
                ids = next_ids(self._highest() if self.exists else None, len(points))
            elif self.exists and not replace:
                for part in self._parts(ids):
                    for one, known in zip(ids[part], self._known(ids[part]), strict=True):
                        if known:
                            raise InputError(f"id {one!r} is there already; replace=True gives it the new vector.")
            if not self.exists:
                self._begin(points.shape[1])
            if self.dimension != points.shape[1]:  # another thread or process was first
                raise InputError(f"vectors has {points.shape[1]} dimensions; the store has {self.dimension}.")
            bar = tqdm(total=len(ids), desc="points added", unit="point", disable=None if progress else True)
            with bar:
                for part in self._parts(ids):
                    self._put(ids[part], points[part], metadata[part])
                    self._version += len(ids[part])
                    bar.update(len(ids[part]))
        return ids

    def search(self, queries, k: int = 10, *, ef: int | None = None, target=None, exact: bool = False) -> Hits:
        held = self.count()  # first, as another process may have made the place, with its dimension
        queries, k, ef = checked_search(self, queries, k, ef, target, exact, self.dimension, self._chosen_ef)
        exact = exact or self._always_exact
        began = time.perf_counter()
        lists = [[] for _ in queries] if not held else list(self._nearest(queries, min(k, held), ef, exact))
        seconds = time.perf_counter() - began
        ids = tuple(tuple(one.id for one in found) for found in lists)
        distances = tuple(np.array([one.distance for one in found], dtype=np.float64) for found in lists)
        return Hits(ids, distances, k, None if exact else ef, seconds, exact)

    def tune(self, target: Target | str, k: int, confidence: float = 0.95, *, queries=None, size: int = SAMPLE,
             progress: bool = False) -> Choice:  # fmt: skip
        """Choose the smallest effort that reaches a target, as `choose_ef` does, and keep it for searches by target.

        All points are read from the server, as the exact neighbors of a sample are needed. The choice lasts as long as
        this object, until more points than a share of `chosen.STALE` were changed through it.

        Parameters
        ----------
        target : str or Target
        k : int
            From 1 to one less than there are points.
        confidence : float, default 0.95
        queries : (m, d) array, optional
            Queries as they will be asked, used for nothing else; without them points are asked, leave-one-out.
        size : int, default 500
            Queries drawn.
        progress : bool, default False

        Raises
        ------
        InputError
            If a value is out of range, the points are too many to read, or the queries too few to certify the target.
        """
        points, version = self.count(), self._version
        if points * (self.dimension or 0) > MOST_READ:
            raise InputError(
                f"a target needs exact neighbors among all {points:,} points, which are read from the server for it, "
                f"at most {MOST_READ // self.dimension:,} of them; name ef instead."
            )
        choice = tuned(self, target, k, confidence, queries=queries, size=size, seed=0, progress=progress)
        self._chosen.keep(choice, points, version)
        return choice

    def delete(self, ids: Iterable[Id]) -> int:
        ids = checked_ids(ids)
        with self._changes:
            self._each_of(ids, lambda part: [known or None for known in self._known(part)])
            for part in self._parts(ids):
                self._drop(ids[part])
                self._version += len(ids[part])
        return len(ids)

    def vectors(self, ids: Iterable[Id]) -> np.ndarray:
        rows = self._each_of(checked_ids(ids), self._vectors)
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.dimension or 0)

    def metadata(self, ids: Iterable[Id]) -> list[dict]:
        return self._each_of(checked_ids(ids), self._metadata)

    def ids(self, start: int = 0, count: int | None = None) -> list[Id]:
        start, count = whole_number(start, "start", 0), None if count is None else whole_number(count, "count", 0)
        return self._page(start, count) if self.exists else []

    def count(self) -> int:
        return self._count() if self.exists else 0

    @property
    def exists(self) -> bool:
        """Whether the place for the points was made, here or by another process; it is when points are first added."""
        if not self._there:
            self._recognize()
        return self._there

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

    def _chosen_ef(self, target: Target, k: int) -> int:
        if self._always_exact:  # whatever the effort
            return self.ef
        chosen = self._chosen.fresh(target.text, k, self._version)
        if chosen is None:
            chosen = self.tune(target, k, size=sample_size(target))
        if chosen.ef is None:
            raise InputError(chosen.sentence)
        return chosen.ef

    def _parts(self, ids: list[Id]) -> list[slice]:
        return [slice(start, start + self.batch) for start in range(0, len(ids), self.batch)]

    def _each_of(self, ids: list[Id], read: Callable[[list[Id]], list]) -> list:
        """What ``read`` gives for each id; the first one of which it gives None is refused."""
        values = [one for part in self._parts(ids) for one in read(ids[part])] if self.exists else [None] * len(ids)
        for one, value in zip(ids, values, strict=True):
            if value is None:
                raise InputError(f"id {one!r} is not there.")
        return values

    def _told(self) -> dict:
        """What `info` says of every such store."""
        return {
            "kind": self.kind, "location": self.location, "name": self.name, "metric": self.metric,
            "dimension": self.dimension, "points": self.count(), "M": self.M, "ef_construction": self.ef_construction,
            "ef": self.ef, "target": self.target, "encoder": self.encoder,
            "chosen": [vars(one) for one in self._chosen.all(self._version)],
        }  # fmt: skip

    @property
    def _always_exact(self) -> bool:
        """Whether every search is exact, whatever the effort."""
        return False

    @abstractmethod
    def _recognize(self) -> None:
        """Look whether the place for the points was made; take from it what it was made with, or refuse it."""

    @abstractmethod
    def _begin(self, dimension: int) -> None:
        """Make the place for vectors of this dimension."""

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
    def _count(self) -> int: ...

    @abstractmethod
    def _page(self, start: int, count: int | None) -> list[Id]: ...
