"""Index families for readers: tables of text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import facts
from .excess import excesses
from .intervals import mean_over_seeds
from .kinds import kind, label
from .summaries import ABSENT
from .tables import minus

# One row a measure: its word in the names of facts, the heading of its column, factor and decimals.
MEASURED = {
    "mean_distance_ratio": ("mean_distance", "mean distance (%)", 100, 2),
    "kth_distance_ratio": ("kth_distance", "k-th distance (%)", 100, 2),
    "barycenter_shift": ("barycenter", "barycenter (%)", 100, 2),
    "lid_difference": ("lid", "LID", 1, 2),
}
HEADINGS = [heading for _, heading, _, _ in MEASURED.values()]
# One row a measure of the k-NN graph: heading and decimals.
GRAPH = {
    "hubness": ("hubness", 2),
    "never": ("in no list", 3),
    "reciprocity": ("reciprocated links", 3),
    "components": ("components", 0),
}
REACHED = {"yes": "{ef} ({recall})", "no": "not reached ({recall})", "lowest": "{ef}, the lowest ({recall})"}


def signed(value, decimals: int) -> str:
    """Format a difference, its sign always shown.

    >>> signed(0.5, 1), signed(-0.5, 1), signed(-0.001, 1)
    ('+0.5', '−0.5', '0.0')
    """
    rounded = round(float(value), decimals) + 0.0
    return minus(f"{rounded:+.{decimals}f}") if rounded else f"{0:.{decimals}f}"


def between(row, factor: float, decimals: int) -> str:
    """The interval of a row of `excess.excesses`, its ends with their signs.

    >>> between(pd.Series({"low": -0.012, "high": 0.5}), 100, 1)
    '−1.2 to +50.0'
    """
    return f"{signed(factor * row.low, decimals)} to {signed(factor * row.high, decimals)}"


def efforts_shown(settings: pd.DataFrame) -> pd.DataFrame:
    """Lay out the effort of each engine at each recall, the recall it gave in brackets.

    >>> row = {"engine": "hnswlib", "target": 0.9, "knob": "ef", "ef": 26.0, "recall": 0.912, "reached": "yes"}
    >>> efforts_shown(pd.DataFrame([row]))
       engine knob recall 0.9
    0  hnswlib   ef  26 (0.912)
    """
    rows = {}
    targets = [f"recall {target:g}" for target in sorted(set(settings["target"]))]
    for row in settings.itertuples():
        ef = "no knob" if np.isnan(row.ef) else f"{row.ef:,.0f}"
        cell = REACHED[row.reached].format(ef=ef, recall=facts.fixed(row.recall))
        cell = cell.replace(", the lowest", "") if np.isnan(row.ef) else cell
        rows.setdefault(row.engine, {"engine": label(row.engine), "knob": row.knob or "none"})
        rows[row.engine][f"recall {row.target:g}"] = cell
    return pd.DataFrame(rows.values(), columns=["engine", "knob", *targets])


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
            row[heading] = _withbetween(one, factor, decimals)
        rows.append(row)
    return pd.DataFrame(rows, columns=["engine", "recall", *HEADINGS])


def approximate(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of engines that can lose neighbors: all but exhaustive searches of the vectors themselves.

    >>> approximate(pd.DataFrame({"engine": ["annoy", "faiss-flat", "faiss-sq8"]}))["engine"].tolist()
    ['annoy', 'faiss-sq8']
    """
    return table[table["engine"].map(kind) != "exhaustive"]


