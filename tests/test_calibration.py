"""Choosing an effort from losses: bounds against other ways to them, the level they hold, and what is chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from neighborhood_drift import InputError
from neighborhood_drift.calibration import BarycenterShift, MeanOverlap, ShareBelow, decide, queries_needed
from neighborhood_drift.calibration.bounds import CAPITAL, STAKES, certain, least_queries, upper

VALID = ("betting", "clopper-pearson", "empirical-bernstein")


def rows(*means, queries=500):
    return np.repeat(np.array(means)[:, None], queries, axis=1)


# bounds


@pytest.mark.parametrize(("ones", "count"), [(0, 10), (3, 40), (40, 40), (1, 299)])
def test_the_binomial_bound_is_scipys(ones, count):
    losses = np.r_[np.ones(ones), np.zeros(count - ones)][None]
    interval = binomtest(ones, count).proportion_ci(confidence_level=0.9, method="exact")  # two sides of 0.05 each
    assert upper("clopper-pearson", losses, 0.05)[0] == pytest.approx(interval.high, abs=1e-12)


def test_coins_have_the_mean_of_the_losses_and_none_is_needed_for_0_and_1():
    losses = np.full((1, 20_000), 0.3)
    assert upper("clopper-pearson", losses, 0.5)[0] == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 20_000))
    flags = (np.random.default_rng(0).random((1, 200)) < 0.2).astype(float)
    assert upper("clopper-pearson", flags, 0.05, seed=1) == upper("clopper-pearson", flags, 0.05, seed=2)


def capital(losses, supposed):
    """What the bettor ends with, query by query."""
    total = 0.0
    for stake, put in zip(STAKES, CAPITAL, strict=True):
        for loss in losses:
            put *= 1 - stake / (1 - supposed) * (loss - supposed)
        total += put
    return total


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.05, 0.01, 0.2]))
def test_the_betting_bound_is_where_the_capital_reaches_its_mark(losses, delta):
    bound = upper("betting", np.array([losses]), delta)[0]
    assert np.mean(losses) <= bound + 1e-9 and bound <= 1
    if bound < 1 - 1e-9:
        assert capital(losses, bound + 1e-7) >= 1 / delta * (1 - 1e-6)
    lower = bound - 1e-7
    if lower > np.mean(losses):
        assert capital(losses, lower) <= 1 / delta * (1 + 1e-6)


def test_the_bettors_capital_is_fair():
    assert CAPITAL.sum() == pytest.approx(1) and (STAKES < 1).all() and (STAKES > 0).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.randoms())
def test_the_betting_bound_does_not_depend_on_the_order_of_queries(losses, random):
    moved = list(losses)
    random.shuffle(moved)
    assert upper("betting", np.array([losses]), 0.05) == pytest.approx(upper("betting", np.array([moved]), 0.05))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.floats(0.01, 0.99))
def test_certain_agrees_with_the_bound(losses, limit):
    losses = np.array([losses])
    for name in (*VALID, "risk-control", "sample-mean"):
        bound = upper(name, losses, 0.05)[0]
        if abs(bound - limit) > 1e-6:
            assert certain(name, losses, limit, 0.05)[0] == (bound <= limit)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_coins_have_no_part_in_the_draw_of_a_sample_with_the_same_seed(seed):
    whole = 400
    bounds = upper("clopper-pearson", 0.5 * np.eye(whole), 0.05, seed)  # row i is higher where coin i is a loss
    coins, drawn = bounds > bounds.min(), np.random.default_rng(seed).random(whole) < 0.5
    assert 0 < coins.sum() < whole
    # as many agreements as of independent fair coins, but for once in 10,000 times
    assert abs((coins == drawn).sum() - whole / 2) <= whole / 2 - binom.ppf(5e-5, whole, 0.5)


def test_risk_control_is_its_formula():
    losses = np.random.default_rng(0).random((1, 80))
    assert upper("risk-control", losses, 0.05)[0] == pytest.approx(80 / 81 * losses.mean() + 1 / 81)


@pytest.mark.parametrize("name", [*VALID, "risk-control"])
def test_least_queries_suffice_without_a_loss_and_one_fewer_does_not(name):
    for limit in (0.5, 0.1234, 0.05, 0.01, 0.0037):
        for delta in (0.05, 0.5, 1e-4):
            count = least_queries(name, limit, delta)
            assert certain(name, np.zeros((1, count)), limit, delta)[0]
            assert count == 1 or not certain(name, np.zeros((1, count - 1)), limit, delta)[0]
    assert least_queries("clopper-pearson", 0.01, 0.05) == np.ceil(np.log(0.05) / np.log(0.99))


def test_least_queries_of_a_tiny_limit_need_no_array_of_losses():
    few = least_queries("clopper-pearson", 1e-8, 0.05)
    assert few == pytest.approx(np.log(1 / 0.05) / 1e-8, rel=1e-6)
    assert least_queries("risk-control", 1e-8, 0.05) == pytest.approx(1e8, rel=1e-6)
    assert few < least_queries("betting", 1e-8, 0.05) < least_queries("empirical-bernstein", 1e-8, 0.05)
    assert least_queries("sample-mean", 1e-8, 0.05) == 1
    assert all(least_queries(name, 1e-200, 0.05) > 1e199 for name in (*VALID, "risk-control"))


def populations():
    """Losses of a whole population: lists with a few lost neighbors, whole lists lost, all or nothing, and mixed."""
    generator = np.random.default_rng(0)
    return {
        "few lost": generator.binomial(50, 0.02, 3000) / 50,
        "whole lists": (generator.random(3000) < 0.01).astype(float),
        "all or nothing": (generator.random(3000) < 0.3).astype(float),
        "mixed": np.where(generator.random(3000) < 0.1, generator.random(3000), 0.0),
    }


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize("kind", list(populations()))
def test_bounds_fail_no_more_often_than_their_level(kind, name, replace):
    losses, delta, draws = populations()[kind], 0.1, 1000
    losses = losses if replace else losses[:300]  # of which a sample without replacement is a large part
    generator = np.random.default_rng(1)
    samples = np.stack([generator.choice(losses, 120, replace=replace) for _ in range(draws)])
    if name == "clopper-pearson":
        bounds = np.array([upper(name, sample[None], delta, seed)[0] for seed, sample in enumerate(samples)])
    else:
        bounds = upper(name, samples, delta)
    # that many failures, or fewer, are seen with a probability of 0.9999 where the level is held
    assert (bounds < losses.mean()).sum() <= binom.ppf(0.9999, draws, delta)


# decisions


def test_the_smallest_ef_of_an_unbroken_run_from_the_top_is_chosen():
    choice = decide(rows(0.5, 0.0, 0.3, 0.001, 0.0), [1, 2, 3, 4, 5], MeanOverlap(0.95))
    assert choice.ef == 4 and choice.passes.tolist() == [False, False, False, True, True]


def test_bonferroni_may_pass_a_gap_and_needs_more():
    losses, efs = rows(0.5, 0.0, 0.3, 0.001, 0.0), [1, 2, 3, 4, 5]
    assert decide(losses, efs, MeanOverlap(0.95), correction="bonferroni").ef == 2
    target = MeanOverlap(0.99)
    assert queries_needed(target, correction="bonferroni", efs=5) > queries_needed(target)
    full, divided = (decide(losses, efs, target, correction=name).bounds for name in ("fixed-sequence", "bonferroni"))
    assert (divided < full).all()


def test_nothing_is_chosen_where_the_largest_fails_and_the_sentence_says_so():
    choice = decide(rows(0.0, 0.2), [10, 20], MeanOverlap(0.95))
    assert choice.ef is None and not choice.passes.any() and np.isnan(choice.estimate)
    assert choice.sentence.startswith("No ef from 10 to 20 is certified") and f"{choice.bound:.4f}" in choice.sentence


@pytest.mark.parametrize("target", [MeanOverlap(0.95), ShareBelow(0.9, 0.1)])
def test_more_confidence_and_a_harder_target_never_choose_less(target):
    losses = (np.random.default_rng(0).random(400) < np.linspace(0.4, 0, 30)[:, None]).astype(float)
    efs = np.arange(1, 31)
    chosen = [decide(losses, efs, target, confidence).ef or 99 for confidence in (0.5, 0.8, 0.95, 0.99, 0.9999)]
    assert chosen == sorted(chosen) and chosen[0] < chosen[-1]
    chosen = [decide(losses, efs, MeanOverlap(least)).ef or 99 for least in (0.7, 0.9, 0.95, 0.98)]
    assert chosen == sorted(chosen) and chosen[0] < chosen[-1]


def test_equal_losses_at_several_efs_choose_the_smallest():
    assert decide(rows(0.001, 0.001, 0.001), [5, 6, 7], MeanOverlap(0.9)).ef == 5


def test_risk_control_takes_the_largest_loss_at_this_ef_or_above():
    losses = np.zeros((3, 100))
    losses[2, :20] = 1
    choice = decide(losses, [1, 2, 3], BarycenterShift(0.1))
    assert choice.ef is None and choice.estimates.tolist() == [0.2, 0.2, 0.2]
    assert choice.confidence is None and "in expectation" in decide(losses, [1, 2, 3], BarycenterShift(0.5)).sentence
    same = [decide(losses, [1, 2, 3], BarycenterShift(0.3), confidence).ef for confidence in (0.5, 0.99)]
    assert same == [1, 1]


def test_a_geometric_target_can_have_a_confidence():
    choice = decide(rows(0.02, 0.0), [1, 2], BarycenterShift(0.05), bound="betting")
    assert choice.ef == 1 and choice.confidence == 0.95 and choice.bound > 0.02


@pytest.mark.parametrize("kind", ["fixed-sequence", "bonferroni", "none"])
def test_the_choice_misses_its_target_no_more_often_than_its_level(kind):
    """Many efs just beyond the limit: without a correction a choice among them misses far more often."""
    generator = np.random.default_rng(0)
    means = np.r_[np.full(20, 0.0501), np.zeros(1)]
    draws, misses = 400, 0
    for _ in range(draws):
        losses = (generator.random((21, 150)) < means[:, None]).astype(float)
        ef = decide(losses, np.arange(1, 22), MeanOverlap(0.95), 0.9, bound="clopper-pearson", correction=kind).ef
        misses += ef is not None and means[ef - 1] > 0.05
    assert (misses <= binom.ppf(0.9999, draws, 0.1)) == (kind != "none")


def test_risk_control_holds_the_expected_loss():
    """Losses that fall with ef: the mean loss of the ef chosen, over many samples, is within the limit."""
    generator = np.random.default_rng(0)
    means, limit, total = np.linspace(0.3, 0.0, 13), 0.1, 0.0
    for _ in range(2000):
        losses = (generator.random(60) < means[:, None]).astype(float)
        ef = decide(losses, np.arange(1, 14), BarycenterShift(limit)).ef
        total += 0.0 if ef is None else means[ef - 1]
    assert 0.7 * limit < total / 2000 <= limit


def test_the_table_has_a_row_an_ef():
    choice = decide(rows(0.1, 0.0), [3, 8], MeanOverlap(0.95))
    table = choice.table
    assert list(table.columns) == ["ef", "estimate", "bound", "passes"] and table["ef"].tolist() == [3, 8]
    assert table["estimate"].tolist() == [0.9, 1.0] and (table["bound"] < table["estimate"]).all()
    assert choice.interval == (1.0, 1.0) and choice.queries == 500


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"losses": np.full((2, 3), 1.2)}, "losses must lie in 0 to 1"),
        ({"losses": np.full((2, 3), np.nan)}, "losses must lie in 0 to 1"),
        ({"losses": np.zeros((3, 3))}, "losses have shape (3, 3); they must have a row each of 2 ef"),
        ({"losses": np.zeros((2, 0))}, "losses have shape (2, 0)"),
        ({"efs": [2, 1]}, "efs must be whole numbers that ascend"),
        ({"efs": [1, 1]}, "efs must be whole numbers that ascend"),
        ({"efs": [1.0, 2.0]}, "efs must be whole numbers that ascend"),
        ({"confidence": 1}, "confidence is 1; it must be at least 0.5 and below 1"),
        ({"confidence": "high"}, "confidence is 'high'"),
        ({"bound": "hope"}, "bound is 'hope'; known are betting"),
        ({"correction": "hope"}, "correction is 'hope'; known are fixed-sequence"),
    ],
)
def test_wrong_input_is_one_sentence(change, sentence):
    given = {"losses": np.zeros((2, 3)), "efs": [1, 2], "target": MeanOverlap(0.9)} | change
    with pytest.raises(InputError) as caught:
        decide(**given)
    assert sentence in str(caught.value)
