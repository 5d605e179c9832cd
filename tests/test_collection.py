"""What a collection finds, keeps under which ids, and refuses."""

import threading

import hnswlib
import numpy as np
import pytest

import neighborhood_drift
from neighborhood_drift import InputError, exact_neighbors
from neighborhood_drift.retrieval import Collection, overlap_of_hits
from neighborhood_drift.retrieval.compacting import Compaction
from neighborhood_drift.retrieval.store import HIGHEST_ID, LOWEST_ID


def points(count, dimension=8, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def filled(count=300, dimension=8, **settings):
    collection = Collection(**settings)
    collection.add(points(count, dimension))
    return collection


def test_it_is_part_of_the_package():
    assert neighborhood_drift.Collection is Collection


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_full_effort_finds_what_an_exact_search_finds(metric):
    collection, queries = filled(metric=metric), points(20, seed=1)
    found, exact = collection.search(queries, 7, ef=300), collection.search(queries, 7, exact=True)
    assert found.ids == exact.ids and not found.exact and exact.exact
    assert (found.ef, exact.ef) == (300, None)
    for one, true in zip(found.distances, exact.distances, strict=True):
        np.testing.assert_allclose(one, true, rtol=1e-5)  # float32 of the library
    wanted = exact_neighbors(points(300), queries, k=7, metric=metric)
    assert exact.ids == tuple(map(tuple, wanted.ids.tolist()))
    np.testing.assert_array_equal(exact.distances, wanted.distances)


def test_a_cosine_of_one_direction_is_no_negative_distance():
    collection = Collection(metric="cosine")
    collection.add(points(50, 40) * 1e3)
    distances = np.concatenate(collection.search(points(50, 40) / 7, 1).distances)
    assert (distances >= 0).all() and (distances < 1e-6).all()


@pytest.mark.parametrize("ef", [1, 5, 10, 11, 60, 1_000])
def test_effort_is_that_of_the_library_for_ef_and_k(ef):
    """hnswlib's ef is one for all threads, so the collection asks for more neighbors instead of setting it."""
    base, queries = points(2_000, 16), points(200, 16, seed=1)
    collection = filled(2_000, 16, M=5, ef_construction=20, seed=3)
    native = hnswlib.Index("l2", 16)
    native.init_index(len(base), M=5, ef_construction=20, random_seed=4)
    native.add_items(base, num_threads=1)
    native.set_ef(ef)
    wanted, _ = native.knn_query(queries, k=10, num_threads=1)
    assert collection.search(queries, 10, ef=ef).ids == tuple(map(tuple, wanted.tolist()))


def test_equal_distances_come_in_the_order_of_adding():
    collection = Collection()
    collection.add(np.ones((6, 2), np.float32), ids=["f", 3, "a", -1, "c", 0])
    query = np.zeros((1, 2), np.float32)
    for found in (collection.search(query, 4, exact=True), collection.search(query, 4, ef=6)):
        assert found.ids == (("f", 3, "a", -1),)
        assert found.distances[0].tolist() == [np.sqrt(2)] * 4
    collection.add(np.ones((1, 2), np.float32), ids=["f"], replace=True)
    assert collection.search(query, 6, exact=True).ids == ((3, "a", -1, "c", 0, "f"),)
    assert collection.ids() == [3, "a", -1, "c", 0, "f"]


IDS = [
    0,
    -1,
    LOWEST_ID,
    HIGHEST_ID,
    "0",
    "-1",
    "",
    " ",
    "\0",
    "a\0",
    "a",
    "é",
    "e\u0301",
    "日本",
    "🦊",
    "x" * 10_000,
    "\n",
]


def test_ids_are_the_users_of_any_kind():
    collection, vectors = Collection(), points(len(IDS))
    assert collection.add(vectors, IDS, [{"n": str(one)[:5]} for one in IDS]) == IDS
    assert collection.ids() == IDS and collection.ids(3, 4) == IDS[3:7] and collection.ids(100) == []
    assert [ids[0] for ids in collection.search(vectors, 1).ids] == IDS
    assert all(type(one) in (int, str) for one in collection.ids())
    assert collection.metadata(IDS[::-1]) == [{"n": str(one)[:5]} for one in IDS[::-1]]
    np.testing.assert_array_equal(collection.vectors(IDS[::-1]), vectors[::-1])
    assert collection.delete(["0"]) == 1 and "0" not in collection.ids() and 0 in collection.ids()


def test_ids_that_nobody_names_go_on_after_the_highest():
    collection = Collection()
    assert collection.add(points(2)) == [0, 1]
    collection.add(points(2), ids=[7, "9"])
    assert collection.add(points(2)) == [8, 9]
    collection.delete([9])
    assert collection.add(points(1)) == [9]
    collection.add(points(1), ids=[9], replace=True)
    collection.add(points(1), ids=[HIGHEST_ID])
    with pytest.raises(InputError, match="no 1 whole numbers of 64 bits are left"):
        collection.add(points(1))
    assert len(collection) == 7
    below = Collection()
    below.add(points(1), ids=[-5])
    assert below.add(points(1)) == [0]


def test_fewer_points_than_k_come_and_it_says_so():
    collection, query = filled(30), points(2, seed=1)
    assert collection.search(query, 30, ef=1).note == ""
    collection.delete(range(27))
    for exact in (False, True):
        found = collection.search(query, 10, exact=exact)
        assert [sorted(ids) for ids in found.ids] == [[27, 28, 29]] * 2
        assert found.note == "2 of 2 queries found fewer than k = 10 neighbors, the fewest 3."
    collection.delete([27, 28, 29])
    for exact in (False, True):
        assert collection.search(query, 10, exact=exact).ids == ((), ())


def test_a_new_collection_answers_with_nothing():
    for collection in (Collection(), Collection(4)):
        found = collection.search(points(2, 4), 5)
        assert found.ids == ((), ()) and found.note and not len(collection)
        assert collection.search(points(2, 4), 5, exact=True).ids == ((), ())
        assert collection.ids() == [] and collection.vectors([]).shape == (0, collection.dimension or 0)
        collection.compact()
        collection.close()


def test_points_that_no_link_leads_to_are_left_out_and_the_others_come():
    """Copies of one point fill each other's links, so that hnswlib reaches few points and raises for more."""
    base = np.repeat(points(40, 4), 20, axis=0)
    collection = Collection(M=2, ef_construction=2)
    collection.add(base)
    native = hnswlib.Index("l2", 4)
    native.init_index(len(base), M=2, ef_construction=2, random_seed=1)
    native.add_items(base, num_threads=1)
    queries = points(30, 4, seed=1)
    found = collection.search(queries, 400, ef=800)
    assert (found.found < 400).any()  # else this test would show nothing
    native.set_ef(800)
    for query, ids, distances in zip(queries, found.ids, found.distances, strict=True):
        assert len(set(ids)) == len(ids) and (np.diff(distances) >= 0).all()
        np.testing.assert_allclose(distances, np.linalg.norm(base[list(ids)] - query, axis=1), rtol=1e-4, atol=1e-4)
        native.knn_query(query, k=max(len(ids), 1), num_threads=1)
        if len(ids) < 400:
            with pytest.raises(RuntimeError, match="Cannot return"):
                native.knn_query(query, k=len(ids) + 1, num_threads=1)
    near = collection.search(queries, 5, ef=800)
    for all_ids, five in zip(found.distances, near.distances, strict=True):
        np.testing.assert_array_equal(all_ids[:5], five)


def test_deleted_points_are_never_found_and_a_compaction_builds_what_a_new_collection_is():
    collection, queries = filled(400, M=6), points(50, seed=1)
    gone = np.random.default_rng(2).permutation(400)[:120].tolist()
    assert collection.delete(gone) == 120
    left = [row for row in range(400) if row not in gone]
    assert not {*gone} & {one for ids in collection.search(queries, 280, ef=400).ids for one in ids}
    exact = collection.search(queries, 10, exact=True)
    assert (collection.count(), collection.info()["deleted"], collection.ids()) == (280, 120, left)
    collection.compact()
    assert (collection.count(), collection.info()["deleted"], collection.ids()) == (280, 0, left)
    new = Collection(M=6)
    new.add(points(400)[left], left)
    assert collection.search(queries, 10, ef=10).ids == new.search(queries, 10, ef=10).ids
    assert collection.search(queries, 10, exact=True).ids == exact.ids
    collection.delete(left)
    collection.compact()
    assert collection.search(queries, 3).ids == ((),) * 50
    assert collection.add(points(3)) == [0, 1, 2] and collection.search(points(3), 1).ids == ((0,), (1,), (2,))


def test_a_point_that_is_replaced_moves():
    collection = filled(100)
    moved = points(2, seed=9) + 100
    collection.add(moved, ids=[3, "new"], metadata=[{"label": "moved"}, None], replace=True)
    assert len(collection) == 101
    assert collection.search(moved, 1).ids == ((3,), ("new",))
    assert 3 not in collection.search(points(100)[3:4], 50).ids[0][:5]
    np.testing.assert_array_equal(collection.vectors([3, "new"]), moved)
    assert collection.metadata([3, "new", 4]) == [{"label": "moved"}, {}, {}]


def test_what_the_user_holds_is_not_what_the_collection_holds():
    vectors, metadata = points(3), [{"tags": ["a"]}, {"label": np.int64(3)}, {"x": np.float32(0.5)}]
    collection = Collection()
    collection.add(vectors, metadata=metadata)
    vectors[:] = 0
    metadata[0]["tags"].append("b")
    collection.metadata([0])[0]["tags"].append("c")
    collection.vectors([0])[:] = 0
    assert collection.metadata([0, 1, 2]) == [{"tags": ["a"]}, {"label": 3}, {"x": 0.5}]
    np.testing.assert_array_equal(collection.vectors([0, 1, 2]), points(3))


def test_many_changes_make_room():
    collection, vectors = Collection(), points(3_000, 4)
    for start in range(0, 3_000, 500):
        collection.add(vectors[start : start + 500])
    np.testing.assert_array_equal(collection.vectors(range(3_000)), vectors)
    assert np.mean(np.concatenate(collection.search(vectors, 1).ids) == np.arange(3_000)) > 0.99


def test_several_threads_build_and_search_a_collection_that_finds_the_same_points():
    base, queries = points(1_500, 16), points(100, 16, seed=1)
    collection = Collection(threads=2)
    collection.add(base)
    exact = collection.search(queries, 10, exact=True)
    assert overlap_of_hits(exact, collection.search(queries, 10, ef=200)).mean() > 0.99


def test_the_same_changes_give_the_same_graph():
    answers = []
    for parts in ([500], [100, 400], [1] * 500):
        collection, start = Collection(M=4, ef_construction=10, seed=5), 0
        for count in parts:
            collection.add(points(500)[start : start + count])
            start += count
        answers.append(collection.search(points(100, seed=1), 10, ef=10).ids)
    assert answers[0] == answers[1] == answers[2]


REFUSED = {
    "k is 0": lambda c: c.search(points(1), 0),
    "ef is 0": lambda c: c.search(points(1), 1, ef=0),
    "queries has 3 dimensions": lambda c: c.search(points(1, 3)),
    "queries has shape \\(8,\\)": lambda c: c.search(points(1)[0]),
    "queries holds NaN": lambda c: c.search(np.full((1, 8), np.nan, np.float32)),
    "target is given beside ef": lambda c: c.search(points(1), ef=3, target="overlap=0.9"),
    "the target is 'much'": lambda c: c.search(points(1), target="much"),
    "needs more than 30 points": lambda c: c.tune("overlap=0.9", 30),
    "cannot certify": lambda c: c.search(points(1), 2, target="overlap=0.999"),
    "vectors has 3 dimensions": lambda c: c.add(points(1, 3)),
    "id 4 is there already": lambda c: c.add(points(2), ids=["new", 4]),
    "id 'a' is given twice": lambda c: c.add(points(2), ids=["a", "a"], replace=True),
    "1 ids are given for 2 vectors": lambda c: c.add(points(2), ids=["a"]),
    "id True is neither": lambda c: c.add(points(1), ids=[True]),
    "id 0.5 is neither": lambda c: c.delete([0.5]),
    "not valid Unicode": lambda c: c.add(points(1), ids=["\ud800"]),
    "does not fit 64 bits": lambda c: c.add(points(1), ids=[2**63]),
    "1 metadata are given for 2 vectors": lambda c: c.add(points(2), metadata=[{}]),
    "metadata 'cat' is no dict": lambda c: c.add(points(1), metadata=["cat"]),
    "cannot be written as JSON": lambda c: c.add(points(1), metadata=[{"x": float("nan")}]),
    "cannot be written as JSON; values": lambda c: c.add(points(1), metadata=[{"x": {1}}]),
    "id 'b' is not there": lambda c: c.delete([1, "b"]),
    "id 30 is not there": lambda c: c.vectors([30]),
    "id '1' is not there": lambda c: c.metadata(["1"]),
    "start is -1": lambda c: c.ids(-1),
    "has no folder yet": lambda c: c.save(),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_changes_nothing(sentence):
    collection = filled(30)
    with pytest.raises(InputError, match=sentence):
        REFUSED[sentence](collection)
    assert collection.ids() == list(range(30)) and collection.info()["changes"] == 30


@pytest.mark.parametrize(
    "settings",
    [{"metric": "l1"}, {"M": 1}, {"M": 10**5}, {"ef_construction": 0}, {"ef": 0}, {"seed": -1}, {"threads": 0},
     {"dimension": 0}, {"target": "much"}, {"encoder": "pixels"}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        Collection(**settings)


def test_vectors_without_a_direction_are_refused_for_the_cosine_and_too_long_ones_for_l2():
    with pytest.raises(InputError, match="vectors of zeros"):
        Collection(metric="cosine").add(np.zeros((1, 3), np.float32))
    with pytest.raises(InputError, match="at most"):
        Collection().add(np.full((1, 3), 1e30, np.float32))


def test_an_effort_is_chosen_by_target_kept_and_chosen_anew_after_many_changes():
    collection, queries = filled(600, M=4), points(50, seed=1)
    choice = collection.tune("overlap=0.9", 5)
    assert collection.search(queries, 5, target="overlap=0.9").ef == choice.ef
    assert collection.search(queries, 5, target=choice.target).ef == choice.ef
    (told,) = collection.info()["chosen"]
    assert (told["ef"], told["k"], told["points"], told["changes"]) == (choice.ef, 5, 600, 0)
    collection.delete(range(60))
    collection.search(queries, 5, target="overlap=0.9")
    assert collection.info()["chosen"][0]["changes"] == 60  # a tenth: still the first choice
    collection.delete([60])
    collection.search(queries, 5, target="overlap=0.9")
    assert collection.info()["chosen"][0] | {"ef": 0, "sentence": ""} == {
        "target": "mean overlap of at least 0.9", "k": 5, "ef": 0, "sentence": "", "points": 539, "changes": 0,
    }  # fmt: skip
    collection.compact()
    assert collection.info()["chosen"] == []


def test_the_effort_chosen_by_target_reaches_it():
    collection = filled(2_000, 32, M=4, ef_construction=20, target="overlap=0.9")
    others = points(500, 32, seed=4)
    found, exact = collection.search(others, 10), collection.search(others, 10, exact=True)
    assert overlap_of_hits(exact, found).mean() > 0.88  # 0.9 is certified for the points, and these are alike
    assert overlap_of_hits(exact, collection.search(others, 10, ef=10)).mean() < 0.88
    asked = collection.tune("overlap=0.9", 10, queries=points(400, 32, seed=5))
    assert asked.queries == 400 and collection.search(others, 10).ef == asked.ef


@pytest.mark.parametrize("count", [0, 5, 10, 11, 18])
def test_few_points_are_all_met_for_the_target_of_the_collection(count):
    """22 queries or more can certify a mean overlap of 0.85 at a confidence of 95 %, if none of them has a loss."""
    collection, query = Collection(8, target="overlap=0.85"), points(1)
    if count:
        collection.add(points(count))
    found = collection.search(query, 10)
    assert found.ids == collection.search(query, 10, exact=True).ids and found.ef == max(count, 1)
    assert bool(found.note) == (count < 10)
    assert collection.search(query, 18, target="overlap=0.85").ef == max(count, 1)  # a search for all points
    if count > 1:
        with pytest.raises(InputError, match="cannot certify"):
            collection.search(query, 1, target="overlap=0.85")


def test_a_target_that_needs_a_larger_sample_has_it():
    collection = filled(570, target="overlap=0.994")
    assert collection.search(points(1), 5).ef == 570 and collection.info()["chosen"] == []
    collection.add(points(100, seed=1))
    assert collection.search(points(1), 5).ef <= 670
    assert "on 582 queries" in collection.info()["chosen"][0]["sentence"]


def test_exact_searches_go_on_while_an_effort_is_chosen(monkeypatch):
    """They would wait for all of it, were the kernels held all the while."""
    one, other, free = filled(400, M=4), filled(50), []
    search = Collection.search

    def watched(self, *args, **how):
        thread = threading.Thread(
            target=lambda: free.append(len(search(other, points(1), 3, exact=True).ids)), daemon=True
        )
        thread.start()
        thread.join(20)
        return search(self, *args, **how)

    monkeypatch.setattr(Collection, "search", watched)
    choice = one.tune("overlap=0.9", 5)
    assert len(free) == len(choice.efs) and type(choice.target).__name__ == "MeanOverlap"


def test_a_target_that_nothing_reaches_is_refused_with_the_best_bound():
    collection = Collection(M=2, ef_construction=2)
    collection.add(np.repeat(points(30, 4), 20, axis=0))
    for _ in range(2):
        with pytest.raises(InputError, match=r"No ef from .* is certified to give mean overlap of at least 0\.99"):
            collection.search(points(1, 4), 5, target="overlap=0.99")


def test_searches_and_changes_go_on_while_a_compaction_is_at_work(monkeypatch):
    collection, vectors = filled(500), points(40, seed=3)
    collection.delete(range(100))
    begun, go_on = threading.Event(), threading.Event()
    append = type(collection._state).append

    def waiting(self, *args, **kwargs):
        append(self, *args, **kwargs)
        if kwargs.get("stop") is not None and not begun.is_set():
            begun.set()
            assert go_on.wait(20)

    monkeypatch.setattr(type(collection._state), "append", waiting)
    collection.compact(background=True)
    assert begun.wait(20)
    with pytest.raises(InputError, match="at work already"):
        collection.compact()
    assert collection.info()["compaction"] == "at work"
    collection.add(vectors[:30], ids=[f"new {row}" for row in range(30)], metadata=[{"row": row} for row in range(30)])
    collection.add(vectors[30:], ids=range(100, 110), replace=True)
    collection.delete([*range(110, 120), "new 3"])
    ids, answers = collection.ids(), collection.search(vectors, 20, exact=True)
    assert collection.search(vectors, 20, ef=500).ids == answers.ids
    go_on.set()
    collection.wait()
    assert collection.info()["deleted"] <= 21 and collection.info()["compaction"] == "none"
    assert collection.ids() == ids and collection.metadata(["new 7"]) == [{"row": 7}]
    for exact in (False, True):
        assert collection.search(vectors, 20, ef=500, exact=exact).ids == answers.ids


def test_closing_stops_a_compaction_and_leaves_the_points(monkeypatch):
    collection = filled(300)
    collection.delete(range(100))
    append, begun = type(collection._state).append, threading.Event()

    def slow(self, points_, *args, stop=None, **kwargs):
        begun.set()
        while stop is not None:
            stop()
        append(self, points_, *args, **kwargs)

    monkeypatch.setattr(type(collection._state), "append", slow)
    collection.compact(background=True)
    assert begun.wait(20)
    collection.close()
    assert collection.info()["compaction"] == "none" and collection.info()["deleted"] == 100
    monkeypatch.undo()
    collection.compact()
    assert collection.info()["deleted"] == 0 and collection.ids() == list(range(100, 300))


@pytest.mark.parametrize("background", [False, True])
def test_who_waits_for_a_compaction_or_stops_it_returns_after_its_end(monkeypatch, background):
    collection = filled(300)
    collection.delete(range(100))
    append, begun, go_on, order = type(collection._state).append, threading.Event(), threading.Event(), []

    def slow(self, *args, stop=None, **how):
        begun.set()
        assert go_on.wait(20)
        stop()
        append(self, *args, stop=stop, **how)

    def compact():
        try:
            collection.compact(background=background)
        except InputError as error:
            order.append(str(error))

    def then(wait):
        wait()
        order.append(collection.info()["compaction"])

    monkeypatch.setattr(type(collection._state), "append", slow)
    at_work = threading.Thread(target=compact)
    at_work.start()
    assert begun.wait(20)
    waiting = [
        threading.Thread(target=then, args=(one,)) for one in (collection.wait, collection.wait, collection.close)
    ]
    for thread in waiting:
        thread.start()
    waiting[0].join(0.05)
    assert order == []
    while not collection._compaction._job.stop.is_set():
        pass
    go_on.set()
    for thread in (*waiting, at_work):
        thread.join(20)
    stopped = [] if background else ["the compaction was stopped, as the collection was closed."]
    assert sorted(order) == sorted(["none"] * 3 + stopped)
    assert collection.info()["deleted"] == 100


def test_the_error_of_a_compaction_in_the_background_comes_to_who_waits(monkeypatch):
    collection = filled(300)
    collection.delete([0])

    def full(self, *args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(type(collection._state), "append", full)
    collection.compact(background=True)
    with pytest.raises(MemoryError, match="no room"):
        collection.wait()
    collection.wait()
    assert collection.ids() == list(range(1, 300))
    monkeypatch.undo()
    collection.compact(background=True)
    collection.wait()
    assert collection.info()["deleted"] == 0


def test_a_second_compaction_begins_with_what_the_first_has_made():
    """The state to compact is read when the turn has come, else what changed since it was read would be lost."""
    compaction, seen = Compaction(), []

    def current():
        seen.append(compaction.status)

    compaction.run(current, threading.RLock(), None, False)
    assert seen == ["at work"] and compaction.status == "none"


def test_an_interrupted_insertion_leaves_no_point_without_its_id(monkeypatch):
    collection = filled(200)
    native = collection._state.native

    class Interrupted:
        calls = 0

        def __getattr__(self, name):
            return getattr(native, name)

        def add_items(self, *args, **kwargs):
            native.add_items(*args, **kwargs)
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt

    collection._state.native = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        collection.add(points(3_000, seed=2))
    assert 200 < len(collection) < 3_200
    assert len(collection) == native.get_current_count()
    collection.add(points(100, seed=3))
    exact = collection.search(points(30, seed=4), 10, exact=True)
    assert overlap_of_hits(exact, collection.search(points(30, seed=4), 10, ef=400)).mean() > 0.99
