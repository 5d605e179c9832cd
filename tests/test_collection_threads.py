"""Many threads at one collection, and the lock that keeps them apart."""

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import InputError
from neighborhood_drift.retrieval import Collection, overlap_of_hits
from neighborhood_drift.retrieval.locks import ReadWriteLock

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from collection_threads import Run, run, shown  # noqa: E402


def points(count, dimension=8, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def started(target, *args):
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def until(condition):
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


def test_writers_and_readers_at_once_lose_nothing_and_never_see_a_deleted_point():
    counts, table = run(5, points=1_000, dimension=16)
    assert counts.pop("error texts") == []
    zero = ("errors", "points lost", "points lost after saving and loading", "deleted points returned")
    assert [counts[name] for name in (*zero, "points returned twice", "lists shorter than k")] == [0] * 6
    work = ("searches", "points added", "points replaced", "points deleted", "compactions", "saves")
    assert all(counts[name] > 0 for name in work), counts
    assert (table["searches"] > 0).all() and (table["p50 ms"] <= table["p99 ms"]).all()


@pytest.mark.parametrize("name", ["threads-counts", "threads"])
def test_the_page_shows_the_published_minute(name):
    page = (ROOT / "docs" / "retrieval.md").read_text(encoding="utf-8")
    block = page.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0]
    assert block == str(shown(pd.read_csv(ROOT / "report" / "published" / f"{name}.csv")))


def test_nothing_went_wrong_in_the_published_minute():
    counts = pd.read_csv(ROOT / "report" / "published" / "threads-counts.csv").set_index("what")["number"]
    zero = ("errors", "points lost", "points lost after saving and loading", "deleted points returned")
    assert (counts[[*zero, "points returned twice"]] == 0).all()
    work = ("searches", "points added", "points replaced", "points deleted", "compactions", "saves")
    assert (counts[list(work)] > 0).all()


def test_the_run_counts_what_is_lost():
    """So that the zeros above mean something."""
    one = Run(50, 4, seed=0)
    assert one.lost(one.collection) == 0
    one.collection.delete([3])
    one.collection.add(points(1, 4), ["unknown"])
    one.collection.add(points(1, 4), [7], replace=True)
    assert one.lost(one.collection) == 3
    stop = threading.Event()
    one.gone = dict.fromkeys(range(50), 0.0)
    thread = started(one.search, stop, "without writers", np.random.default_rng(0))
    until(lambda: one.counts["deleted points returned"])
    stop.set()
    thread.join()


def test_a_deleted_point_is_not_returned_by_a_search_that_begins_later():
    """A thread deletes and tells; searches for just these points begin after it has told."""
    collection, vectors = Collection(M=8, ef_construction=40), points(1_500)
    collection.add(vectors)
    told, wrong, done = [], [], threading.Event()

    def delete():
        for start in range(0, 1_400, 7):
            collection.delete(range(start, start + 7))
            told.append(start + 7)
            if start == 700:
                collection.compact(background=True)
        done.set()

    def search(exact):
        while not done.is_set():
            last = told[-1] if told else 0
            hits = collection.search(vectors[max(last - 3, 0)][None], 5, exact=exact)
            wrong.extend(one for one in hits.ids[0] if one < last)

    threads = [started(search, False), started(search, False), started(search, True), started(delete)]
    for thread in threads:
        thread.join()
    collection.wait()
    assert wrong == [] and collection.ids() == list(range(1_400, 1_500))


def test_searches_of_different_effort_do_not_disturb_each_other():
    collection, queries = Collection(M=3, ef_construction=10), points(40, 16, seed=1)
    collection.add(points(2_000, 16))
    efforts = (1, 15, 200)
    alone = {ef: collection.search(queries, 10, ef=ef).ids for ef in efforts}
    assert len(set(alone.values())) == len(efforts)
    together = {ef: [] for ef in efforts}

    def search(ef):
        for _ in range(10):
            together[ef].append(collection.search(queries, 10, ef=ef).ids)

    threads = [started(search, ef) for ef in efforts for _ in range(2)]
    for thread in threads:
        thread.join()
    assert all(answers == [alone[ef]] * 20 for ef, answers in together.items())


def test_the_same_id_added_by_many_threads_is_there_once():
    collection, refused = Collection(), []

    def add(number):
        try:
            collection.add(points(1, seed=number), ["one"], [{"by": number}])
        except InputError:
            refused.append(number)

    threads = [started(add, number) for number in range(8)]
    for thread in threads:
        thread.join()
    assert len(refused) == 7 and collection.ids() == ["one"]
    (by,) = (metadata["by"] for metadata in collection.metadata(["one"]))
    np.testing.assert_array_equal(collection.vectors(["one"]), points(1, seed=by))


def test_many_threads_that_name_no_ids_get_different_ones():
    collection, given = Collection(), []

    def add():
        for _ in range(20):
            given.extend(collection.add(points(3)))

    threads = [started(add) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(240)) == sorted(collection.ids())


def test_one_search_by_target_chooses_for_all_that_wait(monkeypatch):
    collection = Collection(M=4, ef_construction=20)
    collection.add(points(600))
    tuned, tune = [], Collection.tune
    monkeypatch.setattr(
        Collection, "tune", lambda self, *args, **how: (tuned.append(args), tune(self, *args, **how))[1]
    )
    threads = [started(collection.search, points(1, seed=9), 5) for _ in range(1)]
    threads += [threading.Thread(target=collection.search, args=(points(1), 5), kwargs={"target": "overlap=0.9"})
                for _ in range(4)]  # fmt: skip
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tuned) == 1


def test_searches_by_many_threads_are_those_of_one():
    collection, queries = Collection(threads=2), points(200, seed=1)
    collection.add(points(1_000))
    exact, answers = collection.search(queries, 5, exact=True), []
    threads = [started(lambda: answers.append(collection.search(queries, 5, exact=True).ids)) for _ in range(3)]
    threads.append(started(lambda: answers.append(collection.search(queries, 5, ef=1_000).ids)))
    for thread in threads:
        thread.join()
    assert answers == [exact.ids] * 4
    assert overlap_of_hits(exact, collection.search(queries, 5)).mean() > 0.9


def test_a_writer_holds_the_lock_alone_and_readers_share_it():
    lock, inside, most = ReadWriteLock(), [0, 0], []

    def work(alone, generator):
        for _ in range(150):
            with lock.exclusive() if alone else lock.shared():
                inside[alone] += 1
                most.append(tuple(inside))
                time.sleep(generator.uniform(0, 2e-4))
                inside[alone] -= 1

    threads = [started(work, number < 2, np.random.default_rng(number)) for number in range(6)]
    for thread in threads:
        thread.join()
    assert all(writers <= 1 and not (writers and readers) for readers, writers in most)
    assert max(readers for readers, _ in most) > 1
    assert (lock.readers, lock.writing) == (0, False)


def test_who_asks_first_is_let_in_first():
    lock, order = ReadWriteLock(), []

    def work(name, alone):
        with lock.exclusive() if alone else lock.shared():
            order.append(name)

    with lock.shared():
        threads = []
        for number, alone in enumerate([True, False, True]):
            threads.append(started(work, number, alone))
            until(lambda number=number: len(lock._queue) == number + 1)
        time.sleep(0.01)
        assert order == []  # the reader waits behind the writer that asked before it
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
