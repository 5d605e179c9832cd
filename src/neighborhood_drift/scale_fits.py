"""How measures grow with the number of points: means over draws, power laws, and whether they hold beyond the fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from .checks import InputError
from .intervals import mean_over_seeds

GROUP = ["study", "data", "metric", "dimension", "n", "search", "k", "measure"]
FEWEST = 3  # sizes that a line with an error of its own needs
# An overlap of one has no logit: it is taken for this share less, half a neighbor of fifty thousand.
EDGE = 1e-5


def transformed(values, measure: str) -> np.ndarray:
    """On the scale where a straight line over the logarithm of n is fitted: logit of an overlap, logarithm of others.

    >>> transformed([0.5], "overlap"), transformed([1.0], "distances")
    (array([0.]), array([0.]))
    """
    values = np.asarray(values, dtype=np.float64)
    return logit(np.clip(values, EDGE, 1 - EDGE)) if measure == "overlap" else np.log(values)


def restored(values, measure: str):
    """What `transformed` was given."""
    return expit(values) if measure == "overlap" else np.exp(values)


def over_draws(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws, with the 95 % interval of Student's t on the scale of `transformed`, so that it stays in range.

    Parameters
    ----------
    table : DataFrame
        Of `scale.measure`.

    Returns
    -------
    DataFrame
        study, data, metric, dimension, n, search, k, measure, value, low, high, draws. A value is nan where a draw has
        none; low and high are nan with one draw. Sorted by these columns.
    """
    rows = []
    for group, draws in table.groupby(GROUP):
        middle = mean_over_seeds(transformed(draws["value"], group[-1]))
        rows.append((*group, *(float(restored(value, group[-1])) for value in middle), len(draws)))
    means = pd.DataFrame(rows, columns=[*GROUP, "value", "low", "high", "draws"])
    return means.astype(dict.fromkeys(("dimension", "n", "value", "low", "high"), float) if means.empty else {})


class Line(NamedTuple):
    """Least squares of a transformed measure on the natural logarithm of n."""

    slope: float
    intercept: float
    deviation: float
    center: float
    spread: float
    count: int

    def at(self, n, draws: int = 1, ci: float = 0.95) -> tuple[float, float, float]:
        """Prediction of the mean of ``draws`` new values at n and its interval, on the transformed scale.

        Draper and Smith (1998), chapter 1: the variance of a new mean of m values is
        s^2 (1 / m + 1 / N + (x - mean x)^2 / S_xx), with N - 2 degrees of freedom.
        """
        x = np.log(n) - self.center
        middle = self.intercept + self.slope * x
        half = stats.t.ppf((1 + ci) / 2, self.count - 2) * self.deviation
        half *= np.sqrt(1 / draws + 1 / self.count + x**2 / self.spread)
        return float(middle), float(middle - half), float(middle + half)

    def slope_interval(self, ci: float = 0.95) -> tuple[float, float]:
        """The interval of Student's t for the slope: of a power law, for its exponent."""
        half = stats.t.ppf((1 + ci) / 2, self.count - 2) * self.deviation / np.sqrt(self.spread)
        return float(self.slope - half), float(self.slope + half)


def line(n, values, measure: str) -> Line:
    """Fit a line to a measure over log n: for an overlap in logits, for other measures a power law c n^slope.

    Parameters
    ----------
    n : (m,) numbers
    values : (m,) floats
        In the measure's own unit; not finite ones are left out.
    measure : str

    Raises
    ------
    InputError
        If fewer than three sizes have a value: two would leave no error.

    Examples
    --------
    >>> fitted = line([10, 20, 40, 80], [1.0, 2.0, 4.0, 8.0], "build_seconds")
    >>> round(fitted.slope, 6)
    1.0
    """
    n, y = np.asarray(n, dtype=np.float64), transformed(values, measure)
    known = np.isfinite(y)
    x, y = np.log(n[known]), y[known]
    if len(np.unique(x)) < FEWEST:
        raise InputError(f"{len(np.unique(x))} sizes have a value; a line with its error needs at least {FEWEST}.")
    center, spread = x.mean(), ((x - x.mean()) ** 2).sum()
    slope = ((x - center) * y).sum() / spread
    left = y - y.mean() - slope * (x - center)
    deviation = np.sqrt((left**2).sum() / (len(x) - 2))
    return Line(float(slope), float(y.mean()), float(deviation), float(center), float(spread), len(x))


