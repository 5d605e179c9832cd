"""What decides the graph: construction effort, seed, insertion order and library, each changed alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .checks import vectors
from .graph import common_links
from .indexes import build_index, build_indexes

LIBRARIES = ("faiss-hnsw", "hnswlib")


def degree_by_effort(base, efforts, *, M: int = 32, metric: str = "l2", seed: int = 0) -> pd.DataFrame:
    """Mean out-degree at level 0 against ef_construction, in both libraries.

    Parameters
    ----------
    base : (n, d) array
        Points; a few thousand show it.
    efforts : iterable of int
        Values of ef_construction.
    M, metric, seed
        As for `build_index`.

    Returns
    -------
    DataFrame
        One row a library and effort: engine, ef_construction, links (mean out-degree at level 0).

    Notes
    -----
    A construction search that lists fewer points than level 0 has slots (2M) is not pruned in FAISS: the new point
    links to the whole list (``shrink_neighbor_list_inner`` in HNSW.cpp). hnswlib prunes every list of M points or more,
    and to M (``getNeighborsByHeuristic2``).
    """
    efforts = sorted(set(efforts))
    specs = [{"name": name, "M": M, "ef_construction": effort} for name in LIBRARIES for effort in efforts]
    rows = []
    for index in build_indexes(specs, base, metric=metric, seed=seed):
        links = float(index.graph().out_degree().mean())
        rows.append({"engine": index.engine, "ef_construction": index.params["ef_construction"], "links": links})
    return pd.DataFrame(rows)


def what_changes_links(
    base, *, M: int = 32, ef_construction: int = 200, metric: str = "l2", seed: int = 0
) -> pd.DataFrame:
    """Share of level-0 links that two graphs have in common when one thing is changed.

    Parameters
    ----------
    base : (n, d) array
        Points; a few thousand show it.
    M, ef_construction, metric, seed
        As for `build_index`.

    Returns
    -------
    DataFrame
        One row a pair of graphs: changed ("nothing", "seed", "insertion order" or "library"), engine, jaccard (links in
        both over links in either).
    """
    base = vectors(base, "base", metric=metric)
    order = np.random.default_rng(seed).permutation(len(base))
    common = {"M": M, "ef_construction": ef_construction, "metric": metric}
    rows, graphs = [], {}
    for name in LIBRARIES:
        graph = graphs[name] = build_index(name, base, seed=seed, **common).graph()
        again = build_index(name, base, seed=seed, **common).graph()
        reseeded = build_index(name, base, seed=seed + 1, **common).graph()
        reordered = build_index(name, base[order], seed=seed, **common).graph().renamed(order)
        for changed, other in (("nothing", again), ("seed", reseeded), ("insertion order", reordered)):
            rows.append({"changed": changed, "engine": name, "jaccard": common_links(graph, other)["jaccard"]})
    jaccard = common_links(*graphs.values())["jaccard"]
    rows.append({"changed": "library", "engine": " and ".join(graphs), "jaccard": jaccard})
    return pd.DataFrame(rows)
