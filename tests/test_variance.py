"""Variance: agreement and components on values made with known ones; graphs after deletions."""

import faiss
import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import cause_facts, deletion, variance, why
from neighborhood_drift.checks import InputError
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import causes as draw
from neighborhood_drift.indexes import build_index


def made(orders, seeds, builds, queries, deviations, rng, crossed=(0, 0, 0)):
    """Values with normal effects of query, order, seed and build, and of query x the last three; deviations known."""
    of_query, of_order, of_seed, of_build = (scale * rng.normal(size=n) for scale, n in zip(
        deviations, (queries, orders, orders * seeds, orders * seeds * builds), strict=True
    ))  # fmt: skip
    index = pd.MultiIndex.from_product(
        [range(orders), range(seeds), range(builds), range(queries)], names=["order", "seed", "build", "query"]
    )
    table = index.to_frame(index=False)
    seed = table["order"] * seeds + table["seed"]
    value = (
        of_query[table["query"]] + of_order[table["order"]] + of_seed[seed] + of_build[seed * builds + table["build"]]
    )
    by_order, by_seed, by_build = (scale * rng.normal(size=(n, queries)) for scale, n in zip(
        crossed, (orders, orders * seeds, orders * seeds * builds), strict=True
    ))  # fmt: skip
    value += by_order[table["order"], table["query"]] + by_seed[seed, table["query"]]
    return table.assign(value=value + by_build[seed * builds + table["build"], table["query"]])


def test_components_are_unbiased_where_they_are_known():
    rng = np.random.default_rng(0)
    deviations, crossed = (3.0, 1.0, 2.0, 0.5), (1.0, 1.5, 2.0)
    found = [variance.budget(made(8, 3, 2, 40, deviations, rng, crossed), draws=10)["variance"] for _ in range(300)]
    # the order's component has 7 degrees of freedom: the mean of 300 estimates is off by a tenth or so
    assert np.mean(found, axis=0) == pytest.approx([9 / 40, (1 + 2.25 + 4) / 40, 1, 4, 0.25], rel=0.2)


def test_what_queries_have_on_one_graph_alone_is_not_charged_to_the_graphs():
    """Graphs that are all alike: the first two rows are the variance over queries of a mean on one graph."""
    rng, found, on_one = np.random.default_rng(5), [], []
    for _ in range(40):
        table = made(4, 2, 2, 500, (0.05, 0, 0, 0), rng, (0, 0, 0.1))
        found.append(variance.budget(table, draws=10)["variance"])
        on_one.append(table.groupby(["order", "seed", "build"])["value"].var().mean() / 500)
    found = np.mean(found, axis=0)
    assert np.sqrt(found[:2]) == pytest.approx([0.05 / np.sqrt(500), 0.1 / np.sqrt(500)], rel=0.05)
    assert found[:2].sum() == pytest.approx(np.mean(on_one), rel=0.01)
    # negative estimates are set to 0, so that the rest is above 0 in the mean
    assert (found[2:] < 0.15 * found[:2].sum()).all() and found[2:].sum() < 0.4 * found[:2].sum()


def test_intervals_cover_what_they_should():
    rng = np.random.default_rng(1)
    deviations, crossed = np.array([3.0, 1.0, 2.0, 0.5]), (0.0, 0.5, 1.0)
    truth = np.array([3 / np.sqrt(40), np.sqrt(1.25 / 40), 1, 2, 0.5])
    covered, low, high = [], [], []
    for _ in range(200):
        found = variance.budget(made(6, 3, 3, 40, deviations, rng, crossed), draws=1000)
        covered.append((found["low"] <= truth) & (truth <= found["high"]))
        low.append(found["low"] / truth)
        high.append(found["high"] / truth)
    # 200 trials of a 95 % interval: three standard deviations are 4.6 %, and generalised intervals err on the wide side
    assert (np.mean(covered, axis=0) > 0.90).all()
    # chi-square limits by degrees of freedom: 39 (query), 5 (order, beside a seed of variance 4), 12 (seed), 36 (build)
    assert (np.median(high, axis=0) < [1.4, 1.2, 3.5, 1.8, 1.5]).all()
    assert (np.median(low, axis=0)[[0, 1, 3, 4]] > [0.7, 0.8, 0.6, 0.6]).all()
    # an interval that always covers is too wide for the rows whose mean square is theirs alone
    assert (np.mean(covered, axis=0)[[0, 1, 4]] < 0.995).all()


