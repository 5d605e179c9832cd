"""Facts of the choice of an effort, for the paper: each exists for any vectors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import facts
from .calibration import MeanOverlap, queries_needed
from .choosing_tables import NONE, calibration_cost
from .names import word
from .summaries import ABSENT
from .validation import HARDEST

CITED_KS = (10, 20, 50, 100, 200)  # what the paper cites; "not available" where a run has no such k
CITED_ALPHAS = (0.5, 1.0, 2.0, 4.0)  # the same for ef = alpha k


def chosen_facts(choice, points: int) -> dict[str, str]:
    """Facts of one choice by `choose_ef`; every one exists for any vectors, "none" where no ef is certified."""
    cost, none = calibration_cost(choice, points), choice.ef is None
    interval = ABSENT if none else facts.interval(*choice.interval, 4)
    seconds = {f"chosen_{name}": facts.number(cost[name], 2) for name in ("exact_seconds", "search_seconds")}
    return {
        "chosen_ef": NONE if none else facts.number(choice.ef), "chosen_k": facts.number(choice.k),
        "chosen_target": choice.target.text, "chosen_bound": facts.fixed(choice.bound, 4),
        "chosen_measured": ABSENT if none else facts.fixed(choice.estimate, 4), "chosen_sentence": choice.sentence,
        "chosen_measured_interval": interval,
        "chosen_queries": facts.number(choice.queries), "chosen_tried": facts.number(len(choice.efs)),
        "chosen_cost_searches": facts.number(cost["searches"], 2), **seconds,
    }  # fmt: skip


def choice_facts(table: pd.DataFrame, engines, ks, targets) -> dict[str, str]:
    """Facts of `choices`: ef_overlap99_k100_default, and so on for share, distances, ratio and smallest.

    Parameters
    ----------
    table : DataFrame
    engines, ks, targets : iterables
        What is cited: "not available" where the table has no such row, "none" where no ef is certified.
    """
    at = {(row.engine, row.k, row.target): row for row in table.itertuples()}
    found = {}
    for engine in engines:
        for k in ks:
            for least in targets:
                row, end = at.get((engine, k, least)), f"overlap{round(100 * least)}_k{k}_{word(engine)}"
                values = dict.fromkeys(("ef", "share", "distances", "ratio", "smallest"), ABSENT)
                if row is not None:
                    values["smallest"] = _or_none(row.smallest)
                    values["ef"] = _or_none(row.ef)
                    values |= {"share": facts.percent(row.share), "ratio": facts.fixed(row.ratio, 2)}
                    values["distances"] = facts.number(row.distances)
                found |= {f"{name}_{end}": value for name, value in values.items()}
    return found


def guarantee_facts(table: pd.DataFrame, confidence: float) -> dict[str, str]:
    """Facts of `validation.validated`: cases, how many kept the level, the lowest coverage, and how far above.

    Of the cases at the hardest limit: one is below its level where the whole 95 % interval of its coverage is, and
    empty where most samples certify nothing.
    """
    hard = table[table["limit_kind"] == HARDEST]
    asked = table[table["limit_kind"] != HARDEST]
    below = int((hard["coverage_high"] < confidence).sum())
    found = dict.fromkeys(("coverage_lowest", "coverage_lowest_interval"), ABSENT)
    if len(hard):
        lowest = hard.loc[hard["coverage"].idxmin()]
        ends = f"{100 * lowest['coverage_low']:.1f} to {100 * lowest['coverage_high']:.1f} %"
        found = {"coverage_lowest": facts.percent(lowest["coverage"]), "coverage_lowest_interval": ends}
    return found | {
        "cases": facts.number(len(hard)), "cases_asked": facts.number(len(asked)),
        "cases_below": facts.number(below), "level": facts.percent(confidence, 0),
        "cases_empty": facts.number(int((hard["none"] > 0.5).sum())),
        "coverage_asked_lowest": facts.percent(asked["coverage"].min()),
        "rest_lowest": facts.percent(asked["rest"].min()),
        "ratio_median": facts.fixed(asked["ratio"].median(), 2), "ratio_largest": facts.fixed(asked["ratio"].max(), 2),
        "none_largest": facts.percent(asked["none"].max()),
    }  # fmt: skip


def needed_facts(confidence: float) -> dict[str, str]:
    """Fewest queries that can certify a mean overlap of 0.99, by the default bound and by empirical Bernstein's."""
    few = queries_needed(MeanOverlap(0.99), confidence)
    more = queries_needed(MeanOverlap(0.99), confidence, bound="empirical-bernstein")
    return {"needed_99": facts.number(few), "needed_99_bernstein": facts.number(more)}


def size_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of `validation.by_size`: the coverage of the sample's mean, and the ratio of the default bound, by size."""
    bare, bet = (table[table["bound"] == bound] for bound in ("sample-mean", "betting"))
    found = {}
    for name, column in (("sample_mean_coverage", "coverage"), ("sample_mean_asked", "asked")):
        known = bare[column].dropna()
        found[name] = f"{facts.percent(known.min())} to {facts.percent(known.max())}" if len(known) else ABSENT
    for row in table.itertuples():
        name = f"{row.bound.replace('-', '_')}_{row.size}"
        found |= {f"coverage_{name}": facts.percent(row.coverage), f"ratio_{name}": facts.fixed(row.ratio, 2)}
    return found | {"betting_coverage_lowest": facts.percent(bet["coverage"].min())}


def risk_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of targets in expectation: how many, how many surely exceed their limit, the largest mean over a limit."""
    over = int((table["loss_low"] > table["limit"]).sum())
    worst = (table["loss"] / table["limit"]).max()
    return {"shapes": facts.number(len(table)), "shapes_over": facts.number(over), "shape_worst": facts.fixed(worst, 2)}


def rule_facts(table: pd.DataFrame, alphas) -> dict[str, str]:
    """Facts of the simpler rules: how many pairs of data, search, k and target each meets, and how wide it errs.

    A rule that a run does not try, among the alphas cited too, is "not available".
    """
    found = {}
    alphas = sorted({*alphas, *CITED_ALPHAS})
    named = {f"alpha{alpha:g}".replace(".", "_"): table[table["alpha"] == alpha] for alpha in alphas}
    named["law"] = table[table["rule"] == "law"]
    for name, own in named.items():
        known = own["ratio"].dropna()
        found |= {f"{name}_met": f"{int(own['meets'].sum())} of {len(own)}" if len(own) else ABSENT}
        found |= {f"{name}_short": facts.fixed((own["target"] - own["overlap"]).max()) if len(own) else ABSENT}
        ends = facts.interval(known.min(), known.max(), 2) if len(known) else ABSENT
        found |= {f"{name}_ratio": ends}
    least = (table["smallest"] / table["k"]).dropna()
    return found | {"alpha_needed": facts.interval(least.min(), least.max(), 2) if len(least) else ABSENT}


def _or_none(value) -> str:
    return NONE if np.isnan(value) else facts.number(int(value))
