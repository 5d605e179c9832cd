"""One contract, run against every store of vectors; then what is particular to opening one, to Qdrant and to Redis."""

import json
import os
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neighborhood_drift.checks import InputError
from neighborhood_drift.indexes.redis_index import RedisIndex
from neighborhood_drift.retrieval import open_store, overlap_of_hits
from neighborhood_drift.retrieval.guarantees import STORES, guarantees
from neighborhood_drift.retrieval.redis_store import PREFIX
from neighborhood_drift.retrieval.remote import Unreachable
from neighborhood_drift.study.cli import app

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379").rstrip("/")
NO_REDIS = RedisIndex.missing()
QDRANT = os.environ.get("QDRANT_URL")
PACKAGE = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed: the extra stores")
EXCEPTIONS = pytest.importorskip("qdrant_client.http.exceptions")
N, D = 300, 6
# each with its column in the table of guarantees
KINDS = {
    "folder": "Collection",
    "qdrant-memory": "Qdrant, embedded",
    "qdrant-server": "Qdrant, server",
    "redis": "Redis",
}
REASONS = {"redis": NO_REDIS, "qdrant-server": None if QDRANT else "QDRANT_URL names no server of Qdrant"}


def promised(kind, what):
    return guarantees().set_index("promise").loc[what, KINDS[kind]]


def marked(kind, *values):
    reason = REASONS.get(kind)
    return pytest.param(kind, *values, marks=pytest.mark.skipif(bool(reason), reason=str(reason)))


KIND = [marked(kind) for kind in KINDS]
WITH_METRIC = [marked(kind, metric) for kind in KINDS for metric in promised(kind, "metrics").split(", ")]


@pytest.fixture
def place(tmp_path):
    """A location of a kind where nothing is yet; what a server keeps there is removed after the test."""
    name, opened = f"test-{uuid.uuid4()}", []

    def location(kind):
        opened.append(kind)
        return {
            "folder": str(tmp_path / "folder"),
            "qdrant-memory": "qdrant+memory:",
            "qdrant-server": f"qdrant+{QDRANT}/{name}",
            "redis": f"{REDIS}/{name}",
        }[kind]

    yield location
    if "redis" in opened:
        redis = pytest.importorskip("redis").Redis.from_url(REDIS)
        for key in redis.scan_iter(f"{PREFIX}:{{{name}}}*"):
            redis.delete(key)
    if "qdrant-server" in opened:
        PACKAGE.QdrantClient(url=QDRANT, api_key=os.environ.get("QDRANT_API_KEY")).delete_collection(name)


@pytest.fixture
def points():
    return np.random.default_rng(3).normal(size=(N, D)).astype(np.float32)


def first_metric(kind):
    return promised(kind, "metrics").split(", ")[0]


def far(metric, query, rows):
    """Distances in float64: the oracle's."""
    query, rows = np.asarray(query, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if metric == "l2":
        return np.linalg.norm(rows - query, axis=1)
    return 1 - rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)


