"""Notebook 11: the data that it searches, a collection's answers through its life, and what is told of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from at_hand import shared

from neighborhood_drift import Collection, separate
from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.facts import fixed, interval
from neighborhood_drift.figures import retrieval as draw
from neighborhood_drift.intervals import bootstrap_means, limits
from neighborhood_drift.metrics import overlap
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.retrieval import measure, promised, searched, told, told_facts, work
from neighborhood_drift.retrieval.measure import BEFORE, COMPACTED, LAZY
from neighborhood_drift.retrieval.promised import GONE, INSIDE
from neighborhood_drift.retrieval.searched import Searched
from neighborhood_drift.study.extra import read_extra
from neighborhood_drift.study.project import PAPER_METRIC, PAPER_VECTORS, Project, find_root
from neighborhood_drift.summaries import ABSENT

ROOT = find_root(Path(__file__).parent)
K, EFS = 5, [5, 500]


@pytest.fixture(scope="module")
def data():
    """Three hundred points of three classes, and thirty queries from outside."""
    generator = np.random.default_rng(0)
    points = generator.normal(size=(330, 6)).astype(np.float32)
    labels = generator.integers(0, 3, 330)
    points[:, 0] += 2 * labels
    images = generator.integers(0, 256, (330, 32, 32, 3), dtype=np.uint8)
    base, asked = slice(0, 300), slice(300, 330)
    return Searched(
        "three-classes", "sum", points[base], points[asked], labels[base], labels[asked], images[base], images[asked],
        ("a", "b", "c"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def life(data):
    return measure.life(data, K, EFS, target="overlap=0.8", share=0.3, M=4, ef_construction=10, repeats=1)


# ---- the data


def test_queries_held_out_are_points_of_the_data_and_not_of_the_base(tmp_path):
    np.save(tmp_path / "mine.npy", np.arange(200.0, dtype=np.float32).reshape(100, 2))
    one = searched.load_searched(tmp_path / "mine.npy", points=60, queries=500, seed=3)
    assert one.held_out and len(one.queries) == 12 and len(one.base) == 48, "a fifth is asked at most"
    rows = np.concatenate([one.base, one.queries])
    assert len(np.unique(rows, axis=0)) == 60
    again = searched.load_searched(tmp_path / "mine.npy", points=60, queries=5, seed=3)
    assert set(map(tuple, again.queries)) <= set(map(tuple, rows))


def test_queries_of_the_data_are_asked_where_there_are_some(tmp_path):
    vectors, queries = np.eye(9, dtype=np.float32), np.full((4, 9), 0.5, dtype=np.float32)
    np.savez(tmp_path / "mine.npz", vectors=vectors, queries=queries, labels=np.arange(9))
    one = searched.load_searched(tmp_path / "mine.npz")
    assert not one.held_out and np.array_equal(one.base, vectors) and np.array_equal(one.queries, queries)
    assert one.labels is None, "the queries have none, so there is nothing to compare a vote with"


def test_too_few_points_are_refused(tmp_path):
    np.save(tmp_path / "mine.npy", np.eye(4, dtype=np.float32))
    with pytest.raises(InputError, match="needs at least 5"):
        searched.load_searched(tmp_path / "mine.npy")


def test_the_bundled_queries_come_with_pictures_and_labels():
    one = searched.load_searched("cifar10-resnet50", points=20, queries=7)
    assert one.query_images.shape == (7, 32, 32, 3) and len(one.query_labels) == 7 and not one.held_out
    assert "7 queries from outside" in one.told


def test_pixels_of_fashion_mnist_are_scaled_and_all_its_test_images_can_be_asked():
    found = searched.load_all(
        "cifar10-resnet50", ["fashion-mnist-train"], data_dir=shared() / "data", points=50, queries=0
    )
    pixels = found[1]
    assert pixels.name == "fashion-pixels" and pixels.queries.shape == (10_000, 784)
    assert pixels.base.min() >= 0 and pixels.base.max() == 1
    assert np.array_equal(np.rint(pixels.queries[3] * 255), pixels.query_images[3, 2:-2, 2:-2, 0].ravel())
    assert searched.to_show(found, "cifar10-resnet50", "l2") is pixels
    same = shared() / "data" / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    assert len(searched.load_all(same, ["fashion-mnist-train"], data_dir=shared() / "data", points=50)) == 1


def test_only_beside_the_studys_own_vectors_are_other_pictures_shown(data):
    other = replace(data, name="other")
    assert searched.STUDY == (PAPER_VECTORS, PAPER_METRIC)
    assert searched.to_show([data, other], PAPER_VECTORS, "l2") is other
    for name, metric in (("mine.npy", "l2"), ("cifar10-resnet18", "l2"), (PAPER_VECTORS, "cosine")):
        assert searched.to_show([data, other], name, metric) is data


def test_shown_queries_take_turns_over_the_classes(data):
    rows = searched.some(data, 6, seed=1)
    assert sorted(data.query_labels[rows[:3]]) == sorted(data.query_labels[rows[3:]]) == [0, 1, 2]
    assert len(set(rows)) == 6
    assert len(searched.some(replace(data, query_labels=None), 6)) == 6


# ---- a collection's life


def test_exact_answers_are_those_among_the_points_that_are_there(life, data):
    left = np.setdiff1d(np.arange(len(data.base)), life.gone)
    assert len(life.gone) == 90
    truth = exact_neighbors(data.base[left], data.queries, k=K)
    for state in (LAZY, COMPACTED):
        assert np.array_equal(life.of(state).exact.ids, left[truth.ids])
        assert life.of(state).points == len(left)
    assert np.array_equal(life.of(BEFORE).exact.ids, exact_neighbors(data.base, data.queries, k=K).ids)


def test_deleted_points_are_never_returned(life):
    for state in (LAZY, COMPACTED):
        for nb in life.of(state).by_ef.values():
            assert not np.isin(nb.ids, life.gone).any()
    assert np.isin(life.of(BEFORE).exact.ids, life.gone).any(), "they would have been"


def test_effort_beyond_the_points_finds_all_and_the_least_does_not(life):
    table = measure.losses(life).set_index(["state", "ef"])
    for state in measure.STATES:
        assert table.loc[(state, 500), "overlap"] == 1
        assert table.loc[(state, 500), "accuracy_change"] == 0
    assert table.loc[(BEFORE, 5), "overlap"] < 1
    assert (table["missing"] == 0).all() and (table["computed"] > 0).all()
    assert (table.loc[BEFORE, ["milliseconds", "milliseconds_exact"]] > 0).all(axis=None)


def test_the_change_is_paired_and_of_the_compacted_collection(life):
    table = measure.losses(life, seed=4).set_index(["state", "ef"])
    assert table.loc[BEFORE, "change"].isna().all(), "its exact neighbors are others"
    assert (table.loc[COMPACTED, ["change", "change_low", "change_high"]] == 0).all(axis=None)
    lazy, compacted = (overlap(life.of(state).exact, life.of(state).by_ef[5]) for state in (LAZY, COMPACTED))
    row = table.loc[(LAZY, 5)]
    assert row["change"] == pytest.approx((lazy - compacted).mean())
    low, high = limits(bootstrap_means((lazy - compacted)[:, None], seed=4))
    assert row[["change_low", "change_high"]].tolist() == pytest.approx([low[0], high[0]])


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_search_among_tombstones_is_followed_step_by_step(data, metric):
    collection = Collection(6, metric=metric, M=4, ef_construction=10)
    collection.add(data.base, ids=range(300))
    collection.delete(range(0, 300, 2))
    for rows in (list(range(300)), list(range(1, 300, 2))):
        for ef, traces in work.traced(collection, data.queries, K, [5, 20]):
            hits = collection.search(data.queries, K, ef=ef)
            assert [tuple(rows[row] for row in one.ids) for one in traces] == list(hits.ids)
        collection.compact()


def test_tombstones_cost_distances_and_the_ratio_is_of_the_same_queries(life):
    table = measure.losses(life, seed=4).set_index(["state", "ef"])
    lazy, compacted = (life.of(state).computed[5] for state in (LAZY, COMPACTED))
    row = table.loc[(LAZY, 5)]
    assert row["more"] == pytest.approx(lazy.mean() / compacted.mean()) and row["more"] > 1
    assert row["more_low"] < row["more"] < row["more_high"]
    assert table.loc[BEFORE, "more"].isna().all() and (table.loc[COMPACTED, "more"] == 1).all()


def test_an_empty_collection_computes_nothing():
    with pytest.raises(InputError, match="no points"):
        work.distances_computed(Collection(2), [[0.0, 0.0]], 1, [5])


def test_efforts_are_chosen_on_points_inside_and_on_deleted_ones_and_asked_of_both(life, data):
    assert [(one.state, one.sample) for one in life.promises] == [
        (BEFORE, INSIDE), (COMPACTED, INSIDE), (COMPACTED, GONE),
    ]  # fmt: skip
    first, second, third = life.promises
    assert all(one.ef >= 1 and one.reason == "" and one.queries.shape == (30,) for one in life.promises)
    assert len(first.inside) == 300 and not len(first.gone)
    assert len(second.inside) == 210 and len(second.gone) == len(third.gone) == 45, "the other half was tuned on"
    assert second.inside.mean() > second.gone.mean(), "a point is linked in the graph, a new one is not"
    assert third.ef >= second.ef


def test_points_inside_are_asked_without_themselves(life, data):
    got = replace(life.promises[0], ef=500).inside
    collection = Collection(6, M=4, ef_construction=10)
    collection.add(data.base, ids=range(300))
    hits = collection.search(data.base[:7], K + 1, exact=True)
    nb = promised._without(hits, np.arange(7), K)
    assert np.array_equal(nb.ids, exact_neighbors(data.base, k=K).ids[:7])
    lost = promised._without(hits, np.full(7, 999), K)
    assert np.array_equal(lost.ids, work.as_neighbors(hits).ids[:, :K]), "one that was not found leaves k"
    assert (got <= 1).all()


def test_where_none_is_certified_the_reason_says_so_and_nothing_is_asked(data):
    small = replace(data, base=data.base[:20], labels=data.labels[:20])
    life = measure.life(small, 2, [2], target="overlap=0.9999", repeats=1)
    assert all(one.ef is None and one.reason.endswith(".") and not len(one.queries) for one in life.promises)
    table = told.promises(told.promised(life, "overlap=0.9999"))
    assert set(table["ef"]) == {"none certified"} and set(table["overlap of queries"]) == {"–"}
    assert told_facts.life_facts(life, 2, "main")["main_chosen_ef"] == ABSENT
    assert len(measure.life(small, 2, [2], share=0, repeats=1).promises) == 2, "nothing is deleted"


@pytest.mark.parametrize(
    ("changes", "told_"),
    [({"share": 1.0}, "from 0 to below 1"), ({"share": 0.99}, "k is 5"), ({"target": "nonsense"}, "target")],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_built(data, changes, told_, monkeypatch):
    monkeypatch.setattr("neighborhood_drift.retrieval.collection.Collection.add", None)
    with pytest.raises(InputError, match=told_):
        measure.life(data, K, EFS, **changes)


def test_a_label_that_no_point_has_is_never_right_and_negative_ones_are_labels(data):
    nb = Neighbors([[0, 1], [0, 1], [-1, -1]], [[0.1, 0.2], [0.1, 0.2], [np.inf, np.inf]])
    one = replace(data, labels=np.full(300, -1), query_labels=np.array([-1, 7, -1]))
    assert measure.right(nb, one).tolist() == [1, 0, 0]
    assert np.isnan(measure.right(nb, replace(one, labels=None))).all()


def test_what_was_missed_and_what_came_instead(data):
    exact = Neighbors([[0, 1], [2, 3], [4, 5]], [[1.0, 2.0]] * 3)
    found = Neighbors([[0, 1], [3, 9], [8, 9]], [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    labels = np.zeros(300, dtype=int)
    labels[[4, 8, 9]] = 1
    one = replace(data, labels=labels, query_labels=np.array([0, 0, 1]))
    table = measure.exchanged(measure.Answers(BEFORE, 300, exact, {2: found}), 2, one)
    assert table["query"].tolist() == [2, 1], "most lost first, and no query whose lists are the same"
    assert table["lost"].tolist() == [2, 1] and table["nearest"].tolist() == [True, True]
    assert table["ratio"].tolist() == [3.0, 4.0]
    assert table["missed_same"].tolist() == [0.5, 1.0] and table["instead_same"].tolist() == [1.0, 0.0]


# ---- what is told


def test_tables_have_a_row_for_each_effort_and_name_separate_runs(life):
    own = measure.losses(life)
    kept = own.assign(data="far", source="far", run="there")
    both = told.together(own, kept)
    assert told.efforts(both)["data"].tolist() == ["three-classes"] * 2 + ["far (separate run)"] * 2
    assert told.deletions(both)["ef"].tolist() == EFS * 2
    assert told.times(both)["data"].tolist() == ["three-classes", "far (separate run)"]
    assert told.together(own, pd.DataFrame(columns=["source", "run"])) is own


def test_few_queries_give_no_interval(life):
    table = told.exchange(life, [5, 500])
    assert table["differing"].tolist()[1] == 0 and np.isnan(table["ratio"].iloc[1])
    few = replace(life.of(BEFORE), exact=life.of(BEFORE).exact)
    few.by_ef[7] = replace(few.exact, ids=few.exact.ids.copy())
    few.by_ef[7].ids[0, 0] = np.setdiff1d(np.arange(300), few.exact.ids[0])[0]
    row = told.exchange(replace(life, states=(few,)), [7]).iloc[0]
    assert row["differing"] == 1 / 30 and row["nearest"] == 1 / 30 and row["ratio"] > 0 and np.isnan(row["ratio_low"])
    table = told.exchanges(told.exchange(replace(life, states=(few,)), [7]))
    assert "(" not in table["distance, instead to missed"].iloc[0]
    del few.by_ef[7]


def test_shares_of_all_queries_are_resampled_over_all_of_them(life):
    row = told.exchange(life, [5], seed=4).iloc[0]
    table, count = measure.exchanged(life.of(BEFORE), 5, life.searched), 30
    share = np.zeros((count, 2))
    share[table["query"]] = np.stack([np.ones(len(table)), table["nearest"]], axis=1)
    low, high = limits(bootstrap_means(share, seed=9))
    for place, name in enumerate(("differing", "nearest")):
        assert row[name] == pytest.approx(share[:, place].mean())
        assert row[f"{name}_low"] == pytest.approx(low[place], abs=0.05)
        assert row[f"{name}_high"] == pytest.approx(high[place], abs=0.05)
    assert row["lost"] == pytest.approx(table["lost"].mean())
    assert row["nearest_worst"] == pytest.approx(table["nearest"][:3].mean()), "the tenth of thirty"
    assert row["nearest_worst_low"] <= row["nearest_worst"] <= row["nearest_worst_high"]


def test_facts_tell_the_runs_own_vectors_from_further_ones(life):
    found = told_facts.all_facts([life, replace(life, searched=replace(life.searched, name="far-away"))], 500)
    assert found["main_data"] == "three-classes" and found["far_away_data"] == "far-away"
    assert len(found) == 2 * len([name for name in found if name.startswith("main_")])
    assert found["main_overlap_ef"] == "1.000" and found["main_deleted"] == "90" and found["main_left"] == "210"
    bare = told_facts.life_facts(
        replace(life, searched=replace(life.searched, labels=None, query_labels=None)), 500, "main"
    )
    assert bare["main_accuracy_exact"] == bare["main_accuracy_exact_interval"] == ABSENT


def test_committed_facts_are_those_of_the_table_beside_them():
    table = separate.published("retrieval").query("source == 'fashion-pixels'").set_index(["state", "ef"])
    kept = read_extra(Project(ROOT, ROOT / "report"))["fashion-pixels"]["facts"]["retrieval"]
    names = {"overlap": (BEFORE, "overlap"), "vote": (BEFORE, "accuracy_change"), "lazy": (LAZY, "overlap")}
    names |= {
        "more": (LAZY, "more"),
        "compacted": (COMPACTED, "overlap"),
        "change": (LAZY, "change"),
        "accuracy": (BEFORE, "accuracy"),
    }
    for name, (state, column) in names.items():
        for place in ("low", "ef", "high"):
            row = table.loc[(state, int(kept[f"fashion_pixels_ef{'' if place == 'ef' else f'_{place}'}"]))]
            decimals = 4 if "change" in column else 2 if column == "more" else 3
            assert kept[f"fashion_pixels_{name}_{place}"] == fixed(row[column], decimals)
            around = interval(row[f"{column}_low"], row[f"{column}_high"], decimals)
            assert kept[f"fashion_pixels_{name}_{place}_interval"] == around
    assert kept["fashion_pixels_n"] == f"{table['points'].max():,}" == "60,000"


# ---- figures


def signs(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_pictures_mark_what_is_in_one_list_alone(life, data):
    before = life.of(BEFORE)
    rows = measure.exchanged(before, 5, data)["query"][:2]
    figure = draw.differences(data, before.exact, before.by_ef[5], rows)
    lost = [len(set(before.exact.ids[row]) - set(before.by_ef[5].ids[row])) for row in rows]
    assert signs(figure).count(draw.MISSED[1]) == signs(figure).count(draw.INSTEAD[1]) == sum(lost) > 0
    assert sum(bool(axes.images) for axes in figure.axes) == len(rows) * (1 + 2 * K)
    assert sum(bool(axes.images) for axes in draw.nearest(data, before.exact, [0, 1]).axes) == 2 * (1 + K)


def test_without_pictures_or_differences_a_line_says_so(life, data):
    before, bare = life.of(BEFORE), replace(data, images=None, query_images=None)
    assert signs(draw.nearest(bare, before.exact, [0])) == ["These vectors come without images."]
    assert signs(draw.differences(bare, before.exact, before.exact, [0])) == ["These vectors come without images."]
    assert signs(draw.differences(data, before.exact, before.exact, [])) == ["No list differs from the exact one."]


def test_curves_have_a_line_for_each_state_and_data_set(life):
    table = measure.losses(life)
    assert [line.get_label() for line in draw.deletions(table).axes[0].lines] == list(measure.STATES)
    both = pd.concat([table, table.assign(data="other")])
    assert [line.get_label() for line in draw.effort(both).axes[0].lines] == ["three-classes", "other"]
    unlabelled = table.assign(accuracy_change=np.nan)
    assert signs(draw.effort(unlabelled)) == ["no labels"]
    draw.effort(unlabelled).draw_without_rendering()
