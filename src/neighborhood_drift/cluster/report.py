"""What notebook and paper show of exact search over blocks: a run set beside its plan, tables and facts."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from ..exact import exact_neighbors
from ..facts import fixed, number
from .neighbors import BLOCK_BYTES, NOTE, find_neighbors, prepare
from .plan import DAY, HOUR, PROCESSES, Rates

YEAR = 365.25 * DAY
UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size_text(number_of_bytes: float) -> str:
    """Write a number of bytes with three significant digits and a unit of powers of 1,000.

    >>> size_text(8.192e12), size_text(800)
    ('8.19 TB', '800 B')
    """
    power = min(len(UNITS) - 1, int(np.log10(max(1.0, number_of_bytes)) // 3))
    return f"{number(float(number_of_bytes) / 1000.0**power) if power else number_of_bytes} {UNITS[power]}"


def rough(value: float) -> str:
    """Write a number with two significant digits, as much as an extrapolation can bear.

    >>> rough(1_234_567), rough(0.0123), rough(5)
    ('1,200,000', '0.012', '5')
    """
    value = float(f"{value:.2g}")
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def time_text(seconds: float) -> str:
    """Write seconds in the unit that suits them.

    >>> time_text(90), time_text(7200), time_text(3e5), time_text(1e9)
    ('90 seconds', '2 hours', '3.5 days', '32 years')
    """
    units = ((2 * YEAR, YEAR, "years"), (2 * DAY, DAY, "days"), (2 * HOUR, HOUR, "hours"), (0, 1, "seconds"))
    size, name = next((size, name) for least, size, name in units if seconds >= least)
    return f"{rough(seconds / size)} {name}"


def whole_run(client, base, k: int, *, metric: str = "l2") -> dict:
    """Find all neighbors leave-one-out on the workers of ``client``, and compare them with `exact_neighbors`.

    Returns
    -------
    dict
        ``same`` (ids and bits of distances), ``seconds`` (of tasks and merges, of all processes), ``wall``, ``tasks``,
        ``processes``, and ``peak`` (most bytes that a worker has held, its libraries included).
    """
    with tempfile.TemporaryDirectory(prefix="neighborhood-drift-") as folder:
        began = perf_counter()
        found = find_neighbors(client, prepare(base, None, k, metric, None, None), folder, progress=False)
        wall = perf_counter() - began
        spent = json.loads((Path(folder) / NOTE).read_text(encoding="utf-8"))["work"]
        exact = exact_neighbors(base, k=k, metric=metric)
        same = np.array_equal(found.ids, exact.ids) and np.array_equal(found.distances, exact.distances)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = max(client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).values()) * unit
    told = {"same": same, "wall": wall, "peak": peak}
    return {**told, "seconds": spent["seconds"], "tasks": spent["finished"], "processes": spent["processes"]}


def rates_table(timings: pd.DataFrame, found: Rates) -> pd.DataFrame:
    """Timed sizes of a task: seconds of one process (lowest to highest), and what the fitted costs give."""
    rows = []
    for (queries, points), group in timings[timings["kind"] == "search"].groupby(["queries", "points"])["seconds"]:
        timed = f"{number(group.median())} ({number(group.min())} to {number(group.max())})"
        rows.append(
            {"queries": queries, "points": points, "seconds": timed, "fitted": number(found.task(queries, points))}
        )
    return pd.DataFrame(rows)


def plan_table(plan: pd.DataFrame) -> pd.DataFrame:
    """The plan for readers: sizes with units, process-hours with their interval, processes that finish within a day."""
    hours = [
        f"{rough(row.seconds / HOUR)} ({rough(row.low / HOUR)} to {rough(row.high / HOUR)})"
        for row in plan.itertuples()
    ]
    return pd.DataFrame(
        {
            "points": plan["points"],
            "asked": plan["asked"],
            "tasks": plan["tasks"],
            "vectors": plan["vectors_bytes"].map(size_text),
            "read_in_all": plan["read_bytes"].map(size_text),
            "lists_written": plan["lists_written"].map(size_text),
            "lists": plan["lists_bytes"].map(size_text),
            "process_hours": hours,
            "processes_for_a_day": [rough(max(1, np.ceil(each / DAY))) for each in plan["seconds"]],
        }
    )


def cluster_facts(found: Rates, timings: pd.DataFrame, plan: pd.DataFrame, run: dict, points: int) -> dict:
    """Facts of the section: the run and its plan, the rates, and the largest number of points in a day."""
    all_of_it, sample = (
        plan[which].sort_values("points").iloc[-1]
        for which in (plan["asked"] == plan["points"], plan["asked"] == plan["asked"].min())
    )
    searches = timings[timings["kind"] == "search"]
    pairs = searches["queries"] * searches["points"]
    rate = (pairs / searches["seconds"])[pairs == pairs.max()] / 1e6
    predicted = found.work(points)
    return {
        "dimension": found.dimension,
        "k": found.k,
        "run_points": points,
        "run_same": "the same as" if run["same"] else "not the same as",
        "run_tasks": run["tasks"],
        "run_processes": run["processes"],
        "run_time": time_text(run["seconds"]),
        "run_predicted": time_text(predicted),
        "run_ratio": fixed(run["seconds"] / predicted, 2),
        "run_wall": time_text(run["wall"]),
        "run_peak": size_text(run["peak"]),
        "pairs_per_second": f"{number(rate.median())} million",
        "pairs_per_second_range": f"{number(rate.min())} to {number(rate.max())} million",
        "planned_points": int(all_of_it["points"]),
        "planned_queries": int(sample["asked"]),
        "planned_vectors": size_text(all_of_it["vectors_bytes"]),
        "all_time": time_text(all_of_it["seconds"]),
        "all_time_interval": f"{time_text(all_of_it['low'])} to {time_text(all_of_it['high'])}",
        "all_tasks": int(all_of_it["tasks"]),
        "all_read": size_text(all_of_it["read_bytes"]),
        "all_lists_written": size_text(all_of_it["lists_written"]),
        "all_lists": size_text(all_of_it["lists_bytes"]),
        "sample_time": time_text(sample["seconds"]),
        "sample_time_interval": f"{time_text(sample['low'])} to {time_text(sample['high'])}",
        "sample_tasks": int(sample["tasks"]),
        "block": f"{BLOCK_BYTES // 2**20} MiB",
        "repeats": int(searches["repeat"].nunique()),
        **PROCESSES,
        **{f"day_of_{name}": rough(found.largest(processes * DAY)) for name, processes in PROCESSES.items()},
    }
