"""Sweeps over search effort side by side: one label a setting, means over queries, and what fails at which effort."""

from __future__ import annotations

import pandas as pd

from .checks import InputError
from .facts import fixed, percent
from .intervals import bootstrap_means, limits, wide_table
from .law import Law, errors, overlap_from_visits, predict


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


def law_by_seed(seeds, laws, visited, fitted) -> pd.DataFrame:
    """Constants of the law on graphs of several seeds, and its worst errors at the efforts it was not fitted on.

    Parameters
    ----------
    seeds : iterable of int
    laws : iterable of Law
        The law fitted on each graph.
    visited : iterable of dict
        For each graph, search effort -> measured p(r).
    fitted : collection of int

    Returns
    -------
    DataFrame
        seed, a, b, and the largest over efforts of rmse and of largest_error.
    """
    rows = []
    for seed, law, p_by_ef in zip(seeds, laws, visited, strict=True):
        table = errors(law, p_by_ef, fitted)
        worst = table.loc[table["use"] == "predicted", ["rmse", "largest_error"]].max()
        rows.append({"seed": seed, "a": law.a, "b": law.b, **worst})
    return pd.DataFrame(rows)


def fact_values(table: pd.DataFrame, k: int) -> dict[str, str]:
    """Facts for the paper from :func:`means` at one k: overlap and padded queries of each setting.

    Returns
    -------
    dict
        overlap_ef25, padded_ef25, overlap_efc200, overlap_alpha0_5, ..., formatted.
    """
    short = {"efSearch": "ef", "efConstruction": "efc", "alpha": "alpha"}
    values = {}
    for row in table[(table["k"] == k) & table["study"].isin(short)].itertuples():
        value = str(row.value).replace(".", "_") if row.study == "alpha" else int(row.value)
        name = f"{short[row.study]}{value}"
        values |= {f"overlap_{name}": fixed(row.overlap), f"padded_{name}": percent(row.padded)}
    return values
