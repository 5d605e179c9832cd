"""Lost neighbors: classed by the trace, counted by trait, modelled; on graphs made by hand and on real ones."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import cause_facts, causes, intervals, odds, why
from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import causes as draw
from neighborhood_drift.graph import Graph, stack_levels
from neighborhood_drift.indexes import build_index
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.trace import distance_rows, search, trace


def flat_graph(n, links):
    return Graph(np.zeros(n, dtype=int), stack_levels([tuple(np.array(links).T)], n), 0)


def test_each_cause_on_a_graph_made_by_hand():
    # the query is point 0; distances grow with the id. 1 is linked from 5 alone, 2 from 1 alone, 3 from nowhere;
    # 4, 5 and 6 are linked from 0
    graph = flat_graph(7, [(0, 4), (0, 5), (0, 6), (5, 1), (1, 2), (4, 0)])
    distances = np.arange(7.0)[None]
    one = search(graph, distances[0], 5, 2, follows_k=False)
    assert one.expanded.tolist() == [0, 4] and one.radius == 4
    exact = Neighbors([[1, 2, 3, 4]], [[1.0, 2.0, 3.0, 4.0]])
    table = causes.missed(graph, distances, [one], exact, [0]).set_index("point")
    assert table["cause"].to_dict() == {1: causes.TOO_FAR, 2: causes.MISSED, 3: causes.CUT_OFF}
    assert table.loc[1, "best_in_rank"] == 5 and table.loc[2, "best_in_rank"] == 1
    assert np.isnan(table.loc[3, "best_in_rank"]) and table["in_degree"].to_dict() == {1: 1, 2: 1, 3: 0}
    assert table["rank"].to_dict() == {1: 1, 2: 2, 3: 3}


@pytest.fixture(scope="module")
def lossy():
    """A sparse graph on a part of the bundled sample, each point asked: base, exact, distances, traces, index."""
    base = load_sample("cifar10-resnet50", points=400).base
    exact, distances = exact_neighbors(base, k=20), distance_rows(base, base)
    index = build_index("faiss-hnsw", base, M=6, ef_construction=40)
    return base, exact, distances, trace(index, distances, 21, 15), index


def test_a_lost_neighbor_was_never_visited_and_the_library_lost_the_same(lossy):
    base, exact, distances, traces, index = lossy
    table = causes.missed(index.graph(), distances, traces, exact, np.arange(400))
    found = index.search(base, 20, ef=15, exclude_self=True)
    lost = causes.pairs(exact, found, np.arange(400)).query("lost")
    assert len(table) > 100
    assert set(zip(table["query"], table["point"], strict=True)) == set(zip(lost["query"], lost["point"], strict=True))
    assert not any(row.point in traces[row.query].visited for row in table.itertuples())


def test_causes_say_what_they_claim(lossy):
    _, exact, distances, traces, index = lossy
    graph = index.graph()
    incoming = graph.neighbors().T.tocsr()
    for row in causes.missed(graph, distances, traces, exact, np.arange(400)).itertuples():
        sources = incoming.indices[incoming.indptr[row.point] : incoming.indptr[row.point + 1]]
        within = sources[distances[row.query][sources] <= traces[row.query].radius]
        assert not np.isin(sources, traces[row.query].expanded).any()
        if row.cause == causes.TOO_FAR:
            assert not len(within)
        elif row.cause == causes.MISSED:
            assert len(within) and not np.isin(within, traces[row.query].visited).any()


def test_cut_off_is_found_at_no_effort():
    rng = np.random.default_rng(0)
    base = np.vstack([rng.normal(size=(60, 3)), rng.normal(size=(300, 3)) + 1e3]).astype(np.float32)
    index = build_index("hnswlib", base, M=2, ef_construction=2)
    exact, distances = exact_neighbors(base, k=10), distance_rows(base, base)
    rows = np.arange(len(base))
    table = causes.missed(index.graph(), distances, trace(index, distances, 11, 11), exact, rows)
    gone = table[table["cause"] == causes.CUT_OFF]
    everything = index.search(base, len(base), ef=len(base)).ids
    assert len(gone)
    assert not any(row.point in everything[row.query] for row in gone.itertuples())


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_on_a_grid_a_visited_point_has_no_cause_in_the_graph(metric):
    """Integer vectors: many distances are equal, and a cosine of equal ones differs in its last bit."""
    base = np.stack(np.meshgrid(*[np.arange(1, 8)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    rows, exact = np.arange(len(base)), exact_neighbors(base, k=12, metric=metric)
    index, distances = build_index("hnswlib", base, metric=metric, M=2), distance_rows(base, base, metric)
    traces = trace(index, distances, 13, 13)
    table = causes.missed(index.graph(), distances, traces, exact, rows)
    visited = [row.point in traces[row.query].visited for row in table.itertuples()]
    assert ((table["cause"] == causes.TIED) == visited).all()
    if metric == "cosine":
        assert any(visited)
    one = why.traced([index], base, rows, exact, 13, metric=metric)
    assert one.shares["share"].sum() == pytest.approx(1)
    assert cause_facts.trace_facts(one)["tied_hnswlib"] != "not available"
    texts = {text.get_text() for text in draw.classes(one.shares, one.missed).legends[0].get_texts()}
    assert (causes.TIED in texts) == any(visited)


def test_shares_count_all_causes_and_stand_within_their_intervals():
    table = pd.DataFrame({"query": [0, 0, 1, 2], "cause": [causes.TOO_FAR] * 3 + [causes.MISSED]})
    found = causes.shares(table, range(5)).set_index("cause")
    assert found["missed"].to_dict() == {causes.CUT_OFF: 0, causes.TOO_FAR: 3, causes.MISSED: 1, causes.TIED: 0}
    assert found["share"].tolist() == [0, 0.75, 0.25, 0]
    assert ((found["low"] <= found["share"]) & (found["share"] <= found["high"])).all()
    assert causes.shares(table[:0], range(5))["share"].isna().all()


def made_pairs(queries=60, k=50, seed=0):
    """Pairs whose loss depends on the trait a alone: one in four where a is high, none where it is low."""
    rng = np.random.default_rng(seed)
    count = queries * k
    table = pd.DataFrame({"query": np.repeat(np.arange(queries), k), "rank": np.tile(np.arange(1, k + 1), queries)})
    table["a"], table["b"], table["constant"] = rng.integers(0, 10, count), rng.normal(size=count), 1.0
    table["lost"] = (table["a"] >= 6) & (rng.random(count) < 0.25)
    return table


def test_rates_by_group_are_the_plain_shares():
    table = made_pairs()
    rates = causes.rates(table, ["a", "constant"], groups=2)
    assert rates["trait"].unique().tolist() == ["a"]
    assert rates["pairs"].sum() == len(table) and rates["lost"].sum() == table["lost"].sum()
    low, high = rates.itertuples()
    assert low.rate == 0
    chosen = table[table["a"].between(high.least, high.most)]
    assert high.rate == chosen["lost"].mean() and high.low < high.rate < high.high
    with pytest.raises(InputError, match="no trait"):
        causes.rates(table, ["constant"])


def test_equal_values_stay_in_one_group():
    rates = causes.rates(made_pairs(), ["a"], groups=10)
    assert (rates["least"].to_numpy()[1:] > rates["most"].to_numpy()[:-1]).all()


def test_rank_correlation():
    values = np.arange(30.0)
    assert intervals.rank_correlation(values, values**3) == (1.0, 1.0, 1.0)
    assert intervals.rank_correlation(values, -values)[0] == -1.0
    assert np.isnan(intervals.rank_correlation(values, np.ones(30))).all()
    one, other = np.random.default_rng(0).normal(size=(2, 300))
    value, low, high = intervals.rank_correlation(one, other)
    assert low < value < high and abs(value) < 0.2


def test_auc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(1)
    lost, score = rng.random(80) < 0.3, rng.integers(0, 6, 80)
    weights = rng.integers(0, 3, 80)
    right = total = 0.0
    for i in np.flatnonzero(lost):
        for j in np.flatnonzero(~lost):
            right += weights[i] * weights[j] * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
            total += weights[i] * weights[j]
    assert odds.auc(lost, score, weights) == pytest.approx(right / total)
    assert np.isnan(odds.auc([True, True], [0.1, 0.2]))


def test_the_model_finds_the_trait_that_decides_and_no_other():
    model = odds.fit(made_pairs(queries=200), ["a", "b", "rank", "constant"])
    by_trait = model.traits.set_index("trait")
    assert by_trait.index.tolist() == ["a", "b", "rank"]
    assert by_trait.loc["a", "coefficient"] > 5 * by_trait.loc[["b", "rank"], "coefficient"].abs().max()
    assert by_trait.loc["b", "low"] < 0.5 < by_trait.loc["b", "high"]
    # of the kept pairs two thirds have a low a and rank below all lost ones, the others tie: 2/3 + 1/6
    assert 0.75 < model.low <= model.auc <= model.high < 0.9
    assert model.train_queries == 140 and model.test_queries == 60


def test_all_pairs_of_a_query_are_on_one_side():
    """Each query has a loss rate of its own and a trait that names it: nothing of that helps with queries not seen."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"query": np.repeat(np.arange(50), 40)})
    table["lost"] = rng.random(len(table)) < rng.random(50)[table["query"]]
    names = [f"is {query}" for query in range(50)]
    table = pd.concat([table, pd.DataFrame(np.eye(50)[table["query"]], columns=names)], axis=1)
    model = odds.fit(table, names)
    assert model.auc == pytest.approx(0.5, abs=0.05)
    assert (model.train_queries, model.test_queries) == (35, 15)


