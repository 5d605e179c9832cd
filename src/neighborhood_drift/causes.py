"""Why neighbors are lost: what the traced search says of each, and which traits of points and queries go with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from .checks import InputError, whole_number
from .graph import Graph, closure
from .intervals import bootstrap_means, limits
from .neighbors import Neighbors
from .trace import Trace

CUT_OFF, TOO_FAR, MISSED = "cut off", "in-neighbors too far", "in-neighbors missed"
CAUSES = (CUT_OFF, TOO_FAR, MISSED)

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
    """Say of each true neighbor that a search did not return why it was not visited.

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
        cause: "cut off", no path of level 0 leads to it from where this search entered; else "in-neighbors too far",
        each point that links to it lies beyond the distance at which the search stopped; else "in-neighbors missed":
        one that links to it lies nearer and was not visited either. best_in_rank: where the nearest point
        that links to it stands among all points by distance to the query (0: the query itself; nan: no point links
        to it).

    Notes
    -----
    These are all causes there are: a point that is visited is returned if fewer than k are nearer, and a point that
    links to it, is visited and lies within the final distance was expanded.
    """
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
            table.append((row, rank + 1, point, cause, len(sources), place))
    return pd.DataFrame(table, columns=["query", "rank", "point", "cause", "in_degree", "best_in_rank"])


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

    Examples
    --------
    >>> exact = Neighbors([[1, 2]], [[1.0, 2.0]])
    >>> pairs(exact, Neighbors([[2, 3]], [[2.0, 3.0]]), [0])["lost"].tolist()
    [True, False]
    """
    if exact.ids.shape != found.ids.shape or len(rows) != len(exact.ids):
        raise InputError(f"lists of {exact.ids.shape} and {found.ids.shape} for {len(rows)} queries do not fit.")
    rows = np.asarray(rows)
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
        Columns of it; one that has a single value or holds nan is left out.
    groups : int, default 10
        Quantile groups; equal values stay together, so that there may be fewer.
    seed, resamples
        Queries are resampled, each with all its neighbors.

    Returns
    -------
    DataFrame
        One row a trait and group: trait, group (1 up), least, most (of the trait), pairs, lost (number), rate, low,
        high.
    """
    groups = whole_number(groups, "groups", 2)
    queries, query = np.unique(table["query"], return_inverse=True)
    lost = table["lost"].to_numpy(dtype=np.float64)
    parts = []
    for trait in traits:
        values = table[trait].to_numpy(dtype=np.float64)
        if not np.isfinite(values).all() or values.min() == values.max():
            continue
        edges = np.unique(np.quantile(values, np.arange(1, groups) / groups, method="inverted_cdf"))
        group = np.unique(np.searchsorted(edges, values), return_inverse=True)[1]
        count, shape = group.max() + 1, (len(queries), group.max() + 1)
        cell = query * count + group
        per_query = np.bincount(cell, minlength=len(queries) * count).reshape(shape)
        gone = np.bincount(cell, weights=lost, minlength=len(queries) * count).reshape(shape)
        drawn = bootstrap_means(np.hstack([gone, per_query]), resamples=resamples, seed=seed)
        low, high = limits(_share(drawn[:, :count], drawn[:, count:]))
        columns = {"trait": trait, "group": np.arange(1, count + 1)}
        columns |= {"least": [values[group == one].min() for one in range(count)]}
        columns |= {"most": [values[group == one].max() for one in range(count)]}
        columns |= {"pairs": per_query.sum(axis=0), "lost": gone.sum(axis=0).astype(int)}
        columns |= {"rate": _share(gone.sum(axis=0), per_query.sum(axis=0)), "low": low, "high": high}
        parts.append(pd.DataFrame(columns))
    if not parts:
        raise InputError("no trait has two values; there is nothing to group by.")
    return pd.concat(parts, ignore_index=True)


def rank_correlation(one, other, *, seed: int = 0, resamples: int = 500) -> tuple[float, float, float]:
    """Spearman's rank correlation of two values of each query, with a 95 % bootstrap interval over queries.

    Parameters
    ----------
    one, other : (q,) floats
        Pairs in which one is not finite are left out.

    Returns
    -------
    tuple of float
        Correlation, low, high; nan where fewer than three pairs remain or one of the two is constant.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 9], [1, 4, 9, 81])[0]
    1.0
    """
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    generator = np.random.default_rng(seed)
    drawn = [_spearman(one, other)]
    for _ in range(whole_number(resamples, "resamples", 1)):
        chosen = generator.integers(0, max(len(one), 1), len(one))
        drawn.append(_spearman(one[chosen], other[chosen]))
    low, high = limits(np.array(drawn[1:])[:, None])
    return drawn[0], float(low[0]), float(high[0])


def _spearman(one, other) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return round(float(np.corrcoef(rankdata(one), rankdata(other))[0, 1]), 12)
