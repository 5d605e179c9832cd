"""What is done to the lists that a library returns: put in order, and the query dropped by its id."""

from __future__ import annotations

import numpy as np

from ..neighbors import Neighbors


def in_order(ids, distances) -> Neighbors:
    """Neighbors by distance, then id; libraries return almost every row so, and only the others are sorted."""
    nearer = distances[:, 1:] < distances[:, :-1]
    tied = (distances[:, 1:] == distances[:, :-1]) & (ids[:, 1:] < ids[:, :-1])
    wrong = (nearer | tied).any(axis=1)
    if wrong.any():
        ordered = Neighbors.sorted(ids[wrong], distances[wrong])
        ids[wrong], distances[wrong] = ordered.ids, ordered.distances
    return Neighbors(ids, distances)


def without(found: Neighbors, excluded) -> Neighbors:
    """Drop each query's own id, or the last neighbor where it is absent."""
    hit = found.ids == np.asarray(excluded)[:, None]
    self_found = hit.any(axis=1)
    column = np.where(self_found, hit.argmax(axis=1), found.k - 1)
    keep = np.arange(found.k) != column[:, None]
    shape = (len(found.ids), found.k - 1)
    return Neighbors(found.ids[keep].reshape(shape), found.distances[keep].reshape(shape), self_found)
