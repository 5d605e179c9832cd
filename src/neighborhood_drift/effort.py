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
        One row each k / ef that at least two efforts share: k_over_ef, efforts (how many), largest_ef (the largest of
        them), highest_ef (that of the highest overlap), lowest and highest overlap, spread (their difference).
    """
    rows = table[table["study"] == study]
    ratio = (rows["k"] / rows["value"]).round(6).rename("k_over_ef")
    overlap = rows.set_index("value").groupby(ratio.to_numpy())["overlap"]
    table = pd.DataFrame(
        {
            "efforts": overlap.size(),
            "largest_ef": rows.groupby(ratio)["value"].max().astype(int),
            "highest_ef": overlap.idxmax().astype(int),
            "lowest": overlap.min(),
            "highest": overlap.max(),
        }
    )
    table = table[table["efforts"] > 1].rename_axis("k_over_ef").reset_index()
    return table.assign(spread=table["highest"] - table["lowest"])


def in_proportion(table: pd.DataFrame) -> pd.DataFrame:
    """Overlap at the smallest and at the largest k with ef in proportion to k.

    Parameters
    ----------
    table : DataFrame
        From :func:`means`: the study "alpha".

    Returns
    -------
    DataFrame
        One row a factor: alpha, the overlap at the smallest and at the largest k (named ``k = ...``), and change (the
        second minus the first).
    """
    rows = table[table["study"] == "alpha"].pivot_table(index="value", columns="k", values="overlap")
    ends = rows[[rows.columns.min(), rows.columns.max()]]
    change = ends.iloc[:, 1] - ends.iloc[:, 0]
    ends.columns = [f"k = {k}" for k in ends.columns]
    return ends.assign(change=change).rename_axis("alpha").reset_index()


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


def one_sided(curves: pd.DataFrame) -> pd.Series:
    """Share of all k at which the law's overlap is on the same side of the measured one, for each effort.

    Parameters
    ----------
    curves : DataFrame
        From :func:`law_curves`.

    Returns
    -------
    Series
        Indexed by ef: the larger of the shares above and below; near 1 where the error keeps its sign, near 0.5
        where it changes at random.
    """
    error = curves["overlap_law"] - curves["overlap"]
    above, below = ((side * error > 0).groupby(curves["ef"]).mean() for side in (1, -1))
    return above.combine(below, max)


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


def fact_values(table: pd.DataFrame, k: int, k_min: int) -> dict[str, str]:
    """Facts for the paper from :func:`means` at one k: overlap and padded queries of each setting.

    With ef in proportion to k, the overlap at ``k_min`` as well.

    Returns
    -------
    dict
        overlap_ef25, padded_ef25, overlap_efc200, overlap_alpha0_5, overlap_alpha0_5_kmin, ..., formatted.
    """
    short = {"efSearch": "ef", "efConstruction": "efc", "alpha": "alpha"}
    values = {}
    for row in table[table["study"].isin(short)].itertuples():
        value = str(row.value).replace(".", "_") if row.study == "alpha" else int(row.value)
        name = f"{short[row.study]}{value}"
        if row.k == k:
            values |= {f"overlap_{name}": fixed(row.overlap), f"padded_{name}": percent(row.padded)}
        if row.k == k_min and row.study == "alpha":
            values[f"overlap_{name}_kmin"] = fixed(row.overlap)
    return values
