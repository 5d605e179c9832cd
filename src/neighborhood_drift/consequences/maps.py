"""Maps of the points in the plane, drawn by UMAP from neighbor lists."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy.spatial import procrustes
from sklearn.manifold import trustworthiness
from tqdm import tqdm

from ..metrics import overlap
from ..neighbors import Neighbors
from .cases import Case, at_random, build, from_index
from .measure import RANDOM

# Neighborhood size of trustworthiness, independent of the lists that made the map.
TRUSTED = 15
EXACT = "exact"


def umap_layout(case: Case, nb: Neighbors, seed: int) -> np.ndarray:
    """Lay the points out in the plane by UMAP (McInnes, Healy and Melville 2018) from given lists.

    Parameters
    ----------
    case : Case
    nb : Neighbors
        (n, k) lists, leave-one-out. A missing slot is id -1, which UMAP links to nothing; it carries the distance of
        the last neighbor found, because an infinite one would make UMAP's bandwidths infinite and all links alike.
    seed : int
        Of the layout, which runs in one thread to repeat.

    Returns
    -------
    (n, 2) float32

    Notes
    -----
    UMAP ignores lists it is given for fewer than 4,096 points unless ``force_approximation_algorithm`` is set.
    """
    with warnings.catch_warnings():
        # umap imports a progress bar for notebooks and draws none
        warnings.filterwarnings("ignore", message="IProgress not found")
        import umap  # here, as it compiles for seconds

    known = np.isfinite(nb.distances)
    last = np.where(known, nb.distances, 0.0).max(axis=1, keepdims=True)
    # UMAP's own lists begin with the point itself
    ids = np.column_stack([np.arange(len(nb.ids)), nb.ids])
    distances = np.column_stack([np.zeros(len(nb.ids)), np.where(known, nb.distances, last)]).astype(np.float32)
    model = umap.UMAP(
        n_neighbors=ids.shape[1], precomputed_knn=(ids, distances), force_approximation_algorithm=True,
        random_state=seed, n_jobs=1,
    )  # fmt: skip
    with warnings.catch_warnings():
        # that new points cannot be placed, which is not asked here
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]")
        return model.fit_transform(case.base)


def layouts(
    case: Case, recalls, engines=(), *, params=None, seeds: int = 2, threads: int = 1, cache=None, progress: bool = True
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Make maps from lists at several recalls with one seed, and from exact lists with several.

    Parameters
    ----------
    case : Case
    recalls : iterable of float
        Of neighbors lost at random; of an engine, the lists nearest in recall to each of them are taken.
    engines : iterable of str
    params, threads, cache
        As in `measure.measure`.
    seeds : int, default 2
        Maps from exact lists beside the first, each from another seed.
    progress : bool, default True

    Returns
    -------
    DataFrame
        One row a map: lists ("exact" for the further seeds), recall, seed, trustworthiness (of the map, against the
        points' own distances; Venna and Kaski 2001), procrustes (share of variance by which it differs from the exact
        map of the first seed after shift, turn and scale).
    dict of (n, 2) arrays
        Maps by name: "exact"; "exact, another seed" (the first of these), where ``seeds`` is not 0; and
        "recall <recall>" for each recall of random loss.
    """
    trusted = min(TRUSTED, (len(case.base) - 1) // 2)
    plan = [(RANDOM, nb) for _, nb in at_random(case, recalls)]
    for engine, index in build(case, engines, params=params, threads=threads, cache=cache)[0].items():
        found = [nb for _, nb in from_index(case, index)]
        reached = np.array([overlap(case.truth, nb).mean() for nb in found])
        plan += [(engine, found[i]) for i in sorted({int(np.abs(reached - recall).argmin()) for recall in recalls})]
    plan = [(EXACT, case.truth, case.seed + 1 + i) for i in range(seeds)] + [(*one, case.seed) for one in plan]
    reference = umap_layout(case, case.truth, case.seed)
    maps, rows = {EXACT: reference}, []
    names = [f"{EXACT}, another seed"] * seeds + [f"recall {recall:g}" for recall in recalls]
    for i, (lists, nb, seed) in enumerate(tqdm(plan, desc="maps", disable=None if progress else True)):
        made = umap_layout(case, nb, seed)
        if i < len(names):
            maps.setdefault(names[i], made)
        rows.append(
            (lists, float(overlap(case.truth, nb).mean()), seed, _trust(case, made, trusted), _apart(reference, made))
        )
    rows.insert(0, (EXACT, 1.0, case.seed, _trust(case, reference, trusted), 0.0))
    return pd.DataFrame(rows, columns=["lists", "recall", "seed", "trustworthiness", "procrustes"]), maps


def _trust(case, made, trusted: int) -> float:
    metric = "euclidean" if case.metric == "l2" else "cosine"
    return float(trustworthiness(case.base, made, n_neighbors=trusted, metric=metric))


def _apart(one, other) -> float:
    return float(procrustes(one.astype(np.float64), other.astype(np.float64))[2])


def turned(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Shift, turn and scale every map onto the first, so that they can be compared by eye."""
    first = next(iter(maps.values())).astype(np.float64)
    return {name: procrustes(first, points.astype(np.float64))[1] for name, points in maps.items()}
