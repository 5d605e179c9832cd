"""Intervals cover what they should, pair what they should, and leave out what is not known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neighborhood_drift.checks import InputError
from neighborhood_drift.intervals import bootstrap_means, mean_over_seeds, onset, summarize


def table(values_by_k):
    frames = [pd.DataFrame({"k": k, "query": range(len(v)), "overlap": v}) for k, v in values_by_k.items()]
    return pd.concat(frames, ignore_index=True)


def test_resampled_means_are_those_of_a_plain_loop():
    values = np.random.default_rng(0).normal(size=(30, 3))
    values[::4, 1] = np.nan
    means = bootstrap_means(values, resamples=150, seed=7)
    generator = np.random.default_rng(7)
    rows = np.concatenate([generator.integers(0, 30, (100, 30)), generator.integers(0, 30, (50, 30))])
    np.testing.assert_allclose(means, [np.nanmean(values[row], axis=0) for row in rows], rtol=1e-12)


def test_the_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(1).normal(5, 2, 4000)
    row = summarize(table({10: values}), resamples=2000).iloc[0]
    half = 1.96 * values.std(ddof=1) / np.sqrt(4000)
    # The ends of 2,000 resamples are themselves uncertain by some 5 % of the half width.
    assert row["low"] == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert row["high"] == pytest.approx(values.mean() + half, abs=0.2 * half)


def test_groups_share_their_resamples():
    values = np.random.default_rng(2).uniform(size=200)
    tidy = summarize(table({10: values, 20: values - 0.25}))
    first, second = tidy.iloc[0], tidy.iloc[1]
    for column in ("mean", "low", "high"):
        assert first[column] - second[column] == pytest.approx(0.25)


def test_unknown_values_are_left_out_and_counted():
    tidy = summarize(table({10: [1.0, np.nan, 3.0, np.nan], 20: [np.nan] * 4}))
    assert tidy["mean"].iloc[0] == 2 and tidy["missing"].tolist() == [0.5, 1.0]
    assert tidy[["mean", "low", "high"]].iloc[1].isna().all()


def test_infinite_values_are_missing_in_the_mean_as_in_the_interval():
    infinite, unknown = (table({10: [1.0, gap, 3.0, -gap], 20: [1.0] * 4}) for gap in (np.inf, np.nan))
    pd.testing.assert_frame_equal(summarize(infinite), summarize(unknown))
    assert onset(infinite, 1.5) == onset(unknown, 1.5)


def test_more_groups_than_k():
    one = table({10: [1.0, 0.5], 20: [0.5, 0.5]})
    both = pd.concat([one.assign(engine="a"), one.assign(engine="b")])
    tidy = summarize(both, by=("engine", "k"))
    assert list(tidy.columns) == ["engine", "k", "metric", "mean", "low", "high", "missing"]
    assert tidy[["engine", "k"]].to_numpy().tolist() == [["a", 10], ["a", 20], ["b", 10], ["b", 20]]
    with pytest.raises(InputError, match="group by more columns"):
        summarize(both)


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="lacks ef"):
        summarize(table({10: [1.0]}), by=("ef", "k"))


def test_onset_of_a_certain_fall():
    found = onset(table({10: [1.0, 1.0], 20: [0.9, 0.9], 30: [0.8, 0.8]}), 0.95)
    assert found == (20, 20, 20, 1)


def test_onset_of_an_uncertain_fall_brackets_it():
    generator = np.random.default_rng(3)
    curve = {k: 1 - k / 1000 + generator.normal(0, 0.1, 100) for k in range(10, 101, 10)}
    found = onset(table(curve), 0.95)
    assert 10 <= found.low <= found.k
    assert np.isnan(found.high) or found.high >= found.k


def test_onset_that_never_comes():
    found = onset(table({10: [1.0, 1.0], 20: [0.99, 0.99]}), 0.5)
    assert np.isnan([found.k, found.low, found.high]).all() and found.share == 0


def test_seeds_give_the_interval_of_student():
    values = [0.9, 0.92, 0.97]
    mean, low, high = mean_over_seeds(values)
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((np.mean(values), *expected))
    assert np.isnan(mean_over_seeds([1.0])[1:]).all()


def test_bad_input_is_refused():
    for ci in (0, 1, 95):
        with pytest.raises(InputError, match="between 0 and 1"):
            summarize(table({10: [1.0]}), ci=ci)
    with pytest.raises(InputError, match="resamples is 0"):
        summarize(table({10: [1.0]}), resamples=0)
    with pytest.raises(InputError, match="at least one"):
        mean_over_seeds([])