def test_pairs_without_a_trait_are_left_out_and_counted():
    table = made_pairs(queries=200)
    gaps = table.assign(a=table["a"].where(table["query"] != 7), c=np.nan)
    rates = causes.rates(gaps, ["a", "rank", "c"]).groupby("trait")
    assert rates["pairs"].sum().to_dict() == {"a": 199 * 50, "rank": 200 * 50}
    assert rates["missing"].first().to_dict() == pytest.approx({"a": 1 / 200, "rank": 0})
    rest = table[table["query"] != 7]
    assert causes.rates(gaps, ["a"])["rate"].tolist() == causes.rates(rest, ["a"])["rate"].tolist()
    model = odds.fit(gaps, ["a", "rank", "c"])
    assert model.traits["trait"].tolist() == ["a", "rank"]
    assert model.traits["missing"].tolist() == pytest.approx([1 / 200, 0]) and model.left_out == pytest.approx(1 / 200)
    assert model.auc == odds.fit(rest, ["a", "rank"]).auc and model.train_queries + model.test_queries == 199


def test_what_does_not_fit_is_refused(lossy):
    _, exact, _, _, _ = lossy
    table, rows = made_pairs(), np.arange(400)
    short = Neighbors([[1, -1]], [[1.0, np.inf]])
    with pytest.raises(InputError, match="1 missing slots"):
        causes.pairs(short, short, [0])
    with pytest.raises(InputError, match="trait a has 2 values"):
        causes.pairs(exact, exact, rows, of_points={"a": [1, 2]})
    with pytest.raises(InputError, match="no column c"):
        causes.rates(table, ["c"])
    with pytest.raises(InputError, match="no column c"):
        odds.fit(table, ["c"])
    with pytest.raises(InputError, match="b is below 0"):
        odds.fit(table, ["b"], logs=["b"])
    with pytest.raises(InputError, match=r"shapes \(2,\) and \(3,\)"):
        intervals.rank_correlation([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="not an array of numbers"):
        intervals.rank_correlation(["a"], [1])
    with pytest.raises(InputError, match=r"shapes \(2,\), \(1,\) and \(2,\)"):
        odds.auc([True, False], [1.0])
    with pytest.raises(InputError, match="1 scores are nan"):
        odds.auc([True, False], [1.0, np.nan])
    with pytest.raises(InputError, match="in_degree have shape"):
        why.trait_pairs(exact, exact, rows, [1, 2])
    with pytest.raises(InputError, match="labels have shape"):
        why.trait_pairs(exact, exact, rows, rows, labels=[1])
    with pytest.raises(InputError, match="rows must be"):
        why.trait_pairs(exact, exact, rows + 1, rows)


def test_nothing_lost_gives_no_numbers():
    table = made_pairs().assign(lost=False)
    model = odds.fit(table, ["a", "b"])
    assert np.isnan(model.auc) and model.traits["coefficient"].isna().all()
    assert cause_facts.trait_facts(causes.rates(table, ["a"]), model)["auc"] == "not available"


def test_searches_side_by_side_and_their_figures(lossy):
    base, exact, _, _, index = lossy
    hnswlib = build_index("hnswlib", base, M=6, ef_construction=40)
    rows = np.arange(0, 400, 2)
    one = why.traced([index, index.unbounded(), hnswlib], base, rows, exact.rows(rows), 15)
    assert (one.check["same"] == 1).all()
    counted = one.check.dropna(subset=["library_distances"])
    assert (counted["distances"] - counted["library_distances"]).abs().max() < 0.1
    sums = one.shares.groupby("engine")["share"].sum()
    assert sums.to_numpy() == pytest.approx(np.ones(3))
    labels = np.arange(400) % 3
    found = hnswlib.search(base[rows], 20, ef=15, exclude_self=rows)
    pairs = why.trait_pairs(found, exact, rows, hnswlib.graph().in_degree(), labels)
    assert why.told(pairs) == list(causes.TRAITS)
    assert why.told(why.trait_pairs(found, exact, rows, hnswlib.graph().in_degree())) == [
        trait for trait in causes.TRAITS if "label" not in trait
    ]
    assert (pairs["same_label"] == (pairs["query"] % 3 == pairs["point"] % 3)).all()
    rates, model = causes.rates(pairs, why.told(pairs)), odds.fit(pairs, why.told(pairs), logs=why.LOGS)
    ends = cause_facts.ends(rates)
    assert ends.loc[0, "trait"] == "in-degree of the neighbor"
    degree = rates[rates["trait"] == "in_degree"]
    assert ends.loc[0, "pairs, lowest"] == f"{100 * degree['pairs'].iloc[0] / len(pairs):.0f} %"
    named = cause_facts.trace_facts(one) | cause_facts.trait_facts(rates, model)
    assert named["same"] == "100.0 %" and all(isinstance(value, str) for value in named.values())
    bars = draw.classes(one.shares, one.missed).axes[0].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(3)
    lines = draw.rates(rates).axes[0].lines[0]
    assert lines.get_ydata().tolist() == rates[rates["trait"] == "in_degree"]["rate"].tolist()
    points = draw.odds(odds.with_all(model)).axes[0].lines[0]
    assert points.get_xdata()[-1] == model.auc
    assert not plt.get_fignums()


def test_a_search_that_loses_nothing_has_facts_all_the_same():
    base = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    exact, rows = exact_neighbors(base, k=5), np.arange(40)
    one = why.traced([build_index("hnswlib", base)], base, rows, exact, 40)
    named = cause_facts.trace_facts(one)
    assert named["missed_hnswlib"] == "no" and named["too_far_hnswlib"] == "not available"
    assert named["at_twice_hnswlib"] == named["best_in_hnswlib"] == "not available"
    assert len(draw.classes(one.shares, one.missed).axes) == 2


def test_other_data_with_and_without_losses():
    sparse = load_sample("cifar10-resnet18", points=300, queries=100)
    table = why.on_other_data([sparse], 20, 5, M=4, ef_construction=20)
    row = table.iloc[0]
    assert (row["points"], row["queries"], row["data"]) == (300, 100, "cifar10-resnet18")
    assert 0 < row["lost"] < 0.5 and 0.5 < row["auc"] < 1
    assert row[["too_far", "missed_links", "cut_off", "tied"]].sum() == pytest.approx(1)
    assert 0 < row["low_pairs"] < 0.3 and 0 < row["high_pairs"] < 0.3
    assert cause_facts.other_facts(table)["cifar10_resnet18_auc"] == f"{row['auc']:.2f}"
    complete = cause_facts.other_table(why.on_other_data([sparse], 5, 300, M=16, ef_construction=100))
    assert complete.loc[0, "AUC"] == "not available" and complete.loc[0, "lost"] == "0.00 %"


@pytest.mark.parametrize("points", [3, 4, 5])
def test_other_data_of_a_few_points_give_nan(points):
    row = why.on_other_data([load_sample("cifar10-resnet18", points=points)], 20, 5).iloc[0]
    assert row["lost"] == 0 and np.isnan(row["auc"]) and np.isnan(row["too_far"])
    assert cause_facts.other_table(why.on_other_data([load_sample("cifar10-resnet18", points=3)], 20, 5)).size
