"""What varies when a measurement is made again: agreement of repeated builds, and a budget of variances."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from .checks import InputError, whole_number
from .indexes import build_index
from .intervals import limits

FACTORS = ("insertion order", "level seed", "build threads")


def icc(values, *, seed: int = 0, resamples: int = 1000) -> tuple[float, float, float]:
    """How far repeated measurements agree on which queries differ: intraclass correlation, one-way random effects.

    Parameters
    ----------
    values : (q, r) floats
        One row a query, one column a graph.
    seed, resamples
        Queries are resampled for the 95 % interval.

    Returns
    -------
    tuple of float
        ICC(1,1), low, high: (B - W) / (B + (r - 1) W), with B and W the mean squares between and within queries (Shrout
        and Fleiss 1979). 1: a query has one value on all graphs; 0: its value on one graph says nothing
        about another; below 0 as far as -1 / (r - 1). nan where nothing varies.

    Examples
    --------
    >>> icc([[1.0, 1.0], [3.0, 3.0], [8.0, 8.0]])[0]
    1.0
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise InputError(
            f"values have shape {values.shape}; at least two finite values of two queries are needed."
        )
    generator = np.random.default_rng(seed)
    drawn = [_icc(values[generator.integers(0, len(values), len(values))]) for _ in range(resamples)]
    low, high = limits(np.array(drawn)[:, None])
    return _icc(values), float(low[0]), float(high[0])


def _icc(values) -> float:
    q, r = values.shape
    of_query = values.mean(axis=1)
    between = r * of_query.var(ddof=1)
    within = ((values - of_query[:, None]) ** 2).sum() / (q * (r - 1))
    whole = between + (r - 1) * within
    return float((between - within) / whole) if whole > 0 else np.nan


def repeated_builds(
    measure, base, *, orders: int, seeds: int, builds: int, threads: int, metric: str = "l2", seed: int = 0, **params
) -> pd.DataFrame:
    """Measure hnswlib graphs over one base in a nested design: orders, seeds within, builds by several threads within.

    Parameters
    ----------
    measure : function of an index
        Returns (q,) floats, one a query.
    base : (n, d) array
    orders, seeds, builds : int
        Insertion orders; level seeds for each order; repeated builds for each seed.
    threads : int
        Build threads: with several, points enter in an order that the processor decides.
    metric, seed, **params
        As for `build_index`. Nothing is kept in a cache, since a build by several threads is another one each time.

    Returns
    -------
    DataFrame
        One row a graph and query: order, seed, build, query (0 up), value.
    """
    tables = []
    for order in range(whole_number(orders, "orders", 1)):
        for level in range(whole_number(seeds, "seeds", 1)):
            for build in range(whole_number(builds, "builds", 1)):
                # each order has seeds of its own: nested, not crossed
                index = build_index(
                    "hnswlib", base, metric=metric, seed=seed + order * seeds + level, threads=threads,
                    insertion_seed=seed + order + 1, **params,
                )  # fmt: skip
                values = np.asarray(measure(index), dtype=np.float64)
                columns = {"order": order, "seed": level, "build": build, "query": np.arange(len(values))}
                tables.append(pd.DataFrame({**columns, "value": values}))
    return pd.concat(tables, ignore_index=True)


def budget(table: pd.DataFrame, *, seed: int = 0, draws: int = 4000) -> pd.DataFrame:
    """Variance of a mean over q queries on one graph, by what would be drawn anew.

    Parameters
    ----------
    table : DataFrame
        Of `repeated_builds`: balanced, with at least two of each level.
    seed, draws
        Of the simulated intervals.

    Returns
    -------
    DataFrame
        One row a source: "query sample" (the same graphs asked other q queries), "insertion order", "level seed",
        "build threads" (the same queries asked of another graph, all above held fixed): source, variance
        (of the mean), deviation (its root), low, high (95 % interval of the deviation), share (of the sum of the four),
        degrees (of freedom).

    Raises
    ------
    InputError
        If the design is not balanced or has a level with one member.

    Notes
    -----
    Nested analysis of variance of the graphs' means, method of moments (Searle, Casella and McCulloch 1992), with
    negative estimates set to 0. The variance from queries is that of the queries' means over the graphs, divided by q.
    Intervals of the graph components are generalised confidence intervals: each mean square is divided
    by a draw of its chi-square over its degrees of freedom, which takes the graphs' effects for normal.

    Examples
    --------
    >>> rows = [(o, s, b, q, o + q) for o in (0, 2) for s in (0, 1) for b in (0, 1) for q in (0, 1)]
    >>> found = budget(pd.DataFrame(rows, columns=["order", "seed", "build", "query", "value"]))
    >>> found["variance"].tolist()
    [0.25, 2.0, 0.0, 0.0]
    """
    means = table.groupby(["order", "seed", "build"])["value"].mean()
    sizes = table.groupby(["order", "seed", "build"]).size()
    shape = tuple(means.index.get_level_values(name).nunique() for name in ("order", "seed", "build"))
    if len(means) != np.prod(shape) or min(shape) < 2 or sizes.min() < sizes.max():
        raise InputError(
            f"the design has {len(means)} graphs in levels of {shape}; it must be balanced, with two of each at least."
        )
    cube = means.to_numpy().reshape(shape)
    orders, seeds, builds = shape
    squares = np.array([
        seeds * builds * cube.mean(axis=(1, 2)).var(ddof=1),
        builds * cube.mean(axis=2).var(axis=1, ddof=1).mean(),
        cube.var(axis=2, ddof=1).mean(),
    ])  # fmt: skip
    degrees = np.array([orders - 1, orders * (seeds - 1), orders * seeds * (builds - 1)])
    generator = np.random.default_rng(seed)
    drawn = squares * degrees / generator.chisquare(degrees, (draws, 3))
    low, high = np.quantile(_components(drawn, seeds, builds), [0.025, 0.975], axis=0)
    of_query = table.groupby("query")["value"].mean()
    q = len(of_query)
    sampling = of_query.var(ddof=1) / q
    bounds = sampling * (q - 1) / stats.chi2.ppf([0.975, 0.025], q - 1)
    variance = np.concatenate([[sampling], _components(squares, seeds, builds)])
    low, high = np.concatenate([bounds[:1], low]), np.concatenate([bounds[1:], high])
    columns = {"source": ("query sample", *FACTORS), "variance": variance, "deviation": np.sqrt(variance)}
    columns |= {"low": np.sqrt(low), "high": np.sqrt(high)}
    total = variance.sum()
    columns |= {"share": variance / total if total > 0 else np.full(4, np.nan), "degrees": [q - 1, *degrees]}
    return pd.DataFrame(columns)


def _components(squares, seeds: int, builds: int):
    """Variances of order, seed and build from their mean squares (last axis)."""
    order, seed, build = np.moveaxis(np.asarray(squares), -1, 0)
    parts = [(order - seed) / (seeds * builds), (seed - build) / builds, build]
    return np.maximum(np.stack(parts, axis=-1), 0)
