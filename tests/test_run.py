"""Runs of a small study of two notebooks: what runs, what is skipped, what is kept."""

import json
import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from neighborhood_drift.bundle import Part, write_bundle
from neighborhood_drift.checks import InputError
from neighborhood_drift.files import replacing, write_text
from neighborhood_drift.images import ImageList
from neighborhood_drift.study import freshness
from neighborhood_drift.study.parameters import (
    LOWEST,
    ParameterSet,
    default_out,
    defaults,
    parse_given,
    read_set,
    resolve,
)
from neighborhood_drift.study.project import Project, StudyError, find_root
from neighborhood_drift.study.run import plan, run

ROOT = find_root(Path(__file__).parent)

FIRST = """\
# %% [markdown]
# # First

# %% tags=["parameters"]
points = 20
scale = 1.0
seeds = [0, 1]
metric = "l2"
out = ""

# %%
import sys
from neighborhood_drift import facts
print("progress", file=sys.stderr)
facts.record("first", out=out, points=points, top=scale * 0.98765)
"""
SECOND = """\
# %% tags=["parameters"]
points = 20
out = ""

# %%
import json
from pathlib import Path
if points == 13:
    raise ValueError("thirteen is refused")
Path(out, "facts").mkdir(exist_ok=True)
_ = Path(out, "facts", "second.json").write_text(json.dumps({f"fact_{points}": str(2 * points)}))
"""


@pytest.fixture
def project(tmp_path) -> Project:
    for name, text in (("01-first", FIRST), ("02-second", SECOND)):
        write_text(tmp_path / "notebooks" / f"{name}.py", text)
    write_text(tmp_path / "report" / "index.qmd", "# Paper\n")
    write_text(tmp_path / "report" / "params" / "paper.yml", "points: 30\n")
    return Project(tmp_path, tmp_path / "report")


def quiet(line: str) -> None:
    pass


def made(project: Project) -> dict[str, bytes]:
    """All that a run leaves for the paper, by path."""
    folders = (project.out / "notebooks").glob("*.ipynb"), (project.out / "facts").iterdir()
    files = [*folders[0], *folders[1], project.out / "_variables.yml"]
    return {path.relative_to(project.out).as_posix(): path.read_bytes() for path in files}


def test_a_run_is_skipped_until_something_it_hangs_on_changes(project, monkeypatch):
    lines = []
    chosen = ParameterSet({"points": 30}, {"01-first": {"scale": 0.5}})
    assert run(project, chosen, say=lines.append) == ["01-first", "02-second"]
    assert [line.partition(": ")[0] for line in lines[::2]] == ["[1/2] 01-first", "[2/2] 02-second"]
    variables = yaml.safe_load((project.out / "_variables.yml").read_text())
    assert variables["first"] == {"points": "30", "top": "0.494"}
    assert variables["second"] == {"fact_30": "60"}
    assert variables["run"]["numpy"] == freshness.versions()["numpy"]

    executed = json.loads(project.executed("01-first").read_text())
    assert "papermill" not in executed["metadata"]
    assert not any({"papermill", "execution"} & set(cell["metadata"]) for cell in executed["cells"])
    assert not any(output.get("name") == "stderr" for cell in executed["cells"] for output in cell.get("outputs", []))
    assert not list((project.out / "logs").glob("*.ipynb"))

    before = made(project)
    assert run(project, chosen, say=quiet) == []
    assert made(project) == before

    def reasons(chosen=chosen):
        return {name: reason for name, (reason, _, _) in plan(project, chosen).items()}

    assert reasons() == {"01-first": "", "02-second": ""}
    assert reasons(ParameterSet({"points": 30})) == {"01-first": "parameters changed", "02-second": ""}
    with monkeypatch.context() as patch:
        patch.setattr(freshness, "package_checksum", lambda: "other")
        assert reasons() == {"01-first": "package changed", "02-second": "package changed"}
    with monkeypatch.context() as patch:
        patch.setattr(freshness, "versions", lambda encoding: {"numpy": "0"})
        assert set(reasons().values()) == {"versions changed"}
    write_text(project.root / "data" / "table.csv", "1\n")
    assert set(reasons().values()) == {"data changed"}
    (project.root / "data" / "table.csv").unlink()
    project.executed("02-second").write_text("{}")
    assert reasons() == {"01-first": "", "02-second": "executed copy changed"}

    source = project.root / "notebooks" / "02-second.py"
    source.write_text(source.read_text().replace("fact_", "renamed_"))
    assert run(project, chosen, only=["02"], say=quiet) == ["02-second"]
    variables = yaml.safe_load((project.out / "_variables.yml").read_text())
    assert variables["second"] == {"renamed_30": "60"}, "a fact of the former run is gone"
    assert variables["first"]["points"] == "30", "the facts of a notebook that did not run stay"


