"""Work by several threads, each with a BLAS of one thread, that is finished in the order it was begun."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from threading import Lock

from threadpoolctl import ThreadpoolController

# The number of BLAS threads is one number for the whole process: searches that run at once take turns.
_BLAS = Lock()
# Works begun ahead of the oldest that is unfinished, for each thread.
AHEAD = 4


class InTurn:
    """Threads for works of two steps: the first at any time, the second in turn among works that share a key.

    A BLAS of several threads and compiled loops of several threads, one after the other, take processors from each
    other, since the threads of either keep theirs busy for a while after their work. Here each thread takes a product
    and goes on with its loops. Used as a context: at its end everything is finished, the BLAS has its threads again,
    and the first error of a work is raised.

    Parameters
    ----------
    workers : int
        Threads.

    Examples
    --------
    >>> done = []
    >>> with InTurn(2) as turns:
    ...     for number in range(4):
    ...         turns.begin(lambda number=number: 10 * number, done.append, {"list"})
    >>> done
    [0, 10, 20, 30]
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._last, self._running = {}, deque()

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(_BLAS)
            stack.enter_context(_blas().limit(limits=1, user_api="blas"))
            self._pool = stack.enter_context(ThreadPoolExecutor(self.workers))
            self._held = stack.pop_all()
        return self

    def __exit__(self, error, *_):
        with self._held:
            try:
                if error is None:
                    for work in self._running:
                        work.result()
            finally:
                self._pool.shutdown(cancel_futures=True)

    def begin(self, first, second, keys):
        """Call ``second(first())`` in some thread, ``second`` not before works that were begun with one of ``keys``."""
        before = [self._last[key] for key in keys if key in self._last]
        work = self._pool.submit(_run, first, second, before)
        self._last |= dict.fromkeys(keys, work)
        self._running.append(work)
        if len(self._running) > AHEAD * self.workers:
            self._running.popleft().result()


def _run(first, second, before):
    made = first()
    for work in before:  # begun earlier, and so never waiting for this one; an error there is raised here
        work.result()
    second(made)


@cache
def _blas():
    return ThreadpoolController()
