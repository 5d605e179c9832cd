"""What exact search costs, by four routes to the same neighbors, and what float32 does to their order."""

from __future__ import annotations

import os
import tracemalloc
from time import perf_counter

import faiss
import numpy as np
import pandas as pd
from scipy import stats

from .checks import InputError, whole_number
from .exact import distances_to, exact_neighbors, scales
from .metrics import overlap
from .neighbors import Neighbors

MIB = 2**20
PRODUCT_LARGEST = 10_000  # points whose product with themselves is timed: it fills 400 MB


def naive_loop(base, k: int) -> np.ndarray:
    """Leave-one-out neighbors by a loop over queries: all differences in float64, squared, summed, sorted. (n, k) ids.

    >>> naive_loop(np.array([[0.0], [1.0], [3.0]]), 1).T
    array([[1, 0, 1]])
    """
    wide = base.astype(np.float64)
    differences = np.empty_like(wide)  # kept, or half the time would go into asking the system for memory
    ids = np.empty((len(base), k), np.int64)
    for i, query in enumerate(wide):
        np.subtract(wide, query, out=differences)
        squares = np.square(differences, out=differences).sum(axis=1)
        squares[i] = np.inf
        ids[i] = np.argsort(squares, kind="stable")[:k]
    return ids


def distance_matrix(base, k: int) -> np.ndarray:
    """Leave-one-out neighbors from one (n, n) float32 matrix of squared distances, by the expansion. (n, k) ids.

    >>> distance_matrix(np.array([[0.0], [1.0], [3.0]], np.float32), 1).T
    array([[1, 0, 1]])
    """
    norms = np.einsum("ij,ij->i", base, base)
    matrix = base @ base.T
    matrix *= -2
    matrix += norms
    matrix += norms[:, None]
    np.fill_diagonal(matrix, np.inf)
    return np.stack([_smallest(row, k) for row in matrix])


def blocked_product(base, k: int) -> np.ndarray:
    """Leave-one-out neighbors by `exact_neighbors`. (n, k) ids."""
    return exact_neighbors(base, k=k).ids


def library(base, k: int) -> np.ndarray:
    """Leave-one-out neighbors by FAISS's flat index, in float32. (n, k) ids."""
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    ids = index.search(base, k + 1)[1]
    own = ids == np.arange(len(base))[:, None]
    own[~own.any(axis=1), -1] = True
    return ids[~own].reshape(len(base), k)


ROUTES = {
    "naive loop": naive_loop,
    "n x n matrix": distance_matrix,
    "blocked product": blocked_product,
    "FAISS flat": library,
}


def costs(base, sizes, *, k: int, metric: str = "l2", naive_largest: int, repeats: int = 3) -> pd.DataFrame:
    """Measure time and memory of each route on growing parts of the base, leave-one-out.

    Parameters
    ----------
    base : (n, d) float32
    sizes : list of int
        Numbers of points; those beyond n are left out.
    k : int
        Neighbors of each point, below the smallest size.
    metric : {"l2", "cosine"}
        ``"cosine"``: the routes search the vectors divided by their lengths, which has the same order.
    naive_largest : int
        The naive loop is not run on more points than this.
    repeats : int, default 3
        Timed runs of each; one more run before them is not timed and has its memory measured.

    Returns
    -------
    DataFrame
        Columns route, n, repeat, seconds (wall time), mib. ``mib`` is the peak of the arrays that NumPy allocates
        beyond the vectors (tracemalloc), and for FAISS also its own copy of the vectors, which tracemalloc cannot see.

    Raises
    ------
    InputError
        If no size fits, or k is not below the smallest.
    """
    sizes = sorted({size for size in sizes if size <= len(base)})
    if not sizes:
        raise InputError(f"no size is at most {len(base)}, the number of points; sizes must hold one.")
    whole_number(k, "k", 1, sizes[0] - 1)
    whole_number(repeats, "repeats", 1)
    points = (base * scales(base, metric)[:, None]).astype(np.float32)
    rows = []
    for name, search in ROUTES.items():
        search(points[: sizes[0]], k)  # loads what is loaded once
        for n in sizes:
            if search is naive_loop and n > naive_largest:
                continue
            part = points[:n]
            mib = _peak(search, part, k) + (part.nbytes / MIB if search is library else 0)
            for repeat in range(repeats):
                seconds = _seconds(lambda search=search, part=part: search(part, k))
                rows.append({"route": name, "n": n, "repeat": repeat, "seconds": seconds, "mib": mib})
    return pd.DataFrame(rows)


