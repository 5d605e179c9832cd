"""How the service ends, and what is kept: signals while requests run, kills, saves now and then."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
from serving import LONGEST, POINTS, SIDE, Service, pictured

from neighborhood_drift import Collection, InputError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")


@pytest.fixture
def begun(tmp_path):
    """A service over a collection of its own; ended in any case."""
    services = []

    def begin(*words):
        services.append(Service(pictured(tmp_path), *words, log=tmp_path / "log"))
        return services[-1]

    yield begin
    for service in services:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


class Half:
    """A request of which the service has one half."""

    def __init__(self, service, path, body):
        data = json.dumps(body).encode()
        self.rest = data[len(data) // 2 :]
        self.connection = socket.create_connection(("127.0.0.1", service.port), timeout=LONGEST)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        )
        self.connection.sendall(head.encode() + b"\r\n\r\n" + data[: len(data) // 2])

    def finish(self) -> tuple[int, dict]:
        self.connection.sendall(self.rest)
        answer = b""
        while part := self.connection.recv(65_536):
            answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


def refuses(service) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=LONGEST).close()
    except OSError:
        return True
    return False


def until(holds):
    ends = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_a_search_and_an_add_finish_then_saves(begun, sent):
    service = begun("--save-every", "0")
    vector = [3.0] * SIDE**2
    search, add = (
        Half(service, "/search", {"id": 0, "k": 5}),
        Half(service, "/points", {"vectors": [vector], "ids": ["last"]}),
    )
    assert service.http.get("/health").status_code == 200  # both halves have arrived before this
    service.process.send_signal(sent)
    until(lambda: refuses(service))
    assert service.process.poll() is None
    status, found = search.finish()
    assert status == 200 and len(found["hits"]) == 5
    status, added = add.finish()
    assert status == 200 and added == {"ids": ["last"], "points": POINTS + 1}
    assert service.process.wait(LONGEST) == 0, service.said()
    kept = Collection.load(service.folder)
    assert kept.count() == POINTS + 1 and kept.vectors(["last"])[0].tolist() == vector
    assert "saved" in service.said()


def test_second_signal_stops_at_once_and_the_old_state_stays(begun):
    service = begun("--save-every", "0")
    add = Half(service, "/points", {"vectors": [[3.0] * SIDE**2], "ids": ["unsaved"]})
    waiting = Half(service, "/search", {"id": 0})
    assert service.http.get("/health").status_code == 200
    service.process.terminate()
    until(lambda: refuses(service))
    assert add.finish()[0] == 200
    assert service.process.poll() is None
    service.process.terminate()
    assert service.process.wait(LONGEST) == 128 + signal.SIGTERM
    waiting.connection.close()
    assert Collection.load(service.folder).ids() == list(range(POINTS))


def test_a_client_that_never_ends_its_request_holds_up_neither_the_save_nor_the_end(begun):
    service = begun("--save-every", "0")
    assert service.post("/points", {"vectors": [[3.0] * SIDE**2], "ids": ["kept"]}).status_code == 200
    waiting = Half(service, "/search", {"id": 0})
    assert service.http.get("/health").status_code == 200
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "changed so far is saved" in service.said())
    assert service.process.poll() is None  # it waits for the other half still
    assert "kept" in Collection.load(service.folder).ids()
    answer = b""
    while part := waiting.connection.recv(65_536):
        answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert service.process.wait(LONGEST) == 0, service.said()


def test_changes_are_saved_now_and_then_so_that_a_kill_loses_little(begun):
    service = begun("--save-every", "0.2")

    def kept(one):
        try:
            return one in Collection.load(service.folder).ids()
        except (InputError, OSError):  # read while the save removes the older state
            return False

    for one in ("first", "second"):
        assert service.post("/points", {"vectors": np.ones((1, SIDE**2)).tolist(), "ids": [one]}).status_code == 200
        until(lambda one=one: kept(one))
    service.process.kill()
    service.process.wait()
    assert Collection.load(service.folder).count() == POINTS + 2


def test_the_process_may_end_while_a_library_works_in_the_background():
    script = """
import threading
import time
import faiss
import numpy as np
from neighborhood_drift.retrieval.service.limits import BACKGROUND
from neighborhood_drift.retrieval.service.server import leave

index = faiss.IndexFlatL2(64)
index.add(np.zeros((20_000, 64), np.float32))
slow = faiss.PyCallbackIOWriter(lambda block: time.sleep(0.01), 4096)
threading.Thread(target=faiss.write_index, args=(index, slow), daemon=True, name=BACKGROUND).start()
time.sleep(0.3)

class Late:
    def __del__(self, sleep=time.sleep):
        sleep(1)  # the end of a large process takes its time too

late = Late()
leave()
"""
    # torn down by Python at its end, such a thread ends the process by SIGABRT
    ended = subprocess.run([sys.executable, "-c", script], timeout=LONGEST, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
