"""The earlier studies' quantities as they were computed then, on raw FAISS answers: squared float32 distances and pads.

"Then" follows the two studies' published code term by term (data/earlier-studies/README.md says which), so that the
effect of each step can be measured. Nothing else in the study uses these functions: what is right stands in
``metrics`` and ``lid``.
"""

from __future__ import annotations

from typing import NamedTuple

import faiss
import numpy as np
from scipy import sparse

from ..checks import InputError, vectors, whole_number
from ..indexes.faiss_flat import faiss_threads
from ..law import among
from ..neighbors import MISSING

PAD = float(np.finfo(np.float32).max)  # the squared distance FAISS writes where it found no neighbor
EPS = np.float32(1e-12)


class Raw(NamedTuple):
    """A library's own answer: ``squared`` (q, k) float32 squared L2 distances, ``ids`` (q, k) int64, pads included."""

    squared: np.ndarray
    ids: np.ndarray


def flat_search(base, queries, k: int) -> Raw:
    """Exact neighbors by FAISS's ``IndexFlatL2``, the queries themselves included.

    For 20 queries or more FAISS expands |x - y|^2 = |x|^2 + |y|^2 - 2xy in float32 and sets negative results to 0,
    so that a query's distance to itself is rounding noise rather than 0.

    Parameters
    ----------
    base, queries : (n, d) and (q, d) floats
    k : int
        From 1 to n.
    """
    base = vectors(base, "base")
    queries = vectors(queries, "queries", dimension=base.shape[1])
    k = whole_number(k, "k", 1, len(base))
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    return Raw(*index.search(queries, k))


def hnsw_search(index, queries, k: int, ef: int) -> Raw:
    """Neighbors by the FAISS graph inside one of our indexes, unchanged: effort stays at efSearch, pads left in.

    Distances are summed over (x - y)^2 directly, so that a query's distance to itself is exactly 0.

    Parameters
    ----------
    index : index of engine "faiss-hnsw"
        Built with metric "l2"; its ``native`` is the ``IndexHNSWFlat`` that is asked.
    queries : (q, d) floats
    k, ef : int
        Neighbors and efSearch.
    """
    library = index.native
    if not isinstance(library, faiss.IndexHNSW) or index.metric != "l2":
        raise InputError(
            f"the index is {index.engine} with metric {index.metric}; the earlier studies used faiss-hnsw with l2."
        )
    queries = vectors(queries, "queries", dimension=library.d)
    k, ef = whole_number(k, "k", 1, library.ntotal), whole_number(ef, "ef", 1)
    with faiss_threads(index.threads):
        # Without efSearch= the parameter object would reset it to 16.
        return Raw(*library.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=ef)))


def overlap(exact_ids, approx_ids) -> np.ndarray:
    """(q,) share of the k exact ids that were returned; where the query is in both lists it counts as a hit.

    >>> overlap(np.array([[0, 5]]), np.array([[0, 7]]))
    array([0.5])
    """
    return among(exact_ids, approx_ids).mean(axis=1)


def lid(squared) -> np.ndarray:
    """LID from squared distances with 1e-12 added twice, every entry of the list taken as a neighbor.

    -1 / mean_{i<k} ln(d_i / (d_k + eps) + eps), all in float32. Squared distances halve it; a query's own zero
    distance adds a term of ln(1e-12) = -27.6; a pad takes the place of d_k.

    Parameters
    ----------
    squared : (q, k) float32, k >= 2

    Returns
    -------
    (q,) float32

    Examples
    --------
    >>> d = np.array([[1.0, 2.0, 4.0]], dtype=np.float32)
    >>> float(lid(d**2)[0] / lid(d)[0])
    0.5
    """
    squared = np.asarray(squared, dtype=np.float32)
    if squared.ndim != 2 or squared.shape[1] < 2:
        raise InputError(f"squared has shape {squared.shape}; it must be 2-d with at least two distances a row.")
    ratios = squared[:, :-1] / (squared[:, -1:] + EPS)
    with np.errstate(divide="ignore"):
        return np.float32(-1) / np.log(ratios + EPS).mean(axis=1)


