"""Figures of exact search: what it costs on growing samples, and what float32 changes."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from . import style

# One row a route: color, marker, line style. The blocked product is the study's exact search, so it is black.
ROUTES = {
    "naive loop": (style.ORANGE, "v", ":"),
    "n x n matrix": (style.PURPLE, "D", "-."),
    "blocked product": (style.BLACK, "o", "-"),
    "FAISS flat": (style.BLUE, "s", "--"),
}


def cost(table: pd.DataFrame) -> Figure:
    """Draw time and memory of each route against the number of points, both on logarithmic axes.

    Parameters
    ----------
    table : DataFrame
        Of `exact_cost.costs`; the fastest repeat is drawn, the band reaches to the slowest.
    """
    figure, (time, memory) = style.new(1, 2, size=(6.4, 3.4))
    for route, rows in table.groupby("route", sort=False):
        color, marker, line = ROUTES[route]
        by_size = rows.groupby("n")
        seconds = by_size["seconds"].min()
        look = {"color": color, "marker": marker, "linestyle": line, "label": route}
        time.plot(seconds.index, seconds, **look)
        style.band(time, seconds.index, seconds, by_size["seconds"].max(), color)
        memory.plot(seconds.index, by_size["mib"].first(), **look)
    for axes in (time, memory):
        axes.set(xscale="log", yscale="log", xlabel="points n")
        axes.set_xticks(sorted(table["n"].unique()), minor=False)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelrotation=30)
    time.set_ylabel("time (s)")
    memory.set_ylabel("memory beyond the vectors (MiB)")
    handles, labels = time.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def float32_changes(table: pd.DataFrame) -> Figure:
    """Draw the share of queries whose neighbors change under the float32 expansion, against k.

    Parameters
    ----------
    table : DataFrame
        The first result of `exact_cost.float32_errors`.
    """
    figure, axes = style.new()
    for column, text, color, marker in (
        ("changed_order", "order", style.VERMILION, "o"),
        ("changed_set", "set", style.BLUE, "s"),
    ):
        axes.plot(table["k"], table[column], color=color, marker=marker, clip_on=False)
        style.label_end(axes, table["k"], table[column], text, color, dx=6, dy=5)
    style.percent(axes.yaxis)
    axes.set(xlabel="neighborhood size k", ylabel="queries whose neighbors change")
    axes.set_ylim(0, max(0.01, 1.08 * table["changed_order"].max()))
    axes.set_xlim(0, 1.1 * table["k"].max())
    return figure
