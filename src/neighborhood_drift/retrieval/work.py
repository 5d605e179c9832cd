"""What searches of a collection answer and cost: distances computed, read off its graph, and processor time."""

from __future__ import annotations

import time

import numpy as np

from ..checks import InputError, whole_number
from ..indexes.hnswlib_index import HnswlibIndex
from ..neighbors import MISSING, Neighbors
from ..trace import distance_rows, search
from .collection import Collection
from .store import Hits

TIMED = 100  # queries that are timed, or searched again step by step, at most


def as_neighbors(hits: Hits) -> Neighbors:
    """Answers of a store whose ids are row numbers, as the study's measures take them.

    Examples
    --------
    >>> as_neighbors(Hits(((4,),), (np.array([0.5]),), k=2, ef=10, seconds=0.0)).ids
    array([[ 4, -1]])
    """
    ids = np.full((len(hits.ids), hits.k), MISSING)
    distances = np.full(ids.shape, np.inf)
    for row, (found, near) in enumerate(zip(hits.ids, hits.distances, strict=True)):
        ids[row, : len(found)], distances[row, : len(found)] = found, near
    return Neighbors(ids, distances)


def distances_computed(collection: Collection, queries, k: int, efs) -> dict[int, np.ndarray]:
    """Count the distances that hnswlib computes for each query, by searching its graph again step by step.

    The Python module of hnswlib counts none. So the graph is read out of the collection and searched by the study's
    own `trace.search`, which visits the same points, tombstones included.

    Parameters
    ----------
    collection : Collection
    queries : (q, d) array
        Of which the first `TIMED` are asked.
    k : int
    efs : iterable of int

    Returns
    -------
    dict of int to (t,) int64
        By ef.

    Raises
    ------
    InputError
        If the collection holds no points.

    Examples
    --------
    >>> collection = Collection(1)
    >>> _ = collection.add(np.arange(20, dtype=np.float32)[:, None])
    >>> distances_computed(collection, np.float32([[3.2]]), 2, [5])[5] <= 20
    array([ True])
    """
    return {
        ef: np.array([one.distance_computations for one in found]) for ef, found in traced(collection, queries, k, efs)
    }


def traced(collection: Collection, queries, k: int, efs):
    """Yield (ef, list of `Trace`, one for each of the first `TIMED` queries); ids are rows of the collection."""
    state = collection._state
    if state is None or not collection.count():
        raise InputError("the collection holds no points, so no search of it computes anything.")
    about = {"metric": collection.metric, "seed": 0, "params": {}, "size": state.size, "dimension": state.dimension}
    graph = HnswlibIndex(state.native, about | dict.fromkeys(("seconds", "key", "ef", "threads"))).graph()
    rows = distance_rows(state.points, queries[:TIMED], collection.metric)
    for ef in efs:
        yield ef, [search(graph, row, k, ef, follows_k=True, hidden=state.deleted) for row in rows]


def milliseconds(collection: Collection, queries, k: int, efs, *, repeats: int = 5) -> dict[int | None, float]:
    """Least processor time a query of several passes, by ef; None stands for the exact search.

    Parameters
    ----------
    collection : Collection
    queries : (q, d) array
        Of which the first `TIMED` are asked, in one call.
    k : int
    efs : iterable of int
    repeats : int, default 5
        Passes; each asks at every ef and exactly, so that what slows the machine for a while slows all of them. The
        fastest counts: a cold cache and other work only add.
    """
    asked, least = queries[:TIMED], {}
    for _ in range(whole_number(repeats, "repeats", 1)):
        for ef in (*efs, None):
            spent = seconds(lambda ef=ef: collection.search(asked, k, ef=ef, exact=ef is None))
            least[ef] = min(spent, least.get(ef, np.inf))
    return {ef: 1000 * spent / len(asked) for ef, spent in least.items()}


def seconds(call) -> float:
    """Processor time of this process, which is not lengthened by waiting for a core."""
    start = time.process_time()
    call()
    return time.process_time() - start
