"""The search service over HTTP, against the command's own process: answers, refusals, limits, who may change data."""

import io
import itertools
import json
import re
import socket
import struct
import threading
import time
import zlib
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the service needs the extra serve")
from serving import CLASSES, POINTS, SIDE, TOKEN, Service, pictured

from neighborhood_drift import Collection, build_index, exact_neighbors

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    started = Service(pictured(folder), "--token", TOKEN, "--save-every", "0", log=folder / "log")
    yield started
    assert started.stop() == 0, started.said()


@pytest.fixture(scope="module")
def base(service):
    """The points before any test changes them; the tests leave those with whole numbers below POINTS as they are."""
    return Collection.load(service.folder).vectors(range(POINTS))


def told(answer, status):
    """The one sentence of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json" and list(answer.json()) == ["detail"]
    sentence = answer.json()["detail"]
    assert sentence and "Traceback" not in sentence
    return sentence


def png(image) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def picture_of(base, row) -> bytes:
    return png(np.round(base[row].reshape(SIDE, SIDE) * 255).astype(np.uint8))


# answers


def test_points_are_listed_in_order_with_labels_and_pictures(service):
    pages = [service.http.get("/points", params={"start": start, "count": 100}).json() for start in (0, 100, 200, 300)]
    listed = list(itertools.chain.from_iterable(page["points"] for page in pages))[:POINTS]
    assert [point["id"] for point in listed] == list(range(POINTS))
    assert [point["label"] for point in listed] == [f"class {row % CLASSES}" for row in range(POINTS)]
    assert all(page["total"] >= POINTS for page in pages)
    shown = service.http.get(listed[7]["image"])
    assert shown.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(shown.content)).size == (32, 32)


def test_exact_search_by_id_leaves_the_point_out(service, base):
    for row in (0, 100, POINTS - 1):
        found = service.post("/search", {"id": row, "k": 12, "exact": True}).json()
        true = exact_neighbors(base, base[[row]], k=12, exclude=np.array([row]))
        assert [hit["id"] for hit in found["hits"]] == true.ids[0].tolist()
        assert [hit["distance"] for hit in found["hits"]] == pytest.approx(true.distances[0], rel=1e-12)
        assert [hit["rank"] for hit in found["hits"]] == list(range(1, 13))


def test_search_by_vector_is_the_collections(service, base):
    query = base[:3].mean(axis=0)
    collection = Collection.load(service.folder)
    for k, ef in ((1, 1), (10, 5), (50, None)):
        found = service.post("/search", {"vector": query.tolist(), "k": k, "ef": ef}).json()
        own = collection.search([query], k, ef=ef)
        assert [hit["id"] for hit in found["hits"]] == list(own.ids[0])
        assert found["ef"] == own.ef and found["found"] == k and found["note"] == ""


@pytest.mark.parametrize("rule", ["follows-k", "stays", "faiss-follows-k"])
def test_what_was_missed_and_what_came_instead_are_the_difference_of_both_lists(service, rule):
    overlaps = []
    for row in range(0, POINTS, 30):
        asked = {"id": row, "k": 20, "ef": 1, "rule": rule, "compare": True}
        answer = until_ready(service, asked)
        true, got = ([hit["id"] for hit in hits] for hits in (answer["exact"]["hits"], answer["hits"]))
        assert row not in true and row not in got
        assert set(answer["missed"]) == set(true) - set(got) and set(answer["instead"]) == set(got) - set(true)
        assert answer["overlap"] == pytest.approx(len(set(true) & set(got)) / len(true))
        overlaps.append(answer["overlap"])
    assert min(overlaps) < 1, "the lists never differ at the lowest effort: the test shows nothing"


@pytest.mark.parametrize("rule", ["stays", "faiss-follows-k"])
def test_rules_of_faiss_are_its_two_searches_of_one_graph(service, base, rule):
    graph = build_index("faiss-hnsw", base, M=8, ef_construction=40)
    graph = graph if rule == "stays" else graph.unbounded()
    for row in (3, 77):
        answer = until_ready(service, {"id": row, "k": 30, "ef": 4, "rule": rule})
        found = graph.search(base[[row]], 30, 4, exclude_self=np.array([row]))
        assert [hit["id"] for hit in answer["hits"]] == [one for one in found.ids[0].tolist() if one >= 0]


def until_ready(service, asked):
    """The answer, once FAISS's graph of the points as they are is built."""
    for _ in range(200):
        answer = service.post("/search", asked)
        if answer.status_code != 503:
            assert answer.status_code == 200, answer.text
            return answer.json()
        assert int(answer.headers["retry-after"]) > 0
        time.sleep(0.05)
    raise AssertionError("the graph is never ready")