@pytest.mark.parametrize("kind, metric", WITH_METRIC)
def test_a_store_is_a_dict_of_vectors_that_can_be_searched(kind, metric, place):
    draw = np.random.default_rng(5)
    # few distinct points, so that many are equally near; in l2 whole numbers, whose distances float32 has exactly
    pool = draw.integers(-2, 3, size=(12, D)) if metric == "l2" else draw.normal(size=(12, D))
    pool = pool.astype(np.float32)
    pool[~pool.any(axis=1)] = 1
    names = [*range(-3, 12), *(f"{one}" for one in range(12)), "", "ü\0"]
    with open_store(place(kind), metric=metric, M=8) as store:
        kept = {}  # in the order of adding
        for step in range(40):
            if draw.random() < 0.7 or not kept:
                ids = [names[one] for one in draw.choice(len(names), draw.integers(1, 6), replace=False)]
                rows = pool[draw.integers(len(pool), size=len(ids))]
                about = [{"label": f"{step}-{one}"} for one in ids]
                known = [one for one in ids if one in kept]
                if known:
                    with pytest.raises(InputError, match="is there already"):
                        store.add(rows, ids=ids, metadata=about)
                assert store.add(rows, ids=ids, metadata=about, replace=True) == ids
                for one, row, told in zip(ids, rows, about, strict=True):
                    kept.pop(one, None)
                    kept[one] = (row, told)
            else:
                gone = list(kept)[:: draw.integers(2, 5)]
                assert store.delete(gone) == len(gone)
                for one in gone:
                    del kept[one]
            assert store.count() == len(store) == len(kept)
            if not kept:
                continue
            query, k, ids = draw.normal(size=D).astype(np.float32), int(draw.integers(1, 9)), list(kept)
            distances = far(metric, query, [kept[one][0] for one in ids])
            nearest = np.argsort(np.round(distances, 5), kind="stable")[:k]
            (found,), (measured,) = (hits := store.search(query[None], k, exact=True)).ids, hits.distances
            assert list(found) == [ids[one] for one in nearest]
            np.testing.assert_allclose(measured, distances[nearest], atol=2e-6)
        assert set(store.ids()) == set(kept)
        assert store.metadata(ids) == [kept[one][1] for one in ids]
        np.testing.assert_allclose(store.vectors(ids), [kept[one][0] for one in ids], rtol=1e-6)
        if promised(kind, "order of ids()") == "of adding":
            assert store.ids() == ids
        if promised(kind, "vectors come back") == "as they were added" or metric == "l2":
            assert np.array_equal(store.vectors(ids), [kept[one][0] for one in ids])


@pytest.mark.parametrize("kind", KIND)
def test_fewer_points_than_asked_for_come_with_a_note(kind, place):
    with open_store(place(kind), metric="cosine") as store:
        empty = store.search(np.eye(D)[:2], 3)
        assert empty.ids == ((), ()) and store.count() == 0 and store.ids() == [] and "fewer than k = 3" in empty.note
        store.add(np.eye(D), ids=range(D))
        store.delete(range(2, D))
        for exact in (False, True):
            hits = store.search(np.eye(D)[:1], 5, exact=exact)
            assert sorted(hits.ids[0]) == [0, 1] and hits.ids[0][0] == 0 and hits.note
        assert store.delete(iter([0, 1])) == 2 and store.search(np.eye(D)[:1], 5).ids == ((),)
        assert store.vectors([]).shape == (0, D) and store.metadata([]) == [] and store.delete([]) == 0
        assert store.add(np.eye(D)[:2], ids=[0, "a"]) == [0, "a"]


@pytest.mark.parametrize("kind", KIND)
def test_nothing_is_added_or_deleted_where_something_is_refused(kind, points, place):
    with open_store(place(kind), metric="cosine") as store:
        store.add(points[:3], ids=["a", "b", 1])
        bad = points[:2].copy()
        bad[1, 0] = np.nan
        for call, sentence in (
            (lambda: store.add(points[:2], ids=["c", "a"]), "'a' is there already; replace=True"),
            (lambda: store.add(points[:2], ids=["c", "c"]), "given twice"),
            (lambda: store.add(points[:2], ids=["c"]), "one a vector"),
            (lambda: store.add(points[:2], ids=["c", 1.5]), "neither a whole number nor text"),
            (lambda: store.add(points[:2], ids=["c", 2**63]), "64 bits"),
            (lambda: store.add(bad, ids=["c", "d"]), "NaN"),
            (lambda: store.add(points[:2, :3], ids=["c", "d"]), "dimensions"),
            (lambda: store.add(points[:2], ids=["c", "d"], metadata=[{}]), "one a vector"),
            (lambda: store.add(points[:2], ids=["c", "d"], metadata=[{}, {"a": object()}]), "JSON"),
            (lambda: store.add(points[:2], ids=["c", "d"], metadata=[{}, {"a": np.inf}]), "JSON"),
            (lambda: store.add(np.zeros((1, D)), ids=["c"]), "zeros"),
            (lambda: store.delete(["a", "x"]), "'x' is not there"),
            (lambda: store.vectors(["a", "x"]), "'x' is not there"),
            (lambda: store.metadata(["1"]), "'1' is not there"),
            (lambda: store.search(points[:1, :3]), "dimensions"),
            (lambda: store.search(points[:1], 0), "k is 0"),
            (lambda: store.search(points[:1], 1, ef=0), "ef is 0"),
            (lambda: store.search(points[:1], 1, ef=5, target="overlap=0.9"), "has one of them"),
            (lambda: store.search(points[:1], 1, target="nonsense"), "known are overlap"),
            (lambda: store.tune("overlap=0.99", 2), "queries"),
            (lambda: store.tune("overlap=0.99", 3), "needs more than 3 points"),
        ):
            with pytest.raises(InputError, match=sentence):
                call()
        assert sorted(map(str, store.ids())) == ["1", "a", "b"]


