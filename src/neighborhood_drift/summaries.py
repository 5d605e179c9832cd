"""Summaries set side by side: intervals over queries and over index seeds, onsets by engine, facts by engine."""

from __future__ import annotations

import pandas as pd

from . import facts
from .checks import InputError
from .intervals import METRIC_COLUMNS, mean_over_seeds, onset
from .names import label, word

SEARCHES = ("faiss-hnsw", "faiss-hnsw-unbounded", "hnswlib")  # what notebooks 04 and 05 compare
ABSENT = facts.fixed(float("nan"))


def means(table: pd.DataFrame, columns, by=("engine", "k")) -> pd.DataFrame:
    """Mean of some columns over queries, in the tidy form of `intervals.summarize`, without intervals.

    Parameters
    ----------
    table : DataFrame
        One row a query and group.
    columns : iterable of str
        Columns to average; nan is left out, and a column that is nan throughout a group gives nan.
    by : tuple of str

    Returns
    -------
    DataFrame
        Columns ``*by``, metric, mean, low, high; low and high are the mean itself: no interval is claimed.

    Examples
    --------
    >>> table = pd.DataFrame({"engine": ["a", "a"], "k": [5, 5], "work": [1.0, 3.0]})
    >>> means(table, ["work"])
      engine  k metric  mean  low  high
    0      a  5   work   2.0  2.0   2.0
    """
    by = list(by)
    tidy = table.groupby(by)[list(columns)].mean().reset_index().melt(by, var_name="metric", value_name="mean")
    return tidy.assign(low=tidy["mean"], high=tidy["mean"])


def over_seeds(table: pd.DataFrame, by=("engine", "k"), ci: float = 0.95) -> pd.DataFrame:
    """Mean over index seeds of each metric's mean over queries, with the interval of Student's t over seeds.

    Parameters
    ----------
    table : DataFrame
        Drift tables of several seeds: columns seed, ``*by`` and metrics, one row a query.
    by : tuple of str
    ci : float, default 0.95

    Returns
    -------
    DataFrame
        Columns ``*by``, metric, mean, low, high, seeds (their number); low and high are nan with one seed.

    Examples
    --------
    >>> table = pd.DataFrame({"engine": "a", "k": 5, "seed": [0, 1], "overlap": [0.8, 0.9]})
    >>> over_seeds(table)[["metric", "mean", "seeds"]]
        metric  mean  seeds
    0  overlap  0.85      2
    """
    by = list(by)
    measured = [name for name in METRIC_COLUMNS if name in table]
    each = table.groupby([*by, "seed"])[measured].mean().reset_index()
    rows = []
    for group, graphs in each.groupby(by):
        for metric in measured:
            mean, low, high = mean_over_seeds(graphs[metric], ci)
            named = dict(zip(by, group, strict=True))
            rows.append({**named, "metric": metric, "mean": mean, "low": low, "high": high, "seeds": len(graphs)})
    return pd.DataFrame(rows)


def beside(summary, seeds, metrics, ks, *, also=(), decimals: int = 4) -> pd.DataFrame:
    """Lay out, for readers, a metric's mean with its interval over queries beside that over index seeds.

    Parameters
    ----------
    summary, seeds : DataFrame
        Of `intervals.summarize` and `over_seeds`, by engine and k.
    metrics : str or iterable of str
    ks : iterable of int
    also : iterable of str
        Further metrics, their mean alone, as columns of their own.
    decimals : int, default 4

    Returns
    -------
    DataFrame
        One row an engine, k and metric, all cells text but ``k``.
    """
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    lacking = set(ks) - set(summary["k"])
    if lacking:
        raise InputError(f"k = {sorted(lacking)} were not measured; measured are {sorted(set(summary['k']))}.")
    at = summary.set_index(["engine", "k", "metric"])
    over = seeds.set_index(["engine", "k", "metric"])
    rows = []
    for engine in dict.fromkeys(summary["engine"]):
        for k in ks:
            for metric in metrics:
                one = at.loc[(engine, k, metric)]
                row = {"search": label(engine), "k": k}
                if len(metrics) > 1:
                    row["metric"] = metric.replace("_", " ")
                row["mean"] = facts.fixed(one["mean"], decimals)
                row["over queries"] = facts.interval(one["low"], one["high"], decimals)
                if (engine, k, metric) in over.index:
                    spread = over.loc[(engine, k, metric)]
                    row["mean over seeds"] = facts.fixed(spread["mean"], decimals)
                    row["over seeds"] = facts.interval(spread["low"], spread["high"], decimals)
                for name in also:
                    row[name.replace("_", " ")] = facts.fixed(at.loc[(engine, k, name), "mean"], decimals)
                rows.append(row)
    return pd.DataFrame(rows)


