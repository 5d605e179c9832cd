"""The sweep against the same steps taken one by one, and after a stop."""

import importlib

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.indexes import build_index
from neighborhood_drift.metrics import drift
from neighborhood_drift.sweep import sweep

KS = [3, 10, 25]


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(1).normal(size=(300, 10)).astype(np.float32)


@pytest.fixture(scope="module")
def rows():
    return np.arange(0, 300, 5)


@pytest.fixture(scope="module")
def exact(base, rows):
    return exact_neighbors(base, base[rows], k=25, exclude=rows)


@pytest.mark.parametrize("name", ["faiss-flat", "faiss-hnsw", "faiss-hnsw-unbounded", "hnswlib"])
def test_each_k_is_a_search_of_its_own(name, base, rows, exact):
    index = build_index(name, base, M=4, seed=2) if name != "faiss-flat" else build_index(name, base, seed=2)
    table = sweep(index, base, rows, KS, 5, exact)
    for k in KS:
        found = index.search(base[rows], k, ef=5, exclude_self=rows)
        alone = drift(base, exact, {k: found}, rows=rows)
        part = table[table["k"] == k].reset_index(drop=True)
        pd.testing.assert_frame_equal(part[alone.columns.tolist()], alone)
        assert (part["engine"] == name).all() and (part["seed"] == 2).all() and (part["ef"] == 5).all()
        effective = {"faiss-flat": np.nan, "faiss-hnsw": 5}.get(name, max(5, k + 1))
        np.testing.assert_equal(part["effective_ef"].unique(), [effective])
        np.testing.assert_array_equal(part["self_missed"], ~found.self_found)
        if name == "hnswlib":
            assert part["distance_computations"].isna().all()
        else:
            assert (part["distance_computations"] == index.distance_computations / len(rows)).all()


def test_effort_as_a_function_of_k(base, rows, exact):
    table = sweep(build_index("hnswlib", base, M=4), base, rows, KS, lambda k: 2 * k, exact)
    assert table.groupby("k")["ef"].first().to_dict() == {3: 6, 10: 20, 25: 50}


def test_rows_of_none_are_all_points(base):
    exact = exact_neighbors(base, k=4)
    table = sweep(build_index("faiss-hnsw", base), base, None, [4], 300, exact)
    assert len(table) == 300 and table["overlap"].mean() > 0.99


def test_queries_that_are_not_base_points(base):
    queries = np.random.default_rng(8).normal(size=(20, 10)).astype(np.float32)
    exact = exact_neighbors(base, queries, k=6)
    table = sweep(build_index("faiss-hnsw-unbounded", base), base, None, [6], 4, exact, queries=queries)
    assert len(table) == 20 and (table["effective_ef"] == 6).all() and table["self_missed"].isna().all()


def test_a_stopped_sweep_goes_on_where_it_stopped(base, rows, exact, tmp_path, monkeypatch):
    index = build_index("faiss-hnsw", base, M=4)
    whole = sweep(index, base, rows, KS, 5, exact)
    searched = []
    search = index.search

    def stop_at_the_third(queries, k, **options):
        searched.append(k)
        if len(searched) == 3:
            raise KeyboardInterrupt
        return search(queries, k, **options)

    monkeypatch.setattr(index, "search", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        sweep(index, base, rows, KS, 5, exact, cache=tmp_path)
    again = sweep(index, base, rows, KS, 5, exact, cache=tmp_path)
    assert searched == [3, 10, 25, 25]
    pd.testing.assert_frame_equal(again, whole)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".npz"]


def test_what_changes_the_answer_is_not_fetched_from_the_cache(base, rows, exact, tmp_path, monkeypatch):
    index = build_index("faiss-hnsw", base, M=4)
    sweep(index, base, rows, [10], 5, exact, cache=tmp_path)
    other = rows + 1
    for changed in (
        (index, rows, [10], 6, exact),
        (index, rows, [9], 5, exact),
        (index.unbounded(), rows, [10], 5, exact),
        (build_index("faiss-hnsw", base, M=5), rows, [10], 5, exact),
        (index, other, [10], 5, exact_neighbors(base, base[other], k=25, exclude=other)),
        (index, rows, [10], 5, exact.first(20)),
    ):
        before = len(list(tmp_path.iterdir()))
        sweep(changed[0], base, *changed[1:], cache=tmp_path)
        assert len(list(tmp_path.iterdir())) == before + 1
    # the package exports the function under the module's name
    module = importlib.import_module("neighborhood_drift.sweep")
    monkeypatch.setattr(module, "code_digest", lambda *names: "another version of the code")
    before = len(list(tmp_path.iterdir()))
    sweep(index, base, rows, [10], 5, exact, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == before + 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ks": [26]}, "k is 26; it must be a whole number from 1 to 25"),
        ({"ks": []}, "ks is empty"),
        ({"ef": 0}, "ef is 0"),
        ({"rows": np.arange(7)}, "exact holds neighbors of 60 queries; 7 are asked"),
        ({"rows": np.arange(250, 310)}, "rows must be a list of whole numbers from 0 to 299"),
        ({"rows": np.zeros(60)}, "rows must be a list of whole numbers"),
        ({"queries": np.zeros((60, 10))}, "rows and queries are both given"),
        ({"base": np.zeros((300, 4))}, "base has 4 dimensions"),
        ({"base": np.zeros((300, 10))}, "the index was built over other points than base"),
    ],
)
def test_refusals(changed, sentence, base, rows, exact):
    arguments = {"base": base, "rows": rows, "ks": KS, "ef": 5, "exact": exact, **changed}
    with pytest.raises(InputError, match=sentence):
        sweep(build_index("faiss-hnsw", base), **arguments)
