"""Figures of index families: beside the null, loss by rank, recall against distances and against queries a second."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, PercentFormatter, StrMethodFormatter

from ..kinds import KINDS, kind, short
from . import style

# One row a panel: measure, title, factor of the axis.
EXCESS = {
    "mean_distance_ratio": ("mean distance / exact (%)", 100),
    "kth_distance_ratio": ("k-th distance / exact (%)", 100),
    "barycenter_shift": ("barycenter shift (%)", 100),
    "lid_difference": ("LID", 1),
}
# One row a null model: marker, face (None: the engine's color), height in the row, label.
NULL_MARKS = {
    "alike": ("o", None, -0.16, "beside losses at any rank alike"),
    "by_rank": ("D", "white", 0.16, "beside losses by rank"),
}
TICKS = (0.5, 0.7, 0.9, 0.97, 0.99, 0.997, 0.999, 0.9997, 0.9999)  # of recall
LEAST_SHOWN = 0.5  # recall below which nobody would search
VARIANT_LINE = (0, (1, 1))  # of an engine built with other parameters than its defaults


def look(name: str, **changes) -> dict:
    """Keyword arguments for ``Axes.plot``: an engine's own, and hollow markers where it has other build parameters."""
    engine, _, params = name.partition("@")
    own = {"markerfacecolor": "none", "linestyle": VARIANT_LINE} if params else {}
    return style.look(engine, **{"label": short(name), **own, **changes})


def excess(table: pd.DataFrame, recall: pd.Series) -> Figure:
    """Draw each measure minus that of the two null models, an engine a row, with intervals.

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses`, one target an engine, with the column null.
    recall : Series
        Mean overlap, by engine; it stands beside the name.
    """
    engines = list(dict.fromkeys(table["engine"]))
    figure, axes = style.new(2, 2, size=(6.4, 1.8 + 0.5 * len(engines)), sharey=True)
    figure.get_layout_engine().set(wspace=0.06, hspace=0.04)
    for panel, (metric, (title, factor)) in zip(axes.flat, EXCESS.items(), strict=True):
        for null, (marker, face, height, _) in NULL_MARKS.items():
            for row in table[(table["metric"] == metric) & (table["null"] == null)].itertuples():
                color = look(row.engine)["color"]
                panel.errorbar(
                    factor * row.excess, engines.index(row.engine) + height,
                    xerr=[[factor * max(row.excess - row.low, 0)], [factor * max(row.high - row.excess, 0)]],
                    fmt=marker, color=color, mfc=face or color, markersize=4.5, elinewidth=1, capsize=0,
                )  # fmt: skip
        panel.axvline(0, color=style.BLACK, linewidth=0.9)
        panel.set_title(title)
        names = [f"{short(name)} ({recall[name]:.3f})" for name in engines]
        panel.set_yticks(range(len(engines)), names, fontsize=7)
        panel.tick_params(axis="x", labelsize=7.5)
        panel.grid(axis="y", visible=False)
        _symlog(panel.xaxis, factor * table.loc[table["metric"] == metric, "excess"].abs().max())
    axes[0, 0].invert_yaxis()
    for panel in axes[1]:
        panel.set_xlabel("measured \u2212 null model")
    marks = [
        axes[0, 0].plot([], [], marker, color=style.GREY, mfc=face or style.GREY, label=text)[0]
        for marker, face, _, text in NULL_MARKS.values()
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))
    return figure


def _symlog(axis, largest: float) -> None:
    """A scale on which a few large values leave the small ones apart; linear below a power of ten under ``largest``."""
    if not largest > 0:
        return
    step = 10.0 ** np.floor(np.log10(largest / 3))
    low, high = (end * 1.25 for end in axis.get_view_interval())
    axis.axes.set_xscale("symlog", linthresh=step, linscale=1.6)
    axis.set_ticks([tick for tick in (-10 * step, -step, 0, step, 10 * step) if low <= tick <= high])
    axis.axes.set_xlim(low, high)
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_ticks([], minor=True)


