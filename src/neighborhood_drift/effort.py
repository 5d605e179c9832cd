"""Sweeps over search effort side by side: one label a setting, means over queries, and what fails at which effort."""

from __future__ import annotations

import pandas as pd

from .checks import InputError
from .intervals import bootstrap_means, limits, wide_table
from .law import Law, overlap_from_visits, predict


def means(sweeps) -> pd.DataFrame:
    """Mean over queries of each metric, one row a setting, engine and k.

    Parameters
    ----------
    sweeps : iterable of (str, number, DataFrame)
        What was varied, its value, and the table of ``sweep.sweep`` that it gave.

    Returns
    -------
    DataFrame
        study, value, engine, k, the means of the sweep's columns (nan left out), queries, padded (the share of
        queries with at least one neighbor missing), and overlap_low, overlap_high: the 95 % bootstrap interval of the
        mean overlap over queries.
    """
    tables = []
    for study, value, table in sweeps:
        own = table.assign(padded=(table["missing_share"] > 0).astype(float))
        grouped = own.drop(columns=["query", "seed"]).groupby(["engine", "k"])
        low, high = limits(bootstrap_means(wide_table(own, ["engine", "k"], ["overlap"])))
        mean = grouped.mean().assign(queries=grouped.size(), overlap_low=low, overlap_high=high).reset_index()
        mean.insert(0, "study", study)
        mean.insert(1, "value", float(value))
        tables.append(mean)
    if not tables:
        raise InputError("no sweeps given; at least one is needed.")
    return pd.concat(tables, ignore_index=True)


def collapse(table: pd.DataFrame, study: str = "efSearch") -> pd.DataFrame:
    """Compare overlaps of different efforts at the same k / ef.

    Parameters
    ----------
    table : DataFrame
        From :func:`means`.
    study : str
        The study whose ``value`` is ef.

    Returns
    -------
    DataFrame
        One row each k / ef that at least two efforts share: k_over_ef, efforts (how many), lowest and highest
        overlap, spread (their difference).
    """
    rows = table[table["study"] == study]
    ratio = (rows["k"] / rows["value"]).round(6).rename("k_over_ef")
    grouped = rows.groupby(ratio)["overlap"].agg(efforts="size", lowest="min", highest="max").reset_index()
    grouped = grouped[grouped["efforts"] > 1].reset_index(drop=True)
    return grouped.assign(spread=grouped["highest"] - grouped["lowest"])


def law_curves(law: Law, p_by_ef: dict, fitted) -> pd.DataFrame:
    """Measured and predicted visit probabilities and overlaps, tidy, for a figure.

    Returns
    -------
    DataFrame
        ef, use ("fitted" or "predicted"), rank, p, p_law, overlap, overlap_law.
    """
    tables = []
    for ef, p in sorted(p_by_ef.items()):
        by_law = predict(law, ef, len(p))
        columns = {
            "p": p,
            "p_law": by_law,
            "overlap": overlap_from_visits(p),
            "overlap_law": overlap_from_visits(by_law),
        }
        use = "fitted" if ef in fitted else "predicted"
        tables.append(pd.DataFrame({"ef": ef, "use": use, "rank": range(1, len(p) + 1), **columns}))
    return pd.concat(tables, ignore_index=True)