def test_nothing_varies_and_what_is_not_balanced():
    table = made(2, 2, 2, 5, (0, 0, 0, 0), np.random.default_rng(0))
    found = variance.budget(table)
    assert (found["variance"] == 0).all() and found["share"].isna().all()
    assert cause_facts.variance_facts(found)["to_resample"] == "none"
    with pytest.raises(InputError, match="balanced"):
        variance.budget(table[:-5])
    with pytest.raises(InputError, match="two of each"):
        variance.budget(table[table["build"] == 0])
    with pytest.raises(InputError, match="two of each"):
        variance.budget(table[table["query"] == 0])
    with pytest.raises(InputError, match="balanced"):
        variance.budget(pd.concat([table[1:], table[-1:]]))
    with pytest.raises(InputError, match="1 values of the design are not finite"):
        variance.budget(table.assign(value=table["value"].where(table.index > 0)))


def test_what_is_to_be_resampled_follows_from_the_budget():
    rng = np.random.default_rng(6)
    alike = variance.budget(made(4, 2, 2, 500, (0.05, 0, 0, 0), rng, (0, 0, 0.1)))
    named = cause_facts.variance_facts(alike, counted=0.5)
    assert named["to_resample"] == "queries" and named["largest_source"] == "query x graph"
    assert named["deviation_one_graph"] == f"{100 * np.sqrt(alike['variance'][:2].sum()):.2f}"
    named = cause_facts.variance_facts(variance.budget(made(4, 2, 2, 500, (0.05, 1, 0, 0), rng)))
    assert named["to_resample"] == "insertion order" and named["share_queries"] == "0 %"


def test_icc_is_that_of_the_model():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4000, 1)) + rng.normal(size=(4000, 3)) * np.sqrt(0.25)
    value, low, high = variance.icc(values, resamples=200)
    assert value == pytest.approx(0.8, abs=0.02) and low < 0.8 < high
    assert variance.icc(rng.normal(size=(4000, 3)), resamples=10)[0] == pytest.approx(0, abs=0.05)


def test_icc_interval_covers_with_fifty_queries():
    rng, covered, width = np.random.default_rng(7), [], []
    for trial in range(200):
        values = rng.normal(size=(50, 1)) + rng.normal(size=(50, 3))
        _, low, high = variance.icc(values, seed=trial, resamples=200)
        covered.append(low <= 0.5 <= high)
        width.append(high - low)
    assert np.mean(covered) > 0.88 and np.mean(width) < 0.4


def test_icc_of_the_textbook():
    """Shrout and Fleiss (1979), table 2: six targets, four judges, ICC(1,1) = 0.17."""
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert round(variance.icc(ratings)[0], 2) == 0.17
    assert np.isnan(variance.icc(np.ones((5, 3)))[0])
    with pytest.raises(InputError, match="at least two"):
        variance.icc([[1.0], [2.0]])
    with pytest.raises(InputError, match="not an array of numbers"):
        variance.icc([["a", "b"], ["c", "d"]])
    with pytest.raises(InputError, match="resamples is 0"):
        variance.icc(ratings, resamples=0)


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)


def test_repeated_builds_are_nested_and_differ_by_order(base):
    table = variance.repeated_builds(
        lambda index: [index.graph().in_degree()[0], index.params["insertion_seed"], index.seed],
        base, orders=2, seeds=2, builds=2, threads=1, M=4, ef_construction=20,
    )  # fmt: skip
    assert len(table) == 8 * 3
    values = table.pivot_table("value", ["order", "seed", "build"], "query")
    assert values[1].tolist() == [1] * 4 + [2] * 4
    # four graphs, each built twice by one thread: no seed serves two orders
    assert sorted(set(values[2])) == [0, 1, 2, 3] and values[2].tolist() == np.repeat(range(4), 2).tolist()
    one_thread = table.groupby(["order", "seed", "query"])["value"].nunique()
    assert (one_thread == 1).all()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("rounds", [1, 3])
