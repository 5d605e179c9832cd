"""Why neighbors are lost: what the traced search says of each, and which traits of points and queries go with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from .checks import InputError, has_columns, whole_number
from .graph import Graph, closure
from .intervals import bootstrap_means, limits
from .neighbors import MISSING, Neighbors
from .trace import Trace

CUT_OFF, TOO_FAR, MISSED = "cut off", "in-neighbors too far", "in-neighbors missed"
TIED = "visited, a tie"
CAUSES = (CUT_OFF, TOO_FAR, MISSED, TIED)

# Traits of a neighbor or its query by their columns in `pairs`, and their names for readers.
TRAITS = {
    "in_degree": "in-degree of the neighbor",
    "rank": "rank of the neighbor",
    "k_occurrence": "k-occurrence of the neighbor",
    "point_lid": "LID at the neighbor",
    "query_lid": "LID at the query",
    "label_frequency": "label frequency of the neighbor",
    "same_label": "same label as the query",
    "inserted": "insertion time of the neighbor",
}


def missed(graph: Graph, distances, traces: list[Trace], exact: Neighbors, rows) -> pd.DataFrame:
    """Say of each true neighbor that a search did not return why it did not.

    Parameters
    ----------
    graph : Graph
        That was searched, of n points.
    distances : (q, n) array
        Of `trace.distance_rows`.
    traces : list of Trace
        Of searches for k + 1 points, one a query.
    exact : Neighbors
        (q, k) exact neighbors, the query left out.
    rows : (q,) integers
        The queries' own ids.

    Returns
    -------
    DataFrame
        One row a missed neighbor: query (its id), rank (1 to k), point, cause, in_degree (at level 0), best_in_rank.
        cause: "visited, a tie", it was visited, and another point as far up to rounding was returned in its place; else
        "cut off", no path of level 0 leads to it from where this search entered; else "in-neighbors too far",
        each point that links to it lies beyond the distance at which the search stopped; else "in-neighbors missed":
        one that links to it lies nearer and was not visited either. best_in_rank: where the nearest point
        that links to it stands among all points by distance to the query (0: the query itself; nan: no point links
        to it).

    Raises
    ------
    InputError
        If traces, distances, exact neighbors and rows are not of equally many queries, or exact neighbors are missing.

    Notes
    -----
    These are all causes there are: a point that is visited is returned if fewer than k are nearer, so that it is lost
    only where the exact search and the trace, which round in their own ways, order points of equal distance
    differently; and a point that links to it, is visited and lies within the final distance was expanded.

    Examples
    --------
    Point 0 asks, and nothing links to its nearest neighbor:

    >>> from neighborhood_drift.graph import stack_levels
    >>> from neighborhood_drift.trace import search
    >>> graph, distances = Graph(np.zeros(3, dtype=int), stack_levels([([0, 2], [2, 0])], 3), 0), [[0.0, 1.0, 2.0]]
    >>> one = search(graph, distances[0], 2, 2, follows_k=True)
    >>> missed(graph, distances, [one], Neighbors([[1]], [[1.0]]), [0])[["query", "point", "cause"]]
       query  point    cause
    0      0      1  cut off
    """
    distances = np.asarray(distances)
    _refuse_missing(exact)
    rows = np.asarray(rows)
    if not len(rows) == len(traces) == len(exact.ids) == len(distances):
        raise InputError("graph searches, exact neighbors, distances and rows must be of the same queries.")
    matrix, incoming = graph.neighbors(), graph.neighbors().T.tocsr()
    _, component = connected_components(matrix, directed=True, connection="strong")
    reached: dict[int, np.ndarray] = {}
    table = []
    for row, away, one, true in zip(rows, distances, traces, exact.ids, strict=True):
        lost = ~np.isin(true, one.ids[one.ids != row][: exact.k])
        if not lost.any():
            continue
        within = reached.get(component[one.entry])
        if within is None:
            within = np.zeros(graph.size, dtype=bool)
            within[closure(matrix, np.array([one.entry]))] = True
            reached[component[one.entry]] = within
        order = np.sort(np.delete(away, row))
        for rank in np.flatnonzero(lost):
            point = true[rank]
            sources = incoming.indices[incoming.indptr[point] : incoming.indptr[point + 1]]
            best, place = _best(sources, away, row, order)
            cause = CUT_OFF if not within[point] else TOO_FAR if best > one.radius else MISSED
            cause = TIED if point in one.visited else cause
            table.append((row, rank + 1, point, cause, len(sources), place))
    return pd.DataFrame(table, columns=["query", "rank", "point", "cause", "in_degree", "best_in_rank"])


def _refuse_missing(exact):
    if (exact.ids == MISSING).any():
        raise InputError(f"exact neighbors hold {(exact.ids == MISSING).sum()} missing slots; none is allowed.")


def _best(sources, away, row, order) -> tuple[float, float]:
    """Distance of the nearest of some points to a query, and its place among all other points."""
    if not len(sources):
        return np.inf, np.nan
    best = sources[away[sources].argmin()]
    return away[best], 0.0 if best == row else float(np.searchsorted(order, away[best]) + 1)


def shares(table: pd.DataFrame, queries, *, seed: int = 0, resamples: int = 1000) -> pd.DataFrame:
    """Share of the missed neighbors by cause, with a 95 % bootstrap interval over queries.

    Parameters
    ----------
    table : DataFrame
        Of `missed`.
    queries : iterable of int
        All ids that were asked, those that missed nothing included.

    Returns
    -------
    DataFrame
        One row a cause: cause, missed (number), share, low, high (nan where nothing was missed).

    Examples
    --------
    >>> shares(pd.DataFrame({"query": [4, 4, 7], "cause": [TOO_FAR, TOO_FAR, MISSED]}), [4, 7])["missed"].tolist()
    [0, 2, 1, 0]
    """
    counts = pd.crosstab(table["query"], table["cause"]).reindex(index=list(queries), columns=list(CAUSES))
    counts = counts.fillna(0).to_numpy(dtype=np.float64)
    resampled = bootstrap_means(counts, resamples=resamples, seed=seed)
    low, high = limits(_share(resampled, resampled.sum(axis=1, keepdims=True)))
    total = counts.sum(axis=0)
    columns = {"missed": total.astype(int), "share": _share(total, total.sum()), "low": low, "high": high}
    return pd.DataFrame({"cause": CAUSES, **columns})


def _share(part, whole):
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.broadcast_to(whole, np.shape(part)) > 0)


def pairs(exact: Neighbors, found: Neighbors, rows, *, of_points=None, of_queries=None) -> pd.DataFrame:
    """One row a query and true neighbor: whether it was lost, beside traits of the two.

    Parameters
    ----------
    exact, found : Neighbors
        (q, k) lists of the same queries, without missing slots in ``exact``.
    rows : (q,) integers
        The queries' ids.
    of_points : dict of str to (n,) array, optional
        Traits of each base point, taken of the neighbor.
    of_queries : dict of str to (n,) array, optional
        Traits of each base point, taken of the query.

    Returns
    -------
    DataFrame
        query, point, rank (1 to k), lost (bool), and one column a trait.

    Raises
    ------
    InputError
        If the lists do not fit each other or the rows, exact neighbors are missing, or a trait lacks a value of one.

    Examples
    --------
    >>> exact = Neighbors([[1, 2]], [[1.0, 2.0]])
    >>> pairs(exact, Neighbors([[2, 3]], [[2.0, 3.0]]), [0])["lost"].tolist()
    [True, False]
    """
    if exact.ids.shape != found.ids.shape or len(rows) != len(exact.ids):
        raise InputError(f"lists of {exact.ids.shape} and {found.ids.shape} for {len(rows)} queries do not fit.")
    _refuse_missing(exact)
    rows = np.asarray(rows)
    for name, values in {**(of_points or {}), **(of_queries or {})}.items():
        if len(values) <= max(exact.ids.max(initial=-1), rows.max(initial=-1)):
            raise InputError(f"the trait {name} has {len(values)} values; one for each point of the base is needed.")
    lost = np.array([~np.isin(true, got) for true, got in zip(exact.ids, found.ids, strict=True)])
    query, point = np.repeat(rows, exact.k), exact.ids.ravel()
    columns = {"query": query, "point": point, "rank": np.tile(np.arange(1, exact.k + 1), len(rows))}
    columns["lost"] = lost.ravel()
    columns |= {name: np.asarray(values)[point] for name, values in (of_points or {}).items()}
    columns |= {name: np.asarray(values)[query] for name, values in (of_queries or {}).items()}
    return pd.DataFrame(columns)


def rates(table: pd.DataFrame, traits, *, groups: int = 10, seed: int = 0, resamples: int = 1000) -> pd.DataFrame:
    """Share of lost neighbors in groups of equally many pairs by each trait, with intervals over queries.

    Parameters
    ----------
    table : DataFrame
        Of `pairs`.
    traits : iterable of str
        Columns of it; one that has a single value is left out.
    groups : int, default 10
        Quantile groups; equal values stay together, so that there may be fewer.
    seed, resamples
        Queries are resampled, each with all its neighbors.

    Returns
    -------
    DataFrame
        One row a trait and group: trait, group (1 up), least, most (of the trait), pairs, lost (number), rate, low,
        high, missing (share of all pairs whose trait is not known; they are in no group of it).

    Raises
    ------
    InputError
        If no trait has two values, or a column is not there.

    Examples
    --------
    >>> table = pd.DataFrame({"query": [0, 0, 1, 1], "rank": [1, 2, 1, 2], "lost": [False, True, False, False]})
    >>> rates(table, ["rank"], groups=2)["rate"].tolist()
    [0.0, 0.5]
    """
    has_columns(table, ["query", "lost", *traits])
    groups = whole_number(groups, "groups", 2)
    queries, query = np.unique(table["query"], return_inverse=True)
    lost = table["lost"].to_numpy(dtype=np.float64)
    parts = []
    for trait in traits:
        values = table[trait].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        if len(np.unique(values[known])) < 2:
            continue
        values = values[known]
        edges = np.unique(np.quantile(values, np.arange(1, groups) / groups, method="inverted_cdf"))
        group = np.unique(np.searchsorted(edges, values), return_inverse=True)[1]
        count, shape = group.max() + 1, (len(queries), group.max() + 1)
        cell = query[known] * count + group
        per_query = np.bincount(cell, minlength=len(queries) * count).reshape(shape)
        gone = np.bincount(cell, weights=lost[known], minlength=len(queries) * count).reshape(shape)
        drawn = bootstrap_means(np.hstack([gone, per_query]), resamples=resamples, seed=seed)
        low, high = limits(_share(drawn[:, :count], drawn[:, count:]))
        columns = {"trait": trait, "group": np.arange(1, count + 1)}
        columns |= {"least": [values[group == one].min() for one in range(count)]}
        columns |= {"most": [values[group == one].max() for one in range(count)]}
        columns |= {"pairs": per_query.sum(axis=0), "lost": gone.sum(axis=0).astype(int)}
        columns |= {"rate": _share(gone.sum(axis=0), per_query.sum(axis=0)), "low": low, "high": high}
        columns |= {"missing": 1 - known.mean()}
        parts.append(pd.DataFrame(columns))
    if not parts:
        raise InputError("no trait has two values; there is nothing to group by.")
    return pd.concat(parts, ignore_index=True)
