"""Intervals: bootstrap over queries, paired over everything measured on them, and Student's t over seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .checks import InputError, numbers, whole_number

# Resamples drawn at a time: bounds the weights in memory to 100 rows of q.
BATCH = 100


METRIC_COLUMNS = (
    "overlap",
    "tie_aware_recall",
    "mean_distance_exact",
    "mean_distance",
    "mean_distance_ratio",
    "kth_distance_exact",
    "kth_distance",
    "kth_distance_ratio",
    "barycenter_shift_raw",
    "barycenter_shift",
    "lid_exact",
    "lid",
    "lid_difference",
    "missing_share",
)


class Onset(NamedTuple):
    """The smallest k at which a mean is below a threshold, with its bootstrap interval; nan stands for never."""

    k: float
    low: float
    high: float
    share: float


def bootstrap_means(values, *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Means of the columns of ``values`` over resampled rows; one set of resamples serves all columns.

    Parameters
    ----------
    values : (q, m) floats
        One row a query; what is not finite (nan, infinite) is missing and left out of a column's mean.
    resamples : int, default 1000
    seed : int, default 0

    Returns
    -------
    (resamples, m) float64
        nan where a resample holds no known value of a column.

    Examples
    --------
    >>> bootstrap_means([[1.0, 2.0], [1.0, 2.0]], resamples=2)
    array([[1., 2.],
           [1., 2.]])
    """
    values = np.asarray(values, dtype=np.float64)
    resamples = whole_number(resamples, "resamples", 1)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    gaps = ~known.all(axis=0)
    generator = np.random.default_rng(seed)
    count = len(values)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, BATCH):
        rows = slice(start, min(start + BATCH, resamples))
        drawn = generator.integers(0, count, (rows.stop - start, count))
        weights = np.stack([np.bincount(row, minlength=count) for row in drawn]).astype(np.float64)
        totals = np.full((rows.stop - start, values.shape[1]), float(count))
        totals[:, gaps] = weights @ known[:, gaps]
        sums = weights @ filled
        means[rows] = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
    return means


def limits(resampled, ci: float = 0.95):
    """Percentile interval (low, high) of each column of resampled means; nan where a column has none.

    >>> limits([[1.0], [2.0], [3.0]], ci=0.5)
    (array([1.5]), array([2.5]))
    """
    ci = _coverage(ci)
    resampled = np.asarray(resampled, dtype=np.float64)
    low, high = np.full(resampled.shape[1], np.nan), np.full(resampled.shape[1], np.nan)
    known = ~np.isnan(resampled).all(axis=0)
    if known.any():
        low[known], high[known] = np.nanquantile(resampled[:, known], [(1 - ci) / 2, (1 + ci) / 2], axis=0)
    return low, high


def summarize(
    table: pd.DataFrame, ci: float = 0.95, seed: int = 0, resamples: int = 1000, by: tuple = ("k",)
) -> pd.DataFrame:
    """Summarise a drift table over its queries: mean, bootstrap interval and missing share of each metric.

    Parameters
    ----------
    table : DataFrame
        As made by `metrics.drift`, with more columns if ``by`` names them.
    ci : float, default 0.95
        Coverage of the percentile interval.
    seed, resamples : int
        Queries are resampled with replacement; the same resamples serve every metric and group, so that
        curves can be compared.
    by : tuple of str, default ("k",)
        Columns that form the groups; within a group each query stands once.

    Returns
    -------
    DataFrame
        Columns ``*by``, metric, mean, low, high, missing (share of queries whose value is not finite; those are left
        out of the rest). One row a group and metric.

    Raises
    ------
    InputError
        If a column is lacking or a query stands more than once in a group.

    Examples
    --------
    >>> table = pd.DataFrame({"k": [10, 10], "query": [0, 1], "overlap": [1.0, np.nan]})
    >>> summarize(table, resamples=100)
        k   metric  mean  low  high  missing
    0  10  overlap   1.0  1.0   1.0      0.5
    """
    by = [by] if isinstance(by, str) else list(by)
    measured = [name for name in METRIC_COLUMNS if name in table]
    wide = wide_table(table, by, measured)
    low, high = limits(bootstrap_means(wide.to_numpy(), resamples=resamples, seed=seed), ci)
    groups = wide.columns.to_frame(index=False)
    values = {"mean": wide.mean().to_numpy(), "low": low, "high": high, "missing": wide.isna().mean().to_numpy()}
    tidy = groups.assign(**values)
    order = tidy["metric"].map({name: place for place, name in enumerate(measured)})
    tidy = tidy.assign(order=order).sort_values([*by, "order"], ignore_index=True)
    return tidy[[*by, "metric", "mean", "low", "high", "missing"]]


