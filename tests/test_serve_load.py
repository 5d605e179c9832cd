"""The measurement of the service under load: its clients, its ratios, and the table of it in README."""

from __future__ import annotations

import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "report" / "published"
sys.path.insert(0, str(ROOT / "benchmarks"))

import http_clients  # noqa: E402
import serve_load  # noqa: E402


class Answering(BaseHTTPRequestHandler):
    """Answers 200, and 500 to what asks for it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(asked)
        self.send_response(500 if asked == b"fail" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.bodies = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_answered_request_is_counted_and_each_failure_is_named(server, monkeypatch):
    monkeypatch.setattr(http_clients, "WARM_UP", 0.0)
    latencies, errors, seconds = http_clients.load(server.server_address, [("/", b"a"), ("/", b"fail")], 3, 0.5)
    sent = len(server.bodies)
    assert {b"a", b"fail"} == set(server.bodies)
    assert errors == server.bodies.count(b"fail")
    assert seconds == 0.5
    assert sent - errors >= len(latencies) > 0  # what was under way at the end is not counted
    assert all(0 < one <= 2 for one in latencies)


def test_a_server_that_is_gone_is_an_error_not_a_hang(server):
    address = server.server_address
    server.shutdown()
    server.server_close()
    latencies, errors, _ = http_clients.load(address, [("/", b"a")], 1, 0.2)
    assert latencies == []
    assert errors > 0


def test_ratios_are_of_the_same_k_and_number_of_clients():
    rows = [
        (10, 1, "hnswlib in a loop", 1000.0, 1.0, 2.0),
        (10, 1, "collection in a loop", 500.0, 2.0, 3.0),
        (10, 1, "service", 250.0, 4.0, 9.0),
        (100, 8, "hnswlib in a loop", 90.0, 5.0, 6.0),
        (100, 8, "collection in a loop", 90.0, 5.0, 6.0),
        (100, 8, "service", 30.0, 7.0, 8.0),
    ]
    columns = ["k", "clients", "answered by", "requests/s", "p50 ms", "p99 ms"]
    table = serve_load.with_ratios(pd.DataFrame(rows, columns=columns))
    assert table["hnswlib / service"].tolist() == [4.0, 3.0]
    assert table["hnswlib / collection"].tolist() == [2.0, 1.0]
    assert table[["k", "clients", "p50 ms", "p99 ms"]].to_numpy().tolist() == [[10, 1, 4.0, 9.0], [100, 8, 7.0, 8.0]]


def test_synthetic_vectors_have_the_size_that_is_named(monkeypatch):
    monkeypatch.setattr(serve_load, "POINTS", 50)
    monkeypatch.setattr(serve_load, "QUERIES", 5)
    _, base, queries = serve_load.data("")
    assert base.shape == (50, serve_load.DIMENSION)
    assert queries.shape == (5, serve_load.DIMENSION)
    assert base.dtype == queries.dtype == np.float32


def test_clients_begin_at_different_requests():
    begun = {http_clients.first_turn(number) % serve_load.QUERIES for number in range(max(serve_load.CLIENTS))}
    assert len(begun) == max(serve_load.CLIENTS)


@pytest.mark.parametrize(("a_minute", "allowed"), [(0.0, True), (2.0, True), (10.0, False)])
def test_growth_is_from_the_second_minute_to_the_last(a_minute, allowed):
    samples = [(float(second), 500 + a_minute * second / 60, False) for second in range(600)]
    found = serve_load.memory_of(samples)
    assert found["growth"] == pytest.approx(8 * a_minute / (500 + 1.5 * a_minute), rel=0.02, abs=1e-6)
    assert (found["growth"] <= serve_load.MOST_GROWTH) == allowed


def test_a_compaction_holds_more_for_a_while_which_is_no_growth():
    work = [second % 90 > 30 for second in range(600)]
    found = serve_load.memory_of([(float(second), 500.0 + 300 * busy, busy) for second, busy in enumerate(work)])
    assert found["growth"] == 0
    assert found["MiB at most"] == 800


def test_a_short_soak_has_no_growth_to_tell():
    assert np.isnan(serve_load.memory_of([(1.0, 5.0, False), (2.0, 5.0, False)])["growth"])


def shown_in_readme(name):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", readme, re.DOTALL)
    return block


def test_readme_shows_the_published_measurement():
    table = pd.read_csv(PUBLISHED / "service-load.csv")
    assert shown_in_readme("load") == str(serve_load.shown(table))
    asked = [(k, clients) for k in serve_load.KS for clients in serve_load.CLIENTS]
    assert list(zip(table["k"], table["clients"], strict=True)) == asked


def test_readme_tells_of_the_published_soak_which_was_whole_and_did_not_grow():
    (soaked,) = pd.read_csv(PUBLISHED / "service-soak.csv").to_dict("records")
    assert shown_in_readme("soak") == serve_load.told(soaked)
    assert soaked["minutes"] == 10 and soaked["searches"] > 0 and soaked["points added and deleted"] > 0
    assert soaked["errors"] == 0 and soaked["growth"] <= serve_load.MOST_GROWTH
