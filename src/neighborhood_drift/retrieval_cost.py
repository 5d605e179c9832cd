"""What a query for an image costs: searches of a gallery by brute force, FAISS flat and IVF, one by one and in batches.

The parts are those of a published table (data/earlier-studies/retrieval-table.csv); `extraction` measures the other
part, the encoder. All is done by one thread, and what is measured is the processor time it takes: on an idle machine
that is the wall time, and on a busy one it is not lengthened by waiting for a core, though it is by what others leave
of the caches and of the memory's bandwidth. So methods and sizes take turns, and none has a quiet minute of its own.
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
from .indexes.points import unit
from .intervals import bootstrap_means, limits
from .metrics import overlap

COLUMNS = ["part", "method", "gallery", "n", "dimension", "batch", "repeat", "seconds"]
FULL_SORT, PARTIAL_SORT, FLAT = "brute force, full sort", "brute force, partial sort", "FAISS flat"
IVF_ROOT, IVF_256 = "FAISS IVF, √n cells", "FAISS IVF, 256 cells"
NLISTS = {IVF_ROOT: 0, IVF_256: 256}  # 0: the square root of n
RANDOM = "random"
WARM = 2  # searches before the timed ones
PUBLISHED_SIZE = 100_000  # images of the published gallery
MOST = 205_000_000  # numbers of a random gallery: 400,000 vectors of 512
ENOUGH = 0.95  # overlap that an IVF is to reach before its batches are timed


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


def on_random(sizes, dimensions, *, k=10, repeats=20, batches=(1,), cells=False, most=MOST, seed=0) -> pd.DataFrame:
    """Time searches of random unit vectors: what brute force takes does not depend on what the vectors are.

    Parameters
    ----------
    sizes, dimensions : iterable of int
        Of the galleries.
    k : int, default 10
        At most all.
    repeats : int, default 20
        Timed searches, each with queries of its own; methods and sizes take turns.
    batches : iterable of int
        Queries of one search.
    cells : bool, default False
        In the gallery nearest to the published size also IVF with nprobe = 1. Its time does depend on the vectors, by
        the sizes of the cells; random ones are even.
    most : int
        Numbers a gallery may hold; larger ones are left out, but for the smallest of all.
    seed : int

    Returns
    -------
    DataFrame
        part ("search"; "training" for making and filling the cells), method, gallery ("random"), n, dimension, batch,
        repeat, seconds (processor time a query, or of the whole training).

    Examples
    --------
    >>> on_random([64], [8], k=3, repeats=2)["method"].unique().tolist()
    ['brute force, full sort', 'brute force, partial sort', 'FAISS flat']
    """
    rows = []
    for dimension in dimensions:
        fitting = [n for n in sorted(set(sizes)) if n * dimension <= most] or [min(sizes)]
        largest = random_units(fitting[-1], dimension, [seed, dimension])
        asked = random_units((repeats + WARM) * max(batches), dimension, [seed, dimension, 1])
        tasks = []
        for n in fitting:
            about, of_k = (RANDOM, n, dimension), min(whole_number(k, "k", 1), n)
            searches = {name: partial(way, largest[:n], k=of_k) for name, way in BRUTE.items()}
            searches[FLAT] = partial(_native, _flat(largest[:n]), k=of_k)
            if cells and n == nearest_published(fitting):
                for name, nlist in NLISTS.items():
                    index, seconds = _cells(largest[:n], nlist, seed)
                    searches[name] = partial(_native, index, k=of_k)
                    rows.append(("training", name, *about, 0, 0, seconds))
            tasks += [(("search", name, *about), way, batch) for name, way in searches.items() for batch in batches]
        rows += in_turns(tasks, asked, repeats)
    return pd.DataFrame(rows, columns=COLUMNS)


def nearest_published(sizes) -> int:
    """The size that is nearest, by its ratio, to that of the published gallery.

    >>> nearest_published([10_000, 90_000, 400_000])
    90000
    """
    return min(sizes, key=lambda n: abs(np.log(n / PUBLISHED_SIZE)))


def _flat(gallery):
    flat = faiss_library().IndexFlatIP(gallery.shape[1])
    flat.add(gallery)
    return flat


def _cells(gallery, nlist, seed):
    """FAISS's IVF over a gallery of unit vectors, made by one thread, and the processor time of making it."""
    with threadpool_limits(1):
        began = process_time()
        index = build_index("faiss-ivf", gallery, metric="cosine", seed=seed, nlist=nlist)
        return index.native, process_time() - began


def _native(index, queries, k, nprobe=None):
    if nprobe is not None:
        index.nprobe = nprobe
    return index.search(queries, k)