def onset(
    table: pd.DataFrame,
    threshold: float,
    *,
    column: str = "overlap",
    ci: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
) -> Onset:
    """Find the smallest k at which the mean of a column over queries is below a threshold.

    Parameters
    ----------
    table : DataFrame
        A drift table (columns k, query and ``column``) of one engine, seed and ef: one row a k and query. Values that
        are not finite are missing and left out.
    threshold : float
    column : str, default "overlap"
    ci, seed, resamples
        As in `summarize`; queries are resampled, each with its values at every k.

    Returns
    -------
    Onset
        ``k``; ``low`` and ``high``, percentiles over resamples that are themselves among the k measured; ``share`` of
        resamples in which the mean falls below the threshold at all. nan where the mean stays above; a ``high`` of nan
        says that the interval reaches beyond the largest k.

    Examples
    --------
    >>> table = pd.DataFrame({"k": [10, 20], "query": [0, 0], "overlap": [1.0, 0.9]})
    >>> onset(table, 0.95, resamples=10)
    Onset(k=20.0, low=20.0, high=20.0, share=1.0)
    >>> onset(table, 0.5, resamples=10).k
    nan
    """
    wide = wide_table(table, ["k"], [column])
    ks = wide.columns.get_level_values("k").to_numpy(dtype=np.float64)
    mean = wide.mean().to_numpy()[None]
    resampled = bootstrap_means(wide.to_numpy(), resamples=resamples, seed=seed)
    first = _first_below(mean, ks, threshold)[0]
    firsts = np.sort(_first_below(resampled, ks, threshold))
    ci = _coverage(ci)
    low = firsts[int(np.floor((1 - ci) / 2 * (resamples - 1)))]
    high = firsts[int(np.ceil((1 + ci) / 2 * (resamples - 1)))]
    known = [float(value) if np.isfinite(value) else np.nan for value in (first, low, high)]
    return Onset(*known, float(np.isfinite(firsts).mean()))


def mean_over_seeds(values, ci: float = 0.95) -> tuple[float, float, float]:
    """Mean over repeated builds, and the interval of Student's t for it (nan with fewer than two values).

    >>> [round(value, 3) for value in mean_over_seeds([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise InputError(f"values have shape {values.shape}; they must be a list of at least one number.")
    mean = float(values.mean())
    ci = _coverage(ci)
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + ci) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def wide_table(table: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """One row a query, one column a metric and group, so that a resample of rows is a resample of queries.

    What is not finite is missing, and nan here: means of the table leave out what `bootstrap_means` leaves out.
    """
    lacking = [name for name in ["query", *by, *columns] if name not in table]
    if lacking:
        raise InputError(f"the table lacks {', '.join(lacking)}; it has {', '.join(map(str, table.columns))}.")
    if table.duplicated(["query", *by]).any():
        raise InputError(f"the table holds a query more than once for one {', '.join(by)}; group by more columns.")
    wide = table.set_index([*by, "query"])[columns].rename_axis("metric", axis="columns").unstack(by)  # noqa: PD010
    wide = wide.where(np.isfinite(wide))
    return wide.sort_index(axis="columns", level=by, sort_remaining=False)


def _first_below(means, ks, threshold):
    """(rows,) smallest k at which each row of means is below the threshold; inf where none is."""
    below = means < threshold
    return np.where(below.any(axis=1), ks[below.argmax(axis=1)], np.inf)


def _coverage(ci):
    if not 0 < ci < 1:
        raise InputError(f"ci is {ci}; it must lie between 0 and 1.")
    return ci


def rank_correlation(one, other, *, seed: int = 0, resamples: int = 500) -> tuple[float, float, float]:
    """Spearman's rank correlation of two values of each query, with a 95 % bootstrap interval over queries.

    Parameters
    ----------
    one, other : (q,) floats
        Pairs in which one is not finite are left out.

    Returns
    -------
    tuple of float
        Correlation, low, high; nan where fewer than three pairs remain or one of the two is constant.

    Raises
    ------
    InputError
        If the two are not equally many numbers.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 9], [1, 4, 9, 81])[0]
    1.0
    """
    one, other = numbers(one, "values"), numbers(other, "values")
    if one.shape != other.shape or one.ndim != 1:
        raise InputError(
            f"values have shapes {one.shape} and {other.shape}; they must be one a query, of equally many."
        )
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    generator = np.random.default_rng(seed)
    drawn = [_spearman(one, other)]
    for _ in range(whole_number(resamples, "resamples", 1)):
        chosen = generator.integers(0, max(len(one), 1), len(one))
        drawn.append(_spearman(one[chosen], other[chosen]))
    low, high = limits(np.array(drawn[1:])[:, None])
    return drawn[0], float(low[0]), float(high[0])


def _spearman(one, other) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return round(float(np.corrcoef(stats.rankdata(one), stats.rankdata(other))[0, 1]), 12)
