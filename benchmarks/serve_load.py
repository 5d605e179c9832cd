"""The search service under load, beside a collection and bare hnswlib in a loop: `make bench-serve`.

All three answer the same queries on 60,000 x 784 vectors by the same graph, in turn, so that the ratios are of one run.
The clients run on the same machine and take a share of its processors, which counts as the service's cost.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import hnswlib
import numpy as np
import pandas as pd
import psutil
from http_clients import WARM_UP, first_turn, load
from tqdm import tqdm

from neighborhood_drift import load_dataset
from neighborhood_drift.facts import number
from neighborhood_drift.retrieval import Collection
from neighborhood_drift.tables import Table

POINTS, DIMENSION, QUERIES = 60_000, 784, 1_000
M, EF_CONSTRUCTION, EF = 16, 200, 100
CLIENTS, KS = (1, 8, 32), (10, 100)
SETTLED = 60.0  # seconds of the soak after which memory is compared
PAUSE = 0.05  # seconds between an answer and the next request of a client of the soak
MOST_GROWTH = 0.05  # of the memory between compactions, from the first settled minute to the last


def data(folder: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Name, base and queries: Fashion-MNIST's pixels from ``folder``, else vectors drawn around centers."""
    if folder:
        found = load_dataset(Path(folder) / "fashion-mnist" / "train-images-idx3-ubyte.gz")
        return "Fashion-MNIST, training images", found.vectors / np.float32(255), found.queries / np.float32(255)
    generator = np.random.default_rng(0)
    centers = generator.random((200, DIMENSION))
    points = centers[generator.integers(0, 200, POINTS + QUERIES)]
    points = (points + generator.normal(scale=0.3, size=points.shape)).astype(np.float32)
    return "synthetic, 200 clusters", points[:POINTS], points[POINTS:]


@contextmanager
def serving(folder: Path):
    """A service over the collection in ``folder``, in a process of its own: its port and process."""
    command = [sys.executable, "-m", "neighborhood_drift", "serve", str(folder), "--port", "0"]
    with TemporaryFile("a+") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            yield _port(said, process), process
        finally:
            process.terminate()
            process.wait(60)


def _port(said, process) -> int:
    """The port that the service says it listens at, once it answers there."""
    for _ in range(600):
        said.seek(0)
        text = said.read()
        if process.poll() is not None:
            raise SystemExit(f"The service stopped with status {process.returncode} before it answered:\n{text}")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", text)
        try:
            if found:
                urllib.request.urlopen(f"{found[0]}/health", timeout=2).close()
                return int(found[1])
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("The service did not answer within a minute.")


def in_threads(search, queries, clients: int, seconds: float) -> list[float]:
    """Latencies of ``search(query)`` called in a loop by so many threads, after the same warm-up as the service's."""
    begin = time.time() + WARM_UP
    latencies = [[] for _ in range(clients)]

    def loop(at):
        turn = first_turn(at)
        while (now := time.time()) < begin + seconds:
            query = queries[turn % len(queries)]
            turn += 1
            started = time.perf_counter()
            search(query)
            took = time.perf_counter() - started
            if now >= begin and now + took <= begin + seconds:
                latencies[at].append(took)

    threads = [threading.Thread(target=loop, args=(at,)) for at in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for part in latencies for one in part]


def throughput(folder: Path, queries, seconds: float, repeats: int, say) -> pd.DataFrame:
    """One row a number of clients, k and who answers: requests a second, p50 and p99 in ms, medians over repeats."""
    collection = Collection.load(folder)
    native = hnswlib.Index(space="l2", dim=queries.shape[1])
    native.load_index(str(next(folder.glob("state-*/graph.hnsw"))))
    native.set_ef(EF)
    lines = []
    with serving(folder) as (port, _):
        asked = {k: [("/search", _body(query, k)) for query in queries] for k in KS}
        for repeat in range(repeats):
            for k in KS:
                for clients in CLIENTS:
                    bare = in_threads(lambda q, k=k: native.knn_query(q, k=k, num_threads=1), queries, clients, seconds)
                    kept = in_threads(lambda q, k=k: collection.search(q[None], k, ef=EF), queries, clients, seconds)
                    served, errors, _ = load(("127.0.0.1", port), asked[k], clients, seconds)
                    if errors:
                        raise SystemExit(f"{errors} requests failed at {clients} clients, k = {k}.")
                    answers = {"hnswlib in a loop": bare, "collection in a loop": kept, "service": served}
                    lines += [(repeat, k, clients, who, *_summary(took, seconds)) for who, took in answers.items()]
                    say(f"repeat {repeat + 1}: {clients} clients, k = {k}: {len(served) / seconds:.0f} requests/s")
    columns = ["repeat", "k", "clients", "answered by", "requests/s", "p50 ms", "p99 ms"]
    table = pd.DataFrame(lines, columns=columns)
    return table.groupby(["k", "clients", "answered by"], sort=False).median().drop(columns="repeat").reset_index()


def _body(query, k: int) -> bytes:
    return json.dumps({"vector": query.tolist(), "k": k, "ef": EF}).encode()


def _summary(latencies, seconds: float) -> tuple[float, float, float]:
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    return len(latencies) / seconds, p50, p99


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """One row a k and number of clients: the service, and by what factor hnswlib and a collection answer more."""
    wide = table.pivot_table(index=["k", "clients"], columns="answered by", values=["requests/s", "p50 ms", "p99 ms"])
    rate = wide["requests/s"]
    return pd.DataFrame(
        {
            "requests/s": rate["service"],
            "p50 ms": wide["p50 ms"]["service"],
            "p99 ms": wide["p99 ms"]["service"],
            "hnswlib: searches/s": rate["hnswlib in a loop"],
            "hnswlib: p50 ms": wide["p50 ms"]["hnswlib in a loop"],
            "hnswlib / service": rate["hnswlib in a loop"] / rate["service"],
            "hnswlib / collection": rate["hnswlib in a loop"] / rate["collection in a loop"],
        }
    ).reset_index()