def exponents(table: pd.DataFrame, ci: float = 0.95) -> pd.DataFrame:
    """Fit cost = c n^b to each route of a table of `costs`, by least squares on the logarithms.

    Returns
    -------
    DataFrame
        Columns route, sizes (how many the fit rests on), largest_n, seconds and mib (at the largest n), time_exponent,
        time_low, time_high (Student's t interval), memory_exponent. nan where a route has fewer than two sizes.

    Examples
    --------
    >>> table = pd.DataFrame({"route": "a", "n": [10, 20, 40], "seconds": [1.0, 4.0, 16.0], "mib": [1.0, 2.0, 4.0]})
    >>> exponents(table)[["time_exponent", "memory_exponent"]].round(3)
       time_exponent  memory_exponent
    0            2.0              1.0
    """
    rows = []
    for route, part in table.groupby("route", sort=False):
        largest = part[part["n"] == part["n"].max()]
        row = {"route": route, "sizes": part["n"].nunique(), "largest_n": largest["n"].iloc[0]}
        row |= {"seconds": largest["seconds"].min(), "mib": largest["mib"].iloc[0]}
        time = memory = error = np.nan
        if row["sizes"] > 1:
            logs = np.log(part["n"])
            fit = stats.linregress(logs, np.log(part["seconds"]))
            time, memory = fit.slope, stats.linregress(logs, np.log(part["mib"])).slope
            error = stats.t.ppf((1 + ci) / 2, len(part) - 2) * fit.stderr if len(part) > 2 else np.nan
        row |= {"time_exponent": time, "time_low": time - error, "time_high": time + error, "memory_exponent": memory}
        rows.append(row)
    return pd.DataFrame(rows)


def search_cost(base, *, k: int, metric: str = "l2", repeats: int = 3) -> dict:
    """Time and memory of a leave-one-out search of the whole base by the blocked product.

    Returns
    -------
    dict
        ``seconds`` (wall time), ``mib`` (as in `costs`), ``ratio`` to the time of ``base @ base.T`` in float32,
        of which NumPy computes one half and mirrors it. The ratio is taken on the first 10,000 points at most, where
        the product fits anywhere: the fastest of ``repeats`` runs of each, run in turns.
    """
    mib = _peak(lambda points, k: exact_neighbors(points, k=k, metric=metric), base, k)
    part = base[:PRODUCT_LARGEST]
    searches, products = [], []
    for _ in range(repeats):
        searches.append(_seconds(lambda: exact_neighbors(part, k=k, metric=metric)))
        products.append(_seconds(lambda: part @ part.T))
    whole = min(searches) if len(part) == len(base) else _seconds(lambda: exact_neighbors(base, k=k, metric=metric))
    return {"seconds": whole, "mib": mib, "ratio": min(searches) / min(products)}


