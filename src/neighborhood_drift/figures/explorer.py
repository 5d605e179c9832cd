"""The still of the explorer: what its page shows first, for print."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..names import label
from ..neighbors import MISSING
from ..retrieval.explored import FIRST, SEARCHES
from . import style
from .retrieval import INSTEAD, MISSED

COLUMNS = 10
SIDE, ACROSS, DOWN = 32, 37, 46  # pixels of a picture, and from one to the next
TEXT = 8  # letters that fit where a picture is absent


def still(lists, searched) -> Figure:
    """Draw one query with both lists at the k, ef and search that the explorer shows first, what differs marked.

    Parameters
    ----------
    lists : retrieval.explored.Explored
        The query is the one whose lists differ most, where such queries were sought.
    searched : retrieval.searched.Searched
        One without pictures has labels, or ids, in their places.
    """
    number, (k, ef) = lists.first, lists.start
    true = lists.exact.ids[number]
    got = [one for one in lists.found[FIRST, ef, k].ids[number] if one != MISSING]
    rank = {int(one): place for place, one in enumerate(true, start=1)}
    got = sorted(got, key=lambda one: rank.get(int(one), len(true) + 1))
    lines = -(-k // COLUMNS)
    figure, grid = style.new(2, 2, size=(6.4, 0.75 + 0.42 * lines), height_ratios=[0.6, 0.42 * lines])
    for axes in grid.flat:
        axes.set_axis_off()
    asked, text, *panels = grid.flat
    _asked(asked, searched, int(lists.rows[number]))
    words = f"{label(FIRST)}: {SEARCHES[FIRST]}\nk = {k}, ef = {ef}, overlap {lists.overlaps(FIRST, ef, k)[number]:.2f}"
    text.text(0, 0.5, words, va="center", fontsize=9)
    for axes, title, ids, other, mark in (
        (panels[0], "exact neighbors", true[:k], set(got), MISSED),
        (panels[1], "approximate neighbors", got, set(true[:k]), INSTEAD),
    ):
        _list(axes, searched, ids, rank, other, mark)
        axes.set(xlim=(-2, COLUMNS * ACROSS), ylim=(lines * DOWN, -3), aspect="equal", anchor="NW")
        axes.set_title(title, fontsize=9, loc="left")
    return figure


def _asked(axes, searched, row: int) -> None:
    named = "" if searched.query_labels is None else _name(searched, searched.query_labels[row])
    if searched.images is not None:
        axes.imshow(searched.query_images[row], extent=(0, SIDE, SIDE, 0), interpolation="none")
    axes.set(xlim=(0, COLUMNS * ACROSS), ylim=(SIDE, 0), aspect="equal", anchor="W")
    start = 0 if searched.images is None else ACROSS + 4
    axes.text(start, SIDE / 2, f"query {row}" + (f", {named}" if named else ""), va="center", fontsize=9)


def _list(axes, searched, ids, rank, other, mark) -> None:
    color, sign = mark
    canvas = np.zeros((-(-len(ids) // COLUMNS) * DOWN, COLUMNS * ACROSS, 4), dtype=np.uint8)
    for place, one in enumerate(map(int, ids)):
        y, x = place // COLUMNS * DOWN, place % COLUMNS * ACROSS
        if searched.images is not None:
            canvas[y : y + SIDE, x : x + SIDE] = np.dstack([searched.images[one], np.full((SIDE, SIDE), 255)])
        else:
            shown = str(one) if searched.labels is None else _name(searched, searched.labels[one])
            axes.text(x + SIDE / 2, y + SIDE / 2, shown[:TEXT], fontsize=4, ha="center", va="center")
            axes.add_patch(Rectangle((x, y), SIDE, SIDE, facecolor="none", edgecolor=style.GREY, linewidth=0.4))
        axes.text(x + SIDE / 2, y + SIDE + 7, f"{rank.get(one, '–')}", fontsize=4.5, ha="center", va="center")
        if one not in other:
            axes.add_patch(
                Rectangle((x + 1, y + 1), SIDE - 2, SIDE - 2, facecolor="none", edgecolor=color, linewidth=1.3)
            )
            axes.text(
                x + SIDE - 2, y + 2, sign, fontsize=5, weight="bold", color="white", ha="center", va="center",
                bbox={"boxstyle": "circle,pad=0.15", "facecolor": color, "edgecolor": "none"},
            )  # fmt: skip
    if searched.images is not None:
        axes.imshow(canvas, extent=(0, canvas.shape[1], canvas.shape[0], 0), interpolation="none")


def _name(searched, code) -> str:
    return str(searched.classes[code] if searched.classes else code)
