"""Exact search against the bare float32 product of the same vectors, and what it holds in memory beside them."""

from __future__ import annotations

import tracemalloc
from time import perf_counter

import numpy as np

from neighborhood_drift.exact import exact_neighbors

POINTS, DIMENSIONS, K, REPEATS = 10_000, 2_048, 250, 3


def vectors() -> np.ndarray:
    """Non-negative vectors with many zeros, as pooled features of a network are, around 100 centers."""
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(100, DIMENSIONS))
    points = centers[generator.integers(0, 100, POINTS)] + generator.normal(size=(POINTS, DIMENSIONS))
    return np.maximum(points, 0).astype(np.float32)


def seconds(call) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def rows() -> list[dict]:
    points = vectors()
    exact_neighbors(points[:500], k=K)  # compiles, and wakes the threads
    product, search = [], []
    for _ in range(REPEATS):
        product.append(seconds(lambda: points @ points.T))
        search.append(seconds(lambda: exact_neighbors(points, k=K)))
    tracemalloc.start()
    exact_neighbors(points, k=K)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    setting = f"n = {POINTS:,}, d = {DIMENSIONS:,}, k = {K}"
    return [
        {"name": f"bare float32 product, {setting}", "value": min(product), "unit": "s", "target": ""},
        {"name": "exact search, leave-one-out", "value": min(search), "unit": "s", "target": ""},
        {"name": "search / product", "value": min(search) / min(product), "unit": "x", "target": "at most 2.5"},
        {"name": "peak memory beyond the vectors (NumPy)", "value": peak, "unit": "MiB", "target": "at most 1024"},
    ]
