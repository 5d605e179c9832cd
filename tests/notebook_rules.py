"""The rules that each committed notebook keeps; a rule takes a notebook and yields what is wrong, as sentences."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import jupytext
import nbformat

COMMON = ("vectors", "metric", "points", "queries", "seed", "threads", "out")
PROSE = (0.40, 0.70)
FIGURE_LINES = 3
OUTPUT_BYTES = 600_000
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work|tmp|var|opt)/\w+")
OPTION = re.compile(r"^#\s?\|\s*([\w-]+):\s*(.*)$", re.MULTILINE)


def options(cell) -> dict[str, str]:
    """The ``#| name: value`` lines of a code cell (Quarto also reads ``# | name: value``)."""
    return {name: value.strip().strip("\"'") for name, value in OPTION.findall(cell.source)}


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code_lines(cell) -> list[str]:
    """Lines of a cell that are code: neither empty nor a comment."""
    return [line for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def parameters(notebook) -> dict:
    """Names and values of the cell tagged ``parameters``, in order; fails on anything but plain assignments."""
    (cell,) = [cell for cell in code(notebook) if "parameters" in tags(cell)]
    found = {}
    for statement in ast.parse(cell.source).body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            raise ValueError(f"not a plain assignment: {ast.unparse(statement)}")
        found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def prose_share(notebook) -> float:
    """Share of the characters of all cells that stand in Markdown cells; captions, in code cells, do not count."""
    text = sum(len(cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    return text / sum(len(cell.source) for cell in notebook.cells)


def opens_with_a_question(notebook):
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# ") or "?" not in first.source:
        yield "the first cell must be Markdown with a title and the question"


def closes_with_the_answer(notebook):
    last = notebook.cells[-1]
    if last.cell_type != "markdown" or not last.source.startswith("## Answer"):
        yield 'the last cell must be Markdown that begins with "## Answer"'


def has_the_common_parameters(notebook):
    tagged = [number for number, cell in enumerate(code(notebook)) if "parameters" in tags(cell)]
    if tagged != [0]:
        yield f'the first code cell, and no other, must be tagged "parameters"; tagged are {tagged}'
        return
    try:
        names = tuple(parameters(notebook))
    except (ValueError, AttributeError) as error:
        yield f"the parameter cell: {error}"
        return
    if names[: len(COMMON)] != COMMON:
        yield f"parameters must begin with {', '.join(COMMON)}; found {', '.join(names)}"


def is_prose_for_the_most_part(notebook):
    share = prose_share(notebook)
    if not PROSE[0] <= share <= PROSE[1]:
        yield f"{share:.0%} of the characters are prose; allowed are {PROSE[0]:.0%} to {PROSE[1]:.0%}"


def describes_its_figures_and_tables(notebook):
    for cell in code(notebook):
        found = options(cell)
        label = found.get("label", "")
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if any(kind.startswith("image/") for kind in kinds) and not label.startswith("fig-"):
            yield f"a figure without a label fig-...: {cell.source[:60]!r}"
        if label.startswith("fig-"):
            missing = [name for name in ("fig-cap", "fig-alt") if not found.get(name)]
            if missing:
                yield f"{label} lacks {' and '.join(missing)}"
            if len(code_lines(cell)) > FIGURE_LINES:
                yield f"{label} has {len(code_lines(cell))} lines of code; allowed are {FIGURE_LINES}"
            if not any(kind.startswith("image/") for kind in kinds):
                yield f"{label} shows no figure"
        if label.startswith("tbl-"):
            if not found.get("tbl-cap"):
                yield f"{label} lacks tbl-cap"
            if "text/markdown" not in kinds:
                yield f"{label} shows no Markdown table"


def holds_no_algorithm(notebook):
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.While):
                yield f"line {node.lineno} of a cell begins a definition or a while loop: {ast.unparse(node)[:60]!r}"


def records_its_facts(notebook):
    if not any("facts.record(" in cell.source for cell in code(notebook)):
        yield "it records no facts for the paper"


def is_executed(notebook):
    counts = [cell.execution_count for cell in code(notebook) if cell.source.strip()]
    if counts != list(range(1, len(counts) + 1)):
        yield f"its code cells must have been executed once, in order; the counts are {counts}"


def has_clean_outputs(notebook):
    for number, cell in enumerate(code(notebook)):
        for output in cell.outputs:
            text = json.dumps(output)
            if output.output_type == "error":
                yield f"code cell {number} stores an error: {output.ename}"
            if output.get("name") == "stderr":
                yield f"code cell {number} stores what was written to stderr: {output.text[:80]!r}"
            if "text/html" in output.get("data", {}):
                yield f"code cell {number} stores text/html; the paper needs Markdown or an image"
            if len(text) > OUTPUT_BYTES:
                yield f"code cell {number} stores an output of {len(text):,} bytes; allowed are {OUTPUT_BYTES:,}"
            if path := MACHINE_PATH.search(text):
                yield f"code cell {number} shows a path of one machine: {path.group()}"


def stores_no_timing(notebook):
    where = [notebook.metadata, *(cell.metadata for cell in notebook.cells)]
    if any({"papermill", "execution", "widgets"} & set(metadata) for metadata in where):
        yield "its metadata holds papermill, execution or widgets, which change with each execution"


RULES = (
    opens_with_a_question,
    closes_with_the_answer,
    has_the_common_parameters,
    is_prose_for_the_most_part,
    describes_its_figures_and_tables,
    holds_no_algorithm,
    records_its_facts,
    is_executed,
    has_clean_outputs,
    stores_no_timing,
)


def out_of_sync(path: Path) -> list[str]:
    """Cells in which ``path`` (.ipynb) and the .py beside it differ, by kind, source and tags."""
    stored = [(cell.cell_type, cell.source, tags(cell)) for cell in nbformat.read(path, as_version=4).cells]
    source = [(cell.cell_type, cell.source, tags(cell)) for cell in jupytext.read(path.with_suffix(".py")).cells]
    if len(stored) != len(source):
        return [f"{len(stored)} cells in the .ipynb, {len(source)} in the .py"]
    return [f"cell {number}: {a[1][:60]!r}" for number, (a, b) in enumerate(zip(stored, source, strict=True)) if a != b]
