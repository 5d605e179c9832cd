"""LID against scikit-dimension, on balls of known dimension, and where it is not defined."""

import numpy as np
import oracles
import pytest
import skdim
from hypothesis import given
from hypothesis import strategies as st

from neighborhood_drift import Neighbors
from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.lid import lid, lid_bias, lid_curve, lid_harmonic_mean, lid_mean


def neighbors(distances):
    distances = np.asarray(distances, dtype=np.float64)
    ids = np.where(np.isfinite(distances), np.arange(distances.shape[1]), -1)
    return Neighbors(ids, distances)


@pytest.mark.parametrize("k", [2, 5, 40])
def test_agrees_with_scikit_dimension(k):
    points = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    nb = exact_neighbors(points, k=k)
    # Its precomputed arrays are (n_samples, n_neighbors), whatever its documentation says of their shape.
    theirs = skdim.id.MLE(unbiased=False).fit(points, precomputed_knn_arrays=(nb.distances, nb.ids), comb="mle")
    np.testing.assert_allclose(lid(nb), theirs.dimension_pw_, rtol=1e-9)
    assert lid_harmonic_mean(lid(nb)) == pytest.approx(theirs.dimension_)


def ball(dimension, balls, count):
    """(balls, count, dimension) points uniform in the unit ball."""
    generator = np.random.default_rng(dimension)
    points = generator.normal(size=(balls, count, dimension))
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    return points * generator.uniform(size=(balls, count, 1)) ** (1 / dimension)


@pytest.mark.parametrize("dimension", [2, 8, 32])
def test_uniform_balls_give_their_dimension_times_the_stated_bias(dimension):
    k, repeats = 20, 2000
    # From the centre of a ball, distances follow the power law exactly, so the bias is (k - 1) / (k - 2).
    distances = np.sort(np.linalg.norm(ball(dimension, repeats, 40), axis=2), axis=1)[:, :k]
    estimates = lid(neighbors(distances))
    # One estimate has a relative standard deviation of 1 / sqrt(k - 3); four standard errors of the mean.
    tolerance = 4 / np.sqrt((k - 3) * repeats)
    assert lid_mean(estimates) == pytest.approx(dimension * lid_bias(k), rel=tolerance)
    # The inverse estimate has the mean 1 / dimension: the harmonic mean over many queries has no bias to correct.
    assert lid_harmonic_mean(estimates) == pytest.approx(dimension, rel=tolerance)


def test_squared_distances_halve_it():
    distances = np.sort(np.random.default_rng(1).uniform(1, 2, (5, 30)), axis=1)
    np.testing.assert_allclose(lid(neighbors(distances**2)), lid(neighbors(distances)) / 2, rtol=1e-12)


def test_unit_of_length_does_not_matter():
    distances = np.sort(np.random.default_rng(2).uniform(1, 2, (5, 30)), axis=1)
    np.testing.assert_allclose(lid(neighbors(distances * 1e-30)), lid(neighbors(distances)), rtol=1e-9)


@pytest.mark.parametrize(
    "row", [[np.inf] * 3, [1.0, np.inf, np.inf], [0.0, 0.0, 0.0], [0.0, 2.0, np.inf], [2.0, 2.0, 2.0], [0.0, 2.0, 2.0]]
)
def test_undefined_is_nan(row):
    assert np.isnan(lid(neighbors([row]))).all()


def test_zeros_and_missing_slots_are_left_out():
    plain = lid(neighbors([[1.0, 2.0, 4.0]]))
    np.testing.assert_allclose(lid(neighbors([[0.0, 0.0, 1.0, 2.0, 4.0, np.inf]])), plain, rtol=1e-15)


@given(st.lists(st.sampled_from([0.0, 0.5, 0.5, 1.0, 1.5, 3.0, 1e-12, np.inf]), min_size=1, max_size=12))
def test_every_column_of_the_curve_is_the_naive_estimate(distances):
    distances = sorted(distances)
    curve = lid_curve([distances])[0]
    naive = [oracles.lid(distances[: j + 1]) for j in range(len(distances))]
    np.testing.assert_allclose(curve, naive, rtol=1e-12)
    np.testing.assert_allclose(lid(neighbors([distances])), naive[-1:], rtol=1e-12)


def test_means_leave_nan_out():
    assert np.isnan(lid_mean([np.nan])) and np.isnan(lid_harmonic_mean([]))


@pytest.mark.parametrize("k", [2, 1, 2.5])
def test_the_bias_needs_three_neighbors(k):
    with pytest.raises(InputError, match="whole number of at least 3"):
        lid_bias(k)


def test_a_curve_needs_rows():
    with pytest.raises(InputError, match="must be 2-d"):
        lid_curve([1.0, 2.0])
