"""The paper of other vectors: which source is taken, what it leaves out, and that nothing it shows is missing."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from notebook_rules import code, options
from pypdf import PdfReader
from test_render import FIGURE, REFERENCES, SVG, TABLE, VALUES, cell, plain, store

from neighborhood_drift.checks import InputError
from neighborhood_drift.files import write_text
from neighborhood_drift.study import direct, render
from neighborhood_drift.study.parameters import ParameterSet, default_out, defaults, read_set
from neighborhood_drift.study.project import PAPER_VECTORS, Project, StudyError, find_root
from neighborhood_drift.study.run import run
from neighborhood_drift.study.sources import CONDITION, Paper
from neighborhood_drift.study.summary import NOTEBOOK, write_summary

ROOT = find_root(Path(__file__).parent)
FEWEST = 52  # points that every notebook takes: its first k of at least efSearch is 50

# As little work as the notebooks do: what is tested is that the paper finds all it shows.
SMALLEST = {"also": [], "resamples": 20, "draws": 2, "orders": 2, "level_seeds": 2, "index_seeds": 2, "map_seeds": 2}
SMALLEST |= {"engines": ["faiss-hnsw", "faiss-ivf", "hnswlib"], "resplits": 20, "repeats": 2}

OWN = """\
---
title: "Drift in {{< var drift.data >}}"
---

# Question {#sec-question}

See @fig-line.

