"""Tables of separate runs, for what a fresh clone lacks: small CSV files kept beside the facts of those runs.

A notebook leaves its table in the folder of its run (`leave`); the command ``extra`` copies it, with what it was
measured on, to ``report/published/extra/``; and the notebook of a run that lacks the data shows it (`published`).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from .checks import InputError
from .files import write_text

FOLDER = Path(__file__).parents[2] / "report" / "published" / "extra"
DISTANCES = {"l2": "the Euclidean distance", "cosine": "the cosine distance"}
POINTS = ("data", "sha256", "metric", "points")  # the setting of what was measured on a data set
TIMING = ("input", "processor", "versions")  # of times that hang on no data set but on the machine
DIGITS = 6  # significant, more than any table shows


def leave(table: pd.DataFrame, kind: str, out: str | Path = "", *, setting: dict | None = None) -> None:
    """Write a table to ``out/tables/<kind>.csv``, whole or not at all; nothing where ``out`` is empty.

    Where it was not measured on the vectors of the run, ``setting`` says on what, by the words of `POINTS` or `TIMING`;
    it is left beside the table, as ``<kind>.yml``.

    >>> leave(pd.DataFrame({"n": [1]}), "sizes")
    """
    if out:
        path = Path(out) / "tables" / f"{kind}.csv"
        write_text(path, as_text(table))
        path.with_suffix(".yml").unlink(missing_ok=True)
        if setting:
            write_text(path.with_suffix(".yml"), yaml.safe_dump(setting, allow_unicode=True, sort_keys=False))


def as_text(table: pd.DataFrame) -> str:
    """A table as CSV with six significant digits.

    >>> as_text(pd.DataFrame({"n": [3], "seconds": [0.123456789]})).splitlines()
    ['n,seconds', '3,0.123457']
    """
    return table.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")


def published(kind: str, *, besides=(), folder=None) -> pd.DataFrame:
    """Read the tables of one kind that separate runs have left.

    Parameters
    ----------
    kind : str
        As in `leave`.
    besides : iterable of str
        Data sets that this run has measured itself; their rows (by the column ``data``) are left out.
    folder : path, optional
        Default: ``report/published/extra`` of the source checkout.

    Returns
    -------
    DataFrame
        The rows of all ``<name>.<kind>.csv``, with two columns in front: source (the name) and run ("a separate run on
        ..."). Empty, with these two columns alone, where there is none.

    Raises
    ------
    InputError
        If the file that says what a table was measured on is missing.

    Examples
    --------
    >>> published("nothing").columns.tolist()
    ['source', 'run']
    """
    found = []
    for path in sorted(Path(folder or FOLDER).glob(f"*.{kind}.csv")):
        name = path.name.removesuffix(f".{kind}.csv")
        about = path.with_name(f"{name}.yml")
        if not about.exists():
            raise InputError(f"{path.name} says nothing of what it was measured on; {about.name} is missing.")
        setting = yaml.safe_load(about.read_text(encoding="utf-8"))["setting"]
        table = pd.read_csv(path)
        table.insert(0, "source", name)
        table.insert(1, "run", in_words(setting))
        if "data" in table:
            table = table[~table["data"].isin(list(besides))]
        if len(table):
            found.append(table)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["source", "run"])


def in_words(setting: dict) -> str:
    """Where the numbers of a separate run come from, for readers.

    >>> in_words({"input": "random vectors", "processor": "a processor", "versions": "NumPy 2"})
    'a separate run on random vectors, with NumPy 2 on one core of a processor'
    """
    if set(setting) == set(TIMING):
        return f"a separate run on {setting['input']}, with {setting['versions']} on one core of {setting['processor']}"
    return f"a separate run on {setting['points']} points of {setting['data']}, by {DISTANCES[setting['metric']]}"


def well_formed(setting) -> bool:
    """Whether a setting has the words of `POINTS` or of `TIMING`, all text, and a known metric.

    >>> well_formed({"input": "a", "processor": "b", "versions": "c"}), well_formed({"input": "a"})
    (True, False)
    """
    if not isinstance(setting, dict) or set(setting) not in (set(POINTS), set(TIMING)):
        return False
    return all(isinstance(word, str) for word in setting.values()) and setting.get("metric", "l2") in DISTANCES