def test_a_failing_cell_is_shown_and_what_was_done_is_kept(project):
    with pytest.raises(StudyError) as caught:
        run(project, ParameterSet({"points": 13}), say=quiet)
    message = str(caught.value)
    assert "02-second failed in this cell" in message
    assert 'raise ValueError("thirteen is refused")' in message
    assert "ValueError: thirteen is refused" in message
    assert (project.out / "logs" / "02-second.ipynb").exists()
    assert project.executed("01-first").exists() and not project.executed("02-second").exists()
    assert yaml.safe_load((project.out / "_variables.yml").read_text())["first"]["points"] == "13"
    source = project.root / "notebooks" / "02-second.py"
    source.write_text(source.read_text().replace("points == 13", "points == 14"))
    assert run(project, ParameterSet({"points": 13}), say=quiet) == ["02-second"]


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (ParameterSet({"pionts": 3}), "A parameter is 'pionts'; known are metric, points, scale, seeds."),
        (ParameterSet(given={"points": "3"}), "points is '3', a value of type str; 01-first takes int, such as 20."),
        (ParameterSet({"points": True}), "points is True, a value of type bool; 01-first takes int, such as 20."),
        (ParameterSet({"seeds": [0, "a"]}), "An item of seeds is 'a', a value of type str; 01-first takes int"),
        (ParameterSet({"metric": "l3"}), "metric is 'l3'; known are l2, cosine."),
        (ParameterSet({"points": -1}), "points is -1; it must be a whole number of at least 0."),
        (ParameterSet(given={"seeds": []}), "seeds is empty; at least one value is needed."),
        (ParameterSet(given={"out": "x"}), "name the folder of the run with --out"),
        (
            ParameterSet(notebooks={"03-third": {}}),
            "A section of notebooks is '03-third'; known are 01-first, 02-second.",
        ),
        (ParameterSet(notebooks={"02-second": {"scale": 1}}), "A parameter of 02-second is 'scale'; known are points."),
    ],
)
def test_parameters_are_refused_before_any_work(project, chosen, sentence):
    with pytest.raises(InputError) as caught:
        run(project, chosen, say=quiet)
    assert sentence in str(caught.value)
    assert not (project.out / "notebooks").exists()


def test_values_for_one_notebook_go_before_shared_ones_and_given_ones_before_all(project):
    chosen = ParameterSet({"points": 1}, {"02-second": {"points": 2}})
    assert resolve(chosen, project) == {"01-first": {"points": 1}, "02-second": {"points": 2}}
    chosen = ParameterSet({"points": 1}, {"02-second": {"points": 2}}, given={"points": 3, "scale": 2})
    assert resolve(chosen, project) == {"01-first": {"points": 3, "scale": 2.0}, "02-second": {"points": 3}}


def test_paths_are_taken_from_the_caller_and_from_the_study(tmp_path):
    assert parse_given(["vectors=mine.npy"], tmp_path)["vectors"] == str((tmp_path / "mine.npy").resolve())
    assert parse_given(["vectors=MINE.NPY"], tmp_path)["vectors"] == str((tmp_path / "MINE.NPY").resolve())
    assert parse_given(["vectors=cifar10-resnet50"], tmp_path)["vectors"] == "cifar10-resnet50"
    write_text(tmp_path / "embedded" / "provenance.json", "{}")
    assert parse_given(["vectors=embedded"], tmp_path)["vectors"] == str((tmp_path / "embedded").resolve())
    write_text(tmp_path / "set.yml", "vectors: runs/mine.npy\n")
    chosen = read_set(tmp_path / "set.yml", tmp_path)
    assert chosen.vectors == str(tmp_path / "runs" / "mine.npy")
    assert default_out(chosen, tmp_path) == tmp_path / "runs" / "mine"
    with pytest.raises(InputError, match="write name=value"):
        parse_given(["points"], tmp_path)
    with pytest.raises(InputError, match="There is no parameter file"):
        read_set(tmp_path / "none.yml", tmp_path)
    write_text(tmp_path / "set.yml", "- 1\n")
    with pytest.raises(InputError, match="must hold lines"):
        read_set(tmp_path / "set.yml", tmp_path)