def test_after_deletions_all_points_are_there_under_their_own_ids(base, metric, rounds):
    index, rebuilt = deletion.churned(base, 100, rounds, metric=metric, M=8, ef_construction=60)
    for one in (index, rebuilt):
        found = one.search(base, 1, ef=300)
        graph = one.graph()
        reachable = np.setdiff1d(np.arange(300), graph.unreachable())
        # at full effort a point that can be reached is its own nearest
        assert (found.ids[reachable, 0] == reachable).mean() > 0.99
        assert found.distances[reachable, 0] == pytest.approx(0, abs=1e-3)
        assert graph.size == 300 and (graph.out_degree() > 0).all()
        assert one.native.get_current_count() == 300


def test_an_index_after_deletions_has_its_own_key_and_no_file(base, tmp_path):
    index, rebuilt = deletion.churned(base, 100, M=8, ef_construction=60)
    plain = build_index("hnswlib", base, M=8, ef_construction=60)
    assert len({index.key, rebuilt.key, plain.key, deletion.churned(base, 50, M=8, ef_construction=60)[0].key}) == 4
    for one in (index, rebuilt):
        with pytest.raises(InputError, match="not written to a file"):
            one.save(tmp_path / "kept.index")
    assert not list(tmp_path.iterdir())


def test_without_deletions_the_two_are_one_graph(base):
    index, rebuilt = deletion.churned(base, 0, M=8, ef_construction=60)
    assert (index.graph().neighbors() != rebuilt.graph().neighbors()).nnz == 0


def test_compare_and_its_figure(base):
    rows = np.arange(0, 300, 3)
    exact = exact_neighbors(base, base[rows], k=5, exclude=rows)
    table = deletion.compare(base, rows, exact, [0.0, 0.5], rounds=[1, 2], ef=5, M=4, ef_construction=20)
    assert table[["share", "rounds", "deleted"]].to_numpy().tolist() == [[0, 0, 0], [0.5, 1, 150], [0.5, 2, 150]]
    assert table.loc[0, "difference"] == 0
    assert table["difference"].to_numpy() == pytest.approx((table["overlap"] - table["overlap_rebuilt"]).to_numpy())
    assert ((table["low"] <= table["difference"]) & (table["difference"] <= table["high"])).all()
    assert cause_facts.deletion_facts(table)["share50_overlap"] == f"{table.loc[1, 'overlap']:.3f}"
    lines = draw.deletion(table).axes[0].lines
    assert lines[0].get_ydata().tolist() == table.loc[[0, 1], "overlap"].tolist()
    with pytest.raises(InputError, match="share of points to delete"):
        deletion.compare(base, rows, exact, [1.0], ef=5)
    with pytest.raises(InputError, match="rounds is 0"):
        deletion.compare(base, rows, exact, [0.5], rounds=[0], ef=5)
    with pytest.raises(InputError, match="not an array of numbers"):
        deletion.compare(base, rows, exact, ["half"], ef=5)
    with pytest.raises(InputError, match="100 exact lists"):
        deletion.compare(base, rows[:-1], exact, [0.5], ef=5)
    with pytest.raises(InputError, match="outside the base of 300 points"):
        deletion.compare(base, rows + 3, exact, [0.5], ef=5)


def test_faiss_cannot_remove_points_from_its_graph(base):
    index = faiss.IndexHNSWFlat(8, 4)
    index.add(base)
    with pytest.raises(RuntimeError):
        index.remove_ids(np.array([1]))


def test_agreement_and_budget_are_drawn_as_they_stand():
    rng = np.random.default_rng(3)
    table = why.agreement({"seeds": rng.normal(size=(50, 3)), "one graph": rng.normal(size=(50, 1))})
    assert np.isnan(table.loc[1, "icc"]) and table["graphs"].tolist() == [3, 1]
    assert draw.agreement(table).axes[0].lines[0].get_xdata()[0] == table.loc[0, "icc"]
    assert cause_facts.agreement_facts(table)["icc_one_graph"] == "not available"
    budget = variance.budget(made(3, 2, 2, 20, (1, 1, 1, 1), rng))
    points = draw.budget(budget).axes[0].lines[0].get_xdata()
    assert points == pytest.approx(100 * budget["deviation"].to_numpy())
