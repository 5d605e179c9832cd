"""Outliers, clusters and density from neighbor lists alone, missing slots left out."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, HDBSCAN

from ..metrics import kth_distance
from ..neighbors import MISSING, Neighbors

# As in scikit-learn, so that duplicates divide by no zero.
TINY = 1e-10
# DBSCAN: neighbors within reach that make a core point, itself included, and the share of points that have them.
CORE, CORE_SHARE = 5, 0.2
# HDBSCAN: points of the smallest cluster, and of the neighborhood that sets a point's density, itself included. With
# larger neighborhoods it finds one cluster, or none, in samples of the bundled vectors.
SMALLEST, NEAR = 5, 2
# Parts of the graph that no list links are set this many times the largest distance apart.
APART = 10.0


def outlier_factor(nb: Neighbors) -> np.ndarray:
    """Local outlier factor of each point: (n,) float64, about 1 inside a cluster, larger outside.

    Parameters
    ----------
    nb : Neighbors
        (n, k) lists of all points, leave-one-out; means are over the neighbors found, and the reach of a point is the
        distance of its last one.

    Returns
    -------
    (n,) float64
        inf where a list is empty: a point without neighbors is an outlier.

    Notes
    -----
    Breunig, Kriegel, Ng and Sander (2000), definitions 5 to 7.

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> points = np.append(np.arange(20), 100)[:, None]
    >>> int(outlier_factor(exact_neighbors(points, k=4)).argmax())
    20
    """
    there, found = nb.ids != MISSING, np.maximum(nb.found, 1)
    ids = np.where(there, nb.ids, 0)
    # fmax: a listed point whose own list is empty has no reach of its own
    reach = np.fmax(kth_distance(nb)[ids], nb.distances)
    density = np.where(nb.found > 0, 1 / (reach.sum(axis=1, where=there) / found + TINY), 0.0)
    around = density[ids].sum(axis=1, where=there) / found
    return np.divide(around, density, out=np.full(len(density), np.inf), where=density > 0)


def core_radius(exact: Neighbors) -> float:
    """Radius within which a fifth of the points are core points of DBSCAN, from exact lists."""
    place = min(CORE - 1, exact.k) - 1
    return float(np.quantile(exact.distances[:, place], CORE_SHARE))


def dbscan(nb: Neighbors, radius: float) -> np.ndarray:
    """Cluster of each point by DBSCAN (Ester et al. 1996) on the graph of the lists: (n,) int64, -1 for noise.

    A point sees those in its own list and those that list it.
    """
    return DBSCAN(eps=radius, min_samples=CORE, metric="precomputed").fit_predict(distance_graph(nb))


def hdbscan(nb: Neighbors) -> np.ndarray:
    """Cluster of each point by HDBSCAN (Campello et al. 2013) on the graph of the lists: (n,) int64, -1 for noise.

    Parts of the graph that are smaller than a cluster (below five points; a point without links is one) are noise and
    take no part: all of them equally far away, they would chain into a cluster that nobody found. The parts that are
    left are ten times the largest distance apart, which joins them in one tree above all their own clusters; so a part
    can be one cluster where there are several, as in HDBSCAN with infinite distances, and cannot where it is the only
    one. Memory: n^2 float64.

    Examples
    --------
    >>> hdbscan(Neighbors([[1], [0], [-1]], [[1.0], [1.0], [np.inf]]))
    array([-1, -1, -1])
    """
    graph = distance_graph(nb)
    _, part = connected_components(graph, directed=False)
    kept = np.flatnonzero(np.bincount(part)[part] >= SMALLEST)
    clusters = np.full(len(nb.ids), MISSING)
    if len(kept):
        links = graph[kept][:, kept].tocoo()
        apart = np.full(links.shape, APART * links.data.max())
        apart[links.row, links.col] = links.data
        np.fill_diagonal(apart, 0.0)
        model = HDBSCAN(min_cluster_size=SMALLEST, min_samples=NEAR, metric="precomputed", copy=False)
        clusters[kept] = model.fit_predict(apart)
    return clusters


def groups(clusters) -> dict[str, float]:
    """Number of clusters, and share of points that are in none.

    >>> groups([0, 0, 1, -1])
    {'clusters': 2, 'noise': 0.25}
    """
    clusters = np.asarray(clusters)
    return {"clusters": int(clusters.max(initial=-1)) + 1, "noise": float(np.mean(clusters < 0))}


def distance_graph(nb: Neighbors) -> csr_array:
    """(n, n) distances of points of which either lists the other; all others are absent, not 0.

    A distance of 0, between duplicates, is stored as the smallest positive number, since sparse arrays drop zeros.
    """
    n = len(nb.ids)
    there = nb.ids != MISSING
    rows, _ = np.nonzero(there)
    distances = np.maximum(nb.distances[there], np.finfo(np.float64).tiny)
    links = csr_array((distances, (rows, nb.ids[there])), shape=(n, n))
    return links.maximum(links.T)
