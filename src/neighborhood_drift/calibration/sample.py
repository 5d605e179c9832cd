"""The sample that an effort is calibrated on: queries with their exact neighbors, drawn from those asked later."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..checks import METRICS, InputError, one_of, vectors, whole_number
from ..exact import exact_neighbors
from ..neighbors import Neighbors


@dataclass(frozen=True, eq=False)
class Calibration:
    """Queries with exact neighbors; made by `calibration_sample`.

    Parameters
    ----------
    base : (n, d) float32
    queries : (q, d) float32
    rows : (q,) int64 or None
        Ids of the base points asked, each left out of its own answer; None where the queries are other vectors.
    exact : Neighbors
        (q, K) exact neighbors; an effort can be chosen for each k up to K.
    metric : str
    seconds : float
        Wall time of the exact search.
    """

    base: np.ndarray
    queries: np.ndarray
    rows: np.ndarray | None
    exact: Neighbors
    metric: str
    seconds: float = 0.0

    def part(self, which) -> Calibration:
        """Keep the queries ``which`` (indices or a mask)."""
        rows = None if self.rows is None else self.rows[which]
        return Calibration(self.base, self.queries[which], rows, self.exact.rows(which), self.metric, self.seconds)

    def tied(self, k: int) -> np.ndarray:
        """(q,) bool: whether the k-th neighbor and the next are equally near, so that which one is in a list is chance.

        False where the next is not known.

        >>> calibration_sample([[0.0], [1.0], [-1.0], [5.0]], 2).tied(1).tolist().count(True)
        1
        """
        near = self.exact.distances[:, k - 1 : k + 1]
        return (near[:, 0] == near[:, 1]) if near.shape[1] == 2 else np.zeros(len(near), dtype=bool)


def calibration_sample(
    base, k: int, *, queries=None, size: int = 500, metric: str = "l2", seed: int = 0, exact: Neighbors | None = None
) -> Calibration:
    """Draw queries without replacement, and find their exact neighbors.

    Parameters
    ----------
    base : (n, d) array
        Points.
    k : int
        The largest k for which an effort will be chosen.
    queries : (m, d) array, optional
        Queries as they will be asked, not points of the base; the sample is drawn from them. Without it, base points
        are asked, leave-one-out.
    size : int, default 500
        Queries drawn; where there are fewer, all of them.
    metric : {"l2", "cosine"}
    seed : int, default 0
        Of the draw.
    exact : Neighbors, optional
        Exact neighbors of all base points (leave-one-out) or of all ``queries``, at least k each; then nothing is
        searched.

    Returns
    -------
    Calibration
        Queries in the order drawn.

    Raises
    ------
    InputError
        If an array does not fit, k is out of range, or ``exact`` is of other queries or too few neighbors.

    Examples
    --------
    >>> sample = calibration_sample(np.arange(20.0)[:, None], 3, size=5)
    >>> sample.rows.shape, sample.exact.ids.shape
    ((5,), (5, 3))
    """
    base = vectors(base, "base", metric=one_of(metric, METRICS, "metric"))
    k = whole_number(k, "k", 1, len(base) - (queries is None))
    size, seed = whole_number(size, "the sample's size", 1), whole_number(seed, "seed", 0)
    pool = base if queries is None else vectors(queries, "queries", metric=metric, dimension=base.shape[1])
    drawn = np.random.default_rng(seed).permutation(len(pool))[:size]
    rows = drawn if queries is None else None
    began = time.perf_counter()
    if exact is None:
        found = exact_neighbors(base, pool[drawn], k=k, metric=metric, exclude=rows)
    elif len(exact.ids) != len(pool) or exact.k < k:
        raise InputError(f"exact has shape {exact.ids.shape}; needed are {len(pool)} queries with {k} neighbors.")
    else:
        found = exact.rows(drawn)
    return Calibration(base, pool[drawn], rows, found, metric, time.perf_counter() - began)
