"""An effort chosen for a target, and what three kinds of query get of it: points of the collection, and two others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import InputError
from ..metrics import overlap
from ..neighbors import Neighbors
from .searched import Searched
from .work import as_neighbors

ASKED = 1000  # points of the collection, and deleted ones, that are asked at the effort chosen, at most
INSIDE, GONE = "points of the collection", "deleted points"


@dataclass(frozen=True, eq=False)
class Promise:
    """An effort chosen, and the overlap of each query at it.

    Attributes
    ----------
    state : str
        Of the collection, one of ``measure.STATES``.
    sample : str
        What the effort was chosen on: `INSIDE`, each left out of its own answer, or `GONE`, which are not in the graph.
    ef : int or None
        None where none was certified.
    reason : str
        Why not; else empty.
    inside, gone, queries : (m,) floats
        Overlap of points of the collection, each left out of its own answer; of deleted points on which nothing was
        chosen, which are of the same kind and not in the graph (empty while none is deleted); and of the queries from
        outside. Empty where no effort was certified.
    """

    state: str
    sample: str
    ef: int | None
    reason: str
    inside: np.ndarray
    gone: np.ndarray
    queries: np.ndarray


def promises(
    collection, searched: Searched, k: int, target: str, size: int, exact: Neighbors, gone=(), *, state: str, seed: int
) -> list[Promise]:
    """Choose an effort on points of the collection and, where some are deleted, on deleted ones.

    Parameters
    ----------
    collection : Collection
        Its ids are row numbers of ``searched.base``.
    searched : Searched
    k : int
    target : str
    size : int
        Queries on which an effort is chosen, at most; of the deleted points, at most half.
    exact : Neighbors
        Of the queries, among the points that the collection holds.
    gone : (m,) ints
        Rows of points deleted at random, of which the collection's graph has nothing.
    state : str
    seed : int
    """
    deleted = np.random.default_rng([seed, 4]).permutation(gone).astype(np.int64)
    used = min(size, len(deleted) // 2)
    samples = {INSIDE: None} | ({GONE: searched.base[deleted[:used]]} if used else {})
    others = searched.base[deleted[used:][:ASKED]]
    held = np.array(collection.ids())
    held = np.random.default_rng([seed, 5]).choice(held, min(ASKED, len(held)), replace=False)
    truths = {"inside": _without(collection.search(searched.base[held], k + 1, exact=True), held, k), "queries": exact}
    if used:
        truths["gone"] = as_neighbors(collection.search(others, k, exact=True))
    found = []
    for sample, points in samples.items():
        try:
            ef = collection.tune(target, k, queries=points, size=size).ef
            reason = "" if ef else "no ef is certified."
        except InputError as error:
            ef, reason = None, str(error)
        got = dict.fromkeys(("inside", "gone", "queries"), np.empty(0))
        if ef:
            answers = {"inside": _without(collection.search(searched.base[held], k + 1, ef=ef), held, k)}
            answers["queries"] = as_neighbors(collection.search(searched.queries, k, ef=ef))
            if used:
                answers["gone"] = as_neighbors(collection.search(others, k, ef=ef))
            got |= {name: overlap(truths[name], answer) for name, answer in answers.items()}
        found.append(Promise(state, sample, ef, reason, **got))
    return found


def _without(hits, held, k: int) -> Neighbors:
    """Answers to points of the collection without the point itself, k each; one that was not found leaves k anyway."""
    nb = as_neighbors(hits)
    keep = nb.ids != np.asarray(held)[:, None]
    keep[keep.all(axis=1), -1] = False
    return Neighbors(nb.ids[keep].reshape(-1, k), nb.distances[keep].reshape(-1, k))
