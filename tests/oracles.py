"""The definitions as plain loops over queries and points: what tests compare with and benchmarks race against."""

from __future__ import annotations

import math

import numpy as np


def distance(x, y, metric="l2"):
    """Distance of two vectors in float64."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if metric == "cosine":
        return 1.0 - float(x @ y) / math.sqrt(float(x @ x) * float(y @ y))
    return math.sqrt(float(((x - y) ** 2).sum()))


def exact_neighbors(base, queries, k, metric="l2", exclude=None):
    """(q, k) ids and distances: every distance measured, sorted by (distance, id)."""
    ids, distances = [], []
    for i, query in enumerate(queries):
        pairs = [(distance(query, point, metric), j) for j, point in enumerate(base)]
        if exclude is not None:
            pairs = [pair for pair in pairs if pair[1] != exclude[i]]
        nearest = sorted(pairs)[:k]
        ids.append([j for _, j in nearest])
        distances.append([length for length, _ in nearest])
    return np.array(ids), np.array(distances)


def overlap(exact_ids, ids):
    true = {j for j in exact_ids if j >= 0}
    return len(true & set(ids)) / len(true) if true else math.nan


def tie_aware_recall(exact_distances, ids, distances, rtol=1e-6):
    true = [r for r in exact_distances if r < math.inf]
    if not true:
        return math.nan
    within = {j for j, r in zip(ids, distances, strict=True) if j >= 0 and r <= true[-1] * (1 + rtol)}
    return min(len(within), len(true)) / len(true)


def mean_distance(distances):
    found = [r for r in distances if r < math.inf]
    return sum(found) / len(found) if found else math.nan


def kth_distance(distances):
    found = [r for r in distances if r < math.inf]
    return found[-1] if found else math.nan


def barycenter_shift(base, exact_ids, ids):
    true, returned = [j for j in exact_ids if j >= 0], [j for j in ids if j >= 0]
    if not true or not returned:
        return math.nan
    difference = base[true].mean(axis=0, dtype=np.float64) - base[returned].mean(axis=0, dtype=np.float64)
    return math.sqrt(float(difference @ difference))


def lid(distances):
    positive = [r for r in distances if 0 < r < math.inf]
    if len(set(positive)) < 2:
        return math.nan
    return -(len(positive) - 1) / sum(math.log(r / positive[-1]) for r in positive[:-1])


def drift(base, exact, approx_by_k, names, metric="l2"):
    """One dict a k and query, as the columns of `metrics.drift`; every returned point is measured directly."""
    rows = []
    for k, approx in approx_by_k.items():
        for i, query in enumerate(names):
            true_ids, true = exact.ids[i, :k].tolist(), exact.distances[i, :k].tolist()
            found = [j for j in approx.ids[i].tolist() if j >= 0]
            difference = base[found].astype(np.float64) - base[query].astype(np.float64)
            lengths = np.sqrt((difference**2).sum(axis=1)).tolist()
            missing = k - len(found)
            pairs = sorted(zip(lengths, found, strict=True)) + [(math.inf, -1)] * missing
            distances, ids = [r for r, _ in pairs], [j for _, j in pairs]
            shift = barycenter_shift(base, true_ids, ids)
            row = {
                "k": k,
                "query": query,
                "overlap": overlap(true_ids, ids),
                "tie_aware_recall": tie_aware_recall(true, ids, distances),
                "mean_distance_exact": mean_distance(true),
                "mean_distance": mean_distance(distances),
                "kth_distance_exact": kth_distance(true),
                "kth_distance": kth_distance(distances),
                "barycenter_shift_raw": shift,
                "barycenter_shift": shift / mean_distance(true) if mean_distance(true) else math.nan,
                "lid_exact": lid(true),
                "lid": lid(distances),
                "missing_share": missing / k,
            }
            row["lid_difference"] = row["lid"] - row["lid_exact"]
            for name in ("mean_distance", "kth_distance"):
                true_length = row[f"{name}_exact"]
                row[f"{name}_ratio"] = row[name] / true_length if true_length else math.nan
            rows.append(row)
    return rows
