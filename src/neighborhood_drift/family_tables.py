"""Index families for readers: tables of text, and the facts that the paper cites."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import facts
from .kinds import kind, label, named
from .summaries import ABSENT, word
from .tables import minus

# One row a measure: its word in the names of facts, the heading of its column, factor and decimals.
MEASURED = {
    "mean_distance_ratio": ("mean_distance", "mean distance (%)", 100, 2),
    "kth_distance_ratio": ("kth_distance", "k-th distance (%)", 100, 2),
    "barycenter_shift": ("barycenter", "barycenter (%)", 100, 2),
    "lid_difference": ("lid", "LID", 1, 2),
}
REACHED = {"yes": "{ef} ({recall})", "no": "not reached ({recall})", "lowest": "{ef}, the lowest ({recall})"}


def efforts_shown(settings: pd.DataFrame) -> pd.DataFrame:
    """Lay out the effort of each engine at each recall, the recall it gave in brackets.

    >>> row = {"engine": "hnswlib", "target": 0.9, "knob": "ef", "ef": 26.0, "recall": 0.912, "reached": "yes"}
    >>> efforts_shown(pd.DataFrame([row]))
       engine knob recall 0.9
    0  hnswlib   ef  26 (0.912)
    """
    rows = {}
    for row in settings.itertuples():
        ef = "no knob" if np.isnan(row.ef) else f"{row.ef:,.0f}"
        cell = REACHED[row.reached].format(ef=ef, recall=facts.fixed(row.recall))
        cell = cell.replace(", the lowest", "") if np.isnan(row.ef) else cell
        rows.setdefault(row.engine, {"engine": label(row.engine), "knob": row.knob or "none"})
        rows[row.engine][f"recall {row.target:g}"] = cell
    return pd.DataFrame(rows.values())


def excess_shown(table: pd.DataFrame, shares: pd.Series) -> pd.DataFrame:
    """Lay out what each engine's neighborhoods have beyond the null model's, with intervals.

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses`, by engine and target.
    shares : Series
        Mean overlap, by engine and target.

    Returns
    -------
    DataFrame
        One row an engine and target, text: engine, recall, and a column each measure, "excess (low to high)".
    """
    rows = []
    for (engine, target), own in table.groupby(["engine", "target"], sort=False):
        row = {"engine": label(engine), "recall": facts.fixed(shares[engine, target])}
        for one in own.itertuples():
            _, heading, factor, decimals = MEASURED[one.metric]
            row[heading] = _with_interval(one, factor, decimals)
        rows.append(row)
    return pd.DataFrame(rows)


def verdict_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Count, over engines and targets, the verdicts on each measure.

    >>> made = {"metric": ["lid_difference"] * 3, "verdict": ["more", "more", "less"]}
    >>> verdict_counts(pd.DataFrame(made))
      measure  more  as much  less
    0     LID     2        0     1
    """
    counts = table.groupby(["metric", "verdict"]).size()
    rows = []
    for metric, (_, heading, _, _) in MEASURED.items():
        if metric in set(table["metric"]):
            told = {name: int(counts.get((metric, name), 0)) for name in ("more", "as much", "less")}
            rows.append({"measure": heading.split(" (")[0], **told})
    return pd.DataFrame(rows)


def excess_facts(table: pd.DataFrame, engines, target: float) -> dict[str, str]:
    """Facts of the excess at one recall: ``<measure>_<engine>``, with ``_interval``, ``_verdict`` and ``_relative``.

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses`, by engine and target.
    engines : iterable of str
        Each gives its facts; what was not measured is "not available".
    target : float
    """
    at = {(row.engine, row.metric): row for row in table[table["target"] == target].itertuples()}
    given = {}
    for engine in engines:
        for metric, (short, _, factor, decimals) in MEASURED.items():
            name, row = f"{short}_{_word(engine)}", at.get((engine, metric))
            missing = row is None or row.verdict == "not available"
            given[name] = ABSENT if missing else signed(factor * row.excess, decimals)
            given[f"{name}_interval"] = ABSENT if missing else _interval(row, factor, decimals)
            given[f"{name}_verdict"] = ABSENT if missing else row.verdict
            given[f"{name}_relative"] = ABSENT if missing else facts.percent(row.relative, 0)
    return given


def verdict_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of the verdicts over all engines and targets: ``<measure>_more`` and so on, and ``settings``."""
    given = {"settings": facts.count(len(table.drop_duplicates(["engine", "target"])))}
    for metric, (short, _, _, _) in MEASURED.items():
        own = table.loc[table["metric"] == metric, "verdict"]
        for verdict in ("more", "as much", "less"):
            given[f"{short}_{verdict.replace(' ', '_')}"] = facts.count((own == verdict).sum())
    return given


def spread_facts(table: pd.DataFrame, target: float, engine: str = "faiss-hnsw") -> dict[str, str]:
    """Facts of the place of one engine among all at a recall, a measure at a time.

    ``<measure>_lowest`` and ``_highest`` are the ends, with ``_engine`` whose they are; ``<measure>_place`` counts from
    the largest excess in size, "2 of 9".
    """
    at = table[(table["target"] == target) & (table["verdict"] != "not available")]
    at = at[at["engine"].map(kind) != "exhaustive"]
    given = {}
    for metric, (short, _, factor, decimals) in MEASURED.items():
        own = at[at["metric"] == metric].set_index("engine")["excess"]
        ends = {"lowest": own.idxmin, "highest": own.idxmax} if len(own) else {}
        for end in ("lowest", "highest"):
            at_end = ends[end]() if ends else None
            given[f"{short}_{end}"] = ABSENT if at_end is None else signed(factor * own[at_end], decimals)
            given[f"{short}_{end}_engine"] = ABSENT if at_end is None else label(at_end)
        place = own.abs().rank(ascending=False)
        given[f"{short}_place"] = f"{place[engine]:.0f} of {len(own)}" if engine in own else ABSENT
    return given


def signed(value, decimals: int) -> str:
    """Format a difference, its sign always shown.

    >>> signed(0.5, 1), signed(-0.5, 1), signed(-0.001, 1)
    ('+0.5', '−0.5', '0.0')
    """
    rounded = round(float(value), decimals) + 0.0
    return minus(f"{rounded:+.{decimals}f}") if rounded else f"{0:.{decimals}f}"


def _interval(row, factor, decimals):
    return f"{signed(factor * row.low, decimals)} to {signed(factor * row.high, decimals)}"


def _with_interval(row, factor, decimals):
    if row.verdict == "not available":
        return ABSENT
    return f"{signed(factor * row.excess, decimals)} ({_interval(row, factor, decimals)})"


def _word(name: str) -> str:
    engine, params = named(name)
    return "_".join([word(engine), *(f"{key}{value}" for key, value in params.items())])
