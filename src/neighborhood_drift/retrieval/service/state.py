"""What the requests of one service share: the store, its engines and counters, and what is not saved yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...checks import InputError
from ..pictures import Thumbnails
from ..store import Store
from .engines import Engines
from .limits import BACKGROUND, Limits
from .metrics import Metrics
from .searching import Pictures, Searcher


class State:
    """What the requests of one application share.

    Examples
    --------
    >>> from neighborhood_drift import Collection
    >>> state = State(Collection(1), None, Limits(), None)
    >>> with state.changing():
    ...     _ = state.store.add([[0.5]])
    >>> state.unsaved
    True
    """

    def __init__(self, store: Store, thumbnails: Thumbnails | None, limits: Limits, weights):
        self.store, self.limits = store, limits
        self.metrics = Metrics(store)
        self.engines = Engines(store, limits)
        self.pictures = Pictures(getattr(store, "encoder", None), weights)
        self.searcher = Searcher(store, self.engines, thumbnails, self.metrics)
        self.thumbnails = thumbnails
        self._changes = 0  # since the last save, begun or done
        self._counting, self._saving = threading.Lock(), threading.Lock()

    @property
    def unsaved(self) -> bool:
        """Whether there is something to save, as the store says it, or else as changes were counted here."""
        return getattr(self.store, "changed", self._changes > 0)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A block that changes the store's points; one that fails may have changed some."""
        with self.engines.changing():
            try:
                yield
            finally:
                with self._counting:
                    self._changes += 1

    def save(self) -> None:
        """Save the store; a change that comes meanwhile stays noted."""
        with self._saving:
            before = self._changes
            self.store.save()
            with self._counting:
                self._changes -= before

    def warm_up(self) -> None:
        """Search once in the background: the kernels of an exact search are compiled at the first one."""
        threading.Thread(target=self._search_once, name=f"{BACKGROUND}warm-up", daemon=True).start()

    def _search_once(self) -> None:
        with suppress(InputError):  # a point was deleted since
            self.store.search(self.store.vectors(self.store.ids(0, 1)), 1, exact=True)
