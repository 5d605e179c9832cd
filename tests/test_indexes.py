"""One contract, run against every engine; then what is particular to one library."""

import errno
import json
import os
import re
import sys

import faiss
import numpy as np
import pytest

from neighborhood_drift import names
from neighborhood_drift.checks import InputError
from neighborhood_drift.figures import style
from neighborhood_drift.files import checksum
from neighborhood_drift.graph import common_links
from neighborhood_drift.indexes import ENGINES, Index, build_index, build_indexes, load_index
from neighborhood_drift.indexes import base as base_module

GRAPHS = [name for name, engine in ENGINES.items() if engine.graph is not Index.graph]
N, D = 300, 12
# in the contract's words: what codes of 8 bits, and product codes, may be wrong by
STEP = 8 / 255  # one step of 8 bits over the range of 300 normal variates, about -4 to 4, in one dimension
LOSSY = {
    # a distance is wrong by at most the length of the rounding error: half a step in each dimension
    "faiss-sq8": {"rtol": 0, "atol": D**0.5 * STEP / 2},
    "faiss-hnsw-sq8": {"rtol": 0, "atol": D**0.5 * STEP / 2},
    # 12 parts of one dimension, each with 256 centers for offsets from 17 cells: about as fine as 8 bits, with tails
    "faiss-ivf-pq": {"rtol": 0, "atol": D**0.5 * STEP},
    # measured in float32, but where a code misled and a neighbor is lost, the ranks behind it move up by one
    "scann": {"rtol": 0, "atol": 0.15},
}


def usable():
    """Engines as parameters of a test; one that cannot be used here is skipped, with the sentence that says why."""
    reasons = {name: engine.missing() for name, engine in ENGINES.items()}
    return [pytest.param(name, marks=pytest.mark.skipif(bool(why), reason=str(why))) for name, why in reasons.items()]


def with_metrics():
    return [
        pytest.param(*engine.values, metric, marks=engine.marks)
        for engine in usable()
        for metric in ENGINES[engine.values[0]].metrics
    ]


def build(name, points, **options):
    """An index in the engine's first metric, where the metric does not matter."""
    return build_index(name, points, **{"metric": ENGINES[name].metrics[0], **options})


def overlap(one, other):
    """Mean share of ids that two arrays of lists have in common."""
    return np.mean([len(np.intersect1d(*lists)) / len(lists[0]) for lists in zip(one, other, strict=True)])


def fully(index, *arguments, **options):
    """Search at the highest effort."""
    return index.search(*arguments, ef=index.effort_range()[1], **options)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(N, D)).astype(np.float32)


