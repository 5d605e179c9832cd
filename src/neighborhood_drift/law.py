"""Why overlap falls with k: the chance that the r-th true neighbor was visited, and a law for it with two constants.

A search that visits the same points whatever k is (FAISS's default: effort stays at ef) returns the nearest k of them.
Then the r-th true neighbor is among the k >= r returned if and only if it was visited, and the mean overlap at k is
the mean over r <= k of the visit probability p(r): one search at the largest k gives the whole curve.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from . import kernels
from .checks import InputError, whole_number
from .neighbors import MISSING, Neighbors


class Law(NamedTuple):
    """The constants of p(r) = 1 / (1 + (r / (a ef))^b): at rank a x ef half of the true neighbors are visited."""

    a: float
    b: float


def among(ids, lists) -> np.ndarray:
    """Tell, row by row, which ``ids`` stand anywhere in the same row of ``lists``.

    Parameters
    ----------
    ids, lists : (q, k) and (q, m) integers
        Row numbers of the base; -1 (missing) is never found, an id repeated in a row of ``ids`` only once.

    Returns
    -------
    (q, k) bool

    Examples
    --------
    >>> among([[4, 7, -1]], [[7, 9, -1]])
    array([[False,  True, False]])
    """
    ids, lists = np.asarray(ids, dtype=np.int64), np.asarray(lists, dtype=np.int64)
    if ids.ndim != 2 or lists.ndim != 2 or len(ids) != len(lists):
        raise InputError(f"ids {ids.shape} and lists {lists.shape} must be 2-d with one row a query.")
    points = max(ids.max(initial=MISSING), lists.max(initial=MISSING)) + 1
    rank = np.empty(ids.shape, np.int32)
    kernels.ranks(lists, ids, points, rank)
    return rank >= 0


def visit_probability(exact: Neighbors, approx: Neighbors) -> np.ndarray:
    """Estimate p(r), the chance that the r-th true neighbor is among the points returned, for r = 1 to k.

    Parameters
    ----------
    exact : Neighbors
        The k true neighbors of each query.
    approx : Neighbors
        One search for at least as many; a missing neighbor counts as not visited.

    Returns
    -------
    (k,) float64
        Share of the queries whose r-th true neighbor was returned. Among equal distances the rank is that of
        ``exact`` (lower id first).

    Examples
    --------
    >>> exact = Neighbors([[3, 5], [4, 6]], [[1.0, 2.0], [1.0, 2.0]])
    >>> visit_probability(exact, Neighbors([[3, 8], [4, 6]], [[1.0, 3.0], [1.0, 2.0]]))
    array([1. , 0.5])
    """
    if len(exact.ids) != len(approx.ids):
        raise InputError(f"exact has {len(exact.ids)} queries and approx {len(approx.ids)}; both must have the same.")
    if approx.k < exact.k:
        raise InputError(f"approx holds {approx.k} neighbors; at least the {exact.k} of exact are needed.")
    return among(exact.ids, approx.ids).mean(axis=0)


def overlap_from_visits(p) -> np.ndarray:
    """Mean overlap at every k that visit probabilities imply: the mean of p(1) to p(k).

    >>> overlap_from_visits([1.0, 0.5, 0.0])
    array([1.  , 0.75, 0.5 ])
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not p.size or not np.isfinite(p).all():
        raise InputError(f"p has shape {p.shape}; it must be a list of at least one finite probability.")
    return np.cumsum(p) / np.arange(1, p.size + 1)


def predict(law: Law, ef: int, k: int) -> np.ndarray:
    """Visit probability p(1) to p(k) at search effort ``ef`` under the law.

    >>> predict(Law(a=1.0, b=2.0), ef=2, k=4).round(3)
    array([0.8  , 0.5  , 0.308, 0.2  ])
    """
    ef, k = whole_number(ef, "ef", 1), whole_number(k, "k", 1)
    return 1.0 / (1.0 + (np.arange(1, k + 1) / (law.a * ef)) ** law.b)


def fit(p_by_ef: dict[int, np.ndarray]) -> Law:
    """Fit p(r) = 1 / (1 + (r / (a ef))^b) to measured visit probabilities, by least squares over all ranks.

    Parameters
    ----------
    p_by_ef : dict
        Search effort -> (k,) measured p(r), as :func:`visit_probability` gives it. Every rank weighs the same.

    Returns
    -------
    Law
        a (no unit: ranks for each unit of ef) and b (the steepness), both positive.

    Examples
    --------
    >>> planted = Law(a=3.0, b=2.0)
    >>> law = fit({ef: predict(planted, ef, 200) for ef in (25, 100)})
    >>> round(law.a, 6), round(law.b, 6)
    (3.0, 2.0)
    """
    if not p_by_ef:
        raise InputError("no visit probabilities given; the fit needs those of at least one ef.")

    def residuals(logs):
        law = Law(*np.exp(logs))
        return np.concatenate([predict(law, ef, len(p)) - p for ef, p in p_by_ef.items()])

    # The logarithms keep a and b positive; half visited at r = 3 ef, with slope 2, is where measured curves lie.
    solution = least_squares(residuals, np.log([3.0, 2.0]))
    return Law(*(float(value) for value in np.exp(solution.x)))


def errors(law: Law, p_by_ef: dict[int, np.ndarray], fitted) -> pd.DataFrame:
    """How far the law is from measured visit probabilities, and from the overlaps that follow from them.

    Parameters
    ----------
    law : Law
    p_by_ef : dict
        Search effort -> (k,) measured p(r).
    fitted : collection of int
        The efforts that the law was fitted on; the others test it.

    Returns
    -------
    DataFrame
        One row an effort: ef, use ("fitted" or "predicted"), rmse and largest_error of p(r) over the ranks, and
        largest_overlap_error, that of the mean overlap over all k.
    """
    rows = []
    for ef, p in sorted(p_by_ef.items()):
        of_p = predict(law, ef, len(p)) - p
        of_overlap = overlap_from_visits(of_p)
        rows.append(
            {
                "ef": ef,
                "use": "fitted" if ef in fitted else "predicted",
                "rmse": float(np.sqrt(np.mean(of_p**2))),
                "largest_error": float(np.abs(of_p).max()),
                "largest_overlap_error": float(np.abs(of_overlap).max()),
            }
        )
    return pd.DataFrame(rows)
