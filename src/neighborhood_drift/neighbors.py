"""The one type everything speaks: the neighbors of each query, ascending by distance, missing ones marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .checks import InputError, whole_number

MISSING = -1


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest neighbors found for each of q queries.

    Parameters
    ----------
    ids : (q, k) integers
        Row numbers of the base, nearest first; -1 where a neighbor is missing.
    distances : (q, k) floats
        Distances in the metric's own unit (Euclidean distances, never squared; cosine distance 1 - cos),
        ascending; infinite exactly where the id is -1. Missing neighbors therefore stand last.
    self_found : (q,) bool, optional
        Leave-one-out searches only: whether the search returned the query itself, before it was dropped.

    Raises
    ------
    InputError
        If ids are not integers, the shapes differ, a row is not ascending, or ids and distances disagree on what is
        missing.

    Examples
    --------
    >>> nb = Neighbors([[2, 0, -1]], [[0.5, 1.0, float("inf")]])
    >>> nb.k, nb.found
    (3, array([2]))
    >>> nb.first(1).ids
    array([[2]])
    """

    ids: np.ndarray
    distances: np.ndarray
    self_found: np.ndarray | None = None

    def __post_init__(self):
        ids = np.asarray(self.ids)
        if ids.size and ids.dtype.kind not in "iu":
            raise InputError(f"ids have dtype {ids.dtype}; they must be integers, row numbers of the base.")
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        distances = np.ascontiguousarray(self.distances, dtype=np.float64)
        if ids.ndim != 2 or ids.shape != distances.shape:
            raise InputError(f"ids {ids.shape} and distances {distances.shape} must have one shape (q, k).")
        if ids.size and ids.min() < MISSING:
            raise InputError(f"an id is {ids.min()}; ids are row numbers, or -1 where a neighbor is missing.")
        if not np.array_equal(ids == MISSING, np.isposinf(distances)):
            raise InputError("ids and distances disagree on what is missing; it is id -1 with distance inf.")
        if np.isnan(distances).any() or (distances[:, 1:] < distances[:, :-1]).any():
            raise InputError("distances of a query must ascend and hold no NaN.")
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "distances", distances)

    @property
    def k(self) -> int:
        """Number of neighbors asked for, missing ones included."""
        return self.ids.shape[1]

    @property
    def found(self) -> np.ndarray:
        """(q,) number of neighbors that are not missing."""
        return (self.ids != MISSING).sum(axis=1)

    def first(self, k: int) -> Neighbors:
        """Cut each list to its first ``k`` neighbors (not the same as a search for k: see the notebooks)."""
        k = whole_number(k, "k", 1, self.k)
        return Neighbors(self.ids[:, :k], self.distances[:, :k], self.self_found)

    def rows(self, which) -> Neighbors:
        """Keep the queries ``which`` (indices, a slice or a mask)."""
        self_found = None if self.self_found is None else self.self_found[which]
        return Neighbors(self.ids[which], self.distances[which], self_found)

    @classmethod
    def sorted(cls, ids, distances, self_found=None) -> Neighbors:
        """Build from lists in any order: sorts each row by distance, equal distances by the lower id.

        >>> Neighbors.sorted([[4, 7, 1]], [[2.0, 1.0, 2.0]]).ids
        array([[7, 1, 4]])
        """
        ids, distances = np.asarray(ids), np.asarray(distances, dtype=np.float64)
        by_id = np.argsort(ids, axis=1, kind="stable")
        distances = np.take_along_axis(distances, by_id, axis=1)
        by_distance = np.argsort(distances, axis=1, kind="stable")
        order = np.take_along_axis(by_id, by_distance, axis=1)
        return cls(
            np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, by_distance, axis=1), self_found
        )
