"""The service inside this process: what other collections, settings and failures than those of a started one answer."""

import errno
import io
import shutil
import subprocess
import sys
import threading
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
from neighborhood_drift.retrieval.service import searching, server
from neighborhood_drift.retrieval.service.app import create_app
from neighborhood_drift.retrieval.service.engines import RULES, Engines
from neighborhood_drift.retrieval.service.guard import FORM
from neighborhood_drift.retrieval.service.limits import Limits, Refused
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
    return TestClient(create_app(store, **settings), raise_server_exceptions=False)


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
    # one neighbor more is asked for, as the point itself is dropped
    assert answer.json()["ef"] == collection.search(rows[:1], 6, target="overlap=0.8").ef


class Slow(Collection):
    """A collection whose first search for a target waits to be let go."""

    def __init__(self):
        super().__init__(1)
        self.go, self.measured = threading.Event(), 0

    def search(self, queries, k=10, *, ef=None, target=None, exact=False):
        if target is not None and not self.go.is_set():
            self.measured += 1
            self.go.wait(20)
        if target == "overlap=1":
            raise InputError("no ef reaches it.")
        return super().search(queries, k, ef=ef, exact=exact)


def test_a_target_is_measured_once_while_requests_are_told_to_ask_again():
    slow = Slow()
    slow.add(np.arange(9, dtype=np.float32)[:, None])
    targets, asked = Targets(slow, patience=0.05), np.zeros((1, 1), np.float32)
    for target in ("overlap=0.9", "overlap=0.9", "overlap=1"):
        with pytest.raises(Refused) as refused:
            targets.search(asked, 3, target)
        assert refused.value.status == 503
    slow.go.set()
    until(lambda: answers(lambda: targets.search(asked, 3, "overlap=0.9")))
    assert targets.search(asked, 3, "overlap=0.9").ids == ((0, 1, 2),)
    targets = Targets(slow, patience=20)
    with pytest.raises(InputError, match="no ef reaches it"):
        targets.search(asked, 3, "overlap=1")
    assert slow.measured == 1


def test_few_targets_are_measured_at_a_time():
    slow = Slow()
    slow.add(np.arange(9, dtype=np.float32)[:, None])
    targets, asked = Targets(slow, patience=0.01), np.zeros((1, 1), np.float32)
    told = []
    for k in range(1, MOST_WAITING + 2):
        with pytest.raises(Refused) as refused:
            targets.search(asked, k, "overlap=0.9")
        told.append(str(refused.value))
    assert "Other targets" in told[-1] and not any("Other targets" in one for one in told[:-1])
    slow.go.set()
    until(lambda: answers(lambda: targets.search(asked, MOST_WAITING + 1, "overlap=0.9")))


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


def test_faiss_follows_changes_of_the_points():
    collection = line(5)
    engines = Engines(collection, Limits())
    engines.prepare().join()
    near = np.array([[2.2]], np.float32)
    assert engines.search("stays", near, 1, 10).ids == ((2,),)
    collection.delete([2])
    engines.changed()
    with pytest.raises(Refused) as refused:
        engines.search("stays", near, 1, 10)
    assert refused.value.status == 503
    until(lambda: engines.rules()[1]["ready"])
    assert engines.search("stays", near, 1, 10).ids == ((3,),)


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
    assert service.app.state.service.changes == 1


def test_a_change_while_a_save_runs_stays_to_be_saved(monkeypatch):
    collection = line()
    service = client(collection)
    monkeypatch.setattr(collection, "save", lambda: service.post("/points", json={"vectors": [[77.0]]}))
    service.post("/points", json={"vectors": [[99.0]]})
    assert service.post("/save").status_code == 200
    assert service.app.state.service.changes == 1


def test_what_nobody_foresaw_is_no_page_of_code(monkeypatch):
    collection = line()
    service = client(collection)
    monkeypatch.setattr(collection, "search", lambda *args, **more: 1 / 0)
    answer = service.post("/search", json={"id": 0})
    assert answer.status_code == 500 and answer.json() == {
        "detail": "The service failed at this request; its log says where."
    }


def test_request_ids_are_kept_where_they_are_plain():
    service = client(line())
    assert service.get("/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 65, "<script>"):
        given = service.get("/health", headers={"X-Request-ID": odd}).headers["x-request-id"]
        assert given != odd and given.isalnum()


@pytest.mark.parametrize("changed, keep, saves", [(True, True, 1), (False, True, 0), (True, False, 0)])
def test_at_the_end_only_changes_that_are_kept_are_saved(monkeypatch, changed, keep, saves):
    collection, saved = line(), []
    service = client(collection)
    monkeypatch.setattr(collection, "save", lambda: saved.append(True))
    monkeypatch.setattr(server.Server, "run", lambda self, sockets: None)
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
    service.post("/points/delete", json={"ids": [0]})
    with server.listening("127.0.0.1", 0) as opened, pytest.raises(InputError, match=r"is lost: .*No space left"):
        server.serve(service.app, opened, keep=True, every=0, say=lambda line: None)


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
            ["make", "-n", "serve", *variables], cwd=root, capture_output=True, text=True, check=True
        )
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
    assert answer.exit_code == 2 and "neighborhood-drift[serve]" in answer.output
