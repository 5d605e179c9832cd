"""What indexes of many kinds cost: distances for one recall, time, build and memory; and whether brute forces agree."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .checks import InputError
from .exact import exact_neighbors
from .families import at_work, build_all
from .metrics import overlap
from .neighbors import Neighbors

# Exhaustive routes to cosine neighbors.
BRUTE = ("numpy", "faiss-flat", "faiss-flat-normalized")


def equal_work(indexes: dict, curve: pd.DataFrame, base, rows, exact: Neighbors, k: int, targets, *, like: str):
    """Give every index that counts distances the number that one of them needs for each recall.

    Parameters
    ----------
    indexes, base, rows, exact, k, targets
        As in `find_efforts`.
    curve : DataFrame
        Of `find_efforts`, on the same queries.
    like : str
        The index whose distances are the budget: the least that gave it the target.

    Returns
    -------
    DataFrame
        One row an index and budget: engine, budget (distances a query), ef, recall. Without a row where the budget
        is too small for the index's lowest effort; empty where ``like`` is not there, or does not count.
    """
    own = curve[(curve["engine"] == like) & curve["distances"].notna()]
    budgets = [own.loc[own["recall"] >= target, "distances"].min() for target in targets]
    counting = set(curve.loc[curve["distances"].notna() & curve["ef"].notna(), "engine"])
    rows_of = []
    for name in [name for name in indexes if name in counting]:
        tried = {int(row["ef"]): row for row in curve[curve["engine"] == name].to_dict("records")}
        for budget in budgets:
            ef, recall = at_work(indexes[name], base, rows, exact, k, budget, tried=tried)
            if ef is not None:
                rows_of.append({"engine": name, "budget": budget, "ef": ef, "recall": recall})
    return pd.DataFrame(rows_of, columns=["engine", "budget", "ef", "recall"])


def costs(indexes: dict) -> pd.DataFrame:
    """What each index costs before it is asked: build parameters and seconds, MiB, and these over those of the vectors.

    >>> from neighborhood_drift.families import build_all
    >>> made, _ = build_all(["faiss-flat"], np.zeros((100, 64), np.float32))
    >>> costs(made)["times_vectors"].round(1).tolist()
    [1.0]
    """
    rows = []
    for name, index in indexes.items():
        size = np.nan if index.memory_bytes is None else float(index.memory_bytes)
        vectors = 4.0 * index.size * index.dimension
        counted = {key: index.effort_range()[1] for key in ("nlist", "leaves") if index.params.get(key) == 0}
        built = ", ".join(f"{key}={value}" for key, value in {**index.params, **counted}.items())
        row = {"engine": name, "version": index.version(), "built_with": built or "–", "seconds": index.seconds}
        rows.append({**row, "mib": size / 2**20, "times_vectors": size / vectors})
    return pd.DataFrame(rows, columns=["engine", "version", "built_with", "seconds", "mib", "times_vectors"])


def agreement(exact: Neighbors, lists: dict) -> pd.DataFrame:
    """Share of the queries for which each list holds other points than the exact one, or has them in another order.

    Parameters
    ----------
    exact : Neighbors
        (q, k)
    lists : dict of str to Neighbors
        (q, k) each.

    Returns
    -------
    DataFrame
        One row a name: engine, other_points, other_order (of all queries; other points count here too).

    Examples
    --------
    >>> exact = Neighbors([[1, 2]], [[1.0, 1.0]])
    >>> agreement(exact, {"a": Neighbors([[2, 1]], [[1.0, 1.0]])}).values.tolist()
    [['a', 0.0, 1.0]]
    """
    rows = []
    for name, nb in lists.items():
        points, order = overlap(exact, nb) < 1, (exact.ids != nb.ids).any(axis=1)
        rows.append({"engine": name, "other_points": points.mean(), "other_order": order.mean()})
    return pd.DataFrame(rows, columns=["engine", "other_points", "other_order"])


def brute_force(base, rows, k: int, *, threads: int = 1) -> tuple[pd.DataFrame, str]:
    """Set three exhaustive searches for the cosine distance beside the certified lists.

    Parameters
    ----------
    base : (n, d) array
    rows : (q,) integers
        Base points asked, leave-one-out.
    k : int
    threads : int, default 1

    Returns
    -------
    DataFrame, str
        `agreement` of the routes of `BRUTE`; and why it has no row, where vectors have no cosine distance.

    Examples
    --------
    >>> table, reason = brute_force(np.arange(12.0, dtype=np.float32).reshape(6, 2), [0, 3], 2)
    >>> len(table), reason, brute_force(np.zeros((6, 2), np.float32), [0, 3], 2)[0].empty
    (3, '', True)
    """
    try:
        exact = exact_neighbors(base, np.asarray(base)[rows], k=k, exclude=rows, metric="cosine")
    except InputError as error:
        return agreement(None, {}), str(error)
    made, _ = build_all(BRUTE, base, metric="cosine", threads=threads, progress=False)
    asked = np.asarray(base)[rows]
    return agreement(exact, {name: index.search(asked, k, exclude_self=rows) for name, index in made.items()}), ""
