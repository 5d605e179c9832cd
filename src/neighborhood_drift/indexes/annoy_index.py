"""Annoy, Spotify's forest of trees that split space at random."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from ..neighbors import MISSING
from .base import Index, library


def annoy_library():
    """Import Annoy, or say what to install."""
    return library("annoy", "run pip install annoy (it is compiled: a C++ compiler and Python's headers are needed)")


class AnnoyIndex(Index):
    """``AnnoyIndex`` of ``trees`` trees: the nearest leaves are opened until they hold ``ef`` (search_k) points.

    A point stands in each tree and counts each time, so a list may hold fewer than k points. A leaf holds up to as many
    points as there are dimensions, and two more (``_K`` in annoylib.h), and a search opens at least one: with 2048
    dimensions and no more points than that it is brute force. The library's own default of search_k, −1, is k times
    the number of trees; here it is what ``ef`` says. "cosine" is half the square of the Euclidean distance between
    normalised vectors, the distance that Annoy calls "angular". Python asks one query at a time, and its loop is part
    of the time.
    """

    engine = kept_as = package = "annoy"
    effort = "search_k"
    defaults: ClassVar = {"trees": 50}
    lowest: ClassVar = {"trees": 1}

    @classmethod
    def version(cls) -> str:
        annoy_library()
        return f"annoy {version('annoy')}"

    @classmethod
    def _build(cls, points, about):
        index = cls._new(about)
        index.set_seed(about["seed"])
        for row, point in enumerate(points):
            index.add_item(row, point)
        index.build(about["params"]["trees"], n_jobs=about["build_threads"])
        return index

    @staticmethod
    def _new(about):
        return annoy_library().AnnoyIndex(about["dimension"], "euclidean")

    def _ask(self, queries, k, ef, threads):
        ids = np.full((len(queries), k), MISSING, dtype=np.int64)
        values = np.full((len(queries), k), np.inf)

        def ask(row):
            near, distances = self.native.get_nns_by_vector(queries[row], k, ef, include_distances=True)
            ids[row, : len(near)], values[row, : len(near)] = near, distances

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(ask, range(len(queries))))
        return ids, values, None

    def _distances(self, values):
        return values if self.metric == "l2" else values**2 / 2

    def effort_range(self):
        return 1, self.size * self.native.get_n_trees()

    def effective_ef(self, k, ef):
        return ef

    def _write(self, path):
        # Annoy removes what stands at the path before it writes, and then reads the index from there
        with TemporaryDirectory() as folder:
            written = Path(folder) / "annoy.index"
            self.native.save(str(written))
            shutil.copyfile(written, str(path))

    @classmethod
    def _read(cls, path, about):
        index = cls._new(about)
        index.load(str(path))
        return index
