"""Numbers of the causes of loss, for readers: facts for the paper, and columns of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import causes, facts, odds, variance, why
from .summaries import label, word


def ends(rates: pd.DataFrame) -> pd.DataFrame:
    """First and last group of each trait side by side, for readers.

    Parameters
    ----------
    rates : DataFrame
        Of `causes.rates`.

    Returns
    -------
    DataFrame
        trait, then of the first and of the last group: share of the pairs in it (groups differ where values tie), share
        lost in it, and the interval of that as text.
    """
    rows = []
    for trait, groups in rates.groupby("trait", sort=False):
        row = {"trait": causes.TRAITS.get(trait, trait)}
        for name, group in (("lowest", groups.iloc[0]), ("highest", groups.iloc[-1])):
            row[f"pairs, {name}"] = facts.percent(group["pairs"] / groups["pairs"].sum(), 0)
            row[f"lost in the {name} group"] = facts.percent(group["rate"], 2)
            row[f"95 %, {name}"] = facts.interval(100 * group["low"], 100 * group["high"], 2)
        rows.append(row)
    return pd.DataFrame(rows)


def trace_facts(one: why.Traced) -> dict[str, str]:
    """Facts of `why.traced`: how the traces agree with the libraries, and the causes by search."""
    check = one.check.set_index("engine")
    named = {"same": facts.percent(check["same"].min()), "undecided": facts.count(check["undecided"].sum())}
    short = {causes.CUT_OFF: "cut_off", causes.TOO_FAR: "too_far", causes.MISSED: "missed_links", causes.TIED: "tied"}
    for row in one.shares.itertuples():
        name = f"{short[row.cause]}_{word(row.engine)}"
        named[name] = facts.percent(row.share)
        named[f"{name}_interval"] = f"{facts.percent(row.low)} to {facts.percent(row.high)}"
        named[f"{name}_at_twice"] = facts.percent(row.found_at_twice, 0)
    for engine in check.index:
        rows, name = one.missed[one.missed["engine"] == engine], word(engine)
        ratio = (rows["best_in_rank"] / rows["effort"]).astype(float).median()
        lost = rows["cause"].eq(causes.CUT_OFF).sum()
        named[f"none_cut_off_{name}"] = "none was cut off" if not lost else f"{facts.count(lost)} cut off from it"
        named |= {f"missed_{name}": facts.count(len(rows)), f"best_in_{name}": facts.fixed(ratio, 2)}
        named[f"at_twice_{name}"] = facts.percent(rows["found_at_twice"].astype(float).mean(), 0)
    return named


def trait_facts(rates: pd.DataFrame, model: odds.Odds) -> dict[str, str]:
    """Facts of `causes.rates` and `odds.fit`: rates in the end groups, areas and coefficients by trait.

    A trait that could not be told is "not available".
    """
    absent = facts.fixed(np.nan)
    auc = f"{facts.fixed(model.low, 2)} to {facts.fixed(model.high, 2)}"
    named = {"auc": facts.fixed(model.auc, 2), "auc_interval": auc}
    named |= {"model_train_lost": facts.count(model.train_lost), "model_test_lost": facts.count(model.test_lost)}
    by_trait = model.traits.set_index("trait")
    for trait in causes.TRAITS:
        groups = rates[rates["trait"] == trait]
        for name, place in (("lowest", 0), ("highest", -1)):
            group = groups.iloc[place] if len(groups) else None
            held = np.nan if group is None else group["pairs"] / groups["pairs"].sum()
            named[f"{name}_{trait}_pairs"] = facts.percent(held, 0)
            named[f"{name}_{trait}"] = absent if group is None else facts.percent(group["rate"], 2)
            named[f"{name}_{trait}_interval"] = (
                absent if group is None else f"{facts.percent(group['low'], 2)} to {facts.percent(group['high'], 2)}"
            )
        for column in ("auc", "coefficient"):
            value = by_trait.loc[trait, column] if trait in by_trait.index else np.nan
            named[f"{column}_{trait}"] = facts.fixed(value, 2)
    known = by_trait.dropna()
    strongest = known["coefficient"].abs().sort_values(ascending=False).index if len(known) else []
    named["strongest"] = causes.TRAITS[strongest[0]] if len(strongest) else absent
    best = known.sort_values("auc", ascending=False).head(2).itertuples()
    told = [
        f"{causes.TRAITS[row.Index]} ({facts.fixed(row.auc, 2)}, {facts.interval(row.low, row.high, 2)})"
        for row in best
    ]
    named["best_two"] = " and ".join(told) or absent
    return named


def variance_facts(budget: pd.DataFrame, counted: float = 0.1) -> dict[str, str]:
    """Facts of `variance.budget`: deviations in percentage points, shares, the largest, and what is to be resampled.

    What queries do (on all graphs, and on one) is one thing to resample: "queries". ``deviation_one_graph`` is that of
    the two together, which an interval over the queries of one graph states.

    Parameters
    ----------
    budget : DataFrame
    counted : float, default 0.1
        Share of the variance from which on something is listed as to be resampled.
    """
    named = {}
    for row in budget.itertuples():
        name = row.source.replace(" ", "_")
        named[f"deviation_{name}"] = facts.fixed(100 * row.deviation, 2)
        named[f"deviation_{name}_interval"] = facts.interval(100 * row.low, 100 * row.high, 2)
        named[f"share_{name}"] = facts.percent(row.share, 0)
    parts = budget.set_index("source")
    queries = parts.loc[list(variance.QUERIES)]
    named["deviation_one_graph"] = facts.fixed(100 * np.sqrt(queries["variance"].sum()), 2)
    shares = {"queries": queries["share"].sum(skipna=False)} | parts.loc[list(variance.GRAPHS), "share"].to_dict()
    named["share_queries"] = facts.percent(shares["queries"], 0)
    named["share_graphs"] = facts.percent(1 - shares["queries"], 0)
    known = parts["variance"].dropna()
    named["largest_source"] = known.idxmax() if known.sum() > 0 else facts.fixed(np.nan)
    listed = [name for name, share in shares.items() if share >= counted]
    named["to_resample"] = " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed) or "none"
    return named


def other_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of `why.on_other_data`, by the data set's name."""
    named = {}
    for row in table.itertuples():
        name = row.data.replace("-", "_")
        named[f"{name}_too_far"], named[f"{name}_cut_off"] = (
            facts.percent(row.too_far, 0),
            facts.percent(row.cut_off, 0),
        )
        named[f"{name}_at_twice"] = facts.percent(row.found_at_twice, 0)
        named[f"{name}_auc"] = facts.fixed(row.auc, 2)
        named[f"{name}_auc_interval"] = facts.interval(row.auc_low, row.auc_high, 2)
        named[f"{name}_low_pairs"], named[f"{name}_high_pairs"] = (
            facts.percent(row.low_pairs, 0),
            facts.percent(row.high_pairs, 0),
        )
        named[f"{name}_low_in_degree"] = facts.percent(row.low_in_degree, 2)
        named[f"{name}_high_in_degree"] = facts.percent(row.high_in_degree, 2)
        named[f"{name}_lid_correlation"] = facts.fixed(row.lid_correlation, 2)
        named[f"{name}_lid_interval"] = facts.interval(row.lid_low, row.lid_high, 2)
    return named


