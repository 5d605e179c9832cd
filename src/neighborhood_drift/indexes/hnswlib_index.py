"""hnswlib, the library of HNSW's authors."""

from __future__ import annotations

from importlib.metadata import version
from typing import ClassVar

import numpy as np

from ..graph import Graph, stack_levels
from ..neighbors import MISSING
from .base import Index, library
from .kept import refuse_partial

# in the message of the error that hnswlib raises where a search met fewer than k points
TOO_FEW = "Cannot return the results"


def hnswlib_library():
    """Import hnswlib, or say what to install."""
    return library(
        "hnswlib", "run pip install hnswlib (it is compiled: a C++ compiler and Python's headers are needed)"
    )


class HnswlibIndex(Index):
    """``hnswlib.Index``: a queue of max(ef, k) points, and the search stops when the next one is farther than all.

    The library's seed draws levels only, and level 0 hardly depends on them: graphs of two seeds are nearly one graph.
    ``insertion_seed`` is the build parameter that makes them differ: 0 inserts points in the order of the base, any
    other number in an order drawn from it. (FAISS inserts by level, so its seed decides the order too.)
    """

    engine = kept_as = package = "hnswlib"
    effort = "ef"
    defaults: ClassVar = {"M": 32, "ef_construction": 200, "insertion_seed": 0}
    lowest: ClassVar = {"M": 2, "ef_construction": 1, "insertion_seed": 0}
    # a call that finds too few neighbors for one query raises for all of them, and must be made again query by query
    batch = 256

    @classmethod
    def version(cls) -> str:
        hnswlib_library()
        return f"hnswlib {version('hnswlib')}"

    @classmethod
    def _build(cls, points, about):
        params, order = about["params"], np.arange(len(points))
        if params["insertion_seed"]:
            order = np.random.default_rng(params["insertion_seed"]).permutation(order)
        index = cls._new(about)
        # by keyword, as the order of these arguments misleads; the seed is raised by one because 0 and 1 are the same
        # to the C++ library's default generator
        index.init_index(
            max_elements=len(points),
            M=params["M"],
            ef_construction=params["ef_construction"],
            random_seed=about["seed"] + 1,
        )
        index.add_items(points[order], order, num_threads=about["build_threads"])
        return index

    @staticmethod
    def _new(about):
        # "ip", because the adapter has normalised the vectors already
        return hnswlib_library().Index(space="l2" if about["metric"] == "l2" else "ip", dim=about["dimension"])

    def _rows(self, labels):
        """Rows of the base that the library's labels stand for; a missing one stays missing."""
        return labels

    def _ask(self, queries, k, ef, threads):
        self.native.set_ef(ef)
        try:
            ids, values = self.native.knn_query(queries, k=k, num_threads=threads)
        except RuntimeError as error:
            _refuse_other(error)
            ids, values = self._ask_each(queries, k)
        return self._rows(ids.astype(np.int64)), values, None

    def _ask_each(self, queries, k):
        """One query at a time, with the largest k that is answered; the slots beyond it are missing.

        hnswlib raises when a search meets fewer than k points, so its number of answers is found by bisection. The
        effort stays max(ef, k) throughout, which makes the answers those of the search for k.
        """
        self.native.set_ef(max(self.native.ef, k))
        ids = np.full((len(queries), k), MISSING, dtype=np.int64)
        values = np.full((len(queries), k), np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            answered, refused = 0, k + 1
            while refused - answered > 1:
                # k itself is tried first: most queries of a refused batch are complete
                attempt = k if refused > k else (answered + refused) // 2
                try:
                    nearest = self.native.knn_query(query, k=attempt, num_threads=1)
                except RuntimeError as error:
                    _refuse_other(error)
                    refused = attempt
                else:
                    answered = attempt
                    ids[row, :attempt], values[row, :attempt] = nearest[0][0], nearest[1][0]
        return ids, values

    @property
    def native_ef(self) -> int:
        """Effort the library itself would search with; this adapter sets its own before every search."""
        return self.native.ef

    @native_ef.setter
    def native_ef(self, ef: int):
        self.native.set_ef(ef)

    def effective_ef(self, k, ef):
        return max(ef, k)

    @property
    def memory_bytes(self):
        return self.native.index_file_size()

    def graph(self) -> Graph:
        """Read the graph out of the index's pickled state.

        A point is a record: at level 0 a count, 2M slots, the vector and the label; above, for each level a count
        and M slots. Slots hold internal numbers, which the labels turn into rows of the base.
        """
        (state,) = self.native.__getstate__()
        count = state["cur_element_count"]
        ground = state["data_level0"].view(np.uint8).reshape(count, state["size_data_per_element"])
        start = state["label_offset"]
        labels = self._rows(np.ascontiguousarray(ground[:, start : start + 8]).view(np.uint64)[:, 0].astype(np.int64))
        levels = state["element_levels"][:count].astype(np.int64)
        width = state["size_links_per_element"]
        upper = state["link_lists"].view(np.uint8).reshape(-1, width)
        first = np.cumsum(levels) - levels  # where each point's upper records start
        links = [_links(np.arange(count), ground[:, : 4 * (1 + state["max_M0"])], labels)]
        for level in range(1, state["max_level"] + 1):
            points = np.flatnonzero(levels >= level)
            links.append(_links(points, upper[first[points] + level - 1], labels))
        by_label = np.empty(count, dtype=np.int64)
        by_label[labels] = levels
        return Graph(by_label, stack_levels(links, count), int(labels[state["enterpoint_node"]]))

    def _write(self, path):
        self.native.save_index(str(path))
        # hnswlib does not look whether its writes succeeded
        refuse_partial(path, self.memory_bytes)

    @classmethod
    def _read(cls, path, about):
        index = cls._new(about)
        index.load_index(str(path), max_elements=about["size"])
        return index


def _refuse_other(error: RuntimeError) -> None:
    """Raise ``error`` again unless it is hnswlib's word for too few neighbors: another failure is no missing slot."""
    if TOO_FEW not in str(error):
        raise error


def _links(points, records, labels):
    """Sources and targets, as labels, of the link lists in ``records``: (points, 4 (1 + slots)) bytes."""
    words = np.ascontiguousarray(records).view(np.uint32)
    counts = words[:, 0] & 0xFFFF  # the upper half holds the mark of a deleted point
    used = np.arange(words.shape[1] - 1) < counts[:, None]
    return np.repeat(labels[points], counts), labels[words[:, 1:][used]]
