"""FAISS's HNSW: with its default queue, where effort stays at efSearch, and unbounded, where it follows k."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..checks import InputError
from ..graph import Graph, stack_levels
from .faiss_flat import FaissIndex, faiss_library, faiss_threads


class FaissHNSW(FaissIndex):
    """``IndexHNSWFlat`` as FAISS searches it by default (``bounded_queue=True``).

    The queue holds max(ef, k) points, but the search stops as soon as ef known ones are nearer than the next one to
    expand: beyond k = ef the same points are visited whatever k is (``search_from_candidates`` in FAISS's HNSW.cpp).
    """

    engine = kept_as = "faiss-hnsw"
    # FAISS takes 1 / ln(M) levels, so M = 1 has none
    defaults: ClassVar = {"M": 32, "ef_construction": 200}
    lowest: ClassVar = {"M": 2, "ef_construction": 1}
    effort = "efSearch"
    bounded_queue = True

    @classmethod
    def _build(cls, points, about):
        faiss, index = faiss_library(), cls._empty(about)
        index.hnsw.efConstruction = about["params"]["ef_construction"]
        # without this every index has the levels of FAISS's fixed seed, 12345
        index.hnsw.rng = faiss.RandomGenerator(about["seed"])
        with faiss_threads(about["build_threads"]):
            index.train(points)
            index.add(points)
        return index

    @classmethod
    def _empty(cls, about):
        return faiss_library().IndexHNSWFlat(about["dimension"], about["params"]["M"], cls.native_metric(about))

    def _ask(self, queries, k, ef, threads):
        with faiss_threads(threads) as faiss:
            # both always given: parameters that are left out fall back to FAISS's defaults, not to the index's
            effort = faiss.SearchParametersHNSW(efSearch=ef, bounded_queue=self.bounded_queue)
            stats = faiss.cvar.hnsw_stats
            stats.reset()
            values, ids = self.native.search(np.ascontiguousarray(queries), k, params=effort)
            return ids, values, int(stats.ndis)

    @property
    def native_ef(self) -> int:
        """Effort the library itself would search with; this adapter gives its own with every search."""
        return self.native.hnsw.efSearch

    @native_ef.setter
    def native_ef(self, ef: int):
        self.native.hnsw.efSearch = ef

    def effective_ef(self, k, ef):
        return ef if self.bounded_queue else max(ef, k)

    def unbounded(self) -> FaissHNSWUnbounded:
        """The same graph, searched with ``bounded_queue=False``."""
        return self._view(FaissHNSWUnbounded)

    def _view(self, engine):
        return engine(self.native, {**self._about, "ef": self.ef, "threads": self.threads})

    def graph(self) -> Graph:
        """Read the graph: for each point a row of slots, 2M of them at level 0 and M at each level above."""
        faiss, hnsw = faiss_library(), self.native.hnsw
        levels = faiss.vector_to_array(hnsw.levels).astype(np.int64) - 1
        offsets = faiss.vector_to_array(hnsw.offsets).astype(np.int64)
        slots = faiss.vector_to_array(hnsw.neighbors)
        ends = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
        links = []
        for level in range(int(levels.max()) + 1):
            points = np.flatnonzero(levels >= level)
            columns = np.arange(ends[level], ends[level + 1])
            targets = slots[offsets[points][:, None] + columns]
            used = targets >= 0
            links.append((np.repeat(points, used.sum(axis=1)), targets[used]))
        return Graph(levels, stack_levels(links, len(levels)), int(hnsw.entry_point))


class FaissHNSWUnbounded(FaissHNSW):
    """``IndexHNSWFlat`` searched with ``bounded_queue=False``: a queue of max(ef, k) points, and
    the search stops when the next one to expand is farther than all of them."""

    engine = "faiss-hnsw-unbounded"
    bounded_queue = False


class FaissHNSWSQ8(FaissHNSW):
    """``IndexHNSWSQ``: FAISS's default HNSW over 8-bit codes, in the graph's building as in the search.

    A search meets and orders points by the distances to their codes (`FaissSQ8`).
    """

    engine = kept_as = "faiss-hnsw-sq8"
    exact_at_full_effort = False

    @classmethod
    def _empty(cls, about):
        faiss, params = faiss_library(), about["params"]
        return faiss.IndexHNSWSQ(
            about["dimension"], faiss.ScalarQuantizer.QT_8bit, params["M"], cls.native_metric(about)
        )

    def unbounded(self):
        """Raises: ``faiss-hnsw-unbounded`` is the search of a graph over the vectors themselves."""
        raise InputError("faiss-hnsw-sq8 has no unbounded search here; faiss-hnsw has.")
