"""PyNNDescent: a graph made by nearest-neighbor descent, searched from the leaf of a tree; UMAP's neighbors."""

from __future__ import annotations

import pickle
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from .base import Index, library


def pynndescent_library():
    """Import PyNNDescent, or say what to install."""
    return library("pynndescent", "run pip install pynndescent")


class PynndescentIndex(Index):
    """``NNDescent`` (Dong et al. 2011): best-first search that goes on up to 1 + epsilon times the k-th distance.

    ``ef`` is epsilon in thousandths. The bound is on the squared distance, and the search depends on k even where ef
    does not change: the bound is that of the k-th point found. The graph has ``neighbors`` links a point before it is
    pruned and reversed. Both metrics are the Euclidean distance here, "cosine" half its square between normalised
    vectors. Numba compiles the library anew in each process, in the first build: its time is no measure of a small
    index. Searches run in one thread, builds in no more than Numba has.
    """

    engine = kept_as = package = "pynndescent"
    effort = "epsilon"
    defaults: ClassVar = {"neighbors": 30}
    lowest: ClassVar = {"neighbors": 2}
    fewest = 2

    @classmethod
    def version(cls) -> str:
        pynndescent_library()
        return f"pynndescent {version('pynndescent')}"

    @classmethod
    def _build(cls, points, about):
        index = pynndescent_library().NNDescent(
            points,
            metric="euclidean",
            n_neighbors=min(about["params"]["neighbors"], len(points) - 1),
            random_state=about["seed"],
            n_jobs=min(about["build_threads"], library("numba", "run pip install numba").config.NUMBA_NUM_THREADS),
        )
        index.prepare()
        return index

    def _ask(self, queries, k, ef, threads):
        ids, values = self.native.query(queries, k=k, epsilon=ef / 1000)
        return ids, values, None

    def _distances(self, values):
        return values if self.metric == "l2" else values**2 / 2

    def effort_range(self):
        return 1, 1000

    def effective_ef(self, k, ef):
        return ef

    def _write(self, path):
        with Path(str(path)).open("wb") as stream:
            pickle.dump(self.native, stream)

    @classmethod
    def _read(cls, path, about):
        with path.open("rb") as stream:
            return pickle.load(stream)
