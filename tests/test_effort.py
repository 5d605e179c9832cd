"""Sweeps side by side: means and what is read from them, on made tables."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import effort, law
from neighborhood_drift.checks import InputError


def made(k_overlaps, missing=0.0):
    """A sweep's table of two queries a k, one 0.1 above and one 0.1 below the mean overlap."""
    rows = [
        {"engine": "faiss-hnsw", "seed": 0, "k": k, "query": query, "overlap": overlap + side, "missing_share": missing}
        for k, overlap in k_overlaps.items()
        for query, side in enumerate((-0.1, 0.1))
    ]
    return pd.DataFrame(rows)


def test_means_keep_setting_engine_and_k_and_count_padded_queries():
    table = made({10: 0.9, 20: 0.5})
    table.loc[0, "missing_share"] = 0.1
    means = effort.means([("efSearch", 25, table)])
    assert means[["study", "value", "k", "queries"]].to_numpy().tolist() == [
        ["efSearch", 25.0, 10, 2],
        ["efSearch", 25.0, 20, 2],
    ]
    assert means["overlap"].tolist() == pytest.approx([0.9, 0.5])
    assert means["padded"].tolist() == [0.5, 0.0]
    assert (means["overlap_low"] <= means["overlap"]).all()
    assert (means["overlap_high"] >= means["overlap"]).all()


def test_curves_that_depend_on_the_ratio_alone_collapse():
    sweeps = [("efSearch", ef, made({k: 1 / (1 + k / ef) for k in (50, 100, 200)})) for ef in (25, 50, 100)]
    table = effort.collapse(effort.means(sweeps)).set_index("k_over_ef")
    assert table["efforts"].to_dict() == {1.0: 2, 2.0: 3, 4.0: 2}
    assert table["spread"].max() == pytest.approx(0, abs=1e-12)
    assert table["largest_ef"].to_dict() == {1.0: 100, 2.0: 100, 4.0: 50}


def test_the_effort_of_the_highest_overlap_is_named():
    sweeps = [("efSearch", ef, made({ef: 0.5 + ef / 1000})) for ef in (25, 50, 100)]
    row = effort.collapse(effort.means(sweeps)).iloc[0]
    assert (row["highest_ef"], row["lowest"], row["highest"]) == (100, pytest.approx(0.525), pytest.approx(0.6))


def test_in_proportion_sets_the_ends_beside_each_other():
    table = effort.in_proportion(effort.means([("alpha", 0.25, made({10: 0.7, 50: 0.8, 500: 0.9}))]))
    assert table.columns.tolist() == ["alpha", "k = 10", "k = 500", "change"]
    assert table.iloc[0].tolist() == pytest.approx([0.25, 0.7, 0.9, 0.2])


def test_an_error_that_keeps_its_sign_is_one_sided():
    curves = pd.DataFrame({"ef": [10, 10, 10, 20, 20, 20], "overlap": 0.5})
    curves["overlap_law"] = [0.6, 0.6, 0.7, 0.4, 0.6, 0.3]
    assert effort.one_sided(curves).to_dict() == pytest.approx({10: 1.0, 20: 2 / 3})


def test_law_curves_are_exact_for_a_planted_law():
    planted = law.Law(4.0, 2.0)
    p = {ef: law.predict(planted, ef, 50) for ef in (10, 20)}
    curves = effort.law_curves(planted, p, fitted=[10])
    assert np.allclose(curves["p"], curves["p_law"])
    assert np.allclose(curves["overlap"], curves["overlap_law"])
    assert curves.groupby("ef")["use"].first().to_dict() == {10: "fitted", 20: "predicted"}
    seeds = effort.law_by_seed([3], [planted], [p], [10])
    assert seeds[["seed", "rmse"]].to_numpy().tolist() == [[3.0, 0.0]]


def test_facts_name_each_setting():
    alpha = ("alpha", 0.5, made({5: 0.7, 10: 0.8}, missing=0.2))
    means = effort.means([("efSearch", 25, made({5: 0.95, 10: 0.9})), alpha])
    assert effort.fact_values(means, 10, k_min=5) == {
        "overlap_ef25": "0.900",
        "padded_ef25": "0.0 %",
        "overlap_alpha0_5_kmin": "0.700",
        "overlap_alpha0_5": "0.800",
        "padded_alpha0_5": "100.0 %",
    }


def test_no_sweep_is_refused():
    with pytest.raises(InputError, match="at least one"):
        effort.means([])
