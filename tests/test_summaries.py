"""Summaries: intervals over queries beside those over seeds, onsets, and the facts made of them."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import InputError, facts, summaries, summarize


def drift_table(means, queries=40, seeds=(0,)):
    """A made drift table: for each engine and k an overlap per query that scatters around a given mean."""
    noise = np.random.default_rng(0).normal(0, 0.001, (len(seeds), queries))
    rows = [
        {"engine": engine, "seed": seed, "k": k, "query": query, "overlap": mean + noise[at, query]}
        for engine, by_k in means.items()
        for k, mean in by_k.items()
        for at, seed in enumerate(seeds)
        for query in range(queries)
    ]
    return pd.DataFrame(rows)


FALLING = {"faiss-hnsw": {50: 0.985, 100: 0.96, 250: 0.87}, "hnswlib": {50: 0.98, 100: 0.99, 250: 0.998}}


def test_over_seeds_is_students_t_over_the_means_of_the_graphs():
    table = drift_table({"hnswlib": {50: 0.9}}, queries=3, seeds=(0, 1, 2))
    each = table.groupby("seed")["overlap"].mean()
    row = summaries.over_seeds(table).iloc[0]
    half = 4.302652729911275 * each.std(ddof=1) / np.sqrt(3)  # the 97.5 % quantile of t with two degrees of freedom
    assert (row["mean"], row["seeds"]) == (pytest.approx(each.mean()), 3)
    assert (row["low"], row["high"]) == (pytest.approx(each.mean() - half), pytest.approx(each.mean() + half))


def test_one_seed_has_no_interval():
    row = summaries.over_seeds(drift_table(FALLING)).iloc[0]
    assert np.isnan(row["low"]) and np.isnan(row["high"])


def test_direction_follows_the_means_and_needs_disjoint_intervals():
    summary = summarize(drift_table(FALLING), by=("engine", "k"), resamples=200)
    found = summaries.direction_facts(summary, ef=50)
    assert (found["direction_default"], found["direction_hnswlib"]) == ("falls", "rises")
    assert (found["change_default"], found["change_hnswlib"]) == ("−0.115", "+0.018")
    flat = summarize(drift_table({"hnswlib": {50: 0.9, 250: 0.9}}), by=("engine", "k"), resamples=200)
    assert summaries.direction_facts(flat, ef=50)["direction_hnswlib"] == "does not change measurably"


def test_direction_starts_at_the_effort_not_below():
    summary = summarize(drift_table({"hnswlib": {10: 0.1, 50: 0.9, 250: 0.8}}), by=("engine", "k"), resamples=200)
    assert summaries.direction_facts(summary, ef=50)["direction_hnswlib"] == "falls"


def test_onsets_name_the_first_k_below_and_never():
    found = summaries.onsets(drift_table(FALLING), (0.97, 0.5), resamples=100).set_index(["engine", "overlap below"])
    assert found.loc[("faiss-hnsw", "0.97"), "k"] == "100"
    assert found.loc[("hnswlib", "0.50"), "k"] == "never"
    named = summaries.onset_facts(found.reset_index())
    assert (named["onset_97_default"], named["onset_50_hnswlib_interval"]) == ("100", "never")


def test_beside_shows_both_intervals_and_refuses_a_k_that_was_not_measured():
    table = drift_table(FALLING, seeds=(0, 1))
    summary = summarize(table[table["seed"] == 0], by=("engine", "k"), resamples=100)
    shown = summaries.beside(summary, summaries.over_seeds(table), "overlap", [250])
    assert list(shown["search"]) == ["FAISS, default", "hnswlib"]
    assert shown["mean"].astype(float).tolist() == pytest.approx([0.87, 0.998], abs=1e-3)
    with pytest.raises(InputError, match="measured are"):
        summaries.beside(summary, summaries.over_seeds(table), "overlap", [99])


def test_work_facts_divide_the_counts():
    rows = [("faiss-hnsw", 50, 300.0), ("faiss-hnsw-unbounded", 50, 450.0), ("hnswlib", 50, np.nan)]
    table = pd.DataFrame(rows, columns=["engine", "k", "distance_computations"])
    found = summaries.work_facts(summaries.means(table, ["distance_computations"]), [50])
    assert found == {"work_default_k50": "300", "work_unbounded_k50": "450", "work_ratio_k50": "1.5"}


def test_what_was_not_measured_is_named_all_the_same():
    work = summaries.means(pd.DataFrame(columns=["engine", "k", "distance_computations"]), ["distance_computations"])
    found = {**summaries.by_engine([], "overlap", [250]), **summaries.work_facts(work, [250])}
    assert found["overlap_default_k250"] == found["overlap_hnswlib_k250_interval"] == "not available"
    assert found["work_ratio_k250"] == "not available"


def test_facts_are_kept_and_added_to(tmp_path):
    facts.record("drift", out=tmp_path, n=10_000)
    facts.record("drift", out=tmp_path, overlap=0.98765)
    assert (tmp_path / "facts" / "drift.json").read_text() == '{\n "n": "10,000",\n "overlap": "0.988"\n}\n'
