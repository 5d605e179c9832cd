"""The committed notebooks keep the rules of notebook_rules.py, and each rule catches the flaw that it names."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from nbformat.v4 import new_output
from notebook_rules import OUTPUT_BYTES, RULES, code, options, out_of_sync, parameters

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = ROOT / "report" / "params" / "quick.yml"

STUB = """# %% [markdown]
# # A stub
#
# How far do the neighbors drift? This text is as long as it has to be for the share of prose to be in its range, and it
# says nothing that a reader would miss. The code below draws one figure and records one number for the paper.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"
metric = "l2"
points = 2000
queries = 500
seed = 0
threads = 2
out = ""

# %%
#| label: fig-stub
#| fig-cap: "A figure."
#| fig-alt: "A line."
draw(vectors)

# %%
facts.record("stub", out=out, points=points)

# %% [markdown]
# ## Answer
#
# They do not.
"""


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def test_each_notebook_is_a_pair():
    sources = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert NOTEBOOKS
    assert {path.stem for path in NOTEBOOKS} == sources


@by_name(NOTEBOOKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_committed_notebook(path, rule):
    assert list(rule(nbformat.read(path, as_version=4))) == []


@by_name(NOTEBOOKS)
def test_pair_is_in_sync(path):
    assert out_of_sync(path) == []


@by_name(NOTEBOOKS)
def test_committed_with_the_quick_parameters(path):
    quick = yaml.safe_load(QUICK.read_text(encoding="utf-8"))
    chosen = {name: value for name, value in parameters(nbformat.read(path, as_version=4)).items() if name in quick}
    assert chosen == {name: quick[name] for name in chosen}


def test_labels_are_unique_over_all_notebooks():
    labels = [options(cell).get("label") for path in NOTEBOOKS for cell in code(nbformat.read(path, as_version=4))]
    labels = [label for label in labels if label]
    assert sorted(labels) == sorted(set(labels))


@pytest.fixture
def stub():
    """A notebook that keeps every rule, as if executed."""
    notebook = jupytext.reads(STUB, fmt="py:percent")
    for count, cell in enumerate(code(notebook), start=1):
        cell.execution_count = count
    figure = new_output("display_data", {"image/svg+xml": "<svg/>", "text/plain": "<Figure>"})
    code(notebook)[1].outputs = [figure]
    return notebook


def broken_by(notebook) -> set[str]:
    return {rule.__name__ for rule in RULES if list(rule(notebook))}


def test_a_good_notebook_breaks_no_rule(stub):
    assert broken_by(stub) == set()


def stored(**output):
    return lambda notebook: code(notebook)[2].outputs.append(new_output(**output))


def source(number, old, new):
    def change(notebook):
        cell = notebook.cells[number]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


FLAWS = {
    "no question": ("opens_with_a_question", source(0, "drift?", "drift.")),
    "no answer": ("closes_with_the_answer", source(4, "## Answer", "## Outlook")),
    "parameter missing": ("has_the_common_parameters", source(1, "seed = 0\n", "")),
    "parameter computed": ("has_the_common_parameters", source(1, "2000", "len(vectors)")),
    "parameters not tagged": ("has_the_common_parameters", lambda notebook: notebook.cells[1].metadata.clear()),
    "code without prose": ("is_prose_for_the_most_part", source(3, "points=points", "points=points" + 80 * " + 1 + 1")),
    "no caption": ("describes_its_figures_and_tables", source(2, '#| fig-cap: "A figure."\n', "")),
    "no alternative text": ("describes_its_figures_and_tables", source(2, '"A line."', '""')),
    "long figure cell": ("describes_its_figures_and_tables", source(2, "draw(", "a = 1\nb = 2\nc = 3\ndraw(")),
    "figure not shown": ("describes_its_figures_and_tables", lambda notebook: code(notebook)[1].outputs.clear()),
    "figure without label": ("describes_its_figures_and_tables", source(2, "#| label: fig-stub\n", "")),
    "a function": ("holds_no_algorithm", source(3, "facts", "def f(x):\n    return x\n\nfacts")),
    "no facts": ("records_its_facts", source(3, "facts.record", "print")),
    "not executed": ("is_executed", lambda notebook: code(notebook)[2].update(execution_count=None)),
    "executed out of order": ("is_executed", lambda notebook: code(notebook)[2].update(execution_count=7)),
    "an error": ("has_clean_outputs", stored(output_type="error", ename="ValueError")),
    "a warning": ("has_clean_outputs", stored(output_type="stream", name="stderr", text="Warning: no.")),
    "a path": ("has_clean_outputs", stored(output_type="stream", text="saved to /home/" + "ada/x.npy")),
    "html": ("has_clean_outputs", stored(output_type="display_data", data={"text/html": "<b>1</b>"})),
    "a large output": ("has_clean_outputs", stored(output_type="stream", text="1" * OUTPUT_BYTES)),
    "timing": (
        "stores_no_timing",
        lambda notebook: notebook.cells[1].metadata.update(execution={"iopub.status.busy": ""}),
    ),
}


@pytest.mark.parametrize(("rule", "spoil"), FLAWS.values(), ids=FLAWS)
def test_each_flaw_is_caught_by_its_rule(stub, rule, spoil):
    spoil(stub)
    assert broken_by(stub) == {rule}


def test_a_pair_out_of_sync_is_caught(stub, tmp_path):
    path = tmp_path / "stub.ipynb"
    nbformat.write(stub, path)
    path.with_suffix(".py").write_text(STUB, encoding="utf-8")
    assert out_of_sync(path) == []
    path.with_suffix(".py").write_text(STUB.replace("They do not.", "They do."))
    assert len(out_of_sync(path)) == 1