{{< embed notebooks/04-drift.ipynb#fig-line >}}

{{< include _shared.qmd >}}

::: {.content-visible when-meta="drift.labels"}
With labels, see @tbl-values.

::: {.callout-note}
## Mind
A division inside.
:::

{{< embed notebooks/04-drift.ipynb#tbl-values >}}
:::

::: {.content-visible unless-meta="drift.labels"}
Without labels.
:::

After all.
"""
SHARED = '::: {.content-visible when-meta="drift.images"}\nWith images.\n:::\n\nShared text.\n'
FACTS = {"data": "mine", "labels": "not available", "images": "no"}


@pytest.fixture
def project(tmp_path) -> Project:
    """A study with two papers, and a run on vectors of another name."""
    project = Project(tmp_path, tmp_path / "runs" / "mine")
    write_text(project.sources / "index.qmd", "# The paper of the study\n")
    write_text(project.sources / "own.qmd", OWN)
    write_text(project.sources / "_shared.qmd", SHARED)
    write_text(project.sources / "references.bib", REFERENCES)
    write_text(project.parameters, "vectors: /somewhere/mine.npy\n")
    record(project)
    store(project, cell(FIGURE, SVG), cell(VALUES, TABLE))
    return project


def record(project: Project, **facts) -> None:
    write_text(project.out / "_variables.yml", yaml.safe_dump({"drift": FACTS | facts}))


@pytest.mark.parametrize(
    ("ran", "source"),
    [
        ("", "index.qmd"),
        ("points: 20\n", "index.qmd"),
        (f"vectors: {PAPER_VECTORS}\n", "index.qmd"),
        ("vectors: cifar10-resnet18\n", "own.qmd"),
        ("vectors: /somewhere/mine.npy\n", "own.qmd"),
        (f"vectors: {PAPER_VECTORS}\nmetric: l2\n", "index.qmd"),
        (f"vectors: {PAPER_VECTORS}\nmetric: cosine\n", "own.qmd"),
        ("metric: l2\nnotebooks:\n  04-drift:\n    metric: cosine\n", "own.qmd"),
    ],
)
def test_the_vectors_and_the_metric_of_the_run_decide_which_paper_is_made(project, ran, source):
    write_text(project.parameters, ran)
    assert project.paper == project.sources / source


def test_without_a_run_the_paper_is_that_of_the_study(tmp_path):
    assert Project(tmp_path, tmp_path / "report").paper.name == "index.qmd"


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({}, "report"),
        ({"vectors": PAPER_VECTORS}, "report"),
        ({"vectors": "cifar10-resnet18"}, "runs/cifar10-resnet18"),
        ({"vectors": "/data/mine.npy"}, "runs/mine"),
        ({"metric": "l2"}, "report"),
        ({"metric": "cosine"}, f"runs/{PAPER_VECTORS}-cosine"),
        ({"vectors": "/data/mine.npy", "metric": "cosine"}, "runs/mine-cosine"),
    ],
)
def test_only_the_vectors_of_the_paper_by_its_metric_go_to_its_folder(tmp_path, given, folder):
    assert default_out(ParameterSet(given=given), tmp_path) == tmp_path / folder


def test_a_metric_of_one_notebook_counts_unless_the_command_line_names_another(tmp_path):
    sections = {"04-drift": {"metric": "cosine"}}
    assert default_out(ParameterSet(notebooks=sections), tmp_path).name == f"{PAPER_VECTORS}-cosine"
    assert default_out(ParameterSet(notebooks=sections, given={"metric": "l2"}), tmp_path) == tmp_path / "report"


def test_the_first_study_is_set_up_as_other_vectors():
    chosen = read_set(ROOT / "report" / "params" / "stl10.yml", ROOT)
    assert default_out(chosen, ROOT).parent == ROOT / "runs"


@pytest.mark.parametrize("absent", ["not available", "no", "0"])
def test_what_the_run_did_not_measure_is_left_out_with_its_sentence(project, absent):
    record(project, labels=absent)
    text = Paper(project, project.out).chosen()
    assert "Without labels." in text and "After all." in text and "Shared text." in text
    assert not [words for words in ("With labels", "inside", "tbl-values", "With images", "content-") if words in text]


@pytest.mark.parametrize("found", ["one", "0.68", "10"])
def test_what_the_run_measured_stays_without_the_mark_of_its_condition(project, found):
    record(project, labels=found)
    text = Paper(project, project.out).chosen()
    assert "With labels" in text and "inside" in text and "#tbl-values" in text and "Without labels" not in text
    assert text.count(":::") == 2, "those of the callout alone"
    html = direct.render(project)[0].read_text()
    assert 'id="tbl-values"' in html and "A division inside." in plain(html)


def test_both_routes_leave_out_the_same(project):
    html, pdf = direct.render(project)
    printed = " ".join(page.extract_text() for page in PdfReader(pdf).pages)
    for text in (plain(html.read_text()), printed):
        assert "Drift in mine" in text and "Without labels." in text and "With labels" not in text
    render.copy_sources(project)
    copied = (project.out / "index.qmd").read_text()
    assert copied == Paper(project, project.out).chosen()
    assert "{{< embed notebooks/04-drift.ipynb#fig-line >}}" in copied, "which is left to Quarto"


def test_three_sizes_have_a_growth_and_no_prediction(project):
    own = (ROOT / "report" / "own.qmd").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## More points .*?(?=^## )", own, flags=re.MULTILINE | re.DOTALL)
    write_text(project.sources / "own.qmd", section)
    known = {"main_effort_exponent": "−0.12", "main_predicted_effort_near": "not available"}
    write_text(project.out / "_variables.yml", yaml.safe_dump({"scale": known}))
    text = Paper(project, project.out).chosen()
    assert "changes with $n$ to the power" in text and "a line predicts" not in text
    write_text(project.out / "_variables.yml", yaml.safe_dump({"scale": known | {"main_predicted_effort_near": "85"}}))
    assert "a line predicts" in Paper(project, project.out).chosen()


def test_the_source_in_the_study_s_own_folder_is_not_touched(project):
    write_text(project.sources / "_variables.yml", "{}\n")
    render.copy_sources(Project(project.root, project.sources))
    assert (project.sources / "index.qmd").read_text() == "# The paper of the study\n"


def test_what_a_kept_division_lacks_and_an_unknown_condition_are_named(project):
    record(project, labels="10")
    store(project, cell(FIGURE, SVG))
    with pytest.raises(StudyError, match="no cell with label tbl-values"):
        direct.check(project)
    write_text(project.sources / "_shared.qmd", SHARED.replace("drift.images", "drift.none"))
    with pytest.raises(StudyError, match=r"Condition drift\.none is recorded by no notebook"):
        direct.check(project)
    write_text(project.sources / "own.qmd", OWN + "\n{{< include _gone.qmd >}}\n")
    with pytest.raises(StudyError, match=r"Included file _gone\.qmd is not there"):
        direct.check(project)


def test_the_summary_figure_is_also_a_file_of_its_own(project):
    assert write_summary(project) == []
    source = FIGURE.replace("fig-line", "fig-summary")
    notebook = {"cells": [cell(source, SVG)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    write_text(project.executed(NOTEBOOK), json.dumps(notebook))
    svg, pdf = write_summary(project)
    assert svg.read_text() == SVG[0]
    (page,) = PdfReader(pdf).pages
    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842], "A4, to be printed"
    project.executed(NOTEBOOK).unlink()
    assert write_summary(project) == []
    assert not svg.exists() and not pdf.exists(), "they are of another run"


def labels() -> set[str]:
    """Notebook and label of every labeled cell of the study."""
    return {
        f"notebooks/{path.name}#{options(cell)['label']}"
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in code(nbformat.read(path, as_version=4))
        if options(cell).get("label")
    }


def parts(name: str) -> dict[str, str]:
    """A paper's source and the files that it includes; what stands in a folder is made by a run."""
    text = (ROOT / "report" / name).read_text(encoding="utf-8")
    found = {name: text}
    for part in re.findall(r"{{< include ([^\s/]+) >}}", text):
        found |= parts(part)
    return found


def test_every_figure_and_table_of_both_papers_is_one_of_a_notebook():
    for name in ("index.qmd", "own.qmd"):
        shown = re.findall(r"{{< embed (\S+) >}}", "\n".join(parts(name).values()))
        assert len(shown) > 10 and sorted(shown) == sorted(set(shown))
        assert set(shown) <= labels()


def test_the_paper_of_other_vectors_cites_nothing_of_the_study_s_own():
    text = "\n".join(parts("own.qmd").values())
    cited = set(re.findall(r"{{< var (\w+)\.(\w+) >}}", text))
    assert not {section for section, _ in cited} & {"others", "extra", "earlier"}
    assert not [fact for _, fact in cited if fact.startswith(("cifar10_", "fashion_mnist_"))]
    assert "CIFAR" not in text and "STL-10" not in text and PAPER_VECTORS not in text


def test_only_the_paper_of_other_vectors_has_conditions():
    for name, text in parts("index.qmd").items():
        assert not [line for line in text.splitlines() if CONDITION.fullmatch(line.strip())], name


def test_too_few_points_are_named_before_any_work(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "few.npy", rng.normal(size=(FEWEST - 1, 4)).astype("float32"))
    project = Project(ROOT, tmp_path / "out")
    chosen = read_set(ROOT / "report" / "params" / "quick.yml", ROOT)
    few = ParameterSet(chosen.shared, chosen.notebooks, given={"vectors": str(tmp_path / "few.npy")})
    with pytest.raises(InputError, match=f"There are {FEWEST - 1} points; .* takes at least {FEWEST}"):
        run(project, few, say=lambda line: None)
    assert not project.parameters.exists()


def test_a_few_points_without_labels_or_images_get_a_whole_paper(tmp_path):
    rng = np.random.default_rng(1)
    centers = rng.normal(size=(3, 6))
    np.save(tmp_path / "mine.npy", (centers[np.arange(FEWEST) % 3] + rng.normal(size=(FEWEST, 6))).astype("float32"))
    project = Project(ROOT, tmp_path / "out")
    chosen = read_set(ROOT / "report" / "params" / "quick.yml", ROOT)
    given = {"vectors": str(tmp_path / "mine.npy"), "metric": "cosine"}
    known = set().union(*(defaults(source) for source in project.notebooks().values()))
    given |= {name: value for name, value in SMALLEST.items() if name in known}
    run(project, ParameterSet(chosen.shared, chosen.notebooks, given=given), say=lambda line: None)
    html, pdf = direct.render(project)
    page = plain(html.read_text())
    assert "Neighborhood drift in mine" in page and "by the cosine distance" in page
    assert f"{FEWEST} vectors of 6 coordinates" in page
    assert "came without any" in page and "Queries from outside" not in page
    assert not re.search(r'id="fig-(images|neighbors)"', html.read_text())
    assert html.read_text().count('id="explorer-data"') == 1
    assert len(PdfReader(pdf).pages) > 8
