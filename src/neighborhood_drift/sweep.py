"""From neighbors to tidy tables: one index searched anew for each k, and measured against the exact neighbors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from .checks import InputError, vectors, whole_number
from .files import checksum, code_digest, replacing
from .indexes.base import Index
from .metrics import drift
from .neighbors import Neighbors

# what a kept table depends on besides the index: edit one of these and the tables are made again
MEASURED_BY = tuple(f"neighborhood_drift.{name}" for name in ("metrics", "kernels", "lid", "exact", "sweep"))


def sweep(
    index: Index, base, rows, ks, ef, exact: Neighbors, *, queries=None, cache=None, progress: bool = True
) -> pd.DataFrame:
    """Search ``index`` for each k and measure the answers against the exact neighbors.

    Parameters
    ----------
    index : Index
        Of `build_index`, over ``base``.
    base : (n, d) array
        Points.
    rows : (q,) integers or None
        Base points that are asked, leave-one-out. None: all of them, or, if ``queries`` is given, none.
    ks : iterable of int
        Numbers of neighbors. Each is searched for by itself: the first k of a search for more are not its answer.
    ef : int or function of k
        Search effort; ``lambda k: 2 * k`` gives twice k.
    exact : Neighbors
        (q, K) exact neighbors of the same queries, K at least the largest k.
    queries : (q, d) array, optional
        Queries that are not points of the base; then ``rows`` is None.
    cache : path, optional
        Folder that keeps the table of each k, by everything it was made from: a run that was stopped goes on at the k
        where it stopped.
    progress : bool, default True
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    DataFrame
        The columns of `neighborhood_drift.metrics.drift`, one row a k and query, and: ``engine``; ``seed`` of the
        index; ``ef`` as given; ``effective_ef`` as the library applies it (nan: no such knob);
        ``distance_computations``, the search's mean a query (nan: not counted); ``self_missed``, 1 where the
        leave-one-out search did not return the query itself, else 0 (nan: not leave-one-out).

    Raises
    ------
    InputError
        If rows and queries are both given, the exact neighbors are too few or of other queries, or the index was
        built over another base.

    Examples
    --------
    >>> from neighborhood_drift.exact import exact_neighbors
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    >>> table = sweep(build_index("hnswlib", base), base, None, [2, 5], 50, exact_neighbors(base, k=5))
    >>> table.groupby("k")["overlap"].mean().tolist()
    [1.0, 1.0]
    """
    base = vectors(base, "base", metric=index.metric, dimension=index.dimension)
    if not index.built_over(base):
        raise InputError("the index was built over other points than base; both must be the same, in the same order.")
    if queries is not None and rows is not None:
        raise InputError("rows and queries are both given; rows are base points, queries are vectors beside the base.")
    if queries is None:
        rows = np.arange(len(base)) if rows is None else _rows(rows, len(base))
        asked = base[rows]
    else:
        asked = vectors(queries, "queries", metric=index.metric, dimension=index.dimension)
    if len(exact.ids) != len(asked):
        raise InputError(f"exact holds neighbors of {len(exact.ids)} queries; {len(asked)} are asked.")
    ks = [whole_number(k, "k", 1, exact.k) for k in ks]
    efforts = [whole_number(ef(k) if callable(ef) else ef, "ef", 1) for k in ks]
    if not ks:
        raise InputError("ks is empty; at least one k is needed.")

    made_from = None
    if cache is not None:
        sources = (rows if queries is None else asked, exact.ids, exact.distances)
        made_from = [index.engine, index.key, code_digest(*MEASURED_BY), *map(checksum, sources)]
    # the first table of a stopped run is read, not searched, so the bar may jump
    steps = tqdm(list(zip(ks, efforts, strict=True)), desc=index.engine, unit="k", disable=None if progress else True)
    tables = []
    for k, effort in steps:
        path = None if made_from is None else _kept_at(cache, [*made_from, k, effort])
        if path is None or not path.exists():
            table = _measure(index, base, asked, rows, k, effort, exact, leave_one_out=queries is None)
            if path is not None:
                _keep(table, path)
        else:
            table = _fetch(path)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "engine", index.engine)
    return table


def _rows(rows, points: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and (rows.min() < 0 or rows.max() >= points)):
        raise InputError(f"rows must be a list of whole numbers from 0 to {points - 1}, rows of the base.")
    return rows


def _measure(index, base, asked, rows, k, ef, exact, *, leave_one_out):
    found = index.search(asked, k, ef=ef, exclude_self=rows if leave_one_out else False)
    who = {"rows": rows} if leave_one_out else {"queries": asked}
    table = drift(base, exact, {k: found}, metric=index.metric, **who)
    # leave-one-out asks the library for one more than k
    effective, count = index.effective_ef(k + leave_one_out, ef), index.distance_computations
    table["seed"], table["ef"] = index.seed, ef
    table["effective_ef"] = np.nan if effective is None else float(effective)
    table["distance_computations"] = np.nan if count is None else count / len(asked)
    table["self_missed"] = np.nan if found.self_found is None else (~found.self_found).astype(float)
    return table


def _kept_at(cache, made_from) -> Path:
    name = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
    return Path(cache) / f"sweep-{name}.npz"


def _keep(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as part, part.open("wb") as stream:
        np.savez(stream, **{name: table[name].to_numpy() for name in table})


def _fetch(path: Path) -> pd.DataFrame:
    with np.load(path, allow_pickle=False) as columns:
        return pd.DataFrame({name: columns[name] for name in columns.files})