def shown(table: pd.DataFrame) -> Table:
    """The table for readers, three digits a number."""
    return Table(table.map(lambda value: number(int(value)) if value == int(value) else number(value)))


def soak(folder: Path, queries, seconds: float, say) -> dict:
    """Searches, points that come and go, and a compaction a minute for ``seconds``: requests, errors, memory in MiB."""
    requests = [("/search", _body(query, KS[0])) for query in queries]
    rounds, failures, stop = [0], [], threading.Event()

    def change(port):
        while not stop.wait(0.1):
            ids = [f"soak-{rounds[0]}-{row}" for row in range(4)]
            try:
                vectors = queries[rounds[0] % len(queries) :][:1].repeat(4, axis=0).tolist()
                _post(port, "/points", {"vectors": vectors, "ids": ids})
                _post(port, "/points/delete", {"ids": ids})
                if rounds[0] % 300 == 299 and not _compacting(port):
                    _post(port, "/compact", {})
            except OSError as error:
                failures.append(error)
            rounds[0] += 1

    with serving(folder) as (port, process):
        memory, watched = [], psutil.Process(process.pid)

        def watch():
            began = time.time()
            while not stop.wait(1.0):
                memory.append((time.time() - began, watched.memory_info().rss / 2**20, _compacting(port)))

        threads = [threading.Thread(target=change, args=(port,)), threading.Thread(target=watch)]
        for thread in threads:
            thread.start()
        try:
            latencies, errors, _ = load(("127.0.0.1", port), requests, 8, seconds, PAUSE)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    say(f"soak: {len(latencies):,} searches")
    return {
        "minutes": seconds / 60,
        "searches": len(latencies),
        "points added and deleted": 4 * rounds[0],
        "errors": errors + len(failures),
        **memory_of(memory),
        "p99 ms": float(np.percentile(latencies, 99) * 1e3),
    }


def memory_of(samples: list[tuple[float, float, bool]]) -> dict[str, float]:
    """Medians of the first and last minute between compactions, the growth between them as a share, and the highest.

    ``samples`` are (seconds, MiB, whether a compaction was at work), one a second. What is compared begins after
    `SETTLED` and leaves out compactions, for each holds a second graph; nan where nothing is left.
    """
    settled = [held for at, held, compacting in samples if at > SETTLED and not compacting]
    first, last = (float(np.median(part)) if part else float("nan") for part in (settled[:60], settled[-60:]))
    names = ("MiB at first, between compactions", "MiB at last, between compactions")
    return {names[0]: first, names[1]: last, "growth": last / first - 1, "MiB at most": max(one[1] for one in samples)}


def told(soaked: dict) -> str:
    """What a soak gave, in a sentence."""
    names = ("minutes", "searches", "points added and deleted", "errors")
    minutes, searches, changed, errors = (number(int(soaked[name])) for name in names)
    first, last, most = (number(round(held)) for name, held in soaked.items() if name.startswith("MiB"))
    return (
        f"In {minutes} minutes: {searches} searches, {changed} points added and deleted again, {errors} errors; "
        f"{first} MiB of memory in the first minute compared, {last} MiB in the last, and {most} MiB at most."
    )


def _compacting(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/info", timeout=120) as answer:
        return json.load(answer)["compaction"] == "at work"


def _post(port: int, path: str, body: dict) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=120).close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default="", help="folder with fashion-mnist/; synthetic vectors without it")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (default 5)")
    parser.add_argument("--repeats", type=int, default=3, help="of the measurements; 0: the soak alone (default 3)")
    parser.add_argument("--soak", type=float, default=600, help="seconds of the soak; 0 leaves it out (default 600)")
    parser.add_argument("--out", type=Path, help="folder that gets the tables as service-load.csv and service-soak.csv")
    given = parser.parse_args()
    name, base, queries = data(given.data_dir)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "load.collection"
        with Collection(base.shape[1], M=M, ef_construction=EF_CONSTRUCTION, ef=EF, threads=2) as collection:
            collection.add(base, progress=True)
            collection.save(folder)
        table = None
        if given.repeats:
            table = with_ratios(throughput(folder, queries, given.seconds, given.repeats, tqdm.write))
        soaked = soak(folder, queries, given.soak, tqdm.write) if given.soak else None
    print(f"\n{name}, {len(base):,} x {base.shape[1]}, M = {M}, efConstruction = {EF_CONSTRUCTION}, ef = {EF}\n")
    if table is not None:
        print(shown(table))
    if soaked:
        print(f"\n{told(soaked)} A search took {soaked['p99 ms']:.0f} ms at p99.")
    print(f"\nPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        if table is not None:
            table.to_csv(given.out / "service-load.csv", index=False, float_format="%.4g")
        if soaked:
            pd.DataFrame([soaked]).to_csv(given.out / "service-soak.csv", index=False, float_format="%.6g")
    if not soaked:
        return 0
    if soaked["growth"] > MOST_GROWTH:
        print(f"Memory grew by {soaked['growth']:.1%}; at most {MOST_GROWTH:.0%} is allowed.")
    return int(bool(soaked["errors"]) or soaked["growth"] > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