@pytest.mark.parametrize("kind", KIND)
def test_without_ids_whole_numbers_go_on_after_the_highest(kind, points, place):
    with open_store(place(kind), metric="cosine") as store:
        assert store.add(points[:3]) == [0, 1, 2]
        store.add(points[:3], ids=[10, "999", -4])
        assert store.add(points[:2]) == [11, 12]
        store.delete([11, 12])
        assert store.add(points[:1]) == [11]
        store.delete([0, 1, 2, 10, 11])
        assert store.add(points[:1]) == [0]
        store.add(points[:1], ids=[2**63 - 1])
        with pytest.raises(InputError, match="whole numbers"):
            store.add(points[:1])


@pytest.mark.parametrize("kind", KIND)
def test_any_whole_number_and_any_text_is_an_id(kind, place):
    same = str(uuid.uuid4())
    ids = [0, "0", -1, "-1", 2**63 - 1, -(2**63), "", " ", "\0", "ü\U0001f431", same, same.upper(), "x" * 1000, "{a}"]
    points = np.random.default_rng(0).normal(size=(len(ids), D)).astype(np.float32)
    with open_store(place(kind), metric="cosine") as store:
        assert store.add(points, ids=ids) == ids
        assert [hits[0] for hits in store.search(points, 1, exact=True).ids] == ids
        assert len(store.ids()) == len(ids) and set(store.ids()) == set(ids)
        assert {type(one) for one in store.ids()} == {int, str}
        assert store.delete(ids[::2]) == 7 and set(store.ids()) == set(ids[1::2])


@pytest.mark.parametrize("kind", KIND)
def test_metadata_and_pages_of_ids_come_back(kind, points, place):
    told = [{"label": "Größe\0", "image": "a/b.png", "n": [1, 2.5, None, True, {"deep": "ü"}]}, None, {}]
    with open_store(place(kind), metric="cosine") as store:
        store.add(points[:3], metadata=told)
        assert store.metadata([2, 0, 1]) == [{}, told[0], {}]
        store.add(points[:1], ids=[0], replace=True)
        assert store.metadata([0]) == [{}]
        store.add(points[3:], ids=[f"p{one}" for one in range(3, N)])
        whole = store.ids()
        assert [one for start in range(0, N, 70) for one in store.ids(start, 70)] == whole == store.ids()
        assert store.ids(N - 1) == whole[-1:] and store.ids(N) == [] and store.ids(5, 0) == []


@pytest.mark.parametrize("kind, metric", WITH_METRIC)
def test_effort_follows_k_and_more_of_it_finds_all(kind, metric, points, place):
    with open_store(place(kind), metric=metric, M=4, ef_construction=20) as store:
        store.add(points)
        exact, low, high = (store.search(points[:20], 40, **how) for how in ({"exact": True}, {"ef": 1}, {"ef": N}))
        assert (low.found == 40).all() and not low.note
        assert exact.exact and exact.ef is None and exact.k == 40
        assert overlap_of_hits(exact, high).mean() > 0.99
        if promised(kind, "effort").startswith("none"):
            assert low.exact and overlap_of_hits(exact, low).mean() == 1
        else:
            assert low.ef == 1 and not low.exact
        assert all((np.diff(one) >= 0).all() for one in low.distances)