def true_order(points, queries, metric):
    """Every base point of each query by float64 distance: the oracle of the contract."""
    x, q = points.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x, q = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, q))
        distances = 1 - q @ x.T
    else:
        distances = np.linalg.norm(q[:, None] - x[None], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    return order, np.take_along_axis(distances, order, axis=1)


# float32 products of 12 terms of size 1; near 0 the square root doubles what is left of a squared error
ACCURACY = {"rtol": 1e-4, "atol": 2e-3}


@pytest.mark.parametrize(("name", "metric"), with_metrics())
class TestContract:
    def test_full_effort_finds_the_true_neighbors_in_the_metrics_own_unit(self, name, metric, points):
        queries = np.random.default_rng(4).normal(size=(40, D)).astype(np.float32)
        order, distances = true_order(points, queries, metric)
        found = fully(build_index(name, points, metric=metric), queries, k=10)
        assert found.ids.shape == found.distances.shape == (40, 10) and found.self_found is None
        assert (name in LOSSY) is not ENGINES[name].exact_at_full_effort
        np.testing.assert_allclose(found.distances, distances[:, :10], **LOSSY.get(name, ACCURACY))
        assert (found.ids == order[:, :10]).mean() > (0.6 if name in LOSSY else 0.99)

    def test_leave_one_out_drops_the_query_by_its_id(self, name, metric, points):
        found = fully(build_index(name, points, metric=metric), points, k=7, exclude_self=True)
        _, distances = true_order(points, points, metric)
        assert (found.ids != np.arange(N)[:, None]).all()
        # a graph may hold a few points that no link leads to; they are missing from other points' lists too
        assert found.self_found.mean() > 0.98
        assert np.isclose(found.distances, distances[:, 1:8], **LOSSY.get(name, ACCURACY)).mean() > 0.98

    def test_thinned_leave_one_out_is_the_same_search(self, name, metric, points):
        index, rows = build_index(name, points, metric=metric), np.array([5, 17, 200])
        thinned = index.search(points[rows], k=7, exclude_self=rows)
        every = index.search(points, k=7, exclude_self=True).rows(rows)
        np.testing.assert_array_equal(thinned.ids, every.ids)

    def test_a_duplicate_does_not_replace_the_query(self, name, metric, points):
        doubled = np.vstack([points, points[:1]])
        found = fully(build_index(name, doubled, metric=metric), doubled[[0, N]], k=3, exclude_self=[0, N])
        assert found.ids[0, 0] == N and found.ids[1, 0] == 0
        np.testing.assert_allclose(found.distances[:, 0], 0, **LOSSY.get(name, ACCURACY))

    def test_all_points_can_be_asked_for_and_none_comes_twice(self, name, metric, points):
        found = fully(build_index(name, points, metric=metric), points[:20], k=N)
        for row in found.ids:
            answered = row[row >= 0]
            assert len(set(answered)) == len(answered)
        assert (found.found >= N - 2).all()

    def test_saved_and_loaded_it_gives_the_same_answers_at_the_same_effort(self, name, metric, points, tmp_path):
        index = build_index(name, points, metric=metric, seed=5)
        index.ef, index.threads = 17, 2
        again = load_index(index.save(tmp_path / "kept.index"))
        assert (again.engine, again.params, again.metric, again.seed) == (name, index.params, metric, 5)
        assert (again.ef, again.threads, again.seconds, again.key) == (17, 2, index.seconds, index.key)
        for k in (5, 40):
            one, two = index.search(points, k), again.search(points, k)
            np.testing.assert_array_equal(one.ids, two.ids)
            np.testing.assert_array_equal(one.distances, two.distances)

    def test_same_seed_same_answers_and_threads_of_the_search_do_not_matter(self, name, metric, points):
        one, two = (build_index(name, points, metric=metric, seed=2) for _ in range(2))
        two.threads = 2
        one, two = (index.search(points, 9, ef=3).ids for index in (one, two))
        # where the library has no seed, two graphs of 300 points agree on nearly all
        assert (one == two).mean() >= (1 if ENGINES[name].repeatable else 0.9)

    def test_float16_and_integers_are_accepted(self, name, metric, points):
        whole = np.round(points * 4)
        whole[:, 0] = 1
        answers = [
            fully(build_index(name, whole.astype(dtype), metric=metric), whole.astype(dtype), 4).ids
            for dtype in (np.float32, np.float16, np.int8)
        ]
        np.testing.assert_array_equal(answers[0], answers[1])
        np.testing.assert_array_equal(answers[0], answers[2])

    def test_effort_lies_in_its_range_and_more_of_it_finds_no_less(self, name, metric, points):
        index = build_index(name, points, metric=metric)
        low, high = index.effort_range()
        assert 1 <= low <= high and (high > 1) is (index.effort is not None)
        order, _ = true_order(points, points, metric)
        recall = [
            np.isin(index.search(points[[i]], 20, ef=ef).ids, order[i, :20]).mean()
            for ef in (low, high)
            for i in range(40)
        ]
        assert np.mean(recall[:40]) <= np.mean(recall[40:])
        assert index.effective_ef(20, high) in ([None] if index.effort is None else range(low, max(high, 20) + 1))

    def test_an_index_holds_the_vectors_or_their_codes(self, name, metric, points):
        """The bound above allows 64 links a point, or 50 trees, beside 12 dimensions."""
        codes = N * D if name in LOSSY else points.nbytes
        assert codes <= build_index(name, points, metric=metric).memory_bytes < 30 * points.nbytes

    def test_few_points_are_enough(self, name, metric, points):
        for few in {ENGINES[name].fewest, max(3, ENGINES[name].fewest)}:
            found = fully(build_index(name, points[:few], metric=metric), points[:few], few)
            assert (found.ids[:, 0] == np.arange(few)).all() or name in LOSSY

    def test_the_largest_seed_and_any_effort_and_threads_are_taken(self, name, metric, points):
        index = build_index(name, points, metric=metric, seed=2**31 - 2, threads=300)
        most = index.search(points[:9], 5, ef=2**40).ids
        np.testing.assert_array_equal(most, index.search(points[:9], 5, ef=10**6).ids)
        with pytest.raises(InputError, match="seed is 2147483647; it must be a whole number from 0 to 2147483646"):
            build_index(name, points, metric=metric, seed=2**31 - 1)


@pytest.mark.parametrize("name", usable())
class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"k": 0}, "k is 0; it must be a whole number from 1 to 300."),
            ({"k": N + 1}, "k is 301; it must be a whole number from 1 to 300."),
            ({"k": N, "exclude_self": True}, "k is 300; it must be a whole number from 1 to 299."),
            ({"k": 2.5}, "k is 2.5; it must be a whole number from 1 to 300."),
            ({"k": 5, "ef": 0}, "ef is 0; it must be a whole number of at least 1."),
            ({"k": 5, "exclude_self": [1, 2]}, "must be True, False or 300 whole numbers"),
            ({"k": 5, "exclude_self": np.full(N, N)}, "allowed are 0 to 299"),
        ],
    )
    def test_search(self, name, points, arguments, sentence):
        with pytest.raises(InputError, match=re.escape(sentence)):
            build(name, points).search(points, **arguments)

    def test_queries(self, name, points):
        index = build(name, points)
        with pytest.raises(InputError, match="queries has 5 dimensions; the base has 12"):
            index.search(points[:, :5], 3)
        with pytest.raises(InputError, match="NaN or infinite"):
            index.search(np.full((1, D), np.nan), 3)
        with pytest.raises(InputError, match="pass their row numbers"):
            index.search(points[:10], 3, exclude_self=True)

    def test_parameters(self, name, points):
        known = ", ".join(ENGINES[name].defaults) or "none"
        with pytest.raises(InputError, match=f"no build parameter efConstruction; known are: {known}"):
            build(name, points, efConstruction=3)
        with pytest.raises(InputError, match="metric is 'l3'; known are l2, cosine"):
            build(name, points, metric="l3")
        with pytest.raises(InputError, match="seed is -1"):
            build(name, points, seed=-1)
        with pytest.raises(InputError, match="threads is 0"):
            build(name, points, threads=0)

    def test_a_damaged_or_missing_file(self, name, points, tmp_path):
        path = build(name, points).save(tmp_path / "kept.index")
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(InputError, match="does not match the checksum"):
            load_index(path)
        with pytest.raises(InputError, match="is not a saved index"):
            load_index(tmp_path / "absent.index")
        for text in ("", "{", "[]", "{}"):
            (tmp_path / "kept.index.json").write_text(text)
            with pytest.raises(InputError, match=r"kept\.index\.json is damaged"):
                load_index(path)

    def test_vectors_whose_distances_float32_cannot_hold(self, name, points):
        if "l2" not in ENGINES[name].metrics:
            pytest.skip("lengths do not matter to the cosine")
        with pytest.raises(InputError, match=r"base holds a vector of length .* scale the vectors"):
            build(name, points * np.float32(1e19))
        with pytest.raises(InputError, match="queries holds a vector of length"):
            build(name, points).search(points * np.float32(1e19), 3)
        large = build(name, points * np.float32(1e18)).search(points * np.float32(1e18), 3, ef=N)
        assert np.isfinite(large.distances).all()
        build(name, points * np.float32(1e19), metric="cosine")  # lengths do not matter there

    def test_a_missing_library_says_what_to_install(self, name, points, monkeypatch):
        if ENGINES[name].package == "numpy":
            pytest.skip("NumPy is never missing")
        monkeypatch.setitem(sys.modules, ENGINES[name].package, None)
        with pytest.raises(ImportError, match="pip install"):
            build(name, points, metric=ENGINES[name].metrics[-1])
        assert "pip install" in ENGINES[name].missing()


