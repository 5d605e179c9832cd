"""What a query for an image costs: searches of a gallery by brute force, FAISS flat and IVF, one by one and in batches.

The parts are those of a published table (data/earlier-studies/retrieval-table.csv); `extraction` measures the other
part, the encoder. All is done by one thread, and what is measured is the processor time it takes: on an idle machine
that is the wall time, and on a busy one it is not lengthened by waiting for others.
"""

from __future__ import annotations

from functools import partial
from time import process_time

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from .checks import vectors, whole_number
from .exact import exact_neighbors
from .indexes import build_index
from .indexes.faiss_flat import faiss_library, faiss_threads
from .intervals import bootstrap_means, limits
from .metrics import overlap

COLUMNS = ["part", "method", "gallery", "n", "dimension", "batch", "repeat", "seconds"]
FULL_SORT, PARTIAL_SORT, FLAT = "brute force, full sort", "brute force, partial sort", "FAISS flat"
IVF_ROOT, IVF_256 = "FAISS IVF, √n cells", "FAISS IVF, 256 cells"
NLISTS = {IVF_ROOT: 0, IVF_256: 256}  # 0: the square root of n
RANDOM = "random"
WARM = 2  # searches before the timed ones


def full_sort(gallery, queries, k: int) -> np.ndarray:
    """Ids of the k most similar rows, by products of unit vectors and a sort of all of them, as published: (q, k).

    >>> full_sort(np.eye(3), np.array([[0.1, 0.9, 0.2]]), 2)
    array([[1, 2]])
    """
    return np.argsort(queries @ gallery.T, axis=1)[:, : -k - 1 : -1]


def partial_sort(gallery, queries, k: int) -> np.ndarray:
    """The same ids, where only the k largest products are sorted: (q, k).

    >>> partial_sort(np.eye(3), np.array([[0.1, 0.9, 0.2]]), 2)
    array([[1, 2]])
    """
    products = queries @ gallery.T
    chosen = np.argpartition(products, products.shape[1] - k, axis=1)[:, -k:]
    order = np.argsort(np.take_along_axis(products, chosen, axis=1), axis=1)[:, ::-1]
    return np.take_along_axis(chosen, order, axis=1)


BRUTE = {FULL_SORT: full_sort, PARTIAL_SORT: partial_sort}


