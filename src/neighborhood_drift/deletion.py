"""Points deleted and inserted again: what an hnswlib graph is after that, beside one that is built anew."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from .checks import InputError, numbers, vectors, whole_number
from .indexes.base import unit
from .indexes.hnswlib_index import HnswlibIndex
from .intervals import bootstrap_means, limits
from .metrics import overlap
from .neighbors import MISSING, Neighbors


class Churned(HnswlibIndex):
    """An hnswlib index whose slots were used again: point p is labelled p, p + n, p + 2n, ... by how often it came.

    It is searched and read as any other, under a key of its own, and not written to a file: what is read back as an
    hnswlib index would take its labels for rows of the base.
    """

    @classmethod
    def empty(cls, about, history: str) -> Churned:
        """An index without points that reuses the slots of deleted ones; ``history`` tells what will be done to it."""
        index = cls._new(about)
        index.init_index(
            max_elements=about["size"], M=about["params"]["M"], ef_construction=about["params"]["ef_construction"],
            random_seed=about["seed"] + 1, allow_replace_deleted=True,
        )  # fmt: skip
        key = hashlib.sha256(f"{about['key']} {history}".encode()).hexdigest()
        return cls(index, {**about, "key": key, "seconds": 0.0})

    def save(self, path):
        """Refuse: see above. Raises `InputError`."""
        raise InputError("an index after deletions is not written to a file; build it again with churned().")

    def _rows(self, labels):
        return np.where(labels == MISSING, MISSING, labels % self.size)


def churned(
    base, deleted: int, rounds: int = 1, *, metric: str = "l2", seed: int = 0, M: int = 32, ef_construction: int = 200
):
    """Build an index, then delete random points and insert them again, round by round; and build one anew.

    Parameters
    ----------
    base : (n, d) array
    deleted : int
        Points a round deletes (``mark_deleted``) and inserts again (``add_items(..., replace_deleted=True)``), from 0
        to n - 1. hnswlib gives an inserted point the slot of some deleted one, with that one's levels, and repairs the
        links around it.
    rounds : int, default 1
        Each draws its points anew.
    metric, seed, M, ef_construction
        As for `build_index`; ``seed`` also draws the points.

    Returns
    -------
    index : HnswlibIndex
        After the last round; it holds all points of the base, under their row numbers.
    rebuilt : HnswlibIndex
        Built anew from the same points, in the order in which they last came in.

    Raises
    ------
    InputError
        If ``deleted`` or ``rounds`` is out of its range, or a build parameter is.

    Notes
    -----
    A point comes back under a new label: under its old one, hnswlib would first give its label to another point's slot
    and then, using the point's own old slot, drop the label it had just given (``addPoint`` in hnswalg.h).
    FAISS has no counterpart: ``IndexHNSW.remove_ids`` raises.

    Examples
    --------
    >>> base = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    >>> index, rebuilt = churned(base, 50)
    >>> index.native.get_current_count(), index.key == rebuilt.key
    (100, False)
    """
    base = vectors(base, "base", metric=metric)
    points, n = unit(base) if metric == "cosine" else base, len(base)
    deleted, rounds = whole_number(deleted, "deleted", 0, n - 1), whole_number(rounds, "rounds", 1)
    about = HnswlibIndex.describe(
        base, metric=metric, seed=seed, threads=1, params={"M": M, "ef_construction": ef_construction}
    )
    history = f"{deleted} deleted, {rounds} rounds"
    indexes = [Churned.empty(about, history), Churned.empty(about, f"rebuilt after {history}")]
    order = np.arange(n)
    indexes[0].native.add_items(points, order, num_threads=1)
    generator, label = np.random.default_rng(seed), np.arange(n)
    for _ in range(rounds if deleted else 0):
        gone = generator.choice(n, deleted, replace=False)
        for point in gone:
            indexes[0].native.mark_deleted(label[point])
        label[gone] += n
        indexes[0].native.add_items(points[gone], label[gone], num_threads=1, replace_deleted=True)
        order = np.concatenate([order[~np.isin(order, gone)], gone])
    indexes[1].native.add_items(points[order], order, num_threads=1)
    return indexes


def compare(base, rows, exact: Neighbors, shares, *, rounds=(1,), ef: int, metric: str = "l2", seed: int = 0, **params):
    """Set churned indexes beside rebuilt ones: what cannot be reached, and what is lost.

    Parameters
    ----------
    base : (n, d) array
    rows : (q,) integers
        Points that are asked, leave-one-out.
    exact : Neighbors
        (q, k) exact neighbors of them.
    shares : iterable of float
        Shares of the points that each round deletes and inserts again, from 0 to below 1.
    rounds : iterable of int
        Numbers of rounds.
    ef : int
    metric, seed, **params
        As for `churned`.

    Returns
    -------
    DataFrame
        One row a share and number of rounds: points, share, rounds, deleted (points a round), unreachable and
        unreachable_rebuilt (points), links and links_rebuilt (mean out-degree at level 0), overlap, overlap_rebuilt,
        difference (churned minus rebuilt) with low and high (95 % over queries, paired), missing (share of slots of the
        churned one).

    Raises
    ------
    InputError
        If a share or a number of rounds is out of its range, or rows and exact neighbors do not fit the base.

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> base = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    >>> exact = exact_neighbors(base, k=5)
    >>> compare(base, np.arange(100), exact, [0.0, 0.5], ef=20)[["share", "rounds", "deleted"]]
       share  rounds  deleted
    0    0.0       0        0
    1    0.5       1       50
    """
    base, rows = vectors(base, "base", metric=metric), np.asarray(rows)
    shares, rounds = numbers(list(shares), "shares").tolist(), [whole_number(count, "rounds", 1) for count in rounds]
    for share in shares:
        if not 0 <= share < 1:
            raise InputError(f"a share of points to delete is {share}; it must be from 0 to below 1.")
    if rows.shape != (len(exact.ids),) or rows.dtype.kind not in "iu":
        raise InputError(f"rows have shape {rows.shape} and dtype {rows.dtype} for {len(exact.ids)} exact lists.")
    if len(rows) and (rows.min() < 0 or max(rows.max(), exact.ids.max()) >= len(base)):
        raise InputError(f"rows or exact neighbors lie outside the base of {len(base)} points.")
    table = []
    for share in shares:
        for count in rounds if share else [0]:
            deleted = round(share * len(base))
            indexes = churned(base, deleted, max(count, 1), metric=metric, seed=seed, **params)
            found = [index.search(base[rows], exact.k, ef=ef, exclude_self=rows) for index in indexes]
            overlaps = np.column_stack([overlap(exact, one) for one in found])
            difference = overlaps[:, :1] - overlaps[:, 1:]
            low, high = limits(bootstrap_means(difference, seed=seed))
            graphs = [index.graph() for index in indexes]
            cut = [len(graph.unreachable()) for graph in graphs]
            links = [graph.out_degree().mean() for graph in graphs]
            mean, missing = overlaps.mean(axis=0), 1 - found[0].found.mean() / exact.k
            change = (difference.mean(), low[0], high[0])
            table.append((len(base), share, count, deleted, *cut, *links, *mean, *change, missing))
    columns = ["points", "share", "rounds", "deleted", "unreachable", "unreachable_rebuilt", "links", "links_rebuilt"]
    columns += ["overlap", "overlap_rebuilt"]
    return pd.DataFrame(table, columns=[*columns, "difference", "low", "high", "missing"])
