"""What an index does to neighborhoods beyond its losses: each query beside exact lists that lost as many at random."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from tqdm import tqdm

from .checks import InputError, one_of, whole_number
from .intervals import bootstrap_means, limits
from .losses import concentration, matched, rank_profile
from .metrics import drift
from .neighbors import Neighbors

# One row a measure: its column in a drift table, and its value where nothing is lost.
MEASURES = {"mean_distance_ratio": 1.0, "kth_distance_ratio": 1.0, "barycenter_shift": 0.0, "lid_difference": 0.0}
# The null models: every rank is lost alike, or each by its own chance.
NULLS = ("alike", "by_rank")


def beside_null(
    base, rows, exact: Neighbors, found: Neighbors, *, metric: str = "l2", draws: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Measure the lists of one index beside lists of the null model with the same losses, query by query.

    Parameters
    ----------
    base : (n, d) array
    rows : (q,) integers
        Base points asked, leave-one-out.
    exact, found : Neighbors
        As in `losses.matched`.
    metric : {"l2", "cosine"}
    draws : int, default 5
        Random lists a query; the null's value is their mean.
    seed : int, default 0

    Returns
    -------
    DataFrame
        The drift table of ``found`` (see `neighborhood_drift.metrics.drift`), and for each of `MEASURES` a column with
        the ending ``_alike``: its value where as many neighbors are lost at random, every rank alike; and one with
        ``_by_rank``: each rank by the chance that ``found`` lost it. What is not defined for a query is nan.

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> base = np.random.default_rng(0).normal(size=(50, 3))
    >>> exact = exact_neighbors(base.astype(np.float32), k=10)
    >>> table = beside_null(base.astype(np.float32), np.arange(50), exact, exact.first(5))
    >>> float(table["barycenter_shift_alike"].max())
    0.0
    """
    draws = whole_number(draws, "draws", 1)
    table = drift(base, exact, {found.k: found}, rows=rows, metric=metric)
    for null, profile in zip(NULLS, (None, rank_profile(exact, found)), strict=True):
        lists = (matched(exact, found, profile=profile, seed=seed + draw) for draw in range(draws))
        drawn = [drift(base, exact, {found.k: one}, rows=rows, metric=metric)[list(MEASURES)] for one in lists]
        table = table.join((sum(drawn) / draws).add_suffix(f"_{null}"))
    return table


def measure(lists: dict, base, rows, exact: Neighbors, *, progress: bool = True, **options) -> pd.DataFrame:
    """`beside_null` of many lists, stacked.

    Parameters
    ----------
    lists : dict of (engine, target) to Neighbors
        Of `families.ask`.
    base, rows, exact, **options
        As in `beside_null`.

    Returns
    -------
    DataFrame
        The columns of `beside_null`, and engine and target; no row without lists.
    """
    if not lists:
        none = slice(0)
        table = beside_null(base, np.asarray(rows)[none], exact.rows(none), exact.first(1).rows(none), **options)
        return table.assign(engine=pd.Series(dtype=object), target=pd.Series(dtype=float))
    steps = tqdm(lists.items(), desc="null models", disable=None if progress else True)
    tables = [
        beside_null(base, rows, exact, found, **options).assign(engine=engine, target=target)
        for (engine, target), found in steps
    ]
    return pd.concat(tables, ignore_index=True)


def nearest(table: pd.DataFrame, target: float) -> pd.DataFrame:
    """Keep, for each engine, the rows of its target nearest to ``target``; of two the lower.

    >>> nearest(pd.DataFrame({"engine": ["a", "a", "b"], "target": [0.9, 0.95, 0.99]}), 0.95)["target"].tolist()
    [0.95, 0.99]
    """
    away = (table["target"] - target).abs()
    chosen = (
        table.assign(away=away).sort_values(["away", "target"]).drop_duplicates("engine").set_index("engine")["target"]
    )
    return table[table["target"] == table["engine"].map(chosen)]


