"""What every figure shares: the style sheet, one color and marker an engine, bands, direct labels."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import isotonic_regression

from ..summaries import label

STYLE = Path(__file__).with_name("drift.mplstyle")

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW, BLACK, GREY = "#E69F00", "#56B4E9", "#F0E442", "#000000", "#7F7F7F"

# One row an engine: color, marker, line style. Exact is black everywhere. A family has a color (HNSW, which is drawn
# most, one for each of its searches), and each engine a marker of its own.
ENGINES = {
    "exact": (BLACK, "", "-"),
    "faiss-hnsw": (VERMILION, "o", "-"),
    "faiss-hnsw-unbounded": (BLUE, "s", "--"),
    "hnswlib": (GREEN, "^", ":"),
    "faiss-hnsw-sq8": (VERMILION, "X", ":"),
    "usearch": (GREEN, "v", "-."),
    "redis": (GREEN, "P", "--"),
    "faiss-nsg": (PURPLE, "D", "-"),
    "pynndescent": (PURPLE, "p", "--"),
    "faiss-ivf": (ORANGE, "h", "-"),
    "faiss-ivf-pq": (ORANGE, "d", "--"),
    "scann": (ORANGE, "<", ":"),
    "annoy": (SKY, "*", "-"),
    "faiss-sq8": (BLACK, "x", ":"),
    "faiss-flat": (BLACK, "+", "--"),
    "faiss-flat-normalized": (BLACK, "1", "-."),
    "numpy": (BLACK, "2", "-."),
}


def use_style() -> None:
    """Apply the style sheet; in a notebook, show figures as SVG."""
    plt.style.use(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})


def new(rows: int = 1, columns: int = 1, *, size=None, **options):
    """A closed figure and its axes: shown once, where a cell returns it."""
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, **options)
    plt.close(figure)
    return figure, axes


def look(engine: str, **changes) -> dict:
    """Keyword arguments for ``Axes.plot`` that give an engine its color, marker and line style."""
    color, marker, line = ENGINES.get(engine, (GREY, "x", "-."))
    return {"label": label(engine), "color": color, "marker": marker, "linestyle": line, **changes}


def band(axes, x, low, high, color) -> None:
    """Shade an interval."""
    axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)


def label_end(axes, x, y, text, color, *, dx: float = 4, dy: float = 0) -> None:
    """Write a direct label at the last finite point of a line, in the line's color; none where no point is finite."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not np.isfinite(y).any():
        return
    last = np.flatnonzero(np.isfinite(y))[-1]
    axes.annotate(
        text, (x[last], y[last]), xytext=(dx, dy), textcoords="offset points", color=color, va="center", fontsize=9
    )


def label_ends(axes, lines, *, gap: float = 11, dx: float = 5) -> None:
    """Write direct labels at the last finite points of several lines, moved apart so that none covers another.

    Call it last, after the limits are set: it holds the limits of y.

    Parameters
    ----------
    axes : Axes
    lines : iterable of (x, y, text, color)
    gap : float, default 11
        Least distance of two labels, in points.
    dx : float, default 5
        Distance of the labels from the line's end, in points.
    """
    ends = []
    for x, y, text, color in lines:
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if np.isfinite(y).any():
            last = np.flatnonzero(np.isfinite(y))[-1]
            ends.append((x[last], y[last], text, color))
    if not ends:
        return
    axes.set_ylim(axes.get_ylim())
    within = axes.transData + axes.transAxes.inverted()
    heights = within.transform([end[:2] for end in ends])[:, 1] * axes.bbox.height * 72 / axes.figure.dpi
    order = np.argsort(heights, kind="stable")
    # the nearest heights (least squares) that are at least one gap apart, none on the axis below
    steps = gap * np.arange(len(ends))
    moved = np.maximum(isotonic_regression(heights[order] - steps).x, gap / 2) + steps
    for position, height in zip(order, moved, strict=True):
        x, y, text, color = ends[position]
        axes.annotate(
            text, (x, y), xytext=(dx, height - heights[position]), textcoords="offset points",
            color=color, va="center", fontsize=9,
        )  # fmt: skip


def percent(axis) -> None:
    """Ticks of an axis of shares at round percentages, each label exact."""
    axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))


def logarithmic(axis) -> None:
    """Make an axis logarithmic, with ticks that read as plain numbers."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    decades = np.log10(max(high, 1e-9) / max(low, 1e-9))
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1,)))
    axis.set_major_formatter(FuncFormatter(_short))
    axis.set_minor_formatter(NullFormatter())


def _short(value, _=None) -> str:
    """A tick: 20k for 20,000."""
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
