"""Drift, effort and time measured over the number of points, the dimension, the metric and the encoder."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from tqdm import tqdm

from .checks import METRICS, InputError, whole_number
from .datasets import Sample
from .exact import exact_neighbors, scales
from .families import at_recall
from .indexes import build_index
from .indexes.faiss_flat import faiss_threads
from .indexes.points import unit
from .intervals import bootstrap_means, limits
from .lid import lid
from .metrics import overlap
from .retrieval_cost import in_turns

COLUMNS = ["study", "data", "metric", "dimension", "n", "draw", "search", "k", "measure", "value", "low", "high"]
ENGINE = "faiss-hnsw"
TIMED, REPEATS = 100, 5  # queries of a timed search at most, and how often it is timed


class Case(NamedTuple):
    """Points on which one graph is built and asked; made by `by_size`, `by_dimension` and `by_metric`."""

    study: str
    data: str
    metric: str
    draw: int
    points: np.ndarray
    rows: np.ndarray


def halved(points: int, smallest: int) -> list[int]:
    """Numbers of points from all of them down by halves, none below ``smallest`` but the first; ascending.

    >>> halved(10_000, 1_000), halved(60, 1_000)
    ([1250, 2500, 5000, 10000], [60])
    """
    sizes = [whole_number(points, "points", 1)]
    while sizes[-1] // 2 >= max(1, smallest):
        sizes.append(sizes[-1] // 2)
    return sizes[::-1]


def principal_axes(points, count: int, metric: str = "l2") -> np.ndarray:
    """The ``count`` directions of largest variance, in the columns, largest first: (d, count) float32.

    Parameters
    ----------
    points : (n, d) array
    count : int
        At most n and d.
    metric : {"l2", "cosine"}
        ``"l2"``: eigenvectors of the covariance. ``"cosine"``: of the second moments about the origin of the vectors
        divided by their lengths, since subtracting a mean would change every angle.

    Notes
    -----
    Distances do not change under a shift, so the points are projected as they are, without subtracting the mean.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [0.0, 2.0], [1.0, 5.0], [0.0, 9.0]])
    >>> np.abs(principal_axes(points, 1)).round(1).T.tolist()
    [[0.0, 1.0]]
    """
    points = np.asarray(points, dtype=np.float32)
    whole_number(count, "count", 1, min(points.shape))
    points = points * scales(points, metric)[:, None] if metric == "cosine" else points - points.mean(axis=0)
    points = points.astype(np.float32)
    d = points.shape[1]
    _, axes = eigh(points.T @ points, subset_by_index=[d - count, d - 1], overwrite_a=True, check_finite=False)
    return np.ascontiguousarray(axes[:, ::-1], dtype=np.float32)


def _part(base, n: int, draw: int, asked: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A seeded part of the base and the rows of it that are asked; the whole base is the same in each draw."""
    generator = np.random.default_rng([seed, n, draw])
    part = base if n == len(base) else base[np.sort(generator.choice(len(base), n, replace=False))]
    return part, np.sort(generator.choice(n, min(n, asked or n), replace=False))


def by_size(sample: Sample, sizes, draws: int, asked: int, *, metric="l2", seed: int = 0) -> list[Case]:
    """Cases of growing parts of a data set, ``draws`` of each size, each with queries and a graph of its own.

    Parameters
    ----------
    sample : Sample
    sizes : iterable of int
        Those beyond the base are left out.
    draws : int
        The parts are drawn independently of each other. All draws of the whole base hold the same points and differ
        in their queries and in the seed of the graph only.
    asked : int
        Queries of each, points of the part; 0 for all.
    """
    return [
        Case("size", sample.name, metric, draw, *_part(sample.base, n, draw, asked, seed))
        for n in sorted({n for n in sizes if n <= len(sample.base)})
        for draw in range(draws)
    ]


def by_dimension(sample: Sample, dimensions, n: int, draws: int, asked: int, *, metric="l2", seed=0) -> list[Case]:
    """Cases of one size with the vectors projected on their first principal axes, and as they are.

    Parameters are those of `by_size`, and ``dimensions``, numbers of axes; those that the data have not are left out.
    """
    d, n = sample.base.shape[1], min(n, len(sample.base))
    fewer = sorted({m for m in dimensions if m < min(d, len(sample.base))})
    axes = principal_axes(sample.base, max(fewer), metric) if fewer else None
    cases = []
    for draw in range(draws):
        part, rows = _part(sample.base, n, draw, asked, seed)
        for m in fewer:
            projected = np.ascontiguousarray(part @ axes[:, :m])
            if metric != "cosine" or projected.any(axis=1).all():
                cases.append(Case("dimension", sample.name, metric, draw, projected, rows))
        cases.append(Case("dimension", sample.name, metric, draw, part, rows))
    return cases


