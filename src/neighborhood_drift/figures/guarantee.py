"""Figures of the guarantee: its coverage, what a larger sample gives, and simpler rules beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from ..summaries import label
from ..validation import HARDEST
from . import style

BOUNDS = {
    "betting": (style.BLUE, "o", "-"),
    "clopper-pearson": (style.GREEN, "s", "--"),
    "empirical-bernstein": (style.PURPLE, "^", "-."),
    "sample-mean": (style.VERMILION, "X", ":"),
}
NO_HARDEST = "not available:\nno ef has a loss near the limit"
RULES = {"alpha k": (style.VERMILION, "o"), "law": (style.BLUE, "D")}


def coverage(table: pd.DataFrame, level: float) -> Figure:
    """Draw the coverage of each case with its interval, and the level that was promised.

    Parameters
    ----------
    table : DataFrame
        Of ``validation.validated``: filled at the limit as asked, open at the hardest limit near it.
    level : float
    """
    cases = list(table.groupby(["data", "engine", "k", "target"], sort=False))
    figure, axes = style.new(size=(6.4, 1.2 + 0.24 * len(cases)))
    for place, ((_, engine, _, _), own) in enumerate(cases):
        color, marker, _ = style.ENGINES.get(engine, (style.GREY, "o", "-"))
        for row in own.itertuples():
            hard = row.limit_kind == HARDEST
            away = place + (0.16 if hard else -0.16)
            axes.plot([row.coverage_low, row.coverage_high], [away, away], color=color, linewidth=1.2)
            face = "white" if hard else color
            axes.plot(row.coverage, away, marker=marker, color=color, markerfacecolor=face, linestyle="")
    axes.axvline(level, color=style.BLACK, linewidth=1, linestyle="--")
    names = [f"{data}, {label(engine)}, k = {k}: {target}" for (data, engine, k, target), _ in cases]
    axes.set_yticks(range(len(cases)), names, fontsize=7.5)
    axes.invert_yaxis()
    axes.plot([], [], marker="o", color=style.GREY, linestyle="", label="limit as asked")
    axes.plot([], [], marker="o", color=style.GREY, markerfacecolor="white", linestyle="", label="hardest limit")
    axes.plot([], [], color=style.BLACK, linestyle="--", linewidth=1, label="promised")
    axes.set_xlabel("samples that kept the promise")
    axes.set_xlim(min(level - 0.03, table["coverage_low"].min() - 0.01), 1.003)
    style.percent(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def by_size(table: pd.DataFrame, level: float) -> Figure:
    """Draw coverage at the hardest limit (left) and how far above the least ef a choice lands (right), by sample size.

    Parameters
    ----------
    table : DataFrame
        Of ``validation.by_size``; a size at which a bound chooses nothing in more than half of the samples has no
        point on the right. The coverage is nan where there is no hardest limit; the left then says so.
    level : float
    """
    figure, (left, right) = style.new(1, 2, size=(6.4, 3.6))
    for place, (bound, own) in enumerate(table.groupby("bound", sort=False)):
        color, marker, line = BOUNDS.get(bound, (style.GREY, "x", "-"))
        look = {"color": color, "marker": marker, "linestyle": line, "label": bound.replace("-", " ")}
        aside = own["size"] * 1.03 ** (place - 1.5)
        left.plot(aside, own["coverage"], **look)
        style.band(left, aside, own["coverage_low"], own["coverage_high"], color)
        made = own[(own["none"] <= 0.5) & own["ratio"].notna()]
        aside = made["size"] * 1.03 ** (place - 1.5)
        ends = np.abs(made[["ratio_low", "ratio_high"]].to_numpy().T - made["ratio"].to_numpy())
        right.errorbar(aside, made["ratio"], yerr=ends if len(made) else None, elinewidth=1, **look)
    left.axhline(level, color=style.BLACK, linewidth=1, linestyle="--")
    left.set(ylabel="samples that kept the promise", title="coverage, hardest limit")
    right.set(ylabel="ef chosen / least good ef", title="what it costs, limit as asked")
    for panel in (left, right):
        panel.set(xlabel="queries in the sample", xscale="log")
        panel.xaxis.set_major_locator(FixedLocator(sorted(table["size"].unique())))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        panel.xaxis.set_minor_locator(FixedLocator([]))
        panel.set_xlim(0.85 * table["size"].min(), 1.18 * table["size"].max())
    style.percent(left.yaxis)
    if table["coverage"].isna().all():
        left.text(0.5, 0.25, NO_HARDEST, ha="center", va="center", fontsize=9, transform=left.transAxes)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def rules(table: pd.DataFrame, target: float) -> Figure:
    """Draw what simpler rules reach and what they spend, against k, one panel each data set and search.

    Parameters
    ----------
    table : DataFrame
        Rows of ``simple_rules.rules`` with columns data and engine.
    target : float
        Mean overlap; the rows of others are left out.
    """
    own = table[table["target"] == target]
    cases = list(own.groupby(["data", "engine"], sort=False))
    columns = min(3, len(cases))
    lines = -(-len(cases) // columns)
    figure, axes = style.new(lines, columns, size=(6.4, 1.2 + 2.2 * lines), squeeze=False, sharex=True, sharey=True)
    for panel in axes.flat[len(cases) :]:
        panel.set_visible(False)
    named = []
    for panel, ((data, engine), rows) in zip(axes.flat, cases, strict=False):
        ends = {}
        for (rule, _), one in rows.groupby(["rule", "alpha"], dropna=False, sort=False):
            color, marker = RULES[rule]
            known = one.dropna(subset="ratio")
            panel.plot(known["k"], known["ratio"], color=color, linewidth=1)
            for met in (True, False):
                here = known[known["meets"] == met]
                face = color if met else "white"
                panel.plot(here["k"], here["ratio"], marker=marker, color=color, markerfacecolor=face, linestyle="")
            if rule == "alpha k" and len(known):
                end = known.iloc[-1]
                ends.setdefault((end["k"], end["ratio"]), []).append(f"{end['alpha']:g}")
        named.append([(k, ratio, ", ".join(alphas), RULES["alpha k"][0]) for (k, ratio), alphas in ends.items()])
        panel.axhline(1, color=style.BLACK, linewidth=1, linestyle="--")
        panel.set(xscale="log", yscale="log")
        panel.set_title(f"{data},\n{label(engine)}", fontsize=8.5)
        panel.margins(x=0.16)
        panel.xaxis.set_major_locator(FixedLocator(sorted(own["k"].unique())))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        panel.xaxis.set_minor_locator(FixedLocator([]))
        panel.yaxis.set_major_locator(FixedLocator([0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32]))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
    for column in axes.T:
        lowest = [panel for panel in column if panel.get_visible()][-1]
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel("k")
    for panel in axes[:, 0]:
        panel.set_ylabel("ef / least good ef")
    first = axes.flat[0]
    for rule, (color, marker) in RULES.items():
        name = "ef = \u03b1 k (\u03b1 at the end)" if rule == "alpha k" else "drift law, one probe"
        first.plot([], [], marker=marker, color=color, linewidth=1, label=name)
    first.plot([], [], marker="o", color=style.GREY, markerfacecolor="white", linestyle="", label="misses the target")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.draw_without_rendering()  # labels are moved apart in panels of their final height
    for panel, ends in zip(axes.flat, named, strict=False):
        style.label_ends(panel, [([k], [ratio], text, color) for k, ratio, text, color in ends])
        for text in panel.texts:  # the dashed line may run behind it
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    return figure
