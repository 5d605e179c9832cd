"""Tasks on neighbor lists agree with their plain definitions, ignore missing slots, and are compared honestly."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor

from neighborhood_drift import consequences
from neighborhood_drift.checks import InputError
from neighborhood_drift.consequences import EMPTIED, RANDOM, TASKS, cases, compare, maps, structure, voting
from neighborhood_drift.datasets import Sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import consequences as draw
from neighborhood_drift.metrics import overlap
from neighborhood_drift.neighbors import MISSING, Neighbors

matplotlib.use("Agg")
K = 8


@pytest.fixture(scope="module")
def blobs():
    """Three round clusters, well apart, of 60 points each."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 60)
    points = generator.normal(size=(180, 6)) + 12 * np.eye(6)[labels]
    return points.astype(np.float32), labels


@pytest.fixture(scope="module")
def case(blobs):
    return consequences.samples(*blobs, size=0, k=K, count=1)[0]


@pytest.fixture(scope="module")
def scores(blobs):
    both = consequences.samples(*blobs, size=60, k=K, count=3) + consequences.planted(*blobs, size=0, k=K, count=3)
    return consequences.measure(both, [0.5, 0.8, 0.95], ["faiss-hnsw"], params={"M": 4}, progress=False)


def test_samples_are_disjoint_while_the_base_lasts(blobs):
    points, labels = blobs
    drawn = consequences.samples(points, labels, size=60, k=K, count=3)
    rows = np.concatenate([case.base for case in drawn])
    assert len(np.unique(rows, axis=0)) == len(points)
    for case in drawn:
        assert case.exact.k == 2 * K and case.truth.k == K
        exact = exact_neighbors(case.base, k=K)
        np.testing.assert_array_equal(case.truth.ids, exact.ids)


def test_short_samples_have_short_lists():
    tiny = consequences.samples(np.random.default_rng(0).random((9, 2), dtype=np.float32), None, size=0, k=30, count=1)[
        0
    ]
    assert tiny.k == 4 and tiny.exact.k == 8
    with pytest.raises(InputError, match="at least four"):
        consequences.samples(np.eye(3), None, size=0, k=2, count=1)


def test_there_are_no_more_samples_than_the_base_holds(blobs):
    points, labels = blobs
    for size, count in ((0, 1), (180, 1), (100, 1), (60, 3)):
        assert len(consequences.samples(points, labels, size=size, k=K, count=5)) == count


def test_planted_samples_take_each_class_once(blobs):
    generator = np.random.default_rng(3)
    labels = np.repeat([-1, 4, 9, 11], [120, 110, 130, 120])
    points = generator.normal(size=(480, 4)).astype(np.float32)
    drawn = consequences.planted(points, labels, size=100, k=K, count=9)
    usual = [set(map(bytes, case.base[~case.outliers])) for case in drawn]
    assert len(drawn) == 4 and sum(map(len, usual)) == len(set.union(*usual)) == 400
    assert len(consequences.planted(points, np.repeat(range(8), 60), size=100, k=K, count=9)) == 4
    assert all(not set(case.labels[case.outliers]) & set(case.labels[~case.outliers]) for case in drawn)


def test_planted_points_are_two_percent_of_another_class(blobs):
    points, labels = blobs
    for case in consequences.planted(points, labels, size=0, k=K, count=3):
        assert case.outliers.sum() == round(0.02 * (~case.outliers).sum())
        assert not set(case.labels[case.outliers]) & set(case.labels[~case.outliers])
    assert consequences.planted(points, None, size=0, k=K, count=3) == []
    assert consequences.planted(points, np.zeros(180, dtype=int), size=0, k=K, count=3) == []


def test_random_lists_have_the_recall_asked_for(case):
    for replace in (True, False):
        (_, half), (_, full) = cases.at_random(case, [0.5, 1.0], replace=replace)
        # 180 lists of 8: four standard deviations of a mean of 1,440 draws with chance 1/2
        assert overlap(case.truth, half).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1440))
        np.testing.assert_array_equal(full.ids, case.truth.ids)
        assert (half.found < K).any() != replace


