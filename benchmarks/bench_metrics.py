"""The drift table against per-point loops: the oracle of the tests, timed on a part of the queries."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from time import perf_counter

import numpy as np
from bench_exact import vectors

from neighborhood_drift import Neighbors
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.metrics import drift

KS = range(10, 251, 10)
EXTRA = 60  # true neighbors beyond the longest list, that stand in for those an index misses
LOOPED = 40  # queries timed in the loops, which take the same time for each


def oracles():
    path = Path(__file__).parents[1] / "tests" / "oracles.py"
    spec = importlib.util.spec_from_file_location("oracles", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows() -> list[dict]:
    points = vectors()
    wide = exact_neighbors(points, k=max(KS) + EXTRA)
    exact = wide.first(max(KS))
    returned = {k: missed(wide, k) for k in KS}
    few = np.arange(0, len(points), len(points) // LOOPED)
    looped = [exact.rows(few), {k: nb.rows(few) for k, nb in returned.items()}]
    drift(points, *looped, rows=few)  # compiles
    start = perf_counter()
    drift(points, exact, returned)
    fast = perf_counter() - start
    start = perf_counter()
    oracles().drift(points, *looped, few.tolist())
    slow = (perf_counter() - start) * len(points) / len(few)
    setting = f"{len(KS)} values of k, {len(points):,} queries"
    return [
        {"name": f"drift table, {setting}", "value": fast, "unit": "s", "target": ""},
        {"name": f"per-point loops ({len(few)} queries, scaled up)", "value": slow, "unit": "s", "target": ""},
        {"name": "loops / table", "value": slow / fast, "unit": "x", "target": "at least 50"},
    ]


def missed(wide: Neighbors, k: int) -> Neighbors:
    """The list of an index that misses a share of the true neighbors growing with k, to 13 % at k = 250."""
    count = int(0.13 * k * k / max(KS))
    keep = np.r_[np.arange(k - count), np.arange(k, k + count)]
    return Neighbors(wide.ids[:, keep], wide.distances[:, keep])