@pytest.mark.parametrize("kind, metric", WITH_METRIC)
def test_an_exact_search_is_exact_where_the_graph_misses(kind, metric, points, place):
    queries = np.random.default_rng(8).normal(size=(100, D)).astype(np.float32)
    with open_store(place(kind), metric=metric, M=4, ef_construction=4, ef=1) as store:
        store.add(points)
        nearest = [int(np.argmin(far(metric, query, points))) for query in queries]
        assert [one for (one,) in store.search(queries, 1, exact=True).ids] == nearest
        if not promised(kind, "effort").startswith("none") and kind != "qdrant-server":  # of so few it makes no graph
            assert [one for (one,) in store.search(queries, 1).ids] != nearest


@pytest.mark.parametrize("kind", KIND)
def test_an_effort_is_chosen_by_target_and_kept_until_much_has_changed(kind, points, place):
    with open_store(place(kind), metric="cosine", M=4, ef_construction=20) as store:
        store.add(points)
        choice = store.tune("overlap=0.9", 5, size=200)
        hits = store.search(points[:50], 5, target="overlap=0.9")
        assert hits.ef == (None if hits.exact else choice.ef)
        assert overlap_of_hits(store.search(points[:50], 5, exact=True), hits).mean() >= 0.9
        if promised(kind, "ef chosen by target").startswith("nothing"):
            assert store.search(points[:1], 5, target="overlap=0.999999").exact
            return
        assert [(one["k"], one["ef"], one["changes"]) for one in store.info()["chosen"]] == [(5, choice.ef, 0)]
        store.delete(range(10))
        store.search(points[:1], 5, target="overlap=0.9")
        assert store.info()["chosen"][0]["changes"] == 10
        store.delete(range(10, 60))
        store.search(points[:1], 5, target="overlap=0.9")
        assert store.info()["chosen"][0]["changes"] == 0
        with pytest.raises(InputError, match="at least"):
            store.search(points[:1], 5, target="overlap=0.999999")


@pytest.mark.parametrize("kind", KIND)
def test_a_target_of_the_store_turns_no_search_into_an_error_where_points_are_few(kind, points, place):
    with open_store(place(kind), metric="cosine", target="overlap=0.99") as store:
        for count in (0, 1, 20, 40):
            store.add(points[store.count() : count], ids=range(store.count(), count)) if count else None
            for k in (1, 5, 60):
                hits = store.search(points[:3], k)
                assert hits.ids == store.search(points[:3], k, exact=True).ids
                assert hits.ef == (None if hits.exact else max(count, 1)) and (hits.found == min(k, count)).all()
        named = store.search(points[:3], 60, target="overlap=0.99")  # all points come, so there is nothing to certify
        assert named.ids == store.search(points[:3], 60, exact=True).ids
        if promised(kind, "ef chosen by target").startswith("yes"):
            with pytest.raises(InputError, match="queries cannot certify"):
                store.search(points[:3], 5, target="overlap=0.99")