def test_uploaded_picture_finds_itself(service, base):
    for row in (5, 111):
        found = service.post(
            "/search/image", files={"image": picture_of(base, row)}, data={"k": "3", "compare": "true"}
        )
        hit = found.json()["exact"]["hits"][0]
        assert hit["id"] == row and hit["distance"] == pytest.approx(0, abs=1e-6)
        assert found.json()["k"] == 3


def test_info_says_limits_rules_and_what_can_be_searched(service):
    info = service.http.get("/info").json()
    assert info["metric"] == "l2" and info["dimension"] == SIDE * SIDE and info["points"] >= POINTS
    assert [rule["name"] for rule in info["rules"]] == ["follows-k", "stays", "faiss-follows-k"]
    assert info["images"] and info["image_search"] == {"ready": True, "reason": ""} and info["changes"] == "token"
    assert service.post("/search", {"id": 0, "k": info["limits"]["k"]}).status_code == 200
    assert service.http.get("/health").json()["status"] == "ok"


def test_metrics_count_searches_and_requests(service):
    def counted(pattern):
        found = re.search(pattern + r"\S* ([\d.]+)", service.http.get("/metrics").text)
        return float(found.group(1)) if found else 0.0

    searches = r'search_seconds_count\{exact="true",rule="follows-k"\}'
    refused = r'requests_total\{path="/search",status="404"\}'
    other = r'requests_total\{path="other",status="404"\}'
    before = [counted(one) for one in (searches, refused, other)]
    service.post("/search", {"id": 0, "exact": True})
    service.post("/search", {"id": "nowhere"})
    service.http.get("/no/such/path")
    assert [counted(one) for one in (searches, refused, other)] == [one + 1 for one in before]
    assert counted("drift_points") == service.http.get("/health").json()["points"]


def test_pages_need_no_network(service):
    page, docs = service.http.get("/"), service.http.get("/docs")
    for one in (page, docs):
        policy = one.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", one.text)
    assert page.text.count("<script") == page.text.count("<style") == 1
    paths = service.http.get("/openapi.json").json()["paths"]
    assert all(path in docs.text for path in paths) and "<script" not in docs.text


# refusals


@pytest.mark.parametrize(
    "body, status, word",
    [
        ({"id": 0, "k": 0}, 422, "k"),
        ({"id": 0, "k": 201}, 422, "200"),
        ({"id": 0, "k": 2.5}, 422, "k"),
        ({"id": 0, "k": True}, 422, "k"),
        ({"id": 0, "k": 10**400}, 422, "k"),
        ({"id": 0, "ef": 0}, 422, "ef"),
        ({"id": 0, "ef": 2001}, 422, "2000"),
        ({"id": 0, "rule": "mine"}, 422, "follows-k"),
        ({"id": 0, "target": "all"}, 400, "overlap"),
        ({"id": 0, "target": "overlap=0.9", "ef": 10}, 400, "ef"),
        ({"id": 0, "target": "overlap=0.9", "rule": "stays"}, 400, "rule"),
        ({"id": 0, "efs": 10}, 422, "efs"),
        ({"id": 0, "vector": [0.0] * SIDE**2}, 422, "either"),
        ({}, 422, "either"),
        ({"id": POINTS + 10**6}, 404, "no point"),
        ({"id": "0"}, 404, "no point"),
        ({"id": "\udc80"}, 422, "id"),
        ({"id": True}, 422, "id"),
        ({"id": 1.0}, 422, "id"),
        ({"id": 2**63}, 422, "id"),
        ({"vector": [0.0] * (SIDE**2 - 1)}, 400, "dimensions"),
        ({"vector": []}, 422, "vector"),
        ({"vector": [[0.0]]}, 422, "vector"),
        ({"vector": ["0"] * SIDE**2}, 422, "vector"),
        ({"vector": [1e39] * SIDE**2}, 400, "finite"),
        ({"vector": [float("nan")] * SIDE**2}, 422, "finite"),
        ({"vector": [float("inf")] * SIDE**2}, 422, "finite"),
        ([], 422, "object"),
    ],
)
def test_bad_searches_are_refused_in_a_sentence(service, body, status, word):
    answer = service.http.post("/search", content=json.dumps(body), headers={"Content-Type": "application/json"})
    if body == {"id": "\udc80"}:  # the id of no point, or no id: a sentence in any case
        status = answer.status_code
        assert status in (400, 404, 422)
        word = "id" if status != 404 else "no point"
    assert word in told(answer, status)


