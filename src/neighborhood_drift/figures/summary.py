"""The whole answer on one page: which ef, for which k, at which price, and how safe the choice is."""

from __future__ import annotations

import textwrap
from itertools import count, cycle

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

from ..summaries import label
from . import style
from .guarantee import BOUNDS, NO_HARDEST

SIZE = (6.4, 9.0)  # inches, upright
COLORS, MARKERS = (style.SKY, style.BLUE, style.VERMILION, style.PURPLE, style.GREEN), "os^DvP"  # one each a target
APART = 4.5  # points between the markers of neighboring targets, so that none hides another
LINE = 103  # characters of a line of text across the page
LEFT, SPACING, BETWEEN = 0.03, 0.0168, 0.006  # of text: its edge, the height of a line, and what parts paragraphs
HEADING = SPACING + 2 * BETWEEN
FOOT, HEAD, MIDDLE, FEET = 0.012, 0.03, 0.122, 0.06  # below the text, above the charts, between them, below them
POWERS = [step * 10.0**power for power in range(-2, 6) for step in (1, 2, 5)]


def page(table: pd.DataFrame, sizes: pd.DataFrame, words: dict, *, level: float) -> Figure:
    """Draw one page that stands alone.

    Parameters
    ----------
    table : DataFrame
        Of ``choosing_tables.choices``; two searches at most are shown.
    sizes : DataFrame
        Of ``validation.by_size``; its coverage may be nan.
    words : dict
        title, data (what was measured), tested (target, k and search of ``sizes``), and as lists of paragraphs terms
        and rule.
    level : float
        The confidence.
    """
    engines = list(table["engine"].drop_duplicates())[:2]
    with plt.style.context(style.STYLE):
        figure = plt.figure(figsize=SIZE, layout="none")
    plt.close(figure)
    figure.text(LEFT, 0.982, words["title"], fontsize=14, fontweight="bold", va="top")
    how = (
        "Top: the certified ef (markers) and the least ef that is good enough for all queries at hand (lines). Each "
        "certified ef holds by itself at the confidence stated, not all of them at once. Bottom left: what a search at "
        "the certified ef costs. Bottom right, for the same search: of choices from many samples, the share that kept "
        "the target or certified nothing; the limit was moved to where only the bound tells a good ef from a bad one."
    )
    below = {"How to read it": [how], "The rule": words["rule"]}
    above = _text(figure, {"": [words["data"], *words["terms"]]}, 0.948)
    under = FOOT + sum(_height(text) + HEADING for text in below.values())
    _text(figure, below, under)
    half = (above - under - HEAD - MIDDLE - FEET) / 2  # the height of a chart
    with plt.style.context(style.STYLE):
        row = {"left": 0.1, "right": 0.97, "wspace": 0.28}
        upper = figure.add_gridspec(1, 2, top=above - HEAD, bottom=above - HEAD - half, **row)
        lower = figure.add_gridspec(1, 2, top=under + FEET + half, bottom=under + FEET, **row)
        first = figure.add_subplot(upper[0])
        panels = [first, *(figure.add_subplot(upper[1], sharey=first) for _ in engines[1:])]
        cost, held = figure.add_subplot(lower[0]), figure.add_subplot(lower[1])
    for panel, engine in zip(panels, engines, strict=True):
        _efforts(panel, table[table["engine"] == engine])
    shown = table[table["engine"].isin(engines)]
    _limits(panels, sorted(shown["k"].unique()), [*shown["smallest"], *shown["ef"], *shown["k"]])
    for panel, engine in zip(panels, engines, strict=True):
        panel.set_title(f"Which ef: {label(engine)}", fontsize=9, loc="left")
    first.set_ylabel("ef", fontsize=9)
    _price(cost, table[table["engine"] == engines[0]], label(engines[0]))
    _coverage(held, sizes, level, words["tested"])
    named, place = first.get_legend_handles_labels(), (0.53, above - HEAD - half - 0.052)
    figure.legend(*named, loc="center", bbox_to_anchor=place, ncols=min(5, len(named[1])), fontsize=7.5)
    return figure


def _targets(panel, rows: pd.DataFrame):
    """Each target of a search with its color, its marker, and its transform: the data's, a little aside."""
    groups = list(rows.sort_values("k").groupby("target"))
    for place, (target, own), color, marker in zip(count(), groups, cycle(COLORS), cycle(MARKERS), strict=False):
        aside = APART * (place - (len(groups) - 1) / 2) / 72
        yield target, own, color, marker, panel.transData + ScaledTranslation(aside, 0, panel.figure.dpi_scale_trans)


