"""Tables and facts of scale: what is shown of each size, dimension and metric, and what an extrapolation was worth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .facts import count, fixed, interval, number, percent
from .names import label
from .scale import COLUMNS, ENGINE
from .scale_fits import extrapolations, growth, over_draws
from .summaries import ABSENT

# What the paper cites, at hand or not; a run without one of them says "not available".
CITED = ("cifar10-resnet18", "fashion-mnist-train")
UNBOUNDED = "faiss-hnsw-unbounded"


def together(own: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The rows of this run and those of separate runs (`separate.published`), which the name of the data then tells."""
    if not len(kept):
        return own
    return pd.concat([own, kept.assign(data=kept["data"] + " (separate run)")[COLUMNS]], ignore_index=True)


def _cell(row, decimals: int | None = None) -> str:
    """A mean with its interval, as a table shows it."""
    if row is None or not np.isfinite(row.value):
        return ABSENT
    shown = (lambda value: fixed(value, decimals)) if decimals is not None else number
    around = f" ({shown(row.low)} to {shown(row.high)})" if np.isfinite(row.low) else ""
    return shown(row.value) + around


def laid_out(table: pd.DataFrame, study: str, k: int, target: float, *, times: bool = False) -> pd.DataFrame:
    """One row a data set, metric, dimension and size of a study, for readers; all cells but the first few are text.

    Parameters
    ----------
    table : DataFrame
        Of `together`.
    study : {"size", "dimension", "metric"}
    k : int
        The neighborhood size of the overlaps; the efforts are those of the largest k measured.
    target : float
        The overlap whose effort is shown.
    times : bool, default False
        Show the time of a query at the fixed effort and that of a build, instead of what is found and at what effort.
    """
    rows = []
    columns = ["data", *(["metric"] if study == "metric" else []), "dimension", "n"]
    means = over_draws(table[table["study"] == study])
    for where, one in means.groupby(columns):
        of_k = one[one["k"] == min(k, one["k"].max())]
        found = {(row.search, row.measure): row for row in of_k.itertuples()}
        largest = {row.measure: row for row in one[one["search"] == ENGINE].sort_values("k").itertuples()}
        if times:
            cells = {"µs, fixed ef": largest.get("microseconds"), "build, s": largest.get("build_seconds")}
            shown = {name: _cell(row) for name, row in cells.items()}
        else:
            shown = {
                f"overlap, {label(ENGINE)}": _cell(found.get((ENGINE, "overlap")), 3),
                f"overlap, {label(UNBOUNDED)}": _cell(found.get((UNBOUNDED, "overlap")), 3),
                f"ef for {target:g}": _cell(largest.get(f"effort {target:g}"), 0),
                "distances at it": _cell(largest.get(f"distances {target:g}"), 0),
                "µs at it": _cell(largest.get(f"microseconds {target:g}")),
                "LID": _cell(largest.get("lid"), 1),
            }
        rows.append({**dict(zip(columns, where, strict=True)), **shown})
    return pd.DataFrame(rows)


def predictions(table: pd.DataFrame, measures) -> pd.DataFrame:
    """Lay out `scale_fits.extrapolations` for readers: what was fitted, predicted and measured, by FAISS's default."""
    shown = extrapolations(table[table["search"] == ENGINE], measures)
    rows = []
    for row in shown.itertuples():
        write = (lambda value: fixed(value, 3)) if row.measure == "overlap" else number
        rows.append(
            {
                "data": row.data,
                "measure": f"{row.measure}, k = {row.k}",
                "fitted up to": row.upto,
                "times": row.factor,
                "predicted": f"{write(row.predicted)} ({write(row.low)} to {write(row.high)})",
                "measured at n": f"{write(row.measured)} at {row.n:,}",
                "in the interval": "yes" if row.inside else "no",
            }
        )
    names = ["data", "measure", "fitted up to", "times", "predicted", "measured at n", "in the interval"]
    return pd.DataFrame(rows, columns=names)


def scale_facts(table: pd.DataFrame, main: str, k: int, target: float) -> dict[str, str]:
    """Facts of the sizes, for the main data (``main_...``) and for each cited set (its name in front).

    Parameters
    ----------
    table : DataFrame
        Of `scale.measure`, without separate runs: their facts come in by themselves.
    main : str
        Name of the main data.
    k : int
        The largest neighborhood size.
    target : float

    Returns
    -------
    dict
        For each: sizes, smallest, largest, and at both ends overlap, effort and the time of a search (at the fixed
        effort, and as ``search_kept`` at that which keeps the overlap); how effort, distances and times grow; and the
        prediction of the largest size from the others, with the interval, what was measured, and whether it was inside.
    """
    named = {}
    for name in dict.fromkeys([main, *CITED]):
        word = "main" if name == main else name.replace("-", "_")
        of_size = table[(table["data"] == name) & (table["study"] == "size")]
        named |= {f"{word}_{fact}": value for fact, value in _of_one(of_size, k, target).items()}
    return named


