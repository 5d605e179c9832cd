"""The null model of approximation: exact lists that lost neighbors at random, whatever their rank, place or links."""

from __future__ import annotations

import numpy as np

from .checks import InputError, whole_number
from .neighbors import MISSING, Neighbors


def lost_at_random(exact: Neighbors, k: int, lost, *, seed: int = 0, replace: bool = True) -> Neighbors:
    """Delete some of each query's k true neighbors at random, and let the next true ones take their places.

    Parameters
    ----------
    exact : Neighbors
        (q, K) exact lists without missing slots; where neighbors are replaced, K is at least k plus the most that
        a query loses (2 k always suffices).
    k : int
        Length of the lists that are made.
    lost : float or (q,) integers
        How many of the k true neighbors each query loses: a number for each query, from 0 to k, or one share in
        [0, 1]: each neighbor is then lost with that chance, independently (1 - recall). One whole number is
        refused, but for 0: it could be read as a share and as a count.
    seed : int, default 0
        Which ones are lost; every subset of a size is equally likely.
    replace : bool, default True
        True: ranks k + 1, k + 2, ... fill the list to k, as an index that met others does. False: the slots stay
        missing.

    Returns
    -------
    Neighbors
        (q, k) with distances of ``exact``; its overlap with ``exact.first(k)`` is 1 - lost / k.

    Raises
    ------
    InputError
        If ``exact`` is too short or has missing slots, or ``lost`` is out of range.

    Examples
    --------
    >>> exact = Neighbors([[5, 6, 7, 8]], [[1.0, 2.0, 3.0, 4.0]])
    >>> lost_at_random(exact, 2, [2]).ids
    array([[7, 8]])
    >>> lost_at_random(exact, 2, [1], replace=False).found
    array([1])
    """
    k = whole_number(k, "k", 1, exact.k)
    if (exact.ids == MISSING).any():
        raise InputError("exact has missing slots; the null model starts from complete lists.")
    generator = np.random.default_rng(whole_number(seed, "seed", 0))
    queries = len(exact.ids)
    lost = _counts(lost, queries, k, generator)
    most = int(lost.max(initial=0))
    if replace and k + most > exact.k:
        raise InputError(f"exact holds {exact.k} neighbors; {k + most} are needed to replace up to {most} of {k}.")
    # the places of each query's k true neighbors in a random order: the first `lost` of them go
    shuffled = generator.permuted(np.tile(np.arange(k), (queries, 1)), axis=1)
    gone = np.zeros((queries, exact.k), dtype=bool)
    np.put_along_axis(gone, shuffled, np.arange(k) < lost[:, None], axis=1)
    last = k + lost if replace else np.full(queries, k)
    kept = ~gone & (np.arange(exact.k) < last[:, None])
    # stable: kept places come first, in their order
    order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
    there = np.take_along_axis(kept, order, axis=1)
    ids = np.where(there, np.take_along_axis(exact.ids, order, axis=1), MISSING)
    distances = np.where(there, np.take_along_axis(exact.distances, order, axis=1), np.inf)
    return Neighbors(ids, distances)


def _counts(lost, queries: int, k: int, generator) -> np.ndarray:
    lost = np.asarray(lost)
    if lost.ndim == 0 and (lost.dtype.kind == "f" or (lost.dtype.kind in "iu" and lost == 0)):
        share = float(lost)
        if not 0 <= share <= 1:
            raise InputError(f"lost is {share}; as a share it must lie in 0 to 1.")
        return generator.binomial(k, share, size=queries)
    if lost.shape != (queries,) or lost.dtype.kind not in "iu" or (lost.size and (lost.min() < 0 or lost.max() > k)):
        raise InputError(f"lost must be one share, or {queries} whole numbers from 0 to {k}, one a query.")
    return lost.astype(np.int64)
