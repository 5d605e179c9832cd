"""Figures of retrieval: what effort finds, neighbors as pictures, lists that differ, and deletions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from .. import marks
from ..files import replacing
from . import style
from .embeddings import no_images

# One row a data set, in the order in which they come.
LOOKS = ((style.VERMILION, "o", "-"), (style.BLUE, "s", "--"), (style.GREEN, "^", "-."), (style.PURPLE, "D", ":"))
# One row a state: color, marker, line style.
STATES = {
    "all points": (style.BLACK, "o", "-"),
    "deleted lazily": (style.VERMILION, "s", "--"),
    "compacted": (style.BLUE, "^", "-"),
}
MISSED, INSTEAD = (style.VERMILION, marks.MISSED), (style.BLUE, marks.INSTEAD)


def effort(table: pd.DataFrame) -> Figure:
    """Draw overlap (left) and what the neighbors' vote loses (right) against ef, a line a data set.

    Parameters
    ----------
    table : DataFrame
        Of ``retrieval.measure.losses``, of one or more data sets; the state with all points is drawn.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.4), sharex=True)  # right may be empty, which has no limits
    before = table[table["state"] == "all points"]
    for (data, rows), (color, marker, dashes) in zip(before.groupby("data", sort=False), LOOKS, strict=False):
        for axes, name in ((left, "overlap"), (right, "accuracy_change")):
            axes.plot(rows["ef"], rows[name], color=color, marker=marker, linestyle=dashes, label=data)
            style.band(axes, rows["ef"], rows[f"{name}_low"], rows[f"{name}_high"], color)
    right.axhline(0, color=style.BLACK, linewidth=0.8)
    if before["accuracy_change"].isna().all():
        right.annotate("no labels", (0.5, 0.5), xycoords="axes fraction", ha="center")
    left.set(ylabel="overlap with the exact neighbors")
    right.set(ylabel="change of accuracy (percentage points)")
    for axes in (left, right):
        axes.set_xlabel("ef")
        style.logarithmic(axes.xaxis)
        style.percent(axes.yaxis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def deletions(table: pd.DataFrame) -> Figure:
    """Draw overlap against ef (left) and against the distances of a query (right) in the states of a collection.

    Parameters
    ----------
    table : DataFrame
        Of ``retrieval.measure.losses``, of one data set.
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.4), sharey=True)
    for state, (color, marker, dashes) in STATES.items():
        rows = table[table["state"] == state]
        for axes, x in ((left, "ef"), (right, "computed")):
            axes.plot(rows[x], rows["overlap"], color=color, marker=marker, linestyle=dashes, label=state)
            style.band(axes, rows[x], rows["overlap_low"], rows["overlap_high"], color)
    left.set(xlabel="ef", ylabel="overlap with the exact neighbors")
    right.set(xlabel="distances computed a query")
    style.logarithmic(left.xaxis)
    style.logarithmic(right.xaxis)
    style.percent(left.yaxis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def nearest(searched, exact, rows, *, columns: int = 10) -> Figure:
    """Draw queries, each followed by its exact nearest neighbors.

    Parameters
    ----------
    searched : retrieval.searched.Searched
        One without images gives a figure that says so in one line.
    exact : Neighbors
    rows : sequence of int
        Queries, one a line.
    columns : int
    """
    if searched.images is None:
        return no_images()
    columns = min(columns, exact.k)
    figure, grid = _grid(len(rows), columns, 1.25)
    for axes, query in zip(grid, rows, strict=True):
        _query(axes[0], searched, query)
        _class(axes[0], searched, query, -0.05)
        for axis, point in zip(axes[1:], exact.ids[query][:columns], strict=True):
            _picture(axis, searched.images, point)
    grid[0, 0].set_title("query", fontsize=8)
    return figure


def differences(searched, exact, approx, rows, *, columns: int = 10) -> Figure:
    """Draw queries with two lines each, the exact list over the approximate one, what differs marked.

    Parameters
    ----------
    searched : retrieval.searched.Searched
        One without images gives a figure that says so in one line, and so does an empty ``rows``.
    exact, approx : Neighbors
    rows : sequence of int
        Queries.
    columns : int
    """
    if searched.images is None:
        return no_images()
    if not len(rows):
        return no_images("No list differs from the exact one.")
    columns = min(columns, exact.k)
    figure, grid = _grid(2 * len(rows), columns)
    for place, query in enumerate(rows):
        true, got = exact.ids[query], approx.ids[query]
        _query(grid[2 * place, 0], searched, query)
        for line, ids, other, sign in ((0, true, got, MISSED), (1, got, true, INSTEAD)):
            axes = grid[2 * place + line]
            for axis, point in zip(axes[1:], ids[:columns], strict=True):
                _picture(axis, searched.images, point)
                if point >= 0 and point not in other:
                    _mark(axis, *sign)
        _class(grid[2 * place + 1, 0], searched, query, 0.97)
        for line, text in ((0, "exact"), (1, "found")):
            grid[2 * place + line, 0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)
    grid[0, 0].set_title("query", fontsize=8)
    return figure


def leave(figure: Figure, name: str, out="") -> None:
    """Write a figure to ``out/tables/<name>.png``, small enough for a separate run's to be kept with its facts."""
    if out:
        path = Path(out) / "tables" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            figure.savefig(part, format="png", dpi=110)


def _grid(lines: int, columns: int, height: float = 1.05):
    width = 6.4
    size = (width, 0.3 + lines * height * width / (columns + 2))
    figure, grid = style.new(lines, columns + 1, size=size, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0.02, hspace=0.02)
    return figure, grid


def _query(axes, searched, query: int) -> None:
    _picture(axes, searched.query_images, query)
    axes.spines[:].set(visible=True, color=style.BLACK, linewidth=1.8)


def _class(axes, searched, query: int, height: float) -> None:
    if searched.query_labels is not None and len(searched.classes):
        name = searched.classes[searched.query_labels[query]]
        axes.text(0.5, height, name, transform=axes.transAxes, ha="center", va="top", fontsize=6)


def _picture(axes, images, row: int) -> None:
    if row >= 0:
        axes.imshow(images[row], interpolation="none")


def _mark(axes, color, sign: str) -> None:
    axes.spines[:].set(visible=True, color=color, linewidth=2)
    axes.text(
        0.97, 0.03, sign, transform=axes.transAxes, ha="right", va="bottom", fontsize=7, color="white", weight="bold",
        bbox={"facecolor": color, "edgecolor": "none", "pad": 1},
    )  # fmt: skip
