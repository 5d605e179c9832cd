"""Efforts chosen from many samples at once: the same as one by one, and the guarantee where it is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neighborhood_drift import InputError, validation
from neighborhood_drift.calibration import BarycenterShift, MeanOverlap, decide
from neighborhood_drift.choosing import Searched, smallest

EFS = np.array([10, 20, 40, 80])


@pytest.fixture
def losses():
    """Of 800 queries, rarely large, falling with effort in the mean but not for each query."""
    generator = np.random.default_rng(1)
    return np.stack([generator.beta(0.2, 0.2 / mean, 800) for mean in (0.3, 0.06, 0.04, 0.002)])


@given(seed=st.integers(0, 10_000), bound=st.sampled_from(["betting", "empirical-bernstein", "sample-mean"]))
@settings(max_examples=25, deadline=None)
def test_all_samples_at_once_choose_what_decide_does_one_by_one(seed, bound):
    generator = np.random.default_rng(seed)
    losses = np.clip(generator.normal([[0.2], [0.08], [0.03], [0.0]], 0.05, (4, 60)), 0, 1)
    drawn = validation.draw(60, 80, 5, seed)
    rows = validation.chosen(losses, MeanOverlap(0.9).limit, drawn, bound)
    ones = [decide(losses[:, columns], EFS, MeanOverlap(0.9), bound=bound).ef for columns in drawn]
    assert [None if row < 0 else EFS[row] for row in rows] == ones


def test_losses_of_nought_and_one_need_no_coin(losses):
    whole = (losses > 0.2).astype(float)
    drawn = validation.draw(800, 200, 20)
    rows = validation.chosen(whole, 0.1, drawn, "clopper-pearson", seed=5)
    ones = [decide(whole[:, columns], EFS, MeanOverlap(0.9), bound="clopper-pearson", seed=9).ef for columns in drawn]
    assert [None if row < 0 else EFS[row] for row in rows] == ones


def test_risk_control_chooses_what_decide_does(losses):
    target = BarycenterShift(0.05)
    drawn = validation.draw(800, 100, 30)
    rows = validation.chosen(losses, target.limit, drawn, "risk-control")
    ones = [decide(losses[:, columns], EFS, target).ef for columns in drawn]
    assert [None if row < 0 else EFS[row] for row in rows] == ones


def test_more_samples_than_fit_at_once_are_all_chosen_for(losses, monkeypatch):
    drawn = validation.draw(800, 100, 30)
    whole = validation.chosen(losses, 0.05, drawn, "betting")
    monkeypatch.setattr(validation, "AT_ONCE", 7)
    np.testing.assert_array_equal(validation.chosen(losses, 0.05, drawn, "betting"), whole)


@pytest.mark.parametrize("bound", ["betting", "clopper-pearson", "empirical-bernstein"])
def test_a_bound_keeps_its_level_at_the_hardest_limit_and_the_mean_alone_does_not(losses, bound):
    limit = validation.hardest(losses, 0.05)
    options = {"size": 300, "times": 400, "seed": 3}
    held = validation.coverage(validation.resplits(losses, EFS, limit, bound=bound, **options), limit)
    bare = validation.coverage(validation.resplits(losses, EFS, limit, bound="sample-mean", **options), limit)
    # 400 samples that each keep the promise with probability 0.95 fall below this once in 10,000 times
    assert held["coverage"] >= stats.binom.ppf(1e-4, 400, 0.95) / 400
    assert bare["coverage_high"] < 0.9


def test_the_hardest_limit_is_failed_by_a_hair(losses):
    limit = validation.hardest(losses, 0.05)
    means = losses.mean(axis=1)
    over = means[means > limit]
    assert over.min() == pytest.approx(limit)
    assert np.isnan(validation.hardest(losses, 0.9))
    assert np.isnan(validation.hardest(np.zeros((2, 5)), 0.05))


def test_a_small_limit_failed_by_a_hair_is_not_kept():
    losses = np.zeros((2, 2000))
    losses[0, 0] = 1.0  # a mean of 5e-4
    limit = validation.hardest(losses, 5e-4)
    assert 0 < 5e-4 - limit < 1e-11
    assert smallest(losses, limit) == 1 and smallest(losses, 5e-4) == 0
    options = {"size": 300, "bound": "sample-mean", "times": 200}
    held = validation.coverage(validation.resplits(losses, [5, 9], limit, **options), limit)
    # the one query is drawn, and the failing effort refused, in 14 % of the samples
    assert held["coverage_high"] < 0.5 and held["loss"] > 0
    held = validation.coverage(validation.resplits(losses, [5, 9], 5e-4, **options), 5e-4)
    assert held["coverage"] == 1


def test_a_mean_at_the_limit_keeps_it_whatever_its_last_bits():
    assert MeanOverlap(0.9).limit < 0.1
    assert smallest(np.full((1, 10), 0.1), MeanOverlap(0.9).limit) == 0
    table = pd.DataFrame({"ef": [5.0], "loss": [0.1], "rest": [0.1], "smallest": [5.0]})
    held = validation.coverage(table, MeanOverlap(0.9).limit)
    assert (held["coverage"], held["rest"]) == (1, 1)


def test_ratios_are_the_median_and_the_outer_twentieths_of_samples_that_chose():
    efs = [*np.arange(1.0, 102.0), np.nan]
    table = pd.DataFrame({"ef": efs, "loss": [0.01] * 101 + [np.nan], "rest": np.nan, "smallest": 2.0})
    held = validation.coverage(table, 0.05)
    assert (held["ratio_low"], held["ratio"], held["ratio_high"]) == (3.0, 25.5, 48.0)
    assert held["none"] == pytest.approx(1 / 102) and np.isnan(held["rest"])


def test_without_a_loss_near_the_limit_no_coverage_by_size_is_claimed():
    table = validation.by_size(np.zeros((2, 50)), [5, 9], 0.05, sizes=[100], bounds=["betting"], times=5)
    assert table[["coverage", "coverage_low", "coverage_high"]].isna().all(axis=None)
    assert table["ratio"].tolist() == [1.0] and table["none"].tolist() == [0.0]


def test_the_rest_is_the_mean_of_the_queries_not_drawn():
    losses = np.array([[0.0, 0.0, 0.0, 1.0]])
    table = validation.resplits(losses, [5], 0.5, size=3, bound="sample-mean", times=50, replace=False)
    # either the one with a loss was drawn, mean 1/3, rest 0; or it is the rest
    assert set(table["rest"]) == {0.0, 1.0}
    assert (table["loss"] == 0.25).all()
    assert validation.resplits(losses, [5], 0.5, size=3, bound="sample-mean", times=2)["rest"].isna().all()


def test_where_nothing_is_certified_nothing_is_promised():
    table = validation.resplits(np.ones((2, 50)), [5, 9], 0.1, size=20, bound="betting", times=10)
    found = validation.coverage(table, 0.1)
    assert (found["coverage"], found["none"], found["loss"]) == (1.0, 1.0, 0.0)
    assert np.isnan(found["ratio"])


def test_samples_without_replacement_hold_each_query_once_and_are_no_larger_than_the_pool():
    drawn = validation.draw(10, 6, 4, replace=False)
    assert all(len(set(row)) == 6 for row in drawn)
    with pytest.raises(InputError, match="at most 10 can be drawn"):
        validation.draw(10, 11, 1, replace=False)


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (7, 20), (20, 20)])
def test_intervals_of_shares_are_exact_binomial_ones(hits, trials):
    low, high = validation.share_interval(hits, trials)
    assert low == pytest.approx(stats.beta.ppf(0.025, hits, trials - hits + 1) if hits else 0)
    assert high == pytest.approx(stats.beta.ppf(0.975, hits + 1, trials - hits) if hits < trials else 1)


def test_a_case_without_a_loss_near_the_limit_has_no_hardest_row(losses):
    exact = Searched(EFS, {"overlap": np.zeros_like(losses)}, None, None)
    lossy = Searched(EFS, {"overlap": losses}, None, None)
    cases = [("exact", "x", 10, exact), ("lossy", "x", 10, lossy)]
    table = validation.validated(cases, {"a": ("overlap", MeanOverlap(0.95))}, size=100, times=20)
    kinds = table.groupby("data")["limit_kind"].agg(list).to_dict()
    assert kinds == {"exact": [validation.AS_ASKED], "lossy": [validation.AS_ASKED, validation.HARDEST]}
    assert table.loc[table["limit_kind"] == validation.AS_ASKED, "rest"].notna().all()