def excesses(
    table: pd.DataFrame, null: str = "alike", *, by=("engine", "target"), resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Each measure beside a null model's, and the difference with its interval, paired over queries.

    Parameters
    ----------
    table : DataFrame
        Of `beside_null`, one or several stacked, with the columns ``by``.
    null : {"alike", "by_rank"}
    by : tuple of str
    resamples, seed : int
        Of the bootstrap over queries; a query is drawn with its value and its null's.

    Returns
    -------
    DataFrame
        One row a group and measure: ``*by``, metric, mean, null, excess (mean minus null), low, high (95 %), relative
        (excess over the null's distance from its value where nothing is lost), and verdict: "as much" where the
        interval holds 0, else "more" where the mean is farther from that value than the null's, or "less".

    Raises
    ------
    InputError
        If a column is lacking.

    Examples
    --------
    >>> one = {"query": [0, 1], "engine": "a", "target": 0.9}
    >>> made = {name: [1.3, 1.3] for name in MEASURES} | {f"{name}_alike": [1.1, 1.1] for name in MEASURES}
    >>> excesses(pd.DataFrame(one | made), resamples=10).loc[0, ["metric", "verdict"]].tolist()
    ['mean_distance_ratio', 'more']
    """
    by, nulls = list(by), [f"{name}_{one_of(null, NULLS, 'null')}" for name in MEASURES]
    lacking = [name for name in [*by, *MEASURES, *nulls] if name not in table]
    if lacking:
        raise InputError(f"the table lacks {', '.join(lacking)}; it must be made by beside_null.")
    rows = []
    for group, queries in table.groupby(by, sort=False):
        values = queries[list(MEASURES)].to_numpy()
        away = values - queries[nulls].to_numpy()
        low, high = limits(bootstrap_means(away, resamples=resamples, seed=seed))
        for at, (name, nothing) in enumerate(MEASURES.items()):
            known = np.isfinite(away[:, at])
            mean, excess = (column[known, at].mean() if known.any() else np.nan for column in (values, away))
            moved = mean - excess - nothing
            row = {"metric": name, "mean": mean, "null": mean - excess, "excess": excess}
            row |= {"low": low[at], "high": high[at], "relative": excess / moved if moved else np.nan}
            row["verdict"] = _verdict(low[at], high[at], abs(mean - nothing) > abs(moved))
            rows.append({**dict(zip(by, group, strict=True)), **row})
    numbers = ["mean", "null", "excess", "low", "high", "relative"]
    columns = [*by, "metric", *numbers, "verdict"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, float))


def _verdict(low, high, farther) -> str:
    if not low <= high:
        return "not available"
    if low <= 0 <= high:
        return "as much"
    return "more" if farther else "less"


def queries_that_lose(table: pd.DataFrame, k: int, *, draws: int = 200, seed: int = 0) -> pd.DataFrame:
    """Tell whether losses fall on some queries more than chance would have it, and on which.

    Parameters
    ----------
    table : DataFrame
        Of `beside_null`, with the column engine; one row an engine and query.
    k : int
        Neighbors a query.
    draws : int, default 200
        Of independent losses at the same mean recall, a binomial number a query.
    seed : int, default 0

    Returns
    -------
    DataFrame
        One row an engine: engine, worst_tenth (share of the losses that the tenth of the queries that loses most
        bears), chance_low and chance_high (95 % of the draws), none (share of the queries that lose nothing), lid (rank
        correlation of a query's losses with its exact LID), others (the mean rank correlation with its losses in the
        other engines). nan where nothing is lost.

    Examples
    --------
    >>> one = pd.DataFrame({"query": range(4), "engine": "a", "overlap": [0.2, 1, 1, 1], "lid_exact": [9, 1, 2, 3]})
    >>> queries_that_lose(one, 10).loc[0, ["worst_tenth", "none"]].tolist()
    [1.0, 0.75]
    """
    wide = table.pivot_table(index="query", columns="engine", values="overlap", sort=False)
    lid = table.drop_duplicates("query").set_index("query")["lid_exact"].reindex(wide.index)
    generator = np.random.default_rng(seed)
    rows = []
    for engine in wide:
        shares = wide[engine].to_numpy()
        lost = 1 - shares
        chance = 1 - generator.binomial(k, lost.mean(), size=(draws, len(lost))) / k
        drawn = [concentration(one) for one in chance]
        low, high = np.nanquantile(drawn, [0.025, 0.975]) if lost.any() else (np.nan, np.nan)
        others = [_correlation(lost, 1 - wide[other]) for other in wide if other != engine]
        row = {"engine": engine, "worst_tenth": concentration(shares), "chance_low": low, "chance_high": high}
        row |= {"none": float((lost == 0).mean()), "lid": _correlation(lost, lid)}
        rows.append({**row, "others": np.nanmean(others) if np.isfinite(others).any() else np.nan})
    return pd.DataFrame(rows, columns=["engine", "worst_tenth", "chance_low", "chance_high", "none", "lid", "others"])


def _correlation(one, other) -> float:
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 3 or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
        return np.nan
    return float(spearmanr(one[known], other[known]).statistic)
