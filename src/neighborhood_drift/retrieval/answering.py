"""Answers of a collection's state under the user's ids: from the graph, or exact."""

from __future__ import annotations

import numpy as np

from ..exact import exact_neighbors
from ..indexes.base import unit
from ..indexes.lists import in_order
from ..neighbors import MISSING
from .locks import KERNELS
from .state import State
from .store import Id

Answers = list[tuple[tuple[Id, ...], np.ndarray]]


def approximate(state: State, queries: np.ndarray, k: int, ef: int) -> Answers:
    """Ids and distances of the k nearest points that the graph leads each query to, equal distances as added."""
    cosine = state.settings.metric == "cosine"
    rows, values = state.ask(unit(queries) if cosine else queries, k, ef, state.settings.threads)
    distances = np.maximum(values.astype(np.float64), 0)
    if not cosine:
        distances = np.sqrt(distances)
    distances[rows == MISSING] = np.inf
    found = in_order(rows, distances)
    return [_named(state, ids[:k], far[:k]) for ids, far in zip(found.ids, found.distances, strict=True)]


def exact(state: State, queries: np.ndarray, k: int) -> Answers:
    """Ids and distances of the k nearest points, by `exact_neighbors`, equal distances as added."""
    base, rows = state.base()
    if not len(rows):
        return [((), np.empty(0)) for _ in queries]
    with KERNELS:
        found = exact_neighbors(base, queries, k=min(k, len(rows)), metric=state.settings.metric)
    return [_named(state, rows[ids], far) for ids, far in zip(found.ids, found.distances, strict=True)]


def _named(state, rows, distances):
    there = rows != MISSING
    return tuple(state.ids[row] for row in rows[there]), distances[there]
