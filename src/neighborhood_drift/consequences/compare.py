"""From scores to what readers ask: deviation with its interval, the recall that a task needs, and noise beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..intervals import mean_over_seeds
from ..summaries import ABSENT
from .measure import NUMBER
from .tasks import TASKS

TOLERANCE = 0.01


def summarize(scores: pd.DataFrame, ci: float = 0.95) -> pd.DataFrame:
    """Mean deviation of each task and list over samples, with the interval of Student's t.

    Parameters
    ----------
    scores : DataFrame
        Of `measure`.
    ci : float, default 0.95

    Returns
    -------
    DataFrame
        One row a task, lists and step: task, lists, step, recall (mean), deviation, low, high, samples. Samples whose
        deviation is not finite are left out; low and high are nan with one.
    """
    rows = []
    known = scores[np.isfinite(scores["deviation"]) & (scores["like"] == "")]
    for (task, lists, step), own in known.groupby(["task", "lists", "step"], sort=False):
        mean, low, high = mean_over_seeds(own["deviation"], ci)
        rows.append((task, lists, step, own["recall"].mean(), mean, low, high, len(own)))
    columns = ["task", "lists", "step", "recall", "deviation", "low", "high", "samples"]
    return pd.DataFrame(rows, columns=columns).sort_values(["task", "lists", "recall"], ignore_index=True)


def noise(scores: pd.DataFrame, moved: pd.DataFrame) -> pd.DataFrame:
    """How far the exact result itself varies.

    Parameters
    ----------
    scores : DataFrame
        Of `measure`.
    moved : DataFrame
        Of `measure.moved`.

    Returns
    -------
    DataFrame
        One row a task: task, exact (mean exact score), noise. Of a score against the truth: its standard deviation
        over samples, a share of the mean or a difference, as the task's deviation is; nan with one sample. Of an
        agreement: one minus that of the exact results before and after a tenth of the points left.

    Examples
    --------
    >>> scores = pd.DataFrame({"task": "accuracy", "seed": [0, 1], "exact": [0.4, 0.6]})
    >>> noise(scores, pd.DataFrame(columns=["task", "deviation"])).round(3).values.tolist()
    [['accuracy', 0.5, 0.283]]
    """
    each = scores.drop_duplicates(["task", "seed"])
    rows = []
    for task, own in each.groupby("task", sort=False):
        mean = own["exact"].mean()
        if TASKS[task].agreement:
            spread = moved.loc[moved["task"] == task, "deviation"].abs().mean()
        else:
            spread = own["exact"].std(ddof=1) / (abs(mean) if TASKS[task].relative else 1.0)
        rows.append((task, mean, spread))
    return pd.DataFrame(rows, columns=["task", "exact", "noise"])


def needed(summary: pd.DataFrame, tolerance=TOLERANCE) -> pd.DataFrame:
    """Recall from which on a task stays within a tolerance of exact lists.

    Between measured recalls the size of the deviation is interpolated linearly. Where the deviation changes its sign
    from one to the next, it passes 0 between them and its size does not, which errs to the higher recall.

    Parameters
    ----------
    summary : DataFrame
        Of `summarize`.
    tolerance : float or dict of float by task, default 0.01

    Returns
    -------
    DataFrame
        One row a task and lists: task, lists, needed (from the mean), low, high (from the ends of its interval: at
        ``high`` the whole interval is within the tolerance, below ``low`` none of it), lowest (the lowest recall
        measured; values equal to it mean "this, or less"). inf where the highest recall measured is not within the
        tolerance, nan where an end is not known.

    Examples
    --------
    >>> columns = ["recall", "deviation", "low", "high"]
    >>> rows = pd.DataFrame([(0.5, -0.03, -0.05, -0.01), (0.9, -0.005, -0.005, -0.005)], columns=columns)
    >>> needed(rows.assign(task="accuracy", lists="a", samples=5))[["needed", "low", "high", "lowest"]].round(3)
       needed  low   high  lowest
    0    0.82  0.5  0.856     0.5
    """
    rows = []
    for (task, lists), own in summary.groupby(["task", "lists"], sort=False):
        # efforts that only some samples came to have a mean of their own few
        own = own[own["samples"] == own["samples"].max()].sort_values("recall")
        allowed = tolerance[task] if isinstance(tolerance, dict) else tolerance
        ends = own[["low", "high"]].to_numpy()
        farthest = np.abs(ends).max(axis=1)
        nearest = np.where((ends[:, 0] <= 0) & (ends[:, 1] >= 0), 0.0, np.abs(ends).min(axis=1))
        nearest[np.isnan(farthest)] = np.nan
        at = [_from(own["recall"], values, allowed) for values in (own["deviation"].abs(), nearest, farthest)]
        rows.append((task, lists, *at, own["recall"].min()))
    return pd.DataFrame(rows, columns=["task", "lists", "needed", "low", "high", "lowest"])


def _from(recall, values, allowed: float) -> float:
    """Smallest recall from which on the values stay at or below ``allowed``; inf if the last does not."""
    recall, values = np.asarray(recall), np.asarray(values)
    if np.isnan(values).any() or not np.isfinite(allowed):
        return np.nan
    above = np.flatnonzero(values > allowed)
    if not len(above):
        return float(recall[0])
    last = above[-1]
    if last == len(values) - 1:
        return np.inf
    return float(np.interp(-allowed, -values[last : last + 2], recall[last : last + 2]))


def against_random(scores: pd.DataFrame, like: str = NUMBER, ci: float = 0.95) -> pd.DataFrame:
    """Whether an engine's lists move a task more than random losses that imitate them.

    Parameters
    ----------
    scores : DataFrame
        Of `measure`.
    like : {NUMBER, RANKS}
        What the random losses have in common with the engine's.
    ci : float, default 0.95

    Returns
    -------
    DataFrame
        One row a task and engine: task, lists, recall (mean), random and engine (mean size of the deviation),
        difference with low and high (paired, over samples; nan with one), verdict: "more", "less" or "not told apart"
        by the interval, "not available" without one.

    Examples
    --------
    >>> columns = ["task", "lists", "like", "step", "seed", "recall", "deviation"]
    >>> rows = [("a", "b", like, "8", 0, 0.9, size) for like, size in (("", -0.02), (NUMBER, 0.01))]
    >>> against_random(pd.DataFrame(rows, columns=columns))[["random", "engine", "verdict"]].values.tolist()
    [[0.01, 0.02, 'not available']]
    """
    keys = ["task", "lists", "step", "seed"]
    known = scores[np.isfinite(scores["deviation"])]
    random = known[known["like"] == like].set_index(keys)["deviation"].abs().rename("random")
    pairs = known[known["like"] == ""].set_index(keys)[["recall", "deviation"]].join(random, how="inner")
    rows = []
    for (task, lists), own in pairs.groupby(["task", "lists"], sort=False):
        size = own["deviation"].abs()
        difference, low, high = mean_over_seeds(size - own["random"], ci)
        verdict = ABSENT if np.isnan(low) else "more" if low > 0 else "less" if high < 0 else "not told apart"
        means = own["recall"].mean(), own["random"].mean(), size.mean()
        rows.append((task, lists, *means, difference, low, high, verdict))
    columns = ["task", "lists", "recall", "random", "engine", "difference", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns)
