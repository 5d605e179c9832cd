"""Indexes: one small adapter a library, one protocol, and a table of their names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from ..checks import InputError, one_of, vectors, whole_number
from .annoy_index import AnnoyIndex
from .base import DEFAULT_EF, Index
from .faiss_flat import FaissFlat, FaissFlatNormalized, FaissSQ8
from .faiss_hnsw import FaissHNSW, FaissHNSWSQ8, FaissHNSWUnbounded
from .faiss_ivf import FaissIVF, FaissIVFPQ
from .faiss_nsg import FaissNSG
from .hnswlib_index import HnswlibIndex
from .kept import read_about
from .numpy_index import NumpyIndex
from .pynndescent_index import PynndescentIndex
from .redis_index import RedisIndex
from .scann_index import ScannIndex
from .usearch_index import UsearchIndex

__all__ = ["DEFAULT_EF", "ENGINES", "Index", "build_index", "build_indexes", "load_index"]

ENGINES: dict[str, type[Index]] = {
    "numpy": NumpyIndex,
    "faiss-flat": FaissFlat,
    "faiss-flat-normalized": FaissFlatNormalized,
    "faiss-sq8": FaissSQ8,
    "faiss-ivf": FaissIVF,
    "faiss-ivf-pq": FaissIVFPQ,
    "faiss-hnsw": FaissHNSW,
    "faiss-hnsw-unbounded": FaissHNSWUnbounded,
    "faiss-hnsw-sq8": FaissHNSWSQ8,
    "faiss-nsg": FaissNSG,
    "hnswlib": HnswlibIndex,
    "usearch": UsearchIndex,
    "annoy": AnnoyIndex,
    "pynndescent": PynndescentIndex,
    "scann": ScannIndex,
    "redis": RedisIndex,
}


def build_index(name: str, base, *, metric: str = "l2", seed: int = 0, threads: int = 1, cache=None, **params) -> Index:
    """Build an index over ``base``, or fetch it from the cache.

    Parameters
    ----------
    name : str
        A name in `ENGINES`, whose classes say what each engine is, which metrics it has and what it misses.
    base : (n, d) array
        Points; row numbers are their ids.
    metric : {"l2", "cosine"}
        Euclidean distance, or 1 - cos; for "cosine" the vectors are normalised once, in float64.
    seed : int, default 0
        Seed of what the library draws: in HNSW the levels of the points (in FAISS they decide the order of
        insertion too), in IVF and PQ where clustering starts. Flat engines draw nothing.
    threads : int, default 1
        Build threads, and at first search threads. A graph is the same in each build only with one.
    cache : path, optional
        Folder in which a built index is kept, by all it was made from (base, engine, version, parameters, seed).
    **params
        Build parameters; those of an engine and their defaults are its ``defaults``. HNSW: ``M`` (links a new point
        makes, default 32; up to 2M are kept at level 0) and ``ef_construction`` (default 200); hnswlib also
        ``insertion_seed`` (default 0: the order of the base). IVF: ``nlist`` (0: the square root of n).

    Raises
    ------
    InputError
        If a name, a value or the base is not usable. ImportError, if the library is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> base = np.arange(20.0).reshape(10, 2)
    >>> index = build_index("faiss-flat", base)
    >>> index.search(base, k=2, exclude_self=True).ids[0]
    array([1, 2])
    """
    engine = ENGINES[one_of(name, ENGINES, "engine")]
    base = vectors(base, "base", metric=metric)
    about = engine.describe(base, metric=metric, seed=seed, threads=threads, params=params)
    if cache is None:
        return engine.build(base, about)
    path = Path(cache) / f"{engine.kept_as}-{about['key'][:16]}.index"
    try:
        index = engine.load(path)
    except InputError:  # not kept yet, or the kept file is damaged
        index = engine.build(base, about)
        index.save(path)
    else:
        index.threads, index.ef = threads, DEFAULT_EF
    return index


def build_indexes(
    specs, base, *, metric: str = "l2", seed: int = 0, cache=None, workers: int = 2, progress: bool = True
) -> list[Index]:
    """Build several indexes over one base, ``workers`` at a time with one thread each.

    Parameters
    ----------
    specs : iterable of dict
        For each index ``name`` and what differs from the common values: build parameters, ``seed``.
    base, metric, seed, cache
        As for `build_index`.
    workers : int, default 2
        Builds that run side by side. Each graph is that of a build alone; its ``seconds`` are not.
    progress : bool, default True
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    list of Index
        In the order of ``specs``.

    Examples
    --------
    >>> import numpy as np
    >>> base = np.arange(20.0).reshape(10, 2)
    >>> [index.params["M"] for index in build_indexes([{"name": "hnswlib", "M": m} for m in (4, 8)], base)]
    [4, 8]
    """
    base = vectors(base, "base", metric=metric)
    specs = [{"metric": metric, "seed": seed, **spec} for spec in specs]
    for spec in specs:  # a wrong value in the last of them is named before the first is built
        given = {"threads": 1, **spec}
        engine, common = ENGINES[one_of(given.pop("name"), ENGINES, "engine")], ("metric", "seed", "threads")
        engine.describe(base[:1], **{name: given.pop(name) for name in common}, params=given)

    def one(spec):
        return build_index(base=base, cache=cache, **spec)

    with ThreadPoolExecutor(whole_number(workers, "workers", 1)) as pool:
        jobs = [pool.submit(one, spec) for spec in specs]
        return [job.result() for job in tqdm(jobs, desc="indexes built", disable=None if progress else True)]


def load_index(path) -> Index:
    """Read an index that `Index.save` wrote; it gives the same answers, at the same default effort.

    Raises
    ------
    InputError
        If the file or its description is missing, or they do not belong together.
    """
    return ENGINES[read_about(path)["engine"]].load(path)
