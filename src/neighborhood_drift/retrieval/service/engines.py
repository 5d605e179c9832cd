"""What a search's effort means where k is higher: the store's own search, and FAISS's two over the same points."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ...checks import InputError
from ...indexes import build_index
from ..store import Hits, Id, Store
from .limits import BACKGROUND, Limits, Refused

OWN, STAYS, FAISS_FOLLOWS = "follows-k", "stays", "faiss-follows-k"
RULES = {
    OWN: "hnswlib: effort follows k",
    STAYS: "FAISS's default: effort stays at ef",
    FAISS_FOLLOWS: "FAISS unbounded: effort follows k",
}
AGAIN = 5  # attempts to read points that change meanwhile
DEFAULT_EF = 50


@dataclass(frozen=True, eq=False)
class Graphs:
    """FAISS's graph of the points of a store at one moment, with its two searches."""

    moment: tuple
    ids: tuple[Id, ...]
    rows: dict[Id, int]
    searches: dict


class Engines:
    """FAISS's graph of the points that a store holds, built in the background where a search first asks for it.

    Parameters
    ----------
    store : Store
    limits : Limits
        ``engine_bytes`` bounds the vectors that are copied for it.

    Notes
    -----
    A graph is of the points at one moment: after a change it is built anew, because lists of two engines are compared
    only over the same points. `changed` tells of a change; one that another process makes to a server's points is seen
    by their number alone.

    Examples
    --------
    >>> from neighborhood_drift import Collection
    >>> points = Collection(1)
    >>> _ = points.add([[0.0], [1.0], [3.0]], ids=["a", "b", "c"])
    >>> engines = Engines(points, Limits())
    >>> engines.prepare().join()
    >>> engines.search("stays", np.array([[0.9]], np.float32), k=2, ef=10).ids
    (('b', 'a'),)
    """

    def __init__(self, store: Store, limits: Limits):
        self.store, self.limits = store, limits
        self._changes = 0
        self._graphs: Graphs | None = None
        self._building: threading.Thread | None = None
        self._failed: tuple[tuple, str] | None = None
        self._lock = threading.Lock()

    def changed(self) -> None:
        """Say that points were added or deleted; a graph built before is not searched any more."""
        with self._lock:
            self._changes += 1

    def rules(self) -> list[dict]:
        """Name, label and readiness of each rule."""
        refusal = self._refusal()
        reason = refusal or ("" if self._current() else "FAISS's graph is built at the first search that asks for it.")
        own = {"name": OWN, "label": _own_label(self.store), "ready": True, "reason": ""}
        others = [name for name in RULES if name != OWN]
        return [own, *({"name": n, "label": RULES[n], "ready": not reason, "reason": reason} for n in others)]

    def search(self, rule: str, vector: np.ndarray, k: int, ef: int | None, leave_out: Id | None = None) -> Hits:
        """Search FAISS's graph by one of its rules.

        Parameters
        ----------
        rule : str
            "stays" or "faiss-follows-k".
        vector : (1, d) array
        k, ef : int
        leave_out : int or str, optional
            The point that asks: not among its own neighbors.

        Raises
        ------
        Refused
            With status 503 while the graph is being built, 400 where there are too many points for a second graph.
        """
        if self.store.count() == 0:
            return Hits(((),), (np.array([]),), k=k, ef=ef, seconds=0.0)
        refusal = self._refusal()
        if refusal:
            raise Refused(400, refusal)
        graphs = self._current()
        if graphs is None:
            self.prepare()
            raise Refused(503, "FAISS's graph of these points is being built; ask again in a few seconds.")
        row = graphs.rows.get(leave_out) if leave_out is not None else None
        most = min(k, len(graphs.ids) - (row is not None))
        ef = ef or self.store.info().get("ef") or DEFAULT_EF
        if most == 0:
            return Hits(((),), (np.array([]),), k=k, ef=ef, seconds=0.0)
        start = time.perf_counter()
        found = graphs.searches[rule].search(vector, most, ef, exclude_self=False if row is None else np.array([row]))
        seconds = time.perf_counter() - start
        came = found.ids[0] >= 0
        ids = tuple(graphs.ids[one] for one in found.ids[0][came])
        return Hits((ids,), (found.distances[0][came],), k=k, ef=ef, seconds=seconds)

    def prepare(self) -> threading.Thread | None:
        """Begin to build the graph of the points as they are, unless that goes on already; returns the thread."""
        with self._lock:
            if self._building is None and not self._refusal():
                self._building = threading.Thread(target=self._build, name=f"{BACKGROUND}graph", daemon=True)
                self._building.start()
            return self._building

    def _current(self) -> Graphs | None:
        graphs = self._graphs
        return graphs if graphs is not None and graphs.moment == self._moment() else None

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
        return self._changes, self.store.count()

    def _build(self) -> None:
        moment = self._moment()
        try:
            moment, ids, vectors = self._points()
            about = self.store.info()
            params = {name: about[name] for name in ("M", "ef_construction") if about.get(name)}
            stays = build_index("faiss-hnsw", vectors, metric=self.store.metric, **params)
            searches = {STAYS: stays, FAISS_FOLLOWS: stays.unbounded()}
            self._graphs = Graphs(moment, ids, {one: row for row, one in enumerate(ids)}, searches)
        except Exception as error:  # whatever it was, the same points would fail again
            self._failed = (moment, f"FAISS's graph could not be built: {error}")
        finally:
            with self._lock:
                self._building = None

    def _points(self) -> tuple[tuple, tuple[Id, ...], np.ndarray]:
        for _ in range(AGAIN):
            moment, ids = self._moment(), self.store.ids()
            with suppress(InputError):  # a point was deleted since
                return moment, tuple(ids), self.store.vectors(ids)
        raise InputError("the points changed all the while.")


def _own_label(store: Store) -> str:
    return RULES[OWN] if "hnswlib" in store.kind else f"{store.kind}: its own search"
