"""The service inside this process: what other collections, settings and failures than those of a started one answer."""

import errno
import io
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("fastapi", reason="the service needs the extra serve")
from fastapi.testclient import TestClient

from neighborhood_drift import Collection, InputError
from neighborhood_drift.datasets import bundled_folder
from neighborhood_drift.retrieval.bundled import sample_collection
from neighborhood_drift.retrieval.pictures import MOST_RATIO
from neighborhood_drift.retrieval.remote import Unreachable
from neighborhood_drift.retrieval.service import engines as engines_module
from neighborhood_drift.retrieval.service import searching, server
from neighborhood_drift.retrieval.service.app import AT_ONCE, create_app
from neighborhood_drift.retrieval.service.engines import RULES, Engines
from neighborhood_drift.retrieval.service.guard import FORM
from neighborhood_drift.retrieval.service.limits import BACKGROUND, Limits, Refused
from neighborhood_drift.retrieval.service.models import RuleName
from neighborhood_drift.retrieval.service.targets import MOST_WAITING, Targets
from neighborhood_drift.study.cli import app as commands

PIXEL = {"name": "pixels", "size": [1, 1], "mode": "L"}


def line(points=20, **settings):
    """Points on a line, their ids as their coordinates."""
    collection = Collection(1, **settings)
    if points:
        collection.add(np.arange(points, dtype=np.float32)[:, None])
    return collection


def client(store, **settings):
    return TestClient(create_app(store, **settings), base_url="http://localhost", raise_server_exceptions=False)


def test_fewer_than_k_come_with_a_note():
    collection = line(6)
    collection.delete([0, 1])
    for asked in ({"vector": [0.0], "k": 10}, {"vector": [0.0], "k": 10, "exact": True}):
        found = client(collection).post("/search", json=asked).json()
        assert [hit["id"] for hit in found["hits"]] == [2, 3, 4, 5]
        assert found["found"] == 4 and "fewer than k = 10" in found["note"]
    beside = client(collection).post("/search", json={"id": 3, "k": 10, "compare": True}).json()
    assert beside["overlap"] == 1 and beside["found"] == 3 and beside["missed"] == beside["instead"] == []


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_collection_answers_with_nothing(rule):
    for collection in (Collection(1), Collection()):
        found = client(collection).post("/search", json={"vector": [0.0], "k": 3, "rule": rule, "compare": True})
        assert found.status_code == 200, found.text
        assert found.json()["hits"] == [] and found.json()["overlap"] is None and found.json()["note"]


def test_a_duplicate_is_a_neighbor_and_the_point_itself_is_not():
    collection = Collection(1)
    collection.add(np.zeros((8, 1), np.float32), ids=list("abcdefgh"))
    service = client(collection)
    service.app.state.service.engines.prepare().join()
    for rule in RULES:
        found = service.post("/search", json={"id": "h", "k": 5, "rule": rule}).json()
        ids = [hit["id"] for hit in found["hits"]]
        assert len(set(ids)) == 5 and "h" not in ids and {hit["distance"] for hit in found["hits"]} == {0}


def test_effort_of_target_is_told_and_reaches_it():
    rows = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
    collection = Collection(8, M=4, ef_construction=20)
    collection.add(rows)
    service, asked = client(collection), {"id": 0, "k": 5, "target": "overlap=0.8"}
    until(lambda: service.post("/search", json=asked).status_code != 503)
    answer = service.post("/search", json=asked)
    assert answer.status_code == 200, answer.text
    # certified leave-one-out at k: another point is asked for in the place of the one that asks
    assert answer.json()["ef"] == collection.tune("overlap=0.8", 5).ef and answer.json()["found"] == 5


class Slow(Collection):
    """A collection that waits to be let go when it chooses an ef, and notes who made it choose."""

    def __init__(self, points=300):
        super().__init__(4, M=4, ef_construction=20)
        self.go, self.measured = threading.Event(), []
        self.add(np.random.default_rng(0).normal(size=(points, 4)).astype(np.float32))

    def search(self, queries, k=10, *, ef=None, target=None, exact=False):
        if target is not None:
            self.measured.append(threading.current_thread().name)
            self.go.wait(20)
        return super().search(queries, k, ef=ef, target=target, exact=exact)


