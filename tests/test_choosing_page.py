"""The page of the choice of an effort, and its words: nothing hidden, nothing cut off, true for every target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import choosing_words as words
from neighborhood_drift.calibration import decide, parse_target
from neighborhood_drift.figures import choosing as draw_choice
from neighborhood_drift.figures import guarantee, summary
from neighborhood_drift.figures.guarantee import NO_HARDEST

KS, TARGETS = (10, 20, 50), (0.8, 0.85, 0.9, 0.95, 0.99)
PAGE = {"title": "Which ef?", "data": "Data: mine.", "terms": ["Overlap: a share."], "rule": ["A rule."]}
PAGE |= {"tested": "overlap ≥ 0.95 at k = 20"}


def choices(engines=("faiss-hnsw", "faiss-hnsw-unbounded"), targets=TARGETS) -> pd.DataFrame:
    rows = [
        {"engine": engine, "k": k, "target": target, "ef": 2.0 * k, "smallest": 1.0 * k, "share": k / 500}
        for engine in engines
        for k in KS
        for target in targets
    ]
    return pd.DataFrame(rows).assign(microseconds=5.0)


def sizes(coverage=1.0) -> pd.DataFrame:
    rows = [{"bound": bound, "size": size} for bound in ("betting", "sample-mean") for size in (100, 400)]
    same = {"coverage": coverage, "coverage_low": coverage, "coverage_high": coverage, "none": 0.0}
    return pd.DataFrame(rows).assign(**same, ratio=1.0, ratio_low=1.0, ratio_high=2.0)


def texts(figure) -> str:
    figure.draw_without_rendering()
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join([*inside, *(text.get_text() for text in figure.texts)])


def test_every_target_is_on_the_page_with_a_look_of_its_own():
    page = summary.page(choices(), sizes(), PAGE, level=0.95)
    markers = [line for line in page.axes[0].lines if line.get_label().startswith("overlap")]
    looks = {(line.get_color(), line.get_marker()) for line in markers}
    assert len(markers) == len(looks) == len(TARGETS)


def test_no_marker_hides_another_where_targets_have_one_ef():
    page = summary.page(choices(), sizes(), PAGE, level=0.95)
    page.draw_without_rendering()
    markers = [line for line in page.axes[0].lines if line.get_label().startswith("overlap")]
    seen = [line.get_transform().transform(line.get_xydata()) for line in markers]
    apart = [np.abs(one - other).max() for place, one in enumerate(seen) for other in seen[place + 1 :]]
    assert min(apart) >= summary.APART * page.dpi / 72 - 1e-6


@pytest.mark.parametrize("engines", [("faiss-hnsw",), ("hnswlib", "faiss-ivf")])
def test_all_that_is_drawn_and_written_lies_on_the_page(engines):
    long = PAGE | {"rule": ["A rule of many words that goes on. " * 12] * 4, "data": "Data: of a long name. " * 12}
    page = summary.page(choices(engines), sizes(), long, level=0.95)
    assert "A rule" in texts(page)
    box = page.bbox
    for part in [*page.texts, *page.axes, *page.legends]:
        extent = part.get_tightbbox()
        assert extent.x0 >= box.x0 and extent.x1 <= box.x1 and extent.y0 >= box.y0 and extent.y1 <= box.y1, part
    charts = [axes.get_tightbbox() for axes in page.axes]
    assert all(chart.height > 100 for chart in charts)
    for one in page.texts:
        assert not any(one.get_window_extent().overlaps(chart) for chart in charts), one


def test_without_a_hardest_limit_the_figures_say_so():
    assert NO_HARDEST in texts(summary.page(choices(), sizes(np.nan), PAGE, level=0.95))
    assert NO_HARDEST in texts(guarantee.by_size(sizes(np.nan), 0.95))
    assert NO_HARDEST not in texts(guarantee.by_size(sizes(), 0.95))


@pytest.mark.parametrize(
    ("target", "promised", "not_promised"),
    [
        ("overlap=0.9", "With the confidence stated, the mean", "In expectation"),
        ("below-0.9=0.05", "the share of all such queries", "the mean over"),
        ("barycenter=0.05", "no confidence is stated", "With the confidence stated"),
    ],
)
def test_the_rule_promises_what_the_kind_of_target_allows(target, promised, not_promised):
    choice = decide(np.zeros((2, 500)), [10, 20], parse_target(target))
    costs = pd.DataFrame({"distance_computations": [50.0, 60.0]})
    rule = words.rule_in_words(choice.with_costs(5, costs, {"exact": 1.0, "searches": 2.0}), 1000, "mine")
    assert promised in rule[2] and not_promised not in rule[2]
    assert rule[-1].startswith("For mine: ef = 10") and rule[-1].endswith("It took 3 s.")


def test_terms_name_the_searches_that_are_shown_alone():
    assert "unbounded" not in " ".join(words.terms(["faiss-hnsw"]))
    assert "FAISS, unbounded: it is the larger of ef and k." in " ".join(words.terms(["faiss-hnsw-unbounded"]))


def rules(alphas, ratios) -> pd.DataFrame:
    rows = [
        {"rule": "alpha k", "alpha": alpha, "k": k, "target": 0.9, "ratio": ratio, "meets": True, "data": data}
        for data in "abcd"
        for alpha, ratio in zip(alphas, ratios, strict=True)
        for k in KS
    ]
    law = [{**row, "rule": "law", "alpha": np.nan, "ratio": 3.0} for row in rows if row["alpha"] == alphas[0]]
    return pd.DataFrame(rows + law).assign(engine="faiss-hnsw")


def test_factors_that_end_at_one_place_share_a_label_and_no_label_covers_another():
    figure = guarantee.rules(rules([0.5, 1.0, 2.0, 4.0], [1.0, 1.0, 1.02, 4.0]), 0.9)
    figure.draw_without_rendering()
    for panel in [axes for axes in figure.axes if axes.get_visible()]:
        assert sorted(text.get_text() for text in panel.texts) == ["0.5, 1", "2", "4"]
        boxes = [text.get_window_extent() for text in panel.texts]
        assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[place + 1 :])


def test_the_lowest_panel_of_each_column_has_an_axis_of_its_own():
    figure = guarantee.rules(rules([1.0], [2.0]), 0.9)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 4, "three in the first row, one below"
    for place in (1, 2, 3):
        assert shown[place].get_xlabel() == "k"
        assert [tick.label1.get_visible() for tick in shown[place].xaxis.get_major_ticks()] == [True] * len(KS)
    assert shown[0].get_xlabel() == ""


def test_the_interval_of_the_value_measured_is_drawn_where_it_is_given():
    table = pd.DataFrame({"ef": [5, 10], "estimate": [0.9, 0.99], "bound": [0.88, 0.98], "passes": [False, True]})
    look = {"quantity": "mean overlap", "ideal": 1.0, "goal": 0.95, "ef": 10}
    figure = draw_choice.tune(table, **look, interval=(0.985, 0.994))
    (bar,) = [line for line in figure.axes[0].lines if "interval" in str(line.get_label())]
    assert bar.get_xydata().tolist() == [[10, 0.985], [10, 0.994]]
    without = draw_choice.tune(table, **look)
    assert not [line for line in without.axes[0].lines if "interval" in str(line.get_label())]
