"""Scale: which cases are measured, what is measured on them, lines over n and their predictions, tables and facts."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neighborhood_drift import scale, scale_facts
from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import Sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import scale as draw
from neighborhood_drift.indexes import build_index
from neighborhood_drift.metrics import overlap
from neighborhood_drift.scale_fits import extrapolations, growth, line, over_draws, restored, transformed

RNG = np.random.default_rng(5)
BASE = RNG.normal(size=(400, 24)).astype(np.float32) * np.linspace(3, 0.1, 24, dtype=np.float32)
SAMPLE = Sample(BASE, np.arange(400), None, None, "made", "0", {})


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    cases = scale.by_size(SAMPLE, [50, 100, 200, 400], 2, 60)
    cases += scale.by_dimension(SAMPLE, [2, 8, 24, 99], 100, 2, 60) + scale.by_metric([SAMPLE], 100, 2, 60)
    return scale.measure(cases, [5, 20], 20, [0.9], progress=False, M=8, ef_construction=40)


# ---- cases


@pytest.mark.parametrize(
    "n, smallest, sizes", [(100, 25, [25, 50, 100]), (7, 3, [3, 7]), (60, 100, [60]), (3, 1, [1, 3])]
)
def test_sizes_are_halves_and_none_is_below_the_smallest(n, smallest, sizes):
    assert scale.halved(n, smallest) == sizes


def test_parts_are_drawn_anew_without_repeats_and_the_whole_base_is_itself():
    cases = scale.by_size(SAMPLE, [100, 400, 1000], 3, 30)
    assert [len(case.points) for case in cases] == [100] * 3 + [400] * 3
    assert all(len(np.unique(case.points, axis=0)) == len(case.points) for case in cases)
    assert not np.array_equal(cases[0].points, cases[1].points)
    assert all(case.points is SAMPLE.base for case in cases[3:]), "so that a kept index is found again"
    assert not np.array_equal(cases[3].rows, cases[4].rows)
    assert all(len(case.rows) == 30 and case.rows.max() < len(case.points) for case in cases)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_axes_are_those_of_a_singular_value_decomposition(metric):
    points = BASE.astype(np.float64)
    points = points / np.linalg.norm(points, axis=1)[:, None] if metric == "cosine" else points - points.mean(axis=0)
    true = np.linalg.svd(points)[2][:5].T
    found = scale.principal_axes(BASE, 5, metric)
    assert np.abs((true * found).sum(axis=0)) == pytest.approx(1, abs=1e-3)


def test_projection_keeps_the_points_and_the_full_dimension_is_the_data():
    cases = scale.by_dimension(SAMPLE, [2, 8, 24, 99], 100, 1, 50)
    assert [case.points.shape for case in cases] == [(100, 2), (100, 8), (100, 24)]
    full, eight = cases[2], cases[1]
    between = [np.linalg.norm(case.points[:, None] - case.points, axis=-1) for case in (eight, full)]
    assert (between[0] <= between[1] * (1 + 1e-5) + 1e-5).all(), "a projection lengthens no distance"
    assert all(np.array_equal(case.rows, full.rows) for case in cases)


def test_a_vector_of_zeros_has_no_cosine():
    zeros = Sample(np.vstack([BASE[:50], np.zeros((1, 24), np.float32)]), np.arange(51), None, None, "zeros", "", {})
    assert {case.metric for case in scale.by_metric([zeros], 51, 1, 10)} == {"l2"}
    assert {case.metric for case in scale.by_metric([SAMPLE], 51, 1, 10)} == {"l2", "cosine"}


# ---- measures


def test_measures_are_those_of_the_search_itself(measured):
    (case,) = scale.by_size(SAMPLE, [400], 1, 60)
    index = build_index("faiss-hnsw", case.points, M=8, ef_construction=40)
    exact = exact_neighbors(case.points, case.points[case.rows], k=20, exclude=case.rows)
    shares = overlap(exact, index.search(case.points[case.rows], 20, ef=20, exclude_self=case.rows))
    (row,) = measured.query(
        "study == 'size' and n == 400 and draw == 0 and k == 20 and measure == 'overlap' and search == 'faiss-hnsw'"
    ).itertuples()
    assert row.value == pytest.approx(shares.mean())
    assert row.low <= row.value <= row.high
    effort = measured.query("study == 'size' and n == 400 and draw == 0 and measure == 'effort 0.9'")["value"].item()
    again = index.search(case.points[case.rows], 20, ef=int(effort), exclude_self=case.rows)
    assert overlap(exact, again).mean() >= 0.9


def test_search_times_are_measured_once_a_graph_and_effort(measured):
    of_size = measured.query("study == 'size'")
    for measure in ("microseconds", "microseconds 0.9"):
        own = of_size[of_size["measure"] == measure]
        assert len(own) == 8 and set(own["k"]) == {20} and (own["value"] > 0).all()
    for metric in ("l2", "cosine"):
        index = build_index("faiss-hnsw", BASE, metric=metric, M=8)
        assert scale.search_time(index, BASE[:7], 5, 10) > 0


def test_the_unbounded_queue_finds_no_less_for_no_fewer_distances(measured):
    wide = measured.query("k == 20 and measure in ['overlap', 'distances']").pivot_table(
        "value", ["study", "metric", "dimension", "n", "draw"], ["measure", "search"]
    )
    assert (wide["overlap", "faiss-hnsw-unbounded"] >= wide["overlap", "faiss-hnsw"] - 1e-9).all()
    assert (wide["distances", "faiss-hnsw-unbounded"] >= wide["distances", "faiss-hnsw"]).all()


def test_what_cannot_be_measured_is_left_out_or_refused():
    with pytest.raises(InputError, match="ks is empty"):
        scale.measure([], [], 20, [0.9])
    with pytest.raises(InputError, match=r"targets hold 1.5"):
        scale.measure([], [5], 20, [0.9, 1.5])
    few = scale.measure(scale.by_size(SAMPLE, [10], 1, 5), [5, 9, 50], 20, [0.9], progress=False, M=4)
    assert set(few["k"]) == {5}
    assert scale.measure(scale.by_size(SAMPLE, [4], 1, 2), [5], 20, [0.9], progress=False).empty


# ---- lines


def drawn(values, measure="effort 0.9", draws=1, noise=0.0):
    """A table of one measure: size -> value, with noise on the scale of the line."""
    rows = [
        ("size", "made", "l2", 8, n, draw, "faiss-hnsw", 5, measure,
         float(restored(transformed(value, measure) + noise * RNG.normal(), measure)), np.nan, np.nan)
        for n, value in values.items() for draw in range(draws)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=scale.COLUMNS)


def test_a_power_law_is_found_and_predicted_exactly():
    table = drawn({n: 3 * n**0.4 for n in (100, 200, 400, 800)})
    (row,) = growth(table, ["effort 0.9"], times=10).itertuples()
    assert (row.slope, row.slope_low, row.n) == (pytest.approx(0.4), pytest.approx(0.4), 8000)
    assert row.predicted == pytest.approx(3 * 8000**0.4)
    (test,) = extrapolations(table, ["effort 0.9"]).itertuples()
    assert (test.upto, test.factor, test.error) == (400, 2, pytest.approx(0, abs=1e-9))


def test_an_overlap_stays_between_its_bounds_whatever_the_slope():
    table = drawn({100: 0.999, 200: 0.99, 400: 0.9, 800: 0.5, 1600: 0.05}, "overlap")
    rows = extrapolations(table, ["overlap"])
    assert rows["upto"].tolist() == [400, 800]
    assert ((rows["low"] >= 0) & (rows["low"] <= rows["predicted"]) & (rows["predicted"] <= rows["high"])).all()
    assert (rows["high"] <= 1).all()


def test_a_line_is_that_of_ordinary_regression():
    n, y = np.repeat([100, 200, 400], 3), np.exp(RNG.normal(size=9))
    fitted, known = line(n, y, "distances"), stats.linregress(np.log(n), np.log(y))
    assert fitted.slope == pytest.approx(known.slope)
    half = stats.t.ppf(0.975, 7) * known.stderr
    assert fitted.slope_interval() == pytest.approx((known.slope - half, known.slope + half))


def test_the_prediction_interval_covers_as_often_as_it_says():
    generator, trials = np.random.default_rng(0), 2000
    n, held = np.repeat([100, 200, 400], 3), 0
    for _ in range(trials):
        fitted = line(n, np.exp(0.5 * np.log(n) + 0.1 * generator.normal(size=9)), "effort")
        _, low, high = fitted.at(1600, 3)
        held += low <= 0.5 * np.log(1600) + 0.1 * generator.normal(size=3).mean() <= high
    assert stats.binomtest(held, trials, 0.95).pvalue > 1e-4


def test_a_bend_falls_outside_the_interval():
    table = drawn({n: n**0.2 if n < 800 else 40.0 for n in (100, 200, 400, 800)}, draws=3, noise=0.01)
    assert not extrapolations(table, ["effort 0.9"])["inside"].any()


def test_too_few_sizes_give_no_line():
    table = drawn({100: 5.0, 200: 6.0})
    assert growth(table, ["effort 0.9"]).empty and extrapolations(table, ["effort 0.9"]).empty
    with pytest.raises(InputError, match="2 sizes have a value"):
        line([1, 2], [1.0, 2.0], "effort")
    assert extrapolations(drawn({100: 5.0, 200: 6.0, 400: 7.0}), ["effort 0.9"]).empty


def test_a_size_at_which_a_draw_found_no_effort_is_not_fitted_and_not_judged():
    table = drawn({n: 3 * n**0.4 for n in (100, 200, 400, 800, 1600)}, draws=2)
    last, first = (table["n"] == 1600) & (table["draw"] == 1), (table["n"] == 100) & (table["draw"] == 1)
    lost = table.assign(value=table["value"].where(~last))
    assert extrapolations(lost, ["effort 0.9"]).empty, "the largest size has no value to be judged by"
    (row,) = growth(lost, ["effort 0.9"]).itertuples()
    assert row.n == 8000
    found = scale_facts.scale_facts(lost, "made", 5, 0.9)
    assert found["main_predicted_effort_near_held"] == "not available"
    lost = table.assign(value=table["value"].where(~first))
    assert extrapolations(lost, ["effort 0.9"])["upto"].tolist() == [800]
    assert draw.extrapolation(lost, 5, 0.9).axes


def test_means_are_taken_on_the_scale_of_the_line_and_gaps_stay():
    table = pd.concat([drawn({100: 4.0}), drawn({100: 9.0}).assign(draw=1), drawn({200: np.nan})])
    means = over_draws(table)
    assert means["value"].iloc[0] == pytest.approx(6.0) and np.isnan(means["value"].iloc[1])
    assert means["draws"].tolist() == [2, 1] and np.isnan(means["low"].iloc[1])


# ---- tables, facts, figures


def test_facts_exist_for_cited_data_that_are_not_at_hand(measured):
    found = scale_facts.scale_facts(measured, "made", 20, 0.9)
    names = {name.removeprefix("main_") for name in found if name.startswith("main_")}
    for data in scale_facts.CITED:
        word = data.replace("-", "_")
        assert {f"{word}_{name}" for name in names} <= set(found)
        assert found[f"{word}_overlap_large"] == "not available"
    assert found["main_search_large"] != "not available" and found["main_search_kept_exponent"] != "not available"
    assert found["main_large"] == "400" and found["main_sizes"] == "4"
    assert found["main_predicted_effort_near_held"] in ("inside", "outside")
    assert "nan" not in " ".join(found.values())


def test_facts_of_one_size_are_not_available(measured):
    found = scale_facts.scale_facts(measured[measured["n"] == 400], "made", 20, 0.9)
    assert found["main_effort_exponent"] == found["main_predicted_overlap_near"] == "not available"
    assert found["main_overlap_large"] != "not available"
    assert set(scale_facts.dimension_facts(measured.iloc[:0], 20, 0.9).values()) == {"not available"}


def test_tables_have_a_row_for_each_setting_and_say_where_it_was_measured(measured):
    kept = measured[measured["study"] == "size"].assign(data="far", source="far", run="a separate run on far")
    table = scale_facts.together(measured, kept)
    assert set(table["data"]) == {"made", "far (separate run)"}
    shown = scale_facts.laid_out(table, "size", 20, 0.9)
    assert len(shown) == 8 and not shown.isna().any(axis=None)
    times = scale_facts.laid_out(table, "size", 20, 0.9, times=True)
    assert len(times) == 8 and not times.isna().any(axis=None)
    assert not {"µs, fixed ef", "build, s"} & set(shown) and {"µs, fixed ef", "build, s"} <= set(times)
    assert len(scale_facts.laid_out(table, "dimension", 20, 0.9)) == 3
    assert set(scale_facts.predictions(table, ["overlap"])["in the interval"]) <= {"yes", "no"}


def test_figures_draw_what_is_there_and_nothing_of_what_is_not(measured):
    for table in (measured, measured[measured["n"] == 100], measured.iloc[:0]):
        for figure in (draw.size, draw.extrapolation, draw.dimension):
            assert figure(table, 20, 0.9).axes
    lines = draw.size(measured, 20, 0.9).axes[0].lines
    drawn = over_draws(
        measured.query("study == 'size' and k == 20 and search == 'faiss-hnsw' and measure == 'overlap'")
    )
    assert lines[0].get_ydata() == pytest.approx(drawn["value"].to_numpy())
