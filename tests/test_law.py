"""The identity between visits and overlap, and the law fitted to visits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neighborhood_drift import Neighbors, build_index, exact_neighbors, law, overlap
from neighborhood_drift.checks import InputError


def nearest_visited(exact_ids, visited, k):
    """The k nearest visited points of each query, as a search that visits the same points for every k returns them."""
    ids = np.full((len(exact_ids), k), -1)
    for row, (order, seen) in enumerate(zip(exact_ids, visited, strict=True)):
        nearest = order[seen[order]][:k]
        ids[row, : len(nearest)] = nearest
    distances = np.where(ids >= 0, np.arange(1.0, k + 1), np.inf)
    return Neighbors(ids, distances)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 1.0))
def test_one_search_gives_the_overlap_at_every_k(seed, share):
    """overlap(k) = mean of p(1..k) holds exactly where the visited points do not depend on k."""
    rng = np.random.default_rng(seed)
    n, k = 40, 30
    order = np.array([rng.permutation(n) for _ in range(12)])
    visited = rng.random((12, n)) < share
    exact = Neighbors(order[:, :k], np.broadcast_to(np.arange(1.0, k + 1), (12, k)))
    p = law.visit_probability(exact, nearest_visited(order, visited, k))
    for cut in (1, 7, k):
        returned = nearest_visited(order, visited, cut).ids
        overlaps = [len(set(exact.ids[row, :cut]) & set(returned[row])) / cut for row in range(12)]
        assert law.overlap_from_visits(p)[cut - 1] == pytest.approx(np.mean(overlaps), abs=1e-12)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_one_search_of_faiss_gives_its_overlap_at_every_k_beyond_ef(metric):
    """The identity on a real index, where the library decides what is visited; to the last digit, as no tie is near."""
    base = np.random.default_rng(2).normal(size=(500, 8)).astype(np.float32)
    exact = exact_neighbors(base, k=60, metric=metric)
    index = build_index("faiss-hnsw", base, metric=metric, M=4)
    deepest = index.search(base, 60, ef=5, exclude_self=True)
    curve = law.overlap_from_visits(law.visit_probability(exact, deepest))
    for k in (10, 20, 40, 60):
        measured = overlap(exact.first(k), index.search(base, k, ef=5, exclude_self=True)).mean()
        assert curve[k - 1] == pytest.approx(measured, abs=1e-12)
    assert curve[-1] < 0.9  # something was missed, or the identity would say nothing


def test_among_agrees_with_sets_and_never_finds_a_missing_neighbor():
    rng = np.random.default_rng(3)
    ids, lists = (np.array([rng.permutation(16)[:k] - 1 for _ in range(50)]) for k in (9, 6))
    naive = [[i >= 0 and i in set(row) for i in wanted] for wanted, row in zip(ids, lists, strict=True)]
    assert np.array_equal(law.among(ids, lists), naive)
    assert not law.among([[-1]], [[-1]]).any()
    assert law.among([[1, 2]], np.empty((1, 0), dtype=int)).tolist() == [[False, False]]


@pytest.mark.parametrize(("a", "b"), [(0.8, 1.2), (3.0, 2.0), (6.0, 4.0)])
def test_the_fit_recovers_planted_constants_under_sampling_noise(a, b):
    """With 10,000 queries p(r) carries binomial noise of at most 0.005; 400 ranks pin a and b to 1 %."""
    rng = np.random.default_rng(7)
    planted = law.Law(a, b)
    measured = {ef: rng.binomial(10_000, law.predict(planted, ef, 400)) / 10_000 for ef in (25, 50, 75, 100)}
    found = law.fit({ef: measured[ef] for ef in (25, 100)})
    assert found.a == pytest.approx(a, rel=0.01)
    assert found.b == pytest.approx(b, rel=0.01)
    table = law.errors(found, measured, fitted=(25, 100))
    assert table["use"].tolist() == ["fitted", "predicted", "predicted", "fitted"]
    assert (table["rmse"] < 0.006).all()
    assert (table["largest_overlap_error"] <= table["largest_error"]).all()


def test_half_of_the_neighbors_at_rank_a_ef_are_visited():
    assert law.predict(law.Law(2.0, 3.0), ef=10, k=20)[19] == pytest.approx(0.5)


def test_overlap_from_perfect_visits_is_one():
    assert np.array_equal(law.overlap_from_visits(np.ones(5)), np.ones(5))


def test_bad_input_is_refused():
    nb = Neighbors([[0, 1]], [[1.0, 2.0]])
    with pytest.raises(InputError, match="at least the 2"):
        law.visit_probability(nb, nb.first(1))
    with pytest.raises(InputError, match="same"):
        law.visit_probability(nb, Neighbors([[0], [1]], [[1.0], [1.0]]))
    with pytest.raises(InputError, match="finite"):
        law.overlap_from_visits([np.nan])
    with pytest.raises(InputError, match="at least one ef"):
        law.fit({})
    with pytest.raises(InputError, match="ef is 0"):
        law.predict(law.Law(1.0, 1.0), ef=0, k=3)