@pytest.mark.parametrize("body", [b"", b"{", b'{"id": 5', b"\xff\xfe", b"[" * 100_000, b'{"k": ' + b"9" * 5000 + b"}"])
def test_broken_json_is_refused_in_a_sentence(service, body):
    answer = service.http.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    told(answer, answer.status_code)


def test_unknown_paths_methods_and_ids_are_refused_in_a_sentence(service):
    told(service.http.get("/nothing"), 404)
    told(service.http.get("/search"), 405)
    told(service.http.get("/image", params={"id": "nowhere"}), 400)
    told(service.http.get("/image", params={"id": '"nowhere"'}), 404)
    told(service.http.get("/image", params={"id": "[" * 6000}), 400)
    told(service.http.get("/points", params={"start": -1}), 422)
    told(service.http.get("/points", params={"count": 10**9}), 422)
    told(service.post("/points/delete", {"ids": ["nowhere"]}, headers=BEARER), 404)
    told(service.post("/points/delete", {"ids": [0, 0]}, headers=BEARER), 400)


def bomb(side=60_000) -> bytes:
    """A valid PNG of few bytes whose header says side x side pixels."""
    rows = zlib.compress(bytes(side // 8 + 1) * 64, 9)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_files_that_are_no_pictures_are_refused_in_a_sentence(service):
    whole = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    cases = {
        415: [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n"],
        400: [whole[: len(whole) // 2]],
        413: [bomb(), png(np.zeros((1, 20_000), dtype=np.uint8))],
    }
    for status, files in cases.items():
        for data in files:
            told(service.post("/search/image", files={"image": data}), status)
    told(service.post("/search/image", data={"k": "3"}), 422)
    told(service.post("/search/image", files={"image": whole}, data={"k": "many"}), 422)
    told(service.post("/search/image", files={"image": whole}, data={"k": "100000"}), 422)
    told(service.http.post("/search/image", content=b"x", headers={"Content-Type": "multipart/form-data"}), 400)


def raw(service, head: str, parts=()) -> bytes:
    """What the service answers to bytes as they are."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        for part in parts:
            connection.sendall(part)
        return connection.recv(65_536)


def test_too_large_uploads_are_refused_before_they_came_in(service):
    limit = service.http.get("/info").json()["limits"]["upload_bytes"]
    head = "POST /search/image HTTP/1.1\nHost: localhost\nContent-Type: multipart/form-data; boundary=x\n"
    answer = raw(service, f"{head}Content-Length: {limit * 2}\n\n")
    assert answer.startswith(b"HTTP/1.1 413 ") and b"connection: close" in answer.lower()
    block = 2**16
    chunk = f"{block:x}\r\n".encode() + bytes(block) + b"\r\n"
    start = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    first = f"{len(start):x}\r\n".encode() + start + b"\r\n"
    answer = raw(service, f"{head}Transfer-Encoding: chunked\n\n", [first, *[chunk] * (limit // block + 2)])
    assert answer.startswith(b"HTTP/1.1 413 ")


# who may change data


def test_changes_need_the_token_and_searches_do_not(service):
    changes = {
        "/points": {"vectors": [[0.0] * SIDE**2]},
        "/points/delete": {"ids": [0]},
        "/compact": None,
        "/save": None,
    }
    before = service.http.get("/points", params={"count": 1000}).json()
    for path, body in changes.items():
        for given in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}):
            answer = service.post(path, body, headers=given)
            told(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
    assert service.http.get("/points", params={"count": 1000}).json() == before
    assert service.post("/search", {"id": 0}).status_code == 200
    assert TOKEN not in service.said() and TOKEN not in service.http.get("/info").text


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Host": ""}, 400),
        ({"Host": "["}, 400),
    ],
)
def test_pages_of_other_sites_change_nothing(service, headers, status):
    points = service.http.get("/health").json()["points"]
    answer = service.post("/points", {"vectors": [[0.0] * SIDE**2]}, headers={**BEARER, **headers})
    told(answer, status)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "x-request-id" in answer.headers and answer.headers["x-content-type-options"] == "nosniff"
    assert service.http.get("/health").json()["points"] == points


def test_own_page_may_send_and_a_form_of_another_type_may_not(service):
    own = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert service.post("/search", {"id": 0}, headers=own).status_code == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        body = json.dumps({"ids": [0]})
        told(service.http.post("/points/delete", content=body, headers={**BEARER, "Content-Type": kind}), 422)


# changes


def test_ids_of_any_kind_come_back_as_they_were(service):
    ids = ["5", "", "ä/ö ?&=#", "a\0b", -(2**63), 2**63 - 1, "<script>"]
    vectors = np.full((len(ids), SIDE**2), 9.0) + np.arange(len(ids))[:, None]
    about = [{"label": f"<b>{one}", "more": [1, None, {"a": 2.5}]} for one in ids]
    added = service.post("/points", {"vectors": vectors.tolist(), "ids": ids, "metadata": about}, headers=BEARER)
    assert added.status_code == 200 and added.json()["ids"] == ids
    try:
        for row, one in enumerate(ids):
            hit = service.post("/search", {"vector": vectors[row].tolist(), "k": 1}).json()["hits"][0]
            assert hit["id"] == one and type(hit["id"]) is type(one) and hit["label"] == f"<b>{one}"
            answer = service.http.get(f"/image?id={quote(json.dumps(one))}")
            assert "no picture" in told(answer, 404)
        told(service.post("/points", {"vectors": vectors[:1].tolist(), "ids": ids[:1]}, headers=BEARER), 400)
        told(service.post("/points", {"vectors": [[1.0], [1.0, 2.0]]}, headers=BEARER), 400)
        told(service.post("/points", {"vectors": vectors.tolist(), "ids": ["one"]}, headers=BEARER), 400)
    finally:
        gone = service.post("/points/delete", {"ids": ids}, headers=BEARER).json()
    assert gone["deleted"] == len(ids) and gone["points"] == POINTS
    told(service.post("/search", {"id": "5"}), 404)


def test_searches_and_changes_at_once(service):
    """Writers add, find, delete and look again for points of their own, far from each other's, while readers search."""
    failures, stop = [], threading.Event()

    def write(writer):
        at = [[50.0 * (writer + 1)] * SIDE**2]
        for turn in range(12):
            one = f"writer {writer}, {turn}"
            check(service.post("/points", {"vectors": at, "ids": [one]}, headers=BEARER).status_code == 200, one, "add")
            check(found(at[0], exact=True) == one, one, "added, not found")
            gone = service.post("/points/delete", {"ids": [one]}, headers=BEARER)
            check(gone.status_code == 200, one, "delete")
            check(one not in (found(at[0], exact=True), found(at[0], exact=False)), one, "deleted, and found")

    def read():
        while not stop.is_set():
            answer = service.post("/search", {"id": 1, "k": 20, "compare": True})
            check(answer.status_code == 200 and answer.json()["found"] == 20, answer.text)

    def found(vector, exact):
        return service.post("/search", {"vector": vector, "k": 1, "exact": exact}).json()["hits"][0]["id"]

    def check(fine, *about):
        if not fine:
            failures.append(about)

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(one,)) for one in range(4)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not failures, failures[:3]
    assert service.http.get("/health").json()["points"] == POINTS


def test_compact_and_save_keep_what_was_changed(service):
    vector = [7.0] * SIDE**2
    service.post("/points", {"vectors": [vector], "ids": ["kept"]}, headers=BEARER)
    assert service.post("/compact", headers=BEARER).json()["status"] == "compacting"
    assert service.post("/save", headers=BEARER).json() == {"status": "saved", "points": POINTS + 1}
    loaded = Collection.load(service.folder)
    assert loaded.count() == POINTS + 1 and loaded.vectors(["kept"])[0].tolist() == vector
    service.post("/points/delete", {"ids": ["kept"]}, headers=BEARER)
