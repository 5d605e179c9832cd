"""Figures of search effort: overlap against k and k / ef, the law, missing neighbors, and what effort costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from . import style

MARKERS = "os^Dv"
STEPS = [step * 10.0**power for power in range(-2, 7) for step in (1, 2, 5)]  # of logarithmic axes


def shades(color: str, count: int) -> list:
    """``count`` shades of one color, light to full: settings of one engine keep the engine's color."""
    full = np.array(to_rgb(color))
    return [tuple(1 - share * (1 - full)) for share in np.linspace(0.6, 1, count)]


def settings(table: pd.DataFrame, study: str):
    """Rows of each setting of a study with its shade and marker, lowest value first."""
    rows = table[table["study"] == study].sort_values("k")
    values = sorted(rows["value"].unique())
    for value, color, marker in zip(values, shades(style.VERMILION, len(values)), MARKERS, strict=False):
        yield value, rows[rows["value"] == value], {"color": color, "marker": marker}


def _overlap(axes, x, rows, **look) -> None:
    axes.plot(x, rows["overlap"], **look)
    style.band(axes, x, rows["overlap_low"], rows["overlap_high"], look["color"])


def _log(axis, ticks) -> None:
    low, high = axis.get_view_interval()
    axis.set_ticks([tick for tick in ticks if low <= tick <= high])
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_ticks([], minor=True)


