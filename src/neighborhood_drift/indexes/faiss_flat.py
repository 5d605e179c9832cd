"""FAISS's brute force: every distance computed, in float32, to the vectors or to their 8-bit codes."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from .base import Index, library
from .kept import refuse_partial


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
    """What the FAISS engines share: version, files, size, and inner products turned into 1 - cos."""

    package = "faiss"

    @classmethod
    def version(cls) -> str:
        return f"faiss {faiss_library().__version__}"

    @property
    def memory_bytes(self):
        blocks = []
        faiss = faiss_library()
        faiss.write_index(self.native, faiss.PyCallbackIOWriter(lambda block: blocks.append(len(block))))
        return sum(blocks)

    @staticmethod
    def native_metric(about) -> int:
        """FAISS's number of the metric; "cosine" is the inner product, as the adapter has normalised the vectors."""
        faiss = faiss_library()
        return faiss.METRIC_L2 if about["metric"] == "l2" else faiss.METRIC_INNER_PRODUCT

    def _write(self, path):
        faiss_library().write_index(self.native, str(path))
        # what a small file leaves in the buffer FAISS writes when it closes it, and only prints that this failed
        refuse_partial(path, self.memory_bytes)

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
        with faiss_threads(about["build_threads"]):
            index = cls._empty(about)
            index.train(points)
            index.add(points)
        return index

    @classmethod
    def _empty(cls, about):
        return faiss_library().IndexFlat(about["dimension"], cls.native_metric(about))

    def _ask(self, queries, k, ef, threads):
        with faiss_threads(threads):
            values, ids = self.native.search(np.ascontiguousarray(queries), k)
        return ids, values, len(queries) * self.size

    def effective_ef(self, k, ef):
        return None


class FaissFlatNormalized(FaissFlat):
    """``IndexFlatIP`` after ``faiss.normalize_L2``: vectors are normalised in float32, by FAISS itself.

    `FaissFlat` with "cosine" is the same search of vectors normalised in float64 and rounded once.
    """

    engine = kept_as = "faiss-flat-normalized"
    metrics = ("cosine",)

    @staticmethod
    def _unit(rows):
        rows = rows.copy()  # normalize_L2 works in place
        faiss_library().normalize_L2(rows)
        return rows


class FaissSQ8(FaissFlat):
    """``IndexScalarQuantizer`` of 8 bits: brute force over codes, each dimension cut into 255 steps of its range.

    Distances are those from the query, not rounded, to the decoded points, so a distance is wrong by at most the
    length of a point's rounding error: half a step in each dimension.
    """

    engine = kept_as = "faiss-sq8"
    exact_at_full_effort = False

    @classmethod
    def _empty(cls, about):
        faiss = faiss_library()
        return faiss.IndexScalarQuantizer(about["dimension"], faiss.ScalarQuantizer.QT_8bit, cls.native_metric(about))
