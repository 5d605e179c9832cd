"""Tiles, lists and intervals change nothing: ids, order and distances are those of float64, to the last bit."""

import tracemalloc

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neighborhood_drift import exact_search, screening
from neighborhood_drift.exact import distances_to, exact_ids, exact_neighbors, scales
from neighborhood_drift.exact_shortcuts import HALF, PRODUCT, ROUTES, shortcut_facts, shortcuts


def by_float64(base, k, metric="l2"):
    """All float64 distances, leave-one-out, ordered by (distance, id)."""
    distances = distances_to(base, base, np.tile(np.arange(len(base)), (len(base), 1)), metric=metric)
    np.fill_diagonal(distances, np.inf)
    ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(distances, ids, axis=1)


def assert_exact(base, k, metric="l2", **others):
    ids, distances = by_float64(base, k, metric)
    nb = exact_neighbors(base, k=k, metric=metric, **others)
    np.testing.assert_array_equal(nb.ids, ids)
    np.testing.assert_array_equal(nb.distances, distances)
    np.testing.assert_array_equal(exact_ids(base, k=k, metric=metric, **others), ids)


def search(base, k, chunks, metric="l2", block=None):
    factors, left_out = scales(base, metric), np.arange(len(base))
    return exact_search.Search(base, None, factors, factors, left_out, k, metric == "cosine", block, chunks)


def clusters(n, d, seed=0):
    """A few centers, many points at most of them, and copies: runs of intervals from one point to hundreds."""
    generator = np.random.default_rng(seed)
    spread = 10.0 ** generator.integers(-6, 1, 12)
    centers, which = generator.normal(size=(12, d)), generator.integers(0, 12, n)
    points = centers[which] + spread[which, None] * generator.normal(size=(n, d))
    points[generator.integers(0, n, n // 10)] = points[generator.integers(0, n, n // 10)]
    return points.astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 700),
    d=st.integers(1, 12),
    values=st.sampled_from([2, 3, 50, 0]),
    block=st.sampled_from([1, 64, 255, 256, 300, None]),
    metric=st.sampled_from(["l2", "cosine"]),
    power=st.sampled_from([-120, 0, 100]),
    data=st.data(),
)
def test_every_bit_is_that_of_float64(seed, n, d, values, block, metric, power, data):
    """Whole numbers with many ties (``values`` of them), or clusters with copies (0); short lists are cleared."""
    points = np.random.default_rng(seed).integers(1, values + 1, (n, d)) if values else clusters(n, d, seed)
    base = np.ldexp(points, power).astype(np.float32)
    k = data.draw(st.one_of(st.just(n - 1), st.integers(1, min(n - 1, 20))))
    if block == 1:
        base, k = base[:40], min(k, len(base[:40]) - 1)
    assert_exact(base, k, metric, block=block)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("n", [999, 1000, 1001, 2000])
def test_borders_of_tiles_and_chunks(n, metric):
    assert_exact(clusters(n, 1500 if n == 1001 else 30), 40, metric)


def test_points_in_order_of_their_distance():
    """Each tile holds nearer points than the one before, so that every list is cleared again and again."""
    assert_exact(np.linspace(1, 0, 1700, dtype=np.float32)[:, None] ** 3, 30, block=300)


def test_lists_without_room_are_asked_again():
    base = np.concatenate([clusters(300, 5), np.ones((700, 5))]).astype(np.float32)
    ((*_, counts),) = search(base, 9, False)._lists()
    assert (counts[300:] == screening.OVERFLOW).all() and (counts[:300] >= 9).any()
    assert_exact(base, 9)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_rows_by_parts_of_the_memory(metric, monkeypatch):
    """Some pairs stand in lists of two parts, and some tiles are taken from both sides."""
    base = clusters(800, 6)
    monkeypatch.setattr(exact_search, "LIST_BYTES", 2**21)
    assert len(list(search(base, 12, False, block=50)._lists())) > 2
    assert_exact(base, 12, metric, block=50)


