"""Print one table of what is measured by the files bench_*.py beside this one: `make bench`.

Each of them offers ``rows()``, which measures and returns a list of dicts: name, value, unit and target, the last a
sentence such as "at most 2.5" or an empty string where nothing is promised. A target that begins with "at most"
or "at least" is checked; the exit status is 1 if one is missed. A word or two on the command line choose files:
``python benchmarks/run.py exact``.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from neighborhood_drift.facts import number
from neighborhood_drift.tables import Table

HERE = Path(__file__).parent


def verdict(value: float, target: str) -> str:
    """Whether ``value`` meets ``target``: "met", "missed", or "" where the target promises nothing.

    >>> verdict(2.1, "at most 2.5"), verdict(40, "at least 50 x"), verdict(3.0, "")
    ('met', 'missed', '')
    """
    bound = re.match(r"at (most|least) ([\d.,]+)", target)
    if bound is None:
        return ""
    limit = float(bound[2].replace(",", ""))
    return "met" if (value <= limit if bound[1] == "most" else value >= limit) else "missed"


def measure(words: list[str]) -> pd.DataFrame:
    """Run the benchmarks whose names hold one of ``words`` (none: all) and return one line a measured value."""
    files = [path for path in sorted(HERE.glob("bench_*.py")) if not words or any(word in path.stem for word in words)]
    lines = []
    for path in tqdm(files, desc="benchmarks", unit="file", file=sys.stderr):
        for row in importlib.import_module(path.stem).rows():
            value, target = row["value"], str(row["target"] or "")
            line = {"benchmark": path.stem.removeprefix("bench_"), "what": row["name"], "value": number(value)}
            lines.append(line | {"unit": row["unit"], "target": target, "": verdict(value, target)})
    return pd.DataFrame(lines)


def main() -> int:
    table = measure(sys.argv[1:])
    if table.empty:
        print(f"No benchmark is named so; there are {', '.join(p.stem[6:] for p in sorted(HERE.glob('bench_*.py')))}.")
        return 1
    print(Table(table))
    print(f"\nPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    return int((table[""] == "missed").any())


if __name__ == "__main__":
    sys.exit(main())