def test_a_folder_of_further_data_is_checked_and_taken_from_the_caller(tmp_path):
    (tmp_path / "more").mkdir()
    assert parse_given(["data_dir=more"], tmp_path)["data_dir"] == str((tmp_path / "more").resolve())
    assert parse_given(["data_dir="], tmp_path)["data_dir"] == ""
    write_text(tmp_path / "set.yml", "data_dir: more\nembed:\n  images: a\n  out: b\n  labels: c.json\n")
    chosen = read_set(tmp_path / "set.yml", tmp_path)
    assert chosen.shared["data_dir"] == str((tmp_path / "more").resolve())
    assert chosen.embed == {"images": "a", "out": str(tmp_path / "b"), "labels": str(tmp_path / "c.json")}
    with pytest.raises(InputError, match="data_dir is 'none'; there is no such folder"):
        parse_given(["data_dir=none"], tmp_path)


def test_further_data_at_hand_are_part_of_what_a_run_hangs_on(project):
    more, source = project.root / "more", project.root / "notebooks" / "02-second.py"
    more.mkdir()
    source.write_text(SECOND.replace("points = 20", 'points = 20\nalso = ["mine"]\ndata_dir = ""'))
    chosen = ParameterSet({"points": 30}, given={"data_dir": str(more)})
    run(project, chosen, say=quiet)

    def reasons(**given):
        found = plan(project, ParameterSet({"points": 30}, given={"data_dir": str(more), **given}))
        return [reason for reason, _, _ in found.values()]

    assert reasons() == ["", ""]
    np.save(more / "mine.npy", np.eye(4, dtype=np.float32))
    assert reasons() == ["", "data changed"]
    run(project, chosen, say=quiet)
    assert reasons() == ["", ""]
    assert reasons(also=[]) == ["", "parameters and data changed"]
    np.save(more / "mine.npy", np.eye(5, dtype=np.float32))
    assert reasons() == ["", "data changed"]


def test_a_gallery_and_weights_are_part_of_what_a_run_hangs_on(project):
    source, weights = project.root / "notebooks" / "02-second.py", project.root / "weights"
    more = 'points = 20\ngallery = ""\nencode = False\nencoders = ["resnet18"]\nweights_dir = ""'
    source.write_text(SECOND.replace("points = 20", more))
    gallery = project.root / "gallery.npy"
    weights.mkdir()
    np.save(gallery, np.eye(4, dtype=np.float32))
    own = {"gallery": str(gallery), "encode": True, "weights_dir": str(weights)}

    def look(**given):
        return plan(project, ParameterSet({}, {"02-second": own | given}))

    run(project, ParameterSet({}, {"02-second": own}), say=quiet)
    assert [reason for reason, _, _ in look().values()] == ["", ""]
    assert "torch" in look()["02-second"][2]["versions"] and "torch" not in look()["01-first"][2]["versions"]
    assert "torch" not in look(encode=False)["02-second"][2]["versions"]
    np.save(gallery, np.eye(5, dtype=np.float32))
    assert [reason for reason, _, _ in look().values()] == ["", "data changed"]
    np.save(gallery, np.eye(4, dtype=np.float32))
    write_text(weights / "resnet18-mine.pth", "weights")
    assert look()["02-second"][0] == "data changed" and "weights" not in look(encode=False)["02-second"][2]["data"]
    for wrong, told in (({"gallery": str(project.root / "none.npy")}, "none.npy"), ({"weights_dir": "none"}, "none")):
        with pytest.raises(InputError, match=told):
            look(**wrong)


