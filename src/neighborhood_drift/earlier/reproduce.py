"""The earlier studies' sweeps on our vectors: each published column as it was computed then, beside the right one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..checks import InputError, vectors, whole_number
from ..metrics import drift
from ..neighbors import MISSING, Neighbors
from . import then
from .then import Raw

# Published column -> the right column of the drift table it is set beside.
RIGHT = {
    "mean_overlap": "overlap",
    "similarity_k_exact": "kth_distance_exact",
    "similarity_k_ann": "kth_distance",
    "mean_exact_dist": "mean_distance_exact",
    "mean_ann_dist": "mean_distance",
    "lid_exact_mean": "lid_exact",
    "lid_ann_mean": "lid",
    "lid_diff_mean": "lid_difference",
    "mean_lid_exact": "lid_exact",
    "mean_lid_ann": "lid",
    "mean_lid_diff": "lid_difference",
    "barycenter_shift_mean": "barycenter_shift_raw",
    "mean_barycenter_shift": "barycenter_shift",
}
# The parts of the published LID difference, in the order in which lid_gap takes them away.
GAP = ("self_arithmetic", "neighbors_lost", "query_lost", "pads")


def _lid_of_found(squared: np.ndarray, found: np.ndarray) -> np.ndarray:
    """``then.lid`` over the first ``found`` entries of each row only, in float64; nan below two."""
    inside = np.arange(squared.shape[1]) < found[:, None] - 1
    last = np.take_along_axis(squared, np.maximum(found - 1, 0)[:, None], axis=1)
    ratios = np.where(inside, squared, 1.0) / (np.where(found > 0, last[:, 0], 1.0)[:, None] + 1e-12)
    total = np.where(inside, np.log(ratios + 1e-12), 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(found > 1, -(found - 1) / total, np.nan)


def lid_gap(exact: Neighbors, flat: Raw, approx: Raw, rows) -> dict[str, float]:
    """Take the first study's LID difference apart into steps that sum to it.

    From the published exact value to the published approximate one, a change at a time: the exact neighbors measured
    directly, as HNSW measures them, so that a query is at distance 0 of itself (``self_arithmetic``, the control);
    then HNSW's neighbors in their place, query and no pads in every list (``neighbors_lost``); then the query only
    where HNSW returned it (``query_lost``); then the pads as distances (``pads``). Only the second is drift.

    Parameters
    ----------
    exact : Neighbors
        (q, k - 1 or more) leave-one-out neighbors.
    flat, approx : Raw
        (q, k), k >= 2, the query included.
    rows : (q,) integers
        The base ids of the queries.

    Returns
    -------
    dict
        ``gap`` (mean LID of ``approx`` minus that of ``flat``), the four steps, and ``control_lid``, the mean LID of
        the exact neighbors measured directly.
    """
    k = flat.squared.shape[1]
    if exact.k < k - 1:
        raise InputError(f"exact holds {exact.k} neighbors; {k - 1} are needed beside the query.")
    rows = np.asarray(rows)
    zero = np.zeros((len(rows), 1))
    full = np.full(len(rows), k)

    found = (approx.ids != MISSING).sum(axis=1)
    lost = ~(approx.ids == rows[:, None]).any(axis=1)
    shifted = np.concatenate([zero, approx.squared[:, :-1]], axis=1)
    with_query = np.where(lost[:, None], shifted, approx.squared)
    found_with_query = np.where(lost, np.minimum(found + 1, k), found)

    values = [
        float(then.lid(flat.squared).mean()),
        float(_lid_of_found(np.concatenate([zero, exact.distances[:, : k - 1] ** 2], axis=1), full).mean()),
        float(np.nanmean(_lid_of_found(with_query, found_with_query))),
        float(np.nanmean(_lid_of_found(approx.squared, found))),
        float(then.lid(approx.squared).mean()),
    ]
    return {
        "gap": values[-1] - values[0],
        **dict(zip(GAP, np.diff(values).tolist(), strict=True)),
        "control_lid": values[1],
    }


def _right(drifted: pd.DataFrame, columns) -> pd.DataFrame:
    """Means over queries of the right metrics, a row each k, named ``right_`` + the published column."""
    means = drifted.groupby("k")[sorted({RIGHT[name] for name in columns} | {"missing_share"})].mean()
    right = {f"right_{name}": means[RIGHT[name]] for name in columns}
    return pd.DataFrame({**right, "missing_share": means["missing_share"]})


def seed_study(base, index, exact: Neighbors, *, ks, ef: int = 50, rows=None, drifted=None) -> pd.DataFrame:
    """Repeat the first study's sweep over k on ``index``.

    Parameters
    ----------
    base : (n, d) floats
        Squared L2 distances are compared, as in the study, whatever metric the rest of a notebook uses.
    index : index of engine "faiss-hnsw", metric "l2"
    exact : Neighbors
        Leave-one-out L2 neighbors of the queries, k at least the largest of ``ks``.
    ks : iterable of int
        Lengths of the lists, the query counted in them as in the study; at least 2.
    ef : int, default 50
    rows : (q,) integers, optional
        Base ids of the queries; default all points, as in the study.
    drifted : DataFrame, optional
        ``metrics.drift`` of the same searches without the query, where it is at hand; else it is computed.

    Returns
    -------
    DataFrame
        One row a k: k, the published columns as computed then, each right value beside it as ``right_...`` (mean over
        queries; distances not squared, the query never counted), missing_share, padded (queries with a pad), and the
        parts of the LID difference from :func:`lid_gap`.
    """
    base = vectors(base, "base")
    rows = np.arange(len(base)) if rows is None else np.asarray(rows)
    ks = [whole_number(int(k), "k", 2, exact.k) for k in ks]
    queries = base[rows]
    flat = then.flat_search(base, queries, max(ks))
    if drifted is None:
        returned = {k: index.search(queries, k, ef=ef, exclude_self=rows) for k in ks}
        drifted = drift(base, exact, returned, rows=rows)
    table = []
    for k in ks:
        cut, approx = Raw(flat.squared[:, :k], flat.ids[:, :k]), then.hnsw_search(index, queries, k, ef)
        padded = int((approx.ids == MISSING).any(axis=1).sum())
        columns = then.seed_columns(base, cut, approx)
        table.append({"k": k, **columns, "padded": padded, **lid_gap(exact, cut, approx, rows)})
    table = pd.DataFrame(table)
    published = [name for name in table if name in RIGHT]
    return table.join(_right(drifted, published), on="k")


def successor_study(base, index, *, ks, efs, rows=None) -> pd.DataFrame:
    """Repeat the second study's sweep over k and efSearch on ``index``, as it was computed then.

    Parameters
    ----------
    base, index, rows
        As for :func:`seed_study`.
    ks, efs : iterables of int

    Returns
    -------
    DataFrame
        One row an ef and k: ef, k, queries, the published columns, and left_out, one_missing, padded (queries).
    """
    base = vectors(base, "base")
    rows = np.arange(len(base)) if rows is None else np.asarray(rows)
    queries, ks = base[rows], [whole_number(int(k), "k", 2, len(base) - 1) for k in ks]
    flat = then.flat_search(base, queries, max(ks) + 1)
    table = []
    for ef in efs:
        for k in ks:
            cut = Raw(flat.squared[:, : k + 1], flat.ids[:, : k + 1])
            columns = then.successor_columns(base, cut, then.hnsw_search(index, queries, k + 1, ef))
            table.append({"ef": int(ef), "k": k, "queries": len(rows), **columns})
    return pd.DataFrame(table)
