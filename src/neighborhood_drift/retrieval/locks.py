"""A lock that many may share or one may hold alone, served in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager

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
        self._queue: deque[tuple[bool, threading.Lock]] = deque()  # whether a writer waits, and what it waits on
        self.readers = 0
        self.writing = False

    @contextmanager
    def shared(self):
        """Hold the lock together with others that share it."""
        self._enter(alone=False)
        try:
            yield
        finally:
            self._leave(alone=False)

    @contextmanager
    def exclusive(self):
        """Hold the lock alone."""
        self._enter(alone=True)
        try:
            yield
        finally:
            self._leave(alone=True)

    def _enter(self, alone: bool) -> None:
        with self._guard:
            if not self._queue and self._free(alone):
                self._admit(alone)
                return
            turn = (alone, threading.Lock())
            turn[1].acquire()
            self._queue.append(turn)
        try:
            turn[1].acquire()
        except BaseException:  # an interrupt while waiting: the place in the queue, or the lock, is given back
            with self._guard:
                waiting = turn in self._queue
                if waiting:
                    self._queue.remove(turn)
                    self._next()
            if not waiting:
                self._leave(alone)
            raise

    def _leave(self, alone: bool) -> None:
        with self._guard:
            if alone:
                self.writing = False
            else:
                self.readers -= 1
            self._next()

    def _free(self, alone: bool) -> bool:
        return not self.writing and not (alone and self.readers)

    def _admit(self, alone: bool) -> None:
        if alone:
            self.writing = True
        else:
            self.readers += 1

    def _next(self) -> None:
        while self._queue and self._free(self._queue[0][0]):
            alone, turn = self._queue.popleft()
            self._admit(alone)
            turn.release()
