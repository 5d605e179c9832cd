"""An interrupt at any moment leaves a collection as it was or as it should be, and its lock free."""

import inspect
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from neighborhood_drift import InputError
from neighborhood_drift.retrieval import Collection
from neighborhood_drift.retrieval.locks import ReadWriteLock

# where the interrupt comes while Python frees an object it is only told
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def in_memory(monkeypatch):
    """Without waiting for the disk, as nobody cuts the power here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def points(count, dimension=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def interrupted(work, at):
    """Do ``work`` with an interrupt at the ``at``-th moment where Python looks for one; whether it came.

    These moments are the beginning of a function and the end of a call of what is not Python.
    """
    left = [at]

    def count(frame, event, arg):
        begins = event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR
        left[0] -= begins or event == "c_return"
        if not left[0]:
            raise KeyboardInterrupt  # this ends the profile too

    try:
        sys.setprofile(count)
        work()
    except BaseException:  # NumPy makes other errors of it
        if left[0] > 0:
            raise
    finally:
        sys.setprofile(None)
    return left[0] <= 0


def filled():
    collection = Collection(M=4, ef_construction=10)
    collection.add(points(12), metadata=[{"row": row} for row in range(12)])
    collection.delete([11])
    return collection


def content(collection):
    """What each id is: its vector and metadata."""
    ids = collection.ids()
    return dict(zip(ids, zip(collection.vectors(ids).tolist(), collection.metadata(ids), strict=True), strict=True))


def check_whole(collection, folder):
    """All ways to ask agree, what is deleted does not come back, and what is saved is loaded."""
    known, queries = content(collection), points(5, seed=9)
    assert collection.count() == len(known) == collection.info()["points"]
    exact = collection.search(queries, 50, exact=True)
    assert all(set(ids) == set(known) for ids in exact.ids)
    assert collection.search(queries, 50, ef=100).ids == exact.ids
    if folder is not None:
        collection.save(folder, overwrite=True)
        assert content(Collection.load(folder)) == known
        assert Collection.load(folder).search(queries, 50, ef=100).ids == exact.ids


CHANGES = {
    "delete": lambda c: c.delete([2, 5, 7]),
    "add": lambda c: c.add(points(3, seed=1), ["a", "b", "c"]),
    "replace": lambda c: c.add(points(3, seed=2), [3, 4, "d"], [{"row": "new"}] * 3, replace=True),
    "search": lambda c: c.search(points(2, seed=3), 3),
    "compact": lambda c: c.compact(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_interrupt_at_any_step_of_a_change_leaves_each_point_as_it_was_or_as_it_should_be(change, tmp_path):
    before, done = content(filled()), filled()
    CHANGES[change](done)
    after, steps = content(done), 0
    while True:
        collection, steps = filled(), steps + 1
        came = interrupted(lambda one=collection: CHANGES[change](one), steps)
        found = content(collection)
        assert all(found.get(one) in (before.get(one), after.get(one)) for one in {*before, *after, *found}), steps
        check_whole(collection, tmp_path if steps % 10 == 0 else None)
        wanted = {"delete": [one for one in (2, 5, 7) if one in found], "add": None, "replace": [3, 4]}.get(change)
        if wanted:
            assert collection.delete(wanted) == len(wanted)  # what is there can be deleted
        collection.add(points(3, seed=4), [0, 1, "e"], replace=True)
        check_whole(collection, None)
        if not came:
            break
    assert found == after and steps > 20, steps
    check_whole(collection, tmp_path)


def test_a_save_that_is_interrupted_at_any_step_can_be_done_again(tmp_path):
    steps, came = 0, True
    while came:
        steps += 31  # thousands of moments: one in 31
        collection, folder = filled(), tmp_path / str(steps)
        collection.save(folder)
        collection.add(points(1, seed=1), ["new"])
        came = interrupted(collection.save, steps)
        kept = len(Collection.load(folder))
        assert kept == 12 or (kept == 11 and collection.changed)
        collection.save()
        assert content(Collection.load(folder)) == content(collection) and len(list(folder.iterdir())) == 3
    assert steps > 100


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="an alarm of the system")
def test_interrupts_of_the_system_do_no_harm(tmp_path):
    """Alarms that raise, at moments drawn over the time that changes take."""
    collection, generator, came, done = Collection(M=16, ef_construction=40), np.random.default_rng(0), 0, 0
    filled()  # imports hnswlib, of whose import an interrupt would make another error

    def interrupt(*args):
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGALRM, interrupt)
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            known = collection.ids()
            drawn = [known[row] for row in generator.permutation(len(known))[:8]]
            vectors = generator.normal(size=(8, 4)).astype(np.float32)
            try:
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(2e-5, 1.5e-3))
                collection.add(vectors, [f"{done} {row}" for row in range(8 - len(drawn))] + drawn, replace=True)
                collection.search(vectors[:2], 3)
                collection.delete(drawn)
                done += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                came += 1
            assert collection.count() == len(collection.ids())
            if collection.info()["deleted"] > 200:
                collection.compact()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    assert came > 20
    found = collection.search(points(20), 50, ef=400).ids
    assert {one for ids in found for one in ids} <= set(collection.ids())
    collection.save(tmp_path)
    assert content(Collection.load(tmp_path)) == content(collection)
    collection.compact()  # among many tombstones no link may lead to a point
    check_whole(collection, tmp_path)


def test_who_is_interrupted_while_waiting_leaves_the_lock_to_others():
    for alone in (False, True):
        steps, came = 0, True
        while came:
            lock, steps, first = ReadWriteLock(), steps + 1, threading.Event()

            def hold(lock=lock, first=first):
                with lock.exclusive():
                    first.set()
                    time.sleep(0.002)

            def work(lock=lock, alone=alone):
                with lock.exclusive() if alone else lock.shared():
                    pass

            thread = threading.Thread(target=hold)
            thread.start()
            first.wait()
            came = interrupted(work, steps)
            thread.join(20)
            assert not lock.writing and not lock.readers and not lock._queue
            with lock.exclusive():
                assert lock.writing
        assert steps > 10


class Failing:
    """hnswlib that runs out of memory after some of the points that it is given, or stops without a word."""

    def __init__(self, native, after, silent=False):
        self.native, self.after, self.silent = native, after, silent

    def __getattr__(self, name):
        return getattr(self.native, name)

    def add_items(self, vectors, labels, num_threads):
        taken = self.after(len(labels))
        self.native.add_items(vectors[taken], labels[taken], num_threads=num_threads)
        if not self.silent:
            raise RuntimeError("Not enough memory: addPoint failed to allocate linklist")


@pytest.mark.parametrize("taken", ["first five", "every other", "none"])
@pytest.mark.parametrize("silent", [False, True])
def test_a_library_that_fails_in_the_midst_of_some_points_adds_none_of_them_and_says_so(taken, silent, tmp_path):
    """Several threads leave gaps among the points that the library took."""
    collection = filled()
    collection.add(points(1, seed=6), ["x"])
    before = content(collection)
    state = collection._state
    after = {"first five": lambda n: np.arange(5), "every other": lambda n: np.arange(1, n, 2), "none": lambda n: []}
    state.native = Failing(state.native, lambda n: np.array(after[taken](n), dtype=int), silent)
    with pytest.raises(RuntimeError, match="fewer points than it was given" if silent else "Not enough memory"):
        collection.add(points(8, seed=5), [3, *range(100, 107)], replace=True)
    state.native = state.native.native
    assert content(collection) == before
    check_whole(collection, tmp_path)
    collection.add(points(8, seed=5), [3, *range(100, 107)], replace=True)
    assert len(collection) == len(before) + 7
    check_whole(collection, tmp_path)
    collection.compact()
    check_whole(collection, tmp_path)


def test_a_compaction_that_is_interrupted_can_be_begun_again():
    collection = filled()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Collection, "_swap", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collection.compact()
    with pytest.raises(InputError, match="is not there"):
        collection.delete([11])
    collection.compact()
    assert collection.info()["deleted"] == 0 and collection.info()["compaction"] == "none"