def test_every_engine_has_its_names_and_is_told_apart_without_color():
    assert set(names.ENGINES) == set(style.ENGINES) == {"exact", *ENGINES}
    for which in zip(*names.ENGINES.values(), strict=True):
        assert len(set(which)) == len(names.ENGINES)
    markers = [marker for _, marker, _ in style.ENGINES.values()]
    assert len(set(markers)) == len(markers)


def test_an_unknown_engine_is_refused_with_the_known_ones(points):
    with pytest.raises(InputError, match="engine is 'faise'; known are numpy, faiss-flat"):
        build_index("faise", points)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_seed_changes_the_graph_for_each_seed_from_zero(name, points):
    levels = [build_index(name, points, seed=seed, M=4).graph().levels for seed in range(4)]
    assert len({tuple(level) for level in levels}) == 4


def test_insertion_seed_changes_hnswlibs_links_where_its_seed_does_not(points):
    """Ids and vectors stay together, and each seed gives another order."""
    one, reseeded = (build_index("hnswlib", points, seed=seed).graph() for seed in (0, 1))
    assert common_links(one, reseeded)["jaccard"] > 0.95
    shuffled = [build_index("hnswlib", points, insertion_seed=seed) for seed in (1, 2)]
    assert common_links(one, shuffled[0].graph())["jaccard"] < 0.9
    assert common_links(shuffled[0].graph(), shuffled[1].graph())["jaccard"] < 0.9
    found = shuffled[0].search(points, 1, ef=N)
    np.testing.assert_array_equal(found.ids[:, 0], np.arange(N))
    np.testing.assert_allclose(shuffled[0].native.get_items([7]), points[7:8])