def machine_memory() -> int:
    """Memory of this machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def largest_matrix(memory: int | None = None, value_bytes: int = 4) -> int:
    """The largest n whose (n, n) matrix fits into ``memory`` bytes; by default all the memory of this machine.

    >>> largest_matrix(memory=400, value_bytes=4)
    10
    """
    return int(np.sqrt((machine_memory() if memory is None else memory) // value_bytes))


def float32_errors(base, rows, exact: Neighbors, ks, *, metric: str = "l2") -> tuple[pd.DataFrame, dict]:
    """Compare neighbors by the float32 expansion ``|x|^2 + |y|^2 - 2 x.y`` with the exact ones.

    Parameters
    ----------
    base : (n, d) float32
    rows : (q,) integers
        Points asked, leave-one-out.
    exact : Neighbors
        Their exact neighbors, as many as the largest k.
    ks : list of int
    metric : {"l2", "cosine"}
        ``"cosine"``: the expansion of the vectors divided by their lengths.

    Returns
    -------
    DataFrame
        One row a k: k, changed_order and changed_set (shares of queries), changed_neighbors (mean number of a query's
        k).
    dict
        ``negative``: number of squared distances below zero over all pairs of a query and a base point, itself
        included; ``own_nonzero``: share of queries whose squared distance to themselves is not zero; ``own_largest``:
        the largest distance (root) of a point to itself, as a share of the mean first true distance; ``error``: the
        largest relative error of a distance to a true neighbor that is farther than zero.
    """
    points = (base * scales(base, metric)[:, None]).astype(np.float32) if metric == "cosine" else base
    norms = np.einsum("ij,ij->i", points, points)
    lists, own, lengths, negative = [], [], [], 0
    for start in range(0, len(rows), 256):
        asked = rows[start : start + 256]
        squares = norms[asked][:, None] + norms - 2 * (points[asked] @ points.T)
        negative += int((squares < 0).sum())
        own.append(squares[np.arange(len(asked)), asked])
        lengths.append(np.take_along_axis(squares, exact.ids[start : start + 256], axis=1))
        squares[np.arange(len(asked)), asked] = np.inf
        lists.append(np.stack([_smallest(row, exact.k) for row in squares]))
    ids, own = np.concatenate(lists), np.concatenate(own)
    table = pd.DataFrame([{"k": k, **_changes(exact.ids[:, :k], ids[:, :k])} for k in ks])
    true = distances_to(points, points[rows], exact.ids)
    measured = np.sqrt(np.maximum(np.concatenate(lengths), 0).astype(np.float64))
    known = true > 0
    return table, {
        "negative": negative,
        "own_nonzero": float((own != 0).mean()),
        "own_largest": float(np.sqrt(np.abs(own).max()) / true[:, 0].mean()) if true[:, 0].any() else np.nan,
        "error": float((np.abs(measured - true)[known] / true[known]).max()) if known.any() else np.nan,
    }


def ties(exact: Neighbors, ks) -> pd.DataFrame:
    """Count queries with equal float64 distances: within the first k, across the k-th place, and of zero.

    Parameters
    ----------
    exact : Neighbors
        At least one neighbor more than the largest k.
    ks : list of int

    Returns
    -------
    DataFrame
        One row a k: k, within (queries with two equal distances among their k), across (the k-th equals the next, so
        that the set itself hangs on the rule for ties), zero (queries with a neighbor at distance 0).

    Examples
    --------
    >>> ties(Neighbors([[4, 5, 6]], [[0.0, 1.0, 1.0]]), [2])
       k  within  across  zero
    0  2       0       1     1
    """
    equal = exact.distances[:, 1:] == exact.distances[:, :-1]
    rows = []
    for k in ks:
        whole_number(k, "k", 1, exact.k - 1)
        within, across = equal[:, : k - 1].any(axis=1), equal[:, k - 1]
        zero = (exact.distances[:, :k] == 0).any(axis=1)
        rows.append({"k": k, "within": int(within.sum()), "across": int(across.sum()), "zero": int(zero.sum())})
    return pd.DataFrame(rows)


def _smallest(values, k):
    chosen = np.argpartition(values, k - 1)[:k]
    return chosen[np.lexsort((chosen, values[chosen]))]


def _changes(true, ids):
    k = true.shape[1]
    slots = np.zeros(ids.shape)
    kept = np.rint(overlap(Neighbors(true, slots), Neighbors(ids, slots)) * k)
    return {
        "changed_order": float((true != ids).any(axis=1).mean()),
        "changed_set": float((kept < k).mean()),
        "changed_neighbors": float((k - kept).mean()),
    }


def _seconds(run) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def _peak(search, points, k):
    tracemalloc.start()
    try:
        search(points, k)
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()
