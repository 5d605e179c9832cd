"""The traced search: the library's own answers, query by query, and its own count of distances."""

import faiss
import numpy as np
import pytest

from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import load_sample
from neighborhood_drift.graph import Graph, stack_levels
from neighborhood_drift.indexes import build_index
from neighborhood_drift.trace import distance_rows, same_answers, search, trace, undecided

N = 400
# k beyond the effort, below it, equal, far beyond, and both small
ASKED = [(101, 50), (20, 60), (30, 30), (200, 10), (1, 1)]


@pytest.fixture(scope="module", params=["random", "far off", "bundled"])
def points(request):
    if request.param != "bundled":
        away = 100 if request.param == "far off" else 0
        return (np.random.default_rng(0).normal(size=(N, 12)) + away).astype(np.float32)
    return load_sample("cifar10-resnet50", points=N).base


@pytest.fixture(scope="module", params=["l2", "cosine"])
def metric(request):
    return request.param


@pytest.fixture(scope="module", params=["faiss-hnsw", "faiss-hnsw-unbounded", "hnswlib"])
def index(request, points, metric):
    # few links, so that there are several levels and some neighbors are lost
    return build_index(request.param, points, metric=metric, M=6, ef_construction=40)


@pytest.mark.parametrize(("k", "ef"), ASKED)
def test_every_query_gets_the_librarys_own_answer_and_distance_count(index, points, metric, k, ef):
    """Left aside are queries whose answer hangs on the last bit of float32: a few in a hundred.

    Far from the origin, cosine distances are about 1e-4 and are rounded to about 1e-7: there few answers are decided.
    """
    distances = distance_rows(points, points, metric)
    traces = trace(index, distances, k, ef)
    decided = ~undecided(traces, distances, metric=metric)
    if metric == "cosine" and points.min() > 50 and ef == 1:
        return  # a walk from point to point, each step of which rounding decides there
    if metric == "l2" or points.min() < 50:
        assert decided.mean() > 0.97
    assert same_answers(traces, index.search(points, k, ef=ef))[decided].all()
    if not decided.any():
        return
    index.search(points[decided], k, ef=ef)
    if index.distance_computations is not None:  # hnswlib's Python module does not report its counts
        sure = [one for one, certain in zip(traces, decided, strict=True) if certain]
        assert sum(one.distance_computations for one in sure) == index.distance_computations
        assert sum(one.hops for one in sure) == faiss.cvar.hnsw_stats.nhops


def test_a_search_expands_all_it_visited_up_to_its_radius_and_nothing_twice(index, points, metric):
    distances = distance_rows(points, points, metric)
    for row, one in zip(distances, trace(index, distances, 30, 30), strict=True):
        assert len(set(one.visited.tolist())) == len(one.visited)
        assert one.visited[0] == one.entry
        assert set(one.visited[row[one.visited] <= one.radius]) <= set(one.expanded) <= set(one.visited)
        assert len(one.expanded) == len(set(one.expanded.tolist()))


def test_the_default_visits_the_same_points_whatever_k_is(points):
    index = build_index("faiss-hnsw", points, M=6, ef_construction=40)
    distances = distance_rows(points, points[:50])
    for small, large in zip(trace(index, distances, 5, 20), trace(index, distances, 200, 20), strict=True):
        np.testing.assert_array_equal(small.visited, large.visited)


def test_a_point_without_a_path_is_not_visited_and_the_list_stays_short():
    graph = Graph(np.zeros(3, dtype=int), stack_levels([([0, 1], [1, 0])], 3), 0)
    one = search(graph, [2.0, 3.0, 1.0], 3, 3, follows_k=True)
    assert one.ids.tolist() == [0, 1] and one.radius == np.inf
    assert one.distance_computations == 1


def test_levels_are_walked_down_to_the_nearest_point():
    # level 1: 0 - 1 - 2; level 0 has the point 3 beside 2
    links = stack_levels([([2, 3], [3, 2]), ([0, 1, 1, 2], [1, 0, 2, 1])], 4)
    graph = Graph(np.array([1, 1, 1, 0]), links, 0)
    one = search(graph, [3.0, 2.0, 1.0, 0.0], 1, 1, follows_k=True)
    assert one.entry == 2 and one.ids.tolist() == [3]
    # level 1: 0 reads one link, 1 two, 2 one (and stays); level 0: the point 3 is visited
    assert one.distance_computations == 1 + 2 + 1 + 1 and one.hops == 3 + 2


def test_distance_rows_are_the_plain_distances():
    rng = np.random.default_rng(1)
    base, queries = rng.normal(size=(30, 5)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    plain = ((queries[:, None].astype(np.float64) - base) ** 2).sum(axis=2)
    np.testing.assert_allclose(distance_rows(base, queries), plain, rtol=1e-12)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(base, axis=1)
    # the index holds unit vectors in float32, whose products are off by about 1e-7
    np.testing.assert_allclose(distance_rows(base, queries, "cosine"), 1 - queries @ base.T / lengths, atol=1e-6)


def test_rounding_of_small_cosine_distances_is_undecided():
    base = (np.random.default_rng(0).normal(size=(N, 12)) + 100).astype(np.float32)
    index, distances = build_index("hnswlib", base, metric="cosine"), distance_rows(base, base, "cosine")
    traces = trace(index, distances, 30, 30)
    differs = ~same_answers(traces, index.search(base, 30, ef=30))
    assert differs.any() and undecided(traces, distances, metric="cosine")[differs].all()


def test_an_index_of_compressed_vectors_is_not_traced():
    base = np.random.default_rng(0).normal(size=(N, 12)).astype(np.float32)
    with pytest.raises(InputError, match="faiss-hnsw-sq8 searches by compressed vectors"):
        trace(build_index("faiss-hnsw-sq8", base), distance_rows(base, base[:2]), 5, 10)
    with pytest.raises(InputError, match="1 traces for 2 rows of distances"):
        undecided([None], [[1.0], [2.0]])


def test_what_does_not_fit_is_refused():
    graph = Graph(np.zeros(2, dtype=int), stack_levels([([0, 1], [1, 0])], 2), 0)
    with pytest.raises(InputError, match=r"distances have shape \(3,\)"):
        search(graph, [1.0, 2.0, 3.0], 1, 1, follows_k=True)
    with pytest.raises(InputError, match="k is 3"):
        search(graph, [1.0, 2.0], 3, 1, follows_k=True)
