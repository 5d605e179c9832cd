"""Parameters of a run: defaults read out of the notebooks, sets from YAML files, single values from the command line.

Papermill only warns about a name that no notebook knows; here every name and type is checked before any work.
"""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ..checks import METRICS, InputError, one_of, whole_number
from ..datasets import is_data_folder
from .project import PAPER_METRIC, PAPER_VECTORS, Project, is_of_study, metrics, read_notebook

NEIGHBORHOODS = ("k", "ks", "ks_growing", "ks_shown", "seed_ks", "few_ks", "k_graph", "part_k")
FOLLOWED = ("ks_growing", "few_ks")  # of these, one k of at least ef is needed
# Parameters with a lowest value, which each item of a list has to reach as well.
LOWEST = {
    **dict.fromkeys(("points", "queries", "seed", "timed_queries", "seed_queries", "effort_queries"), 0),
    **dict.fromkeys(("other_queries", "also_queries", "compared_queries", "cause_queries", "sample_points"), 0),
    **dict.fromkeys(("scale_queries",), 0),
    **dict.fromkeys((*NEIGHBORHOODS, "ef", "efs", "fit_on", "ef_construction", "ef_constructions", "efforts"), 1),
    **dict.fromkeys(("threads", "repeats", "resamples", "pairs", "index_seeds", "tuning_queries", "draws"), 1),
    **dict.fromkeys(("orders", "level_seeds", "build_threads", "task_seeds", "map_seeds", "pq_bits"), 1),
    **dict.fromkeys(("smallest", "part_points", "dimensions", "k_retrieved", "nprobes", "batches"), 1),
    **dict.fromkeys(("random_sizes", "encoded_batches", "planned", "planned_queries"), 1),
    **dict.fromkeys(("pool_queries",), 0),
    **dict.fromkeys(("shown", "explored"), 1),
    **dict.fromkeys(("pilot_queries", "sample_queries", "resplits", "sizes", "probe_ef", "probe_k"), 1),
    **dict.fromkeys(("M", "Ms"), 2),
}
MAY_BE_EMPTY = ("also",)
UNKNOWN = object()  # the default of a parameter that is assigned an expression; any value is accepted


@dataclass(frozen=True)
class ParameterSet:
    """What a parameter file says.

    Attributes
    ----------
    shared : dict
        Values for every notebook that has the parameter.
    notebooks : dict of dict
        Values for single notebooks, by notebook name; they go before shared ones.
    embed : dict or None
        Options of the ``embed`` command, run first where its ``out`` is absent.
    given : dict
        Values from the command line; they go before all others.
    """

    shared: dict = field(default_factory=dict)
    notebooks: dict = field(default_factory=dict)
    embed: dict | None = None
    given: dict = field(default_factory=dict)

    @property
    def vectors(self) -> str | None:
        """The vectors that the set names; None leaves the choice to the notebooks."""
        return self.given.get("vectors", self.shared.get("vectors"))

    def as_file(self) -> dict:
        """The set as a parameter file holds it, so that ``quarto render`` alone goes on with what was run last."""
        embed = {"embed": self.embed} if self.embed else {}
        notebooks = {
            notebook: {name: self.given.get(name, value) for name, value in values.items()}
            for notebook, values in self.notebooks.items()
        }
        return {**self.shared, **self.given, "notebooks": notebooks, **embed}


def is_path(vectors: str) -> bool:
    """Whether ``vectors`` looks like a file, or like a folder that ``embed`` made, rather than a bundled name.

    >>> is_path("mine.npy"), is_path("./mine"), is_path("folder/mine"), is_path("cifar10-resnet50")
    (True, True, True, False)
    """
    return Path(vectors).suffix.lower() in (".npy", ".npz") or any(mark in vectors for mark in {os.sep, "/"})


def _is_given_path(vectors, folder: Path) -> bool:
    """Whether ``vectors``, named in ``folder``, is a path: one that looks so, or the bare name of a folder of data."""
    return isinstance(vectors, str) and (is_path(vectors) or is_data_folder(folder / vectors))


def _absolute(values: dict, folder: Path) -> dict:
    """``values`` with the paths in them taken from ``folder``; a folder of data that does not exist is refused."""
    found = {}
    if _is_given_path(values.get("vectors"), folder):
        found["vectors"] = str((folder / Path(values["vectors"]).expanduser()).resolve())
    if values.get("data_dir"):
        found["data_dir"] = str((folder / Path(str(values["data_dir"])).expanduser()).resolve())
        if not Path(found["data_dir"]).is_dir():
            raise InputError(f"data_dir is {values['data_dir']!r}; there is no such folder.")
    if _is_given_path(values.get("gallery"), folder):
        found["gallery"] = str((folder / Path(values["gallery"]).expanduser()).resolve())
    if values.get("weights_dir"):
        found["weights_dir"] = str((folder / Path(str(values["weights_dir"])).expanduser()).resolve())
    return {**values, **found}


def defaults(source: Path) -> dict:
    """A notebook's parameters and their default values, from its cell tagged ``parameters``."""
    found = {}
    for cell in read_notebook(source).cells:
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                try:
                    value = ast.literal_eval(statement.value)
                except ValueError:
                    value = UNKNOWN
                found[statement.targets[0].id] = value
    return found


