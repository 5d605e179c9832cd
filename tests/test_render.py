"""A small paper on the direct route: numbers, references, citations, alternative texts, and all that can be missing."""

import base64
import json
import os
import re
import stat
import time
from html import unescape

import pytest
import yaml
from pypdf import PdfReader

from neighborhood_drift.checks import InputError
from neighborhood_drift.files import write_text
from neighborhood_drift.study import direct
from neighborhood_drift.study.project import Project, StudyError
from neighborhood_drift.study.render import RENDERING, render

PAPER = """\
---
title: "A small paper"
author:
  - name: Ada Lovelace
    orcid: 0000-0001-2345-6789
    affiliations: [Analytical Society]
  - name: {given: Charles, family: Babbage}
date: 2026-11-21
abstract: |
  We asked {{< var drift.queries >}} queries.
keywords: [neighbors, HNSW]
license: CC BY 4.0
bibliography: references.bib
---

# Question {#sec-question}

See @fig-line, [@fig-line; @tbl-values], [-@tbl-values], @eq-law and @sec-close.
By @malkov2020, and [@levina2004, p. 3]. A shortcode is written `{{{< var a.b >}}}`; this is {{< meta title >}}.

$$
p(r) = \\frac{1}{1 + (r / a)^b}
$$ {#eq-law}

{{< embed notebooks/04-drift.ipynb#fig-line >}}

# Answer

## Close up {#sec-close}

{{< embed notebooks/04-drift.ipynb#tbl-values >}}

::: {.callout-note}
## Mind
Overlap is {{< var drift.overlap >}}.
:::

::: {.content-visible when-format="html"}
For readers on a screen.
:::

![A picture that stands beside the paper.](beside.png){#fig-beside fig-alt="One grey point"}

# References {.unnumbered}

::: {#refs}
:::
"""
REFERENCES = """\
@article{malkov2020, title={Navigable Small World Graphs}, author={Malkov, Yu. A.}, journal={TPAMI}, year={2020}}
@article{levina2004, title={Intrinsic Dimension}, author={Levina, Elizaveta}, journal={NIPS}, year={2004}}
"""
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><path d="M0 40L60 0" stroke="black"/></svg>',
    "image/svg+xml",
)
TABLE = ("| k | overlap |\n|--:|--------:|\n| 10 | 0.987 |", "text/markdown")
POINT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="


def cell(source: str, *shown) -> dict:
    outputs = [
        {"output_type": "display_data", "metadata": {}, "data": {kind: content.splitlines(keepends=True)}}
        for content, kind in shown
    ]
    return {"cell_type": "code", "source": source, "metadata": {}, "execution_count": 1, "outputs": outputs}


FIGURE = (
    '#| label: fig-line\n#| fig-cap: "Overlap $o$ falls with *k*."\n#| fig-alt: "A \\"falling\\" line"\n'
    "figures.line(table)"
)
VALUES = '#| label: tbl-values\n#| tbl-cap: "Overlap at each k."\nTable(table)'


@pytest.fixture
def project(tmp_path) -> Project:
    project = Project(tmp_path, tmp_path / "report")
    write_text(project.sources / "index.qmd", PAPER)
    write_text(project.sources / "references.bib", REFERENCES)
    (project.sources / "beside.png").write_bytes(base64.b64decode(POINT))
    facts = {"drift": {"queries": "10,000", "overlap": "0.987"}}
    write_text(project.out / "_variables.yml", yaml.safe_dump(facts))
    store(project, cell(FIGURE, SVG), cell(VALUES, TABLE))
    return project


def store(project: Project, *cells) -> None:
    notebook = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    write_text(project.executed("04-drift"), json.dumps(notebook))


def plain(html: str) -> str:
    """What a reader sees of an HTML page."""
    body = re.sub(r"<(style|annotation)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", body)).replace("\u00a0", " ").split())


