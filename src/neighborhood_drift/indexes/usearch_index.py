"""USearch, Unum's HNSW in one C++ header."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..neighbors import MISSING
from .base import Index, insertion_order, library


def usearch_library():
    """Import USearch, or say what to install."""
    library("usearch", install := "run pip install usearch")
    return library("usearch.index", install)


class UsearchIndex(Index):
    """``usearch.index.Index`` in float32: a queue of max(expansion_search, k) points, as hnswlib's.

    Three defaults of the library mislead. Without ``dtype="f32"`` it stores the vectors in half precision where the
    processor has it. What a search did not find is key 0 at distance nan, and only ``counts`` tells it from point 0.
    "l2sq" is a squared distance. The library has no seed: ``seed`` 0 inserts the points in the order of the base, any
    other number in an order drawn from it.
    """

    engine = kept_as = package = "usearch"
    effort = "expansion_search"
    defaults: ClassVar = {"M": 32, "ef_construction": 200}
    lowest: ClassVar = {"M": 2, "ef_construction": 1}

    @classmethod
    def version(cls) -> str:
        usearch_library()
        return f"usearch {version('usearch')}"

    @classmethod
    def _build(cls, points, about):
        order, index = insertion_order(about), cls._new(about)
        index.add(order.astype(np.uint64), points[order], threads=about["build_threads"])
        return index

    @staticmethod
    def _new(about):
        params = about["params"]
        return usearch_library().Index(
            ndim=about["dimension"],
            metric="l2sq" if about["metric"] == "l2" else "ip",  # the adapter has normalised the vectors
            dtype="f32",
            connectivity=params["M"],
            expansion_add=params["ef_construction"],
        )

    def _ask(self, queries, k, ef, threads):
        self.native.expansion_search = ef
        found = self.native.search(queries, k, threads=threads)
        if len(queries) > 1:
            unused = np.arange(k) >= np.reshape(found.counts, (-1, 1))
            ids = np.where(unused, MISSING, found.keys.astype(np.int64))
            return ids, np.where(unused, np.float32(np.inf), found.distances), None
        # the answer to one query alone has another type, cut to what was found
        ids, values = np.full((1, k), MISSING, dtype=np.int64), np.full((1, k), np.inf)
        ids[0, : len(found)], values[0, : len(found)] = found.keys, found.distances
        return ids, values, None

    def effective_ef(self, k, ef):
        return max(ef, k)

    @property
    def memory_bytes(self):
        return self.native.serialized_length

    def _write(self, path):
        # as bytes, for the library does not say why it could not write a file
        Path(str(path)).write_bytes(self.native.save())

    @classmethod
    def _read(cls, path, about):
        index = cls._new(about)
        index.load(str(path))
        return index