def plain(summary, metric: str) -> pd.DataFrame:
    """Lay out one metric of a summary for readers; no rows where there is no summary (an empty list).

    Parameters
    ----------
    summary : DataFrame or empty list
        Of `intervals.summarize`, by engine and k.
    metric : str

    Returns
    -------
    DataFrame
        Columns search, k, mean, low, high.
    """
    columns = ["search", "k", "mean", "low", "high"]
    if not len(summary):
        return pd.DataFrame(columns=columns)
    chosen = summary[summary["metric"] == metric]
    return chosen.assign(search=chosen["engine"].map(label))[columns]


def onsets(table: pd.DataFrame, levels=(0.99, 0.95, 0.90), **bootstrap) -> pd.DataFrame:
    """Smallest k at which mean overlap is below each level, an engine and level a row.

    Parameters
    ----------
    table : DataFrame
        Drift table with column engine.
    levels : iterable of float
    **bootstrap
        ``seed``, ``resamples``, ``ci`` of `intervals.onset`.

    Returns
    -------
    DataFrame
        Columns engine, overlap below, k, low, high: text; "never" where the level is not reached.
    """
    rows = []
    for engine, own in table.groupby("engine"):
        for level in levels:
            found = onset(own, level, **bootstrap)
            k, low, high = (
                f"{value:.0f}" if pd.notna(value) else "never" for value in (found.k, found.low, found.high)
            )
            rows.append({"engine": engine, "overlap below": f"{level:.2f}", "k": k, "low": low, "high": high})
    return pd.DataFrame(rows)


def by_engine(summary, metric: str, ks, *, decimals: int = 3) -> dict[str, str]:
    """Facts of one metric: ``<metric>_<engine>_k<k>`` and, with ``_interval``, its interval over queries.

    Parameters
    ----------
    summary : DataFrame or empty list
        Of `intervals.summarize`, by engine and k.
    metric : str
    ks : iterable of int
        Each gives its facts for `SEARCHES` and every engine in the summary; what was not measured is "not available",
        so that a paper on few points still names it.
    decimals : int, default 3

    Examples
    --------
    >>> columns = ["engine", "k", "metric", "mean", "low", "high"]
    >>> summary = pd.DataFrame([["hnswlib", 50, "overlap", 0.9, 0.8, 1.0]], columns=columns)
    >>> named = by_engine(summary, "overlap", [50, 100])
    >>> named["overlap_hnswlib_k50"], named["overlap_hnswlib_k50_interval"], named["overlap_hnswlib_k100"]
    ('0.900', '0.800 to 1.000', 'not available')
    """
    known = {}
    if len(summary):
        known = {(row.engine, row.k): row for row in summary[summary["metric"] == metric].itertuples()}
    named = {}
    for engine in dict.fromkeys([*SEARCHES, *(engine for engine, _ in known)]):
        for k in ks:
            name, row = f"{metric}_{word(engine)}_k{k}", known.get((engine, k))
            named[name] = ABSENT if row is None else facts.fixed(row.mean, decimals)
            named[f"{name}_interval"] = ABSENT if row is None else facts.interval(row.low, row.high, decimals)
    return named


