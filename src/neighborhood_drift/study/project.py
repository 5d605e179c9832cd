"""Where things stand: the study's folder, its notebooks, and the folder of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..checks import InputError

PAPER_VECTORS, PAPER_METRIC = "cifar10-resnet50", "l2"  # those that the text of report/index.qmd speaks of
CHECKOUT = Path(__file__).resolve().parents[3]


class StudyError(RuntimeError):
    """The study stopped although its input was sound: a cell failed, or the paper lacks something."""


@dataclass(frozen=True)
class Project:
    """A study's folder (``notebooks/``, ``report/``, ``data/``) and the folder that a run writes into.

    >>> project = Project(Path("/study"), Path("/study/report"))
    >>> project.executed("04-drift").as_posix()
    '/study/report/notebooks/04-drift.ipynb'
    """

    root: Path
    out: Path

    @property
    def sources(self) -> Path:
        """The folder of the paper's source."""
        return self.root / "report"

    @property
    def parameters(self) -> Path:
        """What was run last in this folder, as a parameter file."""
        return self.out / "notebooks" / "parameters.yml"

    @property
    def paper(self) -> Path:
        """The paper's source: ``index.qmd`` of the study's own vectors by its metric, ``own.qmd`` of any others."""
        ran = yaml.safe_load(self.parameters.read_text(encoding="utf-8")) if self.parameters.exists() else {}
        return self.sources / ("index.qmd" if is_of_study(ran or {}) else "own.qmd")

    def executed(self, name: str) -> Path:
        """The executed copy of a notebook."""
        return self.out / "notebooks" / f"{name}.ipynb"

    def receipt(self, name: str) -> Path:
        """What a notebook was run from and which facts it recorded; stands beside the executed copy."""
        return self.out / "notebooks" / f"{name}.json"

    def notebooks(self) -> dict[str, Path]:
        """Numbered notebooks in order, name -> source: the ``.py`` of a pair, else the ``.ipynb``."""
        found = {}
        for suffix in (".ipynb", ".py"):
            for path in (self.root / "notebooks").glob(f"*{suffix}"):
                if re.match(r"\d\d-", path.name):
                    found[path.stem] = path
        if not found:
            raise InputError(f"{self.root / 'notebooks'} holds no notebook; they are named NN-name.py.")
        return dict(sorted(found.items()))


def metrics(ran: dict) -> set[str]:
    """The metrics that a run's values, as in a parameter file, name for all notebooks or for single ones.

    >>> sorted(metrics({"notebooks": {"04-drift": {"metric": "cosine"}}}))
    ['cosine', 'l2']
    """
    sections = (ran.get("notebooks") or {}).values()
    return {str(own.get("metric", PAPER_METRIC)) for own in (ran, *(own for own in sections if "metric" in own))}


def is_of_study(ran: dict) -> bool:
    """Whether a run's values, as in a parameter file, are on the study's own vectors and by its metric throughout.

    >>> is_of_study({}), is_of_study({"metric": "cosine"}), is_of_study({"vectors": "mine.npy"})
    (True, False, False)
    """
    return ran.get("vectors", PAPER_VECTORS) == PAPER_VECTORS and metrics(ran) == {PAPER_METRIC}


def find_root(start: Path | None = None) -> Path:
    """The nearest folder at or above ``start`` that holds ``notebooks/`` and ``report/``; else the checkout.

    Raises
    ------
    InputError
        If there is none.
    """
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents, CHECKOUT):
        if (folder / "notebooks").is_dir() and (folder / "report" / "index.qmd").is_file():
            return folder
    raise InputError(f"No study at or above {start}; its folder holds notebooks/ and report/index.qmd.")


def title(path: Path) -> str:
    """A notebook's first heading, which is its question; its name where it has none."""
    for cell in read_notebook(path).cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.splitlines()[0].removeprefix("# ")
    return path.stem


def read_notebook(path: Path):
    """A notebook from its source, with cell ids that depend on nothing but the order of the cells."""
    import jupytext
    import nbformat

    notebook = jupytext.read(path)
    if notebook.nbformat_minor < 5:
        notebook = nbformat.v4.upgrade(notebook)
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:03d}"
    return notebook
