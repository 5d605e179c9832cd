"""Exact neighbors over blocks on real worker processes: the same bits, whoever dies in between, in bounded memory."""

import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from neighborhood_drift import cluster
from neighborhood_drift.checks import InputError
from neighborhood_drift.cluster import blocks, clients
from neighborhood_drift.cluster.neighbors import BLOCK_BYTES, FEWEST_ROWS, LIST_BYTES, find_neighbors, prepare
from neighborhood_drift.cluster.plan import timings
from neighborhood_drift.cluster.report import whole_run
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.study import cli

MIB = 2**20


@pytest.fixture(scope="module")
def client():
    with cluster.connected(workers=2) as client:
        yield client


@pytest.fixture
def found(client, tmp_path):
    """`cluster.neighbors` on the workers of this module."""

    def search(base, queries=None, *, k, metric="l2", exclude=None, block=None, folder=tmp_path / "made"):
        asked = prepare(base, queries, k, metric, exclude, block)
        return find_neighbors(client, asked, folder, progress=False)

    return search


def points(kind, n=230, d=6, seed=0):
    """Points that test the order: many equal distances, duplicates, clusters far apart, and none of these."""
    random = np.random.default_rng(seed)
    if kind == "integers":
        return random.integers(1, 4, (n, d)).astype(np.float32)
    if kind == "duplicates":
        return np.repeat(random.normal(size=(n // 5, d)), 5, axis=0)[random.permutation(n)].astype(np.float32)
    if kind == "clusters":
        return (random.normal(size=(n, d)) + 1e4 * random.integers(0, 3, (n, 1))).astype(np.float32)
    return random.normal(size=(n, d)).astype(np.float32)


def same(one, two):
    """Ids and the bits of distances."""
    return np.array_equal(one.ids, two.ids) and np.array_equal(one.distances, two.distances)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("kind", ["integers", "duplicates", "clusters", "normal"])
def test_the_answer_is_that_of_exact_neighbors_to_the_last_bit(found, kind, metric):
    base = points(kind)
    assert same(found(base, k=20, metric=metric, block=70), exact_neighbors(base, k=20, metric=metric))


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 41), st.integers(1, 41), st.data())
def test_blocks_and_merges_of_any_size_give_the_same(seed, n, base_block, query_block, data):
    base = np.random.default_rng(seed).integers(-1, 2, (n, 2)).astype(np.float32)
    k = data.draw(st.integers(1, n - 1))
    work = blocks.Work("", "", "", "", n, n, min(base_block, n), min(query_block, n), k, "l2")
    ids, distances = [], []
    for i in range(work.query_blocks):
        rows, merged = work.rows(i), None
        for j in range(work.base_blocks):
            part = work.columns(j)
            left_out = np.arange(rows.start, rows.stop) - part.start
            block = blocks.nearest_in_block(base[part], base[rows], left_out, k, "l2")
            moved = blocks.Neighbors(np.where(block.ids < 0, -1, block.ids + part.start), block.distances)
            merged = moved if merged is None else blocks.merge_two(merged, moved, k)
        ids.append(merged.first(k).ids)
        distances.append(merged.first(k).distances)
    assert same(blocks.Neighbors(np.concatenate(ids), np.concatenate(distances)), exact_neighbors(base, k=k))


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_queries_from_outside_and_some_left_out(found, metric, tmp_path):
    """Blocks of 13 points hold fewer than the k asked, and take two rounds of merging."""
    base, rows = points("integers"), np.arange(220, 3, -7)
    asked = found(base, base[rows], k=20, metric=metric, exclude=rows, block=13, folder=tmp_path / "rows")
    assert same(asked, exact_neighbors(base, base[rows], k=20, metric=metric, exclude=rows))
    asked = found(base, points("normal", 31), k=230, metric=metric, block=50, folder=tmp_path / "all")
    assert same(asked, exact_neighbors(base, points("normal", 31), k=230, metric=metric))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int16"])
def test_files_of_any_type_are_read_as_exact_search_reads_arrays(found, tmp_path, dtype):
    base = points("integers").astype(dtype)
    np.save(tmp_path / "base.npy", np.asfortranarray(base))
    assert same(found(tmp_path / "base.npy", k=5, block=64), exact_neighbors(base, k=5))


def test_lengths_have_the_same_bits_in_each_block(found):
    """The cosine divides by lengths, whose sums over many dimensions must not depend on where a block begins."""
    base = points("normal", 40, 20_011)
    assert same(found(base, k=7, metric="cosine", block=11), exact_neighbors(base, k=7, metric="cosine"))


def test_lost_digits_are_said_once(found):
    with pytest.warns(UserWarning, match="digits beyond float32 are lost") as caught:
        found(np.random.default_rng(0).normal(size=(50, 3)), k=2, block=10)
    assert len({str(warning.message) for warning in caught}) == len(caught)


def test_blocks_follow_from_size_dimension_and_k_alone(tmp_path):
    assert prepare(points("normal", 5000, 4), None, 3, "l2", None, None).blocks == (5000, FEWEST_ROWS)
    np.lib.format.open_memmap(tmp_path / "wide.npy", mode="w+", dtype=np.float16, shape=(10**6, 1024)).flush()
    wide = prepare(tmp_path / "wide.npy", None, 100, "l2", None, None)
    assert wide.blocks == (BLOCK_BYTES // (4 * 1024), LIST_BYTES // (16 * 100))


# ---- what dies, and what it costs


def finished(folder: Path) -> int:
    logs = (folder / "unfinished" / "log").glob("*.csv")
    return sum(log.read_text().count("finished") for log in logs)


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def hold(folder: str, blocks_before: int) -> None:
    """In a worker: after so many blocks of its own, wait for a file that opens the gate, and say so."""
    import time
    from pathlib import Path

    from neighborhood_drift.cluster import blocks

    search, done = blocks.nearest_in_block, []

    def held(*arguments):
        done.append(0)
        if len(done) > blocks_before:
            Path(folder, "held").touch()
            while not Path(folder, "gate").exists():
                time.sleep(0.01)
        return search(*arguments)

    blocks.nearest_in_block = held


def test_a_worker_killed_in_mid_run_costs_its_blocks_only(client, found, tmp_path):
    base, folder = points("clusters", 6000, 64), tmp_path / "made"
    expected, reached = exact_neighbors(base, k=50), []
    address, victim = next(iter(client.run(os.getpid).items()))
    client.run(hold, str(tmp_path), 10, workers=[address])

    def kill():
        wait_for((tmp_path / "held").exists)
        reached.append(finished(folder))
        os.kill(victim, signal.SIGKILL)
        (tmp_path / "gate").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    asked = found(base, k=50, block=500, folder=folder)
    killer.join()
    assert same(asked, expected)
    work = json.loads((folder / "neighbors.json").read_text())["work"]
    assert 10 <= reached[0] < 144, "the kill fell into the run"
    assert work["begun"] == 144 + 1, "of the blocks, only the one that the worker was computing began again"
    assert work["finished"] == 144
    wait_for(lambda: len(client.nthreads()) == 2)


SEARCH = """
import sys
from neighborhood_drift import cluster
from neighborhood_drift.cluster.neighbors import prepare

{hold}
asked = prepare(sys.argv[1], None, 50, "l2", None, 500)
with cluster.connected(workers=1) as client:
    client.run(hold, sys.argv[3], 20)
    cluster.find_neighbors(client, asked, sys.argv[2], progress=False)
"""


def test_a_killed_run_leaves_no_process_and_goes_on(found, tmp_path):
    base, folder = points("clusters", 6000, 64), tmp_path / "made"
    np.save(tmp_path / "base.npy", base)
    script = SEARCH.format(hold=inspect.getsource(hold))
    command = [sys.executable, "-c", script, str(tmp_path / "base.npy"), str(folder), str(tmp_path)]
    here = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.Popen(command, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "held").exists() or run.poll() is not None)
    with pytest.raises(InputError, match="Another run is at work"):
        found(tmp_path / "base.npy", k=50, block=500, folder=folder)
    started = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    (tmp_path / "gate").touch()
    assert started and not psutil.wait_procs(started, timeout=120)[1]
    before = finished(folder)
    assert 20 <= before <= 21 and not (folder / "neighbors.json").exists()
    asked = found(tmp_path / "base.npy", k=50, block=500, folder=folder)
    assert same(asked, exact_neighbors(base, k=50))
    assert json.loads((folder / "neighbors.json").read_text())["work"]["begun"] <= 144 + 1
    assert sorted(file.name for file in folder.iterdir()) == [".lock", "distances.npy", "ids.npy", "neighbors.json"]


def test_of_two_calls_at_once_on_one_folder_one_is_refused(client, found, tmp_path):
    """The second has other vectors: were it let in, the first would go on with them."""
    base, folder, refused = points("normal", 2000, 8), tmp_path / "made", []
    client.run(hold, str(tmp_path), 0)

    def second():
        wait_for((tmp_path / "held").exists)
        with pytest.raises(InputError, match="Another run is at work") as error:
            found(base + 1, k=5, block=500, folder=folder)
        refused.append(error)
        (tmp_path / "gate").touch()

    other = threading.Thread(target=second)
    other.start()
    asked = found(base, k=5, block=500, folder=folder)
    other.join()
    assert refused and same(asked, exact_neighbors(base, k=5))


def test_a_refused_call_writes_no_vectors(found, tmp_path):
    base, folder = points("normal"), tmp_path / "made"
    with pytest.raises(InputError, match="k is 230"):
        found(base, k=230)
    with pytest.raises(InputError, match="metric is 'l1'"):
        found(base, k=5, metric="l1")
    with pytest.raises(InputError, match="exclude must be"):
        found(base, base[:2], k=5, exclude=np.array([0, 230]))
    assert not folder.exists()
    found(base, k=5)
    with pytest.raises(InputError, match="vectors was"):
        found(base + 1, k=5)
    with pytest.raises(InputError, match="holds NaN"):
        found(with_nan(base.copy()), k=5)
    assert sorted(file.name for file in folder.iterdir()) == [".lock", "distances.npy", "ids.npy", "neighbors.json"]


def test_vectors_that_change_meanwhile_are_noticed(client, found, tmp_path):
    base, path = points("normal", 2000, 8), tmp_path / "base.npy"
    np.save(path, base)
    client.run(hold, str(tmp_path), 0)

    def change():
        wait_for((tmp_path / "held").exists)
        np.lib.format.open_memmap(path, mode="r+")[0] += 1
        (tmp_path / "gate").touch()

    other = threading.Thread(target=change)
    other.start()
    with pytest.raises(InputError, match="the vectors changed while their neighbors were sought"):
        found(path, k=5, block=500)
    other.join()
    assert same(found(path, k=5, block=500), exact_neighbors(np.load(path), k=5))


@pytest.mark.parametrize("size", [90, 400])
def test_results_that_are_cut_off_are_computed_again(tmp_path, size):
    base = points("normal", size)
    np.save(tmp_path / "base.npy", base)
    work = blocks.Work(str(tmp_path), str(tmp_path / "base.npy"), "", "", size, size, 20, size, 7, "l2")
    top = work.file(work.levels, 0, 0)

    def found():
        for j in range(work.base_blocks):
            blocks.search(work, 0, j)
        for level in range(1, work.levels + 1):
            if level == 1:
                cut(work.file(0, 0, 1))
            for j in range(-(-work.base_blocks // blocks.FAN**level)):
                blocks.merge(work, level, 0, j, ())
        return blocks.read(top)

    def cut(file):
        if file.exists():
            os.truncate(file, file.stat().st_size // 2)

    assert same(found(), exact_neighbors(base, k=7))
    cut(top)
    assert same(found(), exact_neighbors(base, k=7))


def test_a_search_of_one_block_that_is_cut_off_is_done_again(tmp_path):
    base = points("normal", 30)
    np.save(tmp_path / "base.npy", base)
    work = blocks.Work(str(tmp_path), str(tmp_path / "base.npy"), "", "", 30, 30, 30, 30, 7, "l2")
    for _ in range(2):
        blocks.search(work, 0, 0)
        assert same(blocks.read(work.file(0, 0, 0)), exact_neighbors(base, k=7))
        os.truncate(work.file(0, 0, 0), 100)


def test_what_is_complete_is_not_computed_again_and_another_run_is_refused(found, tmp_path):
    base = points("normal")
    found(base, k=5)
    stamp = (tmp_path / "made" / "ids.npy").stat().st_mtime_ns
    assert same(found(base, k=5), exact_neighbors(base, k=5))
    assert (tmp_path / "made" / "ids.npy").stat().st_mtime_ns == stamp
    (tmp_path / "made" / "ids.npy").unlink()
    assert same(found(base, k=5), exact_neighbors(base, k=5))
    os.truncate(tmp_path / "made" / "distances.npy", 1000)
    assert same(found(base, k=5), exact_neighbors(base, k=5))
    with pytest.raises(InputError, match=r"holds neighbors begun otherwise .*k was 5, is now 6"):
        found(base, k=6)
    with pytest.raises(InputError, match="vectors was"):
        found(base + 1, k=5)


def peak(client) -> float:
    """Most MiB that a worker has held."""
    used = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return max(used.values()) / (MIB if sys.platform == "darwin" else 1024)


def test_memory_does_not_grow_with_the_number_of_blocks(client, found, tmp_path):
    """Ten times the points, 49 MiB of vectors, in blocks of 1 MiB: a worker holds no more than for the tenth."""
    base = points("normal", 100_000, 128)
    np.save(tmp_path / "all.npy", base)
    np.save(tmp_path / "few.npy", base[:10_000])
    queries = base[:1000].copy()
    found(tmp_path / "few.npy", queries, k=20, block=2000, folder=tmp_path / "few")
    before = peak(client)
    found(tmp_path / "all.npy", queries, k=20, block=2000, folder=tmp_path / "all")
    assert peak(client) - before < base.nbytes / MIB / 2


def test_workers_are_local_and_end_with_the_block():
    with cluster.connected(workers=1) as client:
        here = psutil.Process()
        started = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        ports = [port for process in (here, *started) for port in process.net_connections() if port.status == "LISTEN"]
        assert ports and {port.laddr.ip for port in ports} == {"127.0.0.1"}
    assert not psutil.wait_procs(started, timeout=120)[1]


def test_tasks_are_timed_on_the_workers(client):
    table = timings(client, points("normal", 300), 5, repeats=2)
    counts = table.groupby("kind").size()
    assert counts.to_dict() == {"merge": 2, "read": 2, "search": 12} and (table["seconds"] > 0).all()
    with pytest.raises(InputError, match="k is 30; a tenth of the 300 points must be more"):
        timings(client, points("normal", 300), 30)


def test_a_whole_run_is_compared_with_exact_neighbors(client):
    run = whole_run(client, points("clusters", 300), 5, metric="cosine")
    assert run["same"] and run["tasks"] == 1 and run["seconds"] > 0 and run["peak"] > 0


# ---- a scheduler of one's own, refusals, the command


def test_a_running_scheduler_is_used_by_its_address_and_left_running(client, tmp_path):
    base, address = points("integers"), client.scheduler.address
    made = cluster.neighbors(base, k=8, block=64, folder=tmp_path, scheduler=address, progress=False)
    assert same(made, exact_neighbors(base, k=8))
    assert client.submit(sum, [1, 2]).result() == 3
    with pytest.raises(InputError, match="need a folder that they see"):
        cluster.neighbors(base, k=8, scheduler=address)


UNGUARDED = """
import numpy as np
from neighborhood_drift import cluster

cluster.neighbors(np.eye(4), k=1, workers=1, progress=False)
"""


def test_a_script_without_the_guard_is_told_of_it(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert (
        "ClusterError: the worker processes did not start; a script must start them below `if __name__ =="
        in (done.stderr.splitlines()[-1])
    )
    assert "bootstrapping" not in done.stderr


def test_no_workers_are_refused():
    with pytest.raises(InputError, match="number of workers is 0"), cluster.connected(workers=0):
        pass


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(clients, "PATIENCE", 0.5)
    with (
        pytest.raises(InputError, match=r"no scheduler answers at tcp://127.0.0.1:9"),
        cluster.connected("tcp://127.0.0.1:9"),
    ):
        pass


def with_nan(base):
    base[150, 1] = np.nan
    return base


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"base": with_nan(points("normal"))}, r"base\[100:200\] holds NaN or infinite values .* first row 50"),
        ({"base": np.zeros(3)}, r"base has shape \(3,\); it must be 2-d"),
        ({"base": "nowhere.npy"}, "base: nowhere.npy does not exist on "),
        ({"base": np.array([["a"]], dtype=object)}, "base has dtype object"),
        ({"queries": np.ones((2, 3))}, "queries has 3 dimensions; the base has 6"),
        ({"k": 230}, "k is 230; it must be a whole number from 1 to 229"),
        ({"block": 0}, "block is 0"),
        ({"block": 2.5}, "block is 2.5; it must be a whole number"),
        ({"metric": "l1"}, "metric is 'l1'; known are l2, cosine"),
        ({"metric": "cosine", "base": np.zeros((230, 6))}, "vectors of zeros"),
        ({"exclude": np.arange(3)}, "exclude needs queries"),
        ({"queries": np.ones((2, 6)), "exclude": np.array([0, 230])}, "exclude must be 2 integers from 0 to 229"),
    ],
)
def test_bad_input_gets_one_sentence(found, tmp_path, changed, sentence):
    given = {"base": points("normal"), "k": 5, "block": 100, **changed}
    with pytest.raises(InputError, match=sentence):
        found(**given)
    assert not (tmp_path / "made" / "neighbors.json").exists()


def test_the_command_writes_the_neighbors(tmp_path):
    base = points("normal")
    np.save(tmp_path / "mine.npy", base)
    words = ["neighbors", "--vectors", str(tmp_path / "mine.npy"), "--k", "4", "--out", str(tmp_path / "made")]
    done = CliRunner().invoke(cli.app, [*words, "--metric", "cosine", "--workers", "1", "--no-progress"])
    assert done.exit_code == 0 and "the 4 nearest of 230 queries" in done.output
    expected = exact_neighbors(base, k=4, metric="cosine")
    assert np.array_equal(np.load(tmp_path / "made" / "ids.npy"), expected.ids)
    assert np.array_equal(np.load(tmp_path / "made" / "distances.npy"), expected.distances)
    told = json.loads((tmp_path / "made" / "neighbors.json").read_text())
    assert told["identity"]["metric"] == "cosine" and str(tmp_path) not in json.dumps(told)
    (tmp_path / "embedded").mkdir()
    np.save(tmp_path / "embedded" / "base.npy", base)
    words[2] = str(tmp_path / "embedded")  # the same bytes, so the same run, which is complete
    done = CliRunner().invoke(cli.app, [*words, "--metric", "cosine", "--workers", "1", "--no-progress"])
    assert done.exit_code == 0 and "the 4 nearest of 230 queries" in done.output
    refused = CliRunner().invoke(cli.app, [*words, "--scheduler", "tcp://127.0.0.1:9", "--workers", "1"])
    assert refused.exit_code == 2 and "both a scheduler and a number of workers" in refused.output
