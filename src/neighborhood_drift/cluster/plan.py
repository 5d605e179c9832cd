"""What exact neighbors over blocks cost, measured task by task, and what they would cost for many more points."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from ..checks import InputError, whole_number
from ..exact import exact_neighbors
from ..neighbors import Neighbors
from . import blocks
from .neighbors import block_sizes

QUERY_SHARES, BASE_SHARES = (0.1, 0.4), (0.1, 0.3, 1.0)  # of the points, in a task that is timed
DRAWS = 500
DAY = 86_400


@dataclass(frozen=True)
class Rates:
    """Seconds that one process takes, from `rates`.

    A task of q queries and b points takes ``q b pair + (q + b) vector + q list + fixed``.

    Parameters
    ----------
    pair, vector, list, fixed : float
        For a pair of points, for each vector that is read and prepared, for each list of k neighbors, for a task.
    slot, byte : float
        For merging a slot of a list, and for reading and hashing a byte of the vectors before the work.
    dimension, k : int
    draws : (r, 4) array
        ``pair``, ``vector``, ``list`` and ``fixed`` fitted to resampled timings.
    """

    pair: float
    vector: float
    list: float
    fixed: float
    slot: float
    byte: float
    dimension: int
    k: int
    draws: np.ndarray

    def task(self, queries, points):
        """Seconds of one task.

        >>> Rates(1e-7, 1e-5, 1e-3, 0.1, 0, 0, 8, 10, np.empty((0, 4))).task(100, 1000)
        0.221
        """
        return queries * (points * self.pair + self.list) + (queries + points) * self.vector + self.fixed

    def run(self, size: int, asked: int | None = None) -> float:
        """Process-seconds of a whole run: ``asked`` queries, by default all points leave-one-out, among ``size``."""
        points, queries = block_sizes(size, asked or size, self.dimension, self.k)
        asked = asked or size
        tasks = (size / points) * (asked / queries) * self.task(queries, points)
        merged = asked * self.k * (size / points - 1) * self.slot if size > points else 0.0
        return tasks + merged + 4 * self.dimension * size * self.byte

    def interval(self, size: int, asked: int | None = None) -> tuple[float, float]:
        """Central 95 % of `run` over the resampled timings."""
        names = ("pair", "vector", "list", "fixed")
        runs = [replace(self, **dict(zip(names, draw, strict=True))).run(size, asked) for draw in self.draws]
        return tuple(np.quantile(runs, (0.025, 0.975)).tolist())

    def largest(self, seconds: float) -> int:
        """The most points whose neighbors, all leave-one-out, take at most so many process-seconds."""
        low, high = 1.0, 1e15
        for _ in range(60):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if self.run(int(middle)) <= seconds else (low, middle)
        return int(low)


def timings(client, base, k: int, *, metric: str = "l2", repeats: int = 3) -> pd.DataFrame:
    """Time tasks of several sizes on the workers of a Dask client, all workers busy.

    Parameters
    ----------
    client : distributed.Client
        Of workers that see this machine's temporary folder.
    base : (n, d) array
        Of which tasks take shares.
    k : int
        Neighbors of each query.
    repeats : int, default 3
        Of each size; one more on each worker before, for what is loaded once, is not timed.

    Returns
    -------
    DataFrame
        Columns kind ("search", "merge", "read"), queries, points, repeat, seconds. A merge has two lists of k a query
        as its ``points``; a reading has no queries.

    Raises
    ------
    InputError
        If the smallest share of the base holds no more than k points.
    """
    whole_number(repeats, "repeats", 1)
    n = len(base)
    if k >= BASE_SHARES[0] * n:
        raise InputError(f"k is {k}; a tenth of the {n} points must be more.")
    rows = []
    with tempfile.TemporaryDirectory(prefix="neighborhood-drift-") as folder:
        path = str(Path(folder) / "base.npy")
        np.save(path, base)
        client.run(exact_neighbors, np.eye(4), k=1, metric=metric)
        cells = [(int(q * n), int(b * n)) for q in QUERY_SHARES for b in BASE_SHARES]
        for repeat in range(repeats):
            works = [blocks.Work(f"{folder}/{repeat}-{q}-{b}", path, "", "", b, q, b, q, k, metric) for q, b in cells]
            spent = client.gather(client.map(_timed_search, works, pure=False))
            rows += [("search", q, b, repeat, each) for (q, b), each in zip(cells, spent, strict=True)]
            reading = client.submit(_timed_reading, path, slice(0, n), metric, pure=False).result()
            rows.append(("read", 0, n, repeat, reading))
            merging = client.submit(_timed_merge, cells[0][0], k, pure=False).result()
            rows.append(("merge", cells[0][0], 2 * k, repeat, merging))
    return pd.DataFrame(rows, columns=["kind", "queries", "points", "repeat", "seconds"])


def rates(table: pd.DataFrame, dimension: int, k: int, *, seed: int = 0) -> Rates:
    """Fit the costs of a task to its timings, none below zero, each weighted by the inverse mean of its size.

    Parameters
    ----------
    table : DataFrame
        From `timings`, for points of ``dimension`` float32 values and lists of ``k``.
    seed : int
        Of the draws: timings are resampled within each size of a task.
    """
    search = table[table["kind"] == "search"]
    search = search.assign(mean=search.groupby(["queries", "points"])["seconds"].transform("mean"))
    columns, random = ["queries", "points", "seconds", "mean"], np.random.default_rng(seed)
    sizes = [group.to_numpy() for _, group in search.groupby(["queries", "points"])[columns]]
    draws = [
        _fit(np.concatenate([group[random.integers(len(group), size=len(group))] for group in sizes]))
        for _ in range(DRAWS)
    ]
    merge, read = (table[table["kind"] == kind] for kind in ("merge", "read"))
    slot = (merge["seconds"] / (merge["queries"] * merge["points"] / 2)).median()
    byte = (read["seconds"] / (4 * dimension * read["points"])).median()
    return Rates(*_fit(np.concatenate(sizes)), slot, byte, dimension, k, np.array(draws))


def plan(found: Rates, sizes, *, asked: int) -> pd.DataFrame:
    """What each number of points would take: all neighbors leave-one-out, and those of ``asked`` queries.

    Returns
    -------
    DataFrame
        Columns points, asked, tasks, vectors_bytes, read_bytes (by all tasks together), lists_bytes, seconds, low and
        high (process-seconds with their interval).
    """
    rows = []
    for size in sizes:
        for queries in (size, min(asked, size)):
            points, block = block_sizes(size, queries, found.dimension, found.k)
            rounds = -(-queries // block)
            vectors = 4 * found.dimension * size
            rows.append(
                {
                    "points": size,
                    "asked": queries,
                    "tasks": -(-size // points) * rounds,
                    "vectors_bytes": vectors,
                    "read_bytes": vectors * rounds,
                    "lists_bytes": 16 * found.k * queries,
                    "seconds": found.run(size, queries),
                    **dict(zip(("low", "high"), found.interval(size, queries), strict=True)),
                }
            )
    return pd.DataFrame(rows)


def _fit(rows: np.ndarray) -> np.ndarray:
    """Weighting each timing by itself would favor the short ones of a size; by the size's mean it does not."""
    queries, points, seconds, mean = rows.T
    terms = np.stack([queries * points, queries + points, queries, np.ones(len(rows))], axis=1)
    scale = terms.max(axis=0)
    return nnls(terms / scale / mean[:, None], seconds / mean)[0] / scale


def _timed(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def _timed_search(work: blocks.Work) -> float:
    return _timed(blocks.search, work, 0, 0)


def _timed_reading(path: str, rows: slice, metric: str) -> float:
    return _timed(blocks.inspect, path, rows, metric, "base")


def _timed_merge(queries: int, k: int) -> float:
    random = np.random.default_rng(0)
    lists = [np.sort(random.random((queries, k)), axis=1) for _ in range(2)]
    one, two = (Neighbors(np.tile(np.arange(k) + k * half, (queries, 1)), each) for half, each in enumerate(lists))
    return _timed(blocks.merge_two, one, two, k)
