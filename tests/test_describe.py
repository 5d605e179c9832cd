"""Descriptions of a vector cloud: known answers, properties, and other libraries as witnesses."""

import numpy as np
import pytest
import skdim
from scipy import stats
from scipy.spatial.distance import pdist

from neighborhood_drift import describe
from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.neighbors import Neighbors


@pytest.fixture(scope="module")
def random():
    return np.random.default_rng(5)


def test_norms_and_zeros_are_counted_by_row():
    points = np.array([[3, 4, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert np.array_equal(describe.norms(points), [5, 0, 2])
    assert np.array_equal(describe.zero_share(points), [0.5, 1, 0])


@pytest.mark.parametrize("shape", [(60, 12), (12, 60)])
def test_singular_values_are_those_of_the_centered_array(random, shape):
    points = random.normal(size=shape).astype(np.float32) + 3
    expected = np.linalg.svd(points - points.mean(axis=0, dtype=np.float64), compute_uv=False)
    found = describe.singular_values(points)
    assert len(found) == min(shape)
    # an eigenvalue is accurate to rounding of the largest one, its root to the square root of that
    assert np.allclose(found, expected, atol=1e-6 * expected[0])


def test_participation_ratio_of_equal_directions_and_of_a_line(random):
    directions, _ = np.linalg.qr(random.normal(size=(40, 7)).astype(np.float32))
    equal = np.concatenate([directions.T, -directions.T])  # the same variance in seven directions
    assert describe.participation_ratio(describe.singular_values(equal)) == pytest.approx(7, rel=1e-5)
    line = random.normal(size=(50, 1)) * random.normal(size=(1, 9))
    with pytest.warns(UserWarning, match="converted"):
        assert describe.participation_ratio(describe.singular_values(line)) == pytest.approx(1, abs=1e-5)
    assert np.isnan(describe.participation_ratio(np.zeros(3)))


@pytest.mark.parametrize("metric, witness", [("l2", "euclidean"), ("cosine", "cosine")])
def test_pair_distances_are_distances_of_two_different_points(random, metric, witness):
    points = random.normal(size=(12, 5)).astype(np.float32)
    allowed = pdist(points.astype(np.float64), witness)
    found = describe.pair_distances(points, 3000, seed=1, metric=metric)
    assert np.abs(found[:, None] - allowed).min(axis=1).max() < 1e-12
    # every pair equally likely: the mean of 3,000 draws lies within five standard errors of the mean over all pairs
    assert abs(found.mean() - allowed.mean()) < 5 * allowed.std() / np.sqrt(3000)
    assert np.array_equal(found, describe.pair_distances(points, 3000, seed=1, metric=metric))


def test_relative_contrast_falls_with_dimension(random):
    contrast = []
    for dimension in (2, 8, 64):
        points = random.normal(size=(400, dimension)).astype(np.float32)
        nearest = exact_neighbors(points, k=1).distances[:, 0]
        contrast.append(describe.relative_contrast(describe.pair_distances(points, 2000), nearest))
    assert contrast[0] > contrast[1] > contrast[2] > 1


def test_k_occurrence_counts_each_place_once_and_no_pad():
    nb = Neighbors([[1, 2, 3], [2, 3, -1], [3, -1, -1]], [[1, 2, 3], [1, 2, np.inf], [1, np.inf, np.inf]])
    assert np.array_equal(describe.k_occurrence(nb, 5), [0, 1, 2, 3, 0])
    assert np.array_equal(describe.k_occurrence(nb, 5, k=1), [0, 1, 1, 1, 0])
    with pytest.raises(InputError, match="the base has 3 points"):
        describe.k_occurrence(nb, 3)


def test_hubness_is_the_skewness(random):
    counts = random.poisson(4, 500)
    assert describe.hubness(counts) == pytest.approx(stats.skew(counts))
    # one point on every list of n others, the rest on none: skewness of a rare event of share 1/n
    star = np.r_[99, np.zeros(99, int)]
    assert describe.hubness(star) == pytest.approx((1 - 2 / 100) / np.sqrt(1 / 100 * 99 / 100))
    assert np.isnan(describe.hubness(np.full(5, 3)))


def test_duplicates_are_counted(random):
    points = random.normal(size=(50, 6)).astype(np.float32)
    points[10], points[20], points[30] = points[0], points[0], points[5]
    assert describe.exact_duplicates(points) == 3
    points[40] = points[7] * np.float32(1 + 1e-6)
    assert describe.exact_duplicates(points) == 3
    nearest = exact_neighbors(points, k=1).distances[:, 0]
    assert describe.near_duplicates(nearest) == 7  # the five equal ones in two groups, and the shifted pair


@pytest.mark.parametrize("dimension", [2, 8])
def test_two_nn_agrees_with_scikit_dimension_and_the_truth(random, dimension):
    inside = random.uniform(size=(1500, dimension))
    turn, _ = np.linalg.qr(random.normal(size=(20, 20)))
    points = (np.pad(inside, ((0, 0), (0, 20 - dimension))) @ turn).astype(np.float32)
    nb = exact_neighbors(points, k=2)
    found = describe.two_nn(nb)
    witness = skdim.id.TwoNN(discard_fraction=0.1, dist=True).fit(nb.distances).dimension_
    assert found == pytest.approx(witness, rel=1e-9)
    assert found == pytest.approx(dimension, rel=0.15)  # boundaries lower it, by about a tenth in dimension 8


def test_two_nn_leaves_zero_distances_out_and_says_when_nothing_is_left():
    nb = Neighbors(np.tile([0, 1], (4, 1)), [[0.0, 1.0], [0.0, 2.0], [0.0, 0.0], [1.0, 2.0]])
    assert np.isnan(describe.two_nn(nb))
    with pytest.raises(InputError, match="two neighbors"):
        describe.two_nn(nb.first(1))
    with pytest.raises(InputError, match="discard"):
        describe.two_nn(nb, discard=1.0)
