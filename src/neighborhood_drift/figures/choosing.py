"""Figures of the choice of an effort: what was measured, what is certified, and the target."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from . import style

SHOWN = 5  # a figure ends at this many times the drift that the target allows


def tune(
    table: pd.DataFrame, *, quantity: str, ideal: float, goal: float, ef: int | None, effort: str = "ef", interval=None
) -> Figure:
    """Draw the measured and the certified value of a target's quantity against ef, the target and the ef chosen.

    Parameters
    ----------
    table : DataFrame
        ``table`` of a ``calibration.Choice``: ef, estimate, bound, passes. What drifts further than five times as far
        as the target allows is cut off.
    quantity : str
        Name of the axis.
    ideal, goal : float
        Its value without any drift, and the target's.
    ef : int or None
        The value chosen; None where none is certified.
    effort : str
        What the engine calls its effort.
    interval : (float, float), optional
        Of the value measured at ``ef``; drawn as a bar.
    """
    figure, axes = style.new(size=(6.4, 4.0))
    axes.plot(table["ef"], table["estimate"], color=style.BLACK, marker="o", label="measured on the sample")
    axes.plot(table["ef"], table["bound"], color=style.VERMILION, linestyle="--", label="bound")
    good = table[table["passes"]]
    axes.plot(
        good["ef"], good["bound"], color=style.VERMILION, marker="s", linestyle="", label="bound, target certified"
    )
    axes.axhline(goal, color=style.BLUE, linewidth=1, label=f"target, {goal:g}")
    if ef is not None:
        if interval is not None:
            bar = {"color": style.BLACK, "marker": "_", "markersize": 9, "linewidth": 2.5}
            axes.plot([ef, ef], interval, label="its 95 % interval over queries", **bar)
        axes.axvline(ef, color=style.GREEN, linewidth=1, linestyle=":", label=f"chosen, {effort} = {ef}")
    axes.set(xlabel=effort, ylabel=quantity, xscale="log")
    away = SHOWN * (goal - ideal)
    axes.set_ylim(*sorted((ideal - away / 20, ideal + away)))
    seen = table.loc[(table["estimate"] - ideal).abs() <= abs(away), "ef"]
    if len(seen):
        axes.set_xlim(left=seen.min() / 1.3)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