def mean_distances(exact_squared, approx_squared) -> tuple[float, float, int]:
    """Means of exact and of approximate squared distances, the rows whose own mean is infinite left out of both.

    A row's mean is summed in float32. One pad in it stays finite (3.4e38 / k) and is kept; two or more
    overflow, and that query leaves both means, the exact one too.

    Returns
    -------
    exact, approx : float
        nan where no row is left.
    left_out : int
        Rows left out; the studies did not report it.

    Examples
    --------
    >>> exact = np.array([[1, 2], [1, 4], [3, 5]], dtype=np.float32)
    >>> approx = np.array([[1, 2], [1, PAD], [PAD, PAD]], dtype=np.float32)
    >>> e, a, left_out = mean_distances(exact, approx)
    >>> e, left_out, round(a / PAD, 6)
    (2.0, 1, 0.25)
    """
    with np.errstate(over="ignore"):
        exact = np.asarray(exact_squared, dtype=np.float32).mean(axis=1)
        approx = np.asarray(approx_squared, dtype=np.float32).mean(axis=1)
        kept = np.isfinite(exact) & np.isfinite(approx)
        if not kept.any():
            return float("nan"), float("nan"), len(kept)
        return float(exact[kept].mean()), float(approx[kept].mean()), int((~kept).sum())


def barycenter_shift(base, exact_ids, approx_ids) -> np.ndarray:
    """(q,) L2 distance between the means of the two lists' points; id -1 takes the last row of ``base``.

    The lists' common points cancel, so only their difference is summed; the studies averaged each list, which
    agrees to float32 rounding.

    >>> base = np.array([[0.0], [1.0], [5.0]])
    >>> barycenter_shift(base, [[0, 1]], [[0, -1]])
    array([2.], dtype=float32)
    """
    base = np.asarray(base, dtype=np.float32)
    exact_ids, approx_ids = (np.asarray(ids, dtype=np.int64) % len(base) for ids in (exact_ids, approx_ids))
    q, k = exact_ids.shape
    rows = np.repeat(np.arange(q), k)
    shape = (q, len(base))
    weights = np.full(q * k, 1.0 / k, dtype=np.float32)
    difference = sparse.csr_matrix((weights, (rows, exact_ids.ravel())), shape)
    difference -= sparse.csr_matrix((weights, (rows, approx_ids.ravel())), shape)
    difference.eliminate_zeros()
    return np.linalg.norm(difference @ base, axis=1)


def seed_columns(base, exact: Raw, approx: Raw) -> dict[str, float]:
    """One row of the first study's table: lists of k that begin with the query itself, squared distances.

    Parameters
    ----------
    base : (n, d) floats
    exact, approx : Raw
        From :func:`flat_search` and :func:`hnsw_search` with the same k and queries.
    """
    lid_exact, lid_ann = float(lid(exact.squared).mean()), float(lid(approx.squared).mean())
    with np.errstate(over="ignore"):
        return {
            "mean_overlap": float(overlap(exact.ids, approx.ids).mean()),
            "similarity_k_exact": float(exact.squared[:, -1].mean()),
            "similarity_k_ann": float(approx.squared[:, -1].mean()),
            "lid_exact_mean": lid_exact,
            "lid_ann_mean": lid_ann,
            "lid_diff_mean": lid_ann - lid_exact,
            "barycenter_shift_mean": float(barycenter_shift(base, exact.ids, approx.ids).mean()),
        }


def successor_columns(base, exact: Raw, approx: Raw) -> dict[str, float]:
    """One row of the second study's table, from lists of k + 1 whose first column is dropped as the query.

    Dropped by place: where a search did not return the query, its nearest neighbor goes instead.

    Parameters
    ----------
    base : (n, d) floats
    exact, approx : Raw
        From :func:`flat_search` and :func:`hnsw_search` with the same k + 1 and queries.

    Returns
    -------
    dict
        The published columns, and beside them ``left_out`` (rows left out of the mean distances),
        ``one_missing`` (rows with exactly one pad) and ``padded`` (rows with any).
    """
    exact, approx = (Raw(raw.squared[:, 1:], raw.ids[:, 1:]) for raw in (exact, approx))
    mean_exact, mean_ann, left_out = mean_distances(exact.squared, approx.squared)
    radius = exact.squared.mean(axis=1)
    shift = barycenter_shift(base, exact.ids, approx.ids)
    shift = np.divide(shift, radius, out=np.zeros_like(shift), where=radius > 0)
    lid_exact, lid_ann = float(lid(exact.squared).mean()), float(lid(approx.squared).mean())
    missing = (approx.ids == MISSING).sum(axis=1)
    return {
        "mean_overlap": float(overlap(exact.ids, approx.ids).mean()),
        "mean_exact_dist": mean_exact,
        "mean_ann_dist": mean_ann,
        "mean_barycenter_shift": float(shift.mean()),
        "mean_lid_exact": lid_exact,
        "mean_lid_ann": lid_ann,
        "mean_lid_diff": lid_ann - lid_exact,
        "left_out": left_out,
        "one_missing": int((missing == 1).sum()),
        "padded": int((missing > 0).sum()),
    }
