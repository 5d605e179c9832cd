"""Efforts found for a recall or a budget of distances, on indexes whose recall is known at each effort."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neighborhood_drift.checks import InputError
from neighborhood_drift.families import FINEST, at_recall, at_work, build_all, distinct, find_efforts
from neighborhood_drift.kinds import named
from neighborhood_drift.neighbors import Neighbors

K, N = 10, 100
EXACT = Neighbors(np.tile(np.arange(1, 2 * K + 1), (N, 1)), np.tile(np.arange(1.0, 2 * K + 1), (N, 1)))
ROWS, BASE = np.arange(N), np.zeros((N, 2), np.float32)


class Stub:
    """An index whose share of true neighbors, over all queries, is ``steepness`` x ef / 1000."""

    effort, search_seconds = "ef", 0.1

    def __init__(self, steepness=1.0, lowest=1, highest=1000, effort="ef"):
        self.steepness, self.range, self.effort = steepness, (lowest, highest), effort
        self.asked = []

    def effort_range(self):
        return self.range

    def search(self, queries, k, ef, exclude_self):
        self.asked.append(ef)
        self.distance_computations = None if self.effort is None else 7 * ef * len(queries)
        share = 1.0 if ef is None else min(1.0, self.steepness * ef / 1000)
        kept = np.arange(N * k).reshape(N, k) % (N * k) < round(share * N * k)
        ids = np.where(kept, EXACT.ids[:, :k], EXACT.ids[:, k : 2 * k])
        return Neighbors.sorted(ids, ids.astype(float))


@given(st.floats(0.01, 1.0), st.integers(1, 400), st.floats(1.0, 4.0))
def test_the_effort_found_is_the_least_that_reaches_the_recall(target, lowest, steepness):
    index = Stub(steepness, lowest)
    ef, recall = at_recall(index, BASE, ROWS, EXACT, K, target)
    assert recall >= target and recall == pytest.approx(min(1, steepness * ef / 1000), abs=0.001)
    least = max(lowest, int(np.ceil(1000 * (target - 0.001) / steepness)))
    assert least - 1 <= ef <= max(least + 2, (1 + FINEST) * (least + 2))


def test_a_recall_out_of_reach_gives_the_highest_effort():
    assert at_recall(Stub(0.5), BASE, ROWS, EXACT, K, 0.9) == (1000, pytest.approx(0.5))
    assert at_recall(Stub(effort=None), BASE, ROWS, EXACT, K, 0.9) == (None, 1.0)


@pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(InputError, match="between 0 and 1"):
        at_recall(Stub(), BASE, ROWS, EXACT, K, target)


def test_targets_share_their_searches():
    index = Stub()
    settings, curve = find_efforts({"stub": index}, BASE, ROWS, EXACT, K, [0.95, 0.9], progress=False)
    assert len(index.asked) == len(set(index.asked)) == len(curve)
    assert settings["target"].tolist() == [0.9, 0.95] and settings["reached"].tolist() == ["yes", "yes"]
    assert curve["recall"].is_monotonic_increasing


def test_what_was_reached_is_said():
    indexes = {"weak": Stub(0.5), "strong": Stub(4.0, lowest=240), "none": Stub(effort=None)}
    settings, _ = find_efforts(indexes, BASE, ROWS, EXACT, K, [0.9], progress=False)
    assert settings["reached"].tolist() == ["no", "lowest", "lowest"]
    assert np.isnan(settings["ef"].iloc[2])


def test_no_index_gives_tables_without_rows():
    settings, curve = find_efforts({}, BASE, ROWS, EXACT, K, [0.9], progress=False)
    full, searched = find_efforts({"stub": Stub()}, BASE, ROWS, EXACT, K, [0.9], progress=False)
    for empty, other in ((settings, full), (curve, searched)):
        assert empty.empty and list(empty) == list(other)
        assert list(empty.select_dtypes(float)) == list(other.select_dtypes(float))
    assert distinct(settings).empty


def test_the_most_effort_within_a_budget_of_distances():
    ef, recall = at_work(Stub(), BASE, ROWS, EXACT, K, 7 * 500)
    assert 490 <= ef <= 500 and recall == pytest.approx(ef / 1000, abs=0.001)
    assert at_work(Stub(highest=30), BASE, ROWS, EXACT, K, 7 * 500).ef == 30
    assert at_work(Stub(lowest=600), BASE, ROWS, EXACT, K, 7 * 500).ef is None
    assert at_work(Stub(effort=None), BASE, ROWS, EXACT, K, 7 * 500).ef is None


def test_names_with_parameters():
    assert named("annoy") == ("annoy", {})
    with pytest.raises(InputError, match="number"):
        named("annoy@trees=many")


def test_an_engine_that_cannot_be_built_is_named_with_the_reason():
    base = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    made, absent = build_all(["faiss-flat", "nothing", "hnswlib@M=0"], base, progress=False)
    assert list(made) == ["faiss-flat"] and isinstance(absent, pd.DataFrame)
    assert absent["engine"].tolist() == ["nothing", "hnswlib@M=0"]
    assert "known are" in absent["reason"].iloc[0]
