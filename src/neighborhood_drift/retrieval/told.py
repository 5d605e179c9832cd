"""Tables of notebook 11: what a collection's answers kept, what was exchanged, and what deletions cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..facts import fixed, interval, number, percent
from ..intervals import bootstrap_means, limits
from .measure import BEFORE, COMPACTED, LAZY, Life, exchanged
from .promised import GONE, INSIDE

FEWEST = 20  # queries that an interval over queries takes
WORST = 10  # the worst lists are those of one query in so many
RESAMPLES = 1000
KINDS = {"inside": INSIDE, "gone": GONE, "queries": "queries"}  # of `Promise`: attribute, for readers


def setting(one: Life, metric: str) -> dict[str, str]:
    """What a table of a separate run was measured on, in the words of ``separate.POINTS``."""
    points = number(len(one.searched.base))
    return {"data": one.searched.name, "sha256": one.searched.checksum, "metric": metric, "points": points}


def together(own: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The rows of this run and those of separate runs (`separate.published`), which the name of the data then tells.

    >>> together(pd.DataFrame({"data": ["a"]}), pd.DataFrame({"source": ["b"], "run": ["there"], "data": ["b"]}))
                      data
    0                    a
    1  b (separate run)
    """
    if not len(kept):
        return own
    return pd.concat([own, kept.assign(data=kept["data"] + " (separate run)")[own.columns]], ignore_index=True)


def efforts(table: pd.DataFrame) -> pd.DataFrame:
    """Overlap and the neighbors' vote at each ef while all points are there, for readers.

    Parameters
    ----------
    table : DataFrame
        Of `measure.losses` or `together`.
    """
    rows = [
        {
            "data": row.data,
            "points": row.points,
            "ef": row.ef,
            f"overlap at k = {row.k}": _cell(row, "overlap"),
            "accuracy": _cell(row, "accuracy"),
            "minus that of exact neighbors": _cell(row, "accuracy_change", 4),
        }
        for row in table[table["state"] == BEFORE].itertuples()
    ]
    return pd.DataFrame(rows)


def times(table: pd.DataFrame) -> pd.DataFrame:
    """Seconds of building and compacting, and milliseconds of a query while all points are there, exact and at each ef.

    Parameters
    ----------
    table : DataFrame
        Of `measure.losses` or `together`.
    """
    rows = []
    for data, of in table[table["state"] == BEFORE].groupby("data", sort=False):
        first = of.iloc[0]
        once = {"build, seconds": first["build_seconds"], "compaction, seconds": first["compact_seconds"]}
        known = {f"ef {ef}, ms": ms for ef, ms in zip(of["ef"], of["milliseconds"], strict=True)}
        rows.append({"data": data, **once, **known, "exact, ms": first["milliseconds_exact"]})
    return pd.DataFrame(rows)


def deletions(table: pd.DataFrame) -> pd.DataFrame:
    """Overlap in each state, and what tombstones change, for readers; one row a data set and ef.

    Parameters
    ----------
    table : DataFrame
        Of `measure.losses` or `together`.
    """
    rows = []
    for (data, ef), of in table.groupby(["data", "ef"], sort=False):
        states = {row.state: row for row in of.itertuples()}
        shown = {state: _cell(states[state], "overlap") for state in (BEFORE, LAZY, COMPACTED)}
        change = _cell(states[LAZY], "change", 4)
        more = _cell(states[LAZY], "more", 2)
        rows.append(
            {"data": data, "ef": ef, **shown, "lazily minus compacted": change, "distances, times as many": more}
        )
    return pd.DataFrame(rows)


def exchange(one: Life, efs, *, state: str = BEFORE, seed: int = 0) -> pd.DataFrame:
    """What was missed and what came instead at some ef.

    Parameters
    ----------
    one : Life
    efs : iterable of int
    state : str
    seed : int
        Of the bootstrap over queries.

    Returns
    -------
    DataFrame
        One row an ef: data, ef, differing (share of the queries whose lists differ), nearest (share that missed its
        nearest neighbor), lost (mean number, of those that differ), nearest_worst (share that missed its nearest, of
        the tenth of all queries that lost most), most (lost by one query), ratio, missed_same, instead_same and
        same_change (instead minus missed), all but most with ``_low`` and ``_high``. The first four are resampled over
        all queries, where one whose list does not differ lost nothing; the last four over those that differ, and
        their limits are nan where fewer than `FEWEST` do.
    """
    of, rows = one.of(state), []
    for ef in efs:
        table = exchanged(of, ef, one.searched)
        table["same_change"] = table["instead_same"] - table["missed_same"]
        names = ["ratio", "missed_same", "instead_same", "same_change"]
        values = table[names].to_numpy(dtype=np.float64)
        around = limits(bootstrap_means(values, seed=seed)) if len(table) >= FEWEST else np.full((2, 4), np.nan)
        row = {"data": one.searched.name, "ef": ef, "most": int(table["lost"].max()) if len(table) else 0}
        for place, name in enumerate(names):
            row |= {name: table[name].mean(), f"{name}_low": around[0][place], f"{name}_high": around[1][place]}
        rows.append(row | _of_all(table, len(of.exact.ids), seed))
    return pd.DataFrame(rows)


