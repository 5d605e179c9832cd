"""The command line over a small study: where runs go, what is refused and with which status."""

import errno
import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from neighborhood_drift.files import write_text
from neighborhood_drift.study import cli
from neighborhood_drift.study.project import StudyError
from neighborhood_drift.study.render import RENDERING

NOTEBOOK = '# %% tags=["parameters"]\nvectors = "cifar10-resnet50"\nmetric = "l2"\npoints = 20\nout = ""\n'


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study's folder as the working folder; runs and renders are only noted, as (what, folder, vectors)."""
    write_text(tmp_path / "notebooks" / "01-first.py", NOTEBOOK)
    write_text(tmp_path / "report" / "index.qmd", "# Paper\n")
    write_text(tmp_path / "report" / "own.qmd", "# Paper of other vectors\n")
    write_text(tmp_path / "report" / "params" / "paper.yml", "points: 30\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RENDERING, raising=False)
    noted = []
    monkeypatch.setattr(
        cli.running, "run", lambda project, chosen, **how: noted.append(("run", project.out, chosen.vectors))
    )
    monkeypatch.setattr(cli.rendering, "render", lambda project, **how: noted.append(("render", project.out)))
    monkeypatch.setattr(cli.rendering.direct, "check", lambda project: noted.append(("check", project.out)))
    return tmp_path, noted


def call(*words):
    return CliRunner().invoke(cli.app, words)


def test_help_names_every_command_and_option():
    for words in ([], ["run"], ["render"], ["report"], ["status"], ["embed"], ["neighbors"]):
        assert call(*words, "--help").exit_code == 0
    assert all(
        command in call("--help").output for command in ("run", "render", "report", "status", "embed", "neighbors")
    )
    assert all("--scheduler" in call(command, "--help").output for command in ("embed", "neighbors"))
    assert all(option in call("report", "--help").output for option in ("-p", "--params", "--out", "--only", "--force"))


def test_report_runs_then_renders_into_the_report_folder(study):
    root, noted = study
    assert call("report").exit_code == 0
    assert noted == [("run", root / "report", None), ("render", root / "report")]


def test_a_folder_of_further_data_is_a_parameter_of_the_run(study, monkeypatch):
    root, _ = study
    (root / "more").mkdir()
    given = []
    monkeypatch.setattr(cli.running, "run", lambda project, chosen, **how: given.append(chosen.given))
    assert call("run", "--data-dir", "more").exit_code == 0
    assert call("report", "--data-dir", "more", "-p", "points=3").exit_code == 0
    folder = str((root / "more").resolve())
    assert given == [{"data_dir": folder}, {"points": 3, "data_dir": folder}]
    refused = call("run", "--data-dir", "nowhere")
    assert refused.exit_code == 2 and "there is no such folder" in refused.output


def test_status_names_each_notebook_with_its_question(study):
    root, _ = study
    write_text(root / "notebooks" / "02-second.py", "# %% [markdown]\n# # Second: is it?\n\n" + NOTEBOOK)
    assert "02-second: not yet run\n    Second: is it?\n" in call("status").output


def test_facts_of_a_run_are_kept_for_the_paper(study, monkeypatch):
    root, _ = study
    np.save(root / "mine.npy", np.eye(40, dtype=np.float32))
    grounds = {"parameters": {"vectors": str(root / "mine.npy")}, "data": {}}
    receipt = {"grounds": grounds, "facts": {"families": {"redis_overlap": "0.9", "other": "1", "more": "2"}}}
    write_text(root / "runs" / "r" / "notebooks" / "01-first.json", json.dumps(receipt))
    words = ("extra", "redis", "--command", "how", "--out", "runs/r", "--also", "families.more")
    assert call(*words).exit_code == 0
    kept = (root / "report" / "published" / "extra" / "redis.yml").read_text()
    assert "redis_overlap: '0.9'" in kept and "more: '2'" in kept and "other" not in kept and "points: '20'" in kept
    assert call("extra", "redis").exit_code == 2


def test_own_vectors_go_to_a_folder_of_their_own(study):
    root, noted = study
    np.save(root / "mine.npy", np.eye(3))
    assert call("run", "-p", "vectors=mine.npy").exit_code == 0
    assert call("run", "-p", "vectors=mine.npy", "--out", "elsewhere").exit_code == 0
    assert noted == [
        ("run", root / "runs" / "mine", str(root / "mine.npy")),
        ("run", root / "elsewhere", str(root / "mine.npy")),
    ]
    refused = call("run", "-p", "vectors=mine.npy", "--out", "report")
    assert refused.exit_code == 2
    assert "is for the vectors of the paper, by its metric; name another --out" in refused.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["status", "-p", "pionts=3"], "A parameter is 'pionts'; known are metric, points, vectors."),
        (["status", "-p", "points=many"], "points is 'many', a value of type str; 01-first takes int, such as 20."),
        (["status", "-p", "points"], "'points' is not a parameter; write name=value."),
        (["status", "-p", "vectors=none.npy"], "none.npy does not exist"),
        (["run", "--params", "none.yml"], "There is no parameter file none.yml; known are report/params/paper.yml."),
        (["run", "--out", "."], "a folder of the study itself"),
        (["render", "--route", "latex"], "--route is 'latex'; known are quarto, direct."),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(study, words, sentence):
    result = call(*words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.startswith("Error: ") and len(result.output.splitlines()) == 1


def test_a_study_that_stopped_is_status_1_without_a_traceback(study, monkeypatch):
    def stop(*_, **__):
        raise StudyError("01-first failed in this cell:\n\n    1 / 0")

    monkeypatch.setattr(cli.running, "run", stop)
    result = call("run")
    assert result.exit_code == 1 and "1 / 0" in result.output and "Traceback" not in result.output


def test_a_full_disk_is_one_sentence_and_another_failure_of_the_system_is_not(study, monkeypatch):
    def fail(number):
        def run(*_, **__):
            raise OSError(number, os.strerror(number), "report/_variables.yml")

        monkeypatch.setattr(cli.running, "run", run)
        return call("run")

    full = fail(errno.ENOSPC)
    assert full.exit_code == 1 and len(full.output.splitlines()) == 1
    assert os.strerror(errno.ENOSPC) in full.output and "report/_variables.yml" in full.output
    assert fail(errno.EIO).exception.errno == errno.EIO


def test_quartos_step_runs_with_the_parameters_of_the_last_run_and_never_twice(study, monkeypatch):
    root, noted = study
    write_text(root / "runs" / "mine" / "notebooks" / "parameters.yml", f"vectors: {root / 'mine.npy'}\n")
    monkeypatch.setenv("QUARTO_PROJECT_DIR", str(root / "runs" / "mine"))
    assert call("pre-render").exit_code == 0
    assert noted == [("run", root / "runs" / "mine", str(root / "mine.npy")), ("check", root / "runs" / "mine")]
    monkeypatch.setenv(RENDERING, "1")
    assert call("pre-render").exit_code == 0
    assert len(noted) == 2
