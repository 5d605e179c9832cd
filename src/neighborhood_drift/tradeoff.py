"""Recall against time: each index searched at several efforts, and the settings nothing beats in both."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from .checks import InputError
from .indexes import load_index
from .intervals import bootstrap_means, limits
from .metrics import overlap
from .neighbors import Neighbors


def tradeoff(
    indexes, base, rows, k: int, efs, exact: Neighbors, *, repeats: int = 2, ci: float = 0.95, progress: bool = True
) -> pd.DataFrame:
    """Search each index at each effort: recall with its interval over queries, time and distance computations.

    Parameters
    ----------
    indexes : iterable of Index
        Over ``base``, built with a parameter M.
    base : (n, d) array
        Points.
    rows : (q,) integers
        Base points that are asked, leave-one-out.
    k : int
        Neighbors a query.
    efs : iterable of int
        Search efforts.
    exact : Neighbors
        (q, K) exact neighbors of these queries, K at least k.
    repeats : int, default 2
        Searches a setting; the shortest time counts, as what else runs can only add to it.
    ci : float, default 0.95
        Coverage of the interval of recall, a bootstrap over queries.
    progress : bool, default True
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    DataFrame
        One row an index and effort: engine, M, ef, recall (mean overlap), low, high, microseconds (wall time a query,
        with the index's search threads), distance_computations (a query; nan where the library does not count),
        front (whether no other setting of the same engine has both a higher recall and less time: libraries are
        compiled differently, so that none is set against another).

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    >>> exact = exact_neighbors(base, k=5)
    >>> tradeoff([build_index("hnswlib", base, M=4)], base, np.arange(50), 5, [50], exact)["recall"].tolist()
    [1.0]
    """
    base, rows, truth = np.asarray(base), np.asarray(rows), exact.first(k)
    settings = [(index, ef) for index in indexes for ef in efs]
    if not settings or repeats < 1:
        raise InputError("at least one index, one effort and one repeat are needed.")
    # every setting once, then all again: a spell in which the machine is slow does not fall on one setting alone
    seconds = np.full(len(settings), np.inf)
    order = [place for _ in range(repeats) for place in range(len(settings))]
    measured, shares = [{} for _ in settings], [None for _ in settings]
    for place in tqdm(order, desc="searches", disable=None if progress else True):
        index, ef = settings[place]
        found = index.search(base[rows], k, ef=ef, exclude_self=rows)
        seconds[place] = min(seconds[place], index.search_seconds)
        count = index.distance_computations
        shares[place] = overlap(truth, found)
        measured[place] = {
            "engine": index.engine,
            "M": index.params.get("M"),
            "ef": ef,
            "microseconds": 1e6 * seconds[place] / len(rows),
            "distance_computations": np.nan if count is None else count / len(rows),
        }
    shares = np.stack(shares, axis=1)
    table = pd.DataFrame(measured)
    table["recall"] = shares.mean(axis=0)
    table["low"], table["high"] = limits(bootstrap_means(shares), ci)
    table["front"] = False
    for _, own in table.groupby("engine"):
        table.loc[own.index, "front"] = pareto_front(own["microseconds"], own["recall"])
    return table


def fastest(table: pd.DataFrame, engine: str, recall: float) -> pd.Series | None:
    """The row of `tradeoff` with the least time among an engine's settings of at least a recall; None if there is none.

    >>> rows = {"engine": "hnswlib", "M": [8, 16, 16], "recall": [0.9, 0.99, 0.999], "microseconds": [1.0, 2.0, 3.0]}
    >>> int(fastest(pd.DataFrame(rows), "hnswlib", 0.99)["M"])
    16
    """
    good = table[(table["engine"] == engine) & (table["recall"] >= recall)]
    return None if good.empty else good.loc[good["microseconds"].idxmin()]


def build_table(indexes) -> pd.DataFrame:
    """What each index is: engine, M, efConstruction, mean links at level 0, seconds of the build.

    >>> from neighborhood_drift.indexes import build_index
    >>> index = build_index("hnswlib", np.arange(20.0).reshape(10, 2), M=4)
    >>> build_table([index])[["engine", "M", "efConstruction"]].values.tolist()
    [['hnswlib', 4, 200]]
    """
    rows = [
        {
            "engine": index.engine,
            "M": index.params["M"],
            "efConstruction": index.params["ef_construction"],
            "links": float(index.graph().out_degree().mean()),
            "seconds": index.seconds,
        }
        for index in indexes
    ]
    return pd.DataFrame(rows)


def pareto_front(cost, quality) -> np.ndarray:
    """Mark the settings that no other one beats: none has less cost and at least the quality, or more at no more cost.

    Parameters
    ----------
    cost, quality : (m,) floats
        Less cost and more quality are better.

    Returns
    -------
    (m,) bool
        Settings with equal cost and quality are all marked, or none of them.

    Examples
    --------
    >>> pareto_front([1.0, 2.0, 3.0], [0.8, 0.7, 0.9])
    array([ True, False,  True])
    """
    cost, quality = np.asarray(cost, dtype=float), np.asarray(quality, dtype=float)
    no_worse = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    better = (cost[None] < cost[:, None]) | (quality[None] > quality[:, None])
    return ~(no_worse & better).any(axis=1)


def after_reload(indexes, queries, k: int, ef: int) -> pd.DataFrame:
    """Write each index, read it back, and compare: the libraries' own files beside this package's.

    Parameters
    ----------
    indexes : iterable of Index
        HNSW indexes; each is given the default effort ``ef``, in the library and in its adapter.
    queries : (q, d) array
    k : int
        Neighbors a query.
    ef : int
        The effort that has to survive; the larger, the plainer its loss.

    Returns
    -------
    DataFrame
        One row an index and route: engine, route, ef before, ef after, same (share of the queries with the same ids).
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index in indexes:
            index.ef, path = ef, Path(folder) / "written.index"
            before = index.search(queries, k)
            index.native_ef = ef
            kept = load_index(index.save(path))
            raw = type(index).load(path)
            raw.ef = raw.native_ef
            for route, again in (("the library alone", raw), ("save and load_index", kept)):
                same = (again.search(queries, k).ids == before.ids).all(axis=1).mean()
                row = {"engine": index.engine, "route": route, "ef before": ef, "ef after": again.ef, "same": same}
                rows.append(row)
    return pd.DataFrame(rows)