def _of_one(table, k, target) -> dict[str, str]:
    effort, sizes = f"effort {target:g}", sorted(table["n"].unique())
    ends = {"small": sizes[0], "large": sizes[-1]} if sizes else {"small": 0, "large": 0}
    counts = {"sizes": len(sizes), "draws": table["draw"].nunique()}
    values = {name: count(value) if sizes else ABSENT for name, value in counts.items()}
    means = over_draws(table[table["k"] == k])
    for end, n in ends.items():
        values[end] = number(int(n)) if n else ABSENT
        for name, search, measure, decimals in (
            ("overlap", ENGINE, "overlap", 3),
            ("overlap_unbounded", UNBOUNDED, "overlap", 3),
            ("effort", ENGINE, effort, 0),
            ("distances", ENGINE, f"distances {target:g}", 0),
            ("search", ENGINE, "microseconds", 0),
            ("search_kept", ENGINE, f"microseconds {target:g}", 0),
        ):
            at = means[(means["n"] == n) & (means["search"] == search) & (means["measure"] == measure)]
            known = len(at) and np.isfinite(at["value"].iloc[0])
            values[f"{name}_{end}"] = fixed(at["value"].iloc[0], decimals) if known else ABSENT
            limits = [interval(at["low"].iloc[0], at["high"].iloc[0], decimals)] if known else [ABSENT]
            values[f"{name}_{end}_interval"] = ABSENT if "not available" in limits[0] else limits[0]
    return values | _grown(table, k, effort, target) | _predicted(table, k, effort)


def _grown(table, k, effort, target) -> dict[str, str]:
    """Exponents of n: effort, distances at that effort, time of a build, of a search at the fixed and at that effort;
    and the effort for ten times the points."""
    measures = {"effort": effort, "distances": f"distances {target:g}", "build": "build_seconds"}
    measures |= {"search": "microseconds", "search_kept": f"microseconds {target:g}"}
    lines = growth(table[(table["search"] == ENGINE) & (table["k"] == k)], measures.values())
    values = {}
    for name, measure in measures.items():
        row = next(lines[lines["measure"] == measure].itertuples(), None)
        values[f"{name}_exponent"] = ABSENT if row is None else fixed(row.slope, 2)
        values[f"{name}_exponent_interval"] = ABSENT if row is None else interval(row.slope_low, row.slope_high, 2)
        if name == "effort":
            values["effort_tenfold"] = ABSENT if row is None else fixed(row.predicted, 0)
            values["effort_tenfold_interval"] = ABSENT if row is None else interval(row.low, row.high, 0)
            values["tenfold"] = ABSENT if row is None else number(int(row.n))
    return values


def _predicted(table, k, effort) -> dict[str, str]:
    """The largest size predicted from all smaller ones, and from the fewest: was the measured value in the interval?"""
    lines = extrapolations(table[(table["search"] == ENGINE) & (table["k"] == k)], ["overlap", effort])
    values = {}
    for name, measure, decimals in (("overlap", "overlap", 3), ("effort", effort, 0)):
        rows = lines[lines["measure"] == measure].sort_values("upto")
        for which, row in (("near", rows.iloc[-1:]), ("far", rows.iloc[:1])):
            one = next(row.itertuples(), None)
            fact = f"predicted_{name}_{which}"
            values[fact] = ABSENT if one is None else fixed(one.predicted, decimals)
            values[f"{fact}_interval"] = ABSENT if one is None else interval(one.low, one.high, decimals)
            values[f"{fact}_held"] = ABSENT if one is None else ("inside" if one.inside else "outside")
            values[f"{fact}_times"] = ABSENT if one is None else number(float(one.factor), 2)
            wrong = ABSENT if one is None else (fixed(one.error, 3) if name == "overlap" else percent(one.error, 0))
            values[f"{fact}_error"] = wrong
    return values


def dimension_facts(table: pd.DataFrame, k: int, target: float) -> dict[str, str]:
    """Facts of the study "dimension": overlap, effort and LID at the fewest and at all dimensions, and at how many."""
    means = over_draws(table[(table["study"] == "dimension") & (table["k"] == k) & (table["search"] == ENGINE)])
    values = {}
    dimensions = sorted(means["dimension"].unique())
    for end, d in (("low", dimensions[0] if dimensions else 0), ("full", dimensions[-1] if dimensions else 0)):
        values[f"dimension_{end}"] = number(int(d)) if d else ABSENT
        for name, measure, decimals in (
            ("overlap", "overlap", 3),
            ("effort", f"effort {target:g}", 0),
            ("lid", "lid", 1),
        ):
            at = means[(means["dimension"] == d) & (means["measure"] == measure)]
            values[f"dimension_{name}_{end}"] = _cell(next(at.itertuples(), None), decimals)
    return values
