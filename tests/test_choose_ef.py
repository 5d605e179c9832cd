"""Choosing the ef of an index: samples, losses of real searches, the values tried, and what is refused beforehand."""

import numpy as np
import pytest

from neighborhood_drift import InputError, Neighbors, build_index, choose_ef, exact_neighbors, overlap, parse_target
from neighborhood_drift.calibration import (
    BarycenterShift,
    DistanceRatio,
    LidBias,
    MeanOverlap,
    ShareBelow,
    TieAwareRecall,
    calibration_sample,
    default_efs,
    measure,
)
from neighborhood_drift.calibration.choose import measure_all
from neighborhood_drift.metrics import drift

MEAN = MeanOverlap(0.9)
GEOMETRIC = {
    DistanceRatio(1.01): lambda table: table["mean_distance_ratio"] - 1,
    BarycenterShift(0.05): lambda table: table["barycenter_shift"],
    LidBias(0.05): lambda table: (table["lid"] / table["lid_exact"] - 1).abs(),
}


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(0).normal(size=(900, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def index(base):
    return build_index("faiss-hnsw", base, M=4, ef_construction=20)


@pytest.fixture(scope="module")
def sample(base):
    return calibration_sample(base, 20, size=400, seed=1)


@pytest.fixture(scope="module")
def one():
    """A point whose three true neighbors are all copies of it, two more copies, and three points far away."""
    sample = calibration_sample(np.r_[np.zeros((6, 2)), np.full((3, 2), 9.0)].astype(np.float32), 3, size=9)
    return sample.part(np.flatnonzero(sample.rows == 0))


@pytest.fixture(scope="module")
def copies():
    return np.repeat(np.random.default_rng(3).normal(size=(40, 6)), 20, axis=0).astype(np.float32)


def test_a_sample_is_drawn_without_replacement_and_leaves_each_point_out(base, sample):
    assert len(set(sample.rows)) == 400 and (np.diff(sample.rows) < 0).any()
    np.testing.assert_array_equal(sample.queries, base[sample.rows])
    np.testing.assert_array_equal(sample.exact.ids, exact_neighbors(base, k=20).ids[sample.rows])
    again = calibration_sample(base, 20, size=400, seed=1, exact=exact_neighbors(base, k=25))
    np.testing.assert_array_equal(again.exact.ids[:, :20], sample.exact.ids)
    assert set(calibration_sample(base, 20, size=400, seed=2).rows) != set(sample.rows)
    assert len(calibration_sample(base, 20, size=5000).rows) == 900


def test_each_point_is_drawn_equally_often():
    drawn = np.bincount(
        np.concatenate([calibration_sample(np.eye(10), 1, size=3, seed=seed).rows for seed in range(600)])
    )
    assert drawn.shape == (10,) and abs(drawn - 180).max() < 5 * np.sqrt(600 * 0.3 * 0.7)


def test_queries_that_are_no_points_of_the_base(base):
    queries = np.random.default_rng(2).normal(size=(50, 12)).astype(np.float32)
    sample = calibration_sample(base, 5, queries=queries, size=30)
    assert sample.rows is None and len(sample.queries) == 30
    np.testing.assert_array_equal(sample.exact.ids, exact_neighbors(base, sample.queries, k=5).ids)
    losses = measure(build_index("faiss-flat", base), sample, 5, [1], MeanOverlap(0.9))
    assert (losses == 0).all()


def test_losses_of_overlap_and_of_a_share_are_their_definitions(base, index, sample):
    found = index.search(sample.queries, 10, ef=12, exclude_self=sample.rows)
    shares = overlap(sample.exact.first(10), found)
    assert shares.min() < 0.8 < shares.max()
    (lost, below), costs = measure_all(index, sample, 10, [12], [MeanOverlap(0.9), ShareBelow(0.8, 0.1)])
    np.testing.assert_allclose(lost[0], 1 - shares)
    np.testing.assert_array_equal(below[0], shares < 0.8)
    assert costs["effective_ef"].tolist() == [12] and costs["distance_computations"][0] > 0


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("target", list(GEOMETRIC), ids=lambda target: type(target).__name__)
def test_geometric_losses_are_the_columns_of_the_drift_table(base, metric, target):
    index = build_index("faiss-hnsw", base, M=4, ef_construction=20, metric=metric)
    sample = calibration_sample(base, 15, size=100, metric=metric)
    found = index.search(sample.queries, 10, ef=10, exclude_self=sample.rows)
    table = drift(base, sample.exact, {10: found}, rows=sample.rows, metric=metric)
    wanted = np.clip(GEOMETRIC[target](table), 0, 1)
    losses = measure(index, sample, 10, [10], target)[0]
    assert losses.max() > 0
    np.testing.assert_allclose(losses, np.where(found.found < 10, 1, wanted), atol=1e-12)


@pytest.mark.parametrize(
    "target", [MEAN, TieAwareRecall(0.9), ShareBelow(0.9, 0.05), *GEOMETRIC], ids=lambda t: type(t).__name__
)
def test_a_missing_slot_is_the_highest_loss_and_an_exact_list_is_none(base, target):
    sample = calibration_sample(base, 4, size=2)
    exact = sample.exact
    ids, distances = exact.ids.copy(), exact.distances.copy()
    ids[0, 1:], distances[0, 1:] = -1, np.inf
    losses = target.per_query(sample, exact, Neighbors(ids, distances))
    assert losses[1] == 0 and losses[0] == (0.75 if isinstance(target, (MeanOverlap, TieAwareRecall)) else 1)


@pytest.mark.parametrize("target", list(GEOMETRIC), ids=lambda target: type(target).__name__)
def test_what_is_not_defined_is_the_highest_loss_unless_the_list_is_exact(target, one):
    far = Neighbors([[6, 7, 8]], np.full((1, 3), 9 * np.sqrt(2)))
    assert target.per_query(one, one.exact, far)[0] == 1
    assert target.per_query(one, one.exact, one.exact)[0] == 0


def test_of_neighbors_all_at_distance_0_any_are_as_good(one):
    other = Neighbors([[3, 4, 5]], np.zeros((1, 3)))
    assert DistanceRatio(1.01).per_query(one, one.exact, other)[0] == 0
    assert BarycenterShift(0.05).per_query(one, one.exact, other)[0] == 0
    assert MeanOverlap(0.9).per_query(one, one.exact, other)[0] > 0


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_of_copies_any_is_as_near_and_overlap_asks_for_the_very_ones(copies, one, metric):
    index = build_index("faiss-hnsw", copies, metric=metric)
    sample = calibration_sample(copies, 11, size=400, metric=metric)
    assert sample.tied(10).all() and not sample.tied(11).any()  # the 12th is not known
    (lost, missed), _ = measure_all(index, sample, 10, [index.effort_range()[1]], [MEAN, TieAwareRecall(0.99)])
    assert lost.mean() > 0.1 and (missed == 0).all()
    other = Neighbors([[3, 4, 5]], np.zeros((1, 3)))
    assert TieAwareRecall(0.99).per_query(one, one.exact, other)[0] == 0 < MEAN.per_query(one, one.exact, other)[0]
    assert choose_ef(index, "recall=0.99", 10, sample=sample).estimate == 1
    assert choose_ef(index, "overlap=0.99", 10, sample=sample).ef is None


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_tie_aware_recall_is_that_of_the_drift_table(base, metric):
    index = build_index("faiss-hnsw", base, M=4, ef_construction=20, metric=metric)
    sample = calibration_sample(base, 15, size=100, metric=metric)
    found = index.search(sample.queries, 10, ef=10, exclude_self=sample.rows)
    table = drift(base, sample.exact, {10: found}, rows=sample.rows, metric=metric)
    losses = measure(index, sample, 10, [10], TieAwareRecall(0.9))[0]
    assert losses.max() > 0
    np.testing.assert_allclose(losses, 1 - table["tie_aware_recall"])
    assert not sample.tied(10).any()


def test_the_ef_chosen_reaches_the_target_on_the_whole_base(base, index, sample):
    choice = choose_ef(index, MeanOverlap(0.9), 10, sample=sample)
    found = index.search(base, 10, ef=choice.ef, exclude_self=True)
    assert overlap(exact_neighbors(base, k=10), found).mean() >= 0.9
    assert choice.bound >= 0.9 and choice.interval[0] <= choice.estimate <= choice.interval[1]
    table = choice.table
    assert table["ef"].tolist() == default_efs(index, 10)
    assert table.loc[table["passes"], "ef"].min() == choice.ef
    assert (table["distance_computations"].diff().dropna() >= 0).all() and (table["microseconds"] > 0).all()
    assert set(choice.seconds) == {"exact", "searches"} and "at k = 10" in choice.sentence


def test_no_ef_reaches_what_the_index_cannot_give(base, sample):
    choice = choose_ef(build_index("faiss-sq8", base), MeanOverlap(0.99), 20, sample=sample)
    assert choice.ef is None and len(choice.table) == 1 and "No ef from 1 to 1" in choice.sentence


def test_an_engine_without_a_knob_is_tried_once_and_exact_search_passes(base, sample):
    choice = choose_ef(build_index("faiss-flat", base), MeanOverlap(0.99), 20, sample=sample)
    assert choice.ef == 1 and choice.estimate == 1 and choice.table["effective_ef"].isna().all()


@pytest.mark.parametrize("name", ["faiss-hnsw", "faiss-hnsw-unbounded", "hnswlib", "faiss-ivf", "numpy"])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_default_efs_ascend_within_the_engines_range_and_depend_on_k_alone(name, k, base):
    index = build_index(name, base)
    low, high = index.effort_range()
    efs = default_efs(index, k)
    assert efs == sorted(set(efs)) and low <= efs[0] and efs[-1] <= high and len(efs) <= 45
    if name in ("hnswlib", "faiss-hnsw-unbounded"):
        assert efs[0] == k + 1
    if name == "faiss-ivf":
        assert efs[-1] == high
    if index.effort:
        ratios = np.array(efs[1:]) / np.array(efs[:-1])
        assert (ratios[np.array(efs[1:]) > 20] < 2.01).all() and (k == 300 or efs[-1] >= min(high, 16 * k))


def test_default_efs_do_not_go_to_n(monkeypatch, base):
    index = build_index("hnswlib", base)
    monkeypatch.setattr(index, "size", 1_000_000)
    assert default_efs(index, 100)[-1] == 1600 and default_efs(index, 10)[-1] == 1024


def test_too_small_a_sample_is_refused_before_any_search(monkeypatch, index, sample):
    monkeypatch.setattr(index, "search", None)
    with pytest.raises(
        InputError, match=r"400 queries cannot certify mean overlap of at least 0.995 .* at least \d+ are"
    ):
        choose_ef(index, MeanOverlap(0.995), 10, sample=sample)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"k": 21}, "k is 21; it must be a whole number from 1 to 20"),
        ({"target": "overlap=2"}, "overlap is 2.0; it must be above 0 and below 1"),
        ({"target": 0.9}, "the target is 0.9; known are overlap=0.99"),
        ({"sample": None}, "sample must be what calibration_sample returns"),
        ({"efs": []}, "efs is empty"),
        ({"efs": [0]}, "ef is 0"),
        ({"bound": "sample-mean"}, "bound is 'sample-mean'"),
        ({"correction": "none"}, "correction is 'none'"),
        ({"confidence": 95}, "confidence is 95"),
    ],
)
def test_wrong_input_is_one_sentence(index, sample, change, sentence):
    given = {"index": index, "target": MeanOverlap(0.9), "k": 10, "sample": sample} | change
    with pytest.raises(InputError) as caught:
        choose_ef(**given)
    assert sentence in str(caught.value)


