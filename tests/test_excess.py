"""Beside the null model: nothing is found where only chance lost neighbors, and what was planted is found."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.excess import MEASURES, NULLS, beside_null, excesses, measure, queries_that_lose
from neighborhood_drift.losses import by_rank, concentration, matched, rank_profile, ranks_lost
from neighborhood_drift.metrics import overlap
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.null import lost_at_random

K = 20


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(2).normal(size=(400, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def exact(base):
    return exact_neighbors(base, k=3 * K)


def losing(exact, ranks, *, fill=None):
    """Lists that lost the neighbors of some ranks, and hold those of other ranks instead."""
    kept = [rank for rank in range(K) if rank not in ranks] + list(fill or range(K, K + len(ranks)))
    return Neighbors(exact.ids[:, kept], exact.distances[:, kept])


@given(st.lists(st.integers(0, 5), min_size=3, max_size=3), st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_the_null_has_the_losses_and_the_missing_slots_of_each_query(lost, missing):
    exact = Neighbors(np.tile(np.arange(12), (3, 1)), np.tile(np.arange(12.0), (3, 1)))
    missing = np.minimum(missing, lost)
    ids, distances = exact.ids[:, :6].copy(), exact.distances[:, :6].copy()
    for row in range(3):
        kept = np.delete(np.arange(6 + lost[row] - missing[row]), np.arange(lost[row]))
        ids[row], distances[row] = -1, np.inf
        ids[row, : len(kept)], distances[row, : len(kept)] = kept, kept
    found = Neighbors(ids, distances)
    null = matched(exact, found)
    np.testing.assert_allclose(overlap(exact.first(6), null), overlap(exact.first(6), found))
    np.testing.assert_array_equal(null.found, found.found)


def test_lists_of_the_null_model_deform_as_much_as_the_null(base, exact):
    tables = [
        beside_null(base, np.arange(400), exact, lost_at_random(exact, K, 0.2, seed=seed), seed=50 * seed).assign(
            run=seed
        )
        for seed in range(8)
    ]
    found = excesses(pd.concat(tables), by=("run",), resamples=400)
    # 32 intervals of 95 %: six or more misses have a chance below one in a hundred
    assert (found["verdict"] != "as much").sum() <= 5


def test_losing_the_farthest_moves_less_and_losing_the_nearest_more(base, exact):
    far = beside_null(base, np.arange(400), exact, losing(exact, [18, 19])).assign(engine="far")
    near = beside_null(base, np.arange(400), exact, losing(exact, [0, 1])).assign(engine="near")
    worse = beside_null(base, np.arange(400), exact, losing(exact, [0, 1], fill=[58, 59])).assign(engine="worse")
    found = excesses(pd.concat([far, near, worse]), by=("engine",), resamples=200).set_index(["engine", "metric"])
    verdicts = found["verdict"].unstack()  # noqa: PD010
    assert verdicts["mean_distance_ratio"].to_dict() == {"far": "less", "near": "more", "worse": "more"}
    assert verdicts["kth_distance_ratio"].to_dict() == {"far": "as much", "near": "as much", "worse": "more"}
    assert (
        (found["relative"].loc[("worse", "mean_distance_ratio")]) > found["relative"].loc["near", "mean_distance_ratio"]
    )
    np.testing.assert_allclose(found["mean"] - found["null"], found["excess"])


def visited_by_rank(exact, chance, seed=0, k=K):
    """Lists of a search that visits each rank by its own chance, and returns the nearest visited."""
    visited = np.random.default_rng(seed).random(exact.ids.shape) < chance
    kept = np.sort(np.argsort(~visited, axis=1, kind="stable")[:, :k], axis=1)
    return Neighbors(np.take_along_axis(exact.ids, kept, axis=1), np.take_along_axis(exact.distances, kept, axis=1))


def test_the_profile_is_the_chance_of_each_rank(exact):
    chance = np.linspace(1, 0.5, 3 * K)
    found = rank_profile(exact, visited_by_rank(exact, chance))
    # 400 queries have a chance known to 0.025; a few ranks beyond K still have 50, hence four times 0.06
    np.testing.assert_allclose(found[:K], chance[:K], atol=0.1)
    np.testing.assert_allclose(found[K : K + 4], chance[K : K + 4], atol=0.24)


def test_losses_that_follow_the_ranks_alone_leave_nothing_beyond_them(base, exact):
    found = visited_by_rank(exact, np.linspace(1, 0.5, 3 * K), seed=5)
    table = beside_null(base, np.arange(400), exact, found, draws=20).assign(engine="ranks")
    alike = excesses(table, "alike", by=("engine",), resamples=400).set_index("metric")
    ranked = excesses(table, "by_rank", by=("engine",), resamples=400).set_index("metric")
    assert alike.loc["mean_distance_ratio", "verdict"] == "less" and alike.loc["lid_difference", "verdict"] != "as much"
    assert (ranked["excess"].abs() < 0.25 * alike["excess"].abs()).drop("barycenter_shift").all()
    assert ranked.loc["barycenter_shift", "verdict"] == "as much"


@pytest.mark.parametrize("seed", range(4))
def test_ranks_that_differ_from_query_to_query_leave_distances_unexplained_but_not_the_barycenter(seed):
    sample = load_sample("cifar10-resnet50", points=1000, queries=200)
    exact = exact_neighbors(sample.base, sample.base[sample.rows], k=100, exclude=sample.rows)
    # within a query every loss is independent: half of the queries lose their last ranks, the others any
    steep = np.where(np.arange(100) < 35, 1, 0.35)
    chance = np.where(np.arange(200)[:, None] % 2 == 0, steep, 0.85)
    found = visited_by_rank(exact, chance, seed=100 + seed, k=50)
    table = beside_null(sample.base, sample.rows, exact, found, draws=5, seed=1000 * seed).assign(engine="a")
    verdicts = excesses(table, "by_rank", by=("engine",), resamples=300).set_index("metric")["verdict"]
    assert verdicts["mean_distance_ratio"] == "more" and verdicts["lid_difference"] == "less"
    assert verdicts["barycenter_shift"] == "as much"


def test_random_losses_by_rank_keep_number_and_missing_slots(exact):
    found = visited_by_rank(exact, np.linspace(1, 0.5, 3 * K))
    made = matched(exact, found, profile=rank_profile(exact, found), seed=7)
    np.testing.assert_allclose(overlap(exact.first(K), made), overlap(exact.first(K), found))
    with pytest.raises(InputError, match="one chance a rank"):
        matched(exact, found, profile=np.ones(K))


def test_what_is_not_measured_is_not_judged(base, exact):
    table = beside_null(base, np.arange(400), exact, losing(exact, [3])).assign(engine="a")
    table["lid_difference"] = np.nan
    verdicts = excesses(table, by=("engine",), resamples=50).set_index("metric")["verdict"]
    assert verdicts["lid_difference"] == "not available" and verdicts["mean_distance_ratio"] != "not available"
    with pytest.raises(InputError, match="lacks lid_difference_alike"):
        excesses(table.drop(columns="lid_difference_alike"), by=("engine",))


def test_no_lists_give_tables_without_rows(base, exact):
    table = measure({}, base, np.arange(400), exact, draws=1)
    assert table.empty and {*MEASURES, "engine", "target", "query", "overlap"} <= set(table)
    assert set(table) == set(measure({("a", 0.9): exact.first(K)}, base, np.arange(400), exact, draws=1))
    for null in NULLS:
        found = excesses(table, null)
        assert found.empty and {"engine", "target", "metric", "excess", "verdict"} <= set(found)
    assert "worst_tenth" in queries_that_lose(table, K) and {"away", "engine"} <= set(ranks_lost({}, exact))


def test_losses_are_placed_at_their_ranks(exact):
    table = by_rank(exact, losing(exact, [15, 16, 17, 18, 19]), bins=4, resamples=20)
    assert table[["first", "last"]].to_numpy().tolist() == [[1, 5], [6, 10], [11, 15], [16, 20]]
    assert table["share"].tolist() == [1, 1, 1, 0] and table["away"].tolist() == [0.25, 0.25, 0.25, -0.75]


def test_chance_is_flat_over_ranks(exact):
    table = by_rank(exact, lost_at_random(exact, K, 0.3), bins=5)
    # five intervals of 95 %
    assert ((table["away_low"] <= 0) & (table["away_high"] >= 0)).sum() >= 4


def test_concentration_counts_the_worst():
    assert concentration(np.r_[np.zeros(10), np.ones(90)]) == 1
    assert concentration(np.full(50, 0.9)) == pytest.approx(0.1)
    assert np.isnan(concentration(np.ones(5)))


def test_losses_of_chance_look_like_chance_and_others_do_not(base, exact):
    drawn = lost_at_random(exact, K, 0.2, seed=3)
    few = np.where(np.arange(400) % 10 == 0, 15, 0)
    uneven = lost_at_random(exact, K, few)
    tables = [beside_null(base, np.arange(400), exact, one, draws=1) for one in (drawn, uneven, uneven)]
    table = pd.concat(part.assign(engine=name) for part, name in zip(tables, ("chance", "few", "same"), strict=True))
    found = queries_that_lose(table, K).set_index("engine")
    low, worst, high = found.loc["chance", ["chance_low", "worst_tenth", "chance_high"]]
    # one draw of many lies beyond 95 % of them now and then, but not by far
    assert low - 0.01 <= worst <= high + 0.01
    assert found.loc["few", "worst_tenth"] == 1 > found.loc["few", "chance_high"]
    assert found.loc["few", "none"] == 0.9
    assert found.loc["few", "others"] > 0.4 > abs(found.loc["chance", "others"])


def test_an_index_that_loses_nothing_has_no_concentration(base, exact):
    table = beside_null(base, np.arange(400), exact, exact.first(K), draws=1).assign(engine="exact")
    row = queries_that_lose(table, K).iloc[0]
    assert row["none"] == 1 and row[["worst_tenth", "chance_low", "lid", "others"]].isna().all()
    assert (excesses(table, by=("engine",), resamples=20)["verdict"] == "as much").all()
    assert set(MEASURES) <= set(table)
