"""The null model loses exactly what it is told to, uniformly over ranks, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neighborhood_drift.checks import InputError
from neighborhood_drift.metrics import overlap
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.null import lost_at_random


def lists(queries, length, seed=0):
    generator = np.random.default_rng(seed)
    ids = np.stack([generator.permutation(length * 3)[:length] for _ in range(queries)])
    return Neighbors(ids, np.sort(generator.random((queries, length)), axis=1))


@given(st.integers(1, 12), st.lists(st.floats(0, 1), min_size=1, max_size=8), st.booleans(), st.integers(0, 5))
def test_each_query_loses_what_was_asked_and_the_next_ones_come_in(k, shares, replace, seed):
    exact = lists(len(shares), 2 * k)
    lost = np.array([round(share * k) for share in shares])
    made = lost_at_random(exact, k, lost, seed=seed, replace=replace)
    np.testing.assert_allclose(overlap(exact.first(k), made), 1 - lost / k)
    np.testing.assert_array_equal(made.found, k if replace else k - lost)
    for row, count in enumerate(lost):
        if replace:
            assert set(made.ids[row]) >= set(exact.ids[row, k : k + count])
            assert not set(made.ids[row]) & set(exact.ids[row, k + count :])
        known = dict(zip(exact.ids[row], exact.distances[row], strict=True))
        assert all(known[i] == d for i, d in zip(made.ids[row], made.distances[row], strict=True) if i >= 0)


def test_no_loss_is_the_exact_list():
    exact = lists(5, 10)
    np.testing.assert_array_equal(lost_at_random(exact, 6, 0.0).ids, exact.ids[:, :6])
    np.testing.assert_array_equal(lost_at_random(exact, 6, 0).ids, exact.ids[:, :6])


def test_a_share_loses_every_rank_alike():
    exact = lists(4000, 20)
    made = lost_at_random(exact, 10, 0.3, seed=1)
    kept = (exact.ids[:, :10, None] == made.ids[:, None, :]).any(axis=2).mean(axis=0)
    # 4,000 draws with chance 0.7: four standard deviations
    np.testing.assert_allclose(kept, 0.7, atol=4 * np.sqrt(0.21 / 4000))


def test_seeds_differ_and_repeat():
    exact, lost = lists(50, 20), np.full(50, 5)
    one, again, other = (lost_at_random(exact, 10, lost, seed=seed).ids for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        (1.5, "must lie in 0 to 1"),
        (float("nan"), "must lie in 0 to 1"),
        (1, "lost must be one share, or 3 whole numbers"),
        (True, "lost must be one share"),
        ("half", "lost must be one share"),
        (None, "lost must be one share"),
        ([1, 2], "3 whole numbers from 0 to 4"),
        ([0, 0, 5], "3 whole numbers from 0 to 4"),
        ([0.0, 1.0, 2.0], "3 whole numbers"),
        ([0, 0, 3], "exact holds 6 neighbors; 7 are needed"),
    ],
)
def test_refusals(lost, sentence):
    with pytest.raises(InputError, match=sentence):
        lost_at_random(lists(3, 6), 4, lost)


def test_missing_slots_are_refused():
    with pytest.raises(InputError, match="complete lists"):
        lost_at_random(Neighbors([[1, -1]], [[1.0, np.inf]]), 1, 0.5)
