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


@pytest.mark.parametrize(("y", "labels"), [([1.0, np.nan], [(1.0, 1.0)]), ([np.nan, np.nan], [])])
def test_a_line_is_labeled_at_its_last_finite_point(y, labels):
    _, axes = style.new()
    style.label_end(axes, [1, 2], y, "hnswlib", style.GREEN)
    assert [text.xy for text in axes.texts] == labels
