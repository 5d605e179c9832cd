"""Vectors in an hnswlib graph that is searched, changed, saved and compacted at the same time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from ..checks import METRICS, InputError, one_of, vectors, whole_number
from ..exact import exact_neighbors
from ..indexes.base import DEFAULT_EF, HIGHEST_EF, HIGHEST_SEED, refuse_overflow, unit
from ..indexes.lists import in_order
from ..neighbors import MISSING
from . import disk
from .state import Settings, State
from .store import HIGHEST_ID, Hits, Store, checked_ids

# the kernels of the exact search use all cores, and may be entered by one thread at a time
_EXACT = threading.Lock()


class Collection(Store):
    """Vectors in memory, in an hnswlib graph; kept as a folder of open files."""

    kind: ClassVar[str] = "hnswlib in memory"

    def __init__(
        self, dimension: int | None = None, *, metric: str = "l2", M: int = 32, ef_construction: int = 200,
        ef: int = DEFAULT_EF, seed: int = 0, threads: int = 1, encoder: dict | None = None, target=None,
    ):  # fmt: skip
        self._settings = Settings(
            one_of(metric, METRICS, "metric"),
            whole_number(M, "M", 2, 10_000),
            whole_number(ef_construction, "ef_construction", 1),
            whole_number(seed, "seed", 0, HIGHEST_SEED),
            whole_number(threads, "threads", 1),
        )
        self.metric = metric
        self.dimension = None if dimension is None else whole_number(dimension, "dimension", 1)
        self.ef = whole_number(ef, "ef", 1, HIGHEST_EF)
        self.encoder, self.target = encoder, target
        self._state: State | None = None
        self._changes = threading.RLock()
        self._path: Path | None = None
        self._pointer: str | None = None

    @classmethod
    def load(cls, path, *, rebuild: bool = False) -> Collection:
        about, state, pointer = disk.read(path, rebuild)
        settings = {
            name: about[name] for name in ("metric", "M", "ef_construction", "ef", "seed", "threads", "encoder")
        }
        collection = cls(about["dimension"], **settings)
        collection._state, collection._path, collection._pointer = state, Path(path), pointer
        return collection

    def save(self, path=None) -> None:
        with self._changes:
            if path is None and self._path is None:
                raise InputError("the collection was never saved; name a folder.")
            path = self._path if path is None else Path(path)
            expected = self._pointer if self._path and path.resolve() == self._path.resolve() else None
            about = {
                "dimension": self.dimension, **vars(self._settings), "ef": self.ef, "encoder": self.encoder,
                "points": self.count(), "rows": 0 if self._state is None else self._state.size,
            }  # fmt: skip
            self._pointer = disk.write(path, about, self._state, expected)
            self._path = path

    def add(self, vectors_, ids=None, metadata=None, *, replace=False, progress=False):
        points = vectors(vectors_, "vectors", metric=self.metric, dimension=self.dimension)
        refuse_overflow(points, "vectors", self.metric)
        given = None if ids is None else checked_ids(ids, len(points))
        metadata = _checked_metadata(metadata, len(points))
        with self._changes:
            if self.dimension not in (None, points.shape[1]):
                raise InputError(f"vectors has {points.shape[1]} dimensions; the collection has {self.dimension}.")
            if self._state is None:
                self._state = State(self._settings, points.shape[1])
            state = self._state
            self.dimension = state.dimension
            if given is None:
                given = self._next_ids(len(points))
            elif not replace:
                known = next((one for one in given if one in state.row_of), None)
                if known is not None:
                    raise InputError(f"id {known!r} is there already; replace=True gives it the new vector.")
            with tqdm(total=len(points), desc="points added", unit="point", disable=None if progress else True) as bar:
                state.append(points, given, metadata, bar.update)
            return given

    def search(self, queries, k=10, *, ef=None, target=None, exact=False):
        k = whole_number(k, "k", 1)
        asked = vectors(queries, "queries", metric=self.metric, dimension=self.dimension)
        refuse_overflow(asked, "queries", self.metric)
        effort = None if exact else whole_number(self.ef if ef is None else ef, "ef", 1, HIGHEST_EF)
        state = self._state
        began = time.perf_counter()
        if state is None:
            found = [((), np.empty(0))] * len(asked)
        elif exact:
            found = self._exact(state, asked, k)
        else:
            found = self._approximate(state, asked, k, effort)
        seconds = time.perf_counter() - began
        return Hits(tuple(one for one, _ in found), tuple(far for _, far in found), k, effort, seconds, exact)

    def delete(self, ids):
        with self._changes:
            rows = self._rows(ids)
            if rows:
                self._state.remove(rows)
            return len(rows)

    def vectors(self, ids):
        state, rows = self._state, self._rows(ids)
        if not rows:
            return np.empty((0, self.dimension or 0), np.float32)
        return state.points[rows]

    def metadata(self, ids):
        state, rows = self._state, self._rows(ids)
        return [dict(state.metadata[row] or {}) for row in rows]

    def ids(self, start=0, count=None):
        state = self._state
        if state is None:
            return []
        with state.lock.shared():
            rows = state.live_rows()
        stop = None if count is None else start + count
        return [state.ids[row] for row in rows[start:stop]]

    def count(self):
        return 0 if self._state is None else self._state.live

    def compact(self, *, background=False):
        with self._changes:
            old = self._state
            if old is None or not old.dead:
                return
            rows = old.live_rows()
            new = State(self._settings, old.dimension, max(len(rows), 1))
            if len(rows):
                new.append(old.points[rows], [old.ids[row] for row in rows], [old.metadata[row] for row in rows])
            self._state = new

    def info(self):
        state = self._state
        return {
            "kind": self.kind, "metric": self.metric, "dimension": self.dimension, "points": self.count(),
            "deleted": 0 if state is None else state.dead, "M": self._settings.M,
            "ef_construction": self._settings.ef_construction, "ef": self.ef, "seed": self._settings.seed,
            "encoder": self.encoder, "version": 0 if state is None else state.version,
        }  # fmt: skip

    def tune(self, target, k: int, confidence: float = 0.95):
        raise InputError("targets are not supported yet.")

    def close(self):
        """Nothing is held open."""

    def _approximate(self, state, queries, k, ef):
        scaled = unit(queries) if self.metric == "cosine" else queries
        rows, values = state.ask(scaled, k, ef, self._settings.threads)
        far = np.maximum(values.astype(np.float64), 0)
        far = np.sqrt(far) if self.metric == "l2" else far
        far[rows == MISSING] = np.inf
        found = in_order(rows, far)
        return [
            _named(state, one[:k], distances[:k]) for one, distances in zip(found.ids, found.distances, strict=True)
        ]

    def _exact(self, state, queries, k):
        with state.lock.shared():
            base, rows = state.base()
        if not len(rows):
            return [((), np.empty(0))] * len(queries)
        with _EXACT:
            found = exact_neighbors(base, queries, k=min(k, len(rows)), metric=self.metric)
        return [_named(state, rows[one], far) for one, far in zip(found.ids, found.distances, strict=True)]

    def _rows(self, ids):
        row_of = {} if self._state is None else self._state.row_of
        checked = checked_ids(ids)
        unknown = next((one for one in checked if one not in row_of), None)
        if unknown is not None:
            raise InputError(f"id {unknown!r} is not in the collection.")
        return [row_of[one] for one in checked]

    def _next_ids(self, count):
        highest = max((one for one in self._state.row_of if not isinstance(one, str)), default=-1)
        if highest + count > HIGHEST_ID:
            raise InputError("the highest id leaves no room for more whole numbers; give the ids.")
        return list(range(highest + 1, highest + 1 + count))


def _named(state, rows, distances):
    kept = rows != MISSING
    return tuple(state.ids[row] for row in rows[kept]), distances[kept]


def _checked_metadata(metadata, count):
    if metadata is None:
        return [None] * count
    metadata = list(metadata)
    if len(metadata) != count:
        raise InputError(f"{len(metadata)} metadata are given for {count} vectors; there must be one a vector.")
    return [None if one is None else _as_json(one) for one in metadata]


def _as_json(one):
    if not isinstance(one, dict):
        raise InputError(f"metadata {one!r} is no dict.")
    try:
        return json.loads(json.dumps(one, allow_nan=False, default=lambda value: value.item()))
    except (TypeError, ValueError, AttributeError):
        raise InputError(
            f"metadata {one!r} cannot be written as JSON; values are text, numbers, lists and dicts."
        ) from None
