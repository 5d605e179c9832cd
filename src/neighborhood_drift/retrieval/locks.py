"""A lock that many may share or one may hold alone, served in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field

# The kernels of exact search and of the metrics use all cores, and with numba's simplest layer of threads, the only one
# on some systems, two of them at once end the process.
KERNELS = threading.RLock()


class ReadWriteLock:
    """Many readers at once, or one writer; who asks first is let in first, so neither kind starves.

    A thread must not ask again while it holds the lock.

    Examples
    --------
    >>> lock = ReadWriteLock()
    >>> with lock.shared(), lock.shared():
    ...     lock.readers
    2
    """

    def __init__(self):
        self._guard = threading.Lock()
        self._queue: deque[_Turn] = deque()
        self._inside: set[_Turn] = set()

    @property
    def readers(self) -> int:
        """How many share the lock now."""
        return sum(not one.alone for one in self._inside)

    @property
    def writing(self) -> bool:
        """Whether one holds it alone now."""
        return any(one.alone for one in self._inside)

    def shared(self):
        """Hold the lock together with others that share it."""
        return self._held(_Turn(alone=False))

    def exclusive(self):
        """Hold the lock alone."""
        return self._held(_Turn(alone=True))

    @contextmanager
    def _held(self, turn: _Turn):
        """An interrupt may arrive between any two steps; wherever it does, the turn is given back."""
        try:
            self._enter(turn)
            yield
        finally:
            try:
                self._leave(turn)
            except BaseException:
                self._leave(turn)
                raise

    def _enter(self, turn: _Turn) -> None:
        with self._guard:
            self._queue.append(turn)
            self._admit()
        turn.come.wait()

    def _leave(self, turn: _Turn) -> None:
        with self._guard:
            self._inside.discard(turn)
            if turn in self._queue:
                self._queue.remove(turn)
            self._admit()

    def _admit(self) -> None:
        while self._queue and (self._queue[0] in self._inside or self._free(self._queue[0].alone)):
            self._inside.add(self._queue[0])
            self._queue[0].come.set()
            self._queue.popleft()

    def _free(self, alone: bool) -> bool:
        return not self._inside if alone else not self.writing


@dataclass(eq=False)
class _Turn:
    alone: bool
    come: threading.Event = field(default_factory=threading.Event)
