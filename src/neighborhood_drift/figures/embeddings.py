"""Figures of the vectors themselves: images, lengths, spectrum, distances, hubs, dimension."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from . import style


def image_grid(images, labels=None, classes=(), *, rows: int = 6, columns: int = 12, seed: int = 0) -> Figure:
    """Draw a seeded sample of the images, one class a row where labels are known.

    Parameters
    ----------
    images : (n, h, w, 3) uint8 or None
        None gives a figure that says in one line that there are none.
    labels : (n,) int64, optional
        Index into ``classes``; the most frequent ``rows`` classes are shown.
    classes : sequence of str
    rows, columns : int
        Images shown.
    seed : int
    """
    if images is None:
        return no_images()
    random = np.random.default_rng(seed)
    if labels is None:
        shown = random.permutation(len(images))[: rows * columns]
        lines = [("", shown[start : start + columns]) for start in range(0, len(shown), columns)]
    else:
        values, counts = np.unique(labels, return_counts=True)
        frequent = np.sort(values[np.argsort(-counts, kind="stable")[:rows]])
        drawn = [random.permutation(np.flatnonzero(labels == value))[:columns] for value in frequent]
        titles = [classes[value] if len(classes) else str(value) for value in frequent]
        lines = list(zip(titles, drawn, strict=True))
    return _strips(images, lines, columns)


def neighbor_grid(images, queries, ids, *, columns: int = 10) -> Figure:
    """Draw queries, each followed by its nearest neighbors.

    Parameters
    ----------
    images : (n, h, w, 3) uint8 or None
        None gives a figure that says in one line that there are none.
    queries : sequence of int
        Ids of the queries, one a row.
    ids : (q, k) int64
        Ids of their neighbors, nearest first; -1 is left empty.
    columns : int
        Neighbors shown.
    """
    if images is None:
        return no_images()
    lines = [("", np.concatenate([[query], near[:columns]])) for query, near in zip(queries, ids, strict=True)]
    figure = _strips(images, lines, columns + 1)
    for row in range(len(lines)):
        for side in figure.axes[row * (columns + 1)].spines.values():
            side.set(visible=True, color=style.VERMILION, linewidth=1.8)
    figure.axes[0].set_title("query", fontsize=8, color=style.VERMILION)
    heading = figure.axes[1].annotate(
        "nearest neighbors →", (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8
    )
    heading.set_in_layout(False)  # it is wider than its column
    return figure


def lengths(norms, zeros) -> Figure:
    """Draw the distribution of the vectors' lengths and of their shares of zeros.

    Parameters
    ----------
    norms, zeros : (n,) floats
        Euclidean length and share of zero coordinates of each vector.
    """
    figure, (left, right) = style.new(1, 2, sharey=True)
    left.hist(norms, bins=40, color=style.BLUE)
    left.set(xlabel="Euclidean length of a vector", ylabel="points")
    right.hist(zeros, bins=40, color=style.ORANGE)
    right.set(xlabel="share of coordinates that are zero")
    return figure


def spectrum(singular, participation: float) -> Figure:
    """Draw the singular values and the variance they add up to, the participation ratio marked.

    Parameters
    ----------
    singular : (m,) floats
        Singular values of the centered vectors, descending.
    participation : float
        Participation ratio.
    """
    singular = np.asarray(singular)
    count = np.arange(1, len(singular) + 1)
    positive = singular > singular[0] * 1e-6  # below, they are rounding
    figure, (left, right) = style.new(1, 2)
    left.loglog(count[positive], singular[positive] / singular[0], color=style.BLUE)
    left.set(xlabel="component", ylabel="singular value / largest")
    share = np.cumsum(singular**2) / np.sum(singular**2)
    right.semilogx(count, share, color=style.BLUE)
    right.axvline(participation, color=style.VERMILION, linestyle="--", linewidth=1)
    right.annotate(
        "participation ratio", (participation, 0.03), xytext=(4, 0), textcoords="offset points",
        color=style.VERMILION, fontsize=8,
    )  # fmt: skip
    right.set(xlabel="components kept", ylabel="share of variance", ylim=(0, 1.02))
    return figure


def distances(pairs, nearest, kth, k: int, *, metric: str = "l2") -> Figure:
    """Draw the distributions of distance: to the nearest neighbor, to the k-th, and between random pairs.

    Parameters
    ----------
    pairs, nearest, kth : sequences of floats
        Distances, not squared.
    k : int
    metric : {"l2", "cosine"}
    """
    figure, axes = style.new()
    groups = [("nearest neighbor", nearest, style.VERMILION), (f"{k}-th neighbor", kth, style.BLUE)]
    groups.append(("random pair", pairs, style.BLACK))
    edges = np.linspace(0, max(np.max(values) for _, values, _ in groups), 80)
    for label, values, color in groups:
        height, _ = np.histogram(values, bins=edges, density=True)
        axes.stairs(height, edges, color=color, fill=True, alpha=0.25)
        axes.stairs(height, edges, color=color, linewidth=1.4, label=label)
    axes.legend()  # labels at the peaks would meet where two groups have theirs close together
    axes.set(xlabel=_unit(metric), ylabel="density", xlim=(0, None))
    return figure


def occurrence(counts, k: int) -> Figure:
    """Draw how often points are among the k nearest neighbors of others: the share of points above each count.

    Parameters
    ----------
    counts : (n,) int64
        k-occurrence of each point; its mean is k where no neighbor is missing.
    k : int
    """
    reached, here = np.unique(counts, return_counts=True)
    share = np.cumsum(here[::-1])[::-1] / len(counts)
    figure, axes = style.new()
    seen = reached > 0
    axes.loglog(reached[seen], share[seen], color=style.BLUE, marker="o", markersize=3, linestyle="")
    axes.axvline(k, color=style.VERMILION, linestyle="--", linewidth=1)
    axes.annotate(
        f"mean, k = {k}", (k, share[-1]), xytext=(4, 2), textcoords="offset points", color=style.VERMILION, fontsize=9
    )
    axes.set(xlabel=f"times a point is among the {k} nearest neighbors of another", ylabel="share of points, at least")
    return figure


def dimension(estimates: pd.DataFrame, two_nn: float) -> Figure:
    """Draw the intrinsic dimension against the number of neighbors used.

    Parameters
    ----------
    estimates : DataFrame
        Columns k, harmonic, low, high: MacKay and Ghahramani's mean and the quartiles over queries.
    two_nn : float
        The TwoNN estimate, which uses two neighbors.
    """
    figure, axes = style.new()
    axes.plot(estimates["k"], estimates["harmonic"], color=style.BLUE, marker="o")
    style.band(axes, estimates["k"], estimates["low"], estimates["high"], style.BLUE)
    axes.set_xscale("log")
    style.label_end(axes, estimates["k"], estimates["harmonic"], "MLE", style.BLUE)
    axes.plot([2], [two_nn], color=style.VERMILION, marker="D", linestyle="")
    axes.annotate(
        "TwoNN", (2, two_nn), xytext=(6, 0), textcoords="offset points", color=style.VERMILION, va="center", fontsize=9
    )
    axes.set(xlabel="neighbors used, k", ylabel="intrinsic dimension", ylim=(0, None))
    axes.set_xlim(1.7, 1.3 * estimates["k"].max())
    axes.set_xticks([2, *estimates["k"]], ["2", *(str(k) for k in estimates["k"])])
    axes.minorticks_off()
    return figure


def no_images(told: str = "These vectors come without images.") -> Figure:
    """A figure that says in one line why there is nothing to show."""
    figure, axes = style.new(size=(6.4, 0.5))
    axes.set_axis_off()
    axes.text(0, 0.5, told, va="center")
    return figure


def _strips(images, lines, columns: int) -> Figure:
    width = 6.4
    figure, grid = style.new(len(lines), columns, size=(width, width / columns * len(lines) * 1.05), squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, (title, members) in zip(grid, lines, strict=True):
        axes[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
        for axis, member in zip(axes, members, strict=False):
            if member >= 0:
                axis.imshow(images[member], interpolation="none")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    return figure


def _unit(metric: str) -> str:
    return "Euclidean distance" if metric == "l2" else "cosine distance, 1 − cos"