def verdict_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts on each measure, over the engines that can lose neighbors and their targets.

    >>> made = {"engine": "annoy", "metric": ["lid_difference"] * 3, "verdict": ["more", "more", "less"]}
    >>> verdict_counts(pd.DataFrame(made))
      measure  more  as much  less
    0     LID     2        0     1
    """
    table = approximate(table)
    counts = table.groupby(["metric", "verdict"]).size()
    rows = []
    for metric, (_, heading, _, _) in MEASURED.items():
        if metric in set(table["metric"]):
            told = {name: int(counts.get((metric, name), 0)) for name in ("more", "as much", "less")}
            rows.append({"measure": heading.split(" (")[0], **told})
    return pd.DataFrame(rows, columns=["measure", "more", "as much", "less"])


def answer_shown(alike: pd.DataFrame, by_rank: pd.DataFrame, like: str = "faiss-hnsw") -> pd.DataFrame:
    """Lay out the verdict on one engine, and how many of the others share it, beside each null model.

    Parameters
    ----------
    alike, by_rank : DataFrame
        Of `excess.excesses` beside the two null models, one target an engine; exhaustive searches do not count.
    like : str, default "faiss-hnsw"
        The engine that the others are compared with.

    Returns
    -------
    DataFrame
        One row a measure, text: measure, any rank alike, others so, by rank, others so too; what is not measured is
        "not available".
    """
    rows = []
    for metric, (_, heading, _, _) in MEASURED.items():
        row = {"measure": heading.split(" (")[0]}
        for words, others_so, table in (("any rank alike", "others so", alike), ("by rank", "others so too", by_rank)):
            known = approximate(table[(table["metric"] == metric) & (table["verdict"] != "not available")])
            verdicts = known.set_index("engine")["verdict"]
            others = verdicts.drop(like, errors="ignore")
            row[words] = told = verdicts.get(like, ABSENT)
            row[others_so] = f"{(others == told).sum()} of {len(others)}" if like in verdicts.index else ABSENT
        rows.append(row)
    return pd.DataFrame(rows)


def _withbetween(row, factor, decimals):
    if row.verdict == "not available":
        return ABSENT
    if row.verdict != "as much" and 0 in (round(factor * row.low, decimals), round(factor * row.high, decimals)):
        decimals += 1  # an end that reads 0.00 would contradict the verdict
    return f"{signed(factor * row.excess, decimals)} ({between(row, factor, decimals)})"


def graph_shown(table: pd.DataFrame, overlaps: dict) -> pd.DataFrame:
    """Lay out `knn_graph.graph_table`, the null model's range in brackets.

    >>> row = {"engine": "exact"}
    >>> for name in GRAPH:
    ...     row |= {name: 1.0, f"{name}_low": np.nan, f"{name}_high": np.nan}
    >>> graph_shown(pd.DataFrame([row]), {}).loc[0, ["engine", "overlap", "hubness"]].tolist()
    ['exact', '1.000', '1.00']
    """
    rows = []
    for row in table.to_dict("records"):
        shown = {"engine": label(row["engine"]), "overlap": facts.fixed(overlaps.get(row["engine"], 1.0))}
        for name, (heading, decimals) in GRAPH.items():
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            between = f" ({facts.interval(low, high, decimals)})" if np.isfinite(low) else ""
            shown[heading] = facts.fixed(row[name], decimals) + between
        rows.append(shown)
    return pd.DataFrame(rows)


def over_builds(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out the excess over builds from several seeds: mean and t interval, a row an engine.

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses` for each build, stacked; columns engine, metric, excess.
    """
    rows = []
    for engine, own in table.groupby("engine", sort=False):
        row = {"engine": label(engine), "builds": int(own.groupby("metric").size().max())}
        for metric, (_, heading, factor, decimals) in MEASURED.items():
            values = own.loc[own["metric"] == metric, "excess"].dropna()
            mean, low, high = mean_over_seeds(values) if len(values) else (np.nan,) * 3
            ends = (
                f" ({signed(factor * low, decimals)} to {signed(factor * high, decimals)})" if np.isfinite(low) else ""
            )
            row[heading] = signed(factor * mean, decimals) + ends if np.isfinite(mean) else ABSENT
        rows.append(row)
    return pd.DataFrame(rows, columns=["engine", "builds", *HEADINGS])


def elsewhere(measured, *, seed: int = 0, resamples: int = 1000) -> pd.DataFrame:
    """Lay out the excess on other data, a row each data set, engine and null model.

    Parameters
    ----------
    measured : list of (str, DataFrame)
        Name of the data and the table of `excess.measure`.
    seed, resamples : int
        Of the bootstrap.
    """
    rows = []
    for name, table in measured:
        shares = table.groupby(["engine", "target"], sort=False)["overlap"].mean()
        for null, words in (("alike", "any rank alike"), ("by_rank", "by rank")):
            shown = excess_shown(excesses(table, null, seed=seed, resamples=resamples), shares)
            shown.insert(0, "data", name)
            shown.insert(2, "beside", words)
            rows.append(shown)
    columns = ["data", "engine", "beside", "recall", *HEADINGS]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def missing_shown(curve: pd.DataFrame) -> pd.DataFrame:
    """Lay out the searches that left slots empty: for each engine the most, and the recall from which on none was.

    Parameters
    ----------
    curve : DataFrame
        Of `families.find_efforts`.

    Returns
    -------
    DataFrame
        One row an engine with a search that left any: engine, most missing, at recall, none missing from.

    Examples
    --------
    >>> curve = pd.DataFrame({"engine": "annoy", "recall": [0.2, 0.9], "missing": [0.5, 0.0]})
    >>> missing_shown(curve).iloc[0].tolist()
    ['Annoy', '50.0 %', '0.200', '0.900']
    """
    rows = []
    for engine, own in curve.groupby("engine", sort=False):
        gaps = own[own["missing"] > 0]
        if len(gaps):
            worst = gaps.loc[gaps["missing"].idxmax()]
            full = own.loc[own["recall"] > gaps["recall"].max(), "recall"].min()
            row = {"engine": label(engine), "most missing": facts.percent(worst["missing"])}
            rows.append({**row, "at recall": facts.fixed(worst["recall"]), "none missing from": facts.fixed(full)})
    return pd.DataFrame(rows, columns=["engine", "most missing", "at recall", "none missing from"])


def work_shown(work: pd.DataFrame) -> pd.DataFrame:
    """Lay out `family_costs.equal_work`, a row an engine and a column a budget.

    >>> work_shown(pd.DataFrame({"engine": ["annoy"], "budget": [800.2], "ef": [3], "recall": [0.9]})).columns.tolist()
    ['engine', '800 distances']
    """
    wide = work.pivot_table(index="engine", columns="budget", values="recall", sort=False).sort_index(axis="columns")
    shown = wide.set_axis([f"{budget:,.0f} distances" for budget in wide.columns], axis="columns").reset_index()
    return shown.assign(engine=shown["engine"].map(label))
