"""Make the paper: with Quarto where it is installed, else on the direct route (`direct`), from the same sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from ..files import write_text
from . import direct
from .project import Project, StudyError
from .sources import Paper
from .summary import write_summary

GET_QUARTO = "https://quarto.org/docs/get-started/ or `conda install -c conda-forge quarto`"
# Set while we call Quarto ourselves: its pre-render step then has nothing left to do.
RENDERING = "NEIGHBORHOOD_DRIFT_RENDERING"
# Quarto ends with status 0 on each of these.
SILENT = (
    r"Unable to resolve crossref.*",
    r"citation .* not found.*",
    r"Unknown var.*",
    r"Could not fetch resource.*",
    r"(?i)unable to resolve link.*",
)


def render(project: Project, *, route: str = "", say: Callable[[str], None] = print) -> list[Path]:
    """Make ``out/_output/index.html`` and ``out/_output/index.pdf``, and beside them the one-page summary.

    Parameters
    ----------
    project : Project
    route : {"", "quarto", "direct"}, default ""
        Empty takes Quarto where it is on the path.
    say : callable, default print
        Is told which route ran.

    Returns
    -------
    list of Path

    Raises
    ------
    StudyError
        If the paper lacks a figure, variable, reference, citation or alternative text, on either route.
    """
    quarto = shutil.which("quarto")
    if route == "quarto" and not quarto:
        raise StudyError(f"There is no quarto on the path; get it from {GET_QUARTO}.")
    if quarto and route != "direct":
        direct.check(project)
        made = with_quarto(project, quarto)
        say("Rendered with Quarto.")
    else:
        made = direct.render(project)
        absent = "" if quarto else f" There is no quarto on the path; to use it, get it from {GET_QUARTO}."
        say(f"Rendered on the direct route (pandoc and Typst).{absent}")
    for path in [*made, *write_summary(project)]:
        say(f"  {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return made


def with_quarto(project: Project, quarto: str) -> list[Path]:
    """Call ``quarto render`` on the folder of the run and read its log: what Quarto only mentions is an error here."""
    copy_sources(project)
    done = subprocess.run(
        [quarto, "render", str(project.out)],
        env={**os.environ, RENDERING: "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    write_text(project.out / "logs" / "quarto.log", done.stdout)
    silent = list(dict.fromkeys(found.group(0).strip() for word in SILENT for found in re.finditer(word, done.stdout)))
    if silent:
        raise StudyError("The paper lacks something:\n" + "\n".join(f"  - {line}" for line in silent))
    if done.returncode:
        raise StudyError(f"quarto failed with exit status {done.returncode}:\n{done.stdout.strip()}")
    made = [project.out / "_output" / name for name in ("index.html", "index.pdf")]
    absent = [str(path) for path in made if not path.exists()]
    if absent:
        raise StudyError(f"quarto ended without an error but did not make {' and '.join(absent)}.")
    return made


def copy_sources(project: Project) -> None:
    """Bring the paper's source into the folder of the run: Quarto renders a folder, with all it reads inside.

    The paper itself goes there in one piece, with the divisions that apply to the run.
    """
    if project.out == project.sources:
        return
    for path in project.sources.iterdir():
        if path.is_file() and path.name != "_variables.yml":
            shutil.copyfile(path, project.out / path.name)
    # pictures of separate runs, which the paper shows beside those of its own notebooks
    for path in (project.sources / "published" / "extra").glob("*.png"):
        target = project.out / path.relative_to(project.sources)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    write_text(project.out / "index.qmd", Paper(project, project.out).chosen())
