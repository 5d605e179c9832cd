"""Searches for a target: the first one measures the collection, which can take a minute, in the background."""

from __future__ import annotations

import threading

import numpy as np

from ..store import Hits, Store
from .limits import BACKGROUND, Refused

PATIENCE = 2.0  # seconds that a request waits for a measurement before it is told to ask again
MOST_WAITING = 4  # measurements that may be asked for at a time
MOST_KNOWN = 1_000


class Targets:
    """Searches of a store by target instead of ef.

    Parameters
    ----------
    store : Store
    patience : float
        Seconds a request waits.

    Examples
    --------
    >>> from neighborhood_drift import Collection
    >>> points = Collection(8)
    >>> _ = points.add(np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    >>> Targets(points, patience=60).search(points.vectors([3]), 5, "overlap=0.5").ids[0][0]
    3
    """

    def __init__(self, store: Store, patience: float = PATIENCE):
        self._store, self._patience = store, patience
        self._known: set[tuple[str, int]] = set()
        self._waiting: dict[tuple[str, int], _Measurement] = {}
        self._lock = threading.Lock()
        self._one = threading.Lock()

    def search(self, vector: np.ndarray, k: int, target: str) -> Hits:
        """Search k neighbors of a (1, d) vector with the ef that keeps the target.

        Raises
        ------
        Refused
            With status 503 while the collection is being measured for it.
        InputError
            As `Store.search`.
        """
        key = (target, k)
        with self._lock:
            known = key in self._known
            if not known:
                measured = self._waiting.get(key) or self._begin(key, vector)
        if known:
            return self._store.search(vector, k, target=target)
        if not measured.done.wait(self._patience):
            raise Refused(503, f"The ef for {target} at this k is being measured on the collection; ask again soon.")
        with self._lock:
            self._waiting.pop(key, None)
            if measured.error is not None:
                raise measured.error
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known.add(key)
        return self._store.search(vector, k, target=target)

    def _begin(self, key, vector) -> _Measurement:
        if len(self._waiting) >= MOST_WAITING:
            # what nobody came back for makes room
            self._waiting = {one: found for one, found in self._waiting.items() if not found.done.is_set()}
        if len(self._waiting) >= MOST_WAITING:
            raise Refused(503, "Other targets are being measured on the collection; ask again soon.")
        measured = self._waiting[key] = _Measurement()
        threading.Thread(
            target=self._measure, args=(key, vector, measured), name=f"{BACKGROUND}target", daemon=True
        ).start()
        return measured

    def _measure(self, key, vector, measured) -> None:
        try:
            with self._one:
                self._store.search(vector, key[1], target=key[0])
        except Exception as error:  # told to who asks for it
            measured.error = error
        finally:
            measured.done.set()


class _Measurement:
    def __init__(self):
        self.done = threading.Event()
        self.error: Exception | None = None