@pytest.mark.parametrize("name", GRAPHS)
def test_m_of_one_is_refused(name, points):
    with pytest.raises(InputError, match="M is 1; it must be a whole number of at least 2"):
        build_index(name, points, M=1)


def islands():
    """A cluster of 60 points and, far away, one of 300: with M = 2 no link connects the two."""
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(60, 3)), rng.normal(size=(300, 3)) + 1e4
    return np.vstack([near, far]).astype(np.float32)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_neighbors_the_library_did_not_find_are_missing_slots(name, metric):
    base = islands()
    index = build_index(name, base, metric=metric, M=2, ef_construction=2)
    found = index.search(base, k=200, ef=1, exclude_self=True)
    assert (found.found < 200).any()
    missing = found.ids == -1
    assert np.isinf(found.distances[missing]).all() and np.isfinite(found.distances[~missing]).all()
    assert found.distances[~missing].max() < 1e6  # FAISS pads with 3.4e38
    assert (found.ids != np.arange(len(base))[:, None]).all()


def test_hnswlib_gives_a_refused_query_all_the_neighbors_there_are():
    base = islands()
    index = build_index("hnswlib", base, M=2, ef_construction=2)
    found = index.search(base, k=200, ef=1)
    short = np.flatnonzero(found.found < 200)
    assert short.size
    index.native.set_ef(200)
    for row in short[:20]:
        count = int(found.found[row])
        index.native.knn_query(base[row], k=count)
        with pytest.raises(RuntimeError):
            index.native.knn_query(base[row], k=count + 1)


def test_another_failure_of_hnswlib_is_no_missing_neighbor(points):
    """A query that is refused for another reason must not look like one without neighbors."""

    class Broken:
        ef = 10

        def set_ef(self, ef):
            pass

        def knn_query(self, queries, **options):
            raise RuntimeError("Not enough memory")

    index = build_index("hnswlib", points)
    index.native = Broken()
    with pytest.raises(RuntimeError, match="Not enough memory"):
        index.search(points, 3)


def test_where_the_query_was_not_returned_the_last_neighbor_goes():
    base = islands()
    index = build_index("hnswlib", base, M=2, ef_construction=2)
    whole, cut = index.search(base, 5, ef=1), index.search(base, 4, ef=1, exclude_self=True)
    lost = ~cut.self_found
    assert lost.any()
    np.testing.assert_array_equal(cut.ids[lost], whole.ids[lost, :4])


class TestFaiss:
    def test_beyond_ef_the_default_rule_visits_the_same_points_whatever_k_is(self, points):
        index = build_index("faiss-hnsw", points, M=4)
        index.search(points, k=20, ef=10)
        visited = index.distance_computations
        index.search(points, k=100, ef=10)
        assert index.distance_computations == visited
        following = index.unbounded()
        following.search(points, k=100, ef=10)
        assert following.distance_computations > visited

    def test_the_unbounded_view_is_the_unbounded_engine(self, points):
        view = build_index("faiss-hnsw", points, M=4, seed=7).unbounded()
        built = build_index("faiss-hnsw-unbounded", points, M=4, seed=7)
        assert view.engine == built.engine == "faiss-hnsw-unbounded" and view.key == built.key
        np.testing.assert_array_equal(view.search(points, 30, ef=5).ids, built.search(points, 30, ef=5).ids)

    def test_effective_effort(self, points):
        index = build_index("faiss-hnsw", points)
        assert index.effective_ef(251, 50) == 50
        assert index.unbounded().effective_ef(251, 50) == 251
        assert build_index("hnswlib", points).effective_ef(251, 50) == 251
        assert build_index("faiss-flat", points).effective_ef(251, 50) is None

    def test_flat_counts_every_distance_and_hnswlib_none(self, points):
        flat = build_index("faiss-flat", points)
        flat.search(points[:7], 3)
        assert flat.distance_computations == 7 * N
        index = build_index("hnswlib", points)
        index.search(points[:7], 3)
        assert index.distance_computations is None

    def test_the_number_of_threads_is_restored(self, points):
        before = faiss.omp_get_max_threads()
        index = build_index("faiss-hnsw", points, threads=1)
        index.threads = before + 1
        index.search(points, 3)
        assert faiss.omp_get_max_threads() == before