def _efforts(panel, rows: pd.DataFrame) -> None:
    ks = sorted(rows["k"].unique())
    panel.set(xscale="log", yscale="log")
    for target, own, color, marker, aside in _targets(panel, rows):
        panel.plot(own["k"], own["smallest"], color=color, linewidth=1, transform=aside)
        look = {"color": color, "marker": marker, "markersize": 5, "linestyle": "", "transform": aside}
        panel.plot(own["k"], own["ef"], label=f"overlap \u2265 {target:g}", **look)
    panel.plot(ks, ks, color=style.GREY, linewidth=1, linestyle=":", label="ef = k")
    panel.set_xlabel("k", labelpad=0, fontsize=9)


def _price(panel, rows: pd.DataFrame, search: str) -> None:
    counted = rows["share"].notna().any()
    column = "share" if counted else "microseconds"
    panel.set(xscale="log", yscale="log")
    panel.set_xlabel("k", labelpad=0, fontsize=9)
    for _, own, color, marker, aside in _targets(panel, rows):
        panel.plot(own["k"], own[column], color=color, marker=marker, markersize=5, linewidth=1, transform=aside)
    _limits([panel], sorted(rows["k"].unique()), rows[column])
    if rows[column].isna().all():
        panel.text(0.5, 0.5, "no ef is certified", fontsize=8, ha="center", va="center", transform=panel.transAxes)
    if counted:
        panel.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))
    name = "distances, of an exact search's" if counted else "microseconds a query"
    panel.set_title(f"At which price: {search},\n{name}", fontsize=9, loc="left")


def _coverage(panel, sizes: pd.DataFrame, level: float, tested: str) -> None:
    known = sizes["coverage"].notna().any()
    for bound, name, height in (("betting", "with the bound", 0.78), ("sample-mean", "without it", 0.2)):
        own = sizes[sizes["bound"] == bound]
        color, marker, line = BOUNDS[bound]
        panel.plot(own["size"], own["coverage"], color=color, marker=marker, linestyle=line)
        style.band(panel, own["size"], own["coverage_low"], own["coverage_high"], color)
        if known:
            panel.text(0.97, height, name, color=color, fontsize=8, ha="right", transform=panel.transAxes)
    panel.axhline(level, color=style.BLACK, linewidth=1, linestyle="--")
    ends = {"left": 0.85 * sizes["size"].min(), "right": 1.18 * sizes["size"].max()}
    panel.set(xscale="log", ylim=(0, 1.05))
    panel.set_xlabel("queries in the sample", labelpad=1, fontsize=9)
    panel.set_xlim(**ends)
    _ticks(panel.xaxis, sorted(sizes["size"].unique()))
    style.percent(panel.yaxis)
    panel.set_title(f"How safe: {tested},\nat the limit hardest to keep", fontsize=9, loc="left")
    panel.text(0.03, level - 0.02, "promised", fontsize=8, va="top", transform=panel.get_yaxis_transform())
    if not known:
        panel.text(0.5, 0.45, NO_HARDEST, fontsize=8, ha="center", va="center", transform=panel.transAxes)


def _height(paragraphs) -> float:
    return sum(SPACING * len(_lines(text)) + BETWEEN for text in paragraphs)


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), LINE)


def _text(figure: Figure, parts: dict, height: float) -> float:
    """Write headings with their paragraphs from a height down; the height below them."""
    for heading, paragraphs in parts.items():
        if heading:
            figure.text(LEFT, height - BETWEEN, heading, fontsize=9.5, fontweight="bold", va="top")
            height -= HEADING
        for paragraph in paragraphs:
            figure.text(LEFT, height, "\n".join(_lines(paragraph)), fontsize=8, va="top", linespacing=1.35)
            height -= _height([paragraph])
    return height


def _limits(panels, ks, values) -> None:
    """Limits around what is drawn, which lines with a transform of their own do not set."""
    known = pd.Series(values, dtype=float).dropna()
    for panel in panels:
        panel.set_xlim(0.8 * min(ks), 1.25 * max(ks))
        if len(known):
            panel.set_ylim(0.8 * known.min(), 1.25 * known.max())
        _ticks(panel.xaxis, ks)
        _ticks(panel.yaxis, POWERS)


def _ticks(axis, ticks) -> None:
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_locator(FixedLocator([]))
    axis.set_minor_formatter(NullFormatter())
