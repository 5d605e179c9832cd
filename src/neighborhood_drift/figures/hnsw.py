"""Figures of the graph inside: levels, degrees, construction effort, and recall against time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter, StrMethodFormatter

from . import style

M_MARKERS = "vo^sDP"


def levels(table: pd.DataFrame) -> Figure:
    """Draw the points at each level against the number the law expects.

    Parameters
    ----------
    table : DataFrame
        Of `graph.level_table`, all engines with one M.
    """
    figure, axes = style.new()
    law = table.sort_values("level").drop_duplicates("level")
    axes.plot(law["level"], law["expected"], **style.look("exact", label="expected"))
    # a level holds at least one point, so the axis ends below 1 and the band where the axis does
    low = np.maximum(law["expected"] - 2 * law["spread"], 0.3)
    style.band(axes, law["level"], low, law["expected"] + 2 * law["spread"], style.BLACK)
    for shift, (engine, rows) in zip((-0.04, 0.04), table.groupby("engine", sort=False), strict=False):
        axes.plot(rows["level"] + shift, rows["points"], **style.look(engine, linestyle="", markersize=7))
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.3)
    axes.set(xlabel="level", ylabel="points at the level")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def degrees(table: pd.DataFrame) -> Figure:
    """Draw the share of points with at least each out- and in-degree.

    Parameters
    ----------
    table : DataFrame
        Of `graph.degree_table`.
    """
    figure, axes = style.new(1, 2, size=(6.4, 3.4), sharey=True)
    for panel, direction in zip(axes, ("out", "in"), strict=True):
        for engine, rows in table[table["direction"] == direction].groupby("engine", sort=False):
            panel.step(rows["degree"], rows["share"], where="post", **style.look(engine, marker=""))
        panel.set(xlabel=f"{direction}-degree (links)", yscale="log")
    axes[1].set_xscale("symlog", linthresh=10)
    axes[0].set_ylabel("share of points with at least as many")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def construction(table: pd.DataFrame, M: int) -> Figure:
    """Draw the mean out-degree at level 0 against ef_construction.

    Parameters
    ----------
    table : DataFrame
        Of `construction.degree_by_effort`.
    M : int
        The parameter M of all its graphs; 2M is marked.
    """
    figure, axes = style.new()
    last = table.loc[table.groupby("engine")["ef_construction"].idxmax()].set_index("engine")["links"]
    for engine, rows in table.groupby("engine", sort=False):
        look, highest = style.look(engine), last[engine] == last.max()
        axes.plot(rows["ef_construction"], rows["links"], **look)
        dy = 7 if highest else -7
        style.label_end(axes, rows["ef_construction"], rows["links"], look["label"], look["color"], dy=dy)
    axes.axvline(2 * M, color=style.GREY, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.annotate(
        "efConstruction = 2M", (2 * M, 0.97), xycoords=("data", "axes fraction"), xytext=(4, 0),
        textcoords="offset points", color=style.GREY, fontsize=9, va="top",
    )  # fmt: skip
    axes.set(xlabel="efConstruction", ylabel="mean links a point at level 0", ylim=(0, None))
    axes.set_xlim(0, table["ef_construction"].max() * 1.28)
    return figure


def tradeoff(table: pd.DataFrame, k: int, queries: int) -> Figure:
    """Draw recall on a logit axis against time a query, an engine a color and an M a marker; the fronts are ringed.

    Parameters
    ----------
    table : DataFrame
        Of `tradeoff.tradeoff`.
    k, queries : int
        Neighbors a query, and queries: a recall of 1 is drawn at half a neighbor missed among all of them.
    """
    figure, axes = style.new(size=(6.4, 4.4))
    nearest_to_one = 1 - 0.5 / (k * queries)
    markers = dict(zip(sorted(table["M"].unique()), M_MARKERS, strict=False))
    for (engine, M), rows in table.groupby(["engine", "M"], sort=False):
        rows = rows.sort_values("ef")
        recall, low, high = (
            np.clip(rows[name], 0.5 / (k * queries), nearest_to_one) for name in ("recall", "low", "high")
        )
        look = style.look(engine, marker=markers[M])
        look["label"] += f", M = {M}"
        axes.plot(rows["microseconds"], recall, **look)
        axes.errorbar(
            rows["microseconds"], recall, [recall - low, high - recall], fmt="none", ecolor=look["color"], elinewidth=1
        )
        front = rows["front"].to_numpy()
        axes.plot(rows["microseconds"][front], recall[front], "o", mfc="none", mec=style.BLACK, markersize=9, mew=0.9)
    axes.plot([], [], "o", mfc="none", mec=style.BLACK, markersize=9, mew=0.9, label="Pareto front")
    axes.set(xscale="log", xlabel="time a query (microseconds)", ylabel=f"recall of the {k} nearest (logit scale)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter("")
    axes.set_yscale("logit", one_half="1/2", use_overline=False)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=2))
    axes.yaxis.set_minor_formatter("")
    axes.legend(loc="lower right", fontsize=8)
    return figure
