"""Which neighbors will be lost: a logistic model of all traits, and how well it ranks neighbors it never saw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from .checks import InputError, has_columns, numbers
from .intervals import limits

HELD_OUT = 0.3  # share of the queries


class Odds(NamedTuple):
    """The model's coefficients and the areas under its curves; made by `fit`."""

    traits: pd.DataFrame
    auc: float
    low: float
    high: float
    train_queries: int
    test_queries: int
    train_lost: int
    test_lost: int
    left_out: float


def auc(lost, score, weights=None) -> float:
    """Chance that a lost neighbor has a higher score than one that was kept; equal scores count half.

    Parameters
    ----------
    lost : (p,) bool
    score : (p,) floats
    weights : (p,) floats, optional
        How often each pair counts.

    Returns
    -------
    float
        Area under the ROC curve (Hanley and McNeil 1982); nan where nothing, or everything, was lost.

    Raises
    ------
    InputError
        If the three are not equally many numbers, or a score is nan.

    Examples
    --------
    >>> auc([False, True, True], [0.1, 0.1, 0.7])
    0.75
    """
    lost, score = np.asarray(lost, dtype=bool), numbers(score, "scores")
    weights = np.ones(len(lost)) if weights is None else numbers(weights, "weights")
    if not lost.shape == score.shape == weights.shape or lost.ndim != 1:
        shapes = f"{lost.shape}, {score.shape} and {weights.shape}"
        raise InputError(f"lost, score and weights have shapes {shapes}; they must be one a pair.")
    if np.isnan(score).any():
        raise InputError(f"{np.isnan(score).sum()} scores are nan; all must be numbers.")
    levels, level = np.unique(score, return_inverse=True)
    return _area(lost, level, len(levels), weights)


def _area(lost, level, count, weights) -> float:
    gone = np.bincount(level, weights=weights * lost, minlength=count)
    kept = np.bincount(level, weights=weights * ~lost, minlength=count)
    whole = gone.sum() * kept.sum()
    return float((gone * (np.cumsum(kept) - kept / 2)).sum() / whole) if whole > 0 else np.nan


def fit(table: pd.DataFrame, traits, *, logs=(), seed: int = 0, resamples: int = 200) -> Odds:
    """Fit the log odds of being lost to all traits, and test it on queries that were held out.

    Parameters
    ----------
    table : DataFrame
        Of `causes.pairs`.
    traits : iterable of str
        Columns of it; one with a single value, or known for less than half of the pairs, is left out.
    logs : iterable of str
        Traits that enter as ln(1 + value): counts with a long tail.
    seed : int
        Of the draw of the held-out queries (30 %: all pairs of a query are on one side) and of the resamples.
    resamples : int, default 200
        Held-out queries are resampled for the 95 % intervals of the areas.

    Returns
    -------
    Odds
        ``traits``: one row a trait: trait, coefficient (log odds for one standard deviation, the others held fixed),
        auc, low, high: area under the curve of the trait alone, in the direction it has in the training part.
        ``auc``, ``low``, ``high``: of all together, on the held-out queries. Coefficients and areas are nan where a
        part has no lost neighbor. ``missing``: share of all pairs whose trait is not known. The numbers of queries and
        of lost neighbors in both parts; ``left_out``: share of the pairs without one of the traits, which the fit and
        all areas leave out.

    Raises
    ------
    InputError
        If a column is not there, no trait has two values, or one that enters as a logarithm is below 0.

    Notes
    -----
    A ridge penalty of strength 1 on the standardised traits keeps the fit finite where few neighbors are lost. The
    coefficients describe an association: traits are correlated, and none of them was set by us.

    Examples
    --------
    >>> table = pd.DataFrame({"query": np.repeat(range(20), 10), "rank": np.tile(range(10), 20)})
    >>> fit(table.assign(lost=table["rank"] > 7), ["rank"]).auc
    1.0
    """
    has_columns(table, ["query", "lost", *traits])
    values = table[list(traits)].to_numpy(dtype=np.float64)
    known = np.isfinite(values)
    used = [j for j in range(values.shape[1]) if 2 * known[:, j].sum() >= len(table)]
    whole = known[:, used].all(axis=1)
    used = [j for j in used if len(np.unique(values[whole, j])) > 1]
    if not used:
        raise InputError("no trait has two values; there is nothing to fit.")
    names, missing = [list(traits)[j] for j in used], 1 - known[:, used].mean(axis=0)
    lost, values = table["lost"].to_numpy(dtype=bool)[whole], values[np.ix_(whole, used)]
    for j, name in enumerate(names):
        if name in logs:
            if values[:, j].min() < 0:
                raise InputError(f"the trait {name} is below 0, so it cannot enter as ln(1 + value).")
            values[:, j] = np.log1p(values[:, j])
    queries, query = np.unique(table["query"].to_numpy()[whole], return_inverse=True)
    generator = np.random.default_rng(seed)
    held = generator.permutation(len(queries)) < HELD_OUT * len(queries)
    test = held[query]
    number = (int((~held).sum()), int(held.sum()), int(lost[~test].sum()), int(lost[test].sum()), 1 - whole.mean())
    if len(np.unique(lost[~test])) < 2 or len(np.unique(lost[test])) < 2:
        blank = pd.DataFrame({"trait": names}).reindex(columns=["trait", "coefficient", "auc", "low", "high"])
        blank = blank.astype(dict.fromkeys(blank.columns[1:], float)).assign(missing=missing)
        return Odds(blank, np.nan, np.nan, np.nan, *number)
    scaler = StandardScaler().fit(values[~test])
    scaled = scaler.transform(values)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(scaled[~test], lost[~test])
    signs = [1 if auc(lost[~test], column) >= 0.5 else -1 for column in scaled[~test].T]
    scores = [*(scaled[test] * signs).T, scaled[test] @ model.coef_[0]]
    areas = _areas(lost[test], scores, query[test], len(queries), generator, resamples)
    columns = dict(zip(("auc", "low", "high"), (part[:-1] for part in areas), strict=True))
    by_trait = pd.DataFrame({"trait": names, "coefficient": model.coef_[0], **columns, "missing": missing})
    return Odds(by_trait, *(float(part[-1]) for part in areas), *number)


def _areas(lost, scores, query, queries, generator, resamples):
    """Area of each score, and its interval over resampled queries: three (m,) arrays."""
    ranked = [np.unique(score, return_inverse=True) for score in scores]
    there = np.unique(query)
    one = np.ones(len(lost))
    area = np.array([_area(lost, level, len(levels), one) for levels, level in ranked])
    drawn = np.empty((resamples, len(scores)))
    for row in drawn:
        times = np.bincount(generator.choice(there, len(there)), minlength=queries)[query].astype(np.float64)
        row[:] = [_area(lost, level, len(levels), times) for levels, level in ranked]
    return area, *limits(drawn)


def with_all(model: Odds) -> pd.DataFrame:
    """The table of traits with a last row, "all", for the model: its areas, no coefficient."""
    last = {"trait": ["all"], "coefficient": [np.nan], "auc": [model.auc], "low": [model.low], "high": [model.high]}
    last["missing"] = [model.left_out]
    return pd.concat([model.traits, pd.DataFrame(last)], ignore_index=True)
