"""Does the guarantee hold? Efforts chosen from many samples drawn from one pool, against the truth in the pool.

The choice is that of `calibration.decide`, from the largest effort down to the first that is not certified, made for
all samples at once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from .calibration.bounds import certain, coin_stream
from .checks import InputError, whole_number
from .choosing import smallest, within

AT_ONCE = 100  # samples in memory at a time
NEAR = 2  # how far a hardest limit may be from the one asked: half to twice
HAIR = 1e-9  # how far it is below the loss that fails it, relative: ten times what `within` lets pass
AS_ASKED, HARDEST = "as asked", "hardest"


def draw(queries: int, size: int, times: int, seed: int = 0, *, replace: bool = True) -> np.ndarray:
    """(times, size) columns of a pool drawn at random, with or without replacement.

    >>> draw(3, 3, 2, replace=False).sum(axis=1)
    array([3, 3])
    """
    generator = np.random.default_rng(seed)
    if replace:
        return generator.integers(0, queries, (times, size))
    if size > queries:
        raise InputError(f"the sample's size is {size}; from {queries} queries at most {queries} can be drawn.")
    return np.stack([generator.permutation(queries)[:size] for _ in range(times)])


def chosen(losses, limit: float, drawn, bound: str, confidence: float = 0.95, seed: int = 0) -> np.ndarray:
    """The effort that each sample of queries chooses: its row, or -1 where none is certified.

    Parameters
    ----------
    losses : (m, q) float
        Losses in [0, 1], one row an effort, ascending.
    limit : float
        The mean loss that can be borne.
    drawn : (times, size) integers
        Columns of each sample.
    bound : str
        Of `calibration.decide`, or "sample-mean": the mean itself, with nothing for chance.
    confidence : float, default 0.95
    seed : int, default 0
        Of the coins of "clopper-pearson"; each sample has its own.

    Returns
    -------
    (times,) int

    Examples
    --------
    >>> chosen(np.array([[1.0, 1.0], [0.0, 0.0]]), 0.1, np.zeros((1, 50), int), "betting")
    array([1])
    """
    losses = np.asarray(losses, dtype=np.float64)
    if bound == "risk-control":  # its losses must not grow with effort
        losses = np.maximum.accumulate(losses[::-1])[::-1]
    generator = coin_stream(seed)
    found = []
    for start in range(0, len(drawn), AT_ONCE):
        part = drawn[start : start + AT_ONCE]
        coins = generator.random(part.shape)
        rows, alive = np.full(len(part), -1), np.arange(len(part))
        for row in range(len(losses) - 1, -1, -1):
            values = losses[row][part[alive]]
            if bound == "clopper-pearson":
                values = (coins[alive] < values).astype(np.float64)
            alive = alive[certain(bound, values, limit, 1 - confidence)]
            rows[alive] = row
            if not len(alive):
                break
        found.append(rows)
    return np.concatenate(found)


def resplits(
    losses, efs, limit: float, *, size: int, bound: str, times: int = 1000, confidence: float = 0.95, seed: int = 0,
    replace: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Choose an effort from each of many samples, and look up the truth in the pool they were drawn from.

    Parameters
    ----------
    losses : (m, q) float
        Losses of the pool, in [0, 1]; rows as ``efs``, ascending.
    efs : (m,) int
    limit, bound, confidence, seed
        Of `chosen`.
    size : int
        Queries of a sample.
    times : int, default 1000
        Samples.
    replace : bool, default True
        Draw with replacement: the pool then is the population that the guarantee speaks of. Without, the queries that
        were not drawn are a test of their own.

    Returns
    -------
    DataFrame
        One row a sample: ef chosen (nan: none), loss (its mean over the pool; nan: none), rest (mean loss over the
        queries not drawn; nan with replacement or where none are left), smallest (the least effort that, with all
        larger ones, has a mean over the pool within the limit; nan: none).
    """
    losses, efs = np.asarray(losses, dtype=np.float64), np.asarray(efs, dtype=np.float64)
    times, queries = whole_number(times, "resplits", 1), losses.shape[1]
    drawn = draw(queries, whole_number(size, "the sample's size", 1), times, seed, replace=replace)
    rows = chosen(losses, limit, drawn, bound, confidence, seed)
    best, truth = smallest(losses, limit), losses.mean(axis=1)
    rest = np.full(times, np.nan)
    if not replace and size < queries:
        sums = losses[rows[:, None], drawn].sum(axis=1)
        rest = (losses.sum(axis=1)[rows] - sums) / (queries - size)
    found = {"ef": efs[rows], "loss": truth[rows], "rest": rest}
    found = {name: np.where(rows >= 0, values, np.nan) for name, values in found.items()}
    return pd.DataFrame(found | {"smallest": efs[best] if best >= 0 else np.nan})


