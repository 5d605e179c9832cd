"""ScaNN: cells of a clustering, points in them as 4-bit codes, and the best of these measured again."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import ClassVar

import numpy as np

from ..neighbors import MISSING
from .base import Index, insertion_order, library

ONE_AT_A_TIME = Lock()
NOTE = re.compile(rb"^I\d{4} |^WARNING: All log messages before absl|Could not normalize centroid")


def scann_library():
    """Import ScaNN, or say what to install."""
    return library("scann", "run pip install scann (Linux on x86-64 only)").scann_ops_pybind


class ScannIndex(Index):
    """``scann_ops_pybind`` (Guo et al. 2020): ``ef`` cells are read, and ``reorder`` times k codes measured in float32.

    Codes have two dimensions a block. Neighbors are lost where a cell was not opened and where a code misled, so the
    highest effort, all cells, still depends on ``reorder``. What a search did not find is id 0 at distance nan.
    The library has no seed. The clustering starts from centers drawn anew in each build, unless its
    ``random_init`` is off, as here; ``seed`` 0 gives the points in the order of the base, any other number in an order
    drawn from it. It needs 16 points.
    """

    engine = kept_as = package = "scann"
    effort = "leaves_to_search"
    defaults: ClassVar = {"leaves": 0, "reorder": 5}
    lowest: ClassVar = {"leaves": 0, "reorder": 1}
    exact_at_full_effort = False
    fewest = 16

    @classmethod
    def version(cls) -> str:
        scann_library()
        return f"scann {version('scann')}"

    @classmethod
    def _build(cls, points, about):
        measure = "squared_l2" if about["metric"] == "l2" else "dot_product"
        builder = scann_library().builder(points[insertion_order(about)], 10, measure)
        builder.tree(cls._leaves(about), 1, training_sample_size=len(points), random_init=False)
        builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(10)
        with without_notes():
            return builder.set_n_training_threads(about["build_threads"]).build()

    @staticmethod
    def _leaves(about):
        return min(about["params"]["leaves"] or max(1, round(about["size"] ** 0.5)), about["size"])

    def _ask(self, queries, k, ef, threads):
        search = self.native.search_batched
        if threads > 1:
            self.native.set_num_threads(threads)
            search = self.native.search_batched_parallel
        ids, values = search(queries, k, min(k * self.params["reorder"], self.size), self.effective_ef(k, ef))
        unused = np.isnan(values)
        return np.where(unused, MISSING, insertion_order(self._about)[ids]), values, None

    def _distances(self, values):
        return super()._distances(values if self.metric == "l2" else 1 - values)

    def effort_range(self):
        return 1, self._leaves(self._about)

    def effective_ef(self, k, ef):
        return min(ef, self.effort_range()[1])

    def _write(self, path):
        with tempfile.TemporaryDirectory() as folder:
            self.native.serialize(folder, relative_path=True)
            with Path(str(path)).open("wb") as stream, zipfile.ZipFile(stream, "w") as packed:
                for file in sorted(Path(folder).iterdir()):
                    packed.write(file, file.name)

    @classmethod
    def _read(cls, path, about):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as packed, without_notes():
            packed.extractall(folder)
            return scann_library().load_searcher(folder)


@contextmanager
def without_notes():
    """Keep ScaNN's notes of what it did off standard error, and its word for a cell left empty; other warnings stay."""
    sys.stderr.flush()
    with ONE_AT_A_TIME, tempfile.TemporaryFile() as held:
        before = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            held.seek(0)
            sys.stderr.write(b"".join(line for line in held if not NOTE.search(line)).decode(errors="replace"))
