"""Figures of the earlier studies: published numbers, the same arithmetic on our neighbors, and the right values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from . import style
from .effort import settings

PARTS = {
    "self_arithmetic": ("the query's own distance", style.SKY),
    "neighbors_lost": ("neighbors lost", style.VERMILION),
    "query_lost": ("query not returned", style.ORANGE),
    "pads": ("pads as distances", style.PURPLE),
}


def seed_study(table: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Draw four measures of the first study: published, computed as then on our neighbors, and corrected.

    The distances of the first two are squared, as published; those of the third are not.

    Parameters
    ----------
    table : DataFrame
        From ``earlier.seed_study``.
    published : DataFrame
        From ``earlier.published("seed")``.
    """
    figure, axes = style.new(2, 2, size=(6.4, 5.2), sharex=True)
    first = table["k"].min()
    panels = {
        "mean_overlap": "overlap",
        "similarity_k_ann": f"k-th distance / its value at k = {first}",
        "lid_diff_mean": "LID difference, over exact LID",
        "barycenter_shift_mean": "barycenter shift (vectors' unit)",
    }
    looks = {
        "published (squared)": (published, "", {"color": style.GREY, "linestyle": "-."}),
        "as then, on our neighbors (squared)": (table, "", {"color": style.PURPLE, "marker": "D", "linestyle": "--"}),
        "corrected": (table, "right_", {"color": style.BLACK, "marker": "o", "linestyle": "-"}),
    }
    for panel, (column, title) in zip(axes.flat, panels.items(), strict=True):
        for label, (source, prefix, look) in looks.items():
            values = source[prefix + column].where(source[prefix + column].abs() < 1e30)
            if column == "similarity_k_ann":
                values = values / values[(source["k"] - first).abs().idxmin()]
            if column == "lid_diff_mean":
                values = values / source[f"{prefix}lid_exact_mean"]
            panel.plot(source["k"], values, label=label, **look)
        panel.set_title(title)
    axes[1, 0].axhline(0, color=style.BLACK, linewidth=0.6)
    style.percent(axes[0, 0].yaxis)
    style.percent(axes[1, 0].yaxis)
    for panel in axes[1]:
        panel.set_xlabel("neighborhood size k")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def lid_gap(table: pd.DataFrame) -> Figure:
    """Draw the first study's LID difference on our neighbors as the sum of its parts.

    Parameters
    ----------
    table : DataFrame
        From ``earlier.seed_study``.
    """
    figure, axes = style.new()
    place = np.arange(len(table))
    above, below = np.zeros(len(table)), np.zeros(len(table))
    for part, (label, color) in PARTS.items():
        values = table[part].to_numpy()
        axes.bar(place, values, bottom=np.where(values < 0, below, above), color=color, label=label, width=0.6)
        above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
    axes.plot(
        place, table["gap"], color=style.BLACK, marker="o", linestyle="", label="sum: the difference as computed then"
    )
    axes.axhline(0, color=style.BLACK, linewidth=0.9)
    axes.set_xticks(place, [str(k) for k in table["k"]])
    axes.set(xlabel="neighborhood size k", ylabel="LID difference, approximate minus exact")
    axes.legend()
    return figure


def queries_behind(first: pd.DataFrame) -> Figure:
    """Draw, for each run, how many queries of 10,000 stand behind its first enormous mean distance.

    Parameters
    ----------
    first : DataFrame
        From ``earlier.first_pads``; the study "efSearch" is drawn.
    """
    figure, axes = style.new()
    for ef, rows, look in settings(first, "efSearch"):
        rows = rows.sort_values(["k", "one_missing"])
        axes.plot(rows["k"] / ef, rows["one_missing"], linestyle="", alpha=0.9, label=f"efSearch = {ef:.0f}", **look)
    axes.set(xlabel="k / efSearch at which a run first shows it", ylabel="queries of 10,000 with one missing neighbor")
    axes.set_ylim(bottom=0)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    return figure


def exact_bent(bent: pd.DataFrame) -> Figure:
    """Draw the second study's published *exact* mean distance against k, a line each efSearch.

    Parameters
    ----------
    bent : DataFrame
        From ``earlier.bent_exact``.
    """
    figure, axes = style.new()
    ends = []
    for ef, rows, look in settings(bent, "efSearch"):
        axes.plot(rows["k"], rows["exact"], markevery=5, **look)
        ends.append((rows["k"], rows["exact"], f"efSearch = {ef:.0f}", look["color"]))
    rows = bent[bent["study"] == "efSearch"].drop_duplicates("k").sort_values("k")
    axes.plot(rows["k"], rows["reference"], **style.look("exact", linestyle="--"))
    ends.append((rows["k"], rows["reference"], "all queries", style.BLACK))
    axes.set(xlabel="neighborhood size k", ylabel="published mean exact distance (squared L2)")
    axes.set_xlim(0, rows["k"].max() * 1.3)
    style.label_ends(axes, ends)
    return figure