def deletion_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of `deletion.compare` after one round, by the share of points in percent."""
    named = {}
    for row in table[table["rounds"] <= 1].itertuples():
        name = f"share{100 * row.share:.0f}"
        named[f"{name}_overlap"] = facts.fixed(row.overlap)
        named[f"{name}_rebuilt"] = facts.fixed(row.overlap_rebuilt)
        named[f"{name}_difference"] = facts.fixed(row.difference)
        named[f"{name}_interval"] = facts.interval(row.low, row.high)
        number = facts.count(row.unreachable)
        named[f"{name}_unreachable"] = f"{number} point is" if row.unreachable == 1 else f"{number} points are"
        named[f"{name}_unreachable_share"] = facts.percent(row.unreachable / row.points)
        named[f"{name}_links"] = facts.fixed(row.links, 1)
        named[f"{name}_links_rebuilt"] = facts.fixed(row.links_rebuilt, 1)
    return named


def deletion_table(table: pd.DataFrame) -> pd.DataFrame:
    """`deletion.compare` for readers: counts, links and overlaps side by side, the difference with its interval."""
    return pd.DataFrame(
        {
            "deleted": [facts.percent(share, 0) for share in table["share"]],
            "unreachable": table["unreachable"],
            "unreachable, rebuilt": table["unreachable_rebuilt"],
            "links": [facts.fixed(value, 1) for value in table["links"]],
            "links, rebuilt": [facts.fixed(value, 1) for value in table["links_rebuilt"]],
            "overlap": [facts.fixed(value) for value in table["overlap"]],
            "overlap, rebuilt": [facts.fixed(value) for value in table["overlap_rebuilt"]],
            "difference (95 %)": [
                f"{facts.fixed(row.difference)} ({facts.interval(row.low, row.high)})" for row in table.itertuples()
            ],
        }
    )


def check_table(check: pd.DataFrame) -> pd.DataFrame:
    """Columns of ``Traced.check`` that readers need, under readers' names."""
    shown = check.assign(
        search=check["engine"].map(label),
        same=check["same"].map(lambda share: facts.percent(share, 1)),
        undecided=[
            facts.count(row.undecided) + (f" ({facts.percent(row.same_undecided, 0)})" if row.undecided else "")
            for row in check.itertuples()
        ],
    )
    columns = {"search": "search", "effort": "effort", "same": "same ids", "undecided": "undecided (same)"}
    columns |= {"distances": "distances, traced", "library_distances": "distances, library"}
    columns |= {"visited": "visited", "expanded": "expanded"}
    return shown[list(columns)].rename(columns=columns)


def other_table(table: pd.DataFrame) -> pd.DataFrame:
    """`why.on_other_data` for readers: shares as percentages, intervals beside their values."""
    rows = []
    for row in table.itertuples():
        shares = {"lost": row.lost, "too far": row.too_far, "missed": row.missed_links, "cut off": row.cut_off}
        shares |= {"found at twice": row.found_at_twice}
        shares |= {"lost, low in-degree": row.low_in_degree, "lost, high": row.high_in_degree}
        auc = _with_interval(row.auc, row.auc_low, row.auc_high)
        drifted = _with_interval(row.lid_correlation, row.lid_low, row.lid_high)
        shown = {name: facts.percent(share, 2 if "lost" in name else 0) for name, share in shares.items()}
        rows.append({"data": row.data, "points": row.points, **shown, "AUC": auc, "correlation with LID": drifted})
    return pd.DataFrame(rows)


def _with_interval(value, low, high) -> str:
    return facts.fixed(value, 2) + (f" ({facts.interval(low, high, 2)})" if np.isfinite(value) else "")


def agreement_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of `why.agreement`: ``icc_<what was repeated>`` and its interval."""
    named = {}
    for row in table.itertuples():
        name = "icc_" + "_".join(row.repeated.replace(",", "").replace(":", "").split()).lower()
        named[name], named[f"{name}_interval"] = facts.fixed(row.icc, 2), facts.interval(row.low, row.high, 2)
    return named
