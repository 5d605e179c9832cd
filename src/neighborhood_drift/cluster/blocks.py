"""What a worker does: look through a block, find its nearest points, merge what several blocks found.

Each result is a file that is whole or absent, and each function first looks whether it is there. So a task that is run
again, because a worker or the whole run was killed, costs nothing where its result was written before.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import InputError, vectors
from ..exact import exact_neighbors
from ..files import replacing
from ..neighbors import MISSING, Neighbors

FAN = 16  # block results merged at a time
# A worker with several threads computes one block at a time: memory stays that of one block, and the compiled loops,
# which are parallel themselves, need not be safe to enter twice. A merge may search again, so the lock is held twice.
_ONE = threading.RLock()


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know; paths mean the same to every worker.

    Parameters
    ----------
    folder : str
        Gets the results of blocks and the logs.
    base, queries, exclude : str
        ``.npy`` files: (n, d), (q, d), and (q,) ids left out. ``queries`` empty: each base point, leave-one-out;
        ``exclude`` empty: nothing is left out, or each query itself where ``queries`` is empty.
    size, asked : int
        n and q.
    base_block, query_block : int
        Rows of a block.
    k : int
    metric : {"l2", "cosine"}

    Examples
    --------
    >>> work = Work("w", "base.npy", "", "", 100, 100, 40, 60, 5, "l2")
    >>> work.base_blocks, work.query_blocks, work.levels
    (3, 2, 1)
    >>> work.rows(1), work.columns(2)
    (slice(60, 100, None), slice(80, 100, None))
    """

    folder: str
    base: str
    queries: str
    exclude: str
    size: int
    asked: int
    base_block: int
    query_block: int
    k: int
    metric: str

    @property
    def base_blocks(self) -> int:
        """Number of blocks of the base."""
        return -(-self.size // self.base_block)

    @property
    def query_blocks(self) -> int:
        """Number of blocks of queries."""
        return -(-self.asked // self.query_block)

    @property
    def levels(self) -> int:
        """Rounds of merging that the blocks of one query block take."""
        level, nodes = 0, self.base_blocks
        while nodes > 1:
            level, nodes = level + 1, -(-nodes // FAN)
        return level

    def rows(self, i: int) -> slice:
        """The queries of query block ``i``."""
        return slice(i * self.query_block, min((i + 1) * self.query_block, self.asked))

    def columns(self, j: int) -> slice:
        """The base points of base block ``j``."""
        return slice(j * self.base_block, min((j + 1) * self.base_block, self.size))

    def file(self, level: int, i: int, j: int) -> Path:
        """The file of query block ``i``'s nearest in base block ``j`` (level 0) or in all that node ``j`` merges."""
        return Path(self.folder) / "blocks" / f"{i}-{level}-{j}.npz"

    def done(self, level: int, i: int, j: int) -> bool:
        """Whether that file, or one that it was merged into, is there."""
        return any(self.file(up, i, j // FAN ** (up - level)).exists() for up in range(level, self.levels + 1))


def inspect(source, rows: slice, metric: str, what: str) -> tuple[str, list[str]]:
    """Read a block of a file or array, refuse it if exact search would; its SHA-256, and what there is to warn of."""
    with _ONE, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        block = (open_array(source, what) if isinstance(source, str) else source)[rows]
        vectors(block, f"{what}[{rows.start}:{rows.stop}]", metric=metric)
        digest = hashlib.sha256(np.ascontiguousarray(block).data).hexdigest()
    return digest, [str(warning.message) for warning in caught]


def open_array(path: str, what: str) -> np.ndarray:
    """Map a 2-d ``.npy`` file into memory.

    Raises
    ------
    InputError
        If it is not there, cannot be read, or is not 2-d with at least one point and one dimension.
    """
    name = Path(path).name
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(
            f"{what}: {name} does not exist on {socket.gethostname()}; each worker must see it under the same path."
        ) from error
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{what}: {name} cannot be read as an .npy array ({error}).") from error
    checked_shape(array, what)
    return array


def checked_shape(array, what: str) -> tuple[int, int]:
    """The shape of an array, or InputError if it is not 2-d with at least one point and one dimension."""
    if not isinstance(array, np.ndarray) or array.ndim != 2 or 0 in array.shape:
        shape = getattr(array, "shape", "of several arrays")
        raise InputError(f"{what} has shape {shape}; it must be 2-d with at least one point and one dimension.")
    return array.shape


def search(work: Work, i: int, j: int) -> None:
    """Find the nearest of query block ``i`` in base block ``j`` and write them, unless they are there."""
    if _ready(work, 0, i, j):
        return
    with _ONE:
        began = time.perf_counter()
        _log(work, "started", i, j, 0.0)
        rows, columns = work.rows(i), work.columns(j)
        base = np.array(open_array(work.base, "base")[columns])
        queries = np.array(open_array(work.queries or work.base, "queries")[rows])
        left_out = _left_out(work, rows) - columns.start
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said once, by `inspect`
            found = nearest_in_block(base, queries, left_out, work.k, work.metric)
        ids = np.where(found.ids == MISSING, MISSING, found.ids + columns.start)
        write(work.file(0, i, j), ids, found.distances)
        _log(work, "finished", i, j, time.perf_counter() - began)


def nearest_in_block(base, queries, left_out, k: int, metric: str) -> Neighbors:
    """Find the k nearest of a block, or all where it holds fewer, without one point a query that may lie outside it.

    Parameters
    ----------
    base, queries : (b, d) and (q, d) arrays
    left_out : (q,) integers
        Row of the block left out for each query; any number that is no row leaves out nothing.
    k : int
    metric : {"l2", "cosine"}

    Returns
    -------
    Neighbors
        (q, at most k), with a missing slot last where leaving out a point leaves fewer.

    Notes
    -----
    The nearest k + 1 of a block, without the one left out, begin with the nearest k of the rest.

    Examples
    --------
    >>> block = np.array([[0.0], [1.0], [3.0]])
    >>> nearest_in_block(block, block[:2], np.array([0, 7]), 2, "l2").ids
    array([[1, 2],
           [1, 0]])
    """
    inside = (left_out >= 0) & (left_out < len(base))
    found = exact_neighbors(base, queries, k=min(k + bool(inside.any()), len(base)), metric=metric)
    if inside.any():
        own = found.ids == np.where(inside, left_out, MISSING)[:, None]
        found = Neighbors.sorted(np.where(own, MISSING, found.ids), np.where(own, np.inf, found.distances))
    return found.first(min(k, found.k))


def merge(work: Work, level: int, i: int, j: int, children) -> None:
    """Merge up to `FAN` results of the level below, the tasks ``children``, into node ``j``, then remove them.

    Reads one file at a time, so that memory does not grow with their number. A result that is absent or cannot be read
    is computed again.
    """
    if not _ready(work, level, i, j):
        with _ONE:
            began = time.perf_counter()
            parts = (_found(work, level - 1, i, child) for child in _children(work, level, j))
            merged = next(parts)
            for part in parts:
                merged = merge_two(merged, part, work.k)
            write(work.file(level, i, j), merged.ids, merged.distances)
            _log(work, "merged", i, j, time.perf_counter() - began)
    for child in _children(work, level, j):
        work.file(level - 1, i, child).unlink(missing_ok=True)


def merge_two(one: Neighbors, two: Neighbors, k: int) -> Neighbors:
    """The k nearest of two lists a query, by distance, equal distances by the lower id; fewer where they hold fewer.

    >>> one, two = Neighbors([[4, 6]], [[1.0, 2.0]]), Neighbors([[2, 9]], [[2.0, 3.0]])
    >>> merge_two(one, two, 3).ids
    array([[4, 2, 6]])
    """
    ids = np.concatenate([one.ids, two.ids], axis=1)
    both = Neighbors.sorted(ids, np.concatenate([one.distances, two.distances], axis=1))
    return both.first(min(k, both.k))


def read(file: Path) -> Neighbors:
    """The neighbors in a block's file."""
    with np.load(file) as stored:
        return Neighbors(stored["ids"], stored["distances"])


def _ready(work: Work, level: int, i: int, j: int) -> bool:
    """Whether nothing is left to do; the last result of a query block, which no merge reads, is read to be sure."""
    if level < work.levels:
        return work.done(level, i, j)
    return _readable(work.file(level, i, j)) is not None


def _found(work: Work, level: int, i: int, j: int) -> Neighbors:
    """A result of the level below a merge, computed again where it cannot be read."""
    found = _readable(work.file(level, i, j))
    if found is None:
        search(work, i, j) if level == 0 else merge(work, level, i, j, ())
        found = read(work.file(level, i, j))
    return found


def _readable(file: Path) -> Neighbors | None:
    """What a file holds; one that is cut off or altered, which its checksums show, is removed."""
    try:
        return read(file)
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, zlib.error):
        file.unlink(missing_ok=True)
        return None


def _children(work: Work, level: int, j: int) -> range:
    below = -(-work.base_blocks // FAN ** (level - 1))
    return range(j * FAN, min((j + 1) * FAN, below))


def _left_out(work: Work, rows: slice) -> np.ndarray:
    if work.exclude:
        return np.load(work.exclude, mmap_mode="r")[rows].astype(np.int64)
    if not work.queries:
        return np.arange(rows.start, rows.stop)
    return np.full(rows.stop - rows.start, MISSING - work.size)


def write(file: Path, ids, distances) -> None:
    """Write the neighbors of a block, whole or not at all."""
    with replacing(file) as part:
        np.savez(part, ids=ids, distances=distances)


def _log(work: Work, event: str, i: int, j: int, seconds: float) -> None:
    """A file a process: lines of two processes never meet in one."""
    log = Path(work.folder) / "log" / f"{socket.gethostname()}-{os.getpid()}.csv"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"{event},{i},{j},{seconds}\n")
