"""A state built anew without what was deleted, while the old one is searched and changed."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np

from ..checks import InputError
from .state import State

BLOCK = 4096  # rows handed over at a time, so that no second copy of all vectors is held
FEW = 256  # changes that are caught up with while other changes wait
MOST_ROUNDS = 8
LONGEST_WAIT = 1.0  # seconds for searches of the old state to end, before its memory is given back


class Stopped(Exception):
    """The compaction was told to stop; nothing has changed."""


def compact(old: State, changes: threading.RLock, stop: threading.Event, swap: Callable[[State], None]) -> None:
    """Build a state of the live rows of ``old``, in their order, and hand it to ``swap``.

    Rounds catch up with what was added and deleted meanwhile, which the old state tells by itself: new rows stand at
    its end, and more of the known ones are marked. The last round holds ``changes``, so that it misses nothing.
    """
    # room for as many again, which takes memory only when it is filled: the next change would make it anyway
    new = State(old.settings, old.dimension, 2 * max(old.counts()[0], 1))
    place = np.empty(0, dtype=np.int64)
    for _ in range(MOST_ROUNDS):
        with changes:
            deleted, version = old.deleted.copy(), old.version
        place = _catch_up(old, new, place, deleted, stop)
        if old.version - version <= FEW:
            break
    with changes:
        _catch_up(old, new, place, old.deleted, stop)
        new.version = old.version + 1
        swap(new)


def _catch_up(old: State, new: State, place: np.ndarray, deleted: np.ndarray, stop: threading.Event) -> np.ndarray:
    """Bring ``new`` to the rows of ``old`` as ``deleted`` marks them.

    ``place`` says where each row of ``old`` that was seen before stands in ``new``, -1 for none; the same is returned.
    """

    def going_on():
        if stop.is_set():
            raise Stopped

    gone = np.flatnonzero(deleted[: len(place)] & (place >= 0))
    new.remove(place[gone].tolist())
    rows = len(place) + np.flatnonzero(~deleted[len(place) :])
    longer = np.full(len(deleted), -1, dtype=np.int64)
    longer[: len(place)] = place
    longer[gone] = -1
    longer[rows] = new.size + np.arange(len(rows))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        ids, metadata = [old.ids[row] for row in block], [old.metadata[row] for row in block]
        new.append(old.points[block], ids, metadata, stop=going_on)
    return longer


def _give_back(old: weakref.ref) -> None:
    """Give the memory that an old state leaves back to the system, once the searches in it have ended.

    glibc keeps what is freed for the thread that took it; with a thread for each compaction, parts of graphs pile up.
    """
    limit = time.monotonic() + LONGEST_WAIT
    while old() is not None and time.monotonic() < limit:
        time.sleep(0.01)
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


class _Job:
    """One compaction: asked to stop, and ended."""

    def __init__(self):
        self.stop, self.done = threading.Event(), threading.Event()


class Compaction:
    """One compaction at a time, at once or in the background.

    Attributes
    ----------
    status : str
        "none", "at work", or the words of the error that ended the last one in the background.
    """

    def __init__(self):
        self._guard = threading.Lock()
        self._job: _Job | None = None
        self._error: BaseException | None = None

    def run(self, current: Callable[[], State | None], changes: threading.RLock, swap, background: bool) -> None:
        """Compact the ``current()`` state unless nothing is deleted there.

        Raises an `InputError` where a compaction is at work already.
        """
        job, thread = _Job(), None
        with self._guard:
            if self._job is not None:
                raise InputError("a compaction is at work already; wait for it.")
            self._job = job
        try:
            # read only now: another compaction may just have put another one in its place; in a list, from which it is
            # taken, so that nothing keeps it when it is no longer needed
            states = [current()]
            if states[0] is None or not states[0].counts()[1]:
                return
            if background:
                self._error = None
                work = (job, states, changes, swap)
                thread = threading.Thread(target=self._behind, args=work, name="compaction", daemon=True)
                thread.start()
            else:
                self._compact(job, states, changes, swap)
        except Stopped:
            raise InputError("the compaction was stopped, as the collection was closed.") from None
        finally:
            if thread is None or thread.ident is None:  # else it ends by itself
                self._end(job)

    def wait(self) -> None:
        """Wait for what is at work, and raise the error that ended the last one in the background, once."""
        job = self._job
        if job is not None:
            job.done.wait()
        with self._guard:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def stop(self) -> None:
        """Stop what is at work, and wait until it has."""
        job = self._job
        if job is not None:
            job.stop.set()
            job.done.wait()

    @property
    def status(self) -> str:
        if self._job is not None:
            return "at work"
        return "none" if self._error is None else str(self._error)

    @staticmethod
    def _compact(job, states, changes, swap):
        old = weakref.ref(states[0])
        compact(states.pop(), changes, job.stop, swap)
        _give_back(old)

    def _behind(self, job, states, changes, swap):
        try:
            self._compact(job, states, changes, swap)
        except Stopped:
            pass
        except BaseException as error:  # kept for who waits
            self._error = error
        finally:
            self._end(job)

    def _end(self, job):
        self._job = None
        job.done.set()
