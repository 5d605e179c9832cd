"""The k-NN graph that neighbor lists make: links returned, components, and how unevenly links arrive."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from .checks import InputError, whole_number
from .describe import hubness, k_occurrence
from .losses import matched
from .neighbors import MISSING, Neighbors


def links(nb: Neighbors) -> csr_array:
    """The (n, n) boolean matrix of links i -> j, from the lists of all n points.

    Parameters
    ----------
    nb : Neighbors
        (n, k): row i holds the neighbors of point i, missing slots left out, a repeated id once.

    Raises
    ------
    InputError
        If an id is no row of ``nb``.

    Examples
    --------
    >>> links(Neighbors([[1], [0], [0]], [[1.0], [1.0], [2.0]])).sum()
    np.int64(3)
    """
    n = len(nb.ids)
    if nb.ids.size and nb.ids.max() >= n:
        raise InputError(f"an id is {nb.ids.max()}; a graph over {n} points needs the lists of all points asked.")
    there = nb.ids != MISSING
    rows = np.repeat(np.arange(n), there.sum(axis=1))
    matrix = csr_array((np.ones(len(rows), dtype=bool), (rows, nb.ids[there])), shape=(n, n))
    matrix.sum_duplicates()
    return matrix


def reciprocity(nb: Neighbors) -> float:
    """Share of the links i -> j for which j -> i is a link too; nan without links.

    >>> round(reciprocity(Neighbors([[1], [0], [0]], [[1.0], [1.0], [2.0]])), 3)
    0.667
    """
    matrix = links(nb)
    return float(matrix.multiply(matrix.T).nnz / matrix.nnz) if matrix.nnz else np.nan


def components(nb: Neighbors) -> int:
    """Number of parts that no link connects, whatever its direction (weakly connected components).

    >>> components(Neighbors([[1], [0], [3], [2]], [[1.0], [1.0], [2.0], [2.0]]))
    2
    """
    return int(connected_components(links(nb), directed=True, connection="weak", return_labels=False))


def graph_row(nb: Neighbors) -> dict[str, float]:
    """Describe a k-NN graph in four numbers.

    Parameters
    ----------
    nb : Neighbors
        (n, k) lists of all n points, leave-one-out.

    Returns
    -------
    dict
        hubness (skewness of the k-occurrence), never (share of the points that are in no list), reciprocity,
        components.

    Examples
    --------
    >>> graph_row(Neighbors([[1], [0], [0]], [[1.0], [1.0], [2.0]]))["components"]
    1
    """
    occurrence = k_occurrence(nb, len(nb.ids))
    return {
        "hubness": hubness(occurrence),
        "never": float((occurrence == 0).mean()),
        "reciprocity": reciprocity(nb),
        "components": components(nb),
    }


def random_graphs(exact: Neighbors, found: Neighbors, *, draws: int = 39, seed: int = 0) -> list[Neighbors]:
    """Lists of all points that lost, point by point, as many neighbors as ``found`` did, any rank alike.

    Parameters
    ----------
    exact, found : Neighbors
        (n, K) and (n, k) lists of all n points, as in `losses.matched`.
    draws : int, default 39
        A graph of the null model itself lies outside the range of so many with a chance of 2 / (draws + 1) in each
        of its numbers, or less where values tie: one in twenty by default.
    seed : int, default 0
        Of the first draw; the others have those that follow.
    """
    return [matched(exact, found, seed=seed + at) for at in range(whole_number(draws, "draws", 1))]


def graph_table(exact: Neighbors, lists: dict, nulls: dict) -> pd.DataFrame:
    """Set the k-NN graphs of several engines beside the exact one and beside those of the null model.

    Parameters
    ----------
    exact : Neighbors
        (n, k) exact lists.
    lists : dict of str to Neighbors
        (n, k) lists of each engine.
    nulls : dict of str to list of Neighbors
        For each engine lists of the null model, of `random_graphs`; empty: none.

    Returns
    -------
    DataFrame
        One row a graph, the first of engine "exact": engine, hubness, never, reciprocity, components, and for each
        of the four the range over the draws of the null, ``<name>_low`` and ``<name>_high`` (nan without draws).

    Examples
    --------
    >>> exact = Neighbors([[1], [0], [0]], [[1.0], [1.0], [2.0]])
    >>> graph_table(exact, {"a": exact}, {"a": [exact]})[["engine", "components_high"]].values.tolist()
    [['exact', nan], ['a', 1.0]]
    """
    rows = [{"engine": "exact", **graph_row(exact)}]
    for engine, nb in lists.items():
        row, drawn = graph_row(nb), pd.DataFrame([graph_row(null) for null in nulls.get(engine, ())])
        for name in drawn:
            row |= {f"{name}_low": float(drawn[name].min()), f"{name}_high": float(drawn[name].max())}
        rows.append({"engine": engine, **row})
    names = list(rows[0])[1:]
    return pd.DataFrame(rows).reindex(
        columns=["engine", *names, *(f"{name}_{end}" for name in names for end in ("low", "high"))]
    )
