"""Exact neighbors over pairs of blocks: what is asked and checked, and the files that a run leaves and ends in."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..checks import METRICS, InputError, one_of, whole_number
from ..embedding import refuse_other
from ..files import alone, clear_parts, replacing, sha256, write_text
from ..neighbors import Neighbors
from . import blocks
from .blocks import Work
from .clients import connected
from .tasks import compute, inspected

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
        other input is refused there, and so is one while another is at work. By default a temporary one, which
        a scheduler's workers may not see.
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
        Where `exact_neighbors` raises it, a file is missing or unreadable, the folder holds another run or one is at
        work there, or the files change meanwhile.
    ClusterError
        If a task's worker died again and again, or no worker starts, as in a script that calls this without the guard
        ``if __name__ == "__main__":`` (see `clients`).

    Notes
    -----
    A task compares one block of queries with one block of the base by `exact_neighbors`, so it finds the block's k
    smallest pairs (distance, id). The float64 distance of two points is a function of these two alone (see `kernels`),
    so it has the same bits in every block. Fewer than k points precede a true neighbor in that order; hence fewer than
    k of its own block do, so the block's list holds it, and it outlives every merge of lists by (distance, id). So what
    is left is the list of `exact_neighbors` to the last id and bit, wherever blocks begin and whichever worker
    has computed them; processors of different kinds, which add in other orders, may differ in the last digit.

    A file is read for its checksum before the search and after it. A result is written before its task counts as done.
    A worker that dies therefore costs the blocks that it was computing, a run that is killed no more. Per worker,
    memory is a few times a block of vectors and a list of k neighbors for each of the block's queries; it grows neither
    with n nor with the number of blocks. The scheduler holds a part of the graph at a time (see `tasks.graph`).
    """
    asked = prepare(base, queries, k, metric, exclude, block)
    if folder is None:
        if scheduler:
            raise InputError("a scheduler's workers need a folder that they see; name one with folder.")
        with tempfile.TemporaryDirectory(prefix="neighborhood-drift-") as scratch, connected(None, workers) as client:
            found = find_neighbors(client, asked, scratch, progress=progress)
            return Neighbors(np.array(found.ids), np.array(found.distances))
    with connected(scheduler, workers) as client:
        return find_neighbors(client, asked, folder, progress=progress)


@dataclass(frozen=True, eq=False)
class Asked:
    """A call of `neighbors` that was checked; ``base``, ``queries`` and ``exclude`` are arrays, paths or None."""

    base: np.ndarray | str
    queries: np.ndarray | str | None
    exclude: np.ndarray | None
    shapes: tuple[tuple[int, int], tuple[int, int]]  # of the base, and of what is asked
    blocks: tuple[int, int]
    k: int
    metric: str


def prepare(base, queries, k: int, metric: str, exclude, block: int | None) -> Asked:
    """Check all that can be told from shapes; nothing is written, and of files nothing but the shape is read."""
    one_of(metric, METRICS, "metric")
    base, base_shape = _given(base, "base")
    queries, shape = _given(queries, "queries") if queries is not None else (None, base_shape)
    if shape[1] != base_shape[1]:
        raise InputError(f"queries has {shape[1]} dimensions; the base has {base_shape[1]}, and both must agree.")
    if exclude is not None:
        exclude = _checked_exclude(exclude, shape[0], base_shape[0], queries is not None)
    k = whole_number(k, "k", 1, base_shape[0] - (queries is None or exclude is not None))
    sizes = block_sizes(base_shape[0], shape[0], base_shape[1], k)
    if block is not None:
        sizes = tuple(min(whole_number(block, "block", 1), rows) for rows in (base_shape[0], shape[0]))
    return Asked(base, queries, exclude, (base_shape, shape), sizes, k, metric)


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


def _given(array, what: str) -> tuple[np.ndarray | str, tuple[int, int]]:
    """An array, or the path of one, and its shape."""
    if isinstance(array, (str, Path)):
        path = str(Path(array).resolve())
        return path, blocks.open_array(path, what).shape
    array = np.asarray(array)
    if array.dtype.hasobject:
        raise InputError(f"{what} has dtype {array.dtype}; allowed are float16, float32, float64 and integers.")
    return array, blocks.checked_shape(array, what)


