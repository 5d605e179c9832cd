"""Recall against time, the Pareto front, reloading, and what decides a graph."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neighborhood_drift.checks import InputError
from neighborhood_drift.construction import degree_by_effort, what_changes_links
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import hnsw
from neighborhood_drift.graph import degree_table, level_table
from neighborhood_drift.indexes import build_index, build_indexes
from neighborhood_drift.tradeoff import after_reload, build_table, fastest, pareto_front, tradeoff

matplotlib.use("Agg")
SPECS = [{"name": name, "M": M} for M in (4, 16) for name in ("faiss-hnsw", "hnswlib")]


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(1).normal(size=(600, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def indexes(base):
    return build_indexes(SPECS, base, progress=False)


@pytest.fixture(scope="module")
def settings(base, indexes):
    rows = np.arange(0, 600, 6)
    exact = exact_neighbors(base, base[rows], k=5, exclude=rows)
    return tradeoff(indexes, base, rows, 5, [6, 30, 300], exact, progress=False)


def test_each_setting_is_one_row_and_effort_buys_recall(settings):
    assert len(settings) == 12 and (settings["microseconds"] > 0).all()
    assert (settings["low"] <= settings["recall"]).all() and (settings["recall"] <= settings["high"]).all()
    for _, rows in settings.groupby(["engine", "M"]):
        assert rows["recall"].is_monotonic_increasing and rows["recall"].iloc[-1] > 0.97
    counted = settings.groupby("engine")["distance_computations"].count()
    assert counted["faiss-hnsw"] == 6 and counted["hnswlib"] == 0


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(points)
def test_the_front_is_what_no_other_setting_beats(settings):
    cost, quality = np.array(settings).T
    for i, kept in enumerate(pareto_front(cost, quality)):
        beaten = any(
            (c <= cost[i] and q >= quality[i]) and (c < cost[i] or q > quality[i])
            for c, q in zip(cost, quality, strict=True)
        )
        assert kept == (not beaten)


def test_fastest_setting_of_a_recall(settings):
    row = fastest(settings, "faiss-hnsw", 0.9)
    good = settings[(settings["engine"] == "faiss-hnsw") & (settings["recall"] >= 0.9)]
    assert row["microseconds"] == good["microseconds"].min()
    assert fastest(settings, "faiss-hnsw", 1.1) is None


def test_nothing_to_measure_is_refused(base, indexes):
    exact = exact_neighbors(base, k=5)
    with pytest.raises(InputError, match="at least one index, one effort and one repeat"):
        tradeoff(indexes, base, np.arange(600), 5, [], exact)


def test_hnswlib_forgets_its_effort_and_the_adapter_does_not(base, indexes):
    table = after_reload(indexes[:2], base, 5, 200).set_index(["engine", "route"])
    assert table["ef after"].to_dict() == {
        ("faiss-hnsw", "the library alone"): 200,
        ("faiss-hnsw", "save and load_index"): 200,
        ("hnswlib", "the library alone"): 10,
        ("hnswlib", "save and load_index"): 200,
    }
    assert table.loc[("hnswlib", "the library alone"), "same"] < 0.9
    assert (table["same"].drop(("hnswlib", "the library alone")) == 1).all()


def test_build_table(indexes):
    table = build_table(indexes)
    assert table["M"].tolist() == [4, 4, 16, 16]
    np.testing.assert_allclose(table["links"], [index.graph().out_degree().mean() for index in indexes])


def test_what_changes_links(base):
    table = what_changes_links(base, M=8, ef_construction=60).set_index(["engine", "changed"])["jaccard"]
    for name in ("faiss-hnsw", "hnswlib"):
        assert table[name, "nothing"] == 1 and table[name, "insertion order"] < 0.9
    assert table["faiss-hnsw", "seed"] < 0.9 < table["hnswlib", "seed"]
    assert table["faiss-hnsw and hnswlib", "library"] < 0.9


def test_figures_show_the_numbers_of_their_tables(base, indexes, settings):
    graphs = {index.engine: index.graph() for index in indexes[:2]}
    levels = level_table(graphs, 4)
    drawn = hnsw.levels(levels).axes[0].lines[1]
    np.testing.assert_array_equal(drawn.get_ydata(), levels.loc[levels["engine"] == "faiss-hnsw", "points"])
    table = degree_table(graphs)
    for panel, direction in zip(hnsw.degrees(table).axes, ("out", "in"), strict=True):
        part = table[(table["engine"] == "hnswlib") & (table["direction"] == direction)]
        np.testing.assert_array_equal(panel.lines[1].get_ydata(), part["share"])
    efforts = degree_by_effort(base[:200], [4, 20], M=4)
    assert isinstance(efforts, pd.DataFrame) and len(efforts) == 4
    curve = hnsw.construction(efforts, 4).axes[0].lines[0]
    np.testing.assert_array_equal(curve.get_ydata(), efforts.loc[efforts["engine"] == "faiss-hnsw", "links"])
    axes = hnsw.tradeoff(settings, 5, 100).axes[0]
    assert (
        axes.get_yscale() == "logit" and max(line.get_ydata().max() for line in axes.lines if len(line.get_ydata())) < 1
    )


def test_the_front_is_of_each_engine_alone():
    base = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
    rows = np.arange(40)
    exact = exact_neighbors(base, base[rows], k=5, exclude=rows)
    indexes = [build_index(name, base, M=4) for name in ("hnswlib", "faiss-hnsw")]
    table = tradeoff(indexes, base, rows, 5, [6, 40], exact, repeats=1, progress=False)
    for _, own in table.groupby("engine"):
        assert own["front"].tolist() == pareto_front(own["microseconds"], own["recall"]).tolist()
        assert own["front"].any()
