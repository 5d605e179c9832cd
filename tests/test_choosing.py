"""Which ef for which k: the grid, the searches kept, simpler rules, tables and facts."""

from __future__ import annotations

import numpy as np
import pytest

from neighborhood_drift import InputError, build_index, choosing, choosing_words, overlap, simple_rules
from neighborhood_drift import choosing_facts as cited
from neighborhood_drift import choosing_tables as tables
from neighborhood_drift.calibration import MeanOverlap, ShareBelow, calibration_sample
from neighborhood_drift.choosing import Searched
from neighborhood_drift.figures import guarantee as draw
from neighborhood_drift.figures import summary as draw_summary
from neighborhood_drift.law import Law, fit, predict, visit_probability
from neighborhood_drift.summaries import ABSENT
from neighborhood_drift.validation import by_size, validated

PAGE = {"title": "Which ef?", "data": "mine", "tested": "overlap", "terms": ["A term."], "rule": ["A rule."]}
MEASURED = {"overlap": MeanOverlap(0.9), "below": ShareBelow(0.9, 0.05)}


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(0).normal(size=(500, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def index(base):
    return build_index("faiss-hnsw", base, M=4, ef_construction=40)


@pytest.fixture(scope="module")
def parts(base):
    return choosing.split(calibration_sample(base, 40, size=200), 30)


@pytest.fixture(scope="module")
def searched(index, parts):
    pilot, pool = parts
    return {
        (engine.engine, k): choosing.search_losses(
            engine, pool, k, choosing.effort_grid(engine, k, pilot), MEASURED, progress=False
        )
        for engine in (index, index.unbounded())
        for k in (5, 20)
    }


def test_the_pilot_has_no_query_in_common_with_the_pool(parts):
    pilot, pool = parts
    assert len(pilot.queries) == 30
    assert not set(pilot.rows) & set(pool.rows)
    assert len(pilot.rows) + len(pool.rows) == 200


def test_a_grid_ascends_to_where_the_pilot_is_all_but_exact_and_ends_at_twice_that(index, parts):
    pilot, k = parts[0], 10
    grid = choosing.effort_grid(index, k, pilot)
    reached = [
        overlap(pilot.exact.first(k), index.search(pilot.queries, k, ef=ef, exclude_self=pilot.rows)).mean()
        for ef in grid
    ]
    assert grid == sorted(set(grid))
    assert max(reached[:-2]) < 0.999 <= reached[-2]
    assert grid[-1] == min(2 * grid[-2], index.effort_range()[1])
    assert {k, 2 * k} <= set(grid)


def test_where_effort_follows_k_no_effort_below_it_is_tried(index, parts):
    assert choosing.effort_grid(index.unbounded(), 40, parts[0])[0] == 41


def test_an_engine_without_a_knob_has_one_effort(base, parts):
    assert choosing.effort_grid(build_index("faiss-flat", base), 5, parts[0]) == [1]


def test_losses_are_those_of_a_search_at_each_effort(index, parts, searched):
    pool, found = parts[1], searched["faiss-hnsw", 20]
    for row, ef in enumerate(found.efs):
        lists = index.search(pool.queries, 20, ef=int(ef), exclude_self=pool.rows)
        kept = overlap(pool.exact.first(20), lists)
        np.testing.assert_allclose(found.losses["overlap"][row], 1 - kept)
        np.testing.assert_array_equal(found.losses["below"][row], kept < 0.9)
        assert found.distances[row] == index.distance_computations / len(pool.queries)


def test_kept_losses_are_read_and_not_searched_again(index, parts, tmp_path, monkeypatch):
    first = choosing.search_losses(index, parts[1], 5, [10, 20], MEASURED, cache=tmp_path, progress=False)
    monkeypatch.setattr(type(index), "search", None)
    again = choosing.search_losses(index, parts[1], 5, [20, 10], MEASURED, cache=tmp_path, progress=False)
    np.testing.assert_equal(again._asdict(), first._asdict())
    with pytest.raises(TypeError):  # another k was never searched
        choosing.search_losses(index, parts[1], 6, [10], MEASURED, cache=tmp_path, progress=False)


def test_searches_of_another_base_or_at_no_effort_are_refused(index, base, parts):
    with pytest.raises(InputError, match="efs is empty"):
        choosing.search_losses(index, parts[1], 5, [], MEASURED)
    with pytest.raises(InputError, match="other points"):
        choosing.search_losses(index, calibration_sample(base + 1, 5, size=10), 5, [10], MEASURED)


@pytest.mark.parametrize(("losses", "limit", "row"), [([0.3, 0.1, 0.0], 0.1, 1), ([0.3, 0.2], 0.1, -1), ([0, 0], 0, 0)])
def test_the_smallest_effort_that_is_good_enough(losses, limit, row):
    assert choosing.smallest(np.array(losses, float)[:, None], limit) == row


def test_a_sample_too_small_for_its_target_chooses_none_and_one_large_enough_does(index, base):
    few = choosing.choose(index, MeanOverlap(0.99), 5, calibration_sample(base, 5, size=100))
    assert few.ef is None
    assert few.sentence.startswith("No ef")
    assert choosing.choose(index, MeanOverlap(0.9), 5, calibration_sample(base, 5, size=400)).ef is not None


def test_the_law_finds_the_smallest_effort_it_says_is_enough():
    law = Law(2.0, 1.5)
    for k in (1, 10, 100):
        efs = range(1, 3001)
        first = next(ef for ef in efs if predict(law, ef, k).mean() >= 0.95)
        assert simple_rules.law_effort(law, k, 0.95, highest=3000) == first
        assert simple_rules.law_effort(law, k, 0.95, floor=first + 3, highest=3000) == first + 3
    assert simple_rules.law_effort(law, 100, 0.99, highest=10) is None


def test_rules_meet_the_target_exactly_where_their_overlap_does(index, searched, parts):
    law = simple_rules.probe(index, parts[1], 20)
    for (engine, k), found in searched.items():
        own = index if engine == "faiss-hnsw" else index.unbounded()
        table = simple_rules.rules(found, k, [0.8, 0.95], [0.5, 1, 4], law, own)
        assert len(table) == 2 * 4
        assert (table["meets"] == (table["overlap"] >= table["target"] - 1e-9)).all()
        assert (table["ef"] >= choosing.lowest_effort(own, k)).all()
        np.testing.assert_allclose(table["ratio"], table["ef"] / table["smallest"])


def test_the_overlap_of_a_rule_is_nearly_that_of_a_search_at_its_ef(index, searched, parts):
    """At efforts searched it is the very overlap, between them close to it, below them too high."""
    pool, law, beside = parts[1], simple_rules.probe(index, parts[1], 20), 0
    for (engine, k), found in searched.items():
        own = index if engine == "faiss-hnsw" else index.unbounded()
        table = simple_rules.rules(found, k, [0.8, 0.93], [0.1, 0.7, 1, 2.3], law, own)
        for row in table.dropna(subset="ef").itertuples():
            lists = own.search(pool.queries, k, ef=int(row.ef), exclude_self=pool.rows)
            real = overlap(pool.exact.first(k), lists).mean()
            if row.ef < found.efs[0]:
                assert row.overlap >= real
                continue
            between = row.ef not in found.efs
            assert row.overlap == pytest.approx(real, abs=0.01 if between else 1e-12)
            beside += between
    assert beside >= 4


def test_the_law_is_fitted_at_the_effort_really_made(index, base, parts):
    pool = parts[1]
    wide = index.unbounded()
    found = wide.search(pool.queries, 40, ef=41, exclude_self=pool.rows)
    law = simple_rules.probe(wide, pool, 5)  # which is below k, so that the search makes 41
    assert law == fit({41: visit_probability(pool.exact, found)})
    assert law == simple_rules.probe(wide, pool, 41)


@pytest.mark.parametrize("engine", ["faiss-ivf", "faiss-flat"])
def test_there_is_no_law_where_effort_is_no_number_of_candidates(engine, index, base, parts, searched):
    other = build_index(engine, base)
    assert simple_rules.probe(other, parts[1], 5) is None
    for law, own in ((None, index), (Law(2.0, 1.5), other)):
        table = simple_rules.rules(searched["faiss-hnsw", 5], 5, [0.9], [1.0], law, own)
        assert table["rule"].tolist() == ["alpha k"]
    found = cited.rule_facts(table, [1.0])
    assert found["law_met"] == found["law_short"] == found["law_ratio"] == ABSENT
    draw.rules(table.assign(data="mine", engine="faiss-hnsw"), 0.9).draw_without_rendering()


@pytest.fixture(scope="module")
def chosen(searched):
    return tables.choices(searched, [0.8, 0.9, 0.999], size=500, points=500)


def test_a_choice_is_checked_on_queries_that_had_no_part_in_it(chosen, searched):
    losses = searched["faiss-hnsw", 20].losses["overlap"]
    row = chosen[(chosen["engine"] == "faiss-hnsw") & (chosen["k"] == 20) & (chosen["target"] == 0.8)].iloc[0]
    at, half = list(searched["faiss-hnsw", 20].efs).index(row["ef"]), losses.shape[1] // 2
    assert row["overlap"] == pytest.approx(1 - losses[at, half:].mean())
    assert row["measured"] == pytest.approx(1 - losses[at, :half].mean())
    assert row["certified"] >= 0.8


def test_no_ef_reads_none_in_tables_and_facts_and_what_was_not_asked_not_available(chosen):
    assert chosen.loc[chosen["target"] == 0.999, "ef"].isna().all()  # 85 queries cannot certify that
    found = cited.choice_facts(chosen, ["faiss-hnsw"], [20, 50], [0.8, 0.999])
    assert found["ef_overlap100_k20_default"] == tables.NONE
    assert found["ef_overlap80_k50_default"] == ABSENT
    assert found["ef_overlap80_k20_default"].isdigit()
    wide = tables.by_k(chosen)
    assert wide.shape == (6, 4)
    assert wide.loc[wide["target"] == 0.999, "k = 5"].str.startswith(tables.NONE).all()
    lacking = tables.by_k(chosen.assign(smallest=np.nan))
    assert f"({tables.NONE})" in lacking["k = 5"].iloc[0] and "nan" not in lacking.to_string()


def test_the_cost_counts_exact_distances_and_those_of_every_search(index, base):
    choice = choosing.choose(index, MeanOverlap(0.8), 5, calibration_sample(base, 5, size=100))
    cost = tables.calibration_cost(choice, 500)
    computed = choice.table["distance_computations"]
    assert cost["searches"] == pytest.approx(100 * (500 + computed.sum()) / computed[choice.position])
    found = cited.chosen_facts(choice, 500)
    low, high = choice.interval
    assert found["chosen_ef"] == str(choice.ef)
    assert found["chosen_measured_interval"] == f"{low:.4f} to {high:.4f}"


def test_facts_of_a_choice_exist_where_there_is_none(index, base):
    few = choosing.choose(index, MeanOverlap(0.99), 5, calibration_sample(base, 5, size=20))
    found = cited.chosen_facts(few, 500)
    assert found["chosen_ef"] == tables.NONE
    assert found["chosen_cost_searches"] == found["chosen_measured_interval"] == ABSENT
    assert "No ef" in choosing_words.rule_in_words(few, 500, "mine")[-1]


def test_figures_and_tables_take_cases_with_and_without_a_choice(searched, chosen, index, parts):
    cases = [("mine", engine, k, found) for (engine, k), found in searched.items()]
    held_to = {"overlap": ("overlap", MeanOverlap(0.9)), "below": ("below", MEASURED["below"])}
    table = validated(cases, held_to, size=50, times=20)
    whole = cases[0][3]
    bounds = ["betting", "empirical-bernstein", "sample-mean"]
    sizes = by_size(whole.losses["overlap"], whole.efs, 0.05, sizes=[5, 50], bounds=bounds, times=20)
    law = simple_rules.probe(index, parts[1], 20)
    ruled = simple_rules.rules(whole, 5, [0.9], [1.0], law, index).assign(data="mine", engine="faiss-hnsw")
    assert len(tables.held(table)) == len(table)
    assert len(tables.sizes(sizes)) == len(sizes) == 6
    assert tables.simpler(ruled)["met"].tolist() == [f"{int(meets)} of 1" for meets in ruled["meets"]]
    assert cited.guarantee_facts(table, 0.95)["level"] == "95 %"
    assert "sample_mean_coverage" in cited.size_facts(sizes)
    assert set(cited.rule_facts(ruled, [1.0])) >= {"alpha1_met", "law_met", "alpha_needed"}
    for figure in (draw.coverage(table, 0.95), draw.by_size(sizes, 0.95), draw.rules(ruled, 0.9)):
        figure.draw_without_rendering()
    page = draw_summary.page(chosen, sizes, PAGE, level=0.95)
    page.draw_without_rendering()
    assert any("A rule." in text.get_text() for text in page.texts)


def test_the_page_takes_an_engine_that_does_not_count_distances(chosen, searched):
    whole = searched["faiss-hnsw", 5]
    sizes = by_size(whole.losses["overlap"], whole.efs, 0.05, sizes=[50], bounds=["betting"], times=5)
    uncounted = chosen[chosen["engine"] == "faiss-hnsw"].assign(share=np.nan)
    page = draw_summary.page(uncounted, sizes, PAGE, level=0.95)
    assert any("microseconds" in axes.get_title(loc="left") for axes in page.axes)


def test_parts_of_searches_keep_their_queries():
    whole = Searched(np.array([1]), {"overlap": np.array([[0.1, 0.2]])}, np.array([3.0]), np.array([4.0]))
    assert whole.part([1]).losses["overlap"].tolist() == [[0.2]]
