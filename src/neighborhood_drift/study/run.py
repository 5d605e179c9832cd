"""Run the notebooks in order with papermill, those that are not up to date; what was done is kept."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from .. import checks
from ..bundle import PROVENANCE
from ..checks import METRICS, InputError
from ..files import alone, clear_parts, replacing, sha256, write_text
from ..separate import DISTANCES
from .extra import with_extra
from .freshness import data_checksums, further_data, gallery_data, grounds, own_data, read_receipt, stale
from .parameters import ParameterSet, defaults, refuse_few_points, refuse_long_lists, resolve
from .project import Project, StudyError, read_notebook

# The kernel's stderr is passed on to our terminal, so progress bars may take it for one.
SHOW_PROGRESS = "--IPKernelApp.exec_lines=import sys; sys.stderr.isatty = lambda: True"
TRACEBACK_LINES = 15  # of a failing cell, shown on the console; the whole of it stays in the kept copy


def plan(project: Project, chosen: ParameterSet) -> dict[str, tuple[str, dict, dict]]:
    """What is to be done: notebook name -> (why it must run or "", its parameters, its grounds).

    Raises
    ------
    InputError
        If a parameter is unknown or of the wrong type, or the vectors, a gallery or weights cannot be loaded.
    """
    parameters = resolve(chosen, project)
    data = data_checksums(project, chosen.vectors)
    planned, further, galleries = {}, {}, {}
    for name, source in project.notebooks().items():
        values = {**defaults(source), **parameters[name]}
        asked = tuple(values.get("also", ())), values.get("data_dir", "")
        if asked not in further:
            further[asked] = further_data(*asked)
        if (gallery := values.get("gallery", "")) not in galleries:
            galleries[gallery] = gallery_data(gallery)
        known = data | further[asked] | galleries[gallery] | own_data(project, source, values)
        wanted = grounds(source, parameters[name], known, bool(values.get("encode")))
        planned[name] = (stale(project, name, wanted), parameters[name], wanted)
    return planned


def run(
    project: Project,
    chosen: ParameterSet,
    *,
    only: list[str] | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Run the notebooks that are not up to date, in order, into ``project.out``.

    Each executed copy goes to ``out/notebooks/`` whole, with its receipt beside it, as soon as its notebook is done;
    so a run that is killed or fails goes on where it stopped. The facts of all receipts together are the paper's
    variables, ``out/_variables.yml``.

    Parameters
    ----------
    project : Project
    chosen : ParameterSet
    only : list of str, optional
        Look at these notebooks alone, by number or name.
    force : bool, default False
        Run also what is up to date.
    say : callable, default print
        Gets one line of progress a notebook.

    Returns
    -------
    list of str
        Names of the notebooks that ran.

    Raises
    ------
    InputError
        If a parameter, the vectors or ``only`` cannot be used; raised before any notebook runs.
    StudyError
        If a cell fails; the message shows it.
    """
    with alone(project.out, "logs/lock"):
        for folder in (project.out, project.out / "notebooks", project.out / "facts"):
            clear_parts(folder)
        resolve(chosen, project)
        picked = _pick(only, list(project.notebooks()))
        _embed(chosen, say)
        planned = {name: what for name, what in plan(project, chosen).items() if name in picked}
        todo = [name for name, (reason, _, _) in planned.items() if reason or force]
        if todo and chosen.vectors:
            _check_vectors(project, chosen, {name: values for name, (_, values, _) in planned.items()})
        write_text(project.parameters, yaml.safe_dump(chosen.as_file(), sort_keys=False))
        try:
            for position, (name, (reason, parameters, wanted)) in enumerate(planned.items(), start=1):
                lead = f"[{position}/{len(planned)}] {name}"
                if name not in todo:
                    say(f"{lead}: up to date")
                    continue
                say(f"{lead}: running ({reason or 'forced'})")
                began = time.perf_counter()
                _run_one(project, name, parameters, wanted)
                say(f"{lead}: done in {time.perf_counter() - began:.1f} s")
        finally:
            write_variables(project)
    return todo


def write_variables(project: Project) -> Path:
    """Write the facts of all receipts to ``out/_variables.yml``, and as JSON to ``out/facts/``.

    A section ``run`` is added: versions of the libraries, the checksum of the data and the distance measured by, in
    words, as in the receipts. The paper's variables also hold the facts of further runs (`extra.with_extra`).

    Raises
    ------
    StudyError
        If two notebooks recorded one fact with different values, or the facts of a further run cannot be read.
    """
    facts, owner, metrics = {}, {}, {}
    for name, source in project.notebooks().items():
        receipt = read_receipt(project, name)
        for section, values in receipt.get("facts", {}).items():
            for fact, value in values.items():
                if facts.setdefault(section, {}).setdefault(fact, value) != value:
                    raise StudyError(f"{owner[section, fact]} and {name} record {section}.{fact} differently.")
                owner[section, fact] = name
        if receipt:
            known = {library.replace("-", "_"): version for library, version in receipt["grounds"]["versions"].items()}
            data = receipt["grounds"]["data"]
            metrics[{**defaults(source), **receipt["grounds"]["parameters"]}.get("metric", METRICS[0])] = name
            measured_by = " and ".join(DISTANCES[metric] for metric in METRICS if metric in metrics)
            facts["run"] = {**known, "data_sha256": data.get("vectors", data["bundled"]), "metric": measured_by}
    _clear_facts(project)
    for section, values in facts.items():
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        write_text(project.out / "facts" / f"{section}.json", text)
    text = yaml.safe_dump(with_extra(facts, project), allow_unicode=True, sort_keys=False)
    return write_text(project.out / "_variables.yml", text)