def test_both_papers_hold_numbers_references_citations_and_alternative_texts(project, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    html_file, pdf_file = direct.render(project)
    html = html_file.read_text()
    pdf = PdfReader(pdf_file)
    printed = " ".join(" ".join(page.extract_text() for page in pdf.pages).replace("\u00a0", " ").split())
    for text in (plain(html), printed):
        assert "We asked 10,000 queries." in text
        assert "Overlap is 0.987." in text
        assert "See Figure 1, Figure 1 and Table 1, 1, Equation 1 and Section 2.1" in text
        assert "Malkov (2020)" in text and "(Levina 2004, 3)" in text
        assert "Figure 1. Overlap" in text and "Table 1. Overlap at each k." in text and "Figure 2. A picture" in text
        assert "written {{< var a.b >}}; this is A small paper." in text
        assert "Navigable Small World Graphs" in text
        for of_front in ("Ada Lovelace", "Charles Babbage", "21 November 2026", "neighbors, HNSW", "CC BY 4.0"):
            assert of_front in text
    assert "For readers on a screen." in plain(html) and "For readers on a screen." not in printed

    assert 'alt="A &quot;falling&quot; line"' in html and 'alt="One grey point"' in html
    assert all('alt=""' not in image and "alt=" in image for image in re.findall(r"<img\b[^>]*>", html))
    assert not re.search(r'(?:src|<link[^>]*href)="(?!data:)', html), "nothing is fetched"
    assert "<math" in html and "<script" not in html
    assert re.search(r'<nav id="contents".*href="#sec-close"', html, flags=re.DOTALL)
    assert '<details class="code"><summary>Code</summary>' in html and "figures.line" in plain(html)
    assert '<a href="../notebooks/04-drift.ipynb">' in html
    for target in ("fig-line", "tbl-values", "eq-law", "sec-close", "ref-malkov2020"):
        assert html.count(f'id="{target}"') == 1 and f'href="#{target}"' in html

    alternatives = [found for found in (alt(element) for element in elements(pdf)) if found]
    assert 'A "falling" line' in alternatives and "One grey point" in alternatives
    assert pdf.metadata.title == "A small paper" and pdf.metadata.author == "Ada Lovelace, Charles Babbage"

    before = html_file.read_bytes(), pdf_file.read_bytes()
    time.sleep(1.1)  # a time stamp would show
    direct.render(project)
    assert (html_file.read_bytes(), pdf_file.read_bytes()) == before


def elements(pdf: PdfReader):
    """The structure elements of a tagged PDF."""
    waiting = [pdf.root_object["/StructTreeRoot"]]
    while waiting:
        element = waiting.pop().get_object()
        if not hasattr(element, "get"):
            continue
        yield element
        children = element.get("/K", [])
        children = children.get_object() if hasattr(children, "get_object") else children
        waiting += children if isinstance(children, list) else [children]


def alt(element) -> str:
    return str(element.get("/Alt", ""))


def without(text: str, part: str) -> str:
    assert part in text
    return text.replace(part, "")


def test_mathematics_is_known_to_both_writers(project):
    formulas = r"""
Text says $|A \cap B|$, $A \cup B$, $\lVert x \rVert^2$, $|x|^2 + 2 x \cdot y$, $a \le b < \infty$, $x_1, \dots, x_n$.

$$
\hat{d}(\varepsilon) = \frac{\alpha}{\max(k, 1)} \sum_{i=1}^{k} \log r_i \quad \text{if } k \ge 1
$$
"""
    write_text(project.sources / "index.qmd", PAPER + formulas)
    html_file, pdf_file = direct.render(project)
    seen = plain(html_file.read_text())
    assert not [sign for sign in "∩∪‖≤∞∑α" if sign not in seen]
    assert PdfReader(pdf_file).pages


def test_a_number_keeps_its_percent_sign_but_code_is_left_alone(project):
    write_text(project.sources / "index.qmd", PAPER + "\nOf them 17.7 % hold, $x$ % of y, and `5 % 3`.\n")
    html = direct.render(project)[0].read_text()
    assert "17.7 %" in html and "</math> %" in html and "5 % 3" in html


def test_a_long_text_does_not_squeeze_its_neighbors_and_a_narrow_table_is_measured(project):
    long = "| study | evidence |\n|:------|:---------|\n| Cooper 2025 | " + "a long sentence " * 40 + "|"
    store(project, cell(FIGURE, SVG), cell(VALUES, (long, "text/markdown")))
    with direct._built(project) as build:
        first, second = map(float, re.search(r"columns: \(([\d.]+)%, ([\d.]+)%\)", typst_of(build)).groups())
    assert 10 < first < 25 and first + second == pytest.approx(100, abs=0.1)
    store(project, cell(FIGURE, SVG), cell(VALUES, TABLE))
    with direct._built(project) as build:
        assert "columns: 2," in typst_of(build)


@pytest.mark.parametrize("columns", [7, 11, 40])
def test_a_table_with_more_than_fits_stays_within_the_page(columns, project):
    head, body = (
        [first, *[other] * (columns - 1)]
        for first, other in (("data", "µs at it"), ("fashion-mnist-train (separate run)", "45.5 (36.5 to 56.6)"))
    )
    rows = [head, ["-" * 10] * columns, body, body]
    wide = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    store(project, cell(FIGURE, SVG), cell(VALUES, (wide, "text/markdown")))
    with direct._built(project) as build:
        (shares,) = re.findall(r"columns: \(([\d.%, ]+)\)", typst_of(build))
    found = [float(share) for share in re.findall(r"[\d.]+", shares)]
    assert len(found) == columns and sum(found) == pytest.approx(100, abs=0.5)
    assert found[0] > found[1] > 0


def typst_of(build) -> str:
    return (build / "paper.typ").read_text(encoding="utf-8")


LACKS = {
    "variable": ("paper", lambda text: text + "\n{{< var drift.none >}}\n", "Variable drift.none is recorded by no"),
    "section of variables": ("paper", lambda text: text + "\n{{< var none.x >}}\n", "Variable none.x is recorded"),
    "front matter": ("paper", lambda text: text + "\n{{< meta none >}}\n", "Front matter holds no none"),
    "shortcode": ("paper", lambda text: text + "\n{{< video a.mp4 >}}\n", "Shortcode {{< video a.mp4 >}} is unknown"),
    "notebook": ("paper", lambda text: text.replace("04-drift.ipynb#fig", "09-none.ipynb#fig"), "Notebook 09-none"),
    "cell": ("paper", lambda text: text.replace("#fig-line >", "#fig-none >"), "has no cell with label fig-none"),
    "figure reference": ("paper", lambda text: text + "\nSee @fig-none.\n", "Unable to resolve crossref @fig-none"),
    "table reference": ("paper", lambda text: text + "\nSee [@tbl-none].\n", "Unable to resolve crossref @tbl-none"),
    "equation reference": ("paper", lambda text: text + "\nSee @eq-none.\n", "Unable to resolve crossref @eq-none"),
    "section reference": ("paper", lambda text: text + "\nSee @sec-none.\n", "Unable to resolve crossref @sec-none"),
    "citation": ("paper", lambda text: text + "\nSee @nobody1999.\n", "nobody1999 not found"),
    "picture": ("paper", lambda text: text.replace("beside.png", "gone.png"), "gone.png"),
    "alternative text": ("paper", lambda text: without(text, ' fig-alt="One grey point"'), "fig-beside has no"),
    "label": ("paper", lambda text: text + "\n{{< embed notebooks/04-drift.ipynb#fig-line >}}\n", "fig-line stands"),
    "output of a figure": ("cells", [cell(FIGURE), cell(VALUES, TABLE)], "has no output that is a figure"),
    "output of a table": ("cells", [cell(FIGURE, SVG), cell(VALUES, SVG)], "has no output that is a table"),
    "fig-cap": ("cells", [cell(FIGURE.replace("fig-cap", "cap"), SVG), cell(VALUES, TABLE)], "has no fig-cap"),
    "fig-alt": ("cells", [cell(FIGURE.replace("fig-alt", "alt"), SVG), cell(VALUES, TABLE)], "has no fig-alt"),
    "tbl-cap": ("cells", [cell(FIGURE, SVG), cell(VALUES.replace("tbl-cap", "cap"), TABLE)], "has no tbl-cap"),
}  # fmt: skip


@pytest.mark.parametrize("lacking", LACKS)
def test_each_missing_thing_is_named_and_nothing_is_written(project, lacking):
    kind, change, sentence = LACKS[lacking]
    if kind == "paper":
        write_text(project.sources / "index.qmd", change(PAPER))
    else:
        store(project, *change)
    with pytest.raises(StudyError) as caught:
        direct.render(project)
    assert sentence in str(caught.value)
    assert not (project.out / "_output").exists()


def test_all_that_is_missing_is_named_at_once(project):
    write_text(project.sources / "index.qmd", PAPER + "\n{{< var a.b >}} @fig-none @nobody1999\n")
    with pytest.raises(StudyError) as caught:
        direct.check(project)
    message = str(caught.value)
    assert all(word in message for word in ("a.b", "fig-none", "nobody1999"))


def test_a_paper_that_is_no_paper_is_refused(project):
    write_text(project.sources / "index.qmd", "---\ntitle: [\n---\n")
    with pytest.raises(InputError, match="is not YAML"):
        direct.check(project)
    (project.sources / "index.qmd").unlink()
    with pytest.raises(InputError, match="There is no paper"):
        direct.check(project)


@pytest.fixture
def quarto(tmp_path, monkeypatch):
    """A stand-in for Quarto: keeps its call, makes both files, and says and returns what it is told to."""

    def stand_in(says: str = "", status: int = 0):
        folder = tmp_path / "bin"
        script = write_text(
            folder / "quarto",
            f'#!/bin/sh\necho "$@ ${RENDERING}" > {folder}/call\nmkdir -p "$2/_output"\n'
            f'for name in html pdf; do echo made > "$2/_output/index.$name"; done\necho "{says}" >&2\nexit {status}\n',
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return folder / "call"

    return stand_in


def test_quarto_is_taken_where_it_is_installed(project, quarto):
    call, lines = quarto(), []
    made = render(project, say=lines.append)
    assert call.read_text().split() == ["render", str(project.out), "1"]
    assert [path.read_text() for path in made] == ["made\n", "made\n"]
    assert "Quarto" in lines[0]


@pytest.mark.parametrize(
    "says",
    [
        "WARNING (x.lua) Unable to resolve crossref @fig-none",
        "[WARNING] Citeproc: citation nobody1999 not found",
        "WARNING: Unknown var drift.none",
        "[WARNING] Could not fetch resource gone.png",
    ],
)
def test_what_quarto_only_mentions_is_an_error(project, quarto, says):
    quarto(says)
    with pytest.raises(StudyError, match=says.split()[-2]):
        render(project, say=lambda line: None)


def test_quarto_failing_and_papers_lacking_something_are_errors_on_its_route(project, quarto):
    call = quarto("broken", status=3)
    with pytest.raises(StudyError, match="exit status 3"):
        render(project, say=lambda line: None)
    call.unlink()
    write_text(project.sources / "index.qmd", PAPER + "\n@fig-none\n")
    with pytest.raises(StudyError, match="fig-none"):
        render(project, say=lambda line: None)
    assert not call.exists(), "Quarto is not asked to render what lacks something"


def test_without_quarto_the_reader_is_told_which_route_ran(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    lines = []
    render(project, say=lines.append)
    assert "direct route" in lines[0] and "quarto.org" in lines[0]
    with pytest.raises(StudyError, match=r"no quarto on the path; get it from https://quarto\.org"):
        render(project, route="quarto")


def test_a_run_elsewhere_is_rendered_from_the_same_paper(project, quarto, tmp_path):
    other = Project(tmp_path, tmp_path / "runs" / "mine")
    store(other, cell(FIGURE, SVG), cell(VALUES, TABLE))
    write_text(other.out / "_variables.yml", "drift: {queries: '7', overlap: '0.5'}\n")
    write_text(other.sources / "published" / "extra" / "far.png", "a picture of a separate run")
    html, _ = direct.render(other)
    assert "We asked 7 queries." in plain(html.read_text())
    call = quarto()
    render(other, say=lambda line: None)
    assert call.read_text().split()[1] == str(other.out)
    assert (other.out / "index.qmd").read_text() == PAPER
    assert "'7'" in (other.out / "_variables.yml").read_text()
    assert (other.out / "published" / "extra" / "far.png").exists()
