"""Every metric against its naive definition, on known answers, and under what must not change it."""

import numpy as np
import oracles
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neighborhood_drift import Neighbors
from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import distances_to, exact_neighbors
from neighborhood_drift.lid import lid
from neighborhood_drift.metrics import (
    barycenter_shift,
    drift,
    kth_distance,
    mean_distance,
    overlap,
    tie_aware_recall,
)

COLUMNS = [
    "k",
    "query",
    "overlap",
    "tie_aware_recall",
    "mean_distance_exact",
    "mean_distance",
    "mean_distance_ratio",
    "kth_distance_exact",
    "kth_distance",
    "kth_distance_ratio",
    "barycenter_shift_raw",
    "barycenter_shift",
    "lid_exact",
    "lid",
    "lid_difference",
    "missing_share",
]


def points(seed=0, n=40, d=5):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def damaged(base, exact, seed, *, repeats=False):
    """What a careless index might return: some true neighbors, some others, some missing, distances a little off."""
    generator = np.random.default_rng(seed)
    ids = exact.ids.copy()
    for i, row in enumerate(ids):
        others = np.setdiff1d(np.arange(len(base)), np.r_[row, i])
        count = min(len(others), int(generator.integers(0, len(row) + 1)))
        row[generator.permutation(len(row))[:count]] = generator.permutation(others)[:count]
        row[generator.random(len(row)) < generator.choice([0.0, 0.3, 1.0], p=[0.5, 0.4, 0.1])] = -1
        if repeats and row[0] >= 0:
            row[-1] = row[0]
    distances = distances_to(base, base, ids) * (1 + 1e-7)
    return Neighbors.sorted(ids, distances)


grids = st.builds(
    lambda seed, n, d, values: np.random.default_rng(seed).integers(0, values, (n, d)).astype(np.float32),
    st.integers(0, 10**6),
    st.integers(4, 30),
    st.integers(1, 4),
    st.integers(2, 1000),
)


@settings(max_examples=30)  # each example builds several tables
@given(base=grids, seed=st.integers(0, 10**6), data=st.data())
def test_the_table_is_that_of_the_naive_loops(base, seed, data):
    longest = len(base) - 1
    ks = data.draw(st.lists(st.integers(1, longest), min_size=1, max_size=3, unique=True).map(sorted))
    exact = exact_neighbors(base, k=longest)
    returned = {k: damaged(base, exact.first(k), seed + k) for k in ks}
    table = drift(base, exact, returned)
    assert list(table.columns) == COLUMNS
    naive = pd.DataFrame(oracles.drift(base, exact, returned, range(len(base))))[COLUMNS]
    pd.testing.assert_frame_equal(table, naive, check_dtype=False, rtol=1e-9, atol=1e-12)


@given(base=grids, seed=st.integers(0, 10**6), repeats=st.booleans())
def test_metrics_of_lists_with_missing_and_repeated_ids(base, seed, repeats):
    exact = exact_neighbors(base, k=min(7, len(base) - 1))
    # Holes in the reference as well: a base may hold fewer points than asked for.
    reference, approx = damaged(base, exact, seed + 1), damaged(base, exact, seed, repeats=repeats)
    lists = list(zip(reference.ids, reference.distances, approx.ids, approx.distances, strict=True))
    expected = {
        overlap: [oracles.overlap(true, ids.tolist()) for true, _, ids, _ in lists],
        tie_aware_recall: [oracles.tie_aware_recall(r, ids, s) for _, r, ids, s in lists],
    }
    for metric, values in expected.items():
        np.testing.assert_array_equal(metric(reference, approx), values)
    np.testing.assert_allclose(mean_distance(approx), [oracles.mean_distance(s) for *_, s in lists], rtol=1e-12)
    np.testing.assert_array_equal(kth_distance(approx), [oracles.kth_distance(s) for *_, s in lists])
    shift = barycenter_shift(base, reference, approx, normalize=False)
    naive = [oracles.barycenter_shift(base, true, ids) for true, _, ids, _ in lists]
    np.testing.assert_allclose(shift, naive, rtol=1e-9, atol=1e-9)


def test_identical_lists():
    base = points()
    exact = exact_neighbors(base, k=10)
    table = drift(base, exact, {10: exact})
    for column in ("overlap", "tie_aware_recall", "mean_distance_ratio", "kth_distance_ratio"):
        assert (table[column] == 1).all()
    for column in ("barycenter_shift_raw", "barycenter_shift", "missing_share"):
        assert (table[column] == 0).all()
    assert table["lid_difference"].abs().max() < 1e-10


def test_disjoint_lists():
    base = points()
    everything = exact_neighbors(base, k=20)
    far = Neighbors(everything.ids[:, 10:], everything.distances[:, 10:])
    table = drift(base, everything, {10: far})
    assert (table["overlap"] == 0).all() and (table["tie_aware_recall"] == 0).all()
    assert (table["mean_distance_ratio"] > 1).all() and (table["barycenter_shift_raw"] > 0).all()


