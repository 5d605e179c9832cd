"""What a search's effort means where k is higher: the store's own search, and FAISS's two over the same points."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from ...checks import InputError
from ...exact import exact_neighbors
from ...indexes import build_index
from ..locks import KERNELS
from ..store import Hits, Id, Store
from .limits import BACKGROUND, Limits, Refused

OWN, STAYS, FAISS_FOLLOWS = "follows-k", "stays", "faiss-follows-k"
RULES = {
    OWN: "hnswlib: effort follows k",
    STAYS: "FAISS's default: effort stays at ef",
    FAISS_FOLLOWS: "FAISS unbounded: effort follows k",
}
AGAIN = 5  # attempts to read points that change meanwhile
LEAST_KEPT = 5.0  # seconds for which a graph is searched at least, even if points have changed since
DEFAULT_EF = 50


@dataclass(frozen=True, eq=False)
class Graphs:
    """FAISS's graph of the points of a store at one moment, with its two searches."""

    moment: tuple
    ids: tuple[Id, ...]
    rows: dict[Id, int]
    vectors: np.ndarray
    metric: str
    searches: dict
    read: float  # time.monotonic() when its points were read, and when it was built
    built: float

    @property
    def recent(self) -> bool:
        """Whether it is searched even if points have changed since: for twice the time that it took, so that graphs of
        points that never rest are built a third of the time, and searched in between."""
        return time.monotonic() - self.built < max(LEAST_KEPT, 2 * (self.built - self.read))

    def search(self, rule: str, vector: np.ndarray, k: int, ef: int, leave_out: Id | None) -> Hits:
        """The k nearest of these points by one of the rules."""
        return self._hits(k, ef, leave_out, lambda most, row: self.searches[rule].search(
            vector, most, ef, exclude_self=False if row is None else row
        ))  # fmt: skip

    def exact(self, vector: np.ndarray, k: int, leave_out: Id | None) -> Hits:
        """The k nearest of these points in truth."""

        def neighbors(most, row):
            with KERNELS:
                return exact_neighbors(self.vectors, vector, k=most, metric=self.metric, exclude=row)

        return self._hits(k, None, leave_out, neighbors)

    def _hits(self, k, ef, leave_out, neighbors) -> Hits:
        row = self.rows.get(leave_out) if leave_out is not None else None
        most = min(k, len(self.ids) - (row is not None))
        start = time.perf_counter()
        if most == 0:
            return Hits(((),), (np.array([]),), k=k, ef=ef, seconds=0.0, exact=ef is None)
        found = neighbors(most, None if row is None else np.array([row]))
        seconds = time.perf_counter() - start
        came = found.ids[0] >= 0
        ids = tuple(self.ids[one] for one in found.ids[0][came])
        return Hits((ids,), (found.distances[0][came],), k=k, ef=ef, seconds=seconds, exact=ef is None)


