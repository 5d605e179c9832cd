"""What indexes cost, how tables and facts of families read, and what their figures draw."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.excess import MEASURES, excesses, measure, nearest, queries_that_lose
from neighborhood_drift.families import build_all, find_efforts
from neighborhood_drift.family_costs import BRUTE, agreement, brute_force, costs, equal_work
from neighborhood_drift.family_facts import (
    elsewhere_facts,
    excess_facts,
    explained_facts,
    graph_facts,
    largest_facts,
    query_facts,
    rank_facts,
    spread_facts,
    verdict_facts,
    work_facts,
)
from neighborhood_drift.family_tables import (
    answer_shown,
    efforts_shown,
    elsewhere,
    excess_shown,
    over_builds,
    verdict_counts,
)
from neighborhood_drift.figures import families as draw
from neighborhood_drift.indexes import ENGINES
from neighborhood_drift.kinds import FAMILIES, KINDS, kind
from neighborhood_drift.knn_graph import graph_table
from neighborhood_drift.losses import by_rank, ranks_lost
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.summaries import ABSENT

K = 5


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(4).normal(size=(300, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def exact(base):
    return exact_neighbors(base, k=2 * K)


@pytest.fixture(scope="module")
def searched(base, exact):
    made, _ = build_all(["faiss-hnsw@M=4", "faiss-ivf", "faiss-flat"], base, progress=False)
    return made, *find_efforts(made, base, np.arange(300), exact, K, [0.6, 0.9], progress=False)


def table_of(engines, targets=(0.9,), excess=0.01):
    rows = [
        {"engine": engine, "target": target, "metric": metric, "mean": 1.1, "null": 1.1 - excess, "excess": excess * at}
        | {"low": excess * at - 0.001, "high": excess * at + 0.001, "relative": 0.1 * at, "verdict": "more"}
        for at, engine in enumerate(engines, start=1)
        for target in targets
        for metric in MEASURES
    ]
    return pd.DataFrame(rows)


def test_every_engine_has_a_kind():
    assert set(ENGINES) == set(FAMILIES) and set(FAMILIES.values()) <= set(KINDS)
    assert kind("faiss-hnsw@M=4") == "faiss graph"


def test_equal_work_gives_no_index_more_than_the_budget(base, exact, searched):
    made, _, curve = searched
    table = equal_work(made, curve, base, np.arange(300), exact, K, [0.6, 0.9], like="faiss-hnsw@M=4")
    assert set(table["engine"]) == {"faiss-hnsw@M=4", "faiss-ivf"}
    own = table[table["engine"] == "faiss-hnsw@M=4"].sort_values("budget")
    assert own["recall"].tolist()[0] >= 0.6 and own["recall"].tolist()[-1] >= 0.9
    for row in table.itertuples():
        index = made[row.engine]
        index.search(base, K, ef=int(row.ef), exclude_self=True)
        assert index.distance_computations / 300 <= row.budget
    assert equal_work(made, curve, base, np.arange(300), exact, K, [0.6], like="hnswlib").empty


def test_costs_tell_what_each_index_was_built_with(searched):
    made, _, _ = searched
    table = costs(made).set_index("engine")
    assert (table["seconds"] > 0).all() and table.loc["faiss-flat", "times_vectors"] == pytest.approx(1, abs=0.02)
    assert table.loc["faiss-hnsw@M=4", "times_vectors"] > 1
    assert table.loc["faiss-hnsw@M=4", "built_with"].startswith("M=4") and table.loc["faiss-flat", "built_with"] == "–"
    assert table.loc["faiss-ivf", "built_with"] == "nlist=17"


def test_agreement_tells_points_from_order():
    exact = Neighbors([[1, 2], [3, 4]], [[1.0, 2.0], [1.0, 2.0]])
    swapped = Neighbors([[2, 1], [3, 4]], [[1.0, 2.0], [1.0, 2.0]])
    other = Neighbors([[1, 9], [3, 4]], [[1.0, 2.0], [1.0, 2.0]])
    table = agreement(exact, {"swapped": swapped, "other": other}).set_index("engine")
    assert table.loc["swapped", ["other_points", "other_order"]].tolist() == [0, 0.5]
    assert table.loc["other", ["other_points", "other_order"]].tolist() == [0.5, 0.5]


def test_brute_force_agrees_up_to_rounding_and_says_why_not(base):
    table, reason = brute_force(base, np.arange(50), K)
    assert table["engine"].tolist() == list(BRUTE) and reason == ""
    assert (table["other_points"] < 0.05).all()
    zero = base.copy()
    zero[7] = 0
    table, reason = brute_force(zero, np.arange(50), K)
    assert table.empty and "other_points" in table and "zero" in reason


def test_tables_of_nothing_have_their_columns():
    nothing = table_of(["hnswlib"])[:0]
    settings, curve = find_efforts({}, None, None, Neighbors.sorted([[0]], [[0.0]]), 1, [0.9], progress=False)
    assert list(efforts_shown(settings)) == ["engine", "knob"]
    assert excess_shown(nothing, pd.Series(dtype=float)).columns[:2].tolist() == ["engine", "recall"]
    assert "builds" in over_builds(nothing) and "more" in verdict_counts(nothing) and "seconds" in costs({})
    for figure in (draw.ranks(ranks_lost({}, None)), draw.work(curve, 10), draw.speed(curve)):
        assert figure.axes


def test_the_answer_counts_the_engines_that_share_a_verdict():
    alike = table_of(["faiss-hnsw", "annoy", "hnswlib", "faiss-flat"])
    left = alike.assign(verdict=["as much"] * 8 + ["less"] * 8)
    row = answer_shown(alike, left).iloc[0]
    assert row.tolist() == ["mean distance", "more", "2 of 2", "as much", "1 of 2"]
    alone = answer_shown(alike[alike["engine"] == "annoy"], left[:0])
    assert set(alone.iloc[:, 1:].to_numpy().ravel()) == {"not available"}


def test_engines_measured_have_facts_besides_those_cited():
    found = excess_facts(table_of(["faiss-nsg", "redis"]), ["annoy"])
    assert found["lid_nsg"] == "+0.01" and found["lid_redis"] == "+0.02" and found["lid_annoy"] == ABSENT


def test_efforts_are_shown_with_the_recall_they_gave(searched):
    shown = efforts_shown(searched[1]).set_index("engine")
    assert shown.columns.tolist() == ["knob", "recall 0.6", "recall 0.9"]
    assert shown.loc["FAISS, default, M=4", "knob"] == "efSearch"
    assert [text.split(" (")[0] for text in shown["recall 0.9"]][-1] == "no knob"


def test_facts_name_every_engine_measured_or_not():
    table = table_of(["faiss-hnsw", "hnswlib"], targets=(0.9, 0.95))
    found = excess_facts(nearest(table, 0.9), ["faiss-hnsw", "annoy", "faiss-ivf@nlist=256"])
    assert (found["barycenter_default"], found["barycenter_default_interval"]) == ("+1.00", "+0.90 to +1.10")
    assert found["lid_annoy"] == found["mean_distance_ivf_nlist256_relative"] == "not available"
    counts = verdict_facts(table)
    assert (counts["settings"], counts["lid_more"], counts["lid_as_much"]) == ("4", "4", "no")
    assert verdict_counts(table)["more"].tolist() == [4, 4, 4, 4]
    assert counts["engines_compared"] == "2"


def test_exhaustive_searches_are_not_among_the_settings_compared():
    table = table_of(["faiss-hnsw", "faiss-flat", "numpy"], targets=(0.9, 0.95))
    counts = verdict_facts(table)
    assert (counts["settings"], counts["engines_compared"], counts["lid_more"]) == ("2", "one", "2")
    assert verdict_counts(table)["more"].tolist() == [2, 2, 2, 2]


def test_places_are_among_engines_of_one_recall():
    table = table_of(["faiss-hnsw", "hnswlib", "annoy", "faiss-flat"])
    shares = pd.Series({(row.engine, row.target): 0.95 for row in table.itertuples()})
    shares["annoy"] = 0.8
    target = 0.95
    found = spread_facts(table, shares, target)
    assert (found["reaching"], found["lid_place_default"]) == ("2", "2 of 2")
    assert found["lid_place_hnsw_sq8"] == "not available"
    assert spread_facts(table[:0], shares, target)["reaching"] == "no"
    largest = largest_facts(table, shares)
    assert (largest["lid_largest"], largest["lid_largest_engine"], largest["lid_largest_recall"]) == (
        "+0.03",
        "Annoy",
        "0.800",
    )
    assert set(largest_facts(table[:0], shares).values()) == {"not available"}


def test_an_end_that_would_read_zero_has_a_decimal_more():
    table = table_of(["annoy"]).assign(excess=0.00004, low=0.00002, high=0.00006)
    shares = pd.Series({(row.engine, row.target): 0.95 for row in table.itertuples()})
    assert excess_shown(table, shares)["mean distance (%)"].tolist() == ["+0.004 (+0.002 to +0.006)"]
    assert excess_shown(table.assign(verdict="as much"), shares)["mean distance (%)"].tolist() == [
        "0.00 (0.00 to +0.01)"
    ]


def test_excesses_are_shown_with_intervals():
    shown = excess_shown(table_of(["hnswlib"]), pd.Series({("hnswlib", 0.9): 0.901}))
    assert shown["recall"].tolist() == ["0.901"] and shown["barycenter (%)"].tolist() == ["+1.00 (+0.90 to +1.10)"]


def test_what_ranks_leave_is_set_against_the_excess():
    alike, left = (
        table_of(["hnswlib", "annoy", "faiss-flat"]),
        table_of(["hnswlib", "annoy", "faiss-flat"], excess=0.002),
    )
    found = explained_facts(alike, left)
    assert (found["lid_explained"], found["lid_explained_low"]) == ("80 %", "80 %")


def test_other_data_are_shown_and_signs_counted(base, exact):
    lost = Neighbors(np.delete(exact.ids, [3, K], axis=1)[:, :K], np.delete(exact.distances, [3, K], axis=1)[:, :K])
    there = measure({("hnswlib", 0.9): lost}, base, np.arange(300), exact, progress=False, draws=2)
    here = excesses(there, resamples=1000)
    assert (here["verdict"] == "as much").sum() == 1
    shown = elsewhere([("other", there)], resamples=20)
    assert shown["beside"].tolist() == ["any rank alike", "by rank"] and shown["recall"].tolist() == ["0.800"] * 2
    assert elsewhere([]).empty
    assert elsewhere_facts([("other", there)], here, 0.9) == {"elsewhere": "other", "elsewhere_same": "3 of 3"}
    turned = here.assign(excess=-here["excess"])
    assert elsewhere_facts([("other", there)], turned, 0.9)["elsewhere_same"] == "0 of 3"
    assert elsewhere_facts([("other", there)], here.assign(verdict="as much"), 0.9)["elsewhere_same"] == ABSENT
    # an engine whose one search was kept under another target is compared all the same
    kept = here.assign(target=0.99)
    assert elsewhere_facts([("other", there)], kept, 0.9)["elsewhere_same"] == "3 of 3"
    unknown = there.assign(lid_difference=np.nan, mean_distance_ratio=np.nan)
    assert elsewhere_facts([("other", unknown)], here, 0.9)["elsewhere_same"] == "1 of 1"
    assert elsewhere_facts([], here, 0.9)["elsewhere"] == "none"


def test_builds_have_an_interval_where_there_are_several():
    one = table_of(["hnswlib"])
    assert over_builds(one)["LID"].tolist() == ["+0.01"]
    several = over_builds(pd.concat([one, one.assign(excess=0.03)]))
    assert several["builds"].tolist() == [2] and several["LID"].iloc[0].startswith("+0.02 (")


def test_facts_of_ranks_queries_graphs_and_work(base, exact):
    lost = Neighbors(exact.ids[:, 1 : K + 1], exact.distances[:, 1 : K + 1])
    ranks = by_rank(exact, lost, bins=5, resamples=20).assign(engine="hnswlib")
    found = rank_facts(ranks, ["hnswlib", "annoy"])
    assert (found["first_ranks_hnswlib"], found["last_ranks_hnswlib"], found["falling"]) == (
        "0.0 %",
        "100.0 %",
        "0 of 1",
    )
    assert found["last_ranks_annoy"] == "not available"
    table = measure({("hnswlib", 0.9): lost}, base, np.arange(300), exact, progress=False, draws=1)
    who = query_facts(queries_that_lose(table, K, draws=20), ["hnswlib", "annoy"])
    assert who["worst_tenth_hnswlib"] == "10 %" and who["others_annoy"] == "not available"
    graphs = graph_facts(
        graph_table(exact.first(K), {"hnswlib": lost}, {"hnswlib": [exact.first(K)]}), ["hnswlib", "annoy"]
    )
    assert graphs["hubness_hnswlib_chance"] == f"{graphs['hubness_exact']} to {graphs['hubness_exact']}"
    assert graphs["components_annoy"] == "not available"
    work = pd.DataFrame({"engine": ["hnswlib"] * 2, "budget": [100.0, 200.0], "recall": [0.5, 0.75]})
    found = work_facts(work)
    assert (found["work_budget"], found["work_recall_hnswlib"], found["work_recall_ivf"]) == (
        "200",
        "0.750",
        "not available",
    )


def test_figures_show_the_numbers_of_their_tables(searched):
    table = table_of(["faiss-hnsw", "faiss-ivf@nlist=9"])
    table = pd.concat([table.assign(null="alike"), table.assign(null="by_rank", excess=3 * table["excess"])])
    panel = draw.excess(table, pd.Series({"faiss-hnsw": 0.9, "faiss-ivf@nlist=9": 0.95})).axes[2]
    assert [text.get_text() for text in panel.get_yticklabels()][1].split()[-2:] == ["nlist=9", "(0.950)"]
    drawn = {
        m: [line.get_xdata()[0] for line in panel.lines if line.get_marker() == m and len(line.get_xdata())]
        for m in "oD"
    }
    assert drawn == {"o": pytest.approx([1.0, 2.0]), "D": pytest.approx([3.0, 6.0])}
    rank = pd.DataFrame({"engine": ["hnswlib"] * 2, "first": [1, 3], "last": [2, 4], "away": [0.1, -0.1]})
    rank = rank.assign(away_low=rank["away"] - 0.01, away_high=rank["away"] + 0.01)
    np.testing.assert_array_equal(draw.ranks(rank).axes[0].lines[0].get_ydata(), [0.1, -0.1])
    _, _, curve = searched
    counted = draw.work(curve, 300).axes[0].lines
    own = curve[curve["engine"] == "faiss-hnsw@M=4"].sort_values("recall")
    np.testing.assert_array_equal(counted[0].get_xdata(), own["distances"])
    speed = draw.speed(curve).axes[0]
    assert speed.get_yscale() == "logit"
    assert max(line.get_ydata().max() for line in speed.lines if len(line.get_ydata())) < 1


def test_a_curve_at_recall_one_is_drawn_all_the_same():
    curve = pd.DataFrame({"engine": ["faiss-flat"], "ef": [np.nan], "recall": [1.0], "microseconds": [5.0]})
    assert draw.speed(curve.assign(distances=300.0)).axes[0].lines[0].get_ydata()[0] < 1
