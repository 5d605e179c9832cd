"""The command ``tune`` on a small file of vectors: its answer, its files, its exit status, and what it refuses."""

import errno
import json
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from neighborhood_drift import build_index
from neighborhood_drift.figures import choosing
from neighborhood_drift.study import cli
from neighborhood_drift.study import tune as command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    generator = np.random.default_rng(0)
    base = generator.normal(size=(800, 8)).astype(np.float32)
    np.save(folder / "mine.npy", base)
    np.save(folder / "asked.npy", generator.normal(size=(500, 8)).astype(np.float32))
    np.save(folder / "few.npy", base[:60])
    np.save(folder / "narrow.npy", base[:, :7])
    np.save(folder / "gaps.npy", np.where(base > 2, np.nan, base))
    np.save(folder / "copies.npy", np.repeat(base[:40], 20, axis=0))
    np.save(folder / "other.npy", base[::-1])
    build_index("faiss-hnsw", base, M=4, metric="cosine").save(folder / "cosine.index")
    return folder


@pytest.fixture
def tune(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda *words, vectors="mine.npy": CliRunner().invoke(
        cli.app, ["tune", "--vectors", vectors, "--k", "10", "--no-progress", *words]
    )


def test_it_answers_with_ef_bound_table_and_plot(tune, folder):
    answer = tune("--plot", "ef.svg")
    assert answer.exit_code == 0
    first = answer.stdout.splitlines()[0]
    assert first.startswith("ef = ") and "mean overlap of at least 0.99 at k = 10" in first and "95 %" in first
    assert "certified" in answer.stdout and "building FAISS, default over 800 vectors" in answer.stderr
    assert "95 % interval of the measured" in answer.stdout and "as near as the last neighbor" not in answer.stdout
    assert b"<svg" in (folder / "ef.svg").read_bytes()


@pytest.mark.parametrize(("ideal", "goal"), [(1.0, 0.9), (1.0, 1.1), (0.0, 0.1)])
def test_the_figure_shows_the_target_and_cuts_off_what_drifts_far(ideal, goal):
    drift = np.array([9, 3, 0.5, 0]) * (goal - ideal)
    table = pd.DataFrame({"ef": [1, 10, 20, 40], "estimate": ideal + drift, "passes": [False, False, True, True]})
    table["bound"] = table["estimate"] + 0.1 * (goal - ideal)
    for ef in (20, None):
        axes = choosing.tune(table, quantity="drift", ideal=ideal, goal=goal, ef=ef).axes[0]
        low, high = axes.get_ylim()
        assert low < goal < high and low < ideal < high and not low < table["estimate"][0] < high
        assert 1 < axes.get_xlim()[0] < 10
        assert [line.get_label() for line in axes.lines if line.get_label().startswith("chosen")] == (
            ["chosen, ef = 20"] if ef else []
        )


def test_json_holds_what_the_text_says(tune):
    answer = json.loads(tune("--json", "--target", "overlap=0.95").stdout)
    rows = {row["ef"]: row for row in answer["table"]}
    assert rows[answer["ef"]]["bound"] == answer["bound"] >= 0.95 and rows[answer["ef"]]["passes"]
    assert answer["engine"] == "faiss-hnsw" and answer["effort"] == "efSearch" and answer["queries"] == 500
    assert tune("--target", "overlap=0.95").stdout.splitlines()[0] == answer["sentence"]


def test_an_index_is_kept_and_read_again(tune, folder):
    words = ("--index", "kept.index", "--engine", "hnswlib@M=8", "--json")
    first = tune(*words)
    assert first.exit_code == 0 and (folder / "kept.index").is_file() and "building" in first.stderr
    second = tune("--index", "kept.index", "--json")
    assert "building" not in second.stderr
    assert json.loads(second.stdout)["ef"] == json.loads(first.stdout)["ef"]
    assert json.loads(second.stdout)["params"]["M"] == 8


def test_status_3_where_no_ef_is_certified(tune):
    answer = tune("--efs", "1,2")
    assert answer.exit_code == 3 and "No ef from 1 to 2 is certified" in answer.stdout
    assert "Larger values can be tried with --efs and another --seed" in answer.stdout
    assert json.loads(tune("--efs", "2,1", "--json").stdout)["ef"] is None


def test_the_answer_is_there_before_a_plot_that_cannot_be_written(tune, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(command, "_plot", full)
    answer = tune("--plot", "ef.svg", "--json")
    assert answer.exit_code not in (0, 3) and json.loads(answer.stdout)["ef"] > 0


def test_vectors_with_copies_are_said_to_have_ties_and_have_a_target(tune):
    answer = tune("--engine", "faiss-hnsw", vectors="copies.npy")
    assert "For 100 % of the queries the next point is as near" in answer.stdout
    assert answer.exit_code == 3 and "--target recall=0.99" in answer.stdout
    assert "--target recall=0.95 takes" in tune("--target", "overlap=0.95", vectors="copies.npy").stdout
    answer = tune("--engine", "faiss-ivf", "--target", "recall=0.99", vectors="copies.npy")
    assert answer.exit_code == 0 and "mean tie-aware recall of at least 0.99" in answer.stdout
    assert "as near as the last neighbor" not in answer.stdout


@pytest.mark.parametrize(
    "target", ["recall=0.99", "below-0.9=0.05", "distance-ratio=1.01", "barycenter=0.05", "lid-bias=0.1"]
)
def test_every_target_has_an_answer(tune, target):
    answer = tune("--target", target, "--json")
    assert answer.exit_code == 0
    assert (json.loads(answer.stdout)["confidence"] is None) == (not target.startswith(("below", "recall")))


def test_other_queries_engines_and_metrics(tune):
    answer = tune("--queries", "asked.npy", "--engine", "faiss-ivf@nlist=16", "--metric", "cosine", "--json")
    told = json.loads(answer.stdout)
    assert answer.exit_code == 0 and told["metric"] == "cosine" and told["params"] == {"nlist": 16}
    assert told["table"][-1]["ef"] == 16
    assert json.loads(tune("--index", "cosine.index", "--json").stdout)["metric"] == "cosine"
    assert tune("--engine", "faiss-flat").exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--target", "recal=0.9"], "the target is 'recal=0.9'; known are overlap=0.99"),
        (["--target", "recall=1"], "recall is 1.0; it must be above 0 and below 1"),
        (["--target", "overlap=2"], "overlap is 2.0; it must be above 0 and below 1"),
        (["--engine", "fais"], "--engine is 'fais'; known are numpy"),
        (["--engine", "hnswlib@M=x"], "must be an engine's name"),
        (["--engine", "hnswlib@Q=3"], "hnswlib has no build parameter Q"),
        (["--k", "800"], "--k is 800; it must be a whole number from 1 to 799"),
        (["--queries", "none.npy"], "none.npy does not exist"),
        (["--confidence", "2"], "confidence is 2.0; it must be at least 0.5 and below 1"),
        (["--sample", "200"], "a sample of 200 queries cannot certify mean overlap of at least 0.99"),
        (["--sample", "0"], "--sample is 0"),
        (["--efs", "10,x"], "--efs is '10,x'; it must be whole numbers"),
        (["--efs", "0"], "a value of --efs is 0; it must be a whole number of at least 1"),
        (["--metric", "l1"], "--metric is 'l1'"),
        (["--bound", "sample-mean"], "--bound is 'sample-mean'"),
        (["--plot", "ef.doc"], "the ending of --plot is '.doc'"),
        (["--plot", "nowhere/ef.svg"], "there is no folder nowhere"),
        (["--index", "cosine.index", "--metric", "l2"], "holds an index for cosine"),
        (["--index", "cosine.index", "--engine", "hnswlib"], "holds an index of faiss-hnsw"),
        (["--index", "cosine.index", "--engine", "faiss-hnsw@M=5"], "holds an index built with M=4"),
        (["--index", "cosine.index", "--engine", "faiss-hnsw@Q=5"], "holds an index built with M=4"),
        (["--queries", "narrow.npy"], "--queries has 7 dimensions; the base has 8"),
        (["--queries", "gaps.npy"], "gaps.npy holds NaN or infinite values"),
        (["--index", "few.npy"], "few.npy"),
        (["--threads", "0"], "--threads is 0"),
        (["--seed", "-1"], "--seed is -1"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(tune, words, sentence):
    answer = tune(*words)
    assert answer.exit_code == 2
    assert sentence in answer.stderr.splitlines()[-1]
    assert words[0] != "--queries" or "building" not in answer.stderr


def test_help_names_every_option():
    told = CliRunner().invoke(cli.app, ["tune", "--help"], env={"COLUMNS": "200"}).output
    options = ("vectors", "k", "target", "engine", "index", "queries", "confidence", "sample", "metric", "efs", "bound")
    assert all(f"--{option}" in told for option in (*options, "plot", "json", "seed", "threads"))
    assert "tune" in CliRunner().invoke(cli.app, ["--help"]).output


def test_an_engine_that_is_not_installed_says_what_to_install(tune, monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    answer = tune("--engine", "hnswlib")
    assert answer.exit_code == 2 and "needs the package hnswlib" in answer.stderr


def test_other_or_fewer_vectors_are_refused(tune):
    assert "over other vectors than --vectors" in tune("--index", "cosine.index", vectors="other.npy").stderr
    few = tune(vectors="few.npy")
    assert few.exit_code == 2 and "a sample of 60 queries cannot certify" in few.stderr and "at least 3" in few.stderr