def _of_all(table: pd.DataFrame, count: int, seed: int) -> dict[str, float]:
    """What `exchange` says of all ``count`` queries, of which ``table`` has those that differ, most lost first."""
    values = np.zeros((count, 3))  # in the order of the table; the rest has lost nothing
    values[: len(table)] = np.stack([np.ones(len(table)), table["nearest"], table["lost"]], axis=1)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    drawn.sort(axis=1)
    worst = -(-count // WORST)
    found = {}
    for rows, ends in ((np.arange(count)[None], ("",)), (drawn, ("_low", "_high"))):
        differing, nearest, lost = (values[rows, column].mean(axis=1) for column in range(3))
        of_these = np.divide(lost, differing, out=np.full_like(lost, np.nan), where=differing > 0)
        measured = {"differing": differing, "nearest": nearest, "lost": of_these}
        measured["nearest_worst"] = values[rows[:, :worst], 1].mean(axis=1)
        for name, several in measured.items():
            given = [several[:1]] if ends == ("",) else limits(several[:, None])
            found |= {f"{name}{end}": float(value[0]) for end, value in zip(ends, given, strict=True)}
    return found


def exchanges(table: pd.DataFrame) -> pd.DataFrame:
    """`exchange` of each data set, or `together`, for readers."""
    rows = [
        {
            "data": row.data,
            "ef": row.ef,
            "queries whose lists differ": _percents(row, "differing"),
            "that miss the nearest": _percents(row, "nearest"),
            "lost by these": _cell(row, "lost", 2) if row.most else "–",
            "most": row.most,
            "distance, instead to missed": _cell(row, "ratio"),
            "missed, of the query's class": _cell(row, "missed_same"),
            "instead, of the query's class": _cell(row, "instead_same"),
        }
        for row in table.itertuples()
    ]
    return pd.DataFrame(rows)


def promised(one: Life, target: str, *, seed: int = 0) -> pd.DataFrame:
    """What was chosen for the target, and what each kind of query got of it.

    Parameters
    ----------
    one : Life
    target : str
    seed : int
        Of the bootstrap over queries.

    Returns
    -------
    DataFrame
        One row a `Promise`: data, state, sample, target, ef (0 where none was certified), and the mean overlap of
        inside, gone and queries, each with ``_low`` and ``_high``; nan where none of a kind was asked.
    """
    rows = []
    for of in one.promises:
        row = {"data": one.searched.name, "state": of.state, "sample": of.sample, "target": target, "ef": of.ef or 0}
        for name in KINDS:
            values = getattr(of, name)
            low, high = limits(bootstrap_means(values[:, None], seed=seed)) if len(values) else ([np.nan], [np.nan])
            row |= {name: values.mean() if len(values) else np.nan, f"{name}_low": low[0], f"{name}_high": high[0]}
        rows.append(row)
    return pd.DataFrame(rows)


def promises(table: pd.DataFrame) -> pd.DataFrame:
    """`promised` of each data set, or `together`, for readers."""
    rows = [
        {
            "data": row.data,
            "state": row.state,
            "chosen on": row.sample,
            "ef": str(row.ef) if row.ef else "none certified",
            **{f"overlap of {words}": _cell(row, name) for name, words in KINDS.items()},
        }
        for row in table.itertuples()
    ]
    return pd.DataFrame(rows)


def _percents(row, name: str) -> str:
    return f"{percent(getattr(row, name))} ({percents(row, name, 1)})"


def percents(row, name: str, decimals: int) -> str:
    """The limits of a share in a row of a table, as percentages."""
    low, high = (100 * getattr(row, f"{name}_{end}") for end in ("low", "high"))
    return f"{fixed(low, decimals)} to {fixed(high, decimals)} %"


def _cell(row, name: str, decimals: int = 3) -> str:
    value = getattr(row, name)
    if not np.isfinite(value):
        return "–"
    low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
    if not np.isfinite(low):
        return fixed(value, decimals)
    return f"{fixed(value, decimals)} ({interval(low, high, decimals)})"