def read_set(path: Path, root: Path) -> ParameterSet:
    """Read a parameter file: ``name: value`` lines, plus the optional sections ``notebooks`` and ``embed``.

    Relative paths in it are taken from ``root``, the study's folder.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        known = ", ".join(sorted(str(file.relative_to(root)) for file in (root / "report" / "params").glob("*.yml")))
        raise InputError(f"There is no parameter file {path}; known are {known or 'none'}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold lines `name: value`.")
    notebooks, embed = content.pop("notebooks", None) or {}, content.pop("embed", None)
    if not isinstance(notebooks, dict) or not all(isinstance(values, dict) for values in notebooks.values()):
        raise InputError(f"{path}: notebooks must hold one section `NN-name:` a notebook, with `name: value` lines.")
    if embed is not None and not (isinstance(embed, dict) and embed.get("images") and embed.get("out")):
        raise InputError(f"{path}: embed must hold options of the embed command; images and out are needed.")
    for option in {"out", "labels"} & set(embed or {}):
        embed[option] = str(root / embed[option])
    return ParameterSet(_absolute(content, root), notebooks, embed)


def parse_given(pairs: list[str], folder: Path) -> dict:
    """Values from ``name=value`` words; relative paths in it are taken from ``folder``.

    >>> parse_given(["points=500", "metric=cosine", "seeds=[0, 1]"], Path("."))
    {'points': 500, 'metric': 'cosine', 'seeds': [0, 1]}
    """
    given = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip().isidentifier():
            raise InputError(f"{pair!r} is not a parameter; write name=value.")
        try:
            given[name.strip()] = yaml.safe_load(text) if text.strip() else ""
        except yaml.YAMLError:
            given[name.strip()] = text
    return _absolute(given, folder)


def default_out(chosen: ParameterSet, root: Path) -> Path:
    """The folder of a run that names none: ``report`` on the paper's vectors by its metric, else one in ``runs``.

    That has the name of the vectors, and after it the metric where it is not the paper's.
    """
    values = chosen.as_file()
    if is_of_study(values):
        return root / "report"
    vectors = chosen.vectors or PAPER_VECTORS
    name = Path(vectors).stem if is_path(vectors) else vectors
    return root / "runs" / "-".join([name, *sorted(metrics(values) - {PAPER_METRIC})])


def resolve(chosen: ParameterSet, project: Project) -> dict[str, dict]:
    """The parameters that each notebook is run with, all names and types checked.

    Returns
    -------
    dict of dict
        Notebook name -> the values it gets, without ``out``.

    Raises
    ------
    InputError
        If a name is known to no notebook, or a value has another type than the notebook's own or is below its lowest.
    """
    known = {name: defaults(source) for name, source in project.notebooks().items()}
    names = sorted({parameter for values in known.values() for parameter in values} - {"out"})
    for parameter in (*chosen.shared, *chosen.given):
        if parameter == "out":
            raise InputError("out is not set as a parameter; name the folder of the run with --out.")
        one_of(parameter, names, "A parameter")
    for notebook, values in chosen.notebooks.items():
        one_of(notebook, list(known), "A section of notebooks")
        for parameter in values:
            one_of(parameter, sorted(set(known[notebook]) - {"out"}), f"A parameter of {notebook}")
    resolved = {}
    for notebook, own in known.items():
        values = {**chosen.shared, **chosen.notebooks.get(notebook, {}), **chosen.given}
        resolved[notebook] = {
            parameter: _typed(values[parameter], own[parameter], parameter, notebook)
            for parameter in own
            if parameter in values
        }
        for parameter, value in resolved[notebook].items():
            _in_range(value, parameter, own[parameter])
    if "metric" in names:
        for values in resolved.values():
            one_of(values.get("metric", METRICS[0]), METRICS, "metric")
    return resolved


def refuse_long_lists(given: dict, points: int) -> None:
    """Raise InputError if a number of neighbors from the command line is not below the number of points."""
    for parameter in given.keys() & set(NEIGHBORHOODS):
        value = given[parameter]
        largest = max(value) if isinstance(value, list) else value
        if largest >= points:
            raise InputError(f"{parameter} asks for {largest} neighbors; {points} points have at most {points - 1}.")


def refuse_few_points(notebook: str, values: dict, points: int) -> None:
    """Raise InputError if a notebook that follows k from one ef upward has too few points for the first such k.

    >>> refuse_few_points("04-drift", {"ks_growing": [10, 50, 100], "ef": 50}, 40)
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: There are 40 points; 04-drift asks for 50 neighbors, which takes at least 52.
    """
    followed = [k for name in FOLLOWED for k in values.get(name, ())]
    asked = min((k for k in followed if k >= values["ef"]), default=0)
    if asked and points < asked + 2:
        raise InputError(
            f"There are {points} points; {notebook} asks for {asked} neighbors, which takes at least {asked + 2}."
        )


def _in_range(value, parameter: str, default) -> None:
    if isinstance(default, (list, tuple)) and default and not value and parameter not in MAY_BE_EMPTY:
        raise InputError(f"{parameter} is empty; at least one value is needed.")
    low = LOWEST.get(parameter)
    for item in value if isinstance(value, list) else [value]:
        if low is not None and isinstance(item, int):
            whole_number(item, parameter, low)


def _typed(value, default, parameter: str, notebook: str):
    """Return ``value`` if it has the type of ``default``; a whole number passes for a float."""
    if default is UNKNOWN or default is None:
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        if default and len({type(item) for item in default}) == 1:
            return [_typed(item, default[0], f"An item of {parameter}", notebook) for item in value]
        return list(value)
    if type(value) is not type(default):
        raise InputError(
            f"{parameter} is {value!r}, a value of type {type(value).__name__}; "
            f"{notebook} takes {type(default).__name__}, such as {default!r}."
        )
    return value
