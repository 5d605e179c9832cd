"""Exact and approximate lists of some queries under several searches, for a reader to look through."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..checks import InputError, vectors, whole_number
from ..exact import exact_neighbors
from ..facts import fixed, interval
from ..indexes import build_indexes
from ..intervals import bootstrap_means, limits
from ..metrics import overlap
from ..names import word
from ..neighbors import Neighbors

# One row a search that can be chosen: what its effort does, for readers. The first is shown at first.
SEARCHES = {
    "faiss-hnsw": "effort stays at ef",
    "faiss-hnsw-unbounded": "effort follows k",
    "hnswlib": "effort follows k",
}
KS, EFS = (10, 20, 30, 50, 75, 100), (10, 25, 50, 100)
FIRST = next(iter(SEARCHES))
START = (50, 25)  # k and ef that are shown at first, or the nearest there are; "differ most" is meant at these
EXAMINED = 2000  # queries among which those whose lists differ most are sought
HARDEST_SHARE = 0.25
DEPTH = 10  # true ranks are told up to so many times the largest k
HIGHEST_K = 250


@dataclass(frozen=True, eq=False)
class Explored:
    """Lists of m queries; made by `explore`.

    Attributes
    ----------
    rows : (m,) int64
        Which queries these are: first those drawn at random, in the order of the draw, then others of `hardest`.
    random : int
        How many of them were drawn at random.
    hardest : (h,) int64
        Places in ``rows`` of those whose lists differ most among all examined, the most different first; some of them
        may have been drawn at random too.
    examined : int
        Queries that both were taken from.
    ks, efs : tuple of int
        What can be chosen, ascending.
    start : tuple of int
        k and ef that are shown at first.
    exact : Neighbors
        (m, depth) true neighbors, depth at least the largest k.
    found : dict
        (engine, ef, k) -> Neighbors, as they were found.
    """

    rows: np.ndarray
    random: int
    hardest: np.ndarray
    examined: int
    ks: tuple[int, ...]
    efs: tuple[int, ...]
    start: tuple[int, int]
    exact: Neighbors
    found: dict[tuple[str, int, int], Neighbors]

    @property
    def first(self) -> int:
        """The query shown first: the one whose lists differ most, where such queries were sought."""
        return int(self.hardest[0]) if len(self.hardest) else 0

    def overlaps(self, engine: str, ef: int, k: int) -> np.ndarray:
        """(m,) share of the k true ids that a search returned."""
        return overlap(self.exact.first(k), self.found[engine, ef, k])

    def fewer(self, queries: int) -> Explored:
        """At most so many of the queries, each kind in its share: the first that were drawn, and the hardest."""
        random = round(queries * self.random / (self.random + len(self.hardest)))
        kept, hardest = _together(np.arange(random), self.hardest[: queries - random])
        found = {search: lists.rows(kept) for search, lists in self.found.items()}
        return replace(
            self, rows=self.rows[kept], random=random, hardest=hardest, exact=self.exact.rows(kept), found=found
        )


def explore(
    base, queries, *, ks=KS, efs=EFS, shown: int = 200, examined: int = EXAMINED, metric: str = "l2", seed: int = 0,
    threads: int = 1, cache=None, M: int = 32, ef_construction: int = 200,
) -> Explored:  # fmt: skip
    """Ask queries that are not points of the base, by each of `SEARCHES` at each effort and k.

    Three quarters of the queries are drawn at random, whatever their lists; the last quarter are those of all
    ``examined`` whose lists differ most from the exact ones, by the overlap of the first search at `START`, the lower
    row first where it is equal. A query that is of both kinds is there once. k is searched for anew each time: where
    effort follows k, the first ten of a search for fifty are not a search for ten.

    Parameters
    ----------
    base : (n, d) array
    queries : (q, d) array
    ks, efs : iterable of int
        What can be chosen; a k above n is left out.
    shown, examined : int
        At most so many queries are shown, and so many looked at; fewer where there are fewer, and fewer are shown
        where some are of both kinds.
    metric : {"l2", "cosine"}
    seed : int
        Seed of the draw and of the graphs.
    threads : int
        Search threads; graphs are built with one.
    cache : path, optional
        Folder that keeps built graphs.
    M, ef_construction : int
        Of both libraries' graphs.

    Returns
    -------
    Explored

    Raises
    ------
    InputError
        If an array cannot be used, or a value is out of its range.

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(80, 8)).astype(np.float32)
    >>> lists = explore(points[:60], points[60:], ks=(5, 10, 90), efs=(10,), shown=8)
    >>> lists.ks, lists.random, len(lists.hardest), lists.start
    ((5, 10), 6, 2, (10, 10))
    """
    base = vectors(base, "base", metric=metric)
    queries = vectors(queries, "queries", metric=metric, dimension=base.shape[1])
    ks = tuple(sorted({whole_number(k, "k", 1, HIGHEST_K) for k in ks if k <= len(base)})) or (1,)
    efs = tuple(sorted({whole_number(ef, "ef", 1) for ef in efs}))
    if not efs:
        raise InputError("efs is empty; at least one ef is needed.")
    shown, examined = whole_number(shown, "shown", 1), whole_number(examined, "examined", 1)
    start = _nearest(ks, START[0]), _nearest(efs, START[1])
    specs = [{"name": name, "M": M, "ef_construction": ef_construction} for name in ("faiss-hnsw", "hnswlib")]
    faiss, hnswlib = build_indexes(specs, base, metric=metric, seed=seed, cache=cache, workers=1)
    indexes = {index.engine: index for index in (faiss, faiss.unbounded(), hnswlib)}
    for index in indexes.values():
        index.threads = threads

    pool = np.random.default_rng([seed, 2]).permutation(len(queries))[: max(shown, examined)]
    shown = min(shown, len(pool))
    most = round(HARDEST_SHARE * shown)
    k, ef = start
    hardest = pool[:0]
    if most:
        near = exact_neighbors(base, queries[pool], k=k, metric=metric)
        kept = overlap(near, indexes[FIRST].search(queries[pool], k, ef=ef))
        hardest = pool[np.lexsort((pool, kept))[:most]]
    rows, hardest = _together(pool[: shown - most], hardest)

    asked = queries[rows]
    exact = exact_neighbors(base, asked, k=min(DEPTH * max(ks), len(base)), metric=metric)
    found = {(name, ef, k): indexes[name].search(asked, k, ef=ef) for name in SEARCHES for ef in efs for k in ks}
    return Explored(rows, shown - most, hardest, len(pool), ks, efs, start, exact, found)


def facts_of(lists: Explored, *, seed: int = 0) -> dict:
    """What the paper says of an explorer, each fact's name beginning with ``explorer_``.

    Parameters
    ----------
    lists : Explored
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        How many queries it shows, of which kind or both, and out of how many; k and ef at first; and at these the
        overlap of the query shown first and, for each search, that of the queries drawn at random, with 95 % interval
        over them.
    """
    k, ef = lists.start
    shares = np.stack([lists.overlaps(name, ef, k)[: lists.random] for name in SEARCHES], axis=1)
    low, high = limits(bootstrap_means(shares, seed=seed))
    both = lists.random + len(lists.hardest) - len(lists.rows)
    known = {"queries": len(lists.rows), "random": lists.random, "hardest": len(lists.hardest), "both": both}
    known |= {"examined": lists.examined, "k": k, "ef": ef, "k_max": max(lists.ks), "ef_max": max(lists.efs)}
    known["first_overlap"] = fixed(lists.overlaps(FIRST, ef, k)[lists.first], 2)
    for place, name in enumerate(SEARCHES):
        known[f"overlap_{word(name)}"] = fixed(shares[:, place].mean())
        known[f"overlap_{word(name)}_interval"] = interval(low[place], high[place])
    return {f"explorer_{name}": value for name, value in known.items()}


def _together(random: np.ndarray, hardest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each of two lists once, the first before the others of the second, and where the second ones are among these."""
    rows = np.concatenate([random, hardest[~np.isin(hardest, random)]])
    return rows, np.array([np.flatnonzero(rows == one)[0] for one in hardest], dtype=np.int64)


def _nearest(offered, wanted: int) -> int:
    return min(offered, key=lambda one: abs(one - wanted))