def _run_one(project: Project, name: str, parameters: dict, wanted: dict) -> None:
    """Run one notebook; its copy, facts and receipt are there afterwards, or what was there before."""
    import nbformat
    import papermill

    _clear_facts(project)
    notebook = read_notebook(project.notebooks()[name])
    if "out" in _names(notebook):
        parameters = {**parameters, "out": str(project.out)}
    notebook.metadata.setdefault("kernelspec", {"name": "python3", "display_name": "Python 3", "language": "python"})
    # papermill looks for unknown names line by line and complains of a list on several; `resolve` has checked them all
    logging.getLogger("papermill").setLevel(logging.ERROR)
    log = project.out / "logs" / f"{name}.ipynb"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    live = sys.stderr.isatty()
    try:
        notebook = papermill.execute_notebook(
            notebook,
            log,
            parameters,
            cwd=project.root / "notebooks",
            progress_bar={"desc": name, "leave": False} if live else False,
            stderr_file=sys.stderr if live else None,
            extra_arguments=["--IPKernelApp.log_level=40", *([SHOW_PROGRESS] if live else [])],
        )
    except papermill.PapermillExecutionError as error:
        raise StudyError(_failure(name, error, log)) from None
    except RuntimeError as error:  # nbclient's DeadKernelError among others
        raise StudyError(f"{name} stopped: {error} The copy as far as it went is {log}.") from None
    _strip(notebook)
    facts = {path.stem: json.loads(path.read_text()) for path in sorted((project.out / "facts").glob("*.json"))}
    with replacing(project.executed(name)) as part:
        nbformat.write(notebook, part)
    receipt = {"grounds": wanted, "facts": facts, "executed": sha256(project.executed(name))}
    write_text(project.receipt(name), json.dumps(receipt, indent=1, ensure_ascii=False) + "\n")
    log.unlink(missing_ok=True)


def _strip(notebook) -> None:
    """Take out what differs from run to run or machine to machine: papermill's marks, times, progress bars."""
    notebook.metadata.pop("papermill", None)
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:03d}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def _failure(name: str, error, log: Path) -> str:
    """The failing cell and the last lines of its traceback."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).splitlines()
    cell = "\n".join(f"    {line}" for line in error.source.splitlines())
    trace = "\n".join(f"    {line}" for line in plain[-TRACEBACK_LINES:])
    return f"{name} failed in this cell:\n\n{cell}\n\n{trace}\n\nThe copy as far as it went is {log}."


def _names(notebook) -> set[str]:
    """Names assigned in the cell tagged ``parameters``."""
    text = "\n".join(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return set(re.findall(r"^(\w+)\s*=", text, flags=re.MULTILINE))


def _pick(only: list[str] | None, names: list[str]) -> list[str]:
    """The notebooks that ``only`` names, by number or name; all where it names none."""
    picked = []
    for word in only or []:
        found = [name for name in names if word in (name, name.partition("-")[0])]
        if not found:
            raise InputError(f"A notebook is {word!r}; known are {', '.join(names)}.")
        picked += found
    return picked or names


def _embed(chosen: ParameterSet, say: Callable[[str], None]) -> None:
    """Make the vectors that the parameter file asks for, where they are absent.

    In a process of its own: the encoder's memory is free again before the notebooks start.
    """
    if not chosen.embed or (Path(chosen.embed["out"]) / PROVENANCE).exists():
        return
    say(f"embed: making {chosen.embed['out']}")
    options = {name.replace("_", "-"): str(value) for name, value in chosen.embed.items()}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run([sys.executable, "-m", "neighborhood_drift", "embed", *words], check=False)
    if done.returncode:
        raise StudyError(f"embed stopped with exit status {done.returncode}; no notebook was run.")


def _check_vectors(project: Project, chosen: ParameterSet, planned: dict[str, dict]) -> None:
    """Check the vectors as the notebooks will: what they would refuse is named before the first of them starts."""
    from ..datasets import load_dataset

    loaded = load_dataset(chosen.vectors).vectors
    for metric in {values.get("metric", METRICS[0]) for values in planned.values()}:
        checks.vectors(loaded, metric=metric)
    for name, values in planned.items():
        points = min(values.get("points") or len(loaded), len(loaded))
        refuse_long_lists(chosen.given, points)
        refuse_few_points(name, {**defaults(project.notebooks()[name]), **values}, points)


def _clear_facts(project: Project) -> None:
    for path in (project.out / "facts").glob("*.json"):
        path.unlink()