def random_units(n: int, dimension: int, seed) -> np.ndarray:
    """Directions drawn uniformly: (n, dimension) float32 of length 1.

    >>> random_units(2, 3, 0).shape
    (2, 3)
    """
    drawn = np.random.default_rng(seed).standard_normal((n, dimension), dtype=np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def on_random(sizes, dimensions, *, k=10, repeats=20, batches=(1,), cells=False, seed=0) -> pd.DataFrame:
    """Time searches of random unit vectors: what brute force takes does not depend on what the vectors are.

    Parameters
    ----------
    sizes, dimensions : iterable of int
        Of the galleries.
    k : int, default 10
        At most all.
    repeats : int, default 20
        Timed searches, each with queries of its own.
    batches : iterable of int
        Queries of one search.
    cells : bool, default False
        In the largest gallery also IVF with nprobe = 1. Its time does depend on the vectors, by the sizes of the cells;
        random ones are even.
    seed : int

    Returns
    -------
    DataFrame
        part ("search"), method, gallery ("random"), n, dimension, batch, repeat, seconds (processor time a query).

    Examples
    --------
    >>> on_random([64], [8], k=3, repeats=2)["method"].unique().tolist()
    ['brute force, full sort', 'brute force, partial sort', 'FAISS flat']
    """
    rows = []
    for dimension in dimensions:
        largest = random_units(max(sizes), dimension, [seed, dimension])
        asked = random_units((repeats + WARM) * max(batches), dimension, [seed, dimension, 1])
        for n in sorted(set(sizes)):
            about = (RANDOM, n, dimension)
            searches = _searches(largest[:n], min(whole_number(k, "k", 1), n), cells and n == max(sizes), seed)
            rows += _all_timed(searches, asked, about, batches, repeats)
    return pd.DataFrame(rows, columns=COLUMNS)


def _searches(gallery, k, cells, seed) -> dict:
    """Each way to search the gallery: a function of the queries."""
    flat = faiss_library().IndexFlatIP(gallery.shape[1])
    flat.add(gallery)
    searches = {name: partial(way, gallery, k=k) for name, way in BRUTE.items()}
    searches[FLAT] = partial(_native, flat, k=k)
    for name, nlist in NLISTS.items() if cells else ():
        index = build_index("faiss-ivf", gallery, metric="cosine", seed=seed, threads=2, nlist=nlist)
        searches[name] = partial(_native, index.native, k=k)
    return searches


def _native(index, queries, k):
    return index.search(queries, k)


def _all_timed(searches, asked, about, batches, repeats):
    """Rows of the table of times: every search, batch and repeat, by one thread."""
    with threadpool_limits(1), faiss_threads(1):
        return [
            ("search", name, *about, batch, repeat, seconds)
            for name, search in searches.items()
            for batch in batches
            for repeat, seconds in enumerate(_timed(search, asked, batch, repeats))
        ]


def _timed(search, asked, batch, repeats):
    """Seconds a query of ``repeats`` searches of ``batch`` queries each, after some that are not timed."""
    for start in range(WARM + repeats):
        queries = np.ascontiguousarray(asked[(start * batch) % len(asked) :][:batch])
        began = process_time()
        search(queries)
        seconds = (process_time() - began) / len(queries)
        if start >= WARM:
            yield seconds


def usable_metric(base) -> str:
    """The cosine, as published; where a vector of zeros has none, the Euclidean distance.

    >>> usable_metric(np.eye(2)), usable_metric(np.zeros((1, 2)))
    ('cosine', 'l2')
    """
    return "cosine" if np.asarray(base).any(axis=1).all() else "l2"


def on_gallery(sample, nprobes, *, k=10, asked=200, repeats=20, batches=(1,), seed=0, cache=None):
    """Search a gallery of real vectors by IVF over nprobe, and by brute force: recall and time.

    Parameters
    ----------
    sample : Sample
        Its first ``asked`` rows are asked, leave-one-out.
    nprobes : iterable of int
        Cells opened; those beyond the number of cells are left out.
    k, repeats, batches, seed
        As in `on_random`.
    asked : int, default 200
    cache : path, optional
        Of `build_index`.

    Returns
    -------
    recalls : DataFrame
        method, gallery, n, dimension, metric, nlist, nprobe, recall, recall_low, recall_high (95 % bootstrap interval
        over queries), milliseconds, milliseconds_low, milliseconds_high (median of single searches), share (of the
        gallery whose distances were computed).
    times : DataFrame
        As `on_random`, for each batch: brute force, flat, and IVF at the least nprobe whose recall is 0.95 or more, or
        at the largest.
    """
    metric = usable_metric(sample.base)
    base = vectors(sample.base, sample.name, metric=metric)
    rows = sample.rows[:asked]
    k = min(k, len(base) - 2)
    exact = exact_neighbors(base, base[rows], k=k, exclude=rows, metric=metric)
    recalls, searches = [], {}
    for name, nlist in NLISTS.items():
        index = build_index("faiss-ivf", base, metric=metric, seed=seed, cache=cache, nlist=nlist)
        chosen = None
        for nprobe in sorted({min(value, index.native.nlist) for value in nprobes}):
            found = index.search(base[rows], k, ef=nprobe, exclude_self=rows)
            shares, count = overlap(exact, found), index.distance_computations / len(rows)
            low, high = (float(limit[0]) for limit in limits(bootstrap_means(shares[:, None], seed=seed)))
            search = _library_search(index, base, k, nprobe)
            with threadpool_limits(1):
                once = [1e3 * seconds for seconds in _timed(search, rows, 1, repeats)]
            about = (name, sample.name, len(base), base.shape[1], metric, index.native.nlist, nprobe)
            recalls.append((*about, float(shares.mean()), low, high, *typical(once, seed=seed), count / len(base)))
            if chosen is None or chosen[0] < 0.95:
                chosen = (float(shares.mean()), search)
        searches[name] = chosen[1]
    unit = base / np.linalg.norm(base, axis=1, keepdims=True) if metric == "cosine" else base
    unit = np.ascontiguousarray(unit, dtype=np.float32)
    for name, way in BRUTE.items():
        searches[name] = partial(_of_ids, way, unit, k)
    searches[FLAT] = _library_search(build_index("faiss-flat", base, metric=metric), base, k, 1)
    times = _all_timed(searches, rows, (sample.name, len(base), base.shape[1]), batches, repeats)
    names = ["method", "gallery", "n", "dimension", "metric", "nlist", "nprobe", "recall", "recall_low", "recall_high"]
    names += ["milliseconds", "milliseconds_low", "milliseconds_high", "share"]
    return pd.DataFrame(recalls, columns=names), pd.DataFrame(times, columns=COLUMNS)


def _library_search(index, base, k, effort):
    return lambda ids: index.search(base[ids], k, ef=effort, exclude_self=ids)


def _of_ids(way, gallery, k, ids):
    return way(gallery, gallery[ids], k)


def typical(values, *, seed: int = 0, resamples: int = 1000) -> tuple[float, float, float]:
    """Median of repeated times and its 95 % bootstrap interval; nan without any.

    The median, since what else a machine does makes some times longer and none shorter.

    >>> typical([1.0, 1.0, 1.0, 90.0])[0]
    1.0
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return np.nan, np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(np.median(values[drawn], axis=1), [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)
