"""What is particular to one engine beyond the contract: the traps its adapter keeps away, and what it counts."""

import gc
import re

import numpy as np
import pytest

from neighborhood_drift.checks import InputError
from neighborhood_drift.indexes import ENGINES, build_index, load_index
from neighborhood_drift.indexes.redis_index import VectorSet

N, D = 300, 12


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(N, D)).astype(np.float32)


def needs(name):
    reason = ENGINES[name].missing()
    return pytest.mark.skipif(reason is not None, reason=str(reason))


class TestIVF:
    def test_few_cells_hold_fewer_than_k_points_and_the_rest_is_missing(self, points):
        found = build_index("faiss-ivf", points).search(points, 100, ef=1, exclude_self=True)
        assert (found.found < 100).all() and found.self_found.all()

    def test_counts_the_points_of_the_cells_opened_and_all_centers(self, points):
        index = build_index("faiss-ivf", points, nlist=20)
        index.search(points[:7], 5, ef=20)
        assert index.distance_computations == 7 * (N + 20)
        index.search(points[:7], 5, ef=1)
        one = index.distance_computations
        index.search(points[:7], 50, ef=1)
        assert index.distance_computations == one < 7 * N  # k opens no further cell

    def test_no_more_cells_than_points_and_no_more_effort_than_cells(self, points):
        index = build_index("faiss-ivf", points[:50], nlist=256)
        assert index.effort_range() == (1, 50) and index.effective_ef(10, 999) == 50
        assert build_index("faiss-ivf", points).effort_range() == (1, 17)  # the square root of 300

    def test_product_codes_fit_dimension_and_number_of_points(self, points):
        quantizer = build_index("faiss-ivf-pq", points[:200], subquantizers=5).native.pq
        assert (quantizer.M, quantizer.nbits) == (4, 7)  # 4 divides 12, and 2^7 is at most 200

    def test_training_on_few_points_prints_nothing(self, points, capfd):
        build_index("faiss-ivf-pq", points)
        assert capfd.readouterr() == ("", "")


def test_nsg_ends_for_any_number_of_points_and_has_no_missing_slot(points):
    for count in (
        10,
        64,
        101,
        102,
        110,
        251,
    ):  # the pool of the library's build has 64 places, its descent fails for few
        found = build_index("faiss-nsg", points[:count]).search(points[:5], count, ef=10 * count)
        assert (np.sort(found.ids, axis=1) == np.arange(count)).all()
    with pytest.raises(InputError, match="faiss-nsg needs at least 10 points; the base holds 9"):
        build_index("faiss-nsg", points[:9])


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_nsg_refuses_many_identical_points(points, metric):
    """The build of such a base never ends."""
    for copies in (17, 50, 200):
        scale = np.linspace(1, 9, copies - 1)[:, None] if metric == "cosine" else np.ones((copies - 1, 1))
        base = np.vstack([points[:20], scale * points[:1]]).astype(np.float32)
        with pytest.raises(InputError, match=f"the base holds {copies} identical points; faiss-nsg takes 16, half of"):
            build_index("faiss-nsg", base, metric=metric)
    for count in (4, 50):
        build_index("faiss-nsg", np.repeat(points[:count], 16, axis=0), metric=metric)


@pytest.mark.parametrize(("floats", "codes"), [("faiss-flat", "faiss-sq8"), ("faiss-hnsw", "faiss-hnsw-sq8")])
def test_codes_of_8_bits_take_a_quarter_of_the_vectors_space(floats, codes):
    points = np.random.default_rng(0).normal(size=(200, 256)).astype(np.float32)
    saved = build_index(floats, points).memory_bytes - build_index(codes, points).memory_bytes
    assert saved == pytest.approx(0.75 * points.nbytes, rel=0.05)


def test_an_engine_without_a_metric_says_which_it_has(points):
    with pytest.raises(InputError, match="faiss-flat-normalized has no metric l2; it has cosine"):
        build_index("faiss-flat-normalized", points, metric="l2")