def find_neighbors(client, asked: Asked, folder, *, progress: bool = True) -> Neighbors:
    """Answer a call on the workers of a Dask client; what its folder holds of an earlier run is not computed again.

    Returns
    -------
    Neighbors
        Mapped from the files ``ids.npy`` and ``distances.npy`` of ``folder``.

    Raises
    ------
    InputError
        As `neighbors` does, where another call is at work in the folder, and where the vectors change meanwhile.
    """
    folder = Path(folder).resolve()
    unfinished, note, ended = folder / UNFINISHED, folder / UNFINISHED / "identity.json", folder / NOTE
    with alone(folder):
        identity = _identity(client, asked, progress)
        for begun in (note, ended):
            if begun.is_file():
                refuse_other(json.loads(begun.read_text(encoding="utf-8"))["identity"], identity, folder, "neighbors")
        if not _complete(folder):
            write_text(note, json.dumps({"identity": identity}))
            work = _saved(asked, unfinished)
            compute(client, work, progress)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # said before
                read = _identity(client, replace(asked, base=work.base, queries=work.queries or None), progress)
            if read != identity:
                shutil.rmtree(unfinished)
                raise InputError(
                    "the vectors changed while their neighbors were sought; what was found is removed. Run it again on "
                    "files that stay as they are."
                )
            _gather(work, folder)
            made = {"shape": [work.asked, work.k], "files": {name: sha256(folder / name) for name in (IDS, DISTANCES)}}
            made |= {"versions": {name: version(name) for name in _PACKAGES}, "date": datetime.date.today().isoformat()}
            write_text(ended, json.dumps({"identity": identity, "work": _spent(work), **made}, indent=1) + "\n")
        shutil.rmtree(unfinished, ignore_errors=True)
    return Neighbors(np.load(folder / IDS, mmap_mode="r"), np.load(folder / DISTANCES, mmap_mode="r"))


def _complete(folder: Path) -> bool:
    """Whether the result is there, and its files are those that were written."""
    if not all((folder / name).is_file() for name in (NOTE, IDS, DISTANCES)):
        return False
    written = json.loads((folder / NOTE).read_text(encoding="utf-8"))["files"]
    return all(sha256(folder / name) == written[name] for name in (IDS, DISTANCES))


def _saved(asked: Asked, folder: Path) -> Work:
    """Write arrays where workers can read them; they are those of the identity that the folder has noted."""

    def path(array, name: str) -> str:
        if array is None or isinstance(array, str):
            return array or ""
        with replacing(folder / name) as part:
            np.save(part, array)
        return str(folder / name)

    files = (path(array, f"{name}.npy") for name, array in _parts(asked))
    (size, _), (rows, _) = asked.shapes
    return Work(str(folder), *files, size, rows, *asked.blocks, asked.k, asked.metric)


def _parts(asked: Asked):
    return ("base", asked.base), ("queries", asked.queries), ("exclude", asked.exclude)


def _identity(client, asked: Asked, progress: bool) -> dict:
    """What decides the result: the bytes of the vectors, and all that is asked of them."""
    digests = (_digest(client, asked, which, progress) for which in (0, 1))
    identity = {"vectors": next(digests), "queries": "leave-one-out" if asked.queries is None else next(digests)}
    identity["exclude"] = "none" if asked.exclude is None else hashlib.sha256(asked.exclude.tobytes()).hexdigest()
    identity |= {"k": asked.k, "metric": asked.metric, "base block": asked.blocks[0], "query block": asked.blocks[1]}
    return identity | {"version": version("neighborhood-drift")}


def _digest(client, asked: Asked, which: int, progress: bool) -> str:
    """Check the base (0) or the queries (1) and return their SHA-256: files are read by the workers, arrays here."""
    (what, source), (rows, _), block = _parts(asked)[which], asked.shapes[which], asked.blocks[which]
    slices = [slice(start, min(start + block, rows)) for start in range(0, rows, block)]
    seen = [("", [])] * len(slices)
    with tqdm(total=len(slices), desc=f"reading {what}", unit="block", disable=not progress) as bar:
        for place, found in inspected(client, source, slices, asked.metric, what):
            seen[place] = found
            bar.update()
    for warning in dict.fromkeys(text for _, texts in seen for text in texts):
        warnings.warn(warning, stacklevel=4)
    array = blocks.open_array(source, what) if isinstance(source, str) else source
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
    """From the workers' logs: blocks begun and finished, seconds of searches and merges in all, and processes."""
    logs = list((Path(work.folder) / "log").glob("*.csv"))
    lines = [line.split(",") for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    counts = Counter(line[0] for line in lines)
    seconds = sum(float(line[-1]) for line in lines)
    return {"begun": counts["started"], "finished": counts["finished"], "seconds": seconds, "processes": len(logs)}
