"""Facts and tables of the guarantee, against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import choosing_facts as cited
from neighborhood_drift import choosing_tables as tables
from neighborhood_drift.calibration import parse_target
from neighborhood_drift.figures import guarantee as draw
from neighborhood_drift.summaries import ABSENT
from neighborhood_drift.validation import AS_ASKED, HARDEST, by_size

HELD = ("limit_kind", "coverage", "coverage_low", "coverage_high", "rest", "none", "ratio")


@pytest.fixture
def table():
    """Two cases as asked, the first surely below its level; three at the hardest limit, of which the last two are."""
    rows = [
        (AS_ASKED, 0.90, 0.88, 0.92, 0.97, 0.0, 1.5),
        (AS_ASKED, 1.00, 0.99, 1.00, 0.80, 0.7, 2.5),
        (HARDEST, 0.96, 0.94, 0.98, np.nan, 0.1, 3.0),
        (HARDEST, 0.91, 0.89, 0.93, np.nan, 0.6, 3.0),
        (HARDEST, 0.92, 0.90, 0.94, np.nan, 0.5, 3.0),
    ]
    return pd.DataFrame(rows, columns=list(HELD))


def test_cases_below_their_level_are_counted_among_the_hardest_ones(table):
    assert cited.guarantee_facts(table, 0.95) == {
        "cases": "3", "cases_asked": "2", "cases_below": "2", "cases_empty": "1", "level": "95 %",
        "coverage_lowest": "91.0 %", "coverage_lowest_interval": "89.0 to 93.0 %", "coverage_asked_lowest": "90.0 %",
        "rest_lowest": "80.0 %", "ratio_median": "2.00", "ratio_largest": "2.50", "none_largest": "70.0 %",
    }  # fmt: skip


def test_without_a_hardest_case_nothing_is_said_of_it(table):
    found = cited.guarantee_facts(table[table["limit_kind"] == AS_ASKED], 0.95)
    assert (found["cases"], found["cases_below"], found["cases_empty"]) == ("0", "0", "0")
    assert found["coverage_lowest"] == found["coverage_lowest_interval"] == ABSENT


def test_shapes_are_over_their_limit_where_the_whole_interval_is():
    table = pd.DataFrame({"loss": [0.04, 0.06, 0.03], "loss_low": [0.03, 0.04, 0.025], "limit": [0.05, 0.05, 0.02]})
    assert cited.risk_facts(table) == {"shapes": "3", "shapes_over": "1", "shape_worst": "1.50"}


def test_the_fewest_queries_are_those_of_a_sample_without_a_loss():
    assert cited.needed_facts(0.95) == {"needed_99": "349", "needed_99_bernstein": "862"}


def test_facts_by_size_are_not_available_where_no_limit_is_hard():
    bounds = ["betting", "sample-mean"]
    table = by_size(np.zeros((2, 50)), [5, 9], 0.05, sizes=[100, 200], bounds=bounds, times=5)
    found = cited.size_facts(table)
    assert found["sample_mean_coverage"] == found["betting_coverage_lowest"] == found["coverage_betting_100"] == ABSENT
    assert found["ratio_betting_200"] == "1.00"
    assert set(tables.sizes(table)["at the hardest"]) == {ABSENT}
    assert (table["asked"] == 1).all() and found["sample_mean_asked"] == "100.0 % to 100.0 %"
    draw.by_size(table, 0.95).draw_without_rendering()


def test_facts_by_size_name_the_lowest_and_the_highest_coverage_of_the_mean():
    rows = [("sample-mean", 100, 0.5, 0.9, 1), ("sample-mean", 200, 0.45, 0.8, 1.1), ("betting", 100, 0.99, 1, 1.25)]
    found = cited.size_facts(pd.DataFrame(rows, columns=["bound", "size", "coverage", "asked", "ratio"]))
    assert found == {
        "sample_mean_coverage": "45.0 % to 50.0 %", "sample_mean_asked": "80.0 % to 90.0 %",
        "coverage_sample_mean_100": "50.0 %",
        "ratio_sample_mean_100": "1.00", "coverage_sample_mean_200": "45.0 %", "ratio_sample_mean_200": "1.10",
        "coverage_betting_100": "99.0 %", "ratio_betting_100": "1.25", "betting_coverage_lowest": "99.0 %",
    }  # fmt: skip


def test_rules_are_counted_and_those_not_tried_are_not_available():
    rows = [
        ("alpha k", 1.0, 10, 0.9, 0.95, True, 5.0, 2.0),
        ("alpha k", 1.0, 20, 0.9, 0.88, False, 40.0, 0.5),
        ("law", np.nan, 10, 0.9, 0.91, True, 5.0, 1.0),
    ]
    names = ["rule", "alpha", "k", "target", "overlap", "meets", "smallest", "ratio"]
    found = cited.rule_facts(pd.DataFrame(rows, columns=names), [1.0])
    assert (found["alpha1_met"], found["alpha1_short"], found["alpha1_ratio"]) == ("1 of 2", "0.020", "0.50 to 2.00")
    assert (found["law_met"], found["alpha_needed"]) == ("1 of 1", "0.50 to 2.00")
    for name in ("alpha0_5", "alpha2", "alpha4"):
        assert {found[f"{name}_{end}"] for end in ("met", "short", "ratio")} == {ABSENT}


def test_means_over_samples_are_shown_in_the_unit_of_their_quantity():
    about = {"engine": "faiss-hnsw", "k": 10, "limit_kind": HARDEST, "none": 0.25, "ratio_low": 1.0, "ratio_high": 3.0}
    rows = [
        {"target": "near", "limit": 0.01, "loss": 0.008, "loss_low": 0.007, "loss_high": 0.009, "ratio": 2.0},
        {"target": "middle", "limit": 0.05, "loss": 0.04, "loss_low": 0.03, "loss_high": 0.05, "ratio": np.nan},
    ]
    named = {"near": ("near", parse_target("distance-ratio=1.01")), "middle": ("x", parse_target("barycenter=0.05"))}
    shown = tables.risks(pd.DataFrame([about | row for row in rows]), named).to_dict(orient="list")
    assert shown == {
        "search": ["FAISS, default"] * 2, "k": [10, 10], "kind": [HARDEST] * 2, "none chosen": ["25.0 %"] * 2,
        "quantity": ["mean distance ratio", "mean barycenter shift"], "limit": ["1.0100", "0.0500"],
        "mean over samples": ["1.0080 (1.0070 to 1.0090)", "0.0400 (0.0300 to 0.0500)"],
        "ef over the least": ["2.00 (1.00 to 3.00)", ABSENT],
    }  # fmt: skip


def test_the_price_is_told_a_query_a_neighbor_and_beside_exact_search():
    row = {"engine": "faiss-hnsw", "target": 0.9, "k": 20, "ef": 50.0, "certified": 0.91, "overlap": 0.93}
    shown = tables.price(pd.DataFrame([row | {"distances": 500.0, "share": 0.05, "ratio": 2.0}])).iloc[0].to_dict()
    assert shown == {
        "search": "FAISS, default", "target": 0.9, "k": 20, "ef": 50.0, "bound": 0.91, "overlap of the others": 0.93,
        "distances a query": 500.0, "distances a neighbor": 25.0, "of exact search": 0.05,
    }  # fmt: skip
