"""What an index does to neighborhoods beyond its losses: each query beside exact lists that lost as many at random."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from .checks import InputError, whole_number
from .intervals import bootstrap_means, limits
from .law import among
from .metrics import drift, overlap
from .neighbors import MISSING, Neighbors
from .null import lost_at_random

# One row a measure: its column in a drift table, and its value where nothing is lost.
MEASURES = {"mean_distance_ratio": 1.0, "kth_distance_ratio": 1.0, "barycenter_shift": 0.0, "lid_difference": 0.0}


def matched(exact: Neighbors, found: Neighbors, *, seed: int = 0) -> Neighbors:
    """Exact lists that lost, query by query, as many neighbors as ``found`` did, but at random.

    Parameters
    ----------
    exact : Neighbors
        (q, K) exact lists, K at least k plus the most that a query lost (2 k always suffices).
    found : Neighbors
        (q, k) lists of the same queries.
    seed : int, default 0

    Returns
    -------
    Neighbors
        (q, k): the next true neighbors take the places of the lost ones, the nearest that could; as many slots are
        missing as in ``found``.

    Examples
    --------
    >>> exact = Neighbors([[5, 6, 7, 8]], [[1.0, 2.0, 3.0, 4.0]])
    >>> matched(exact, Neighbors([[9, 4]], [[2.0, 3.0]])).ids
    array([[7, 8]])
    """
    k = found.k
    lost = k - np.rint(k * overlap(exact.first(k), found)).astype(np.int64)
    made = lost_at_random(exact, k, lost, seed=seed)
    # a missing slot is a loss that nothing replaced, and what replaces losses stands last
    gone = np.arange(k) >= found.found[:, None]
    return Neighbors(np.where(gone, MISSING, made.ids), np.where(gone, np.inf, made.distances))


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
        As in `matched`.
    metric : {"l2", "cosine"}
    draws : int, default 5
        Random lists a query; the null's value is their mean.
    seed : int, default 0

    Returns
    -------
    DataFrame
        The drift table of ``found`` (see `neighborhood_drift.metrics.drift`), and for each of `MEASURES` a column with
        the ending ``_null``. A measure that is not defined for a query is nan.

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> base = np.random.default_rng(0).normal(size=(50, 3))
    >>> exact = exact_neighbors(base.astype(np.float32), k=10)
    >>> table = beside_null(base.astype(np.float32), np.arange(50), exact, exact.first(5))
    >>> float(table["barycenter_shift_null"].max())
    0.0
    """
    draws = whole_number(draws, "draws", 1)
    table = drift(base, exact, {found.k: found}, rows=rows, metric=metric)
    null = sum(
        drift(base, exact, {found.k: matched(exact, found, seed=seed + draw)}, rows=rows, metric=metric)[list(MEASURES)]
        for draw in range(draws)
    )
    return table.join((null / draws).add_suffix("_null"))