def share_interval(hits: int, trials: int, ci: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a share.

    >>> [round(value, 3) for value in share_interval(0, 10)]
    [0.0, 0.308]
    """
    interval = stats.binomtest(int(hits), int(trials)).proportion_ci(ci, method="exact")
    return float(interval.low), float(interval.high)


def coverage(table: pd.DataFrame, limit: float) -> dict:
    """How often what was promised is true, how often nothing is promised, and what it costs above the least effort.

    Parameters
    ----------
    table : DataFrame
        Of `resplits`.
    limit : float

    Returns
    -------
    dict
        samples; coverage, coverage_low, coverage_high: share of the samples whose choice has a mean loss within the
        limit, or which chose none, with its 95 % interval; rest: the same for the queries not drawn (nan where there
        are none); none: share that chose none; ratio, ratio_low, ratio_high: median, 5 % and 95 % quantile of the ef
        chosen over the smallest that is good enough (nan where none was chosen or none is); loss, loss_low, loss_high:
        mean over the samples of the mean loss at their choice (0 where none was chosen: the exact search in its place),
        with its 95 % interval.
    """
    none = table["ef"].isna()
    kept = none | within(table["loss"], limit)
    low, high = share_interval(kept.sum(), len(table))
    ratio = (table["ef"] / table["smallest"]).dropna()
    ends = ratio.quantile([0.05, 0.5, 0.95]).tolist() if len(ratio) else [np.nan] * 3
    loss = table["loss"].fillna(0.0)
    half = 1.96 * loss.std(ddof=1) / np.sqrt(len(loss)) if len(loss) > 1 else np.nan
    rest = np.nan if table["rest"].isna().all() else float((none | within(table["rest"], limit)).mean())
    return {
        "samples": len(table), "coverage": float(kept.mean()), "coverage_low": low, "coverage_high": high, "rest": rest,
        "none": float(none.mean()), "ratio": ends[1], "ratio_low": ends[0], "ratio_high": ends[2],
        "loss": float(loss.mean()), "loss_low": loss.mean() - half, "loss_high": loss.mean() + half,
    }  # fmt: skip


def hardest(losses, limit: float) -> float:
    """The limit that is hardest to keep near ``limit``: just under the mean loss of an effort, which so fails barely.

    Parameters
    ----------
    losses : (m, q) float
        Rows ascending in effort.
    limit : float

    Returns
    -------
    float
        That of the effort whose mean loss is nearest to ``limit``, from half to twice of it; nan where none is.

    Examples
    --------
    >>> round(hardest(np.array([[0.3], [0.06], [0.0]]), 0.05), 6)
    0.06
    """
    means = np.asarray(losses, dtype=np.float64).mean(axis=1)
    near = means[(means >= limit / NEAR) & (means <= limit * NEAR)]
    return float(near[np.abs(near - limit).argmin()] * (1 - HAIR)) if len(near) else np.nan


def validated(cases, targets: dict, *, size: int, times: int, confidence: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Coverage of the choice for each case and target, at the target's limit and at the hardest one near it.

    Parameters
    ----------
    cases : iterable of (str, str, int, Searched)
        Data, engine, k and the searches of a pool of queries, with the losses that the targets name.
    targets : dict of str to (str, Target)
        Text of a target -> the name of its losses, and the target. Its own bound is used.
    size, times, confidence, seed
        Of `resplits`; with replacement. At the limit as asked the choice is made again from samples drawn without, half
        the pool at most, whose "rest" is reported.

    Returns
    -------
    DataFrame
        data, engine, k, target, limit_kind ("as asked" or "hardest"; without a row where no effort has a loss near the
        limit), bound, size, limit, and the columns of `coverage`.
    """
    rows = []
    for data, engine, k, searched in cases:
        for text, (name, target) in targets.items():
            losses = searched.losses[name]
            about = {"data": data, "engine": engine, "k": k, "target": text, "bound": target.bound, "size": size}
            options = {"bound": target.bound, "times": times, "confidence": confidence, "seed": seed}
            for kind, limit in ((AS_ASKED, target.limit), (HARDEST, hardest(losses, target.limit))):
                if np.isnan(limit):
                    continue
                row = coverage(resplits(losses, searched.efs, limit, size=size, **options), limit)
                if kind == AS_ASKED:
                    part = min(size, losses.shape[1] // 2)
                    apart = resplits(losses, searched.efs, limit, size=part, replace=False, **options)
                    row["rest"] = coverage(apart, limit)["rest"]
                rows.append({**about, "limit_kind": kind, "limit": limit, **row})
    return pd.DataFrame(rows)


def by_size(losses, efs, limit: float, *, sizes, bounds, times: int, confidence=0.95, seed: int = 0) -> pd.DataFrame:
    """Coverage, and how far above the least effort the choice lands, by the sample's size and the bound.

    Parameters
    ----------
    losses, efs, limit, times, confidence, seed
        Of `resplits`; the coverage is that at the `hardest` limit, the ratio that at ``limit``.
    sizes : iterable of int
    bounds : iterable of str

    Returns
    -------
    DataFrame
        bound, size, coverage with its interval at the hardest limit (nan where no effort has a loss near the limit);
        asked (the coverage at the limit itself) with its interval, none, ratio and its quantiles at the limit.
    """
    names = ("coverage", "coverage_low", "coverage_high")
    rows, worst = [], hardest(losses, limit)
    for bound in bounds:
        for size in sizes:
            options = {"size": size, "bound": bound, "times": times, "confidence": confidence, "seed": seed}
            asked = coverage(resplits(losses, efs, limit, **options), limit)
            kept = dict.fromkeys(names, np.nan)
            if not np.isnan(worst):
                held = coverage(resplits(losses, efs, worst, **options), worst)
                kept = {name: held[name] for name in names}
            plain = {name.replace("coverage", "asked"): asked[name] for name in names}
            rest = {name: asked[name] for name in ("none", "ratio", "ratio_low", "ratio_high")}
            rows.append({"bound": bound, "size": size, **kept, **plain, **rest})
    return pd.DataFrame(rows)