def onset_facts(found: pd.DataFrame) -> dict[str, str]:
    """Facts of `onsets`: ``onset_<level in percent>_<engine>`` and, with ``_interval``, its interval."""
    named = {}
    for row in found.to_dict("records"):
        name = f"onset_{100 * float(row['overlap below']):.0f}_{word(row['engine'])}"
        named[name] = row["k"]
        named[f"{name}_interval"] = row["low"] if row["low"] == row["high"] else f"{row['low']} to {row['high']}"
    return named


def work_facts(work: pd.DataFrame, ks) -> dict[str, str]:
    """Facts of distance computations: ``work_<engine>_k<k>`` a query, and the ratio of unbounded to default.

    Parameters
    ----------
    work : DataFrame
        Of `means`, with metric distance_computations; nan where a library does not count.
    ks : iterable of int
    """
    at = work[work["metric"] == "distance_computations"].set_index(["engine", "k"])["mean"]
    named = {}
    for k in ks:
        default, unbounded = (at.get((engine, k), float("nan")) for engine in ("faiss-hnsw", "faiss-hnsw-unbounded"))
        named[f"work_default_k{k}"] = facts.fixed(default, 0)
        named[f"work_unbounded_k{k}"] = facts.fixed(unbounded, 0)
        named[f"work_ratio_k{k}"] = facts.fixed(unbounded / default, 1)
    return named


def direction_facts(summary: pd.DataFrame, ef: int) -> dict[str, str]:
    """Facts of direction: does overlap rise or fall from the smallest k of at least ef to the largest?

    ``change_<engine>`` is the difference of the two means, with its sign; ``direction_<engine>`` says "rises" or
    "falls" where the two intervals over queries are disjoint, else "does not change measurably".
    """
    overlap = summary[(summary["metric"] == "overlap") & (summary["k"] >= ef)].sort_values("k")
    named = {}
    for engine, rows in overlap.groupby("engine"):
        start, end = rows.iloc[0], rows.iloc[-1]
        direction = "does not change measurably"
        if end["low"] > start["high"]:
            direction = "rises"
        elif end["high"] < start["low"]:
            direction = "falls"
        name = word(engine)
        named[f"change_{name}"] = f"{end['mean'] - start['mean']:+.3f}".replace("-", "−")
        named[f"direction_{name}"] = direction
    return named


def seed_facts(seeds: pd.DataFrame, metric: str, k: int) -> dict[str, str]:
    """Facts of the interval over index seeds at one k: ``<metric>_<engine>_k<k>_seeds``."""
    chosen = seeds[(seeds["metric"] == metric) & (seeds["k"] == k)]
    return {
        f"{metric}_{word(row.engine)}_k{row.k}_seeds": facts.interval(row.low, row.high, 3)
        for row in chosen.itertuples()
    }


def lid_gap_facts(study: pd.DataFrame, ks) -> dict[str, str]:
    """Facts of the first study's LID difference on our neighbors, at some k.

    Parameters
    ----------
    study : DataFrame
        Of `earlier.seed_study`.
    ks : iterable of int
        A k that the study does not hold gives "not available".

    Returns
    -------
    dict
        ``lid_gap_k<k>`` and its parts ``lid_self_k<k>`` (the query's own distance), ``lid_lost_k<k>`` (neighbors lost),
        and the exact LID as computed then and corrected, ``lid_then_k<k>`` and ``lid_right_k<k>``.
    """
    columns = {"gap": "gap", "self": "self_arithmetic", "lost": "neighbors_lost"}
    columns |= {"then": "lid_exact_mean", "right": "right_lid_exact_mean"}
    at = study.set_index("k").reindex(list(ks))
    return {f"lid_{name}_k{k}": facts.fixed(at.loc[k, column], 2) for k in ks for name, column in columns.items()}
