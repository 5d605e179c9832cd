"""Figure of exact search beyond one machine: the work that it takes, against the number of points."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ..cluster.plan import DAY, HOUR, PROCESSES
from . import style

BELOW = 1_000  # a limit of zero, which a logarithmic axis cannot show, is drawn so many times below the line


def plan(table: pd.DataFrame) -> Figure:
    """Draw process-hours against the number of points, for all points and for a sample of queries, with intervals.

    Parameters
    ----------
    table : DataFrame
        From `cluster.plan.plan`.
    """
    figure, axes = style.new(size=(6.4, 3.8))
    ends = []
    sample = table["asked"].min()
    kinds = [("all points", table["asked"] == table["points"], style.BLACK, "o", "-")]
    kinds += [(f"{sample:,} queries", table["asked"] == sample, style.BLUE, "s", "--")]
    for name, which, color, marker, line in kinds:
        rows = table[which].sort_values("points")
        hours = rows["seconds"] / HOUR
        axes.plot(rows["points"], hours, color=color, marker=marker, linestyle=line)
        low = rows["low"].clip(lower=rows["seconds"] / BELOW)
        style.band(axes, rows["points"], low / HOUR, rows["high"] / HOUR, color)
        ends.append((rows["points"], hours, name, color))
    axes.set(xscale="log", yscale="log", xlabel="points", ylabel="process-hours")
    left = table["points"].min() / 40  # room for the labels of the dotted lines
    axes.set_xlim(left, table["points"].max() * 8)
    for processes in PROCESSES.values():
        axes.axhline(processes * DAY / HOUR, color=style.GREY, linewidth=0.8, linestyle=":")
        text = f"a day of {processes:,} processes"
        place = {"xy": (left, processes * DAY / HOUR), "xytext": (4, 3), "textcoords": "offset points"}
        axes.annotate(text, **place, color=style.GREY, fontsize=8)
    style.label_ends(axes, ends)
    return figure