def overlap(table: pd.DataFrame) -> Figure:
    """Draw overlap against k (left) and against k / efSearch (right), a line each efSearch.

    Parameters
    ----------
    table : DataFrame
        From ``effort.means``: the study "efSearch" and, left, the other engines of the study "rule".
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.6), sharey=True)
    ends = []
    for ef, rows, look in settings(table, "efSearch"):
        _overlap(left, rows["k"], rows, **look)
        ends.append((rows["k"], rows["overlap"], f"{ef:.0f}", look["color"]))
        _overlap(right, rows["k"] / ef, rows, label=f"efSearch = {ef:.0f}", **look)
    for engine, rows in table[table["study"] == "rule"].sort_values("k").groupby("engine"):
        _overlap(left, rows["k"], rows, **style.look(engine))
    left.set(xlabel="neighborhood size k", ylabel="overlap")
    left.set_xlim(0, table["k"].max() * 1.12)
    left.legend(loc="lower left")
    right.set(xlabel="k / efSearch", xscale="log")
    _log(right.xaxis, STEPS)
    right.legend(loc="lower left")
    style.percent(left.yaxis)
    style.label_ends(left, ends)
    return figure


def law(curves: pd.DataFrame) -> Figure:
    """Draw measured visit probabilities and the law against rank, and the law's error in overlap against k.

    Parameters
    ----------
    curves : DataFrame
        From ``effort.law_curves``.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.6))
    efs, ends = sorted(curves["ef"].unique()), {left: [], right: []}
    for ef, color, marker in zip(efs, shades(style.VERMILION, len(efs)), MARKERS, strict=False):
        rows = curves[curves["ef"] == ef]
        error, every = 100 * (rows["overlap_law"] - rows["overlap"]), max(1, len(rows) // 8)
        line = "-" if rows["use"].iloc[0] == "fitted" else "--"
        left.plot(rows["rank"], rows["p"], color=color, linewidth=0.8, alpha=0.8)
        left.plot(rows["rank"], rows["p_law"], color=style.BLACK, linestyle=line, linewidth=1)
        ends[left].append((rows["rank"], rows["p_law"], f"{ef}", color))
        right.plot(rows["rank"], error, color=color, linestyle=line, marker=marker, markevery=every)
        ends[right].append((rows["rank"], error, f"{ef}", color))
    left.plot([], [], color=style.BLACK, label="law, fitted here")
    left.plot([], [], color=style.BLACK, linestyle="--", label="law, predicted")
    left.plot([], [], color=style.VERMILION, linewidth=0.8, label="measured")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    left.set(xlabel="rank r of the true neighbor", ylabel="p(r): share of queries that visited it")
    left.set_ylim(0, 1.02)
    left.set_xlim(0, curves["rank"].max() * 1.12)
    style.percent(left.yaxis)
    right.axhline(0, color=style.BLACK, linewidth=0.9)
    right.set_xlim(0, curves["rank"].max() * 1.12)
    right.set(xlabel="neighborhood size k", title="overlap, law minus measured", ylabel="percentage points")
    figure.get_layout_engine().set(wspace=0.08)
    for panel, lines in ends.items():
        style.label_ends(panel, lines)
    return figure


def missing(table: pd.DataFrame) -> Figure:
    """Draw the share of queries with a neighbor missing (left) and the share of neighbors missing (right) against k.

    Parameters
    ----------
    table : DataFrame
        From ``effort.means``: the studies "efSearch" and "rule".
    """
    figure, axes = style.new(1, 2, size=(6.4, 3.4))
    for panel, column, title in zip(
        axes,
        ("padded", "missing_share"),
        ("queries with a neighbor missing", "neighbors missing"),
        strict=True,
    ):
        ends = []
        for ef, rows, look in settings(table, "efSearch"):
            panel.plot(rows["k"], rows[column], label=f"efSearch = {ef:.0f}", **look)
            ends.append((rows["k"], rows[column], f"{ef:.0f}", look["color"]))
        for engine, rows in table[table["study"] == "rule"].sort_values("k").groupby("engine"):
            panel.plot(rows["k"], rows[column], **style.look(engine))
        panel.set_title(title)
        panel.set(xlabel="neighborhood size k")
        panel.set_xlim(0, table["k"].max() * 1.14)
        panel.set_ylim(bottom=0)
        style.percent(panel.yaxis)
        style.label_ends(panel, ends)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def cost(table: pd.DataFrame, ks) -> Figure:
    """Draw overlap against distance computations a query, one panel each k, for every way to spend effort.

    Parameters
    ----------
    table : DataFrame
        From ``effort.means``: the studies "efSearch", "alpha" and "rule"; engines that do not count are left out.
    ks : iterable of int
    """
    ks = list(ks)
    figure, axes = style.new(1, len(ks), size=(6.4, 3.4), squeeze=False)
    for panel, k in zip(axes[0], ks, strict=True):
        here = table[(table["k"] == k) & table["distance_computations"].notna()]
        for study, color, marker, label in (
            ("efSearch", style.VERMILION, "o", "fixed efSearch"),
            ("alpha", style.PURPLE, "D", "efSearch = \u03b1 k"),
            ("rule", style.BLUE, "s", "unbounded queue"),
        ):
            rows = here[here["study"] == study].sort_values("distance_computations")
            panel.plot(rows["distance_computations"], rows["overlap"], color=color, marker=marker, label=label)
        panel.set_title(f"k = {k}")
        panel.set(xlabel="distances a query", xscale="log")
        _log(panel.xaxis, STEPS)
        style.percent(panel.yaxis)
    axes[0, 0].set_ylabel("overlap")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def construction(table: pd.DataFrame) -> Figure:
    """Draw overlap against k for each efConstruction, and against what a search then costs, one point each k.

    Parameters
    ----------
    table : DataFrame
        From ``effort.means``: the study "efConstruction".
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.4))
    ends = []
    for value, rows, look in settings(table, "efConstruction"):
        _overlap(left, rows["k"], rows, label=f"{value:.0f}", **look)
        ends.append((rows["k"], rows["overlap"], f"{value:.0f}", look["color"]))
        last = rows.iloc[-1]
        right.plot(last["distance_computations"], last["overlap"], linestyle="", **look)
        right.annotate(
            f"{value:.0f}", (last["distance_computations"], last["overlap"]), xytext=(5, -9),
            textcoords="offset points", color=look["color"], fontsize=9,
        )  # fmt: skip
    left.set(xlabel="neighborhood size k", ylabel="overlap")
    left.legend(title="efConstruction")
    right.set(xlabel="distances a query", ylabel=f"overlap at k = {int(table['k'].max())}")
    right.margins(0.2)
    for panel in (left, right):
        style.percent(panel.yaxis)
    left.set_xlim(0, table["k"].max() * 1.18)
    style.label_ends(left, ends)
    return figure


def alpha(table: pd.DataFrame) -> Figure:
    """Draw overlap and distance computations against k for each alpha in efSearch = alpha k.

    Parameters
    ----------
    table : DataFrame
        From ``effort.means``: the study "alpha".
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.4))
    ends = {left: [], right: []}
    for value, rows, look in settings(table, "alpha"):
        _overlap(left, rows["k"], rows, label=f"\u03b1 = {value:g}", **look)
        right.plot(rows["k"], rows["distance_computations"], **look)
        for panel, column in ((left, "overlap"), (right, "distance_computations")):
            ends[panel].append((rows["k"], rows[column], f"{value:g}", look["color"]))
    left.set(xlabel="neighborhood size k", ylabel="overlap")
    style.percent(left.yaxis)
    right.set(xlabel="neighborhood size k", ylabel="distances a query", yscale="log")
    _log(right.yaxis, STEPS)
    for panel, lines in ends.items():
        panel.set_xlim(0, table["k"].max() * 1.18)
        style.label_ends(panel, lines)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure
