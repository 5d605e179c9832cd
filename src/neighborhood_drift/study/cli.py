"""The command line: run the notebooks, render the paper, embed images."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from ..checks import InputError
from ..files import DISK
from ..retrieval.cli import index
from ..retrieval.serve import serve
from . import compare as comparing
from . import render as rendering
from . import run as running
from .embed import embed
from .extra import keep_extra
from .neighbors import neighbors
from .parameters import ParameterSet, default_out, parse_given, read_set
from .project import Project, StudyError, find_root, title
from .tune import tune


class Commands(TyperGroup):
    """Commands whose foreseen errors are one message on stderr: status 2 for input, 1 for a study that stopped."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (InputError, StudyError) as error:
            typer.echo(f"Error: {error}", err=True)
            sys.exit(2 if isinstance(error, InputError) else 1)
        except OSError as error:
            if error.errno not in DISK:
                raise
            typer.echo(f"Error: {error}. What was finished is kept; the same command goes on from there.", err=True)
            sys.exit(1)


app = typer.Typer(
    cls=Commands,
    help="The study of neighborhood drift: run its notebooks and render its paper, or a paper of your own vectors; "
    "choose the search effort that they need (tune), and find their exact neighbors (neighbors).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Given = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter of the notebooks; repeatable."),
]
Params = Annotated[
    Path | None,
    typer.Option("--params", metavar="FILE", help="A set of parameters.  [default: report/params/paper.yml]"),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where the run goes.  [default: report; other vectors: runs/<name>; by the cosine: runs/<name>-cosine]",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NOTEBOOK",
        help="This notebook alone, by number or name; repeatable. `status` lists them with their questions.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="FOLDER", help="Data sets that are not bundled, such as fashion-mnist/; used where named."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run also what is up to date.")]
Route = Annotated[str, typer.Option("--route", metavar="quarto|direct", help="[default: quarto where it is installed]")]


def _say(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


def _chosen(given, params, data_dir=None) -> tuple[Path, ParameterSet]:
    root = find_root()
    chosen = read_set(params or root / "report" / "params" / "paper.yml", root)
    values = parse_given([*(given or []), *([f"data_dir={data_dir}"] if data_dir else [])], Path.cwd())
    embedded = None if "vectors" in values else chosen.embed
    return root, ParameterSet(chosen.shared, chosen.notebooks, embedded, values)


def _project(given, params, out, data_dir=None) -> tuple[Project, ParameterSet]:
    root, chosen = _chosen(given, params, data_dir)
    project = Project(root, (out or default_out(chosen, root)).resolve())
    if project.out == project.sources and default_out(chosen, root) != project.sources:
        raise InputError(f"{project.out} is for the vectors of the paper, by its metric; name another --out, or none.")
    if project.out in (root, *root.parents, root / "notebooks", root / "data", root / "src"):
        raise InputError(f"--out is {project.out}, a folder of the study itself; name another, such as runs/mine.")
    return project, chosen


@app.command()
def run(
    given: Given = None,
    params: Params = None,
    out: Out = None,
    only: Only = None,
    force: Force = False,
    data_dir: DataDir = None,
):
    """Run the notebooks that are not up to date."""
    project, chosen = _project(given, params, out, data_dir)
    running.run(project, chosen, only=only, force=force, say=_say)


@app.command()
def render(out: Out = None, route: Route = ""):
    """Make the paper, HTML and PDF, and the one-page summary from what has been run."""
    root = find_root()
    project = Project(root, (out or root / "report").resolve())
    _render(project, route)


@app.command()
def report(
    given: Given = None,
    params: Params = None,
    out: Out = None,
    only: Only = None,
    force: Force = False,
    route: Route = "",
    data_dir: DataDir = None,
):
    """Run what is not up to date, then make the paper.

    On other vectors (-p vectors=mine.npy) it is a paper of their own: the same figures with their numbers and their ef,
    without the sections that do not apply.
    """
    project, chosen = _project(given, params, out, data_dir)
    running.run(project, chosen, only=only, force=force, say=_say)
    _render(project, route)


@app.command()
def status(given: Given = None, params: Params = None, out: Out = None, data_dir: DataDir = None):
    """Say which notebooks there are, what each asks, and which are up to date, or why not."""
    project, chosen = _project(given, params, out, data_dir)
    for name, (reason, _, _) in running.plan(project, chosen).items():
        _say(f"{name}: {reason or 'up to date'}")
        _say(f"    {title(project.notebooks()[name])}")


@app.command()
def compare(out: Out = None):
    """Set the numbers of a run beside the published ones."""
    root = find_root()
    compared, different = comparing.compare(Project(root, (out or root / "report").resolve()))
    _say(f"{compared - len(different)} of {compared} published numbers came out the same (times and versions left out)")
    for name, published, ours in different:
        _say(f"  {name}: published {published}, here {ours}")


@app.command()
def extra(
    name: Annotated[str, typer.Argument(help="The word that its facts have in their names, such as redis.")],
    command: Annotated[str, typer.Option("--command", metavar="TEXT", help="How the run was made, for the paper.")],
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="SECTION.FACT", help="A fact to keep that lacks the word; repeatable."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table", metavar="KIND", help="A table of the run to keep beside them, such as scale; repeatable."
        ),
    ] = None,
    out: Out = None,
):
    """Keep facts of a run that needs what a fresh clone lacks, for the paper: report/published/extra/NAME.yml."""
    root = find_root()
    path = keep_extra(Project(root, (out or root / "report").resolve()), name, command, also or (), table or ())
    _say(f"{path} written; `run` brings its facts into the paper's variables")


@app.command(hidden=True)
def pre_render():
    """Quarto's pre-render step: run what is not up to date, and stop where the paper lacks something."""
    if os.environ.get(rendering.RENDERING):
        return
    root = find_root()
    out = Path(os.environ.get("QUARTO_PROJECT_DIR", root / "report")).resolve()
    last = Project(root, out).parameters
    project, chosen = _project(None, last if last.exists() else None, out)
    running.run(project, chosen, say=_say)
    rendering.direct.check(project)
    rendering.copy_sources(project)


def _render(project: Project, route: str) -> None:
    if route not in ("", "quarto", "direct"):
        raise InputError(f"--route is {route!r}; known are quarto, direct.")
    rendering.render(project, route=route, say=_say)


app.command()(embed)
app.command()(neighbors)
app.command()(serve)
app.command()(tune)
app.add_typer(index, name="index")
