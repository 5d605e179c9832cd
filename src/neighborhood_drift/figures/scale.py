"""Figures of scale and cost: drift, effort and time over n and d, extrapolations, and what a retrieval costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..cost_tables import ENCODERS, single
from ..crossings import flips
from ..names import label
from ..retrieval_cost import FLAT, FULL_SORT, IVF_256, IVF_ROOT, PARTIAL_SORT, RANDOM
from ..scale import ENGINE
from ..scale_facts import UNBOUNDED
from ..scale_fits import FEWEST, complete, line, over_draws, restored
from . import style

COLORS = (style.VERMILION, style.BLUE, style.GREEN, style.PURPLE, style.ORANGE)
MARKERS = "os^Dv"
METHODS = {
    FULL_SORT: (style.BLACK, "o", "-"),
    PARTIAL_SORT: (style.GREY, "s", "--"),
    FLAT: (style.BLUE, "^", "-"),
    IVF_ROOT: (style.ORANGE, "h", "-"),
    IVF_256: (style.ORANGE, "D", "--"),
}


def _looks(names) -> dict:
    return {name: (COLORS[i % 5], MARKERS[i % 5]) for i, name in enumerate(names)}


def _rows(means, **where) -> pd.DataFrame:
    for column, value in where.items():
        means = means[means[column] == value]
    return means


def _drawn(axes, x, rows, color, marker, linestyle="-", **more) -> None:
    axes.plot(x, rows["value"], color=color, marker=marker, linestyle=linestyle, **more)
    style.band(axes, x, rows["low"], rows["high"], color)


def size(table: pd.DataFrame, k: int, target: float) -> Figure:
    """Draw overlap, effort, distances, search and build time against the number of points, a color each data set.

    Parameters
    ----------
    table : DataFrame
        Of ``scale.measure``; the study "size" is read.
    k : int
        Neighborhood size.
    target : float
        The overlap whose effort is drawn.
    """
    means = over_draws(table[(table["study"] == "size") & (table["k"] == k)])
    figure, axes = style.new(3, 2, size=(6.4, 7.6), sharex=True)
    measures = ("overlap", f"effort {target:g}", "microseconds", f"distances {target:g}", "build_seconds")
    measures += (f"microseconds {target:g}",)
    titles = ("overlap at the fixed effort", f"ef for an overlap of {target:g}", "search at the fixed effort, µs")
    titles += ("distances at that ef", "build, s", "search at that ef, µs")
    for measure, panel, title in zip(measures, axes.flat, titles, strict=True):
        for name, (color, marker) in _looks(table["data"].unique()).items():
            own = _rows(means, data=name, measure=measure)
            found = _rows(own, search=ENGINE)
            _drawn(panel, found["n"], found, color, marker, label=name)
            if measure == "overlap":
                found = _rows(own, search=UNBOUNDED)
                _drawn(panel, found["n"], found, color, marker, ":", markerfacecolor="white")
        panel.set_title(title)
        style.logarithmic(panel.xaxis)
        if measure == "overlap":
            style.percent(panel.yaxis)
        else:
            style.logarithmic(panel.yaxis)
    for panel in axes[-1]:
        panel.set_xlabel("points n")
    axes[0, 0].plot([], [], color=style.GREY, linestyle=":", label=label(UNBOUNDED))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def extrapolation(table: pd.DataFrame, k: int, target: float) -> Figure:
    """Draw the lines fitted to all sizes but the largest, their prediction intervals, and what was measured there.

    Parameters are those of `size`; a data set with fewer than four sizes shows its points alone, and a size
    at which a draw has no value none.
    """
    rows = table[(table["study"] == "size") & (table["k"] == k) & (table["search"] == ENGINE)]
    figure, axes = style.new(1, 2, size=(6.4, 3.6))
    for panel, measure, title in zip(
        axes, ("overlap", f"effort {target:g}"), ("overlap at the fixed effort", f"ef for an overlap of {target:g}"),
        strict=True,
    ):  # fmt: skip
        for name, (color, marker) in _looks(table["data"].unique()).items():
            own = _rows(rows, data=name, measure=measure)
            sizes = sorted(own["n"].unique())
            smaller, last = (complete(own[own["n"].isin(part)]) for part in (sizes[:-1], sizes[-1:]))
            panel.plot(smaller["n"], smaller["value"], color=color, marker=marker, linestyle="", label=name)
            held = {"marker": marker, "markerfacecolor": "white", "markersize": 7}
            panel.plot(last["n"], last["value"], color=color, linestyle="", **held)
            if smaller["n"].nunique() >= FEWEST and len(last):
                at = np.geomspace(sizes[0], sizes[-1] * 1.15, 40)
                fitted, draws = line(smaller["n"], smaller["value"], measure), len(last)
                middle, low, high = restored(np.array([fitted.at(n, draws) for n in at]).T, measure)
                panel.plot(at, middle, color=color, linewidth=1)
                style.band(panel, at, low, high, color)
        panel.set_title(title)
        panel.set_xlabel("points n")
        style.logarithmic(panel.xaxis)
        if measure == "overlap":
            style.percent(panel.yaxis)
        else:
            style.logarithmic(panel.yaxis)
    axes[0].plot([], [], color=style.GREY, marker="o", linestyle="", markerfacecolor="white", label="held out")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def dimension(table: pd.DataFrame, k: int, target: float) -> Figure:
    """Draw overlap, effort and LID against the dimension of projections, and other encoders at their own dimension.

    Parameters are those of `size`; the studies "dimension" and, as single points, "metric" are read.
    """
    rows = table[(table["k"] == k) & (table["search"] == ENGINE)]
    means, main = over_draws(rows), table["data"].iloc[0] if len(table) else ""
    measures = {"overlap": "overlap at the fixed effort", f"effort {target:g}": f"ef for an overlap of {target:g}"}
    measures |= {"lid": "LID of the exact neighbors"}
    figure, axes = style.new(1, 3, size=(6.4, 3.4))
    for panel, (measure, title) in zip(axes, measures.items(), strict=True):
        own = _rows(means, study="dimension", measure=measure)
        _drawn(panel, own["dimension"], own, COLORS[0], MARKERS[0], label=f"{main}, principal axes")
        others = _rows(means, study="metric", measure=measure)
        others = others[(others["data"] != main) & (others["metric"].isin(own["metric"].unique()))]
        for name, (color, marker) in list(_looks([main, *others["data"].unique()]).items())[1:]:
            one = _rows(others, data=name)
            errors = np.abs(one[["low", "high"]].to_numpy().T - one["value"].to_numpy())
            panel.errorbar(one["dimension"], one["value"], errors, color=color, marker=marker, linestyle="", label=name)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("dimensions")
        style.logarithmic(panel.xaxis)
        if measure == "overlap":
            style.percent(panel.yaxis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def parts(table: pd.DataFrame) -> Figure:
    """Draw what each part of one retrieval takes, published and here, on a logarithmic axis, a panel each encoder.

    Parameters
    ----------
    table : DataFrame
        Of ``cost_tables.beside_published``.
    """
    encoders, methods = list(table["encoder"].unique()), list(table["method"].unique())
    figure, axes = style.new(1, len(encoders), size=(6.4, 2.8), sharey=True, sharex=True)
    for panel, encoder in zip(axes, encoders, strict=True):
        own = table[table["encoder"] == encoder].set_index("method").loc[methods]
        places = np.arange(len(methods))
        panel.plot(own["published"], places - 0.13, "D", color=style.BLACK, markerfacecolor="white", label="published")
        errors = np.abs(own[["low", "high"]].to_numpy().T - own["here"].to_numpy())
        panel.errorbar(own["here"], places + 0.13, xerr=errors, fmt="o", color=style.BLUE, label="here, one core")
        panel.set(title=encoder, xlabel="milliseconds")
        panel.set_yticks(places, [method.replace(", ", ",\n") for method in methods])
        style.logarithmic(panel.xaxis)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def flip(times: pd.DataFrame) -> Figure:
    """Draw the time of a search against the gallery's size, and of extracting one image, a panel each dimension.

    Parameters
    ----------
    times : DataFrame
        Of ``retrieval_cost.on_random`` and ``extraction.measure``; where no encoder was timed, searches alone.
    """
    one = times[times["batch"] == 1]
    found, crossing = single(one), flips(one)
    searches = found[(found["part"] == "search") & (found["gallery"] == RANDOM)]
    dimensions = sorted(searches["dimension"].unique())
    names = dict(ENCODERS.values())
    figure, axes = style.new(1, len(dimensions), size=(6.4, 3.6), sharey=True, squeeze=False)
    for panel, d in zip(axes[0], dimensions, strict=True):
        for method, rows in searches[searches["dimension"] == d].groupby("method", sort=False):
            if method.startswith("FAISS IVF"):
                continue
            color, marker, dashes = METHODS[method]
            panel.plot(rows["n"], rows["milliseconds"], color=color, marker=marker, linestyle=dashes, label=method)
            style.band(panel, rows["n"], rows["low"], rows["high"], color)
        encoders = found[(found["part"] == "extraction") & (found["dimension"] == d)]
        farthest = max([searches["n"].max(), *crossing.loc[crossing["dimension"] == d, "n"].dropna()]) * 1.6
        for row in encoders.itertuples():
            panel.axhline(row.milliseconds, color=style.VERMILION, linewidth=1)
            panel.axhspan(row.low, row.high, color=style.VERMILION, alpha=0.15, linewidth=0)
            panel.annotate(
                names.get(row.method, row.method), (searches["n"].min(), row.milliseconds), xytext=(0, 3),
                textcoords="offset points", color=style.VERMILION, fontsize=9,
            )  # fmt: skip
        for row in crossing[crossing["dimension"] == d].dropna(subset="n").itertuples():
            color, marker, _ = METHODS[row.method]
            last = searches[(searches["dimension"] == d) & (searches["method"] == row.method)].iloc[-1]
            panel.plot([last["n"], row.n], [last["milliseconds"], row.extraction], color=color, linewidth=0.7)
            panel.errorbar(
                row.n, row.extraction, xerr=[[max(0, row.n - row.low)], [max(0, row.high - row.n)]], color=color,
                marker="x", capsize=2,
            )  # fmt: skip
        panel.set(title=f"{d} dimensions", xlabel="images in the gallery", yscale="log")
        panel.set_xlim(searches["n"].min() * 0.8, farthest)
        style.logarithmic(panel.xaxis)
        style.logarithmic(panel.yaxis)
    axes[0, 0].set_ylabel("milliseconds a query")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def accuracy(recalls: pd.DataFrame, times: pd.DataFrame) -> Figure:
    """Draw recall against time over nprobe (left), and time a query against the batch (right).

    Parameters
    ----------
    recalls, times : DataFrame
        Of ``retrieval_cost.on_gallery``.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.6))
    for method, rows in recalls.groupby("method", sort=False):
        color, marker, dashes = METHODS[method]
        errors = np.abs(rows[["recall_low", "recall_high"]].to_numpy().T - rows["recall"].to_numpy())
        left.errorbar(rows["milliseconds"], rows["recall"], errors, color=color, marker=marker, linestyle=dashes)
        for row in rows.iloc[[0, -1]].itertuples():
            left.annotate(
                f"{row.nprobe}", (row.milliseconds, row.recall), xytext=(4, -9), textcoords="offset points",
                color=color, fontsize=9,
            )  # fmt: skip
    left.set(xlabel="milliseconds, one query", ylabel="overlap with exact neighbors")
    style.logarithmic(left.xaxis)
    style.percent(left.yaxis)
    for method, rows in single(times).groupby("method", sort=False):
        color, marker, dashes = METHODS[method]
        right.plot(rows["batch"], rows["milliseconds"], color=color, marker=marker, linestyle=dashes, label=method)
        style.band(right, rows["batch"], rows["low"], rows["high"], color)
    right.set(xlabel="queries in a batch", ylabel="milliseconds a query")
    for axis in (right.xaxis, right.yaxis):
        style.logarithmic(axis)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