def by_metric(samples, n: int, draws: int, asked: int, *, seed: int = 0) -> list[Case]:
    """Cases of one size under both metrics, for each data set; a set with a vector of zeros has no cosine."""
    cases = []
    for sample in samples:
        for metric in METRICS:
            if metric == "cosine" and not sample.base.any(axis=1).all():
                continue
            for draw in range(draws):
                part, rows = _part(sample.base, min(n, len(sample.base)), draw, asked, seed)
                cases.append(Case("metric", sample.name, metric, draw, part, rows))
    return cases


def measure(cases, ks, ef: int, targets, *, seed=0, threads=1, cache=None, progress=True, **params) -> pd.DataFrame:
    """Build a graph for each case with one thread, search it, and measure drift, effort and time.

    Parameters
    ----------
    cases : iterable of Case
    ks : iterable of int
        Neighborhood sizes; those that a case has too few points for are left out of it.
    ef : int
        The fixed effort, at which overlap and the cost of a search are measured, by both of FAISS's rules.
    targets : iterable of float
        Mean overlaps; the least effort that reaches each is sought by FAISS's default search at the largest k.
    seed : int
        Each draw's graph has this seed plus the draw's number.
    threads : int, default 1
        Search threads.
    cache : path, optional
        Of `build_index`.
    **params
        Build parameters.

    Returns
    -------
    DataFrame
        Columns study, data, metric, dimension, n, draw, search ("faiss-hnsw": effort stays at ef;
        "faiss-hnsw-unbounded": effort follows k), k, measure, value, low, high. Measures: "overlap" (mean over
        queries, low and high its 95 % bootstrap interval over them; the other measures have none), "distances" of a
        query; "microseconds" of a query at the largest k, as `search_time`; "build_seconds" (wall time of one thread);
        "lid" (mean of the exact neighbors); and for each target "effort 0.95", "distances 0.95", "microseconds 0.95":
        nan where no effort reaches it.

    Raises
    ------
    InputError
        If there are no k, or a target is not a share.

    Examples
    --------
    >>> measure([], [10], 50, [0.95]).columns.tolist() == COLUMNS
    True
    """
    ks, targets = sorted(set(ks)), sorted(set(targets))
    if not ks:
        raise InputError("ks is empty; at least one k is needed.")
    if wrong := [target for target in targets if not 0 < target <= 1]:
        raise InputError(f"targets hold {wrong[0]}; an overlap to reach lies above 0 and is at most 1.")
    rows = []
    cases = list(cases)
    for case in tqdm(cases, desc="graphs", disable=None if progress else True):
        fitting = [k for k in ks if k < len(case.points) - 1]
        if not fitting:
            continue
        about = (case.study, case.data, case.metric, case.points.shape[1], len(case.points), case.draw)
        rows += [(*about, *row) for row in _measured(case, fitting, ef, targets, seed, threads, cache, params)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(case, ks, ef, targets, seed, threads, cache, params):
    """Yield search, k, measure, value, low, high of one case."""
    points, asked, k, none = case.points, case.points[case.rows], ks[-1], (np.nan, np.nan)
    exact = exact_neighbors(points, asked, k=k, exclude=case.rows, metric=case.metric)
    index = build_index(ENGINE, points, metric=case.metric, seed=seed + case.draw, cache=cache, **params)
    yield ENGINE, k, "build_seconds", index.seconds, *none
    values = lid(exact)
    yield ENGINE, k, "lid", float(np.nanmean(values)) if np.isfinite(values).any() else np.nan, *none
    for search in (index, index.unbounded()):
        search.threads = threads
        for each in ks:
            found = search.search(asked, each, ef=ef, exclude_self=case.rows)
            shares = overlap(exact.first(each), found)
            low, high = (float(limit[0]) for limit in limits(bootstrap_means(shares[:, None], seed=seed)))
            yield search.engine, each, "overlap", float(shares.mean()), low, high
            yield search.engine, each, "distances", search.distance_computations / len(asked), *none
    yield ENGINE, k, "microseconds", search_time(index, asked, k, ef), *none
    tried = {}
    for target in targets:
        effort, recall = at_recall(index, points, case.rows, exact, k, target, tried=tried)
        reached = effort if recall >= target else np.nan
        yield ENGINE, k, f"effort {target:g}", float(reached), *none
        yield ENGINE, k, f"distances {target:g}", tried[effort]["distances"] if recall >= target else np.nan, *none
        time = search_time(index, asked, k, effort) if recall >= target else np.nan
        yield ENGINE, k, f"microseconds {target:g}", time, *none


def search_time(index, queries, k: int, ef: int) -> float:
    """Microseconds of processor time a query takes, by one thread: the median of repeats, after one that is not timed.

    ``index`` is one of FAISS's HNSW; the search is the library's own, of at most `TIMED` queries that are normalised
    already.
    """
    queries = unit(queries[:TIMED]) if index.metric == "cosine" else np.ascontiguousarray(queries[:TIMED])
    with faiss_threads(1) as faiss:
        effort = faiss.SearchParametersHNSW(efSearch=ef, bounded_queue=index.bounded_queue)
        rows = in_turns([((), partial(index.native.search, k=k, params=effort), len(queries))], queries, REPEATS)
    return 1e6 * float(np.median([row[-1] for row in rows]))
