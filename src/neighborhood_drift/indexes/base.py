"""What every index has in common: the build, the search, the query dropped by id, the file it is kept in."""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from ..checks import METRICS, InputError, one_of, vectors, whole_number
from ..files import checksum, code_digest, disk_errors, replacing, sha256, write_text
from ..neighbors import MISSING, Neighbors
from .kept import about_path, read_about
from .lists import in_order, without
from .points import refuse_overflow, unit

DEFAULT_EF = 50
# what every library takes: most keep an effort in a C int, Redis takes no more than this
HIGHEST_EF = 1_000_000
HIGHEST_SEED = 2**31 - 2  # a C int, and hnswlib's is one higher


def library(name: str, install: str):
    """Import an index library, or say what to install.

    >>> library("json", "pip install json").__name__
    'json'
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"This engine needs the package {name}, which cannot be imported; {install}.") from error


def insertion_order(about: dict) -> np.ndarray:
    """The order in which a library without a seed is given the points: the base's own for seed 0, else one drawn."""
    order = np.arange(about["size"])
    return np.random.default_rng(about["seed"]).permutation(order) if about["seed"] else order


class Index(ABC):
    """An index over a base of n points: built once by `build_index`, searched many times.

    Attributes
    ----------
    engine : str
        Name in `ENGINES`.
    params : dict
        Build parameters, the defaults filled in.
    metric, seed, size, dimension
        The metric ("l2" or "cosine"), the seed of the graph's levels, n and d.
    seconds : float
        Wall time of the build; for an index read from a file, of the build at the time.
    threads : int
        Search threads; may be set.
    ef : int
        Search effort of a search that gives none; may be set, and is kept in the file.
    key : str
        Hexadecimal digest of everything the index was made from: base, engine, code, parameters.
    distance_computations : int or None
        Distances evaluated by the last search, over all its queries; None where the library does not count.
        HNSW: the links followed on all levels; the one distance to the entry point is not in FAISS's count. FAISS
        counts in one place for the whole process, so searches that run at once, in threads, mix their counts.
    search_seconds : float or None
        Wall time the library took for the last search.
    effort : str or None
        The library's name of the knob that ``ef`` sets; None where the engine has none.
    metrics : tuple of str
        Metrics that the engine can be built for.
    exact_at_full_effort : bool
        Whether the highest effort finds the true neighbors, up to float32 and points that no link leads to; False
        where compressed vectors decide what is near.
    repeatable : bool
        Whether the same seed and one thread give the same index again.
    package : str
        Python package that the engine needs.
    """

    engine: ClassVar[str]
    package: ClassVar[str]
    effort: ClassVar[str | None] = None
    metrics: ClassVar[tuple[str, ...]] = METRICS
    exact_at_full_effort: ClassVar[bool] = True
    repeatable: ClassVar[bool] = True
    kept_as: ClassVar[str]  # the engine named in files: two engines that differ in the search alone share a file
    defaults: ClassVar[dict[str, int]] = {}
    lowest: ClassVar[dict[str, int]] = {}
    highest: ClassVar[dict[str, int]] = {}  # of the parameters that the library limits
    fewest: ClassVar[int] = 1  # points without which the library cannot build
    batch: ClassVar[int] = 1 << 16  # queries handed to the library in one call

    def __init__(self, native, about: dict):
        self.native = native
        self._about = about
        self.metric, self.seed, self.params = about["metric"], about["seed"], about["params"]
        self.size, self.dimension = about["size"], about["dimension"]
        self.seconds, self.key = about["seconds"], about["key"]
        self.ef, self.threads = about["ef"], about["threads"]
        self.distance_computations: int | None = None
        self.search_seconds: float | None = None

    @classmethod
    def describe(cls, base, *, metric: str, seed: int, threads: int, params: dict) -> dict:
        """Check what an index is to be built from, and return it with its key (`seconds` still missing)."""
        if one_of(metric, METRICS, "metric") not in cls.metrics:
            raise InputError(f"{cls.engine} has no metric {metric}; it has {', '.join(cls.metrics)}.")
        refuse_overflow(base, "base", metric)
        unknown = sorted(set(params) - set(cls.defaults))
        if unknown:
            known = ", ".join(cls.defaults) or "none"
            raise InputError(f"{cls.engine} has no build parameter {', '.join(unknown)}; known are: {known}.")
        params = {
            name: whole_number(params.get(name, value), name, cls.lowest[name], cls.highest.get(name))
            for name, value in cls.defaults.items()
        }
        made_from = {
            "engine": cls.kept_as,
            "version": cls.version(),
            "code": code_digest(*sorted({kind.__module__ for kind in (*cls.__mro__[:-2], unit)})),
            "metric": metric,
            "seed": whole_number(seed, "seed", 0, HIGHEST_SEED),
            "build_threads": whole_number(threads, "threads", 1),
            "params": params,
            "size": len(base),
            "dimension": base.shape[1],
            "base": checksum(base),
        }
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        return {**made_from, "key": key, "ef": DEFAULT_EF, "threads": made_from["build_threads"]}

    @classmethod
    def build(cls, base: np.ndarray, about: dict) -> Index:
        """Build over ``base`` (n, d) float32 what `describe` described."""
        if len(base) < cls.fewest:
            raise InputError(f"{cls.engine} needs at least {cls.fewest} points; the base holds {len(base)}.")
        points = cls._unit(base) if about["metric"] == "cosine" else base
        start = time.perf_counter()
        native = cls._build(points, about)
        return cls(native, {**about, "seconds": time.perf_counter() - start})

    def search(self, queries, k: int, ef: int | None = None, exclude_self=False) -> Neighbors:
        """Search the k nearest neighbors of each query.

        Parameters
        ----------
        queries : (q, d) array
            Vectors in the base's dimension.
        k : int
            Neighbors a query, from 1 to n (to n - 1 where the query itself is left out).
        ef : int, optional
            Search effort, at least 1; `self.ef` if not given. What it means at k > ef: `effective_ef`.
        exclude_self : bool or (q,) integers, default False
            The base point to leave out of each query's list. True: query i is base point i. The library is asked
            for k + 1 and the point is dropped by id, never by distance 0; where it was not returned, the last
            neighbor is dropped, and ``self_found`` of the result says so.

        Returns
        -------
        Neighbors
            (q, k), Euclidean distances or 1 - cos, from the library's float32 and clipped at 0; equal distances
            by the lower id. Neighbors the library did not return have id -1 and distance inf.

        Raises
        ------
        InputError
            If a value is outside its range, or the queries do not fit the base.
        """
        queries = vectors(queries, "queries", metric=self.metric, dimension=self.dimension)
        refuse_overflow(queries, "queries", self.metric)
        excluded = self._excluded(exclude_self, len(queries))
        k = whole_number(k, "k", 1, self.size - (excluded is not None))
        ef = min(whole_number(self.ef if ef is None else ef, "ef", 1), max(HIGHEST_EF, self.effort_range()[1]))
        threads = whole_number(self.threads, "threads", 1)
        if self.metric == "cosine":
            queries = self._unit(queries)
        asked = k + (excluded is not None)
        self.distance_computations = None
        began = time.perf_counter()
        parts = [
            self._ask(queries[start : start + self.batch], asked, ef, threads)
            for start in range(0, len(queries), self.batch)
        ]
        self.search_seconds = time.perf_counter() - began
        counts = [count for _, _, count in parts]
        self.distance_computations = None if None in counts else sum(counts)
        ids = np.concatenate([ids for ids, _, _ in parts]).astype(np.int64)
        distances = self._distances(np.concatenate([values for _, values, _ in parts]).astype(np.float64))
        distances[ids < 0] = np.inf
        ids[ids < 0] = MISSING
        found = in_order(ids, distances)
        return found if excluded is None else without(found, excluded)

    def built_over(self, base: np.ndarray) -> bool:
        """Whether ``base``, as `neighborhood_drift.checks.vectors` returns it, is what the index was built over."""
        return self._about["base"] == checksum(base)

    @abstractmethod
    def effective_ef(self, k: int, ef: int) -> int | None:
        """Effort a search for ``k`` at ``ef`` really makes, where k is what the library is asked for
        (k + 1 in leave-one-out); None for an engine without such a knob."""

    def effort_range(self) -> tuple[int, int]:
        """Lowest and highest effort between which a search's answers change; (1, 1) without a knob.

        At the highest, the search meets every point that it can reach.
        """
        return (1, 1 if self.effort is None else self.size)

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of the index, vectors included, as the library serializes it; None where that cannot be told."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "measured.index"
            self._write(path)
            return path.stat().st_size

    @classmethod
    def missing(cls) -> str | None:
        """Why the engine cannot be used here, in one sentence; None where it can."""
        try:
            cls.version()
        except (ImportError, InputError) as error:
            return str(error)
        return None

    def graph(self):
        """The graph inside, as a `neighborhood_drift.graph.Graph`; raises for an engine that has none."""
        raise InputError(f"{self.engine} is not a graph; engines with one are faiss-hnsw and hnswlib.")

    def save(self, path) -> Path:
        """Write the library's own file to ``path`` and what it is to ``path`` + ".json"; each whole or not at all.

        Raises `OSError` where the disk is full, over its quota, read-only or closed to us.
        """
        path = Path(path)
        with replacing(path) as part, disk_errors(path):
            self._write(part)
            digest = sha256(part)
        about = {**self._about, "engine": self.engine, "ef": self.ef, "threads": self.threads, "sha256": digest}
        write_text(about_path(path), json.dumps(about, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, path) -> Index:
        """Read what `save` wrote, the search effort included."""
        about = read_about(path)
        return cls(cls._read(Path(path), about), about)

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """Version of the library."""

    @classmethod
    @abstractmethod
    def _build(cls, points, about): ...

    @staticmethod
    def _unit(rows):
        return unit(rows)

    @abstractmethod
    def _ask(self, queries, k, ef, threads):
        """Return ids (q, k), the library's own distances (q, k), and the distance computations or None."""

    @abstractmethod
    def _write(self, path: Path): ...

    @classmethod
    @abstractmethod
    def _read(cls, path: Path, about: dict): ...

    def _distances(self, values):
        """From the library's squared Euclidean distances to Euclidean ones; float32 rounding can go below 0."""
        return np.sqrt(np.maximum(values, 0)) if self.metric == "l2" else np.maximum(values, 0)

    def _excluded(self, exclude_self, count):
        if isinstance(exclude_self, (bool, np.bool_)):
            if exclude_self and count != self.size:
                raise InputError(
                    f"exclude_self is True for {count} queries over {self.size} points; it means that query i is "
                    "base point i, so for fewer queries pass their row numbers."
                )
            return np.arange(count) if exclude_self else None
        excluded = np.asarray(exclude_self)
        if excluded.shape != (count,) or excluded.dtype.kind not in "iu":
            raise InputError(
                f"exclude_self has shape {excluded.shape} and dtype {excluded.dtype}; "
                f"it must be True, False or {count} whole numbers."
            )
        if count and (excluded.min() < 0 or excluded.max() >= self.size):
            raise InputError(f"exclude_self holds rows outside the base; allowed are 0 to {self.size - 1}.")
        return excluded