def test_one_swapped_point():
    base = np.array([[0.0], [1.0], [2.0], [3.0], [5.0]])
    exact = exact_neighbors(base, base[:1], k=3, exclude=[0])
    returned = Neighbors([[1, 2, 4]], [[1.0, 2.0, 5.0]])
    row = drift(base, exact, {3: returned}, rows=[0]).iloc[0]
    assert row["overlap"] == row["tie_aware_recall"] == pytest.approx(2 / 3)
    assert row["mean_distance_exact"] == 2 and row["mean_distance"] == pytest.approx(8 / 3)
    assert row["kth_distance_ratio"] == pytest.approx(5 / 3)
    assert row["barycenter_shift_raw"] == pytest.approx(2 / 3) and row["barycenter_shift"] == pytest.approx(1 / 3)


def test_another_point_at_the_same_distance_counts_only_where_ties_do():
    base = np.array([[0.0], [1.0], [-1.0]])
    exact = exact_neighbors(base, base[:1], k=1, exclude=[0])
    row = drift(base, exact, {1: Neighbors([[2]], [[1.0]])}, rows=[0]).iloc[0]
    assert (row["overlap"], row["tie_aware_recall"]) == (0, 1)


def test_duplicates_leave_ratios_undefined_and_nothing_else():
    base = np.ones((6, 3), np.float32)
    exact = exact_neighbors(base, k=3)
    row = drift(base, exact, {3: exact}).iloc[0]
    assert row["overlap"] == row["tie_aware_recall"] == 1 and row["mean_distance"] == 0
    undefined = ["mean_distance_ratio", "kth_distance_ratio", "barycenter_shift", "lid_exact", "lid", "lid_difference"]
    assert row[undefined].isna().all()


def test_nothing_returned_is_missing_and_not_a_distance():
    base = points()
    exact = exact_neighbors(base, k=4)
    empty = Neighbors(np.full((40, 4), -1), np.full((40, 4), np.inf))
    table = drift(base, exact, {4: empty})
    assert (table["missing_share"] == 1).all() and (table["overlap"] == 0).all()
    assert table[["mean_distance", "kth_distance", "barycenter_shift_raw", "lid"]].isna().all(axis=None)
    assert np.isfinite(table["mean_distance_exact"]).all()


def test_a_pad_never_reaches_a_mean():
    base = points()
    exact = exact_neighbors(base, k=4)
    ids, distances = exact.ids.copy(), exact.distances.copy()
    ids[:, 3], distances[:, 3] = -1, np.inf
    table = drift(base, exact, {4: Neighbors(ids, distances)})
    assert (table["missing_share"] == 0.25).all()
    np.testing.assert_allclose(table["mean_distance"], exact.distances[:, :3].mean(axis=1), rtol=1e-12)
    true, returned = base[exact.ids].mean(axis=1, dtype=float), base[exact.ids[:, :3]].mean(axis=1, dtype=float)
    np.testing.assert_allclose(table["barycenter_shift_raw"], np.linalg.norm(true - returned, axis=1), rtol=1e-9)


@pytest.mark.parametrize("k", [1, 39])
def test_the_shortest_and_the_longest_list(k):
    base = points()
    exact = exact_neighbors(base, k=39)
    table = drift(base, exact, {k: exact.first(k)})
    assert (table["overlap"] == 1).all() and (table["barycenter_shift_raw"] == 0).all()
    assert table["lid"].isna().all() == (k == 1)


def test_rotation_changes_nothing():
    base = np.random.default_rng(3).integers(-9, 9, (60, 4)).astype(np.float32)
    rotation = np.array([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]], np.float32)
    exact = exact_neighbors(base, k=20)
    returned = {20: damaged(base, exact, 1)}
    # A turn by right angles keeps whole numbers whole, so nothing is rounded.
    pd.testing.assert_frame_equal(
        drift(base, exact, returned),
        drift(base @ rotation, exact_neighbors(base @ rotation, k=20), returned),
        rtol=1e-12,
    )


def test_any_rotation_changes_nothing_beyond_rounding():
    base = points(11, 60, 8)
    rotation, _ = np.linalg.qr(np.random.default_rng(12).normal(size=(8, 8)))
    turned = (base.astype(np.float64) @ rotation).astype(np.float32)
    exact = exact_neighbors(base, k=20)
    returned = {20: damaged(base, exact, 1)}
    # The turned points are rounded to float32, by up to 2^-24 of each coordinate. These distances are of the size of
    # the coordinates, so values built of them move by some 2^-24; LID, from differences of logarithms, moves most, by
    # 3.3e-7 as measured. The tolerance is 16 times 2^-24, three times that.
    pd.testing.assert_frame_equal(
        drift(base, exact, returned),
        drift(turned, exact_neighbors(turned, k=20), returned),
        rtol=16 * 2.0**-24,
        atol=16 * 2.0**-24,
    )


def test_renaming_the_points_changes_nothing_but_their_names():
    base = points(4, 60)
    order = np.random.default_rng(5).permutation(60)
    name = np.argsort(order)
    exact = exact_neighbors(base, k=20)
    returned = damaged(base, exact, 2)
    renamed = Neighbors.sorted(np.where(returned.ids >= 0, name[returned.ids], -1), returned.distances).rows(order)
    before = drift(base, exact, {20: returned}).set_index("query").loc[order].reset_index(drop=True)
    after = drift(base[order], exact_neighbors(base[order], k=20), {20: renamed}).drop(columns="query")
    pd.testing.assert_frame_equal(before, after, rtol=1e-9)


