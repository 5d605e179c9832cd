"""The main measurement on further data: overlap against k for two rules of effort and two libraries' graphs."""

from __future__ import annotations

import pandas as pd

from . import facts, intervals
from .exact import exact_neighbors
from .indexes import build_indexes
from .summaries import ABSENT, SEARCHES, by_engine, direction_facts, label, word
from .sweep import sweep

# What the paper cites, at hand or not; a run without one of them says "not available".
CITED = ("cifar10-resnet18", "fashion-mnist")
COLUMNS = {"data": object, "points": int, "dimension": int, "queries": int, "engine": object, "k": int}
COLUMNS |= {"metric": object, "mean": float, "low": float, "high": float}


def overlap_curves(samples, ks, ef: int, specs, *, metric="l2", threads=1, seed=0, resamples=1000, cache=None):
    """Mean overlap with the exact neighbors against k on each data set, with intervals over queries.

    Parameters
    ----------
    samples : iterable of Sample
        Their ``rows`` are asked, leave-one-out.
    ks : iterable of int
        Neighborhood sizes; those that a data set has no points for are left out for it.
    ef : int
        Search effort, whatever k is.
    specs : list of dict
        Of `build_indexes`. A FAISS graph is searched by both of its rules.
    metric : {"l2", "cosine"}
    threads : int, default 1
        Builds side by side, and search threads.
    seed, resamples : int
        Of the bootstrap over queries.
    cache : path, optional
        Of `build_indexes` and `sweep`.

    Returns
    -------
    DataFrame
        Columns data, points, dimension, queries, engine, k, metric ("overlap"), mean, low, high.

    Examples
    --------
    >>> overlap_curves([], [10], 50, [])
    Empty DataFrame
    Columns: [data, points, dimension, queries, engine, k, metric, mean, low, high]
    Index: []
    """
    found = [pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)]
    for sample in samples:
        asked = [k for k in ks if k < len(sample.base) - 1]
        if not asked:
            continue
        exact = exact_neighbors(sample.base, sample.base[sample.rows], k=max(asked), exclude=sample.rows, metric=metric)
        graphs = build_indexes(specs, sample.base, metric=metric, cache=cache, workers=threads)
        graphs += [graph.unbounded() for graph in graphs if graph.engine == "faiss-hnsw"]
        tables = []
        for graph in graphs:
            graph.threads = threads
            tables.append(sweep(graph, sample.base, sample.rows, asked, ef, exact, cache=cache))
        summary = intervals.summarize(pd.concat(tables), seed=seed, resamples=resamples, by=("engine", "k"))
        found.append(described(summary, sample))
    return pd.concat(found[1:] or found, ignore_index=True)[list(COLUMNS)]


def described(summary: pd.DataFrame, sample) -> pd.DataFrame:
    """The overlap rows of a summary, with the name and the size of the data set in front of them."""
    size = {"points": len(sample.base), "dimension": sample.base.shape[1], "queries": len(sample.rows)}
    return summary[summary["metric"] == "overlap"].assign(data=sample.name, **size)


def beside(curves: pd.DataFrame, ks, ef: int) -> pd.DataFrame:
    """Lay out, for readers, the overlap of each data set and search at some k, and where it goes from k = ef on.

    Parameters
    ----------
    curves : DataFrame
        Of `overlap_curves`, or of `described`.
    ks : iterable of int
        One column each; what was not measured is "not available".
    ef : int

    Returns
    -------
    DataFrame
        One row a data set and search, all cells text but ``dimension``.
    """
    rows = []
    for (data, dimension), own in curves.groupby(["data", "dimension"], sort=False):
        directions = direction_facts(own, ef)
        for engine, one in own.groupby("engine", sort=False):
            at = {found.k: found for found in one.itertuples()}
            row = {"data": data, "dimension": dimension, "search": label(engine)}
            row |= {
                f"k = {k}": f"{facts.fixed(at[k].mean)} ({facts.interval(at[k].low, at[k].high)})"
                if k in at
                else ABSENT
                for k in ks
            }
            rows.append(row | {f"from k = {ef} on": directions.get(f"direction_{word(engine)}", ABSENT)})
    return pd.DataFrame(rows)


def other_facts(curves: pd.DataFrame, names, ks, ef: int) -> dict[str, str]:
    """Facts of further data, each with the data set's name in front: those of `by_engine`, `direction_facts`, its size.

    Parameters
    ----------
    curves : DataFrame
        Of `overlap_curves`.
    names : iterable of str
        Data sets; one that is not among the curves gives "not available" throughout.
    ks : iterable of int
    ef : int
    """
    named, going = {}, [f"{fact}_{word(engine)}" for engine in SEARCHES for fact in ("change", "direction")]
    for name in dict.fromkeys(names):
        own = curves[curves["data"] == name]
        found = by_engine(own, "overlap", ks) | dict.fromkeys(going, ABSENT) | direction_facts(own, ef)
        for size in ("points", "dimension", "queries"):
            found[size] = facts.number(int(own[size].iloc[0])) if len(own) else ABSENT
        named |= {f"{name.replace('-', '_')}_{fact}": value for fact, value in found.items()}
    return named
