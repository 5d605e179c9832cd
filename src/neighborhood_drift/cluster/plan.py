"""What exact neighbors over blocks cost, measured task by task, and what they would cost for many more points."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import nnls

from ..checks import InputError, whole_number
from ..exact import exact_neighbors
from . import blocks
from .neighbors import block_sizes

QUERY_SHARES, BASE_SHARES = (0.1, 0.6), (0.1, 0.4, 1.0)  # of the points, in a task that is timed
TIMED = 4_000  # points of the base that are timed, or as many more as k takes
HOUR, DAY = 3_600, 86_400
PROCESSES = {"few": 2, "some": 64, "many": 1024}  # whose day is told
READINGS = 2  # of the vectors by checksums: before the search and after it


@dataclass(frozen=True)
class Cost:
    """Rates fitted to timings, and how well they are known.

    Parameters
    ----------
    seconds : (p,) array
        Rates, none below zero.
    free : (p,) array
        Least squares that may fall below zero, whose ``covariance`` (p, p) is known.
    freedom : int
        Timings less rates.
    """

    seconds: np.ndarray
    free: np.ndarray
    covariance: np.ndarray
    freedom: int


@dataclass(frozen=True)
class Rates:
    """Seconds that one process takes, from `rates`.

    A task of q queries and b points takes ``q b pair + (q + b) vector + q list + fixed``.

    Parameters
    ----------
    task_cost : Cost
        ``pair``, ``vector``, ``list`` and ``fixed``: for a pair of points, for each vector that is read and prepared,
        for each list of k neighbors, for a task.
    slot, byte : Cost
        For merging a slot of a list, its files read and written; for reading and hashing a byte of the vectors.
    dimension, k : int
    """

    task_cost: Cost
    slot: Cost
    byte: Cost
    dimension: int
    k: int

    def task(self, queries, points):
        """Seconds of one task."""
        return float(_terms(queries, points) @ self.task_cost.seconds)

    def work(self, size: int, asked: int | None = None) -> float:
        """Process-seconds of all tasks and merges: ``asked`` queries, by default all points leave-one-out."""
        return self._sum(self._parts(size, asked)[:2])

    def run(self, size: int, asked: int | None = None) -> float:
        """Process-seconds of a whole run: `work`, and the checksums of the vectors before and after it."""
        return self._sum(self._parts(size, asked))

    def interval(self, size: int, asked: int | None = None, *, level: float = 0.95) -> tuple[float, float]:
        """Limits of `run` for timings that scatter about the fitted costs.

        The run is a sum of rates, each a sum of timings, so its variance is known up to those of the timings, and its
        error over that estimate follows Student's t with degrees of freedom by Satterthwaite (1946, Biometrics
        Bulletin 2:110). It holds for errors that are independent and near normal, and for the form of the costs as it
        is: what the form does not know, such as a slower disk, is not in it. Widened to hold `run`, whose rates are
        not below zero.
        """
        parts = self._parts(size, asked)
        variances = [terms @ cost.covariance @ terms for cost, terms in parts]
        total, free = sum(variances), sum(terms @ cost.free for cost, terms in parts)
        shares = sum(variance**2 / cost.freedom for (cost, _), variance in zip(parts, variances, strict=True))
        reach = stats.t.ppf(0.5 + level / 2, total**2 / shares) * np.sqrt(total) if total > 0 else 0.0
        run = self._sum(parts)
        return float(min(run, max(0.0, free - reach))), float(max(run, free + reach))

    def largest(self, seconds: float) -> int:
        """The most points whose neighbors, all leave-one-out, take at most so many process-seconds."""
        low, high = 1.0, 1e15
        for _ in range(60):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if self.run(int(middle)) <= seconds else (low, middle)
        return int(low)

    def _parts(self, size: int, asked: int | None) -> list[tuple[Cost, np.ndarray]]:
        """Costs and how often each is paid: tasks, merges, checksums."""
        others = asked is not None and asked != size
        asked = asked or size
        points, queries = block_sizes(size, asked, self.dimension, self.k)
        tasks = (size / points) * (asked / queries) * _terms(queries, points)
        slots = asked * self.k * max(0.0, size / points - 1)
        hashed = READINGS * 4 * self.dimension * (size + asked * others)
        return [(self.task_cost, tasks), (self.slot, np.array([slots])), (self.byte, np.array([hashed]))]

    @staticmethod
    def _sum(parts) -> float:
        return float(sum(terms @ cost.seconds for cost, terms in parts))


def timings(client, base, k: int, *, metric: str = "l2", repeats: int = 8) -> pd.DataFrame:
    """Time tasks of several sizes on the workers of a Dask client, all workers busy.

    Parameters
    ----------
    client : distributed.Client
        Of workers that see this machine's temporary folder.
    base : (n, d) array
        Of which tasks take shares, of its first `TIMED` points.
    k : int
        Neighbors of each query.
    repeats : int, default 8
        Of each size; one more on each worker before, for what is loaded once, is not timed.

    Returns
    -------
    DataFrame
        Columns kind ("search", "merge", "read"), queries, points, repeat, seconds. A merge has as its ``points`` the
        slots a query of all lists merged, `blocks.FAN` lists of k; a reading has no queries.

    Raises
    ------
    InputError
        If the smallest share of the base holds no more than k points.
    """
    whole_number(repeats, "repeats", 2)
    n = min(len(base), max(TIMED, int((k + 1) / BASE_SHARES[0])))
    if k >= BASE_SHARES[0] * n:
        raise InputError(f"k is {k}; a tenth of the {n} points must be more.")
    rows = []
    with tempfile.TemporaryDirectory(prefix="neighborhood-drift-") as folder:
        path = str(Path(folder) / "base.npy")
        np.save(path, base[:n])
        client.run(exact_neighbors, np.eye(4), k=1, metric=metric)
        cells = [(max(1, int(q * n)), int(b * n)) for q in QUERY_SHARES for b in BASE_SHARES]
        for repeat in range(repeats):
            works = [blocks.Work(f"{folder}/{repeat}-{q}-{b}", path, "", "", b, q, b, q, k, metric) for q, b in cells]
            spent = client.gather(client.map(_timed_search, works, pure=False))
            rows += [("search", q, b, repeat, each) for (q, b), each in zip(cells, spent, strict=True)]
            reading = client.submit(_timed_reading, path, slice(0, n), metric, pure=False).result()
            rows.append(("read", 0, n, repeat, reading))
            asked = cells[0][0]
            merging = client.submit(_timed_merge, f"{folder}/{repeat}-merge", asked, k, pure=False).result()
            rows.append(("merge", asked, blocks.FAN * k, repeat, merging))
    return pd.DataFrame(rows, columns=["kind", "queries", "points", "repeat", "seconds"])


def rates(table: pd.DataFrame, dimension: int, k: int) -> Rates:
    """Fit the costs of a task, of a merge and of reading to their timings.

    Parameters
    ----------
    table : DataFrame
        From `timings`, for points of ``dimension`` float32 values and lists of ``k``.

    Notes
    -----
    Timings of a size are weighted by the inverse of their mean, as their errors grow with it; weighting each by itself
    would favor the short ones.
    """
    search, merge, read = (table[table["kind"] == kind] for kind in ("search", "merge", "read"))
    weights = search.groupby(["queries", "points"])["seconds"].transform("mean").to_numpy()
    terms = np.stack([_terms(q, b) for q, b in zip(search["queries"], search["points"], strict=True)])
    slots = (merge["queries"] * (merge["points"] - k)).to_numpy(float)
    hashed = (4.0 * dimension * read["points"]).to_numpy()
    return Rates(
        _fit(terms, search["seconds"].to_numpy(), weights),
        _fit(slots[:, None], merge["seconds"].to_numpy(), slots),
        _fit(hashed[:, None], read["seconds"].to_numpy(), hashed),
        dimension,
        k,
    )


def plan(found: Rates, sizes, *, asked: int) -> pd.DataFrame:
    """What each number of points would take: all neighbors leave-one-out, and those of ``asked`` queries.

    Returns
    -------
    DataFrame
        Columns points, asked, tasks, vectors_bytes, read_bytes (of vectors, by all tasks and both checksums),
        lists_written (bytes of the lists of all blocks and merges, each but the result read once, and removed),
        lists_bytes (of the result), seconds, low and high (process-seconds with their interval).
    """
    rows = []
    for size in sizes:
        for queries in (size, min(asked, size)):
            points, block = block_sizes(size, queries, found.dimension, found.k)
            rounds, parts = -(-queries // block), -(-size // points)
            vectors, others = 4 * found.dimension * size, 4 * found.dimension * queries
            hashed = READINGS * (vectors + others * (queries != size))
            low, high = found.interval(size, queries)
            rows.append(
                {
                    "points": size,
                    "asked": queries,
                    "tasks": parts * rounds,
                    "vectors_bytes": vectors,
                    "read_bytes": vectors * rounds + others * parts + hashed,
                    "lists_written": 16 * found.k * queries * (_lists(parts) + 1),
                    "lists_bytes": 16 * found.k * queries,
                    "seconds": found.run(size, queries),
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows)


def _lists(parts: int) -> int:
    """How many lists a query gets on the way: one a block of the base, and one a merge.

    >>> _lists(1), _lists(16), _lists(17)
    (1, 17, 20)
    """
    total = parts
    while parts > 1:
        parts = -(-parts // blocks.FAN)
        total += parts
    return total


def _terms(queries, points) -> np.ndarray:
    return np.array([queries * points, queries + points, queries, 1.0])


def _fit(terms: np.ndarray, seconds: np.ndarray, weights: np.ndarray) -> Cost:
    """Fit seconds by the terms, with errors in proportion to the weights."""
    scale = terms.max(axis=0)
    scaled, wanted = terms / scale / weights[:, None], seconds / weights
    inverse = np.linalg.pinv(scaled)
    free, freedom = inverse @ wanted, len(wanted) - terms.shape[1]
    variance = np.sum((wanted - scaled @ free) ** 2) / freedom
    return Cost(
        nnls(scaled, wanted)[0] / scale, free / scale, variance * inverse @ inverse.T / np.outer(scale, scale), freedom
    )


def _timed(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def _timed_search(work: blocks.Work) -> float:
    return _timed(blocks.search, work, 0, 0)


def _timed_reading(path: str, rows: slice, metric: str) -> float:
    return _timed(blocks.inspect, path, rows, metric, "base")


def _timed_merge(folder: str, queries: int, k: int) -> float:
    """Seconds to merge as many lists as ever are, from files into a file."""
    work, random = (
        blocks.Work(folder, "", "", "", blocks.FAN * k, queries, k, queries, k, "l2"),
        np.random.default_rng(0),
    )
    for j in range(blocks.FAN):
        ids = np.tile(np.arange(k) + k * j, (queries, 1))
        blocks.write(work.file(0, 0, j), ids, np.sort(random.random((queries, k)), axis=1))
    return _timed(blocks.merge, work, 1, 0, 0, ())
