"""What the shortcuts of exact search save: products and float64 distances counted, time beside the bare product's."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pandas as pd

from .checks import METRICS, one_of, vectors, whole_number
from .exact import scales
from .exact_search import Search
from .facts import percent

LARGEST = 10_000  # points whose product with themselves is timed: it fills 400 MB
PRODUCT, HALF = "float32 product of two arrays", "float32 product of an array with itself"
ROUTES = {
    "each row by itself": {"alone": False, "chunks": False, "only_ids": False},
    "ids and distances": {"alone": True, "chunks": False, "only_ids": False},
    "ids, sums not in chunks": {"alone": True, "chunks": False, "only_ids": True},
    "ids": {"alone": True, "chunks": True, "only_ids": True},
}


def shortcuts(base, *, k: int, metric: str = "l2", repeats: int = 3) -> pd.DataFrame:
    """Measure exact leave-one-out search without shortcuts, with all, and for ids alone, beside the bare products.

    Parameters
    ----------
    base : (n, d) array
        The first 10,000 points are searched, so that the product fits into memory.
    k : int
        From 1 to n - 1.
    metric : {"l2", "cosine"}
    repeats : int, default 3
        Rounds; each runs all routes in turn, and the fastest run of a route counts.

    Returns
    -------
    DataFrame
        Columns route, products (inner products taken, as a share of all n^2), distances (float64 distances measured,
        for each of the n k places of the lists), seconds (wall time), ratio (to the product of two arrays). The first
        two rows are bare products: of two arrays, and of an array with itself, of which NumPy computes one half and
        mirrors it.

    Raises
    ------
    InputError
        If k, the metric, or the number of repeats is out of range.

    Examples
    --------
    >>> table = shortcuts(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32), k=5, repeats=1)
    >>> table["products"].tolist()
    [1.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    """
    one_of(metric, METRICS, "metric")
    points = vectors(base, "base", metric=metric)[:LARGEST]
    n = len(points)
    whole_number(k, "k", 1, n - 1)
    whole_number(repeats, "repeats", 1)
    other = points.copy()
    rows = {
        PRODUCT: {"products": 1.0, "distances": 0.0, "seconds": np.inf},
        HALF: {"products": 0.5, "distances": 0.0, "seconds": np.inf},
    }
    rows |= {name: {"seconds": np.inf} for name in ROUTES}
    for _ in range(repeats):
        for name, others in ((PRODUCT, other), (HALF, points)):
            start = perf_counter()
            np.matmul(points, others.T)
            rows[name]["seconds"] = min(rows[name]["seconds"], perf_counter() - start)
        for name, route in ROUTES.items():
            start = perf_counter()
            search = _run(points, k, metric, **route)
            rows[name]["seconds"] = min(rows[name]["seconds"], perf_counter() - start)
            rows[name] |= {"products": search.products / n**2, "distances": search.measured / (n * k)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("route").reset_index()
    table["ratio"] = table["seconds"] / table["seconds"].iloc[0]
    return table[["route", "products", "distances", "seconds", "ratio"]]


def shortcut_facts(table: pd.DataFrame) -> dict:
    """What the paper cites of `shortcuts`: shares as text in percent, ratios to the product of two arrays."""
    of = table.set_index("route")
    plain, found, ids, unchunked = "each row by itself", "ids and distances", "ids", "ids, sums not in chunks"
    return {
        "products_share": percent(of.loc[ids, "products"]),
        "shared_distances": percent(of.loc[found, "distances"]),
        "doubtful_distances": percent(of.loc[ids, "distances"]),
        "doubtful_unchunked": percent(of.loc[unchunked, "distances"]),
        "plain_ratio": of.loc[plain, "ratio"],
        "search_ratio": of.loc[found, "ratio"],
        "ids_ratio": of.loc[ids, "ratio"],
        "half_ratio": of.loc[HALF, "ratio"],
    }


def _run(points, k, metric, alone, chunks, only_ids):
    factors = scales(points, metric)
    left_out, queries = np.arange(len(points)), None if alone else points
    search = Search(points, queries, factors, factors, left_out, k, metric == "cosine", None, chunks)
    search.ids() if only_ids else search.neighbors()
    return search