def in_turns(tasks, asked, repeats: int) -> list[tuple]:
    """Time tasks by turns and by one thread: all of them once, then all again, the first rounds not counted.

    Each timed search follows one of another query that is not timed, so that it finds the caches as this search leaves
    them, and not as the one before it in the round does.

    Parameters
    ----------
    tasks : list of (about, search, batch)
        ``search`` gets ``batch`` queries, a contiguous array.
    asked : (q, d) array
        The queries; each round takes the next ones, from the start again after the last.
    repeats : int

    Returns
    -------
    list of tuple
        (*about, batch, repeat, processor seconds a query), task after task.

    Examples
    --------
    >>> [row[:3] for row in in_turns([(("a",), len, 2)], np.eye(3), 2)]
    [('a', 2, 0), ('a', 2, 1)]
    """
    rows = [[] for _ in tasks]
    with threadpool_limits(1), faiss_threads(1):
        for turn in range(WARM + repeats):
            for own, (about, search, batch) in zip(rows, tasks, strict=True):
                before, *rest = np.arange(turn * batch - 1, (turn + 1) * batch)
                search(np.take(asked, [before], axis=0, mode="wrap"))
                taken = np.take(asked, rest, axis=0, mode="wrap")
                began = process_time()
                search(taken)
                seconds = (process_time() - began) / batch
                if turn >= WARM:
                    own.append((*about, batch, turn - WARM, seconds))
    return [row for own in rows for row in own]


def usable_metric(base) -> str:
    """The cosine, as published; where a vector of zeros has none, the Euclidean distance.

    >>> usable_metric(np.eye(2)), usable_metric(np.zeros((1, 2)))
    ('cosine', 'l2')
    """
    return "cosine" if np.asarray(base).any(axis=1).all() else "l2"


def on_gallery(sample, nprobes, *, k=10, asked=200, repeats=20, batches=(1,), seed=0, cache=None):
    """Search a gallery of real vectors by IVF over nprobe, and by brute force: recall and time.

    Overlaps come from the adapter, which leaves the query out. Times are those of the libraries' own searches of ``k``
    neighbors for queries that are normalised already; methods take turns.

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
        gallery whose distances were computed), build_seconds (wall time of training and adding, by one thread).
    times : DataFrame
        As `on_random`, for each batch: brute force, flat, and IVF at the least nprobe whose recall is `ENOUGH` or more,
        or at the largest.
    """
    metric = usable_metric(sample.base)
    base = vectors(sample.base, sample.name, metric=metric)
    rows = sample.rows[:asked]
    k = min(k, len(base) - 2)
    exact = exact_neighbors(base, base[rows], k=k, exclude=rows, metric=metric)
    known, searches, tasks, place = [], {}, [], (sample.name, len(base), base.shape[1])
    for name, nlist in NLISTS.items():
        index = build_index("faiss-ivf", base, metric=metric, seed=seed, cache=cache, nlist=nlist)
        chosen = None
        for nprobe in sorted({min(value, index.native.nlist) for value in nprobes}):
            found = index.search(base[rows], k, ef=nprobe, exclude_self=rows)
            shares, count = overlap(exact, found), index.distance_computations / len(rows)
            low, high = (float(limit[0]) for limit in limits(bootstrap_means(shares[:, None], seed=seed)))
            about = (name, *place, metric, index.native.nlist, nprobe)
            known.append((*about, float(shares.mean()), low, high, count / len(base), index.seconds))
            search = partial(_native, index.native, k=k, nprobe=nprobe)
            tasks.append((("nprobe", f"{name}: {nprobe}", *place), search, 1))
            if chosen is None or chosen[0] < ENOUGH:
                chosen = (float(shares.mean()), search)
        searches[name] = chosen[1]
    gallery = unit(base) if metric == "cosine" else base
    searches |= {name: partial(way, gallery, k=k) for name, way in BRUTE.items()}
    searches[FLAT] = partial(_native, build_index("faiss-flat", base, metric=metric).native, k=k)
    tasks += [(("search", name, *place), way, batch) for name, way in searches.items() for batch in batches]
    timed = pd.DataFrame(in_turns(tasks, gallery[rows], repeats), columns=COLUMNS)
    names = ["method", "gallery", "n", "dimension", "metric", "nlist", "nprobe", "recall", "recall_low", "recall_high"]
    recalls = pd.DataFrame(known, columns=[*names, "share", "build_seconds"])
    once = timed[timed["part"] == "nprobe"].groupby("method", sort=False)["seconds"]
    recalls[["milliseconds", "milliseconds_low", "milliseconds_high"]] = [
        typical(1e3 * seconds, seed=seed) for _, seconds in once
    ]
    return recalls, timed[timed["part"] == "search"].reset_index(drop=True)


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