def excesses(table: pd.DataFrame, *, by=("engine", "target"), resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Each measure beside the null's, and the difference with its interval, paired over queries.

    Parameters
    ----------
    table : DataFrame
        Of `beside_null`, one or several stacked, with the columns ``by``.
    by : tuple of str
    resamples, seed : int
        Of the bootstrap over queries; a query is drawn with its value and its null's.

    Returns
    -------
    DataFrame
        One row a group and measure: ``*by``, metric, mean, null, excess (mean minus null), low, high (95 %), relative
        (excess over the null's distance from "nothing lost"), and verdict: "more" where the interval lies on the
        null's side of "nothing lost" and beyond it, "less" where it lies between, "as much" where it holds 0.

    Raises
    ------
    InputError
        If a column is lacking.

    Examples
    --------
    >>> one = {"query": [0, 1], "engine": "a", "target": 0.9}
    >>> made = {name: [1.3, 1.3] for name in MEASURES} | {f"{name}_null": [1.1, 1.1] for name in MEASURES}
    >>> excesses(pd.DataFrame(one | made), resamples=10).loc[0, ["metric", "verdict"]].tolist()
    ['mean_distance_ratio', 'more']
    """
    by = list(by)
    lacking = [name for name in [*by, *MEASURES, *(f"{name}_null" for name in MEASURES)] if name not in table]
    if lacking:
        raise InputError(f"the table lacks {', '.join(lacking)}; it must be made by beside_null.")
    rows = []
    for group, queries in table.groupby(by, sort=False):
        values = queries[list(MEASURES)].to_numpy()
        away = values - queries[[f"{name}_null" for name in MEASURES]].to_numpy()
        low, high = limits(bootstrap_means(away, resamples=resamples, seed=seed))
        for at, (name, nothing) in enumerate(MEASURES.items()):
            known = np.isfinite(away[:, at])
            mean, excess = (column[known, at].mean() if known.any() else np.nan for column in (values, away))
            moved = mean - excess - nothing
            row = {"metric": name, "mean": mean, "null": mean - excess, "excess": excess}
            row |= {"low": low[at], "high": high[at], "relative": excess / moved if moved else np.nan}
            row["verdict"] = _verdict(low[at], high[at], excess if moved == 0 else np.sign(moved))
            rows.append({**dict(zip(by, group, strict=True)), **row})
    return pd.DataFrame(rows)


def _verdict(low, high, direction) -> str:
    if not low <= high:
        return "not available"
    if low <= 0 <= high:
        return "as much"
    return "more" if (low > 0) == (direction > 0) else "less"


def by_rank(exact: Neighbors, found: Neighbors, *, bins: int = 10, resamples: int = 1000, seed: int = 0):
    """Share of the true neighbors that were returned, by their rank, in equal bins of ranks.

    Parameters
    ----------
    exact : Neighbors
        (q, K) exact lists.
    found : Neighbors
        (q, k) lists of the same queries, k at most K.
    bins : int, default 10
        Bins of ranks, at most k.
    resamples, seed : int
        Of the bootstrap over queries.

    Returns
    -------
    DataFrame
        One row a bin: first, last (ranks), share, low, high (95 %), and away: share minus that of all ranks, with
        away_low and away_high. The null model is flat: away is 0.

    Examples
    --------
    >>> exact = Neighbors([[1, 2, 3, 4]], [[1.0, 2.0, 3.0, 4.0]])
    >>> by_rank(exact, Neighbors([[1, 2, 3, 9]], [[1.0, 2.0, 3.0, 9.0]]), bins=2, resamples=5)[["last", "share"]]
       last  share
    0     2    1.0
    1     4    0.5
    """
    k = found.k
    bins = whole_number(bins, "bins", 1, k)
    returned = among(exact.first(k).ids, found.ids)
    parts = np.array_split(np.arange(k), bins)
    shares = np.stack([returned[:, part].mean(axis=1) for part in parts], axis=1)
    away = shares - returned.mean(axis=1, keepdims=True)
    low, high = limits(bootstrap_means(np.hstack([shares, away]), resamples=resamples, seed=seed))
    table = {"first": [part[0] + 1 for part in parts], "last": [part[-1] + 1 for part in parts]}
    table |= {"share": shares.mean(axis=0), "low": low[:bins], "high": high[:bins]}
    table |= {"away": away.mean(axis=0), "away_low": low[bins:], "away_high": high[bins:]}
    return pd.DataFrame(table)


def concentration(shares, *, part: float = 0.1) -> float:
    """Share of all losses that falls on the ``part`` of the queries that lose most; nan where nothing is lost.

    Parameters
    ----------
    shares : (q,) floats
        Overlap of each query.
    part : float, default 0.1
        Of the queries, rounded up to at least one.

    Examples
    --------
    >>> round(concentration([0.5, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 3)
    0.833
    """
    lost = np.sort(1 - np.asarray(shares, dtype=np.float64))[::-1]
    total = lost.sum()
    return float(lost[: int(np.ceil(part * len(lost)))].sum() / total) if total > 0 else np.nan


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
    return pd.DataFrame(rows)


def _correlation(one, other) -> float:
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 3 or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
        return np.nan
    return float(spearmanr(one[known], other[known]).statistic)
