"""Tables and labels where a value is missing."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift.figures import style
from neighborhood_drift.tables import Table


def test_missing_values_are_dashes_in_columns_of_every_kind_of_number():
    frame = pd.DataFrame({"share": [0.5, np.nan], "count": pd.array([1000, None], dtype="Int64")})
    *_, known, missing = Table(frame, digits=2).markdown.splitlines()
    assert known.replace(" ", "") == "|0.50|1,000|" and missing.replace(" ", "") == "|–|–|"


def test_a_table_of_nothing_is_still_a_table():
    head, rule, row = Table(pd.DataFrame()).markdown.splitlines()
    assert [line.count("|") for line in (head, rule, row)] == [2, 2, 2] and "not available" in row
    assert len(Table(pd.DataFrame(columns=["k", "overlap"])).markdown.splitlines()) == 2


@pytest.mark.parametrize(("y", "labels"), [([1.0, np.nan], [(1.0, 1.0)]), ([np.nan, np.nan], [])])
def test_a_line_is_labeled_at_its_last_finite_point(y, labels):
    _, axes = style.new()
    style.label_end(axes, [1, 2], y, "hnswlib", style.GREEN)
    assert [text.xy for text in axes.texts] == labels


def test_labels_of_lines_that_end_together_are_set_apart_in_their_order():
    _, axes = style.new()
    axes.set(xlim=(0, 2), ylim=(0, 1))
    lines = [([0, 1], [0.2, end], name, style.BLUE) for end, name in ((0.501, "b"), (0.5, "a"), (0.9, "c"))]
    style.label_ends(axes, [*lines, ([0, 1], [np.nan, np.nan], "none", style.BLUE)], gap=11)
    height = axes.bbox.height * 72 / axes.figure.dpi
    places = {text.get_text(): text.xy[1] * height + text.xyann[1] for text in axes.texts}
    assert places["b"] - places["a"] == pytest.approx(11)
    assert places["c"] == pytest.approx(0.9 * height)
    assert list(places) == ["a", "b", "c"]


def test_ticks_of_shares_say_what_they_stand_at():
    _, axes = style.new()
    axes.set_ylim(0.95, 1.001)
    style.percent(axes.yaxis)
    axes.figure.canvas.draw()
    for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True):
        assert float(label.get_text().rstrip("%")) == pytest.approx(100 * place)