def test_distances_of_an_engine_are_not_believed():
    base = points(6)
    exact = exact_neighbors(base, k=5)
    squared = Neighbors(exact.ids, exact.distances**2)
    pd.testing.assert_frame_equal(drift(base, exact, {5: squared}), drift(base, exact, {5: exact}))


def test_some_rows_are_a_part_of_the_whole_table():
    base = points(7)
    exact = exact_neighbors(base, k=6)
    returned, rows = damaged(base, exact, 3), np.array([2, 5, 30])
    whole = drift(base, exact, {6: returned})
    part = drift(base, exact.rows(rows), {6: returned.rows(rows)}, rows=rows)
    pd.testing.assert_frame_equal(part, whole[whole["query"].isin(rows)].reset_index(drop=True))


def test_queries_from_elsewhere():
    base, queries = points(8), points(9, 3)
    exact = exact_neighbors(base, queries, k=6)
    other = exact_neighbors(base, queries, k=12).ids[:, 6:]
    returned = Neighbors(other, distances_to(base, queries, other))
    table = drift(base, exact, {6: returned}, queries=queries)
    assert table["query"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(table["mean_distance"], distances_to(base, queries, other).mean(axis=1), rtol=1e-12)


def test_cosine_barycenters_are_those_of_unit_vectors():
    base = points(10)
    unit = (base / np.linalg.norm(base, axis=1, keepdims=True)).astype(np.float64)
    exact = exact_neighbors(base, k=6, metric="cosine")
    returned = damaged(base, exact, 4)
    table = drift(base, exact, {6: returned}, metric="cosine")
    naive = [oracles.barycenter_shift(unit, a, b) for a, b in zip(exact.ids, returned.ids, strict=True)]
    np.testing.assert_allclose(table["barycenter_shift_raw"], naive, rtol=1e-5, atol=1e-7)
    lengths = np.sqrt(2 * exact.distances).mean(axis=1)
    np.testing.assert_allclose(table["barycenter_shift"], table["barycenter_shift_raw"] / lengths, rtol=1e-12)
    # The engine's order of the list may differ from the table's in the last digits, and with it the order of the sum.
    np.testing.assert_allclose(
        barycenter_shift(base, exact, returned, metric="cosine"), table["barycenter_shift"], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"approx_by_k": {5: None}}, "k is 5"),
        ({"approx_by_k": {2: Neighbors([[1]], [[1.0]])}}, "needed is"),
        ({"rows": [0, 1]}, "2 queries"),
        ({"rows": [40] * 40}, "ids 0 to 39"),
        ({"queries": np.ones((40, 5)), "rows": [0]}, "not both"),
        ({"queries": np.zeros((40, 5)), "metric": "cosine"}, "queries holds 40 vectors of zeros"),
        ({"approx_by_k": {}}, "approx_by_k is empty"),
        ({"approx_by_k": {"a": None, 1: None}}, "k is 'a'"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(changes, message):
    base = points()
    exact = exact_neighbors(base, k=4)
    with pytest.raises(InputError, match=message):
        drift(base, exact, **{"approx_by_k": {4: exact}, **changes})


def test_lists_of_two_shapes_are_refused():
    a, b = Neighbors([[1]], [[1.0]]), Neighbors([[1, 2]], [[1.0, 2.0]])
    for metric in (overlap, tie_aware_recall):
        with pytest.raises(InputError, match="both must be one"):
            metric(a, b)


def test_every_list_is_checked_before_any_is_measured(monkeypatch):
    base = points()
    exact = exact_neighbors(base, k=4)
    monkeypatch.setattr("neighborhood_drift.metrics._measured", None)
    with pytest.raises(InputError, match="k is 9"):
        drift(base, exact, {4: exact, 9: None})


@pytest.mark.parametrize("rtol", [-1e-9, np.nan, np.inf])
def test_a_tolerance_that_is_none_is_refused(rtol):
    nb = Neighbors([[1]], [[1.0]])
    with pytest.raises(InputError, match="rtol is"):
        tie_aware_recall(nb, nb, rtol)
    assert tie_aware_recall(nb, nb, 0) == 1


def test_lists_of_no_neighbors_have_no_values():
    empty = Neighbors(np.empty((2, 0), int), np.empty((2, 0)))
    for values in (kth_distance(empty), mean_distance(empty), lid(empty)):
        assert values.shape == (2,) and np.isnan(values).all()
    for metric in (overlap, tie_aware_recall):
        assert np.isnan(metric(empty, empty)).all()


@pytest.mark.parametrize("make", [Neighbors, Neighbors.sorted])
@pytest.mark.parametrize("ids", [[[1.5]], [[1.0]], [[True]]])
def test_ids_that_are_no_row_numbers_are_refused(make, ids):
    with pytest.raises(InputError, match="they must be integers"):
        make(ids, [[1.0]])
