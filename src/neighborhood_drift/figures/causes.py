"""Figures of causes: what the trace says of lost neighbors, traits that go with loss, variance, deletion."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..causes import TIED, TRAITS
from ..summaries import label
from . import style

# From what no effort mends to what more effort does.
LOOKS = {
    "cut off": (style.BLACK, ""),
    "in-neighbors missed": (style.ORANGE, "//"),
    "in-neighbors too far": (style.SKY, ""),
    TIED: (style.GREY, ".."),
}


def classes(shares: pd.DataFrame, missed: pd.DataFrame) -> Figure:
    """Draw the causes of lost neighbors (left) and where the best in-neighbor stood (right), for each search.

    Parameters
    ----------
    shares : DataFrame
        Of `causes.shares`, with column engine.
    missed : DataFrame
        Of `causes.missed`, with columns engine and effort.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.4), width_ratios=(1.2, 1))
    engines = list(dict.fromkeys(shares["engine"]))
    start = np.zeros(len(engines))
    tied = (shares["cause"] == TIED) & (shares["missed"] > 0)
    for cause, (color, hatch) in LOOKS.items():
        if cause == TIED and not tied.any():
            continue
        part = shares[shares["cause"] == cause].set_index("engine")["share"].reindex(engines).fillna(0).to_numpy()
        left.barh(engines, part, left=start, color=color, hatch=hatch, edgecolor="white", label=cause, height=0.6)
        start += part
    left.set_yticks(range(len(engines)), [label(engine).replace(", ", ",\n") for engine in engines])
    left.invert_yaxis()
    left.set(xlabel="share of the lost neighbors", xlim=(0, 1))
    style.percent(left.xaxis)
    for engine, rows in missed.groupby("engine"):
        ratio = np.sort((rows["best_in_rank"] / rows["effort"]).dropna())
        if len(ratio):
            look = style.look(engine, marker="")
            right.step(ratio, np.arange(1, len(ratio) + 1) / len(ratio), where="post", **look)
    right.axvline(1, color=style.GREY, linewidth=0.9)
    right.set(xlabel="rank of the best in-neighbor / effort", ylabel="share of the lost neighbors", ylim=(0, 1.02))
    right.set_xlim(0, 4)
    style.percent(right.yaxis)
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def rates(table: pd.DataFrame) -> Figure:
    """Draw the share of lost neighbors in groups by each trait, one panel a trait, on one vertical axis.

    Parameters
    ----------
    table : DataFrame
        Of `causes.rates`.
    """
    traits = list(dict.fromkeys(table["trait"]))
    columns = min(4, len(traits))
    lines = -(-len(traits) // columns)
    figure, axes = style.new(lines, columns, size=(6.4, 0.4 + 2 * lines), sharey=True, squeeze=False)
    for panel, trait in zip(axes.flat, traits, strict=False):
        rows = table[table["trait"] == trait]
        style.band(panel, rows["group"], rows["low"], rows["high"], style.GREEN)
        panel.plot(rows["group"], rows["rate"], color=style.GREEN, marker="^")
        ends = rows.iloc[[0, -1]]
        limits = (ends["least"].iloc[0], ends["most"].iloc[1])
        panel.set_xticks(ends["group"], [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in limits])
        for tick, side in zip(panel.get_xticklabels(), ("left", "right"), strict=True):
            tick.set_horizontalalignment(side)
        panel.set_title(re.sub(" (of|at|as) ", r"\n\1 ", TRAITS.get(trait, trait)), fontsize=9)
        style.percent(panel.yaxis)
    axes[0, 0].set_ylim(0, 1.05 * max(table["high"].max(), 1e-4))
    for panel in axes.flat[len(traits) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("share lost")
    return figure


def _forest(axes, names, value, low, high, color=style.GREEN) -> None:
    """One row a name: a point and its interval, the first name on top."""
    place = np.arange(len(names))
    axes.hlines(place, low, high, color=color, linewidth=1.6)
    axes.plot(value, place, color=color, marker="^", linestyle="")
    axes.set_yticks(place, names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def odds(traits: pd.DataFrame) -> Figure:
    """Draw how well each trait alone, and all together, rank held-out neighbors by their chance to be lost.

    Parameters
    ----------
    traits : DataFrame
        Of `odds.with_all`: trait, coefficient, auc, low, high; the row "all" has no coefficient.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.2), sharey=True)
    names = [TRAITS.get(trait, "all together") for trait in traits["trait"]]
    _forest(left, names, traits["auc"], traits["low"], traits["high"])
    left.axvline(0.5, color=style.BLACK, linewidth=0.9)
    left.set(xlabel="AUC, held-out queries")
    right.barh(names, traits["coefficient"].fillna(0), color=style.GREEN, height=0.5)
    right.axvline(0, color=style.BLACK, linewidth=0.9)
    right.set(xlabel="log odds a standard deviation")
    return figure


def agreement(table: pd.DataFrame) -> Figure:
    """Draw how far graphs agree on which queries lose neighbors: intraclass correlation, one row a kind of repetition.

    Parameters
    ----------
    table : DataFrame
        Columns repeated, icc, low, high.
    """
    figure, axes = style.new(size=(6.4, 2.6))
    _forest(axes, table["repeated"], table["icc"], table["low"], table["high"], style.BLACK)
    axes.set(xlabel="intraclass correlation of a query's overlap", xlim=(min(-0.05, axes.get_xlim()[0]), 1.02))
    axes.axvline(0, color=style.BLACK, linewidth=0.9)
    return figure


def budget(table: pd.DataFrame) -> Figure:
    """Draw the standard deviation of mean overlap by what is drawn anew, in percentage points.

    Parameters
    ----------
    table : DataFrame
        Of `variance.budget`.
    """
    figure, axes = style.new(size=(6.4, 2.6))
    _forest(axes, table["source"], *(100 * table[column] for column in ("deviation", "low", "high")))
    axes.set(xlabel="standard deviation of mean overlap, percentage points")
    axes.set_xlim(left=0)
    return figure


def deletion(table: pd.DataFrame) -> Figure:
    """Draw overlap and unreachable points after points were deleted and inserted again, beside a rebuilt index.

    Parameters
    ----------
    table : DataFrame
        Of `deletion.compare`.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.2))
    nothing = table[table["rounds"] == 0]
    for (rounds, rows), line in zip(table[table["rounds"] > 0].groupby("rounds"), ("-", "--", ":"), strict=False):
        rows = pd.concat([nothing, rows])
        name = f"after {rounds} round{'s' if rounds > 1 else ''}"
        look = {"color": style.VERMILION, "linestyle": line, "marker": "o", "label": name, "zorder": 3}
        left.plot(rows["share"], rows["overlap"], **look)
        base = rows["overlap_rebuilt"]
        style.band(left, rows["share"], base + rows["low"], base + rows["high"], style.VERMILION)
        right.plot(rows["share"], rows["unreachable"], **look)
    rows = table[table["rounds"] <= 1]
    look = {"color": style.GREEN, "linestyle": "-", "marker": "^", "label": "built anew"}
    left.plot(rows["share"], rows["overlap_rebuilt"], **look)
    # hollow and large, so that zeros of both lines show
    right.plot(rows["share"], rows["unreachable_rebuilt"], **look, markerfacecolor="none", markersize=9, clip_on=False)
    left.set(ylabel="overlap")
    right.set(ylabel="unreachable points")
    right.set_ylim(bottom=0)
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    style.percent(left.yaxis)
    for panel in (left, right):
        panel.set(xlabel="share of the points, each round")
        style.percent(panel.xaxis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