def test_index_lists_climb_to_full_recall_with_true_distances(case):
    index = consequences.build(case, ["faiss-hnsw"], params={"M": 4, "nothing": 1})[0]["faiss-hnsw"]
    lists = list(cases.from_index(case, index))
    reached = [overlap(case.truth, nb).mean() for _, nb in lists]
    assert len({step for step, _ in lists}) == len(lists) and reached[-1] > 0.98 and reached[0] < reached[-1]
    lowest = cases.lowest_recall(case, "faiss-hnsw", params={"M": 4})
    assert lowest <= reached[0] < lowest + 0.01
    assert cases.lowest_recall(case, "hnswlib", params={"M": 4}) > reached[0]
    assert np.isnan(cases.lowest_recall(case, "unheard-of"))
    for _, nb in lists:
        rows, columns = np.nonzero(nb.ids != MISSING)
        apart = np.linalg.norm(case.base[rows].astype(float) - case.base[nb.ids[rows, columns]], axis=1)
        np.testing.assert_allclose(nb.distances[rows, columns], apart, rtol=1e-9)
        assert not (nb.ids == np.arange(len(nb.ids))[:, None]).any()


def test_engines_carry_parameters_and_absent_ones_a_reason(case):
    names = ["faiss-hnsw@M=5", "faiss-hnsw", "unheard-of"]
    made, absent = consequences.build(case, names, params={"M": 4, "bits": 3})
    assert [index.params["M"] for index in made.values()] == [5, 4] and list(made) == names[:2]
    assert absent["engine"].tolist() == ["unheard-of"] and "unheard-of" in absent["reason"].item()
    table = consequences.measure([case], [0.9], names, tasks={"density": TASKS["density"]}, progress=False)
    assert set(table["lists"]) == {RANDOM, EMPTIED, *names[:2]}
    shown = consequences.needed_table(consequences.needed(consequences.summarize(table)))
    assert "FAISS, default, M=5" in shown
    assert "needed_density_default_M5" in consequences.fact_values(
        consequences.needed(consequences.summarize(table)),
        consequences.noise(table, consequences.moved([case])),
        names[:1],
    )
    draw.deviations(consequences.summarize(table))


def test_points_taken_away_leave_the_lists_of_the_others(case):
    stay, lists = cases.without(case, 0.2)
    again = exact_neighbors(case.base[stay], k=K)
    known = lists.ids != MISSING
    np.testing.assert_array_equal(lists.ids[known], again.ids[known])
    assert known.mean() > 0.99 and len(lists.ids) == stay.sum()
    with pytest.raises(InputError, match="share"):
        cases.without(case, 1.0)


def test_results_without_a_tenth_of_the_points_are_those_of_the_rest(case):
    table = consequences.moved([case]).set_index("task")["deviation"]
    stay, _ = cases.without(case, 0.1)
    rest = exact_neighbors(case.base[stay], k=K)
    for task in ("hdbscan", "density"):
        before, after = TASKS[task].run(case, case.truth)[stay], TASKS[task].run(case, rest)
        assert table[task] == pytest.approx(TASKS[task].score(case, after, before) - 1, abs=0.02)


def test_points_that_nothing_links_are_noise_and_change_no_cluster():
    # of these points, the thirty alone would chain into a cluster and make the others one
    points = np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
    linked = exact_neighbors(points, k=8)
    place = np.sort(np.random.default_rng(5).permutation(330)[:300])
    ids, distances = np.full((330, 8), MISSING), np.full((330, 8), np.inf)
    ids[place], distances[place] = place[linked.ids], linked.distances
    clusters = structure.hdbscan(Neighbors(ids, distances))
    np.testing.assert_array_equal(clusters[place], structure.hdbscan(linked))
    assert (np.delete(clusters, place) == -1).all() and structure.groups(clusters)["clusters"] > 2


def test_vote_is_that_of_scikit_learn(case):
    generator = np.random.default_rng(1)
    labels = generator.permutation(case.labels)
    winner, agreeing, found = voting.vote(case.truth, labels)
    for row in range(0, 180, 7):
        rest = np.arange(180) != row
        model = KNeighborsClassifier(K).fit(case.base[rest], labels[rest])
        odds = model.predict_proba(case.base[row : row + 1])[0]
        assert odds[winner[row]] == odds.max() == pytest.approx(agreeing[row] / found[row])


def test_equal_votes_go_to_the_nearer_class_and_empty_lists_to_none():
    nb = Neighbors([[1, 2, 3, 4], [-1, -1, -1, -1]], [[1.0, 2.0, 3.0, 4.0], [np.inf] * 4])
    winner, agreeing, found = voting.vote(nb, [0, 7, 5, 5, 7])
    assert (winner.tolist(), agreeing.tolist(), found.tolist()) == ([7, -1], [2, 0], [4, 0])


