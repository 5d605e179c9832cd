"""Exact search against the bare float32 product of the same vectors, and what it holds in memory beside them."""

from __future__ import annotations

import tracemalloc

import numpy as np

from neighborhood_drift.exact import exact_ids, exact_neighbors
from neighborhood_drift.exact_shortcuts import HALF, PRODUCT, shortcuts

POINTS, DIMENSIONS, K, REPEATS = 10_000, 2_048, 250, 3


def vectors() -> np.ndarray:
    """Non-negative vectors with many zeros, as pooled features of a network are, around 100 centers."""
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(100, DIMENSIONS))
    points = centers[generator.integers(0, 100, POINTS)] + generator.normal(size=(POINTS, DIMENSIONS))
    return np.maximum(points, 0).astype(np.float32)


def rows() -> list[dict]:
    points = vectors()
    shortcuts(points[:1500], k=K, repeats=1)  # compiles, and wakes the threads
    table = shortcuts(points, k=K, repeats=REPEATS)
    setting = f"n = {POINTS:,}, d = {DIMENSIONS:,}, k = {K}"
    lines = [
        {"name": f"{row.route}, {setting}", "value": row.seconds, "unit": "s", "target": ""}
        for row in table.itertuples()
    ]
    seconds = table.set_index("route")["seconds"]
    for product, limits in ((PRODUCT, ("at most 1.5", "at most 1.0")), (HALF, ("", ""))):
        for search, target in zip(("ids and distances", "ids"), limits, strict=True):
            ratio = seconds[search] / seconds[product]
            lines.append({"name": f"{search} / {product}", "value": ratio, "unit": "x", "target": target})
    for name, search in (("ids and distances", exact_neighbors), ("ids", exact_ids)):
        name = f"{name}: peak memory beyond the vectors (NumPy)"
        lines.append({"name": name, "value": _peak(search, points), "unit": "MiB", "target": "at most 1024"})
    return lines


def _peak(search, points) -> float:
    tracemalloc.start()
    try:
        search(points, k=K)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
