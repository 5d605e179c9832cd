"""Vectors in an hnswlib graph that is searched, changed, saved and compacted at the same time."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from .. import checks
from ..calibration.decide import Choice
from ..calibration.targets import Target
from ..checks import InputError, whole_number
from ..indexes.base import DEFAULT_EF, refuse_overflow
from . import answering, disk
from .checked import SAMPLE, checked_search, checked_start, sample_size
from .chosen import Chosen, ChosenEfforts, tuned
from .compacting import Compaction
from .settings import Settings
from .state import State
from .store import Hits, Id, Store, checked_ids, checked_metadata


class Collection(Store):
    """Vectors in memory under the user's ids, in an hnswlib graph; kept as a folder of open files.

    Any thread may call anything at any time. Changes wait for each other and for `save` and `tune`; searches wait for
    a change only while some points enter the graph, a few milliseconds at a time. A search sees every change that
    returned before it began, and perhaps a part of one that is under way. Deleted points stay in the graph as
    tombstones, through which searches walk but which they never return, until `compact`. A process that changes a
    collection holds it alone: `save` refuses to replace what another process has saved since. An `add` that is
    interrupted leaves the points that it had added.

    Parameters
    ----------
    dimension : int, optional
        d; without it that of the first points added.
    metric : {"l2", "cosine"}
    M, ef_construction : int
        Build parameters of HNSW: links a point, and effort of an insertion.
    ef : int
        Search effort of a search that names none. A search meets max(ef, k) points: effort follows k.
    seed : int
        Of the graph's levels. With one thread the same changes give the same graph, unless it was loaded in between:
        then hnswlib draws levels from the start again.
    threads : int
        Threads that insert points and search batches of queries; one query is searched by one thread.
    encoder : dict, optional
        How an image becomes a vector, as in JSON; kept, not used here.
    target : str, optional
        What a search has to reach that names neither ``ef`` nor a target, such as "overlap=0.95". While there are too
        few points to certify it, such a search has the effort that meets all of them.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> collection = Collection(metric="l2")
    >>> collection.add(np.eye(3, dtype=np.float32), ids=["a", "b", 7], metadata=[{"label": "cat"}, None, None])
    ['a', 'b', 7]
    >>> hits = collection.search(np.array([[3, 1, 0]]), k=2)
    >>> hits.ids, collection.metadata(hits.ids[0])
    ((('a', 'b'),), [{'label': 'cat'}, {}])
    >>> collection.delete(["a"]), collection.search([[1.0, 0.0, 0.0]], k=3).note
    (1, '1 of 1 queries found fewer than k = 3 neighbors, the fewest 2.')
    """

    kind: ClassVar[str] = "hnswlib in memory"

    def __init__(
        self, dimension: int | None = None, *, metric: str = "l2", M: int = 32, ef_construction: int = 200,
        ef: int = DEFAULT_EF, seed: int = 0, threads: int = 1, encoder: dict | None = None, target: str | None = None,
    ):  # fmt: skip
        self._settings = Settings.checked(metric, M, ef_construction, seed, threads)
        self.metric = metric
        self.dimension, self.ef, self.encoder, self.target = checked_start(dimension, ef, encoder, target)
        self._state: State | None = None
        self._changes = threading.RLock()
        self._compaction = Compaction()
        self._chosen = ChosenEfforts()
        self._path: Path | None = None
        self._said: dict[Path, tuple[str, ...]] = {}  # what CURRENT may say there of states of this collection
        self._saved_version = 0

    @classmethod
    def load(cls, path, *, rebuild: bool = False) -> Collection:
        """Read what `save` wrote, every file against its checksum.

        Parameters
        ----------
        path : path
        rebuild : bool, default False
            Whether the graph is made anew from the vectors, without deleted points: for one that is lost or damaged.

        Raises
        ------
        InputError
            If there is no collection, or a file of it is missing, damaged, or of a newer format.

        Notes
        -----
        Checksums tell damage, not malice: load the graphs of people you trust, or rebuild them.
        """
        about, state, said = disk.read(path, rebuild)
        described = {name: about[name] for name in disk.DESCRIBED}
        chosen = described.pop("chosen")
        collection = cls(**described)
        collection._state, collection._path = state, Path(path).resolve()
        collection._said = {collection._path: (said,)}
        if not rebuild:
            collection._chosen = ChosenEfforts(Chosen(**one) for one in chosen)
        return collection

    def save(self, path=None, *, overwrite: bool = False) -> None:
        """Keep all that was added and deleted so far; changes wait meanwhile, searches go on.

        While hnswlib writes the graph all threads of the process stand still, as the library keeps Python's lock.

        Parameters
        ----------
        path : path, optional
            A folder; without it that where the collection was loaded from or saved last.
        overwrite : bool, default False
            Whether another collection, or what another process has saved since, may be replaced there.

        Raises
        ------
        InputError
            If there is no path, it holds something else, or another process saves there.
        """
        with self._changes:
            if path is None and self._path is None:
                raise InputError("the collection has no folder yet; name one to save it to.")
            path = self._path if path is None else Path(path).resolve()
            known = self._said.get(path, ())
            _, _, version = self._counts()
            about = {
                "dimension": self.dimension, **vars(self._settings), "ef": self.ef, "encoder": self.encoder,
                "target": self.target, "points": self.count(), "chosen": self._chosen.as_json(version),
            }  # fmt: skip
            update = self._said.update
            try:
                disk.write(path, about, self._state, known, lambda now: update({path: (*known, now)}), overwrite)
            finally:  # an interrupt may come when CURRENT names the new state already
                said = self._said.get(path, ())
                if said != known and disk.pointer(path) == said[-1]:
                    self._said[path], self._path, self._saved_version = said[-1:], path, version

    def add(
        self, vectors, ids: Iterable[Id] | None = None, metadata: Sequence[dict | None] | None = None, *,
        replace: bool = False, progress: bool = False,
    ) -> list[Id]:  # fmt: skip
        points = checks.vectors(vectors, "vectors", metric=self.metric, dimension=self.dimension)
        refuse_overflow(points, "vectors", self.metric)
        given = None if ids is None else checked_ids(ids, len(points))
        metadata = checked_metadata(metadata, len(points))
        with self._changes:
            if self.dimension not in (None, points.shape[1]):  # it had none when the vectors were checked
                raise InputError(f"vectors has {points.shape[1]} dimensions; the collection has {self.dimension}.")
            self.dimension = points.shape[1]
            self._state = state = self._state or State(self._settings, self.dimension)
            if given is None:
                given = state.next_ids(len(points))
            elif not replace and any(one in state.row_of for one in given):
                there = next(one for one in given if one in state.row_of)
                raise InputError(f"id {there!r} is there already; replace=True gives it the new vector.")
            if not progress:  # no bar at all: each takes a lock of the whole process
                state.append(points, given, metadata)
                return given
            with tqdm(total=len(points), desc="points added", unit="point", disable=None) as bar:
                state.append(points, given, metadata, tick=bar.update)
        return given

    def search(self, queries, k: int = 10, *, ef: int | None = None, target=None, exact: bool = False) -> Hits:
        state = self._state
        dimension = self.dimension if state is None else state.dimension
        queries, k, ef = checked_search(self, queries, k, ef, target, exact, dimension, self._chosen_ef)
        began = time.perf_counter()
        if state is None:
            found = [((), np.empty(0)) for _ in queries]
        else:
            found = answering.exact(state, queries, k) if exact else answering.approximate(state, queries, k, ef)
        seconds = time.perf_counter() - began
        ids, distances = zip(*found, strict=True)
        return Hits(ids, distances, k, None if exact else ef, seconds, exact)

    def tune(
        self, target: Target | str, k: int, confidence: float = 0.95, *, queries=None, size: int = SAMPLE,
        progress: bool = False,
    ) -> Choice:  # fmt: skip
        """Choose the smallest effort that reaches a target, as `choose_ef` does, and keep it for searches by target.

        It is kept until `compact`, or until more points than a share of `chosen.STALE` were added and deleted; what is
        certified is certified for the collection as it is now. Changes wait meanwhile; searches go on, exact ones
        between the steps of this one.

        ``queries`` are such as will be asked, used for nothing else; without them points are asked, leave-one-out.
        ``size`` of them are drawn. Raises an `InputError` where a value is out of range (k goes up to one less than
        there are points), or the queries are too few to certify the target.
        """
        with self._changes:
            points, _, version = self._counts()
            how = {"queries": queries, "size": size, "seed": self._settings.seed, "progress": progress}
            choice = tuned(self, target, k, confidence, **how)
            self._chosen.keep(choice, points, version)
        return choice

    def delete(self, ids: Iterable[Id]) -> int:
        ids = checked_ids(ids)
        with self._changes:
            _, rows = self._rows(ids)
            if rows:
                self._state.remove(rows)
        return len(ids)

    def vectors(self, ids: Iterable[Id]) -> np.ndarray:
        state, rows = self._rows(checked_ids(ids))
        return state.points[rows] if rows else np.empty((0, self.dimension or 0), dtype=np.float32)

    def metadata(self, ids: Iterable[Id]) -> list[dict]:
        state, rows = self._rows(checked_ids(ids))
        return [copy.deepcopy(state.metadata[row]) for row in rows]

    def ids(self, start: int = 0, count: int | None = None) -> list[Id]:
        """Ids in the order in which points were added; a replaced point is added at the end."""
        start = whole_number(start, "start", 0)
        stop = None if count is None else start + whole_number(count, "count", 0)
        state = self._state
        return [] if state is None else [state.ids[row] for row in state.live_rows()[start:stop]]

    def count(self) -> int:
        return self._counts()[0]

    def compact(self, *, background: bool = False) -> None:
        """Build the graph anew without deleted points, in the order in which the others were added.

        It takes the memory of a second collection until it ends. Searches and changes go on; the last of these wait a
        moment. `wait` waits for it, and raises what went wrong in one in the background.
        """
        self._compaction.run(lambda: self._state, self._changes, self._swap, background)

    def wait(self) -> None:
        """Wait for a compaction that is at work; raises the error that ended the last one in the background, once."""
        self._compaction.wait()

    @property
    def changed(self) -> bool:
        """Whether points were added, deleted or compacted since the collection was saved or loaded."""
        return self._counts()[2] != self._saved_version

    def info(self) -> dict:
        points, deleted, version = self._counts()
        return {
            "kind": self.kind, "metric": self.metric, "dimension": self.dimension, "points": points,
            "deleted": deleted, **vars(self._settings), "ef": self.ef, "target": self.target, "encoder": self.encoder,
            "chosen": self._chosen.as_json(version), "changes": version, "saved": not self.changed,
            "path": None if self._path is None else str(self._path), "compaction": self._compaction.status,
        }  # fmt: skip

    def close(self) -> None:
        """Stop a compaction that is at work; the collection stays as it is."""
        self._compaction.stop()

    def _counts(self) -> tuple[int, int, int]:
        state = self._state
        return (0, 0, 0) if state is None else state.counts()

    def _swap(self, state: State) -> None:
        self._chosen.forget()
        self._state = state

    def _chosen_ef(self, target: Target, k: int) -> int:
        chosen = self._chosen.fresh(target.text, k, self._counts()[2])
        if chosen is None:
            with self._changes:
                version = self._counts()[2]
                if self._chosen.fresh(target.text, k, version) is None:  # no other search has chosen it meanwhile
                    self.tune(target, k, size=sample_size(target))
                chosen = self._chosen.fresh(target.text, k, version)
        if chosen.ef is None:
            raise InputError(chosen.sentence)
        return chosen.ef

    def _rows(self, ids: list[Id]) -> tuple[State | None, list[int]]:
        state = self._state
        rows = [None] * len(ids) if state is None else state.rows(ids)
        if None in rows:
            raise InputError(f"id {ids[rows.index(None)]!r} is not there.")
        return state, rows
