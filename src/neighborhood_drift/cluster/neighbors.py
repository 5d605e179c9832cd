"""Exact neighbors over pairs of blocks: the graph of tasks, its progress, and the files that it ends in."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import tempfile
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from dask import delayed
from distributed import KilledWorker, as_completed
from tqdm import tqdm

from ..checks import METRICS, InputError, one_of, whole_number
from ..embedding import refuse_other
from ..files import clear_parts, replacing, sha256, write_text
from ..neighbors import Neighbors
from . import blocks
from .blocks import Work
from .clients import ClusterError, connected, threads_of

BLOCK_BYTES = 2**28  # of a block's vectors in float32; a worker holds a few times that
LIST_BYTES = 2**26  # of the neighbors of a block of queries
MOST_ROWS = 2**17  # of a block, however few dimensions there are
FEWEST_ROWS = 1024  # of a block of queries, where so many are asked: each costs a pass over a block of the base
PARTS = 8  # blocks of queries, where that leaves so many in each
NOTE, IDS, DISTANCES = "neighbors.json", "ids.npy", "distances.npy"
UNFINISHED = "unfinished"
_PACKAGES = ("neighborhood-drift", "numpy", "numba", "distributed")


def neighbors(
    base,
    queries=None,
    *,
    k: int,
    metric: str = "l2",
    exclude=None,
    block: int | None = None,
    folder=None,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Neighbors:
    """Find the exact k nearest neighbors of each query on many processes: the ids and distances of `exact_neighbors`.

    Parameters
    ----------
    base, queries : arrays or paths of .npy files
        (n, d), and (q, d) or None: each base point, leave-one-out. Files are read block by block by the workers,
        which must see them under the same path; arrays are written to ``folder`` first.
    k, metric, exclude
        As for `exact.exact_neighbors`.
    block : int, optional
        Rows of a block, of the base and of the queries; by default so many that their vectors take 256 MiB, and no more
        queries than leave eight blocks of them and lists of 64 MiB. It does not change the result.
    folder : path, optional
        Keeps what is finished, so that the same call goes on after a kill, and ends up with the result; a run with
        other input is refused there. By default a temporary one, which a scheduler's workers may not see.
    scheduler, workers
        See `connected`.
    progress : bool, default True

    Returns
    -------
    Neighbors
        (q, k), nothing missing; mapped from the files of ``folder`` where that is given.

    Raises
    ------
    InputError
        Where `exact_neighbors` raises it, a file is missing or unreadable, or the folder holds another run.
    ClusterError
        If a task's worker died again and again.

    Notes
    -----
    A task compares one block of queries with one block of the base by `exact_neighbors`, so it finds the block's k
    smallest pairs (distance, id). The float64 distance of two points is a function of these two alone (see `kernels`),
    so it has the same bits in every block. Fewer than k points precede a true neighbor in that order; hence fewer than
    k of its own block do, so the block's list holds it, and it outlives every merge of lists by (distance, id). So what
    is left is the list of `exact_neighbors` to the last id and bit, wherever blocks begin and whichever worker
    has computed them; processors of different kinds, which add in other orders, may differ in the last digit.

    A result is written before its task counts as done. A worker that dies therefore costs the blocks that it was
    computing, a run that is killed no more. Per worker, memory is a few times a block of vectors and a list of
    k neighbors for each of the block's queries; it grows neither with n nor with the number of blocks.
    """
    if folder is None:
        if scheduler:
            raise InputError("a scheduler's workers need a folder that they see; name one with folder.")
        with tempfile.TemporaryDirectory(prefix="neighborhood-drift-") as scratch, connected(None, workers) as client:
            ready = prepare(base, queries, k, metric, exclude, block, scratch)
            found = find_neighbors(client, ready, progress=progress)
            return Neighbors(np.array(found.ids), np.array(found.distances))
    work = prepare(base, queries, k, metric, exclude, block, folder)
    with connected(scheduler, workers) as client:
        return find_neighbors(client, work, progress=progress)


def prepare(base, queries, k: int, metric: str, exclude, block: int | None, folder) -> Work:
    """Check a call of `neighbors` and return its `Work`; arrays are written where workers can read them."""
    one_of(metric, METRICS, "metric")
    folder = Path(folder).resolve()
    inputs = folder / UNFINISHED
    base, base_shape = _file(base, "base", inputs)
    queries, shape = _file(queries, "queries", inputs) if queries is not None else ("", base_shape)
    if shape[1] != base_shape[1]:
        raise InputError(f"queries has {shape[1]} dimensions; the base has {base_shape[1]}, and both must agree.")
    left_out = ""
    if exclude is not None:
        exclude = _checked_exclude(exclude, shape[0], base_shape[0], bool(queries))
        left_out = str(_saved(exclude, inputs / "exclude.npy"))
    k = whole_number(k, "k", 1, base_shape[0] - (not queries or bool(left_out)))
    sizes = block_sizes(base_shape[0], shape[0], base_shape[1], k)
    if block is not None:
        sizes = (min(whole_number(block, "block", 1), rows) for rows in (base_shape[0], shape[0]))
    return Work(
        str(folder / UNFINISHED),
        base,
        queries,
        left_out,
        base_shape[0],
        shape[0],
        *sizes,
        k,
        metric,
    )


def block_sizes(size: int, asked: int, dimension: int, k: int) -> tuple[int, int]:
    """Rows of a block of the base and of the queries, where none are asked for.

    >>> block_sizes(10**9, 500, 2048, 100)
    (32768, 500)
    """
    most = max(1, min(MOST_ROWS, BLOCK_BYTES // (4 * dimension)))
    queries = min(most, max(1, LIST_BYTES // (16 * k)), max(FEWEST_ROWS, -(-asked // PARTS)))
    return min(most, size), min(queries, asked)


def _checked_exclude(exclude, asked: int, size: int, given: bool) -> np.ndarray:
    exclude = np.asarray(exclude)
    if not given:
        raise InputError("exclude needs queries; without queries each point already leaves itself out.")
    if exclude.shape != (asked,) or exclude.dtype.kind not in "iu" or exclude.min() < 0 or exclude.max() >= size:
        raise InputError(f"exclude must be {asked} integers from 0 to {size - 1}, one base id a query.")
    return exclude.astype(np.int64)


def _file(array, what: str, folder: Path) -> tuple[str, tuple[int, int]]:
    path = (
        Path(array).resolve() if isinstance(array, (str, Path)) else _saved(np.asarray(array), folder / f"{what}.npy")
    )
    return str(path), blocks.open_array(str(path), what).shape


def _saved(array: np.ndarray, path: Path) -> Path:
    if array.dtype.hasobject:
        raise InputError(f"{path.stem} has dtype {array.dtype}; allowed are float16, float32, float64 and integers.")
    with replacing(path) as part:
        np.save(part, array)
    return path


def find_neighbors(client, work: Work, *, progress: bool = True) -> Neighbors:
    """Run a `Work` on the workers of a Dask client; what its folder holds of an earlier run is not computed again.

    Returns
    -------
    Neighbors
        Mapped from the files ``ids.npy`` and ``distances.npy``, which stand above the work's folder.
    """
    unfinished = Path(work.folder)
    folder, note = unfinished.parent, unfinished / "identity.json"
    identity = _identity(client, work, progress)
    ended = folder / NOTE
    for begun in (note, ended):
        if begun.is_file():
            refuse_other(json.loads(begun.read_text(encoding="utf-8"))["identity"], identity, folder, "neighbors")
    if not all((folder / name).is_file() for name in (NOTE, IDS, DISTANCES)):
        write_text(note, json.dumps({"identity": identity}))
        _compute(client, work, progress)
        _gather(work, folder)
        made = {"shape": [work.asked, work.k], "files": {name: sha256(folder / name) for name in (IDS, DISTANCES)}}
        made |= {"versions": {name: version(name) for name in _PACKAGES}, "date": datetime.date.today().isoformat()}
        write_text(ended, json.dumps({"identity": identity, "work": _spent(work), **made}, indent=1) + "\n")
    shutil.rmtree(unfinished, ignore_errors=True)
    return Neighbors(np.load(folder / IDS, mmap_mode="r"), np.load(folder / DISTANCES, mmap_mode="r"))


def graph(work: Work, i: int) -> list:
    """The tasks of query block ``i``: one a block of the base, and a tree of merges above them; the last has it all."""
    name = f"{hashlib.sha256(work.folder.encode()).hexdigest()[:8]}-{i}"
    nodes = [
        delayed(blocks.search, pure=False)(work, i, j, dask_key_name=f"search-{name}-{j}")
        for j in range(work.base_blocks)
    ]
    tasks = list(nodes)
    for level in range(1, work.levels + 1):
        groups = [nodes[start : start + blocks.FAN] for start in range(0, len(nodes), blocks.FAN)]
        nodes = [
            delayed(blocks.merge, pure=False)(work, level, i, j, group, dask_key_name=f"merge-{name}-{level}-{j}")
            for j, group in enumerate(groups)
        ]
        tasks += nodes
    return tasks


def _compute(client, work: Work, progress: bool) -> None:
    """Keep a few tasks a thread in the scheduler, so that it holds as few however many blocks there are."""
    waiting, going, open_tasks = list(range(work.query_blocks))[::-1], as_completed(), 0
    pairs = work.asked * work.size
    with tqdm(total=pairs, desc="neighbors", unit="pair", unit_scale=True, disable=not progress) as bar:
        while True:
            while waiting and open_tasks < 3 * threads_of(client):
                tasks = client.compute(graph(work, waiting.pop()))
                going.update(tasks)
                open_tasks += len(tasks)
            if not open_tasks:
                return
            future = next(going)
            open_tasks -= 1
            _result(future)
            kind, _, i, *node = future.key.split("-")
            if kind == "search":
                bar.update(_size(work.rows(int(i))) * _size(work.columns(int(node[0]))))


def _size(rows: slice) -> int:
    return rows.stop - rows.start


def _result(future):
    """A task's result; its worker's refusal as it is, and a worker that keeps dying as one sentence."""
    try:
        return future.result()
    except KilledWorker as error:
        raise ClusterError(
            f"task {error.task} was given up: its workers died, most likely for want of memory; smaller blocks or "
            "fewer workers need less. What was finished is kept, and the same blocks go on from there."
        ) from error


def _identity(client, work: Work, progress: bool) -> dict:
    """What decides the result: the bytes of the vectors, read once by the workers, and all that is asked of them."""
    identity = {"vectors": _digest(client, work.base, work.size, work.base_block, "base", work.metric, progress)}
    identity["queries"] = "leave-one-out"
    if work.queries:
        identity["queries"] = _digest(
            client, work.queries, work.asked, work.query_block, "queries", work.metric, progress
        )
    identity["exclude"] = hashlib.sha256(np.load(work.exclude).tobytes()).hexdigest() if work.exclude else "none"
    asked = {name: asdict(work)[name] for name in ("k", "metric", "base_block", "query_block")}
    identity |= {name.replace("_", " "): value for name, value in asked.items()}
    return identity | {"version": version("neighborhood-drift")}


def _digest(client, path: str, rows: int, block: int, what: str, metric: str, progress: bool) -> str:
    slices = [slice(start, min(start + block, rows)) for start in range(0, rows, block)]
    futures = client.map(blocks.inspect, [path] * len(slices), slices, metric=metric, what=what, pure=False)
    with tqdm(total=len(slices), desc=f"reading {what}", unit="block", disable=not progress) as bar:
        for _ in as_completed(futures):
            bar.update()
    seen = [_result(future) for future in futures]
    for warning in dict.fromkeys(text for _, texts in seen for text in texts):
        warnings.warn(warning, stacklevel=4)
    array = blocks.open_array(path, what)
    kind = f"{array.shape} {array.dtype.str} "
    return hashlib.sha256("".join([kind, *(digest for digest, _ in seen)]).encode()).hexdigest()


def _gather(work: Work, folder: Path) -> None:
    """Put the lists of all query blocks one after another into the two result files."""
    clear_parts(folder)
    with replacing(folder / IDS) as ids_part, replacing(folder / DISTANCES) as distances_part:
        shape = (work.asked, work.k)
        ids = np.lib.format.open_memmap(ids_part, mode="w+", dtype=np.int64, shape=shape)
        distances = np.lib.format.open_memmap(distances_part, mode="w+", dtype=np.float64, shape=shape)
        for i in range(work.query_blocks):
            found = blocks.read(work.file(work.levels, i, 0)).first(work.k)
            ids[work.rows(i)], distances[work.rows(i)] = found.ids, found.distances
        ids.flush()
        distances.flush()


def _spent(work: Work) -> dict:
    """From the workers' logs: blocks begun and finished, seconds in all processes together, and these processes."""
    logs = list((Path(work.folder) / "log").glob("*.csv"))
    lines = [line.split(",") for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    finished = [float(seconds) for event, _, _, seconds in lines if event == "finished"]
    begun = len(lines) - len(finished)
    return {"begun": begun, "finished": len(finished), "seconds": sum(finished), "processes": len(logs)}