def ranks(table: pd.DataFrame) -> Figure:
    """Draw how far the share returned at each rank is from the share over all ranks, a panel each approximate kind.

    Parameters
    ----------
    table : DataFrame
        Of `losses.ranks_lost`; the null model is the line at 0. Panels share an axis, but that of product quantization
        has its own. Without an approximate engine one empty panel.
    """
    present = [name for name in KINDS if name != "exhaustive" and (table["engine"].map(kind) == name).any()]
    rows_of = max(1, int(np.ceil(len(present) / 2)))
    figure, axes = style.new(rows_of, 2, size=(6.4, 2.2 * rows_of + 1.0), sharex=True, squeeze=False)
    shared = [panel for panel, name in zip(axes.flat, present, strict=False) if name != "quantized"]
    for panel in shared[1:]:
        panel.sharey(shared[0])
    for panel, name in zip(axes.flat, present, strict=False):
        for engine, rows in table[table["engine"].map(kind) == name].groupby("engine", sort=False):
            middle, drawn = (rows["first"] + rows["last"]) / 2, look(engine)
            panel.plot(middle, rows["away"], **drawn)
            style.band(panel, middle, rows["away_low"], rows["away_high"], drawn["color"])
        panel.axhline(0, color=style.BLACK, linewidth=0.9)
        panel.set_title(KINDS[name])
    for panel in axes.flat[max(1, len(present)) :]:
        panel.set_visible(False)
    for panel in axes.flat[: max(1, len(present))]:
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.set_xlabel("rank of the true neighbor")
        panel.tick_params(labelbottom=True)
    for panel in axes[:, 0]:
        panel.set_ylabel("returned, minus mean")
    if present:
        figure.legend(loc="outside lower center", ncols=4, fontsize=7.5)
    return figure


def work(curve: pd.DataFrame, n: int) -> Figure:
    """Draw recall against distances computed, for the engines that count them.

    Parameters
    ----------
    curve : DataFrame
        Of `families.find_efforts`.
    n : int
        Points of the base: what an exhaustive search computes a query, marked by a line.
    """
    figure, axes = style.new()
    counted = curve[curve["distances"].notna() & curve["ef"].notna() & (curve["recall"] >= LEAST_SHOWN)]
    _curves(axes, counted, counted["distances"])
    axes.axvline(n, color=style.BLACK, linewidth=0.9, linestyle=":")
    axes.annotate(
        "all points", (n, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
        ha="center", fontsize=9,
    )  # fmt: skip
    axes.set_xlabel("distances computed a query")
    if len(counted):
        axes.legend(loc="upper left", fontsize=8)
    return figure


def speed(curve: pd.DataFrame) -> Figure:
    """Draw recall against queries a second, a line each engine.

    Parameters
    ----------
    curve : DataFrame
        Of `families.find_efforts`.
    """
    figure, axes = style.new(size=(6.4, 4.6))
    curve = curve[curve["recall"] >= LEAST_SHOWN]
    _curves(axes, curve, 1e6 / curve["microseconds"])
    axes.set_xlabel("queries a second")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def _curves(axes, curve: pd.DataFrame, x: pd.Series) -> None:
    """Lines of recall on a logit axis over a logarithmic one."""
    for engine, rows in curve.groupby("engine", sort=False):
        rows = rows.sort_values("recall")
        axes.plot(x[rows.index], _below_one(rows["recall"], curve["recall"]), **look(engine))
    axes.set(xscale="log", ylabel="recall (logit scale)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter("")
    axes.set_yscale("logit", one_half="1/2", use_overline=False)
    most = _below_one([1.0], curve["recall"])[0]
    ticks = [tick for tick in TICKS if tick < most - (1 - most) / 2]
    exact = [most] if (curve["recall"] >= 1).any() else []
    axes.set_yticks(ticks + exact, [f"{100 * tick:g} %" for tick in ticks] + ["all"] * len(exact))
    axes.yaxis.set_minor_formatter("")


def _below_one(recall, measured) -> np.ndarray:
    """Recalls as a logit axis can show them: 1 is drawn halfway between 1 and the highest recall below it."""
    inside = measured[(measured > 0) & (measured < 1)]
    least, most = (inside.min() / 2, (1 + inside.max()) / 2) if len(inside) else (0.01, 0.99)
    return np.clip(recall, least, most)
