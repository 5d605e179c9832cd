"""The k-NN graph: its numbers on graphs whose answer is known, and against a plain count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.knn_graph import components, graph_row, graph_table, links, random_graphs, reciprocity
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.null import lost_at_random


def lists(rows):
    k = max(map(len, rows))
    ids = [row + [-1] * (k - len(row)) for row in rows]
    distances = [[float(place) for place in range(len(row))] + [np.inf] * (k - len(row)) for row in rows]
    return Neighbors(ids, distances)


graphs = st.integers(2, 8).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, n - 1), min_size=1, max_size=3), min_size=n, max_size=n)
)


@given(graphs)
def test_reciprocity_and_components_are_those_of_a_plain_count(rows):
    pairs = {(i, j) for i, row in enumerate(rows) for j in row}
    nb = lists(rows)
    assert set(zip(*map(list, links(nb).nonzero()), strict=True)) == pairs
    assert reciprocity(nb) == pytest.approx(sum((j, i) in pairs for i, j in pairs) / len(pairs))
    part = list(range(len(rows)))
    for i, j in pairs:
        part = [part[i] if other == part[j] else other for other in part]
    assert components(nb) == len(set(part))


def test_two_far_clouds_are_two_components():
    points = np.random.default_rng(0).normal(size=(40, 3))
    nb = exact_neighbors(np.vstack([points, points + 100]).astype(np.float32), k=5)
    assert components(nb) == 2


def test_missing_slots_make_no_link():
    nb = lists([[1], [], [1]])
    assert links(nb).nnz == 2 and reciprocity(nb) == 0 and components(nb) == 1


def test_lists_of_a_part_of_the_points_are_refused():
    with pytest.raises(InputError, match="all points asked"):
        links(lists([[5], [0]]))


def test_a_star_is_set_beside_a_ring():
    ring = lists([[(i + 1) % 6] for i in range(6)])
    star = lists([[1], [0], [0], [0], [0], [0]])
    table = graph_table(ring, {"star": star, "ring": ring}, {"star": [ring, star]}).set_index("engine")
    assert table.loc["star", "never"] == pytest.approx(4 / 6) and table.loc["exact", "never"] == 0
    assert table.loc["star", "reciprocity"] == pytest.approx(2 / 6)
    assert np.isnan(table.loc["exact", "hubness"]) and table.loc["star", "hubness"] > 1
    assert (table.loc["star", "reciprocity_low"], table.loc["star", "reciprocity_high"]) == (0, pytest.approx(1 / 3))
    assert np.isnan(table.loc["ring", "never_low"])


def test_a_graph_of_the_null_model_lies_outside_its_range_as_seldom_as_said():
    exact = exact_neighbors(np.random.default_rng(1).normal(size=(150, 6)).astype(np.float32), k=16)
    outside = []
    for trial in range(60):
        found = lost_at_random(exact, 8, 0.2, seed=1000 + trial)
        row = graph_table(exact.first(8), {"a": found}, {"a": random_graphs(exact, found, seed=50 * trial)}).iloc[1]
        names = ("hubness", "never", "reciprocity")
        outside.append([not row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for name in names])
    # 60 graphs at one in twenty: nine or more have a chance of one in a hundred; two draws would leave out 40
    assert (np.sum(outside, axis=0) <= 8).all()


def test_each_random_graph_has_a_seed_of_its_own():
    exact = exact_neighbors(np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32), k=10)
    found = lost_at_random(exact, 5, 0.3, seed=9)
    first, later = random_graphs(exact, found, draws=3, seed=4), random_graphs(exact, found, draws=1, seed=5)
    np.testing.assert_array_equal(first[1].ids, later[0].ids)
    assert (first[0].ids != first[1].ids).any() and (first[1].ids != first[2].ids).any()
    assert graph_row(first[0])["components"] >= 1 and graph_table(exact, {}, {})["engine"].tolist() == ["exact"]