def test_an_index_over_other_points_is_refused(base, sample):
    with pytest.raises(InputError, match="built over other points"):
        choose_ef(build_index("hnswlib", base[::-1]), MeanOverlap(0.9), 10, sample=sample)


def test_a_target_may_be_text(index, sample):
    choices = [choose_ef(index, target, 10, sample=sample) for target in ("overlap=0.9", MeanOverlap(0.9))]
    assert choices[0].ef == choices[1].ef and choices[0].target == choices[1].target == MeanOverlap(0.9)


def test_targets_are_read_from_text():
    assert parse_target("overlap=0.95") == MeanOverlap(0.95)
    assert parse_target("recall=0.95") == TieAwareRecall(0.95)
    assert parse_target("below-0.8=0.1") == ShareBelow(0.8, 0.1)
    assert parse_target("distance-ratio=1.02") == DistanceRatio(1.02)
    assert parse_target("barycenter=0.1") == BarycenterShift(0.1)
    assert parse_target("lid-bias=0.1") == LidBias(0.1)
    assert DistanceRatio(1.02).goal == pytest.approx(1.02) and MeanOverlap(0.9).goal == pytest.approx(0.9)
    assert MeanOverlap(0.9).ideal == 1 and DistanceRatio(1.02).ideal == 1 and LidBias(0.1).ideal == 0


@pytest.mark.parametrize("text", ["overlap", "overlap=", "overlap=high", "recal=0.9", "below=0.1", "below-x=0.1", ""])
def test_other_text_is_no_target(text):
    with pytest.raises(InputError, match=r"known are overlap=0\.99"):
        parse_target(text)


@pytest.mark.parametrize(
    "text", ["overlap=0", "overlap=1", "recall=1", "below-0.9=1", "below-1.1=0.1", "distance-ratio=1", "lid-bias=nan"]
)
def test_numbers_outside_a_target_are_refused(text):
    with pytest.raises(InputError, match=r"it must be above 0 and (below|at most) 1"):
        parse_target(text)
