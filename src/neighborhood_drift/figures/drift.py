"""Figures of the main result: drift against k, engine by engine."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from . import style

# One row a panel: column of the summary, title with unit.
GEOMETRY = {
    "mean_distance_ratio": "mean distance / exact",
    "kth_distance_ratio": "k-th distance / exact",
    "barycenter_shift": "barycenter shift / mean exact distance",
    "lid_difference": "LID − exact LID",
}
WORK = {"distance_computations": "distance computations a query", "missing_share": "missing slots"}


def _curves(axes, summary: pd.DataFrame, metric: str, seeds: pd.DataFrame | None = None) -> None:
    """Draw one metric of every engine: line and band over queries, whiskers over index seeds."""
    for shift, (engine, rows) in enumerate(summary[summary["metric"] == metric].groupby("engine", sort=False)):
        rows = rows.sort_values("k")
        look = style.look(engine, markevery=max(1, len(rows) // 8))
        axes.plot(rows["k"], rows["mean"], **look)
        style.band(axes, rows["k"], rows["low"], rows["high"], look["color"])
        if seeds is None:
            continue
        over = seeds[(seeds["engine"] == engine) & (seeds["metric"] == metric)]
        if len(over):
            spread = np.clip([over["mean"] - over["low"], over["high"] - over["mean"]], 0, None)
            axes.errorbar(
                over["k"] + 1.5 * (shift - 1), over["mean"], spread,
                fmt="none", ecolor=look["color"], elinewidth=1, capsize=2.5, alpha=0.9,
            )  # fmt: skip


def _room_for_labels(axes, last: float) -> None:
    """Leave the right quarter to direct labels, and put no tick there."""
    axes.set_xlim(0, last * 1.34)
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= last])


def _legend(figure, axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def overlap(summary: pd.DataFrame, seeds: pd.DataFrame | None = None, *, ef: int | None = None) -> Figure:
    """Draw the mean overlap of each engine against k.

    Parameters
    ----------
    summary : DataFrame
        Columns engine, metric, k, mean, low, high (the interval over queries).
    seeds : DataFrame, optional
        The same columns, the interval over index seeds; drawn as whiskers.
    ef : int, optional
        The requested search effort, marked on the k axis.
    """
    figure, axes = style.new()
    _curves(axes, summary, "overlap", seeds)
    for engine, rows in summary[summary["metric"] == "overlap"].groupby("engine", sort=False):
        look = style.look(engine)
        nudge = {"faiss-hnsw-unbounded": 7, "hnswlib": -7}.get(engine, 0)
        style.label_end(axes, rows["k"], rows["mean"], look["label"], look["color"], dy=nudge)
    if ef is not None:
        axes.axvline(ef, color=style.GREY, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(
            "k = efSearch", (ef, 0.03), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points",
            color=style.GREY, fontsize=9,
        )  # fmt: skip
    axes.set(xlabel="neighborhood size k", ylabel="overlap: share of the true k neighbors returned")
    _room_for_labels(axes, summary["k"].max())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def overlap_on(curves: pd.DataFrame, *, ef: int) -> Figure:
    """Draw the mean overlap against k on several data sets, a panel each.

    Parameters
    ----------
    curves : DataFrame
        Columns data, dimension, engine, metric, k, mean, low, high.
    ef : int
        The requested search effort, marked on the k axes.
    """
    sets = list(curves.groupby(["data", "dimension"], sort=False))
    figure, axes = style.new(1, len(sets), size=(6.4, 3.2), sharey=True, squeeze=False)
    for panel, ((data, dimension), own) in zip(axes[0], sets, strict=True):
        _curves(panel, own, "overlap")
        panel.axvline(ef, color=style.GREY, linewidth=0.9, linestyle=(0, (2, 2)))
        panel.set_title(f"{data} ({dimension:,})")
        panel.set_xlabel("neighborhood size k")
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_ylabel("overlap")
    _legend(figure, axes[0, 0])
    return figure


def geometry(summary: pd.DataFrame, seeds: pd.DataFrame | None = None) -> Figure:
    """Draw distance ratios, barycenter shift and LID difference against k, a panel each; arguments as ``overlap``."""
    figure, axes = style.new(2, 2, size=(6.4, 5.0), sharex=True)
    for panel, (metric, title) in zip(axes.flat, GEOMETRY.items(), strict=True):
        _curves(panel, summary, metric, seeds)
        panel.axhline(1 if "ratio" in metric else 0, color=style.BLACK, linewidth=0.9)
        panel.set_title(title)
        panel.ticklabel_format(useOffset=False)
    for panel in axes[1]:
        panel.set_xlabel("neighborhood size k")
    _legend(figure, axes.flat[0])
    return figure


def lid(summary: pd.DataFrame) -> Figure:
    """Draw the mean LID of exact and returned neighbors against k; arguments as ``overlap``."""
    figure, axes = style.new()
    exact = summary[(summary["metric"] == "lid_exact")].drop_duplicates("k").sort_values("k")
    axes.plot(exact["k"], exact["mean"], **style.look("exact"))
    style.band(axes, exact["k"], exact["low"], exact["high"], style.BLACK)
    _curves(axes, summary, "lid")
    axes.set(xlabel="neighborhood size k", ylabel="LID (mean over queries, dimensionless)")
    axes.legend()
    return figure


def effort(summary: pd.DataFrame) -> Figure:
    """Draw what each engine does for its overlap: distance computations and missing slots against k."""
    figure, axes = style.new(1, 2, size=(6.4, 3.2))
    for panel, (metric, title) in zip(axes, WORK.items(), strict=True):
        _curves(panel, summary, metric)
        panel.set_title(title)
        panel.set_xlabel("neighborhood size k")
        panel.set_ylim(bottom=0)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    _legend(figure, axes[1])
    return figure


def identity(visits: pd.DataFrame, measured: pd.DataFrame) -> Figure:
    """Draw p(r) of one search and the overlap it implies, over the overlap of a search for each k.

    Parameters
    ----------
    visits : DataFrame
        Columns rank, p, overlap: p(r) and its running mean, from the one search at the largest k.
    measured : DataFrame
        Columns k, mean: the overlap of a search for each k.
    """
    figure, axes = style.new()
    axes.plot(visits["rank"], visits["p"], color=style.SKY, linewidth=1)
    axes.plot(visits["rank"], visits["overlap"], color=style.BLACK)
    axes.plot(measured["k"], measured["mean"], **style.look("faiss-hnsw", linestyle=""))
    style.label_end(axes, visits["rank"], visits["p"], "p(r)", style.SKY)
    style.label_end(axes, visits["rank"], visits["overlap"], "mean of p(1..k)", style.BLACK, dy=7)
    style.label_end(axes, measured["k"], measured["mean"], "searched at each k", style.VERMILION, dy=-7)
    axes.set(xlabel="rank r of the true neighbor, or neighborhood size k", ylabel="share of queries, or overlap")
    _room_for_labels(axes, visits["rank"].max())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def spread(table: pd.DataFrame, k: int) -> Figure:
    """Draw the cumulative share of queries at or below each overlap at one k, an engine a line.

    Parameters
    ----------
    table : DataFrame
        One row a query and k: columns engine, k, overlap.
    k : int
        The neighborhood size shown.
    """
    figure, axes = style.new()
    for engine, rows in table[table["k"] == k].groupby("engine", sort=False):
        values = np.sort(rows["overlap"].to_numpy())
        share = np.arange(1, len(values) + 1) / len(values)
        axes.step(values, share, where="post", **style.look(engine, marker=""))
    axes.set(xlabel=f"overlap of a query at k = {k}", ylabel="share of queries at or below")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(loc="upper left")
    return figure
