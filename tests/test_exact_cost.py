"""The four routes find the same neighbors, fits find the exponent put in, and float32's failures are seen."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.exact_cost import ROUTES, costs, exponents, float32_errors, largest_matrix, search_cost, ties


def whole_numbers(n=120, d=6):
    """Distances that float32 holds exactly, and nearly all of them different."""
    return np.random.default_rng(0).integers(-300, 300, (n, d)).astype(np.float32)


@pytest.mark.parametrize("route", ROUTES)
def test_routes_agree(route):
    base = whole_numbers()
    np.testing.assert_array_equal(ROUTES[route](base, 5), exact_neighbors(base, k=5).ids)


def test_the_library_leaves_out_the_point_and_not_its_duplicate():
    base = np.ones((6, 2), np.float32)
    ids = ROUTES["FAISS flat"](base, 3)
    assert (ids != np.arange(6)[:, None]).all() and ids.shape == (6, 3)


def test_costs_have_a_row_a_run_and_leave_out_what_does_not_fit():
    table = costs(whole_numbers(), [20, 40, 10**6], k=3, naive_largest=20, repeats=2)
    assert table.groupby("route")["n"].max().to_dict() == {
        "FAISS flat": 40, "blocked product": 40, "n x n matrix": 40, "naive loop": 20
    }  # fmt: skip
    assert (table[["seconds", "mib"]] > 0).all(axis=None) and len(table) == 14


def test_memory_of_the_matrix_is_that_of_its_values():
    base = np.random.default_rng(1).normal(size=(1500, 2)).astype(np.float32)
    matrix = costs(base, [1500], k=3, naive_largest=0, repeats=1).set_index("route").loc["n x n matrix", "mib"]
    # All else is a few numbers a point, hundreds of times less than its 1,500.
    assert matrix == pytest.approx(1500**2 * 4 / 2**20, rel=0.1)


def test_exponents_of_a_known_law():
    sizes = np.repeat([100, 200, 400], 2)
    table = pd.DataFrame({"route": "r", "n": sizes, "seconds": 1e-6 * sizes**1.5, "mib": 1e-3 * sizes**2.0})
    row = exponents(table).iloc[0]
    assert (row["time_exponent"], row["memory_exponent"]) == pytest.approx((1.5, 2.0))
    assert row["time_low"] <= 1.5 + 1e-9 and row["time_high"] >= 1.5 - 1e-9
    assert np.isnan(exponents(table[table["n"] == 100])["time_exponent"]).all()


def test_search_cost_is_measured():
    assert all(value > 0 for value in search_cost(whole_numbers(), k=3).values())


def test_the_largest_matrix_fits_and_the_next_does_not():
    n = largest_matrix(memory=10**6)
    assert 4 * n**2 <= 10**6 < 4 * (n + 1) ** 2
    assert largest_matrix() > 1000


def test_float32_keeps_whole_numbers():
    base = whole_numbers()
    rows = np.arange(0, 120, 7)
    exact = exact_neighbors(base, base[rows], k=20, exclude=rows)
    changes, signs = float32_errors(base, rows, exact, [5, 20])
    assert (changes[["changed_order", "changed_set", "changed_neighbors"]] == 0).all(axis=None)
    assert signs["negative"] == 0 and signs["own_nonzero"] == 0 and signs["error"] < 1e-7


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_float32_loses_what_lies_below_its_digits(metric):
    base = np.random.default_rng(2).normal(1000, 0.01, (300, 16)).astype(np.float32)
    rows = np.arange(300)
    exact = exact_neighbors(base, k=10, metric=metric)
    changes, signs = float32_errors(base, rows, exact, [10], metric=metric)
    assert changes["changed_order"].iloc[0] > 0.9 and changes["changed_set"].iloc[0] > 0.9
    assert signs["negative"] > 0 and signs["error"] > 0.1


def test_ties_of_a_line():
    exact = exact_neighbors(np.array([[0.0], [1.0], [2.0], [2.0], [9.0]]), k=4)
    table = ties(exact, [1, 2, 3]).set_index("k")
    assert table["zero"].tolist() == [2, 2, 2]  # the two points at 2
    assert table.loc[1, "across"] == 2  # from 1, both 0 and 2 are one away; from 9, the two points at 2 are seven away
    assert table["within"].tolist() == [0, 2, 3]  # the query at 0 has two at distance 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"sizes": [500]}, "no size"), ({"sizes": [20], "k": 20}, "from 1 to 19"), ({"repeats": 0}, "repeats is 0")],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        costs(whole_numbers(), **{"sizes": [20], "k": 3, "naive_largest": 20, "repeats": 1, **arguments})