class TestCache:
    def test_the_key_covers_the_code_that_scales_vectors(self, points, monkeypatch):
        hashed = []
        monkeypatch.setattr(base_module, "code_digest", lambda *modules: hashed.extend(modules) or "")
        build_index("faiss-hnsw", points)
        assert [name.rpartition(".")[2] for name in hashed] == ["base", "faiss_flat", "faiss_hnsw", "points"]

    @pytest.mark.parametrize("name", usable())
    def test_a_kept_index_is_fetched_and_answers_alike(self, name, points, tmp_path, monkeypatch):
        built = build(name, points, cache=tmp_path)
        monkeypatch.setattr(ENGINES[name], "build", None)
        kept = build(name, points, cache=tmp_path)
        assert kept.seconds == built.seconds and kept.engine == name
        np.testing.assert_array_equal(kept.search(points, 20).ids, built.search(points, 20).ids)

    @pytest.mark.parametrize("suffix", ["", ".json"])
    @pytest.mark.parametrize("name", usable())
    def test_a_damaged_kept_index_is_built_again(self, name, suffix, points, tmp_path):
        built = build(name, points, cache=tmp_path)
        (kept,) = tmp_path.glob(f"*.index{suffix}")
        kept.write_bytes(kept.read_bytes()[:-9])
        again = build(name, points, cache=tmp_path)
        np.testing.assert_array_equal(again.search(points, 5).ids, built.search(points, 5).ids)
        assert load_index(next(tmp_path.glob("*.index"))).key == built.key

    def test_what_makes_another_index_makes_another_key(self, points):
        keys = {
            build_index("faiss-hnsw", base, **changed).key
            for base, changed in [
                (points, {}),
                (points, {"M": 8}),
                (points, {"ef_construction": 40}),
                (points, {"seed": 1}),
                (points, {"metric": "cosine"}),
                (points, {"threads": 2}),
                (points[:-1], {}),
                (points[::-1], {}),
            ]
        }
        assert len(keys) == 8

    def test_the_description_is_plain_json(self, points, tmp_path):
        path = build_index("hnswlib", points, seed=np.int64(4)).save(tmp_path / "a.index")
        about = json.loads((tmp_path / "a.index.json").read_text())
        assert about["seed"] == 4 and about["version"].startswith("hnswlib ") and path.exists()


def test_indexes_built_side_by_side_are_those_built_alone(points):
    specs = [{"name": name, "M": m, "seed": 3} for name in ("faiss-hnsw", "hnswlib") for m in (4, 8)]
    together = build_indexes(specs, points, workers=2, progress=False)
    for spec, index in zip(specs, together, strict=True):
        alone = build_index(base=points, **spec)
        assert index.key == alone.key
        np.testing.assert_array_equal(index.search(points, 25, ef=5).ids, alone.search(points, 25, ef=5).ids)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "faise"}, "engine is 'faise'"),
        ({"name": "hnswlib", "ef_construction": 0}, "ef_construction is 0"),
        ({"name": "hnswlib", "seed": -1}, "seed is -1"),
        ({"name": "faiss-hnsw", "efs": 3}, "no build parameter efs"),
    ],
)
def test_a_wrong_value_is_named_before_any_index_is_built(wrong, sentence, points, monkeypatch):
    for engine in ENGINES.values():
        monkeypatch.setattr(engine, "build", None)
    with pytest.raises(InputError, match=sentence):
        build_indexes([{"name": "hnswlib"}, {"name": "faiss-hnsw"}, wrong], points, workers=1, progress=False)


@pytest.mark.parametrize("name", usable())
class TestFullDisk:
    def test_is_the_systems_error_and_leaves_nothing(self, name, points, tmp_path, monkeypatch):
        index, write = build(name, points), ENGINES[name]._write
        monkeypatch.setattr(ENGINES[name], "_write", lambda self, path: write(self, Full(path)))
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
            index.save(tmp_path / "kept.index")
        assert caught.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())

    def test_is_not_what_another_failure_is_taken_for(self, name, points, tmp_path, monkeypatch):
        def write(self, path):
            raise RuntimeError("a bug")

        monkeypatch.setattr(ENGINES[name], "_write", write)
        with pytest.raises(RuntimeError, match="a bug"):
            build(name, points).save(tmp_path / "kept.index")


class Full:
    """A path whose file takes no byte: the device that is always full."""

    def __init__(self, path):
        self.stat = path.stat

    def __str__(self):
        return "/dev/full"


def test_checksum_knows_shape_and_type():
    zeros = np.zeros(4)
    sums = {checksum(a) for a in (zeros, zeros.reshape(2, 2), zeros.astype(np.float32), zeros.astype(int))}
    assert len(sums) == 4
