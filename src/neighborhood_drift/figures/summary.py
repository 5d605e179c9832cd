"""The whole answer on one page: which ef, for which k, at which price, and how safe the choice is."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, StrMethodFormatter

from ..summaries import label
from . import style
from .guarantee import BOUNDS

SIZE = (6.4, 9.0)  # inches, upright
TARGETS = ((style.SKY, "o"), (style.BLUE, "s"), (style.VERMILION, "^"), (style.PURPLE, "D"))
LINE = 110  # characters of a line of text across the page
POWERS = [step * 10.0**power for power in range(-2, 6) for step in (1, 2, 5)]


def page(table: pd.DataFrame, sizes: pd.DataFrame, rule, *, title: str, data: str, level: float) -> Figure:
    """Draw one page that stands alone.

    Parameters
    ----------
    table : DataFrame
        Of ``choosing_tables.choices``; two searches at most are shown.
    sizes : DataFrame
        Of ``validation.by_size``.
    rule : iterable of str
        The rule in words, a paragraph each.
    title, data : str
        Heading, and what was measured.
    level : float
        The confidence.
    """
    engines = list(table["engine"].drop_duplicates())[:2]
    with plt.style.context(style.STYLE):
        figure = plt.figure(figsize=SIZE, layout="none")
    plt.close(figure)
    figure.text(0.03, 0.975, title, fontsize=13, fontweight="bold", va="top")
    figure.text(0.03, 0.948, textwrap.fill(data, LINE), fontsize=8, va="top", linespacing=1.35)
    with plt.style.context(style.STYLE):
        upper = figure.add_gridspec(1, 2, left=0.1, right=0.97, top=0.885, bottom=0.675, wspace=0.28)
        lower = figure.add_gridspec(1, 2, left=0.1, right=0.97, top=0.555, bottom=0.37, wspace=0.28)
        first = figure.add_subplot(upper[0])
        panels = [first, figure.add_subplot(upper[1], sharey=first)]
        cost, held = figure.add_subplot(lower[0]), figure.add_subplot(lower[1])
    for panel, engine in zip(panels, engines, strict=False):
        _efforts(panel, table[table["engine"] == engine])
        panel.set_title(f"Which ef: {label(engine)}", fontsize=9, loc="left")
    panels[len(engines) - 1].set_visible(True)
    for panel in panels[len(engines) :]:
        panel.set_visible(False)
    panels[0].set_ylabel("ef")
    _price(cost, table[table["engine"] == engines[0]])
    _coverage(held, sizes, level)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="center", bbox_to_anchor=(0.53, 0.612), ncols=4, fontsize=7.5
    )
    _text(figure, rule)
    return figure


def _efforts(panel, rows: pd.DataFrame) -> None:
    for (target, own), (color, marker) in zip(rows.sort_values("k").groupby("target"), TARGETS, strict=False):
        panel.plot(own["k"], own["smallest"], color=color, linewidth=1)
        panel.plot(own["k"], own["ef"], color=color, marker=marker, linestyle="", label=f"overlap {target:g}")
    ks = sorted(rows["k"].unique())
    panel.plot(ks, ks, color=style.GREY, linewidth=1, linestyle=":", label="ef = k")
    panel.set(xscale="log", yscale="log")
    panel.set_xlabel("k", labelpad=0)
    _ticks(panel.xaxis, ks)
    _ticks(panel.yaxis, POWERS)


def _price(panel, rows: pd.DataFrame) -> None:
    counted = rows["share"].notna().any()
    column = "share" if counted else "microseconds"
    for (_, own), (color, marker) in zip(rows.sort_values("k").groupby("target"), TARGETS, strict=False):
        panel.plot(own["k"], own[column], color=color, marker=marker, linewidth=1)
    panel.set(xlabel="k", xscale="log", yscale="log")
    _ticks(panel.xaxis, sorted(rows["k"].unique()))
    _ticks(panel.yaxis, POWERS)
    if counted:
        panel.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))
    name = "distances, of an exact search's" if counted else "microseconds a query"
    panel.set_title(f"At which price:\n{name}", fontsize=9, loc="left")


def _coverage(panel, sizes: pd.DataFrame, level: float) -> None:
    for bound in ("betting", "sample-mean"):
        own = sizes[sizes["bound"] == bound]
        color, marker, line = BOUNDS[bound]
        panel.plot(own["size"], own["coverage"], color=color, marker=marker, linestyle=line)
        style.band(panel, own["size"], own["coverage_low"], own["coverage_high"], color)
    panel.axhline(level, color=style.BLACK, linewidth=1, linestyle="--")
    panel.set(xlabel="queries in the sample", xscale="log", ylim=(0, 1.05))
    _ticks(panel.xaxis, sorted(sizes["size"].unique()))
    style.percent(panel.yaxis)
    panel.set_title("How safe:\nsamples whose ef kept the target", fontsize=9, loc="left")
    for bound, name, height in (("betting", "with the bound", 0.8), ("sample-mean", "without it", 0.2)):
        panel.text(0.97, height, name, color=BOUNDS[bound][0], fontsize=8, ha="right", transform=panel.transAxes)
    panel.text(0.03, level - 0.02, "promised", fontsize=8, va="top", transform=panel.get_yaxis_transform())


def _text(figure: Figure, rule) -> None:
    how = (
        "How to read it. Top: the certified ef (markers) and the least ef that is good enough (lines), for a mean "
        "overlap of each target. Bottom left: what a search at the certified ef costs. Bottom right: over many "
        "samples, the share whose choice kept a target that the next lower ef barely misses."
    )
    paragraphs = [textwrap.fill(how, LINE), "The rule", *(textwrap.fill(line, LINE) for line in rule)]
    height = 0.3
    for place, text in enumerate(paragraphs):
        heading = place == 1
        figure.text(
            0.03, height, text, fontsize=9.5 if heading else 8, va="top", linespacing=1.35,
            fontweight="bold" if heading else "normal",
        )  # fmt: skip
        height -= 0.0172 * (text.count("\n") + 1) + 0.008


def _ticks(axis, ticks) -> None:
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_locator(FixedLocator([]))
    axis.set_minor_formatter(NullFormatter())