def test_a_class_called_minus_one_is_no_missing_answer(blobs):
    points, labels = blobs
    for make in (consequences.samples, consequences.planted):
        one, other = (make(points, own, size=0, k=K, count=1)[0] for own in (labels, labels - 1))
        np.testing.assert_array_equal(one.labels, other.labels)
    empty = Neighbors(np.full((180, K), MISSING), np.full((180, K), np.inf))
    case = consequences.samples(points, labels - 1, size=0, k=K, count=1)[0]
    task = TASKS["accuracy"]
    assert task.score(case, task.run(case, empty), None) == 0


def test_calibration_error_of_known_bins():
    # 0.95: right twice of two (gap 0.05); 0.55: right once of two (gap 0.05)
    assert voting.calibration_error([1, 1, 1, 0], [19, 19, 11, 11], [20] * 4) == pytest.approx(0.05)
    assert voting.calibration_error([1, 1], [3, 2], [3, 2]) == 0
    assert voting.calibration_error([0], [0], [0]) == 0


def test_an_edge_belongs_to_the_bin_below():
    # 0.25 and 0.3 share the bin that ends at 0.3; 0.3 and 0.35 do not share one
    assert voting.calibration_error([1, 0], [9, 5], [30, 20]) == pytest.approx((0.7 - 0.25) / 2)
    assert voting.calibration_error([1, 0], [9, 7], [30, 20]) == pytest.approx((0.7 + 0.35) / 2)


def test_labels_spread_within_clusters(case):
    found, asked = voting.spread_labels(case.truth, case.labels, seed=0)
    assert (~asked).sum() == 3 * voting.LABELLED and (found == case.labels).all()
    empty = Neighbors(np.full((180, K), MISSING), np.full((180, K), np.inf))
    found, asked = voting.spread_labels(empty, case.labels, seed=0)
    assert (found[asked] == MISSING).all()


def test_outlier_factor_is_that_of_scikit_learn(case):
    theirs = -LocalOutlierFactor(K).fit(case.base).negative_outlier_factor_
    # scikit-learn measures in float32
    np.testing.assert_allclose(structure.outlier_factor(case.truth), theirs, rtol=1e-4)


def test_outlier_factor_leaves_missing_slots_out():
    exact = exact_neighbors(np.random.default_rng(2).random((40, 2), dtype=np.float32), k=6)
    longer = Neighbors(
        np.column_stack([exact.ids, np.full(40, MISSING)]), np.column_stack([exact.distances, np.full(40, np.inf)])
    )
    np.testing.assert_allclose(structure.outlier_factor(longer), structure.outlier_factor(exact))
    ids, distances = exact.ids.copy(), exact.distances.copy()
    ids[0], distances[0] = MISSING, np.inf
    factor = structure.outlier_factor(Neighbors(ids, distances))
    assert np.isinf(factor[0]) and np.isfinite(factor[1:]).all()


def test_dbscan_with_long_lists_is_that_of_all_distances(blobs):
    points = blobs[0]
    nb = exact_neighbors(points, k=len(points) - 1)
    radius = structure.core_radius(nb)
    theirs = DBSCAN(eps=radius, min_samples=structure.CORE).fit_predict(points.astype(np.float64))
    np.testing.assert_array_equal(structure.dbscan(nb, radius), theirs)
    core = (nb.distances[:, structure.CORE - 2] <= radius).mean()
    assert core == pytest.approx(structure.CORE_SHARE, abs=0.02)


def test_hdbscan_finds_separate_parts_of_the_graph(case):
    clusters = structure.hdbscan(case.truth)
    for cluster in range(clusters.max() + 1):
        assert len(np.unique(case.labels[clusters == cluster])) == 1
    assert structure.groups(clusters)["clusters"] >= 3
    empty = Neighbors(np.full((6, 2), MISSING), np.full((6, 2), np.inf))
    assert len(structure.hdbscan(empty)) == 6


def test_duplicates_stay_linked():
    nb = exact_neighbors(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), k=3)
    assert structure.distance_graph(nb).nnz == 3 * 4 * 3
    assert np.isfinite(structure.outlier_factor(nb)).all()


def test_exact_lists_deviate_by_nothing(scores):
    at_one = scores[scores["recall"] == 1]
    assert set(at_one["task"]) == set(TASKS) and (at_one["deviation"].fillna(0) == 0).all()
    agreement = [name for name, task in TASKS.items() if task.agreement]
    np.testing.assert_allclose(scores.loc[scores["task"].isin(agreement), "exact"].dropna(), 1)


def test_missing_slots_are_seen_and_lists_are_told_apart(scores):
    missing = scores.groupby("lists")["missing"].max()
    assert missing[RANDOM] == 0 and missing[EMPTIED] > 0.4
    assert set(scores["lists"]) == {RANDOM, EMPTIED, "faiss-hnsw"}