def test_a_target_is_measured_once_while_requests_are_told_to_ask_again():
    slow = Slow()
    targets, asked = Targets(slow, patience=0.05), np.zeros((1, 4), np.float32)
    for target in ("overlap=0.8", "overlap=0.8", "overlap=0.9"):
        with pytest.raises(Refused) as refused:
            targets.ef(asked, 3, target)
        assert refused.value.status == 503
    slow.go.set()
    until(lambda: answers(lambda: targets.ef(asked, 3, "overlap=0.8")))
    assert targets.ef(asked, 3, "overlap=0.8") == slow.tune("overlap=0.8", 3).ef
    until(lambda: answers(lambda: targets.ef(asked, 3, "overlap=0.9")))
    assert len(slow.measured) == 2
    assert targets.ef(asked, 300, "overlap=0.8") == 300 and targets.ef(asked, 3, None) == slow.ef
    with pytest.raises(InputError, match="quer"):
        Targets(slow, patience=60).ef(asked, 3, "overlap=0.99999")


def test_after_a_compaction_a_target_is_measured_anew_and_no_request_does_it():
    slow = Slow()
    service, asked = client(slow), {"id": 0, "k": 3, "target": "overlap=0.8"}
    slow.go.set()
    until(lambda: service.post("/search", json=asked).status_code == 200)
    slow.go.clear()
    slow.delete([5])
    slow.compact()
    service.app.state.service.searcher._targets._patience = 0.05
    for _ in range(2):
        assert service.post("/search", json=asked).status_code == 503
    assert service.get("/health").json() == {"status": "ok", "points": 299}
    slow.go.set()
    until(lambda: service.post("/search", json=asked).status_code == 200)
    assert len(slow.measured) == 2 and all(name.startswith(BACKGROUND) for name in slow.measured)


def test_the_collections_own_target_is_measured_in_the_background_too():
    slow = Slow()
    slow.target = "overlap=0.8"
    service = client(slow)
    service.app.state.service.searcher._targets._patience = 0.05
    assert service.post("/search", json={"id": 0, "k": 3}).status_code == 503
    assert service.post("/search", json={"id": 0, "k": 3, "ef": 9}).json()["ef"] == 9
    assert service.post("/search", json={"id": 0, "k": 3, "exact": True}).status_code == 200
    slow.go.set()
    until(lambda: service.post("/search", json={"id": 0, "k": 3}).status_code == 200)


def test_changes_that_wait_hold_up_no_search():
    """More changes than the service has threads, while the collection is not free to be changed."""
    collection, added = line(), []
    with client(collection) as service:

        def add(row):
            added.append(service.post("/points", json={"vectors": [[100.0 + row]]}).status_code)

        threads = [threading.Thread(target=add, args=(row,)) for row in range(45)]
        with collection._changes:
            for thread in threads:
                thread.start()
            until(lambda: service.app.state.service.engines._under_way == AT_ONCE)
            for _ in range(3):
                assert service.post("/search", json={"id": 3}).status_code == 200
            assert service.get("/health").json()["points"] == 20 and not added
        for thread in threads:
            thread.join()
    assert added == [200] * 45 and collection.count() == 65


def test_few_targets_are_measured_at_a_time():
    slow = Slow()
    targets, asked = Targets(slow, patience=0.01), np.zeros((1, 4), np.float32)
    told = []
    for k in range(1, MOST_WAITING + 2):
        with pytest.raises(Refused) as refused:
            targets.ef(asked, k, "overlap=0.8")
        told.append(str(refused.value))
    assert "Other targets" in told[-1] and not any("Other targets" in one for one in told[:-1])
    slow.go.set()
    until(lambda: answers(lambda: targets.ef(asked, MOST_WAITING + 1, "overlap=0.8")))


def answers(search) -> bool:
    try:
        search()
    except Refused:
        return False
    return True


@pytest.mark.parametrize("path", ["/search", "/points", "/points/delete"])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_bounded_however_they_come(path, chunked):
    service = client(line(), limits=Limits(body_bytes=1000, search_bytes=1000, upload_bytes=1000))
    long, fits = b'{"vector": [0.0]' + b" " * 1000 + b"}", b'{"vector": [0.0]}'
    for body, statuses in ((long, {413}), (fits, {200, 422})):
        content = iter([body[:10], body[10:]]) if chunked else body
        answer = service.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in statuses, answer.text
        assert answer.json()["detail"] if answer.status_code != 200 else True


