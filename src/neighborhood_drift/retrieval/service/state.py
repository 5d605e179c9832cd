"""What the requests of one service share: the store, its engines and counters, and what is not saved yet."""

from __future__ import annotations

import threading

from ..pictures import Thumbnails
from ..store import Store
from .engines import Engines
from .limits import Limits
from .metrics import Metrics
from .searching import Pictures, Searcher


class State:
    """What the requests of one application share.

    Attributes
    ----------
    changes : int
        Requests so far that changed data and were not saved since; read by who saves at the end.
    """

    def __init__(self, store: Store, thumbnails: Thumbnails | None, limits: Limits, weights):
        self.store, self.limits = store, limits
        self.metrics = Metrics(store)
        self.engines = Engines(store, limits)
        self.pictures = Pictures(getattr(store, "encoder", None), weights)
        self.searcher = Searcher(store, self.engines, thumbnails, self.metrics)
        self.thumbnails = thumbnails
        self.changes = 0
        self._counting, self._saving = threading.Lock(), threading.Lock()

    def note(self) -> None:
        """Note that there is something to save."""
        with self._counting:
            self.changes += 1

    def changed(self, change: str, points: int) -> None:
        """Note that points were "added" or "deleted"."""
        self.note()
        self.engines.changed()
        self.metrics.change(change, points)

    def save(self) -> None:
        """Save the store; a change that comes meanwhile stays noted."""
        with self._saving:
            before = self.changes
            self.store.save()
            with self._counting:
                self.changes -= before
