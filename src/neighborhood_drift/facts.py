"""A notebook's numbers, for the paper: recorded once, formatted once, cited by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from .files import write_text
from .tables import Table, minus


def number(value, digits: int = 3) -> str:
    """Format a number for prose: whole numbers with thousands separators, others with ``digits`` significant digits.

    >>> number(10000), number(0.98765), number(1234.5678), number(2.5e-7), number(float("nan"))
    ('10,000', '0.988', '1,235', '2.50e-07', 'not available')
    """
    if isinstance(value, (bool, np.bool_)) or value is None:
        raise TypeError(f"{value!r} is not a number; record it as a word.")
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    value = float(value)
    if not np.isfinite(value):
        return "not available"
    if value != 0 and abs(value) < 1e-4:
        return minus(f"{value:.{digits - 1}e}")
    magnitude = int(np.floor(np.log10(abs(value)))) if value else 0
    return minus(f"{value:,.{max(0, digits - 1 - magnitude)}f}")


def fixed(value, decimals: int = 3) -> str:
    """Format with a fixed number of decimals.

    >>> fixed(0.9, 3), fixed(-0.0001, 2)
    ('0.900', '0.00')
    """
    # adding 0.0 turns the -0.0 of a rounded small negative into 0.0
    if not np.isfinite(float(value)):
        return "not available"
    return minus(f"{round(float(value), decimals) + 0.0:,.{decimals}f}")


def count(number: int) -> str:
    """Write a count as it reads in a sentence: no, one, or the number.

    >>> count(0), count(1), count(2500)
    ('no', 'one', '2,500')
    """
    return {0: "no", 1: "one"}.get(int(number), f"{int(number):,}")


def percent(share, decimals: int = 1) -> str:
    """Format a share as a percentage.

    >>> percent(0.1289), percent(-0.64, 0)
    ('12.9 %', '−64 %')
    """
    return minus(f"{100 * float(share):.{decimals}f} %") if np.isfinite(float(share)) else "not available"


def interval(low, high, decimals: int = 3) -> str:
    """Format an interval.

    >>> interval(0.8701, 0.8729)
    '0.870 to 0.873'
    """
    return f"{fixed(low, decimals)} to {fixed(high, decimals)}"


def record(section: str, out: str | Path = "", **values) -> Table:
    """Record a notebook's numbers under ``section``; the paper cites them as ``{{< var section.name >}}``.

    Parameters
    ----------
    section : str
        The notebook's word, e.g. ``"drift"``. Recording twice under one section adds to it.
    out : path, default ""
        The run's folder: the facts go to ``out/facts/<section>.json``. Empty: nothing is written.
    **values
        Whole numbers, floats (three significant digits) or strings already formatted.

    Returns
    -------
    Table
        Names and formatted values, to be shown as the cell's output.

    Examples
    --------
    >>> record("drift", onset_99=90, overlap_k250=0.87123)
    | fact               | value   |
    |:-------------------|:-------|
    | drift.onset_99     | 90      |
    | drift.overlap_k250 | 0.871   |
    """
    shown = {name: value if isinstance(value, str) else number(value) for name, value in values.items()}
    if out:
        path = Path(out) / "facts" / f"{section}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        write_text(path, json.dumps({**known, **shown}, indent=1, ensure_ascii=False) + "\n")
    return Table(pd.DataFrame({"fact": [f"{section}.{name}" for name in shown], "value": list(shown.values())}))