def complete(draws: pd.DataFrame) -> pd.DataFrame:
    """The rows of those sizes at which every draw has a value.

    An effort that was not found is a large one: a line through the draws that have one would be too low.

    >>> complete(pd.DataFrame({"n": [1, 1, 2, 2], "value": [5.0, np.nan, 6.0, 7.0]}))["n"].tolist()
    [2, 2]
    """
    return draws[np.isfinite(draws["value"]).groupby(draws["n"]).transform("all").astype(bool)]


def extrapolations(table: pd.DataFrame, measures) -> pd.DataFrame:
    """Predict the largest size from the smaller ones, from each choice of "smaller" that has at least three sizes.

    Parameters
    ----------
    table : DataFrame
        Of `scale.measure`; the study "size" is read.
    measures : iterable of str

    Returns
    -------
    DataFrame
        data, search, k, measure, upto (largest size fitted), n (the size predicted), factor (n / upto), predicted, low,
        high (95 % prediction interval of the mean over as many draws as were measured), measured, inside (whether the
        measured mean lies in the interval), error (measured - predicted for an overlap, measured / predicted - 1 for
        others). No row where fewer than four sizes have a value in every draw, or the largest is not among them.
    """
    columns = ["data", "search", "k", "measure", "upto", "n", "factor"]
    columns += ["predicted", "low", "high", "measured", "inside", "error"]
    rows, of_size = [], table[(table["study"] == "size") & table["measure"].isin(list(measures))]
    for group, draws in of_size.groupby(["data", "search", "k", "measure"], sort=False):
        measure, last_n, draws = group[-1], draws["n"].max(), complete(draws)
        sizes = sorted(draws["n"].unique())
        for upto in sizes[FEWEST - 1 : -1] if last_n in sizes else ():
            n, fitted = sizes[-1], draws[draws["n"] <= upto]
            last = transformed(draws.loc[draws["n"] == n, "value"], measure)
            predicted = line(fitted["n"], fitted["value"], measure).at(n, len(last))
            middle, low, high = (float(restored(value, measure)) for value in predicted)
            measured = float(restored(last.mean(), measure))
            error = measured - middle if measure == "overlap" else measured / middle - 1
            inside = bool(predicted[1] <= last.mean() <= predicted[2])
            rows.append((*group, upto, n, n / upto, middle, low, high, measured, inside, error))
    return pd.DataFrame(rows, columns=columns)


def growth(table: pd.DataFrame, measures, times: float = 10) -> pd.DataFrame:
    """Fit each measure over all sizes, and say what the line gives for ``times`` as many points.

    Returns
    -------
    DataFrame
        data, search, k, measure, slope (of an overlap in logits a unit of ln n, of others the exponent of n),
        slope_low, slope_high, n (times the largest), predicted, low, high (95 % prediction interval of one new draw).
        No row where fewer than three sizes have a value in every draw.
    """
    columns = ["data", "search", "k", "measure", "slope", "slope_low", "slope_high", "n", "predicted", "low", "high"]
    rows, of_size = [], table[(table["study"] == "size") & table["measure"].isin(list(measures))]
    for group, draws in of_size.groupby(["data", "search", "k", "measure"], sort=False):
        draws = complete(draws)
        sizes = sorted(draws["n"].unique())
        if len(sizes) < FEWEST:
            continue
        fitted, n = line(draws["n"], draws["value"], group[-1]), round(times * sizes[-1])
        values = (float(restored(value, group[-1])) for value in fitted.at(n))
        rows.append((*group, fitted.slope, *fitted.slope_interval(), n, *values))
    return pd.DataFrame(rows, columns=columns)