class Engines:
    """FAISS's graph of the points that a store holds, built in the background where a search first asks for it.

    Parameters
    ----------
    store : Store
    limits : Limits
        ``engine_bytes`` bounds the vectors that are copied for it.

    Notes
    -----
    A graph is of the points at one moment, and so is the truth that its lists are compared with. After a change it is
    built anew, at most so often that it can be searched in between: until then its answers say that they are of an
    earlier moment. `changing` tells of a change; one that another process makes to a server's points is seen by their
    number alone.

    Examples
    --------
    >>> from neighborhood_drift import Collection
    >>> points = Collection(1)
    >>> _ = points.add([[0.0], [1.0], [3.0]], ids=["a", "b", "c"])
    >>> engines = Engines(points, Limits())
    >>> engines.prepare().join()
    >>> hits, exact, said = engines.search("stays", np.array([[0.9]], np.float32), k=2, ef=10, compare=True)
    >>> hits.ids, exact.ids, said
    ((('b', 'a'),), (('b', 'a'),), '')
    """

    def __init__(self, store: Store, limits: Limits):
        self.store, self.limits = store, limits
        self._changes = self._under_way = 0
        self._graphs: Graphs | None = None
        self._building: threading.Thread | None = None
        self._failed: tuple[tuple, str] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A block that adds or deletes points: no graph that was read before its end is of the points as they are."""
        with self._lock:
            self._under_way += 1
            self._changes += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._changes += 1

    def rules(self) -> list[dict]:
        """Name, label and readiness of each rule."""
        refusal = self._refusal()
        graphs = self._graphs
        ready = graphs is not None and (graphs.recent or graphs.moment == self._moment())
        reason = refusal or ("" if ready else "FAISS's graph is built at the first search that asks for it.")
        own = {"name": OWN, "label": _own_label(self.store), "ready": True, "reason": ""}
        others = [name for name in RULES if name != OWN]
        return [own, *({"name": n, "label": RULES[n], "ready": not reason, "reason": reason} for n in others)]

    def search(
        self, rule: str, vector: np.ndarray, k: int, ef: int | None, leave_out: Id | None = None, compare: bool = False
    ) -> tuple[Hits, Hits | None, str]:
        """Search FAISS's graph by one of its rules.

        Parameters
        ----------
        rule : str
            "stays" or "faiss-follows-k".
        vector : (1, d) array
        k, ef : int
        leave_out : int or str, optional
            The point that asks: not among its own neighbors.
        compare : bool, default False

        Returns
        -------
        Hits
        Hits or None
            With ``compare``, the exact neighbors among the same points.
        str
            A sentence where those are not the points as they are; else empty.

        Raises
        ------
        Refused
            With status 503 while the graph is being built, 400 where there are too many points for a second graph.
        """
        ef = ef or self.store.info().get("ef") or DEFAULT_EF
        if self.store.count() == 0:
            none = Hits(((),), (np.array([]),), k=k, ef=ef, seconds=0.0)
            return none, none if compare else None, ""
        refusal = self._refusal()
        if refusal:
            raise Refused(400, refusal)
        graphs, now = self._graphs, self._moment()
        current = graphs is not None and graphs.moment == now
        if not current and (graphs is None or not graphs.recent):
            self.prepare()
            raise Refused(503, "FAISS's graph of these points is being built; ask again in a few seconds.")
        age = time.monotonic() - graphs.read
        said = "" if current else f"The collection has changed; these are its points of {age:.0f} seconds ago."
        exact = graphs.exact(vector, k, leave_out) if compare else None
        return graphs.search(rule, vector, k, ef, leave_out), exact, said

    def prepare(self) -> threading.Thread | None:
        """Begin to build the graph of the points as they are, unless that goes on already; returns the thread."""
        with self._lock:
            if self._building is None and not self._refusal():
                self._building = threading.Thread(target=self._build, name=f"{BACKGROUND}graph", daemon=True)
                self._building.start()
            return self._building

    def _refusal(self) -> str:
        count, failed = self.store.count(), self._failed
        if failed is not None and failed[0] == self._moment():
            return failed[1]
        if count * (self.store.dimension or 0) * 4 > self.limits.engine_bytes:
            return (
                f"{count} points are too many for FAISS's graph beside the collection's own; "
                f"it is built for up to {self.limits.engine_bytes} bytes of vectors."
            )
        return ""

    def _moment(self) -> tuple:
        about = self.store.info()
        # a store of this process counts its own changes, also while one is under way
        return about.get("changes", (self._changes, self._under_way)), about["points"]

    def _build(self) -> None:
        moment, read = self._moment(), time.monotonic()
        try:
            moment, ids, vectors = self._points()
            about = self.store.info()
            params = {name: about[name] for name in ("M", "ef_construction") if about.get(name)}
            stays = build_index("faiss-hnsw", vectors, metric=self.store.metric, **params)
            searches = {STAYS: stays, FAISS_FOLLOWS: stays.unbounded()}
            rows = {one: row for row, one in enumerate(ids)}
            self._graphs = Graphs(moment, ids, rows, vectors, self.store.metric, searches, read, time.monotonic())
        except Exception as error:  # whatever it was, the same points would fail again
            self._failed = (moment, f"FAISS's graph could not be built: {error}")
        finally:
            with self._lock:
                self._building = None

    def _points(self) -> tuple[tuple, tuple[Id, ...], np.ndarray]:
        for _ in range(AGAIN):
            moment, ids = self._moment(), self.store.ids()
            with suppress(InputError):  # a point was deleted since
                vectors = self.store.vectors(ids)
                rested = self._moment() == moment and (isinstance(moment[0], int) or not self._under_way)
                return moment if rested else (), tuple(ids), vectors
        raise InputError("the points changed all the while.")


def _own_label(store: Store) -> str:
    return RULES[OWN] if "hnswlib" in store.kind else f"{store.kind}: its own search"