def test_what_a_killed_run_was_writing_is_cleared(project):
    def killed():
        with replacing(project.executed("01-first")) as part:
            part.rename(part.with_name(part.name + "x"))  # out of reach of the clean-up that a kill would skip
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    (stray,) = (project.out / "notebooks").iterdir()
    run(project, ParameterSet(), say=quiet)
    assert not stray.exists()


def test_two_runs_into_one_folder_are_refused(project):
    fcntl = pytest.importorskip("fcntl")
    (project.out / "logs").mkdir(parents=True)
    with (project.out / "logs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="Another run is at work"):
            run(project, ParameterSet(), say=quiet)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def disk_full():
        with replacing(path) as part:
            part.write_text("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        disk_full()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_killed_at_twenty_random_moments_it_finishes_with_the_same_result(project):
    # Runs are forked from a process that has loaded the libraries once: the test is about the run, not the imports.
    kills, draw = 20, random.Random(0)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["neighborhood_drift.study.run", "papermill", "jupytext"])
    write_text(project.root / "notebooks" / "01-first.py", SECOND.replace("second", "first"))
    chosen = ParameterSet({"points": 30})

    def start(force):
        running = context.Process(target=run, args=(project, chosen), kwargs={"force": force, "say": quiet})
        running.start()
        return running

    start(True).join()
    began = time.perf_counter()
    start(True).join()
    whole = time.perf_counter() - began
    wanted = made(project)
    for _ in range(kills):
        running = start(True)
        time.sleep(draw.uniform(0, whole))
        running.kill()
        running.join()
        for name in ("01-first", "02-second"):
            assert project.executed(name).read_bytes() == wanted[f"notebooks/{name}.ipynb"], "never a part of a file"
    start(False).join()
    assert made(project) == wanted


def test_the_committed_sets_fit_the_notebooks_and_quick_is_their_default():
    project = Project(ROOT, ROOT / "report")
    for path in (ROOT / "report" / "params").glob("*.yml"):
        resolve(read_set(path, ROOT), project)
    quick = read_set(ROOT / "report" / "params" / "quick.yml", ROOT)
    for name, values in resolve(quick, project).items():
        own = defaults(project.notebooks()[name])
        assert values == {parameter: own[parameter] for parameter in values}, name
    known = {parameter for source in project.notebooks().values() for parameter in defaults(source)}
    assert set(LOWEST) <= known


def test_labels_beside_the_same_vectors_are_other_data(project):
    image, found = ImageList("made", ("a.png",), lambda i: Image.new("RGB", (32, 32))), []
    (project.root / "data").mkdir()
    for labels in ([0, 1, 1], [0, 0, 1]):
        part = Part(np.eye(3, dtype=np.float32), ("a", "b", "c"), np.array(labels), None)
        write_bundle(project.root / "made", {"base": part}, ("x", "y"), {}, image, project.root / "work")
        found.append(freshness.data_checksums(project, str(project.root / "made")))
    assert found[0]["vectors"] == found[1]["vectors"] and found[0] != found[1]


def test_efforts_and_numbers_of_neighbors_are_refused_before_any_work(tmp_path):
    text = '# %% tags=["parameters"]\nvectors = "none"\npoints = 20\nks = [5, 10]\nef = 50\nM = 32\nout = ""\n'
    write_text(tmp_path / "notebooks" / "01-first.py", text)
    np.save(tmp_path / "mine.npy", np.eye(30, dtype=np.float32))
    project = Project(tmp_path, tmp_path / "report")
    for given, sentence in (
        ({"ks": [5, 0]}, "ks is 0; it must be a whole number of at least 1"),
        ({"ef": 0}, "ef is 0; it must be a whole number of at least 1"),
        ({"M": 1}, "M is 1; it must be a whole number of at least 2"),
        ({"ks": [5, 30], "points": 0}, "ks asks for 30 neighbors; 30 points have at most 29"),
        ({"ks": [12], "points": 12}, "ks asks for 12 neighbors; 12 points have at most 11"),
    ):
        with pytest.raises(InputError, match=sentence):
            run(project, ParameterSet({"vectors": str(tmp_path / "mine.npy")}, given=given), say=quiet)
        assert not list(project.out.glob("notebooks/*.ipynb"))
