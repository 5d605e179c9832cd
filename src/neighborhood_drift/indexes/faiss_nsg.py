"""FAISS's NSG: one level of links, pruned from a k-nearest-neighbor graph, and every point reached from one entry."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np

from ..checks import InputError
from .faiss_flat import FaissIndex, faiss_library, faiss_threads

# FAISS makes the graph by NN-descent, which wants more than 100 points; over random points it ended the process in half
# of the builds with 102, in 1 of 60 with 150 and in none with 175 or more (an assertion on lists it could not fill)
DESCENT = 250


class FaissNSG(FaissIndex):
    """``IndexNSGFlat`` (Fu et al. 2019): a pool of max(search_L, k) points, filled at random before the search starts.

    Each list is therefore full, and what the search did not find are points drawn at random. The pool is drawn without
    repetition in a loop that never ends where it is larger than n (FAISS 1.15), in the build too: this adapter keeps
    pool and build list (``R`` + 32) at most n. Up to 250 points the pruned graph links all points, beyond it NN-descent
    makes it. FAISS draws with fixed seeds, but for the point where the search for the entry starts: graphs of two
    seeds are nearly one graph. Where about ``R`` points are identical, the build does not end either (in trials it did
    up to ``R`` − 2): more than half as many are refused. A search cannot be given its effort, so searches of one index
    must not run at once.
    """

    engine = kept_as = "faiss-nsg"
    effort = "search_L"
    defaults: ClassVar = {"R": 32}
    lowest: ClassVar = {"R": 2}
    fewest = 10

    @classmethod
    def _build(cls, points, about):
        faiss = faiss_library()
        copies, most = _copies(points, about["metric"]), max(1, about["params"]["R"] // 2)
        if copies > most:
            raise InputError(
                f"the base holds {copies} identical points; faiss-nsg takes {most}, half of R, as its build may "
                "not end."
            )
        index = faiss.IndexNSGFlat(about["dimension"], about["params"]["R"], cls.native_metric(about))
        index.nsg.L = min(index.nsg.L, len(points))
        index.nsg.rng = faiss.RandomGenerator(about["seed"])
        with faiss_threads(about["build_threads"]):
            if len(points) > DESCENT:
                index.add(points)
            else:
                index.build(points, _all_others(faiss, points, index.metric_type))
        return index

    def _ask(self, queries, k, ef, threads):
        with faiss_threads(threads):
            self.native.nsg.search_L = self.effective_ef(k, ef)
            values, ids = self.native.search(np.ascontiguousarray(queries), k)
        return ids, values, None

    def effective_ef(self, k, ef):
        return min(max(ef, k), self.size)


def _all_others(faiss, points, metric):
    """For each point all others, nearest first."""
    _, near = faiss.knn(points, points, len(points), metric)
    others = near != np.arange(len(points))[:, None]
    return np.ascontiguousarray(near[others].reshape(len(points), -1))


def _copies(points, metric):
    """How many points the most frequent one stands for; parallel vectors, once normalised, differ by rounding."""
    alike = points.round(6) if metric == "cosine" else points
    return max(Counter(point.tobytes() for point in alike + 0.0).values())  # −0 and 0 are one number
