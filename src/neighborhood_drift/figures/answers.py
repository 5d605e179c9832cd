"""The answer of a search as a picture: the query and its neighbors, and how two lists differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..marks import MEANING
from . import style
from .retrieval import INSTEAD, MISSED

COLUMNS = 10
MARKS = {"missed": MISSED, "instead": INSTEAD}
_TILE = 0.95  # inches


def answer(query, lists: dict[str, Sequence[dict]]) -> Figure:
    """Draw a query and its neighbors, a list over the other, ten in a line.

    Parameters
    ----------
    query : array or PIL image or None
        Its picture, if it has one.
    lists : dict
        Name -> neighbors, nearest first, each a dict with ``picture`` (like the query), ``text`` (below it) and
        ``mark``: "missed", "instead" or None.
    """
    lines = [
        (name if start == 0 else "", hits[start : start + COLUMNS])
        for name, hits in lists.items()
        for start in range(0, max(len(hits), 1), COLUMNS)
    ]
    columns = 1 + max(1, *(len(hits) for _, hits in lines))
    size = (_TILE * columns + 0.3, (_TILE + 0.3) * len(lines) + 0.4)
    figure, grid = style.new(len(lines), columns, size=size, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)
    _tile(grid[0, 0], query, "query")
    grid[0, 0].spines[:].set(visible=True, color=style.BLACK, linewidth=2)
    for line, (name, hits) in zip(grid, lines, strict=True):
        line[1].set_ylabel(name, fontsize=9)
        for axes, hit in zip(line[1:], hits, strict=False):
            _tile(axes, hit["picture"], hit["text"])
            if hit["mark"] is not None:
                _marked(axes, *MARKS[hit["mark"]])
    shown = {hit["mark"] for hits in lists.values() for hit in hits} - {None}
    if shown:
        text = ",  ".join(f"{sign} {MEANING[sign]}" for mark, (_, sign) in MARKS.items() if mark in shown)
        figure.supxlabel(text, fontsize=9)
    return figure


def _tile(axes, picture, text: str) -> None:
    if picture is None:
        axes.set_facecolor("0.9")
    else:
        pixels = np.asarray(picture)
        side = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        axes.imshow(pixels[top : top + side, left : left + side], interpolation="antialiased")
    axes.set_box_aspect(1)
    axes.set_xlabel(text, fontsize=6.5, labelpad=2)


def _marked(axes, color: str, sign: str) -> None:
    axes.spines[:].set(visible=True, color=color, linewidth=2.5)
    axes.text(
        0.97, 0.04, sign, transform=axes.transAxes, ha="right", va="bottom", fontsize=9, color="white", weight="bold",
        bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
