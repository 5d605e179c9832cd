"""FAISS's inverted files: points in the cells of a clustering, of which a search opens the nearest few."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .faiss_flat import FaissIndex, faiss_library, faiss_threads


class FaissIVF(FaissIndex):
    """``IndexIVFFlat``: ``nlist`` k-means cells; a search reads all points of the ``ef`` (nprobe) cells nearest to it.

    The cells opened do not depend on k, so where they hold fewer than k points the list is short: missing neighbors.
    A search with ``ef`` above the number of cells opens them all. FAISS refuses to make more cells than there are
    points; here ``nlist`` is then n. The distances counted are those to the cells' centers too.
    """

    engine = kept_as = "faiss-ivf"
    effort = "nprobe"
    defaults: ClassVar = {"nlist": 0}
    lowest: ClassVar = {"nlist": 0}

    @classmethod
    def _build(cls, points, about):
        faiss, metric = faiss_library(), cls.native_metric(about)
        cells = min(about["params"]["nlist"] or max(1, round(len(points) ** 0.5)), len(points))
        centers = faiss.IndexFlat(about["dimension"], metric)
        index = cls._empty(centers, cells, about)
        # the index frees its centers, so Python must not
        index.own_fields = centers.this.disown() or True
        _train_quietly(index.cp, about["seed"])
        with faiss_threads(about["build_threads"]):
            index.train(points)
            index.add(points)
        return index

    @classmethod
    def _empty(cls, centers, cells, about):
        return faiss_library().IndexIVFFlat(centers, about["dimension"], cells, cls.native_metric(about))

    def _ask(self, queries, k, ef, threads):
        with faiss_threads(threads) as faiss:
            stats = faiss.cvar.indexIVF_stats
            stats.reset()
            effort = faiss.SearchParametersIVF(nprobe=self.effective_ef(k, ef))
            values, ids = self.native.search(np.ascontiguousarray(queries), k, params=effort)
            return ids, values, int(stats.ndis) + len(queries) * self.native.nlist

    def effort_range(self):
        return 1, self.native.nlist

    def effective_ef(self, k, ef):
        return min(ef, self.native.nlist)


class FaissIVFPQ(FaissIVF):
    """``IndexIVFPQ``: inverted files of product codes, what a point's offset from its center is in each part.

    FAISS wants the number of parts, ``subquantizers``, to divide the dimension: the nearest lower number that does is
    taken. A code of ``bits`` bits a part needs 2^bits points to train, and the clustering of fewer
    than 39 points a center is called poor by FAISS; with fewer points than 2^bits the codes are shorter here. The
    distances are those to the codes, and points of one code and cell are tied.
    """

    engine = kept_as = "faiss-ivf-pq"
    defaults: ClassVar = {"nlist": 0, "subquantizers": 64, "bits": 8}
    lowest: ClassVar = {"nlist": 0, "subquantizers": 1, "bits": 1}
    fewest = 2  # the shortest codes have two centers
    exact_at_full_effort = False

    @classmethod
    def _empty(cls, centers, cells, about):
        faiss, params, dimension = faiss_library(), about["params"], about["dimension"]
        wanted = min(params["subquantizers"], dimension)
        parts = next(number for number in range(wanted, 0, -1) if dimension % number == 0)
        bits = min(params["bits"], max(1, about["size"].bit_length() - 1))
        index = faiss.IndexIVFPQ(centers, dimension, cells, parts, bits, cls.native_metric(about))
        _train_quietly(index.pq.cp, about["seed"])
        return index


def _train_quietly(clustering, seed: int) -> None:
    """Seed a k-means, and take few points a center without FAISS's warning on standard error."""
    clustering.seed = seed
    clustering.min_points_per_centroid = 1
