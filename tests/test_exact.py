"""Exact neighbors are those of a float64 brute force, whatever the data does to float32."""

import math

import numba
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from neighborhood_drift import exact, screening
from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import distances_to, exact_ids, exact_neighbors, scales


@pytest.fixture(autouse=True, scope="module", params=[0, exact.FEW], ids=["bounded", "few measured"])
def route(request):
    """Each test once with the bound for however few queries, and once as users have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "FEW", request.param)
        yield


def cloud(seed=0, n=300, d=20):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def near_a_far_mean():
    return (1e6 + cloud(1)).astype(np.float32)


def far_apart_clusters():
    return np.concatenate([cloud(2, 100), 1e5 + cloud(3, 100), np.float32(1e-6) * cloud(4, 100)])


def below_float32_expansion():
    """Points whose squared distances differ by less than float32 keeps of their squared norms."""
    points = np.tile(cloud(5, 1, 64) * 100, (200, 1))
    points[:, 0] += np.random.default_rng(6).permutation(200).astype(np.float32) * np.float32(1e-4)
    return points


def one_outlier():
    points = cloud(7)
    points[17] *= 1e6
    return points


def grid():
    """Whole numbers: distances are exact, and ties many."""
    return np.random.default_rng(8).integers(0, 3, (300, 4)).astype(np.float32)


def duplicates():
    points = cloud(9, 60)
    return np.concatenate([points, points[::-1], points[:40]])


def extremes():
    return np.concatenate([cloud(10, 60) * np.float32(1e37), cloud(11, 60) * np.float32(1e-40)])


ADVERSARIES = [
    cloud,
    near_a_far_mean,
    far_apart_clusters,
    below_float32_expansion,
    one_outlier,
    grid,
    duplicates,
    extremes,
]


def brute_force(base, k):
    """Leave-one-out from all differences in float64, ordered by (distance, id)."""
    wide = base.astype(np.float64)
    distances = np.sqrt(((wide[:, None, :] - wide[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(distances, ids, axis=1)


@pytest.mark.parametrize("make", ADVERSARIES)
@pytest.mark.parametrize("k", [1, 10, "most"])
def test_ids_and_distances_are_those_of_float64(make, k):
    base = make()
    k = len(base) - 1 if k == "most" else k
    nb = exact_neighbors(base, k=k)
    ids, distances = brute_force(base, k)
    np.testing.assert_array_equal(nb.ids, ids)
    # Both sum d terms in float64, in another order: relative error at most 2 d 2^-53.
    np.testing.assert_allclose(nb.distances, distances, rtol=2 * base.shape[1] * 2.0**-53)


def test_agrees_with_scikit_learn():
    base = cloud(12, 500, 64)
    distances, ids = NearestNeighbors(n_neighbors=30, algorithm="brute").fit(base.astype(np.float64)).kneighbors()
    nb = exact_neighbors(base, k=30)
    np.testing.assert_array_equal(nb.ids, ids)
    np.testing.assert_allclose(nb.distances, distances, rtol=1e-7)  # its own float64 expansion loses digits


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_agrees_with_loops_over_points(metric):
    base, queries = cloud(13, 80, 7), cloud(14, 15, 7)
    exclude = np.arange(15) * 3
    nb = exact_neighbors(base, queries, k=79, metric=metric, exclude=exclude)
    ids, distances = oracles.exact_neighbors(base, queries, 79, metric, exclude)
    np.testing.assert_array_equal(nb.ids, ids)
    np.testing.assert_allclose(nb.distances, distances, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 40),
    d=st.integers(1, 9),
    values=st.integers(1, 5),
    block=st.integers(1, 50),
    offset=st.sampled_from([0, 1, 2**20]),
    data=st.data(),
)
def test_ties_go_to_the_lower_id(seed, n, d, values, block, offset, data):
    base = (np.random.default_rng(seed).integers(0, values, (n, d)) + offset).astype(np.float32)
    k = data.draw(st.integers(1, n - 1))
    nb = exact_neighbors(base, k=k, block=block)
    ids, distances = brute_force(base, k)
    np.testing.assert_array_equal(nb.ids, ids)
    np.testing.assert_array_equal(nb.distances, distances)


def test_a_duplicate_is_a_neighbor_and_the_point_itself_is_not():
    nb = exact_neighbors(np.ones((5, 3), np.float32), k=4)
    assert nb.ids.tolist() == [[j for j in range(5) if j != i] for i in range(5)]
    assert not nb.distances.any()


def test_cosine_does_not_see_lengths():
    base = cloud(15)
    lengths = np.random.default_rng(0).choice([0.25, 1.0, 1024.0], (len(base), 1)).astype(np.float32)
    plain, scaled = (exact_neighbors(points, k=20, metric="cosine") for points in (base, base * lengths))
    np.testing.assert_array_equal(plain.ids, scaled.ids)
    np.testing.assert_array_equal(plain.distances, scaled.distances)  # powers of two: no rounding at all


def test_cosine_of_one_direction_is_zero():
    whole = np.rint(cloud(16, 1, 50)[0] * 2**10).astype(np.float32)
    base = np.stack([whole, 3 * whole, 7 * whole])
    nb = exact_neighbors(base, k=2, metric="cosine")
    assert not nb.distances.any()
    assert nb.ids.tolist() == [[1, 2], [0, 2], [0, 1]]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("d", [1, 2, 3, 50])
def test_points_of_one_direction_are_ties_whatever_else_there_is(d, k):
    """All of one direction, the mean is that direction, and float32 points around it hold rounding and nothing else."""
    for seed in range(20):
        generator = np.random.default_rng(seed)
        direction = generator.integers(1, 2**17, d)
        base = (np.array([1, 3, 5, 7, 9, 11, 13, 15])[:, None] * direction).astype(np.float32)
        expected = [[j for j in range(8) if j != i][:k] for i in range(8)]
        for others in (np.empty((0, d), np.float32), -np.abs(generator.normal(size=(30, d))).astype(np.float32)):
            every = np.concatenate([base, others])
            nb = exact_neighbors(every, base, k=k, metric="cosine", exclude=np.arange(8))
            assert nb.ids.tolist() == expected
            assert not nb.distances.any()


def test_cosine_keeps_digits_where_directions_almost_agree():
    base = np.array([[1.0, 0.0], [1.0, 1e-6]], np.float32)
    angle = float(np.float32(1e-6))
    assert exact_neighbors(base, k=1, metric="cosine").distances[0, 0] == pytest.approx(angle**2 / 2, rel=1e-6)


def test_neither_blocks_nor_threads_change_anything():
    base = cloud(17, 700, 33)
    whole = exact_neighbors(base, k=50)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        blocked = exact_neighbors(base, k=50, block=13)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(whole.ids, blocked.ids)
    np.testing.assert_array_equal(whole.distances, blocked.distances)


@pytest.mark.parametrize("make", ADVERSARIES)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_few_queries_are_answered_as_among_many(make, metric):
    base = make()
    base = base[base.any(axis=1)]  # which the cosine needs
    rows = np.arange(5) * 7
    many = exact_neighbors(base, k=12, metric=metric).rows(rows)
    few = exact_neighbors(base, base[rows], k=12, metric=metric, exclude=rows)
    np.testing.assert_array_equal(few.ids, many.ids)
    np.testing.assert_array_equal(few.distances, many.distances)
    np.testing.assert_array_equal(exact_ids(base, base[rows], k=12, metric=metric, exclude=rows), many.ids)


def test_thinned_leave_one_out_is_a_part_of_the_whole():
    base = cloud(18)
    rows = np.array([3, 4, 250])
    part, whole = exact_neighbors(base, base[rows], k=9, exclude=rows), exact_neighbors(base, k=9).rows(rows)
    np.testing.assert_array_equal(part.ids, whole.ids)
    np.testing.assert_array_equal(part.distances, whole.distances)


def test_queries_may_take_all_points():
    base = cloud(19, 30)
    nb = exact_neighbors(base, base, k=30)
    assert (nb.ids[:, 0] == np.arange(30)).all() and not nb.distances[:, 0].any()
    assert (np.sort(nb.ids, axis=1) == np.arange(30)).all()


def test_distances_are_those_of_the_search():
    base = cloud(20)
    for metric in ("l2", "cosine"):
        nb = exact_neighbors(base, k=40, metric=metric)
        ids = nb.ids.copy()
        ids[:, -1] = -1
        measured = distances_to(base, base, ids, metric=metric)
        np.testing.assert_array_equal(measured[:, :-1], nb.distances[:, :-1])
        assert np.isposinf(measured[:, -1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 5}, "from 1 to 4"),
        ({"k": 6, "queries": np.ones((1, 2))}, "from 1 to 5"),
        ({"k": 5, "queries": np.ones((1, 2)), "exclude": [0]}, "from 1 to 4"),
        ({"k": 1.0}, "whole number"),
        ({"k": 1, "metric": "l1"}, "metric is 'l1'"),
        ({"k": 1, "queries": np.ones((1, 3))}, "3 dimensions"),
        ({"k": 1, "queries": np.full((1, 2), np.nan)}, "NaN"),
        ({"k": 1, "queries": np.zeros((1, 2)), "metric": "cosine"}, "zeros"),
        ({"k": 1, "exclude": [0]}, "exclude needs queries"),
        ({"k": 1, "queries": np.ones((1, 2)), "exclude": [5]}, "ids 0 to 4"),
        ({"k": 1, "queries": np.ones((1, 2)), "exclude": [-1]}, "exclude holds ids outside the base"),
        ({"k": 1, "queries": np.ones((1, 2)), "exclude": [0, 1]}, "exclude has shape"),
        ({"k": 1, "block": 0}, "block is 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments, message):
    base = np.arange(10.0).reshape(5, 2) + 1
    with pytest.raises(InputError, match=message):
        exact_neighbors(base, **arguments)


def test_other_dtypes_are_converted():
    base = np.random.default_rng(21).integers(0, 100, (30, 4))
    expected = exact_neighbors(base.astype(np.float32), k=3)
    for dtype in (np.float16, np.float64, np.int64, np.uint8):
        np.testing.assert_array_equal(exact_neighbors(base.astype(dtype), k=3).ids, expected.ids)
    with pytest.warns(UserWarning, match="digits beyond float32 are lost"):
        exact_neighbors(base + 0.1, k=3)


def test_ids_beyond_the_base_are_refused():
    with pytest.raises(InputError, match="ids 0 to 4"):
        distances_to(np.ones((5, 2)), np.ones((1, 2)), [[5]])


@pytest.mark.parametrize("ulps", [1, 3, 1000])
@pytest.mark.parametrize("dimension", [2, 64, 1000])
def test_few_last_digits_around_one_direction_are_in_the_order_of_float64(dimension, ulps):
    """By the cosine, the spread about the mean is far below the rounding of a vector of length 1; the order is kept."""
    random = np.random.default_rng(ulps)
    direction = random.normal(size=dimension).astype(np.float32)
    moved = direction.view(np.int32) + random.integers(-ulps, ulps + 1, (300, dimension), dtype=np.int32)
    base = moved.view(np.float32) * np.float32(2) ** random.integers(-3, 4, (300, 1))
    base = base.astype(np.float32)
    every = np.tile(np.arange(300), (300, 1))
    distances = distances_to(base, base, every, metric="cosine")
    np.fill_diagonal(distances, np.inf)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :11]
    found = exact_neighbors(base, k=11, metric="cosine")
    assert np.array_equal(found.ids, expected) and np.array_equal(exact_ids(base, k=11, metric="cosine"), expected)
    assert np.array_equal(found.distances, np.take_along_axis(distances, expected, axis=1))


def test_vectors_divided_by_their_lengths_are_rounded_once_and_alike():
    """The product with the factor is rounded before the mean is taken off, and before two vectors are set apart."""
    random = np.random.default_rng(0)
    base = (1 + 1e-6 * random.normal(size=(50, 33))).astype(np.float32)
    factors = scales(base, "cosine")
    rounded = base * factors[:, None]
    centre, near, norms = rounded.mean(axis=0), np.empty((1, 50, 33), np.float32), np.empty(50)
    screening.shift(base, factors, centre, 0.25, near, norms)
    assert np.array_equal(near[0], ((rounded - centre) * 0.25).astype(np.float32))
    squares = np.array([[math.fsum((one - two) ** 2) for two in rounded] for one in rounded])
    measured = distances_to(base, base, np.tile(np.arange(50), (50, 1)), metric="cosine")
    assert measured == pytest.approx(squares / 2, rel=40 * 2.0**-52, abs=0)
