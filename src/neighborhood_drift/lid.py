"""Local intrinsic dimensionality (LID) of each query, by maximum likelihood from its neighbor distances."""

from __future__ import annotations

import numpy as np

from .checks import InputError, whole_number
from .neighbors import Neighbors


def lid_curve(distances) -> np.ndarray:
    """Estimate the LID of each query from its first 1, 2, ..., k distances at once.

    Parameters
    ----------
    distances : (q, k) floats
        Ascending distances, never squared (squaring halves the estimate); missing neighbors infinite and last.

    Returns
    -------
    (q, k) float64
        Column j holds the estimate from the first j + 1 slots; see `lid`.

    Raises
    ------
    InputError
        If ``distances`` is not 2-d.

    Examples
    --------
    >>> lid_curve([[0.0, 1.0, 2.0, 4.0]]).round(3)
    array([[  nan,   nan, 1.443, 0.962]])
    """
    distances = np.asarray(distances, dtype=np.float64)
    if distances.ndim != 2:
        raise InputError(f"distances have shape {distances.shape}; they must be 2-d, one row a query.")
    logs, usable = _logs(distances)
    return _estimate(np.cumsum(usable, axis=1), np.cumsum(logs, axis=1), np.maximum.accumulate(logs, axis=1))


def lid(nb: Neighbors) -> np.ndarray:
    """Estimate the LID of each query: -1 / mean over i < k of ln(r_i / r_k).

    Parameters
    ----------
    nb : Neighbors
        Distances r_1 <= ... <= r_k that are lengths, never squared.

    Returns
    -------
    (q,) float64
        Missing slots and zero distances are left out, so k is the number of positive distances that remain and r_k the
        largest of them. nan where fewer than two distinct positive ones remain.

    Notes
    -----
    Levina and Bickel (2004), eq. 8; Amsaleg et al. (2015), section 4.1. The mean has k - 1 terms. Where
    distances follow a power law with exponent m exactly, the expectation is m (k - 1) / (k - 2): see `lid_bias`.

    Examples
    --------
    >>> nb = Neighbors([[3, 1, 2]], [[1.0, 2.0, 4.0]])
    >>> lid(nb).round(3)
    array([0.962])
    """
    logs, usable = _logs(nb.distances)
    return _estimate(usable.sum(axis=1), logs.sum(axis=1), logs.max(axis=1, initial=0.0))


def lid_bias(k: int) -> float:
    """Return the factor (k - 1) / (k - 2) by which the mean of `lid` over queries exceeds the true dimension.

    It holds where distances within r_k follow a power law exactly, for k of at least 3 (Levina and Bickel 2004,
    section 3.1); at k = 2 the mean is infinite, and a smaller or broken k is an `InputError`.

    >>> lid_bias(10)
    1.125
    """
    k = whole_number(k, "k", 3)
    return (k - 1) / (k - 2)


def lid_mean(values) -> float:
    """Mean of per-query estimates, nan left out; nan if none is left.

    >>> lid_mean([2.0, 4.0, float("nan")])
    3.0
    """
    values = _known(values)
    return float(values.mean()) if len(values) else np.nan


def lid_harmonic_mean(values) -> float:
    """Harmonic mean of per-query estimates, nan left out; nan if none is left.

    It averages the inverse estimates, which makes the estimate from all queries together the one of maximum likelihood
    (MacKay and Ghahramani 2005).

    >>> round(lid_harmonic_mean([2.0, 4.0, float("nan")]), 3)
    2.667
    """
    values = _known(values)
    return float(len(values) / np.sum(1.0 / values)) if len(values) else np.nan


def _logs(distances):
    """Logarithms of the usable distances against the smallest of them, which keeps their sums precise; 0 elsewhere."""
    usable = np.isfinite(distances) & (distances > 0)
    smallest = np.min(distances, axis=1, initial=np.inf, where=usable)[:, None]
    logs = np.ones_like(distances)
    np.divide(distances, smallest, out=logs, where=usable)
    return np.log(logs, out=logs), usable


def _estimate(count, total, farthest):
    """LID from the number of usable distances, the sum of their logarithms and the largest of these."""
    estimate = np.full(count.shape, np.nan)
    return np.divide(count - 1, count * farthest - total, out=estimate, where=farthest > 0)


def _known(values) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[~np.isnan(values)]
