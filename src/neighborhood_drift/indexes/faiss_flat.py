"""FAISS's brute force: every distance computed, in float32."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from .base import Index, library


def faiss_library():
    """Import FAISS, or say what to install."""
    return library("faiss", "run pip install faiss-cpu")


@contextmanager
def faiss_threads(count: int):
    """Run FAISS calls of this Python thread with ``count`` OpenMP threads, and restore the number after."""
    faiss = faiss_library()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)


class FaissIndex(Index):
    """What the FAISS engines share: version, files, and inner products turned into 1 - cos."""

    @classmethod
    def version(cls) -> str:
        return f"faiss {faiss_library().__version__}"

    def _write(self, path):
        faiss_library().write_index(self.native, str(path))

    @classmethod
    def _read(cls, path, about):
        return faiss_library().read_index(str(path))

    def _distances(self, values):
        return super()._distances(values if self.metric == "l2" else 1 - values)


class FaissFlat(FaissIndex):
    """``IndexFlat``: exact up to float32 rounding; ``ef`` is accepted and changes nothing."""

    engine = kept_as = "faiss-flat"

    @classmethod
    def _build(cls, points, about):
        faiss = faiss_library()
        metric = faiss.METRIC_L2 if about["metric"] == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexFlat(points.shape[1], metric)
        with faiss_threads(about["build_threads"]):
            index.add(points)
        return index

    def _ask(self, queries, k, ef, threads):
        with faiss_threads(threads):
            values, ids = self.native.search(np.ascontiguousarray(queries), k)
        return ids, values, len(queries) * self.size

    def effective_ef(self, k, ef):
        return None