def test_an_upload_may_be_as_large_as_it_is_said():
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(stream, "PNG")
    data = stream.getvalue()
    limits = {"upload_bytes": len(data), "upload_pixels": 64 * 64}
    fits = client(line(encoder=PIXEL), limits=Limits(**limits))
    until(lambda: fits.get("/info").json()["image_search"]["ready"])
    assert fits.post("/search/image", files={"image": data}).status_code == 200
    for name in limits:
        small = client(line(encoder=PIXEL), limits=Limits(**{**limits, name: limits[name] - 1}))
        until(lambda small=small: small.get("/info").json()["image_search"]["ready"])
        assert small.post("/search/image", files={"image": data}).status_code == 413
    assert fits.post("/search/image", files={"image": data + bytes(FORM)}).status_code == 413


def test_an_image_that_an_encoder_would_blow_up_is_too_large(monkeypatch):
    seen = []

    def encode(pictures):
        """The first step of most encoders, the shorter side to 256 pixels, and a mean in the place of the others."""
        [one] = pictures
        seen.append(one.resize([256 * side // min(one.size) for side in one.size]).size)
        return np.array([[np.asarray(one, np.float32).mean()]])

    monkeypatch.setattr(searching, "picture_encoder", lambda encoder, weights: encode)
    service = client(line(encoder=PIXEL))
    until(lambda: service.get("/info").json()["image_search"]["ready"])
    sizes = (((MOST_RATIO, 1), 200), ((2, 2 * MOST_RATIO + 1), 413), ((20_000, 1), 413), ((1, 99_999), 413))
    for size, status in sizes:
        stream = io.BytesIO()
        Image.new("L", size).save(stream, "PNG")
        answer = service.post("/search/image", files={"image": stream.getvalue()})
        assert answer.status_code == status, answer.text
    assert seen == [(256 * MOST_RATIO, 256)]


@pytest.mark.parametrize("failure", [MemoryError(), RuntimeError("CUDA out of memory"), ValueError("shapes")])
def test_a_picture_at_which_the_encoder_fails_is_refused_in_a_sentence(monkeypatch, failure):
    def encode(pictures):
        raise failure

    monkeypatch.setattr(searching, "picture_encoder", lambda encoder, weights: encode)
    service = client(line(encoder=PIXEL))
    until(lambda: service.get("/info").json()["image_search"]["ready"])
    stream = io.BytesIO()
    Image.new("L", (3, 2)).save(stream, "PNG")
    answer = service.post("/search/image", files={"image": stream.getvalue()})
    assert answer.status_code == 400 and "3 x 2 pixels" in answer.json()["detail"]


def until(holds):
    waiting = threading.Event()
    for _ in range(3000):
        if holds():
            return
        waiting.wait(0.02)
    raise AssertionError("waited in vain")


def test_images_wait_for_their_encoder_and_a_failure_is_told(monkeypatch):
    loaded = threading.Event()

    def slow(encoder, weights):
        loaded.wait(20)
        raise InputError("torch is missing.")

    monkeypatch.setattr(searching, "picture_encoder", slow)
    service = client(line(encoder={"name": "resnet50", "weights": "some.pth"}))
    waits = service.post("/search/image", files={"image": b"x"})
    assert waits.status_code == 503 and int(waits.headers["retry-after"]) > 0
    loaded.set()
    until(lambda: "torch is missing" in service.get("/info").json()["image_search"]["reason"])
    failed = service.post("/search/image", files={"image": b"x"})
    assert failed.status_code == 400 and "torch is missing" in failed.json()["detail"]
    never = client(line()).post("/search/image", files={"image": b"x"})
    assert never.status_code == 400 and "how an image becomes a vector" in never.json()["detail"]


def test_an_original_of_the_bundled_sample_finds_itself():
    pytest.importorskip("torch", reason="images of the bundled sample need the extra encode")
    store, thumbnails, _ = sample_collection(points=60)
    service = client(store, thumbnails=thumbnails)
    until(lambda: not service.app.state.service.pictures.loading)
    with zipfile.ZipFile(bundled_folder() / "cifar10-resnet50" / "originals.zip") as originals:
        data = originals.read(originals.namelist()[7])
    hits = service.post("/search/image", files={"image": data}, data={"k": "2"}).json()["hits"]
    assert hits[0]["id"] == 7 and hits[0]["distance"] < hits[1]["distance"] / 10
    shown = Image.open(io.BytesIO(service.get(hits[0]["image"]).content)).convert("RGB")
    stored = Image.open(io.BytesIO(data)).convert("RGB")  # of the size of the small pictures, which are JPEG
    assert np.abs(np.asarray(shown, float) - np.asarray(stored, float)).mean() < 10


def test_every_rule_may_be_asked_for():
    assert tuple(RULES) == get_args(RuleName)


def test_faiss_follows_changes_of_the_points(no_patience):
    collection = line(5)
    engines = Engines(collection, Limits())
    engines.prepare().join()
    near = np.array([[2.2]], np.float32)
    assert engines.search("stays", near, 1, 10)[0].ids == ((2,),)
    collection.delete([2])
    with pytest.raises(Refused) as refused:
        engines.search("stays", near, 1, 10)
    assert refused.value.status == 503
    until(lambda: engines.rules()[1]["ready"])
    assert engines.search("stays", near, 1, 10)[0].ids == ((3,),)


class Counted(Collection):
    """A store that does not count its changes, as those of servers do not."""

    def info(self):
        return {name: value for name, value in super().info().items() if name != "changes"}


@pytest.mark.parametrize("kind", [Collection, Counted])
def test_no_graph_of_half_a_change_is_one_of_the_points(kind, no_patience):
    """Points are replaced in two halves, and the second one fails; their number stays the same all the while."""
    points = kind(1)
    points.add(np.arange(8, dtype=np.float32)[:, None])
    service = client(points)
    whole, seen = points.add, []

    def search():
        answer = service.post("/search", json={"vector": [103.0], "k": 1, "rule": "stays", "compare": True})
        return answer.json()["hits"][0]["distance"] if answer.status_code == 200 else None

    def halves(vectors, ids, metadata, replace):
        service.app.state.service.engines.prepare().join()  # a graph that is read before the points change
        whole(vectors[:4], ids[:4], metadata, replace=replace)
        seen.append(search())
        raise InputError("the other half failed.")

    service.app.state.service.engines.prepare().join()
    assert search() == 96
    points.add = halves
    given = {"vectors": [[100.0 + row] for row in range(8)], "ids": list(range(8)), "replace": True}
    assert service.post("/points", json=given).status_code == 400
    assert seen[0] in (None, 0)
    until(lambda: search() is not None)
    assert search() == 0


@pytest.fixture
def no_patience(monkeypatch):
    """Have a graph searched only as long as it is one of the points as they are."""
    monkeypatch.setattr(engines_module.Graphs, "recent", False)


def test_where_points_never_rest_lists_are_compared_over_the_same_points():
    rng = np.random.default_rng(0)
    collection = Collection(4, M=8, ef_construction=40)
    collection.add(rng.normal(size=(200, 4)).astype(np.float32))
    service = client(collection)
    asked = {"vector": [0.0] * 4, "k": 20, "ef": 400, "rule": "stays", "compare": True}
    answered = 0
    for row in range(200):
        added = service.post("/points", json={"vectors": rng.normal(scale=0.1, size=(2, 4)).tolist()})
        service.post("/points/delete", json={"ids": [row]})
        answer = service.post("/search", json=asked)
        if answer.status_code == 200:
            answered += 1
            assert "has changed" in answer.json()["note"] and answer.json()["overlap"] == 1
            shown = {hit["id"] for hit in answer.json()["hits"]}
            assert row not in shown and not shown & set(added.json()["ids"])
        else:
            assert answer.status_code == 503
            time.sleep(0.02)
        if answered == 20:
            break
    assert answered == 20


def test_faiss_is_refused_for_more_points_than_are_copied():
    service = client(line(20), limits=Limits(engine_bytes=4 * 19))
    answer = service.post("/search", json={"id": 0, "rule": "stays"})
    assert answer.status_code == 400 and "too many" in answer.json()["detail"]
    rule = service.get("/info").json()["rules"][1]
    assert not rule["ready"] and rule["reason"] == answer.json()["detail"]
    assert service.post("/search", json={"id": 0}).status_code == 200


def test_read_only_takes_no_changes_with_any_token():
    collection = line()
    service = client(collection, read_only=True, token="known")
    for path, body in (("/points", {"vectors": [[0.0]]}), ("/points/delete", {"ids": [0]}), ("/save", None)):
        answer = service.post(path, json=body, headers={"Authorization": "Bearer known"})
        assert answer.status_code == 403 and "read-only" in answer.json()["detail"]
    assert service.get("/info").json()["changes"] == "closed" and collection.count() == 20


@pytest.mark.parametrize("path", ["/points", "/points\n", "/points/", "/POINTS", "/points%2F", "/./points"])
def test_no_spelling_of_a_path_goes_around_the_token(path):
    collection = line()
    service = client(collection, token="known")
    for body in ({"vectors": [[0.0]]}, {"vectors": "none"}, None):
        answer = service.post(path.replace("\n", "%0A"), json=body)
        assert answer.status_code in ((401,) if path == "/points" else (401, 404)), answer.text
    assert collection.count() == 20


def test_a_full_disk_is_said_and_the_changes_stay_noted(monkeypatch):
    collection = line()
    service = client(collection)
    service.post("/points", json={"vectors": [[99.0]]})

    def full(path=None):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere/secret")

    monkeypatch.setattr(collection, "save", full)
    answer = service.post("/save")
    assert answer.status_code == 507 and "No space left" in answer.json()["detail"] and "secret" not in answer.text
    assert service.app.state.service.unsaved


def test_a_change_while_a_save_runs_stays_to_be_saved(monkeypatch):
    collection = line()
    monkeypatch.delattr(Collection, "changed")  # as of a store that another program keeps
    monkeypatch.setattr(collection, "info", dict)
    service = client(collection)
    monkeypatch.setattr(collection, "save", lambda: service.post("/points", json={"vectors": [[77.0]]}))
    service.post("/points", json={"vectors": [[99.0]]})
    assert service.post("/save").status_code == 200
    assert service.app.state.service.unsaved
    monkeypatch.setattr(collection, "save", lambda: None)
    assert service.post("/save").status_code == 200 and not service.app.state.service.unsaved


def test_a_compaction_that_ends_after_a_save_is_still_to_be_saved(tmp_path):
    collection = line(2000)
    service = client(collection)
    assert service.post("/compact").json()["status"] == "nothing is deleted"
    service.post("/points/delete", json={"ids": list(range(500))})
    with collection._changes:  # a compaction needs it to begin and to end
        collection.compact(background=True)
        collection.save(tmp_path / "saved")
    collection.wait()
    assert service.app.state.service.unsaved
    assert service.post("/save").status_code == 200 and not service.app.state.service.unsaved
    assert Collection.load(tmp_path / "saved").info()["deleted"] == 0


def test_what_nobody_foresaw_is_no_page_of_code(monkeypatch):
    collection = line()
    service = client(collection)
    monkeypatch.setattr(collection, "search", lambda *args, **more: 1 / 0)
    answer = service.post("/search", json={"id": 0})
    assert answer.status_code == 500 and answer.json() == {
        "detail": "The service failed at this request; its log says where."
    }
    fine = service.get("/health")
    assert {name for name in fine.headers if name.startswith(("x-", "content-security"))} <= set(answer.headers)


def test_a_server_that_does_not_answer_is_not_ready_yet(monkeypatch):
    collection = line()

    def away(*args, **more):
        raise Unreachable("the server does not answer.")

    service = client(collection)
    for name in ("delete", "search", "vectors", "metadata", "save"):
        monkeypatch.setattr(collection, name, away)
    asked = [("/points/delete", {"ids": [3]}), ("/search", {"vector": [0.0]}), ("/search", {"id": 3}), ("/save", None)]
    for path, body in asked:
        answer = service.post(path, json=body)
        assert answer.status_code == 503 and answer.json()["detail"] == "the server does not answer."


def test_names_of_hosts_are_always_checked():
    collection = line()
    service = client(collection, hosts=("Mine.example",))
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        answer = service.post("/points/delete", json={"ids": [0]}, headers={"Host": host, "Origin": f"http://{host}"})
        assert answer.status_code == 400 and "host" in answer.json()["detail"]
    assert collection.count() == 20
    for host in ("mine.example:8000", "192.168.1.7:8000", "[fe80::1]:8000", "127.0.0.1", "LOCALHOST:1"):
        assert service.get("/health", headers={"Host": host}).status_code == 200


def test_where_files_lie_is_told_to_nobody(tmp_path):
    collection = line(encoder={"name": "resnet50", "weights": "none.pth"})
    collection.save(tmp_path / "kept")
    service = client(collection, weights=tmp_path / "somewhere" / "none.pth")
    until(lambda: not service.app.state.service.pictures.loading)
    info = service.get("/info")
    assert "none.pth" in info.json()["image_search"]["reason"] or "torch" in info.json()["image_search"]["reason"]
    Collection.load(tmp_path / "kept").save()
    service.post("/points/delete", json={"ids": [0]})
    refused = service.post("/save")
    assert refused.status_code == 400 and "another process" in refused.json()["detail"]
    assert str(tmp_path) not in info.text + refused.text and not {"path", "location"} & set(info.json())


def test_blanks_at_the_ends_of_a_token_are_no_part_of_it():
    service = client(line(), token=" secret ")
    for shown in ("secret", " secret "):
        assert service.post("/compact", headers={"Authorization": f"Bearer {shown}"}).status_code == 200
    assert service.post("/compact", headers={"Authorization": "Bearer"}).status_code == 401


def test_a_target_beside_an_exact_search_is_refused():
    answer = client(line()).post("/search", json={"id": 0, "target": "overlap=0.9", "exact": True})
    assert answer.status_code == 400 and "beside ef or exact" in answer.json()["detail"]


def test_what_a_license_asks_for_is_told_of_the_vectors_it_covers():
    store, thumbnails, _ = sample_collection(points=5)
    told = client(store, thumbnails=thumbnails).get("/info").json()["notice"]
    assert "https://github.com/uber-research/permute-quantize-finetune" in told and "non-commercial" in told
    assert client(line(encoder=PIXEL)).get("/info").json()["notice"] == ""


def test_warming_up_is_one_exact_search(monkeypatch):
    searched, collection = [], line(3)
    monkeypatch.setattr(collection, "search", lambda *args, **how: searched.append(how))
    for store in (collection, Collection()):  # an empty one has nothing to search
        client(store).app.state.service.warm_up()
    until(lambda: not [one for one in threading.enumerate() if one.name == f"{BACKGROUND}warm-up"])
    assert searched == [{"exact": True}]


def test_request_ids_are_kept_where_they_are_plain():
    service = client(line())
    assert service.get("/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 65, "<script>"):
        given = service.get("/health", headers={"X-Request-ID": odd}).headers["x-request-id"]
        assert given != odd and given.isalnum()


@pytest.mark.parametrize("changed, keep, saves", [(True, True, 1), (False, True, 0), (True, False, 0)])
def test_at_the_end_only_changes_that_are_kept_are_saved(monkeypatch, tmp_path, changed, keep, saves):
    collection, saved = line(), []
    collection.save(tmp_path / "kept")
    service, save = client(collection), collection.save
    monkeypatch.setattr(collection, "save", lambda: saved.append(save()))
    monkeypatch.setattr(server.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(server, "leave", lambda: None)
    if changed:
        service.post("/points/delete", json={"ids": [0]})
    with server.listening("127.0.0.1", 0) as opened:
        server.serve(service.app, opened, keep=keep, every=0, say=lambda line: None)
    assert len(saved) == saves


def test_a_save_at_the_end_that_fails_is_said(monkeypatch):
    collection = line()
    service = client(collection)

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(collection, "save", full)
    monkeypatch.setattr(server.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(server, "leave", lambda: None)
    service.post("/points/delete", json={"ids": [0]})
    with server.listening("127.0.0.1", 0) as opened, pytest.raises(InputError, match=r"is lost: .*No space left"):
        server.serve(service.app, opened, keep=True, every=0, say=lambda line: None)


def test_changes_that_another_process_has_overtaken_are_saved_beside(monkeypatch, tmp_path):
    collection = line()
    collection.save(tmp_path / "kept")
    service = client(collection)
    Collection.load(tmp_path / "kept").save()
    monkeypatch.setattr(server.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(server, "leave", lambda: None)
    service.post("/points/delete", json={"ids": [0]})
    with server.listening("127.0.0.1", 0) as opened, pytest.raises(InputError, match="another process") as told:
        server.serve(service.app, opened, keep=True, every=0, say=lambda line: None)
    [beside] = tmp_path.glob("kept.unsaved-*")
    assert str(beside) in str(told.value)
    assert Collection.load(beside).count() == 19 and Collection.load(tmp_path / "kept").count() == 20


# the command


@pytest.fixture
def started(monkeypatch):
    """What the command would serve, without serving it."""
    seen = {}
    monkeypatch.setattr(
        server, "serve", lambda app, opened, **how: seen.update(app=app, at=opened.getsockname(), **how)
    )
    return seen


@pytest.fixture
def saved(tmp_path):
    line().save(tmp_path / "collection")
    return str(tmp_path / "collection")


def serve(*words, env=None):
    return CliRunner().invoke(
        commands, ["serve", *words, "--port", "0"], env={"NEIGHBORHOOD_DRIFT_TOKEN": None, **(env or {})}
    )


def test_serve_listens_on_this_machine_alone_unless_told_otherwise(started, saved):
    answer = serve(saved)
    assert answer.exit_code == 0, answer.output
    assert started["at"][0] == "127.0.0.1" and started["keep"] and "Warning" not in answer.output
    local = TestClient(started["app"])
    assert local.get("/health", headers={"Host": "127.0.0.1:8000"}).status_code == 200
    assert local.get("/health", headers={"Host": "example.org"}).status_code == 400
    serve(saved, "--allow-host", "Example.org")
    assert TestClient(started["app"]).get("/health", headers={"Host": "example.org"}).status_code == 200


def test_serve_warns_where_others_can_change_the_collection(started, saved):
    assert "other machines can change" in serve(saved, "--host", "0.0.0.0").output
    assert started["at"][0] == "0.0.0.0"
    other = TestClient(started["app"], base_url="http://evil.example")
    assert other.post("/points/delete", json={"ids": [0]}).status_code == 400
    assert TestClient(started["app"], base_url="http://192.168.1.7:8000").get("/health").status_code == 200
    for words in (["--read-only"], ["--token", "secret"]):
        assert "other machines" not in serve(saved, "--host", "0.0.0.0", *words).output


def test_serve_takes_the_token_from_the_environment(started, saved):
    answer = serve(saved, env={"NEIGHBORHOOD_DRIFT_TOKEN": "secret"})
    local = TestClient(started["app"], base_url="http://localhost")
    assert local.post("/save").status_code == 401
    assert local.post("/save", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert "secret" not in answer.output


def test_serve_says_that_changes_of_a_sample_end_with_it(started, tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    np.save(tmp_path / "mine.npy", rows)
    answer = serve("--data", str(tmp_path / "mine.npy"), "--points", "20", "--engines")
    assert answer.exit_code == 0 and "stay in memory" in answer.output and not started["keep"]
    info = TestClient(started["app"], base_url="http://localhost").get("/info").json()
    assert info["points"] == 20 and info["dimension"] == 4


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["nowhere"], "nowhere"),
        (["--data", "nowhere"], "nowhere"),
        (["somewhere", "--data", "mine.npy"], "one collection"),
        (["--token", " "], "printable ASCII"),
        (["--host", "host.invalid"], "cannot be listened at"),
    ],
)
def test_serve_refuses_bad_input_in_a_sentence(started, words, sentence):
    answer = serve(*words)
    assert answer.exit_code == 2 and answer.output.startswith("Error: ") and sentence in answer.output
    assert "app" not in started


def test_a_port_that_is_taken_is_said():
    with server.listening("127.0.0.1", 0) as taken, pytest.raises(InputError, match="cannot be listened at"):
        server.listening("127.0.0.1", taken.getsockname()[1])


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_serve_passes_its_variables_on():
    def command(*variables):
        root = Path(__file__).parents[1]
        shown = subprocess.run(
            ["make", "--no-print-directory", "-n", "serve", *variables],
            cwd=root, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return shown.stdout.splitlines()[-1].partition("neighborhood_drift ")[2].split()

    assert command() == ["serve", "--port", "8000"]
    given = command("DATA=fashion-mnist", "DATA_DIR=sets", "PORT=9000")
    assert given == ["serve", "--data", "fashion-mnist", "--data-dir", "sets", "--port", "9000"]
    assert command("LOCATION=runs/mine") == ["serve", "runs/mine", "--port", "8000"]


def test_without_the_extra_serve_says_what_to_install(monkeypatch, saved):
    for name in [name for name in sys.modules if name.startswith("neighborhood_drift.retrieval.service.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    answer = serve(saved)
    assert answer.exit_code == 2 and ".[serve]" in answer.output