def test_the_8_bit_graph_has_no_unbounded_search(points):
    with pytest.raises(InputError, match="faiss-hnsw-sq8 has no unbounded search"):
        build_index("faiss-hnsw-sq8", points).unbounded()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=needs(name)) for name in ("faiss-ivf", "faiss-ivf-pq", "usearch", "annoy", "scann")],
)
def test_another_seed_is_another_index(name, points):
    """Also where the library has none, and the seed decides the order of insertion."""
    lowest = [build_index(name, points, seed=seed).search(points, 50, ef=1) for seed in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (lowest[one].ids != lowest[other].ids).any()


@needs("usearch")
def test_usearch_stores_float32_and_marks_what_it_did_not_find(points):
    index = build_index("usearch", points)
    np.testing.assert_array_equal(index.native.get(np.arange(N, dtype=np.uint64)), points)
    apart = np.vstack([points[:60], points + 1e4]).astype(np.float32)
    found = build_index("usearch", apart, M=2, ef_construction=2).search(apart, 200, ef=1)
    assert (found.found < 200).any() and np.isinf(found.distances[found.ids == -1]).all()
    alone = build_index("usearch", apart, M=2, ef_construction=2).search(apart[:1], 200, ef=1)
    np.testing.assert_array_equal(alone.ids, found.ids[:1])


@needs("annoy")
def test_annoys_leaf_holds_as_many_points_as_dimensions_and_two(points):
    wide = np.random.default_rng(0).normal(size=(60, 58)).astype(np.float32)
    for count, whole in ((60, True), (61, False)):
        base = np.vstack([wide, wide[:1] + 9])[:count]
        found = build_index("annoy", base, trees=1).search(base[:1], count, ef=1)
        assert (found.found[0] == count) == whole


@needs("annoy")
def test_saving_annoy_removes_no_file_but_its_own(points, tmp_path):
    index = build_index("annoy", points)
    before = index.search(points, 5, ef=200).ids
    index.save(tmp_path / "a.index").unlink()
    np.testing.assert_array_equal(index.search(points, 5, ef=200).ids, before)


@needs("scann")
def test_scann_marks_what_it_did_not_find_and_prints_nothing(points, capfd):
    index = build_index("scann", points, seed=3)
    found = index.search(points, 100, ef=1, exclude_self=True)
    assert (found.found < 100).any() and np.isinf(found.distances[found.ids == -1]).all()
    index.threads = 2
    np.testing.assert_array_equal(index.search(points, 100, ef=1, exclude_self=True).ids, found.ids)
    assert capfd.readouterr() == ("", "")


@needs("scann")
def test_scann_makes_no_more_cells_than_points(points):
    assert build_index("scann", points[:50], leaves=400).effort_range() == (1, 50)


@needs("redis")
class TestRedis:
    def test_an_interrupted_build_leaves_no_key(self, points, monkeypatch):
        sets, calls = [], []

        def each(native, commands):
            sets.append(native.key)
            calls.append(native.server)
            if len(calls) > 1:
                raise KeyboardInterrupt
            return whole(native, commands)

        whole = VectorSet.each
        monkeypatch.setattr(VectorSet, "each", each)
        with pytest.raises(KeyboardInterrupt):
            build_index("redis", points, metric="cosine")
        gc.collect()
        assert calls[0].exists(sets[0]) == 0

    def test_limits_are_the_servers(self, points):
        with pytest.raises(InputError, match="M is 3; it must be a whole number from 4 to 4096"):
            build_index("redis", points, metric="cosine", M=3)
        with pytest.raises(InputError, match=r"ef_construction is 1000001; .* to 1000000"):
            build_index("redis", points, metric="cosine", ef_construction=1_000_001)
        index = build_index("redis", points[:5], metric="cosine", M=4096, ef_construction=1_000_000)
        assert index.effective_ef(3, 2**40) == 1_000_000

    def test_once_closed_it_says_so(self, points, tmp_path):
        index = build_index("redis", points, metric="cosine")
        index.close()
        for use in (lambda: index.search(points, 3), lambda: index.save(tmp_path / "r"), lambda: index.memory_bytes):
            with pytest.raises(InputError, match="This index is closed"):
                use()

    def test_the_key_goes_with_the_index(self, points):
        kept, gone = (build_index("redis", points, metric="cosine") for _ in range(2))
        server, keys = kept.native.server, [index.native.key for index in (kept, gone)]
        assert keys[0] != keys[1] and server.exists(*keys) == 2
        kept.close()
        del gone
        gc.collect()
        assert server.exists(*keys) == 0

    def test_a_loaded_set_is_another_key(self, points, tmp_path):
        index = build_index("redis", points, metric="cosine")
        again = load_index(index.save(tmp_path / "r.index"))
        index.close()
        assert again.search(points, 1, ef=N).ids[:, 0].tolist() == list(range(N))

    def test_fewer_bits_take_less_space_and_lose_accuracy(self, points):
        indexes = [build_index("redis", points, metric="cosine", bits=bits) for bits in (0, 8, 1)]
        sizes = [index.memory_bytes for index in indexes]
        assert sizes == sorted(sizes, reverse=True)
        errors = [np.abs(index.search(points, 1, ef=N).distances).max() for index in indexes]
        assert errors[0] < 1e-6 < errors[1]
        with pytest.raises(InputError, match="bits is 4; allowed are 0, 1, 8"):
            build_index("redis", points, metric="cosine", bits=4)


def test_without_a_redis_server_the_error_says_how_to_start_one(points, monkeypatch):
    pytest.importorskip("redis")
    for address in ("redis://127.0.0.1:1", "nonsense"):
        monkeypatch.setenv("REDIS_URL", address)
        with pytest.raises(InputError, match=f"answers at {address} .*REDIS_URL"):
            build_index("redis", points, metric="cosine")
        assert "start Redis 8" in ENGINES["redis"].missing()


def test_the_error_about_a_server_shows_no_password(points, monkeypatch):
    pytest.importorskip("redis")
    for address in (
        "redis://me:SECRET@127.0.0.1:1",
        "redis://:SEC/RET@127.0.0.1:1",
        "redis://127.0.0.1:1?password=SECRET",
    ):
        monkeypatch.setenv("REDIS_URL", address)
        with pytest.raises(InputError) as caught:
            build_index("redis", points, metric="cosine")
        assert not {"SEC", "RET"} & set(re.findall("SEC|RET", str(caught.value))) and caught.value.__cause__ is None
