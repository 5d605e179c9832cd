"""The paper without Quarto: pandoc with our filter and templates, and Typst for the PDF; both come from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..files import replacing
from .project import Project, StudyError
from .sources import Paper, build_time

HERE = Path(__file__).parent
PICTURES = (".svg", ".png", ".jpg", ".jpeg")
READER = "markdown+lists_without_preceding_blankline-tex_math_single_backslash"
FILTER = re.compile(r"Scripting warning\s+at\s.*?line\s+\d+\s+column\s+\d+:\s")
WARNING = re.compile(r"^\[WARNING\] (.*(?:\n(?!\[).*)*)", flags=re.MULTILINE)


def render(project: Project) -> list[Path]:
    """Make ``out/_output/index.html`` and ``out/_output/index.pdf`` from ``index.qmd`` and the executed notebooks.

    Returns
    -------
    list of Path
        The two files; each is replaced whole, and neither is touched where the paper lacks something.

    Raises
    ------
    StudyError
        Naming every missing figure, table, caption, alternative text, variable, reference and citation.
    """
    import typst

    output = project.out / "_output"
    with _built(project) as build:
        typst.compile(
            build / "paper.typ",
            build / "index.pdf",
            root=build,
            ignore_system_fonts=True,
            timestamp=int(build_time().timestamp()),
        )
        for name in ("index.html", "index.pdf"):
            with replacing(output / name) as part:
                shutil.copyfile(build / name, part)
    return [output / "index.html", output / "index.pdf"]


def check(project: Project) -> None:
    """Raise `StudyError` naming everything that the paper lacks; write nothing.

    Quarto passes over unknown references, citations and variables in silence, so this goes before it.
    """
    with _built(project):
        pass


@contextmanager
def _built(project: Project) -> Iterator[Path]:
    """A temporary folder with ``index.html`` and ``paper.typ``, both complete."""
    with TemporaryDirectory(prefix="paper-") as folder:
        build = Path(folder)
        _copy_pictures(project, build)
        paper = Paper(project, build)
        text = paper.expand()
        problems = list(paper.problems)
        problems += _pandoc(
            project, build, text, "--to=html5", "--template", HERE / "paper.html", "--css", HERE / "paper.css",
            "--mathml", "--embed-resources", "--syntax-highlighting=pygments", "--output", build / "index.html",
        )  # fmt: skip
        problems += _pandoc(
            project, build, text, "--to=typst", "--template", HERE / "paper.typ", "--syntax-highlighting=idiomatic",
            "--output", build / "paper.typ",
        )  # fmt: skip
        if problems:
            unique = list(dict.fromkeys(problems))
            raise StudyError("The paper lacks something:\n" + "\n".join(f"  - {problem}" for problem in unique))
        yield build


def _pandoc(project: Project, build: Path, text: str, *options) -> list[str]:
    """Run pandoc on the expanded paper; return its warnings."""
    import pypandoc

    command = [
        pypandoc.get_pandoc_path(), f"--from={READER}", "--standalone", "--toc", "--toc-depth=2", "--number-sections",
        "--fail-if-warnings", "--lua-filter", HERE / "paper.lua", "--citeproc", "--metadata=link-citations:true",
        "--resource-path", os.pathsep.join([str(build), str(project.sources)]), *options,
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)),
        input=text,
        cwd=build,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    said = done.stderr.replace("Failing because there were warnings.", "")
    warnings = [" ".join(FILTER.sub("", warning).split()) for warning in WARNING.findall(said)]
    if done.returncode and not warnings:
        raise StudyError(f"pandoc failed: {done.stderr.strip()}")
    return warnings


def _copy_pictures(project: Project, build: Path) -> None:
    """Copy pictures that stand beside the paper, for Typst reads from the build folder alone."""
    made = {project.out / name for name in ("_output", "notebooks", "cache", "logs")}
    for path in project.sources.rglob("*"):
        if path.suffix in PICTURES and not made & set(path.parents):
            target = build / path.relative_to(project.sources)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