def test_memory_is_bounded(monkeypatch):
    base, k = np.random.default_rng(0).normal(size=(6000, 4)).astype(np.float32), 10
    peaks = []
    for limit in (2**29, 2**22):
        monkeypatch.setattr(exact_search, "LIST_BYTES", limit)
        tracemalloc.start()
        exact_neighbors(base, k=k, block=200)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    tiles = numba.get_num_threads() * 4 * 200**2
    # Lists, tiles, results, and 40 bytes a point for copies of the vectors and numbers of their own.
    assert peaks[1] < 2**22 + tiles + 6000 * (2 * 8 * k + 16 * 4 + 40) + 2**20 < peaks[0]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_queries_of_their_own(metric):
    base, queries = clusters(1300, 600), clusters(70, 600, seed=1)
    every = np.tile(np.arange(len(base)), (70, 1))
    distances = distances_to(base, queries, every, metric=metric)
    exclude = np.arange(70) * 3
    distances[np.arange(70), exclude] = np.inf
    expected = np.argsort(distances, axis=1, kind="stable")[:, :25]
    for block in (None, 33):
        others = {"k": 25, "metric": metric, "exclude": exclude, "block": block}
        np.testing.assert_array_equal(exact_ids(base, queries, **others), expected)
        np.testing.assert_array_equal(exact_neighbors(base, queries, **others).ids, expected)


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("make", [clusters, lambda n, d: np.abs(clusters(n, d)) * 1e-30])
def test_intervals_hold_the_squared_distances(make, metric, chunks):
    base = np.asarray(make(120, 2048), np.float32)
    found = search(base, 5, chunks, metric)
    low, high = np.empty((2, 120, 120))
    tile = exact_search._product(found.base.near, found.base.near, exact_search._buffer(120**2, found.chunks))
    for i in range(120):
        for j in range(120):
            norms = found.base.norms[i], found.base.norms[j]
            low[i, j], high[i, j] = screening._interval(float(tile[i, j]), *norms, found.bound)
    wide = base.astype(np.float64) * scales(base, metric)[:, None]
    true = ((wide[:, None] - wide[None]) ** 2).sum(axis=2) * found.power**2
    assert (low <= true).all() and (true <= high).all()


def test_chunks_shorten_the_intervals():
    base = clusters(20, 2048)
    whole, parts = (search(base, 5, chunks).bound for chunks in (False, True))
    assert parts.slope < whole.slope / 3 and parts.share == whole.share


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_distance_is_the_same_from_both_sides(metric):
    base = clusters(200, 77)
    every = np.tile(np.arange(200), (200, 1))
    distances = distances_to(base, base, every, metric=metric)
    np.testing.assert_array_equal(distances, distances.T)


def test_ids_do_not_hang_on_threads():
    base = clusters(1200, 40)
    whole, threads = exact_ids(base, k=50), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(exact_ids(base, k=50), whole)
    finally:
        numba.set_num_threads(threads)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_what_shortcuts_save_is_counted(metric):
    n, k = 2500, 20
    base = np.random.default_rng(0).normal(size=(n, 64)).astype(np.float32)
    table = shortcuts(base, k=k, metric=metric, repeats=1).set_index("route")
    # Tiles of 1,000 points: of nine, three are only turned, and two of these are 500 wide.
    assert table.loc["each row by itself", "products"] == 1
    assert table.loc["ids", "products"] == pytest.approx(1 - (1000**2 + 2 * 1000 * 500) / n**2)
    ids = exact_ids(base, k=k, metric=metric)
    listed = np.zeros((n, n), bool)
    np.put_along_axis(listed, ids, True, axis=1)
    pairs = (listed | listed.T).sum() / 2
    candidates = table.loc["each row by itself", "distances"] * n * k
    # Each pair of a list once; a few candidates more than neighbors, and no more than all of them.
    measured = table.loc["ids and distances", "distances"] * n * k
    assert pairs <= measured <= pairs + candidates - n * k
    assert 0 <= table.loc["ids", "distances"] < 1 <= candidates / (n * k)
    assert (table["seconds"] > 0).all() and table["ratio"].iloc[0] == 1


def test_what_the_paper_cites_is_of_the_routes_it_names():
    """Each fact is made to differ from all others, so that none can stand for another."""
    names = [PRODUCT, HALF, *ROUTES]
    table = pd.DataFrame({"route": names, "products": [0.01 * row for row in range(6)], "seconds": 1.0})
    table["distances"], table["ratio"] = table["products"] + 0.1, table["products"] + 2
    assert shortcut_facts(table) == {
        "products_share": "5.0 %",
        "shared_distances": "13.0 %",
        "doubtful_distances": "15.0 %",
        "doubtful_unchunked": "14.0 %",
        "plain_ratio": 2.02,
        "search_ratio": 2.03,
        "ids_ratio": 2.05,
        "half_ratio": 2.01,
    }