@pytest.mark.parametrize("kind", KIND)
def test_threads_add_delete_and_search_at_once(kind, points, place):
    with open_store(place(kind), metric="cosine") as store:
        store.add(points[:100], ids=range(100))
        gone, errors, stop = set(), [], threading.Event()

        def write(which):
            for one in range(100 + which, 180, 2):
                store.add(points[one : one + 1], ids=[one])
                store.delete([one - 100])
                gone.add(one - 100)

        def read():
            while not stop.is_set():
                before = set(gone)
                assert not before & set(store.search(points[:1], 60).ids[0])

        def run(task, *arguments):
            try:
                task(*arguments)
            except BaseException as error:
                errors.append(error)

        readers = [threading.Thread(target=run, args=(read,)) for _ in range(3)]
        writers = [threading.Thread(target=run, args=(write, which)) for which in range(2)]
        for thread in (*readers, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in readers:
            thread.join()
        assert not errors and set(store.ids()) == {*range(80, 180)}


@pytest.mark.parametrize("kind", KIND)
def test_threads_that_add_without_ids_get_different_ones(kind, points, place):
    with open_store(place(kind), metric="cosine") as store, ThreadPoolExecutor(4) as pool:
        given = [one for part in pool.map(lambda _: store.add(points[:5]), range(40)) for one in part]
        assert sorted(given) == sorted(store.ids()) == list(range(200))


@pytest.mark.parametrize("kind", KIND)
def test_compacting_changes_no_answer(kind, points, place):
    with open_store(place(kind), metric="cosine") as store:
        store.add(points)
        store.delete(range(0, N, 3))
        before = store.search(points[:5], 10, exact=True)
        store.compact()
        after = store.search(points[:5], 10, exact=True)
        assert after.ids == before.ids and store.count() == N - N // 3
        assert store.search(points[:5], 1, ef=N).ids == store.search(points[:5], 1, exact=True).ids


@pytest.mark.parametrize("kind, metric", [one for one in WITH_METRIC if "memory" not in one.values[0]])
def test_what_was_saved_is_there_when_the_store_is_opened_again(kind, metric, points, place):
    location, encoder = place(kind), {"name": "pixels", "size": [2, 3], "mode": "L"}
    with pytest.raises(InputError, match="holds no"):
        open_store(location, create=False)
    with open_store(location, metric=metric, M=6, ef_construction=30, encoder=encoder) as store:
        store.add(
            points[:50], ids=[f"p{one}" for one in range(50)], metadata=[{"label": f"{one}"} for one in range(50)]
        )
        store.delete(["p7"])
        found = store.search(points[:9], 5, exact=True)
        store.save()
    with open_store(location, create=False, ef=70) as store:
        again = store.search(points[:9], 5, exact=True)
        assert again.ids == found.ids and store.metadata(["p3"]) == [{"label": "3"}] and store.count() == 49
        told = store.info()
        assert (store.metric, store.dimension, store.ef, store.encoder) == (metric, D, 70, encoder)
        assert (told["metric"], told["dimension"], told["points"]) == (metric, D, 49)
        assert (told["M"], told["ef_construction"]) == (6, 30)
        store.add(points[7:8], ids=["p7"])
        store.save()
    for wrong in ({"metric": {"l2": "cosine", "cosine": "l2"}[metric]}, {"dimension": D + 1}, {"colour": 1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            open_store(location, **wrong)
    with open_store(location, dimension=D, metric=metric) as store:
        assert store.count() == 50


@pytest.mark.parametrize("kind", KIND)
def test_info_is_json_and_names_kind_and_numbers(kind, points, place):
    with open_store(place(kind), metric="cosine", target="overlap=0.5") as store:
        store.add(points)
        told = store.info()
        assert json.loads(json.dumps(told))["points"] == N
        assert {"kind", "metric", "dimension", "points", "deleted", "M", "ef_construction", "ef", "encoder"} <= set(
            told
        )
        assert store.search(points[:1], 5).ids
        assert bool(store.info()["chosen"]) == promised(kind, "ef chosen by target").startswith("yes")


def test_the_table_of_guarantees_has_a_cell_for_each_store():
    table = guarantees()
    assert set(table.columns) == {"promise", *STORES} == {"promise", *KINDS.values()}
    assert table.map(lambda cell: isinstance(cell, str) and bool(cell.strip())).all(axis=None)
    assert table["promise"].is_unique
    page = (Path(__file__).parents[1] / "docs" / "retrieval.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- guarantees -->")[2].partition("<!-- /guarantees -->")[0]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in shown.strip().splitlines()]
    assert cells[0] == list(table.columns) and cells[2:] == table.to_numpy().tolist()


@pytest.mark.parametrize("left", [[".lock"], [".lock", "state-000001/vectors.npy"], [".lock", ".part-CURRENT-1"]])
def test_after_a_kill_in_the_first_save_a_store_is_started_there(left, points, tmp_path):
    def stopped(folder):
        for one in left:
            (folder / one).parent.mkdir(parents=True, exist_ok=True)
            (folder / one).write_bytes(b"half of it")
        return folder

    with pytest.raises(InputError, match="holds no collection"):
        open_store(stopped(tmp_path / "a"), create=False)
    with open_store(tmp_path / "a") as store:
        store.add(points)
        store.save()
    assert open_store(tmp_path / "a", create=False).count() == N
    np.save(tmp_path / "mine.npy", points)
    command = ("index", "build", str(tmp_path / "mine.npy"), "--to", str(stopped(tmp_path / "b")), "--no-progress")
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert open_store(tmp_path / "b", create=False).count() == N


@pytest.mark.parametrize("ef", [0, 99_999_999_999, 1.5, None])
def test_an_effort_out_of_range_is_refused_and_the_collection_stays(ef, points, tmp_path):
    with open_store(tmp_path / "points", ef=60) as store:
        store.add(points)
        store.save()
    with pytest.raises(InputError, match="ef is"):
        open_store(tmp_path / "points", ef=ef)
    assert open_store(tmp_path / "points").ef == 60
    with open_store(tmp_path / "points", ef=70) as store:
        store.save()
    assert open_store(tmp_path / "points").ef == 70


def test_of_two_processes_that_save_a_collection_the_second_is_refused(place, points):
    location = place("folder")
    with open_store(location) as store:
        store.add(points[:5])
        store.save()
    first, second = open_store(location), open_store(location)
    first.add(points[5:6])
    second.add(points[6:8])
    first.save()
    with pytest.raises(InputError, match="another process"):
        second.save()
    assert open_store(location).count() == 6


@pytest.mark.parametrize(
    "location, sentence",
    [
        ("ftp://host/name", "no location of a store; known are a folder"),
        ("qdrant+ftp://host/name", "no location of a store"),
        ("qdrant+http://127.0.0.1:1", "qdrant\\+http://127.0.0.1:1 names no store"),
        ("qdrant+http://:1/name", "names no host"),
        ("qdrant+http://127.0.0.1:99999/name", "port"),
        ("qdrant+http://127.0.0.1:1/name", "No Qdrant answers"),
        ("qdrant+file:{folder}", "pickles.*; name a folder of a Collection, or a server"),
        ("qdrant+memory:name", "nothing belongs there"),
        ("redis://127.0.0.1:1", "names no store; write redis://HOST:6379/NAME"),
        ("redis://127.0.0.1:1/name", "No Redis server with vector sets answers"),
        ("redis://127.0.0.1:1/{{a}}", "without braces"),
        ("{file}", "is a file; a collection is kept in a folder"),
        ("{folder}", "no collection, as it holds file.txt"),
    ],
)
def test_a_location_that_cannot_be_opened_is_one_sentence(location, sentence, tmp_path):
    file = tmp_path / "other" / "file.txt"
    file.parent.mkdir()
    file.write_text("text")
    with pytest.raises(InputError, match=sentence) as raised:
        open_store(location.format(file=file, folder=file.parent))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("location", ["redis://me:secret@127.0.0.1:1/a", "qdrant+http://me:secret@127.0.0.1:1/a",
                                      "redis://127.0.0.1:1?password=secret", "s4://me:secret@host/a"])  # fmt: skip
def test_no_message_holds_a_password(location):
    with pytest.raises(InputError) as raised:
        open_store(location)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("location, package", [("qdrant+memory:", "qdrant_client"), ("redis://127.0.0.1:1/a", "redis")])
def test_without_the_package_the_error_says_what_to_install(location, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs the package {package}.*\.\[stores\]"):
        open_store(location)


class Served:
    """A client's embedded form that answers where a server differs: one that is there, and sorting without an index."""

    def __init__(self):
        self._client, self._indexed, self.rivals = PACKAGE.QdrantClient(":memory:"), {}, []

    def __getattr__(self, name):
        return getattr(self._client, name)

    def create_collection(self, name, **settings):
        for rival in self.rivals:
            rival()
        if self._client.collection_exists(name):
            raise EXCEPTIONS.UnexpectedResponse(409, "Conflict", b"", {})
        return self._client.create_collection(name, **settings)

    def create_payload_index(self, name, field, kind, wait):
        self._indexed[field] = kind

    def get_collection(self, name):
        return self._client.get_collection(name).model_copy(update={"payload_schema": self._indexed})

    def scroll(self, name, order_by=None, **how):
        if order_by is not None and order_by.key not in self._indexed:
            raise EXCEPTIONS.UnexpectedResponse(400, "Bad Request", b"No range index", {})
        return self._client.scroll(name, order_by=order_by, **how)

    def query_batch_points(self, name, requests):
        return self._client.query_batch_points(name, [one.model_copy(update={"params": None}) for one in requests])

    def close(self):
        pass


@pytest.fixture
def served(monkeypatch):
    """What stands in for a server of Qdrant, and a way to open the store there."""
    client = Served()
    monkeypatch.setattr(PACKAGE, "QdrantClient", lambda **how: client)
    return client, lambda **settings: open_store("qdrant+http://127.0.0.1:6333/name", **settings)


def test_two_that_first_add_to_a_collection_of_qdrant_at_once_both_add(served, points):
    client, opened = served
    one, other = opened(metric="cosine"), opened(metric="cosine")
    client.rivals = [lambda: (client.rivals.clear(), other.add(points[:3], ids=["a", "b", "c"]))]
    one.add(points[3:5])
    assert set(one.ids()) == set(other.ids()) == {"a", "b", "c", 0, 1} and other.add(points[5:6]) == [2]


@pytest.mark.parametrize("metric, columns", [("l2", D), (None, D), ("cosine", D - 1)])
def test_who_comes_second_with_other_points_is_refused(metric, columns, served, points):
    client, opened = served
    one, other = opened(metric=metric), opened(metric="cosine")
    client.rivals = [lambda: (client.rivals.clear(), other.add(points[:3]))]
    with pytest.raises(InputError, match="metric is 'l2'" if columns == D else "dimensions"):
        one.add(points[3:5, :columns])
    assert other.count() == 3


def test_a_process_that_died_while_it_made_a_collection_of_qdrant_leaves_one_that_works(served, points, monkeypatch):
    client, opened = served

    def dies(*arguments, **options):
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(client, "create_payload_index", dies, raising=False)
        opened().add(points[:2])
    store = opened()
    assert store.add(points[:2]) == [0, 1] and store.add(points[:1]) == [2]


def test_a_collection_of_qdrant_that_others_made_is_refused(served):
    client, models = served[0], PACKAGE.models
    client.create_collection("name", vectors_config=models.VectorParams(size=2, distance=models.Distance.EUCLID))
    client.upsert("name", [models.PointStruct(id=1, vector=[0.0, 1.0], payload={"text": "mine"})])
    with pytest.raises(InputError, match="not made by this package"):
        served[1]()


def test_a_closed_store_and_one_in_memory_say_what_they_cannot_do(points):
    store = open_store("qdrant+memory:")
    store.add(points[:3])
    with pytest.raises(InputError, match="in memory only"):
        store.save()
    with pytest.raises(InputError, match="snapshots"):
        store.save("elsewhere")
    store.close()
    store.close()
    with pytest.raises(InputError, match="closed"):
        store.count()


@pytest.fixture
def answering():
    """A server that gives one answer to every request, and keeps the requests."""
    servers = []

    def start(status, body=b"{}"):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                asked.append((self.path, self.headers.get("api-key"), self.rfile.read(length)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"qdrant+http://127.0.0.1:{server.server_port}/name", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize(
    "status, body, kind, sentence",
    [
        (401, b"secret", InputError, "401.*QDRANT_API_KEY"),
        (404, b"secret", InputError, "refused a request .404"),
        (503, b"secret", Unreachable, "503"),
        (200, b"secret", InputError, "Qdrant"),
    ],
)
def test_what_a_server_of_qdrant_refuses_is_one_sentence_without_the_key(
    status, body, kind, sentence, answering, monkeypatch
):
    location, asked = answering(status, body)
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    with pytest.raises(InputError, match=sentence) as raised:
        open_store(location)
    assert isinstance(raised.value, kind) and asked[0][1] == "secret"
    assert "secret" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_service_answers_503_while_the_server_of_its_store_is_gone(points, monkeypatch):
    testing = pytest.importorskip("fastapi.testclient", reason="fastapi is not installed: the extra serve")
    from neighborhood_drift.retrieval.service.app import create_app

    with open_store("qdrant+memory:") as store:
        store.add(points[:5])
        client = testing.TestClient(create_app(store), base_url="http://127.0.0.1")
        assert client.post("/search", json={"id": 1, "k": 3}).status_code == 200

        def gone(*arguments, **options):
            raise EXCEPTIONS.ResponseHandlingException(OSError("connection refused"))

        for name in ("retrieve", "query_batch_points", "count", "scroll", "upsert"):
            monkeypatch.setattr(store._client, name, gone)
        asked = [
            client.post("/search", json={"id": 1, "k": 3}),
            client.post("/search", json={"vector": points[0].tolist(), "k": 3}),
            client.post("/points", json={"vectors": points[:1].tolist()}),
            client.get("/points"),
        ]
    assert [(one.status_code, "No Qdrant answers" in one.json()["detail"]) for one in asked] == [(503, True)] * 4


def test_a_server_of_qdrant_is_asked_with_the_effort_of_the_search(served, points, monkeypatch):
    client, opened = served
    store, asked, query = opened(), [], client.query_batch_points
    store.add(points)
    monkeypatch.setattr(client, "query_batch_points", lambda name, all_: asked.extend(all_) or query(name, all_))
    assert store.search(points[:2], 3, ef=77).ef == 77
    assert [(one.limit, one.params.hnsw_ef, one.params.exact) for one in asked] == [(3, 77, False)] * 2
    asked.clear()
    assert store.search(points[:1], 3, exact=True).ids[0][0] == 0
    assert asked[0].params.exact


@pytest.mark.skipif(bool(NO_REDIS), reason=str(NO_REDIS))
def test_redis_refuses_what_it_cannot_do_and_keys_that_are_not_its_own(place, points):
    location = place("redis")
    name = location.rpartition("/")[2]
    with pytest.raises(InputError, match="cosine only"):
        open_store(location, metric="l2")
    server = pytest.importorskip("redis").Redis.from_url(REDIS)
    for foreign in ("text", "[]", '{"format": 99}'):
        server.set(f"{PREFIX}:{{{name}}}:about", foreign)
        with pytest.raises(InputError, match=r"not written by this package|format 99"):
            open_store(location)
    server.delete(f"{PREFIX}:{{{name}}}:about")
    with open_store(location) as store:
        store.add(points[:2])
        with pytest.raises(InputError, match="server's own files"):
            store.save("elsewhere")
    with pytest.raises(InputError, match="closed"):
        store.count()
    assert server.exists(f"{PREFIX}:{{{name}}}")


@pytest.mark.parametrize("kind", [marked("redis"), marked("qdrant-server")])
def test_two_clients_of_a_server_see_each_others_points(kind, place, points):
    location = place(kind)
    one, other, narrow = (open_store(location) for _ in range(3))
    assert one.count() == 0 and not other.exists and other.search(points[:1]).ids == ((),)
    one.add(points[:3])
    assert other.search(points[:1], 5).found == 3 and np.allclose(other.vectors([1]), points[1])
    assert other.add(points[3:5]) == [3, 4] and one.count() == 5
    with pytest.raises(InputError, match="dimensions"):
        narrow.add(points[:1, :2])
    other.delete([0])
    assert 0 not in one.search(points[:1], 5).ids[0]


@pytest.mark.parametrize("kind", KIND)
def test_a_store_without_points_knows_no_id(kind, place):
    with open_store(place(kind), metric="cosine", dimension=D) as store:
        for call in (store.vectors, store.metadata, store.delete):
            with pytest.raises(InputError, match="'a' is not there"):
                call(["a"])
        assert store.ids() == [] and store.info()["points"] == 0