def test_without_labels_the_other_tasks_run(blobs):
    unlabelled = consequences.samples(blobs[0], None, size=0, k=K, count=2)
    table = consequences.measure(unlabelled, [0.9], progress=False)
    assert set(table["task"]) == {name for name, task in TASKS.items() if not task.needs_labels}
    noises = consequences.noise(table, consequences.moved(unlabelled))
    shown = consequences.task_table(noises).set_index("task")
    assert shown.loc["k-NN classification", "exact"] == "not available"
    assert consequences.cluster_table(unlabelled)["ARI with classes"].isna().all()


def test_auc_of_lof_is_the_plain_one(blobs):
    case = consequences.planted(*blobs, size=0, k=K, count=1)[0]
    task = TASKS["outliers"]
    plain = roc_auc_score(case.outliers, structure.outlier_factor(case.truth))
    assert task.score(case, task.run(case, case.truth), None) == pytest.approx(plain)


def summary_of(recalls, deviations, half=0.0):
    rows = [("accuracy", "a", f"{r}", r, d, d - half, d + half, 3) for r, d in zip(recalls, deviations, strict=True)]
    return pd.DataFrame(rows, columns=["task", "lists", "step", "recall", "deviation", "low", "high", "samples"])


def needs(*args, **options):
    return compare.needed(summary_of(*args, **options)).iloc[0]


def test_needed_recall_lies_where_the_line_crosses():
    assert needs([0.5, 0.9], [-0.04, 0.0])["needed"] == pytest.approx(0.8)
    # a later excursion counts, whatever lies before it
    assert needs([0.5, 0.8, 0.9], [0.0, 0.05, 0.0])["needed"] == pytest.approx(0.88)
    # an engine that was never good enough is not said to have been
    assert needs([0.5, 0.9], [0.08, 0.02])["needed"] == np.inf
    assert "not reached" in set(consequences.needed_table(compare.needed(summary_of([0.5], [0.08])))["a"])


def test_needed_recall_without_an_excursion_is_the_lowest_measured():
    row = needs([0.6, 0.9], [0.005, 0.001])
    assert row["needed"] == row["lowest"] == 0.6


def test_needed_interval_holds_the_needed_recall_and_grows_with_the_noise():
    tight, wide = (needs([0.5, 0.7, 0.9], [-0.05, -0.02, -0.004], half=half) for half in (0.001, 0.01))
    for row in (tight, wide):
        assert row["low"] <= row["needed"] <= row["high"]
    assert wide["high"] - wide["low"] > tight["high"] - tight["low"]


def test_one_sample_gives_no_interval():
    row = needs([0.5, 0.9], [-0.04, 0.0], half=np.nan)
    assert row["needed"] == pytest.approx(0.8) and np.isnan(row["low"]) and np.isnan(row["high"])


def test_engines_are_compared_with_the_random_losses_that_imitate_them():
    rows = [
        ("accuracy", lists, like, "8", seed, 0.9, size + 0.001 * seed)
        for lists, sizes in (("a", (0.03, -0.01, 0.03)), ("b", (0.01, 0.01, 0.01)))
        for like, size in zip(("", consequences.NUMBER, consequences.RANKS), sizes, strict=True)
        for seed in range(3)
    ]
    columns = ["task", "lists", "like", "step", "seed", "recall", "deviation"]
    scores = pd.DataFrame(rows, columns=columns)
    by_number = consequences.against_random(scores).set_index("lists")
    # sizes: 0.03 + 0.001 seed against 0.01 - 0.001 seed
    assert by_number.loc["a", "difference"] == pytest.approx(0.022) and by_number.loc["a", "verdict"] == "more"
    by_ranks = consequences.against_random(scores, consequences.RANKS).set_index("lists")
    assert by_ranks["verdict"].eq("not told apart").all() and by_number.loc["b", "verdict"] == "not told apart"
    values = consequences.against_facts(by_number.reset_index(), by_ranks.reset_index(), ["a", "b"])
    assert (values["told"], values["told_ranks"], values["more_a"], values["same_b"]) == ("one", "no", "one", "one")
    assert values["size_dbscan_a"] == values["size_dimension_b_ranks"] == "not available"


def test_one_sample_tells_no_engine_apart(case):
    scores = consequences.measure([case], [0.5], ["faiss-hnsw"], params={"M": 4}, progress=False)
    compared = consequences.against_random(scores)
    assert set(compared["verdict"]) == {"not available"}
    values = consequences.against_facts(compared, compared, ["faiss-hnsw"])
    assert (values["compared"], values["told"], values["same_default"]) == (0, "no", "no")


