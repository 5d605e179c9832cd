"""The ef for a target: to choose it the collection is measured, which can take a minute, in the background."""

from __future__ import annotations

import threading

import numpy as np

from ...calibration.targets import Target
from ...checks import InputError
from ..checked import checked_search
from ..chosen import Chosen
from ..store import Store
from .limits import BACKGROUND, Refused

PATIENCE = 2.0  # seconds that a request waits for a measurement before it is told to ask again
MOST_WAITING = 4  # measurements that may be asked for at a time


class Targets:
    """Efforts of a store for targets.

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
    >>> Targets(points, patience=60).ef(points.vectors([3]), 5, "overlap=0.5") > 0
    True
    """

    def __init__(self, store: Store, patience: float = PATIENCE):
        self._store, self._patience = store, patience
        self._waiting: dict[tuple[str, int], _Measurement] = {}
        self._lock = threading.Lock()
        self._one = threading.Lock()

    def ef(self, vector: np.ndarray, k: int, target: str | None) -> int:
        """The ef of a search that names none.

        Whoever asks first waits a little while it is measured, which a small collection's is done in; others are told
        to ask again at once, so that they do not hold the threads that answer requests.

        Parameters
        ----------
        vector : (1, d) array
            The query, with which the store is made to measure itself.
        k : int
        target : str or None
            None: the store's own target if it has one, else its own ef.

        Raises
        ------
        Refused
            With status 503 while the collection is being measured for it.
        InputError
            As `Store.search`.
        """

        def chosen_ef(wanted: Target, k: int) -> int:
            return self._chosen(wanted, k) or self._measured(vector, wanted, k)

        return checked_search(self._store, vector, k, None, target, False, self._store.dimension, chosen_ef)[2]

    def _chosen(self, target: Target, k: int) -> int | None:
        """The ef that the store has chosen, unless too many points have changed since."""
        for chosen in (Chosen(**one) for one in self._store.info().get("chosen", ())):
            if (chosen.target, chosen.k) == (target.text, k) and not chosen.stale:
                if chosen.ef is None:
                    raise InputError(chosen.sentence)
                return chosen.ef
        return None

    def _measured(self, vector, target: Target, k: int) -> int:
        key = (target.text, k)
        with self._lock:
            measured, patience = self._waiting.get(key), 0.0
            if measured is None:
                measured, patience = self._begin(key, vector, target), self._patience
        if measured.done.wait(patience):
            with self._lock:
                self._waiting.pop(key, None)
            if measured.error is not None:
                raise measured.error
            ef = self._chosen(target, k)
            if ef is not None:
                return ef
        # or many points changed while it was measured
        raise Refused(503, f"The ef for this target at k = {k} is being measured on the collection; ask again soon.")

    def _begin(self, key, vector, target) -> _Measurement:
        if len(self._waiting) >= MOST_WAITING:
            # what nobody came back for makes room
            self._waiting = {one: found for one, found in self._waiting.items() if not found.done.is_set()}
        if len(self._waiting) >= MOST_WAITING:
            raise Refused(503, "Other targets are being measured on the collection; ask again soon.")
        measured = self._waiting[key] = _Measurement()
        threading.Thread(
            target=self._measure, args=(vector, key[1], target, measured), name=f"{BACKGROUND}target", daemon=True
        ).start()
        return measured

    def _measure(self, vector, k, target, measured) -> None:
        try:
            with self._one:
                self._store.search(vector, k, target=target)
        except Exception as error:  # told to who asks for it
            measured.error = error
        finally:
            measured.done.set()


class _Measurement:
    def __init__(self):
        self.done = threading.Event()
        self.error: Exception | None = None
