"""How far a returned neighbor list stands from the exact one, query by query."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import kernels
from .checks import METRICS, InputError, one_of, vectors, whole_number
from .exact import checked_ids, scales
from .lid import lid, lid_curve
from .neighbors import Neighbors


def overlap(exact: Neighbors, approx: Neighbors) -> np.ndarray:
    """Share of the k true ids that were returned.

    Parameters
    ----------
    exact, approx : Neighbors
        Lists of the same queries, both (q, k).

    Returns
    -------
    (q,) float64
        From 0 to 1, whatever the order within the lists; a repeated id counts once, a missing slot not at all. The
        share is of the ids that ``exact`` holds; nan where it holds none. Ties: only the id counts; see
        `tie_aware_recall`.

    Raises
    ------
    InputError
        If the two have different shapes.

    Examples
    --------
    >>> exact = Neighbors([[1, 2]], [[1.0, 2.0]])
    >>> overlap(exact, Neighbors([[2, 3]], [[2.0, 3.0]]))
    array([0.5])
    """
    return _overlap(exact, _ranks(exact, approx))


def tie_aware_recall(exact: Neighbors, approx: Neighbors, rtol: float = 1e-6) -> np.ndarray:
    """Share of the k slots that hold a point no farther than (1 + rtol) times the k-th true distance.

    Parameters
    ----------
    exact, approx : Neighbors
        Lists of the same queries, both (q, k), with distances by the same arithmetic.
    rtol : float, default 1e-6
        Relative tolerance, finite and at least 0; 1e-6 is large enough for float32 distances, and far below a
        neighbor's worth of distance.

    Returns
    -------
    (q,) float64
        From 0 to 1; another point at the same distance counts, a repeated id once, a missing slot not at all. If
        ``exact`` has missing slots, the last true distance found is the k-th and the share is of those found; nan
        where none was found.

    Raises
    ------
    InputError
        If the two have different shapes, or ``rtol`` is negative or not finite.

    Notes
    -----
    The recall of Aumüller, Bernhardsson and Faithfull (2020), section 2, with a relative tolerance in place of an
    absolute one.

    Examples
    --------
    >>> exact = Neighbors([[1, 2]], [[1.0, 2.0]])
    >>> tie_aware_recall(exact, Neighbors([[1, 3]], [[1.0, 2.0]]))
    array([1.])
    """
    if not 0 <= rtol < np.inf:
        raise InputError(f"rtol is {rtol}; it must be a finite number of at least 0.")
    return _tie_aware_recall(exact, approx, _ranks(exact, approx), rtol)


def mean_distance(nb: Neighbors) -> np.ndarray:
    """(q,) mean distance over the neighbors found, in the unit of ``nb``; nan where none was found.

    >>> mean_distance(Neighbors([[4, 7, -1]], [[1.0, 2.0, np.inf]]))
    array([1.5])
    """
    known = np.isfinite(nb.distances)
    return _ratio(nb.distances.sum(axis=1, where=known), nb.found)


def kth_distance(nb: Neighbors) -> np.ndarray:
    """(q,) distance of the last neighbor found, in the unit of ``nb``; nan where none was found.

    >>> kth_distance(Neighbors([[4, 7, -1]], [[1.0, 2.0, np.inf]]))
    array([2.])
    """
    found = nb.found
    if not nb.k:
        return np.full(len(found), np.nan)
    last = np.take_along_axis(nb.distances, np.maximum(found - 1, 0)[:, None], axis=1)[:, 0]
    return np.where(found > 0, last, np.nan)


def barycenter_shift(
    base, exact: Neighbors, approx: Neighbors, *, normalize: bool = True, metric: str = "l2"
) -> np.ndarray:
    """Distance between the mean of the true neighbors and the mean of the returned ones.

    Parameters
    ----------
    base : (n, d) array
        The points that the ids name.
    exact, approx : Neighbors
        Lists of the same queries, both (q, k).
    normalize : bool, default True
        Divide by the query's mean true distance, which makes the shift free of unit.
    metric : {"l2", "cosine"}
        ``"cosine"``: vectors are divided by their lengths first, and distances are turned from c = 1 - cos into the
        Euclidean distance sqrt(2 c) between them.

    Returns
    -------
    (q,) float64
        Missing slots are left out of the means; nan where either list is empty, or where the mean true
        distance to divide by is 0.

    Raises
    ------
    InputError
        If the shapes differ or an id is not a row of the base.

    Notes
    -----
    Points in both lists cancel where the lists are equally long, so only the symmetric difference is summed, in
    float64.

    Examples
    --------
    >>> base = [[0.0], [1.0], [2.0], [4.0]]
    >>> exact = Neighbors([[1, 2]], [[1.0, 2.0]])
    >>> approx = Neighbors([[1, 3]], [[1.0, 4.0]])
    >>> barycenter_shift(base, exact, approx, normalize=False)
    array([1.])
    """
    found = _ranks(exact, approx)
    base = vectors(base, "base", metric=metric)
    checked_ids(exact.ids, len(exact.ids), len(base))
    checked_ids(approx.ids, len(exact.ids), len(base))
    shift = _barycenter_shift(base, scales(base, metric), exact, approx, found)
    return _ratio(shift, _mean_length(exact, metric)) if normalize else shift


def drift(base, exact: Neighbors, approx_by_k: dict, *, queries=None, rows=None, metric: str = "l2") -> pd.DataFrame:
    """Compare the lists returned at each k with the exact ones, query by query.

    Parameters
    ----------
    base : (n, d) array
        The points that the ids name.
    exact : Neighbors
        (q, K) exact neighbors, K at least the largest k; the first k are the exact neighbors for k.
    approx_by_k : dict of int to Neighbors
        The lists returned when k neighbors were asked for, each (q, k).
    queries : (q, d) array, optional
        The vectors asked for, where they are not points of the base.
    rows : (q,) integers, optional
        The base points asked, leave-one-out; without ``queries`` and ``rows`` all base points, in order.
    metric : {"l2", "cosine"}

    Returns
    -------
    DataFrame
        One row a k and query, sorted so. Columns: k, query (the base row, or the position in ``queries``), overlap,
        tie_aware_recall, mean_distance_exact, mean_distance, mean_distance_ratio, kth_distance_exact, kth_distance,
        kth_distance_ratio, barycenter_shift_raw, barycenter_shift, lid_exact, lid, lid_difference (returned minus
        exact), missing_share. A ratio to a true distance of 0 is nan, and so is what missing slots leave undefined.

    Raises
    ------
    InputError
        If there are no lists, the lists do not belong to the same queries, ``exact`` is shorter than a k, an id is not
        a row of the base, or a vector is of zeros (``metric="cosine"``).

    Notes
    -----
    What engines report as distance (float32, often squared) is not used: each returned point has the distance of the
    exact list where it stands there, and is measured directly in float64 otherwise; the returned list is sorted by it.

    Examples
    --------
    >>> exact = Neighbors([[1, 2], [0, 2], [1, 0]], [[1.0, 3.0], [1.0, 2.0], [2.0, 3.0]])
    >>> returned = Neighbors([[1], [2], [1]], [[1.0], [2.0], [2.0]])
    >>> drift([[0.0], [1.0], [3.0]], exact, {1: returned})[["k", "query", "overlap", "mean_distance_ratio"]]
       k  query  overlap  mean_distance_ratio
    0  1      0      1.0                  1.0
    1  1      1      0.0                  2.0
    2  1      2      1.0                  1.0
    """
    one_of(metric, METRICS, "metric")
    base = vectors(base, "base", metric=metric)
    asked, names = _asked(base, len(exact.ids), queries, rows, metric)
    _check_lists(exact, approx_by_k)
    checked_ids(exact.ids, len(exact.ids), len(base))
    factors, asked_factors = scales(base, metric), scales(asked, metric)
    exact_lid = lid_curve(exact.distances)
    tables = []
    for k in sorted(approx_by_k):
        truth = exact.first(k)
        returned = _measured(base, factors, asked, asked_factors, exact, approx_by_k[k], metric)
        found = _ranks(truth, returned)
        table = {"k": k, "query": names, "overlap": _overlap(truth, found)}
        table["tie_aware_recall"] = _tie_aware_recall(truth, returned, found)
        for name, measure in (("mean_distance", mean_distance), ("kth_distance", kth_distance)):
            table[f"{name}_exact"], table[name] = measure(truth), measure(returned)
            table[f"{name}_ratio"] = _ratio(table[name], table[f"{name}_exact"])
        shift = _barycenter_shift(base, factors, truth, returned, found)
        table["barycenter_shift_raw"] = shift
        table["barycenter_shift"] = _ratio(shift, _mean_length(truth, metric))
        table["lid_exact"], table["lid"] = exact_lid[:, k - 1], lid(returned)
        table["lid_difference"] = table["lid"] - table["lid_exact"]
        table["missing_share"] = 1 - returned.found / k
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def _check_lists(exact, approx_by_k):
    if not approx_by_k:
        raise InputError("approx_by_k is empty; it must hold the lists of at least one k.")
    for k, returned in approx_by_k.items():
        whole_number(k, "k", 1, exact.k)
        if returned.ids.shape != (len(exact.ids), k):
            raise InputError(f"the lists for k = {k} have shape {returned.ids.shape}; needed is {(len(exact.ids), k)}.")


def _asked(base, count, queries, rows, metric):
    """The query vectors and their names in the table."""
    if queries is not None:
        if rows is not None:
            raise InputError("give queries (vectors) or rows (points of the base), not both.")
        queries = vectors(queries, "queries", metric=metric, dimension=base.shape[1])
        names = np.arange(len(queries))
    else:
        names = (
            np.arange(len(base)) if rows is None else checked_ids(np.asarray(rows)[:, None], len(rows), len(base))[:, 0]
        )
        queries = base[names]
    if len(queries) != count:
        raise InputError(f"there are {len(queries)} queries, and lists of {count}; both must agree.")
    return queries, names


def _measured(base, factors, asked, asked_factors, exact, returned, metric):
    """The returned lists with float64 distances, sorted by them."""
    ids = checked_ids(returned.ids, len(asked), len(base)).copy()
    found = np.empty(ids.shape, np.int32)
    kernels.ranks(exact.ids, ids, len(base), found)
    distances = np.empty(ids.shape)
    cosine = metric == "cosine"
    kernels.measure(base, factors, asked, asked_factors, cosine, exact.distances, found, ids, distances)
    kernels.sort_lists(ids, distances)
    return Neighbors(ids, distances, returned.self_found)


def _mean_length(nb, metric):
    return mean_distance(nb if metric == "l2" else Neighbors(nb.ids, np.sqrt(2.0 * nb.distances)))


def _ranks(exact, approx):
    """Where each returned id stands in the exact list: see `kernels.ranks`."""
    if exact.ids.shape != approx.ids.shape:
        raise InputError(f"the lists have shapes {exact.ids.shape} and {approx.ids.shape}; both must be one (q, k).")
    found = np.empty(approx.ids.shape, np.int32)
    points = max(exact.ids.max(initial=-1), approx.ids.max(initial=-1)) + 1
    kernels.ranks(exact.ids, approx.ids, points, found)
    return found


def _overlap(exact, found):
    return _ratio((found >= 0).sum(axis=1), exact.found)


def _tie_aware_recall(exact, approx, found, rtol=1e-6):
    reach = kth_distance(exact)[:, None] * (1 + rtol)
    within = ((approx.distances <= reach) & (found != kernels.REPEATED)).sum(axis=1)
    return _ratio(np.minimum(within, exact.found), exact.found)


def _barycenter_shift(base, factors, exact, approx, found):
    shift = np.empty(len(exact.ids))
    kernels.barycenter_shifts(base, factors, exact.ids, approx.ids, found, shift)
    return shift


def _ratio(part, whole):
    """``part / whole``, nan where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=np.asarray(whole) != 0)
