"""What `make report` left behind: two whole, recent files that hold the paper."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from pypdf import PdfReader

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "report" / "_output"
FEWEST_PAGES = 8
FEWEST_EXPLORED, LARGEST_EXPLORER = 150, 6_000_000  # queries; bytes of the explorer with its still
SMALLEST = {"index.html": 200_000, "index.pdf": 100_000}


@pytest.mark.parametrize("name", SMALLEST)
def test_file_is_there_and_of_this_run(name):
    path = OUTPUT / name
    assert path.stat().st_size > SMALLEST[name]
    assert path.stat().st_mtime >= float(os.environ.get("CI_STARTED", 0))


def cited_figures() -> list[str]:
    """Labels of the figures that the paper embeds."""
    paper = (ROOT / "report" / "index.qmd").read_text(encoding="utf-8")
    parts = [ROOT / "report" / name for name in re.findall(r"\{\{< include (\S+) >\}\}", paper)]
    text = "\n".join([paper, *(part.read_text(encoding="utf-8") for part in parts)])
    return re.findall(r"\{\{< embed \S+#(fig-[\w-]+) >\}\}", text)


def test_html_is_whole_and_self_contained():
    page = (OUTPUT / "index.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert not re.search(r"<(?:img|script|link)\b[^>]*\b(?:src|href)=[\"']?https?:", page)
    assert cited_figures()
    assert [label for label in cited_figures() if f'id="{label}"' not in page] == []
    assert "?@" not in re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    sentences = re.findall(r"<p>(.*?)</p>", page, flags=re.DOTALL)
    assert [sentence for sentence in sentences if "not available" in sentence] == []


def test_html_holds_the_explorer_once_within_its_size():
    page = (OUTPUT / "index.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script\b[^>]*\bid="explorer-data"[^>]*>(.*?)</script>', page, flags=re.DOTALL)
    known = json.loads(data)
    assert len(known["queries"]) >= FEWEST_EXPLORED and known["sheet"]
    start, end = page.index('id="explorer"'), page.index("</figure>", page.index('id="fig-explorer"'))
    assert end - start < LARGEST_EXPLORER


def test_the_summary_stands_beside_the_paper():
    assert len(PdfReader(OUTPUT / "summary.pdf").pages) == 1
    assert (OUTPUT / "summary.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_pdf_is_whole():
    reader = PdfReader(OUTPUT / "index.pdf")
    assert len(reader.pages) >= FEWEST_PAGES
    text = " ".join(page.extract_text() for page in reader.pages)
    assert "References" in text
    assert text.count("Figure") >= len(cited_figures())


def test_no_text_begins_beyond_the_margin():
    """The two margins are equal; a table that is too wide would stand in the right one."""
    found = []

    def see(text, place, line, *_):
        if text.strip():
            found.append((line[4] * place[0] + place[4], page.page_number + 1, text.strip()))

    for page in PdfReader(OUTPUT / "index.pdf").pages:
        page.extract_text(visitor_text=see)
    left, width = min(found)[0], float(page.mediabox.width)
    assert [one for one in found if one[0] > width - left] == []


def test_every_notebook_was_executed():
    names = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    executed = {path.stem: path for path in (ROOT / "report" / "notebooks").glob("*.ipynb")}
    assert set(executed) >= names
    for path in executed.values():
        cells = nbformat.read(path, as_version=4).cells
        assert all(cell.execution_count for cell in cells if cell.cell_type == "code" and cell.source.strip()), (
            path.name
        )
