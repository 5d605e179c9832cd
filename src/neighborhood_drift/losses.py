"""Which neighbors are lost: by rank, on few queries or on all, and random losses of the same number and ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .checks import InputError, whole_number
from .intervals import bootstrap_means, limits
from .law import among
from .metrics import overlap
from .neighbors import MISSING, Neighbors
from .null import lost_at_random

# A rank never lost among some hundred queries may be lost yet: chances keep this distance from 0 and 1.
CERTAIN = 1e-4
RANKS = ["first", "last", "share", "low", "high", "away", "away_low", "away_high", "engine", "target"]


def matched(exact: Neighbors, found: Neighbors, *, profile=None, seed: int = 0) -> Neighbors:
    """Exact lists that lost, query by query, as many neighbors as ``found`` did, but at random.

    Parameters
    ----------
    exact : Neighbors
        (q, K) exact lists, K at least k plus the most that a query lost (2 k always suffices).
    found : Neighbors
        (q, k) lists of the same queries.
    profile : (K,) floats, optional
        Of `rank_profile`: chance of each rank to be returned. Not given: every rank is lost alike.
    seed : int, default 0

    Returns
    -------
    Neighbors
        (q, k) with as many slots missing as ``found``. The next true neighbors take the places of the lost ones, the
        nearest that could; with a profile they too are there by the chance of their rank, and where too few of them
        are within K, those left out fill up, nearest first.

    Notes
    -----
    With a profile the shares returned are those of ``found`` up to rank k only. Beyond k they are approximate: the
    chance of such a rank is known from the lists that had room for it, how many enter follows from the losses, and
    what fills up at the end does not ask for its chance. One profile serves all queries: losses whose ranks differ
    from query to query are not reproduced, even where they are independent within each.

    Examples
    --------
    >>> exact = Neighbors([[5, 6, 7, 8]], [[1.0, 2.0, 3.0, 4.0]])
    >>> matched(exact, Neighbors([[9, 4]], [[2.0, 3.0]])).ids
    array([[7, 8]])
    >>> matched(exact, Neighbors([[5, 8]], [[1.0, 4.0]]), profile=[1.0, 0.0, 0.0, 1.0]).ids
    array([[5, 8]])
    """
    k = found.k
    lost = k - np.rint(k * overlap(exact.first(k), found)).astype(np.int64)
    if profile is None:
        made = lost_at_random(exact, k, lost, seed=seed)
    else:
        made = _lost_by_rank(exact, k, lost, np.asarray(profile, dtype=np.float64), np.random.default_rng(seed))
    # a missing slot is a loss that nothing replaced, and what replaces losses stands last
    gone = np.arange(k) >= found.found[:, None]
    return Neighbors(np.where(gone, MISSING, made.ids), np.where(gone, np.inf, made.distances))


def _lost_by_rank(exact, k, lost, profile, generator):
    if profile.shape != (exact.k,):
        raise InputError(f"profile has shape {profile.shape}; {(exact.k,)} is needed, one chance a rank of exact.")
    chance = np.clip(profile, CERTAIN, 1 - CERTAIN)
    queries = len(exact.ids)
    # the largest of log odds + Gumbel noise: a draw without replacement by those odds (Efraimidis and Spirakis 2006)
    keys = np.log((1 - chance[:k]) / chance[:k]) + generator.gumbel(size=(queries, k))
    gone = np.empty((queries, exact.k), dtype=bool)
    gone[:, k:] = generator.random((queries, exact.k - k)) > chance[k:]
    np.put_along_axis(gone, np.argsort(-keys, axis=1), np.arange(k) < lost[:, None], axis=1)
    # of the ranks up to k none comes back: what fills up is from beyond
    order = np.where(gone & (np.arange(exact.k) < k), 2, gone)
    kept = np.sort(np.argsort(order, axis=1, kind="stable")[:, :k], axis=1)
    return Neighbors(np.take_along_axis(exact.ids, kept, axis=1), np.take_along_axis(exact.distances, kept, axis=1))


def rank_profile(exact: Neighbors, found: Neighbors) -> np.ndarray:
    """Estimate, for each rank of the exact lists, the chance that the neighbor of that rank is returned.

    Parameters
    ----------
    exact : Neighbors
        (q, K) exact lists.
    found : Neighbors
        (q, k) lists of the same queries, k at most K.

    Returns
    -------
    (K,) float64
        Up to rank k the share of all queries that returned it; beyond, the share of those whose list was not yet full
        at that rank, and where all were the value of the rank before.

    Examples
    --------
    >>> exact = Neighbors([[1, 2, 3, 4], [5, 6, 7, 8]], np.tile([1.0, 2.0, 3.0, 4.0], (2, 1)))
    >>> rank_profile(exact, Neighbors([[1, 4], [5, 7]], [[1.0, 4.0], [1.0, 3.0]]))
    array([1. , 0. , 0.5, 1. ])
    """
    ranks = np.arange(exact.k)
    returned = among(exact.ids, found.ids)
    last = np.where(returned, ranks, -1).max(axis=1, initial=-1)
    # a list that holds a point beyond rank K, or empty slots, had room for all K
    beyond = returned.sum(axis=1) < found.k
    reach = np.where(beyond, exact.k, last)
    eligible = (ranks <= reach[:, None]) | (ranks < found.k)
    queries = eligible.sum(axis=0)
    share = np.divide((returned & eligible).sum(axis=0), queries, out=np.full(exact.k, np.nan), where=queries > 0)
    return pd.Series(share).ffill().to_numpy()


def by_rank(exact: Neighbors, found: Neighbors, *, bins: int = 10, resamples: int = 1000, seed: int = 0):
    """Share of the true neighbors that were returned, by their rank, in equal bins of ranks.

    Parameters
    ----------
    exact : Neighbors
        (q, K) exact lists.
    found : Neighbors
        (q, k) lists of the same queries, k at most K.
    bins : int, default 10
        Bins of ranks, at most k.
    resamples, seed : int
        Of the bootstrap over queries.

    Returns
    -------
    DataFrame
        One row a bin: first, last (ranks), share, low, high (95 %), and away: share minus that of all ranks, with
        away_low and away_high. The null model is flat: away is 0.

    Examples
    --------
    >>> exact = Neighbors([[1, 2, 3, 4]], [[1.0, 2.0, 3.0, 4.0]])
    >>> by_rank(exact, Neighbors([[1, 2, 3, 9]], [[1.0, 2.0, 3.0, 9.0]]), bins=2, resamples=5)[["last", "share"]]
       last  share
    0     2    1.0
    1     4    0.5
    """
    k = found.k
    bins = whole_number(bins, "bins", 1, k)
    returned = among(exact.first(k).ids, found.ids)
    parts = np.array_split(np.arange(k), bins)
    shares = np.stack([returned[:, part].mean(axis=1) for part in parts], axis=1)
    away = shares - returned.mean(axis=1, keepdims=True)
    low, high = limits(bootstrap_means(np.hstack([shares, away]), resamples=resamples, seed=seed))
    table = {"first": [part[0] + 1 for part in parts], "last": [part[-1] + 1 for part in parts]}
    table |= {"share": shares.mean(axis=0), "low": low[:bins], "high": high[:bins]}
    table |= {"away": away.mean(axis=0), "away_low": low[bins:], "away_high": high[bins:]}
    return pd.DataFrame(table)


def ranks_lost(lists: dict, exact: Neighbors, **options) -> pd.DataFrame:
    """`by_rank` of many lists, stacked.

    Parameters
    ----------
    lists : dict of (engine, target) to Neighbors
        Of `families.ask`.
    exact, **options
        As in `by_rank`.

    Returns
    -------
    DataFrame
        The columns of `by_rank`, and engine and target; no row without lists.
    """
    tables = [
        by_rank(exact, found, **options).assign(engine=engine, target=target)
        for (engine, target), found in lists.items()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=RANKS).astype({"target": float})


def concentration(shares, *, part: float = 0.1) -> float:
    """Share of all losses that falls on the ``part`` of the queries that lose most; nan where nothing is lost.

    Parameters
    ----------
    shares : (q,) floats
        Overlap of each query.
    part : float, default 0.1
        Of the queries, rounded up to at least one.

    Examples
    --------
    >>> round(concentration([0.5, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 3)
    0.833
    """
    lost = np.sort(1 - np.asarray(shares, dtype=np.float64))[::-1]
    total = lost.sum()
    return float(lost[: int(np.ceil(part * len(lost)))].sum() / total) if total > 0 else np.nan
