"""Figures of the consequences: deviation of each task against recall, and maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..consequences.compare import TOLERANCE
from ..consequences.maps import EXACT
from ..consequences.measure import EMPTIED, RANDOM
from ..consequences.tasks import TASKS
from ..kinds import named
from . import families, style

NULLS = {RANDOM: (style.BLACK, "", "-"), EMPTIED: (style.GREY, "", "--")}
# The families' oranges stand too near HNSW's vermilion where bands of all three overlap.
APART = {
    "faiss-ivf": {"color": style.BLUE, "marker": "s", "linestyle": "-."},
    "faiss-ivf-pq": {"color": style.PURPLE, "marker": "d", "linestyle": ":"},
}
TICKS = (-10, -1, -0.1, -0.01, 0, 0.01, 0.1, 1, 10)


def look(lists: str) -> dict:
    """How lists are drawn: an engine in its own color, random loss in black and grey."""
    if lists not in NULLS:
        return families.look(lists) | APART.get(named(lists)[0], {})
    color, marker, line = NULLS[lists]
    return {"label": lists, "color": color, "marker": marker, "linestyle": line}


def _in_order(table: pd.DataFrame):
    """Rows of each kind of lists by recall, random loss first."""
    kinds = sorted(dict.fromkeys(table["lists"]), key=lambda kind: (kind not in NULLS, kind))
    for kind in kinds:
        yield kind, table[table["lists"] == kind].sort_values("recall")


def deviations(summary: pd.DataFrame) -> Figure:
    """Draw the deviation of each task from exact lists against recall, a panel a task, a line a kind of lists.

    Parameters
    ----------
    summary : DataFrame
        From ``consequences.summarize``. The grey stripe is one percent either way; each panel has its own height,
        linear within two percent and logarithmic beyond.
    """
    tasks = [name for name in TASKS if name in set(summary["task"])]
    columns = min(3, max(1, len(tasks)))
    rows = -(-len(tasks) // columns) or 1
    figure, axes = style.new(rows, columns, size=(6.4, 0.7 + 1.75 * rows), sharex=True, squeeze=False)
    for panel, task in zip(axes.flat, tasks, strict=False):
        own = summary[summary["task"] == task]
        panel.axhspan(-TOLERANCE, TOLERANCE, color=style.GREY, alpha=0.35, linewidth=0)
        for lists, line in _in_order(own):
            drawn = look(lists)
            panel.plot(line["recall"], line["deviation"], **drawn)
            style.band(panel, line["recall"], line["low"], line["high"], drawn["color"])
        panel.set_title(TASKS[task].label, fontsize=9)
        panel.set_yscale("symlog", linthresh=2 * TOLERANCE)
        panel.set_yticks(TICKS, [f"{100 * tick:g}%" for tick in TICKS])
        panel.set_yticks([], minor=True)
        ends = own[["low", "high", "deviation"]].to_numpy()
        panel.set_ylim(1.2 * np.nanmin(ends, initial=-2 * TOLERANCE), 1.2 * np.nanmax(ends, initial=2 * TOLERANCE))
        style.percent(panel.xaxis)
        panel.locator_params(axis="x", nbins=4)
        panel.tick_params(labelsize=8)
    for panel in axes.flat[len(tasks) :]:
        panel.set_axis_off()
    for panel in axes[-1]:
        panel.set_xlabel("recall")
    for panel in axes[:, 0]:
        panel.set_ylabel("deviation", fontsize=9)
    handles = {name: line for panel in axes.flat for line, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


def map_quality(table: pd.DataFrame) -> Figure:
    """Draw trustworthiness and distance from the exact map against recall, with other seeds' maps as levels.

    Parameters
    ----------
    table : DataFrame
        From ``consequences.maps.layouts``.
    """
    figure, axes = style.new(1, 2, size=(6.4, 3.2), sharex=True)
    seeds = table[(table["lists"] == EXACT) & (table["procrustes"] > 0)]
    for panel, column in zip(axes, ("trustworthiness", "procrustes"), strict=True):
        for value in seeds[column]:
            panel.axhline(value, color=style.PURPLE, linewidth=0.9)
        panel.plot([], [], color=style.PURPLE, linewidth=0.9, label="exact lists, other seeds")
        for lists, rows in _in_order(table[table["lists"] != EXACT]):
            panel.plot(rows["recall"], rows[column], **{**look(lists), "marker": look(lists)["marker"] or "D"})
        panel.set_xlabel("recall")
        style.percent(panel.xaxis)
    axes[0].set_ylabel("trustworthiness of the map")
    axes[1].set_ylabel("distance from the exact map")
    axes[1].set_ylim(bottom=0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def maps(points: dict[str, np.ndarray], labels) -> Figure:
    """Draw maps side by side, each turned onto the first, points in the color of their class.

    Parameters
    ----------
    points : dict of (n, 2) arrays
        From ``consequences.maps.turned``.
    labels : (n,) integers or None
        None: one color.
    """
    columns = min(3, len(points))
    rows = -(-len(points) // columns)
    size = (6.4, rows * (6.4 / columns + 0.25))
    figure, axes = style.new(rows, columns, size=size, squeeze=False, sharex=True, sharey=True)
    # a color map without values to map draws a warning
    colors = (
        {"color": style.BLUE} if labels is None else {"c": np.unique(labels, return_inverse=True)[1], "cmap": "tab20"}
    )
    for panel, (name, own) in zip(axes.flat, points.items(), strict=False):
        panel.scatter(*own.T, s=3, linewidths=0, rasterized=True, **colors)
        panel.set_title(name, fontsize=9)
        panel.set(xticks=[], yticks=[], aspect="equal")
    for panel in axes.flat[len(points) :]:
        panel.set_axis_off()
    return figure