def test_imitations_have_the_recall_of_what_they_imitate(scores):
    own = scores[(scores["lists"] == "faiss-hnsw") & (scores["task"] == "density")]
    for like in (consequences.NUMBER, consequences.RANKS):
        made = own[own["like"] == like].set_index("seed")
        assert len(made) == 3
        there = own[(own["like"] == "") & own["step"].isin(made["step"])].set_index(["seed", "step"])["recall"]
        for seed, row in made.iterrows():
            assert row["recall"] == pytest.approx(there[seed, row["step"]])


def test_figures_read_tables(scores, blobs):
    summary = consequences.summarize(scores)
    figure = draw.deviations(summary)
    assert [panel.get_title() for panel in figure.axes][: len(TASKS)] == [task.label for task in TASKS.values()]
    table = consequences.needed_table(consequences.needed(summary))
    assert len(table) == len(TASKS) and "FAISS, default" in table
    layouts = pd.DataFrame(
        [("exact", 1.0, 0, 0.9, 0.0), ("exact", 1.0, 1, 0.9, 0.2), (RANDOM, 0.9, 0, 0.88, 0.1)],
        columns=["lists", "recall", "seed", "trustworthiness", "procrustes"],
    )
    assert len(draw.map_quality(layouts).axes) == 2
    assert consequences.map_facts(layouts)["maps_nearer"] == 1
    points = dict.fromkeys(("exact", "a", "b", "c"), blobs[0][:, :2])
    for labels in (blobs[1], None):
        assert [panel.get_title() for panel in draw.maps(points, labels).axes][:4] == list(points)


def test_maps_ignore_missing_slots_and_repeat(case):
    lists = dict(cases.at_random(case, [0.7], replace=False))
    first, again = (maps.umap_layout(case, lists["0.7"], seed=1) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (180, 2) and np.isfinite(first).all()


def test_layouts_are_compared_with_the_exact_map(case):
    table, drawn = consequences.layouts(case, [0.6], ["faiss-hnsw"], params={"M": 4}, seeds=1, progress=False)
    assert table["lists"].tolist() == ["exact", "exact", RANDOM, "faiss-hnsw"]
    assert table["procrustes"].iloc[0] == 0 and (table["procrustes"].iloc[1:] > 0).all()
    assert list(drawn) == ["exact", "exact, another seed", "recall 0.6"]
    turned = consequences.turned(drawn)
    for name, points in turned.items():
        apart = ((points - turned["exact"]) ** 2).sum()
        known = table.loc[table["lists"] == RANDOM, "procrustes"].item()
        assert name != "recall 0.6" or apart == pytest.approx(known)


def test_other_data_stand_beside_the_first(scores, blobs):
    need = consequences.needed(consequences.summarize(scores))
    further = [Sample(blobs[0], np.arange(5), None, None, "more", "", {})]
    setting = {"size": 90, "k": K, "count": 2, "metric": "l2", "seed": 0}
    table = consequences.on_others("first", need, further, [0.7], **setting)
    assert set(table["lists"]) == {RANDOM} and table["data"].unique().tolist() == ["first", "more"]
    shown = consequences.needed_table(table, "data").set_index("task")
    assert shown.loc["k-NN classification", "more"] == "not available"
    twice = consequences.on_others("more", need, further * 2, [0.7], **setting)
    assert twice["data"].unique().tolist() == ["more", "more (2)", "more (3)"]


def test_facts_name_every_task_and_engine(scores, blobs):
    unlabelled = consequences.samples(blobs[0], None, size=90, k=K, count=2)
    few = consequences.measure(unlabelled, [0.9], progress=False)
    values = consequences.fact_values(
        consequences.needed(consequences.summarize(few)),
        consequences.noise(few, consequences.moved(unlabelled)),
        ["faiss-hnsw"],
    )
    assert {f"{kind}_{task}" for kind in ("needed", "exact", "noise") for task in TASKS} <= set(values)
    assert values["needed_accuracy"] == values["needed_density_default"] == "not available"
    whole = consequences.fact_values(
        consequences.needed(consequences.summarize(scores)),
        consequences.noise(scores, pd.DataFrame(columns=["task", "deviation"])),
        ["faiss-hnsw"],
    )
    assert 0 <= whole["apart"] <= whole["pairs"] <= len(TASKS) * (len(TASKS) - 1) // 2
    compared = consequences.against_random(scores)
    assert len(consequences.against_table(compared)) == len(TASKS)
