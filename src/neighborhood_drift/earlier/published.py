"""The earlier studies' published tables, and what their own numbers say when they are read closely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..checks import InputError, one_of
from ..datasets import bundled_folder
from ..facts import fixed, interval
from .then import PAD

FILES = {"seed": "seed-k-sweep.csv", "successor": "successor-runs.csv", "retrieval": "retrieval-table.csv"}
QUERIES = 10_000  # queries of each run, in both studies
ALPHA_EF = 50  # the one efSearch that the alpha study and the efConstruction study have in common
DIGITS = 5e-6  # relative rounding of the six digits given
# No mean of squared distances between these embeddings comes near it; one pad in 10,000 queries exceeds it.
UNLIKELY = 1e6

_MEASURES = [
    "mean_overlap",
    "mean_ann_dist",
    "mean_barycenter_shift",
    "mean_lid_exact",
    "mean_lid_ann",
    "mean_lid_diff",
]


def published(study: str, folder=None) -> pd.DataFrame:
    """Load an earlier study's published numbers, one row a measurement, as published.

    Parameters
    ----------
    study : {"seed", "successor", "retrieval"}
        "seed": Cooper 2025, one run at efSearch = 50. "successor": Cooper & Busch 2026, ten runs of three studies
        (column ``study``: efSearch, efConstruction, alpha; ``value``: its setting). "retrieval": Bhatta 2025,
        the costs of retrieving an image, in seconds a query.
    folder : path, optional
        Where the tables lie; default the repository's ``data/earlier-studies``.

    Examples
    --------
    >>> published("seed").shape, published("successor").shape
    ((25, 9), (7000, 11))
    """
    path = Path(folder or bundled_folder() / "earlier-studies") / FILES[one_of(study, FILES, "study")]
    if not path.exists():
        raise InputError(f"{path.name} is missing from {path.parent}; it is part of the repository's data.")
    return pd.read_csv(path)


def pads(successor: pd.DataFrame) -> pd.DataFrame:
    """Count the queries behind each enormous mean distance of the second study, from the published digits alone.

    With m queries of exactly one pad among v queries kept, mean_ann_dist = (m / v) PAD / k up to a part in 1e30.
    So mean_ann_dist k 10,000 / PAD = 10,000 m / v, which is the whole number m when nobody was left out, and a
    little above it otherwise. m is taken as the whole number just below, v follows. Where v is then no whole
    number, more rows were left out than this reading assumes (many, at large k), and it does not apply.

    Returns
    -------
    DataFrame
        The rows whose mean_ann_dist no true distances could give: run, study, value, k, one_missing (m), left_out
        (10,000 - v), residual (distance of v from a whole number; the digits given allow 0.05).
    """
    rows = successor[successor["mean_ann_dist"] > UNLIKELY]
    reading = rows["mean_ann_dist"] * rows["k"] * QUERIES / PAD
    one_missing = np.floor(reading * (1 + DIGITS)).astype(int)
    kept = one_missing * QUERIES / reading
    return rows[["run", "study", "value", "k"]].assign(
        one_missing=one_missing,
        left_out=(QUERIES - kept.round()).astype(int),
        residual=(kept - kept.round()).abs(),
    )


def first_pads(successor: pd.DataFrame) -> pd.DataFrame:
    """The first k at which each run and setting shows a pad: the rows of :func:`pads` with the smallest k.

    >>> first = first_pads(published("successor"))
    >>> bool((first["residual"] < 0.05).all())
    True
    """
    found = pads(successor).sort_values("k", kind="stable")
    first = found.groupby(["study", "value", "run"], as_index=False).first()
    return first[["study", "value", "run", "k", "one_missing", "left_out", "residual"]]


def abrupt_failure(successor: pd.DataFrame, ratio: float = 10.0) -> pd.DataFrame:
    """The second study's k of "hard failure", and how many of its queries stand behind each.

    As in its analysis: the first k at which the approximate mean distance, averaged over the ten runs, exceeds
    ``ratio`` times the exact one.

    Returns
    -------
    DataFrame
        One row a setting of efSearch: value, k, k_over_ef, overlap (published, mean over all runs), runs (of all
        runs, those with a pad at that k), one_missing and left_out summed over the runs, queries (asked, over all
        runs).
    """
    sweep = successor[successor["study"] == "efSearch"]
    means = sweep.groupby(["value", "k"], as_index=False)[["mean_exact_dist", "mean_ann_dist"]].mean()
    failed = means[means["mean_ann_dist"] > ratio * means["mean_exact_dist"]]
    counts, overlap = pads(sweep), sweep.groupby(["value", "k"])["mean_overlap"].mean()
    rows = []
    for ef, k in failed.groupby("value")["k"].min().items():
        here = counts[(counts["value"] == ef) & (counts["k"] == k)]
        rows.append(
            {
                "value": ef,
                "k": int(k),
                "k_over_ef": k / ef,
                "overlap": float(overlap[ef, k]),
                "runs": len(here),
                "one_missing": int(here["one_missing"].sum()),
                "left_out": int(here["left_out"].sum()),
                "queries": int(sweep["run"].nunique()) * QUERIES,
            }
        )
    return pd.DataFrame(rows)


def bent_exact(successor: pd.DataFrame) -> pd.DataFrame:
    """How far rows left out moved the *exact* mean distance of the second study.

    Within a run, every setting has the same exact neighbors, so the exact mean can differ only by the rows left
    out. The reference is the run's alpha = 4, where no row was.

    Returns
    -------
    DataFrame
        study, value, k, exact (mean over runs), reference, ratio.
    """
    full = successor[(successor["study"] == "alpha") & (successor["value"] == 4.0)]
    reference = full.set_index(["run", "k"])["mean_exact_dist"].rename("reference")
    joined = successor.join(reference, on=["run", "k"])
    table = joined.groupby(["study", "value", "k"], as_index=False)[["mean_exact_dist", "reference"]].mean()
    table = table.rename(columns={"mean_exact_dist": "exact"})
    return table.assign(ratio=table["exact"] / table["reference"])


def alpha_index(successor: pd.DataFrame) -> pd.DataFrame:
    """Find the index that the alpha study searched: where alpha x k = 50, compare with every index searched at 50.

    A search of the same index at the same efSearch and k gives the same digits.

    Returns
    -------
    DataFrame
        One row an index: study and value it was built in, rows compared, rows equal in all six columns.
    """
    alpha = successor[successor["study"] == "alpha"]
    alpha = alpha[(alpha["value"] * alpha["k"]).astype(int) == ALPHA_EF]
    others = successor[
        (successor["study"] == "efConstruction")
        | ((successor["study"] == "efSearch") & (successor["value"] == ALPHA_EF))
    ]
    rows = []
    for (study, value), index in others.groupby(["study", "value"]):
        pair = alpha.merge(index, on=["run", "k"])
        equal = np.all([pair[f"{name}_x"] == pair[f"{name}_y"] for name in _MEASURES], axis=0)
        rows.append({"study": study, "value": value, "rows": len(pair), "equal": int(equal.sum())})
    return pd.DataFrame(rows)


def construction(successor: pd.DataFrame) -> pd.DataFrame:
    """The second study's efConstruction settings: overlap at k = 100 and the first k with a pad, over its runs.

    Returns
    -------
    DataFrame
        One row an efConstruction: value, overlap_k100 (mean), first_pad (mean over runs), first_pad_low and
        first_pad_high (smallest and largest over runs).
    """
    table = successor[successor["study"] == "efConstruction"]
    overlap = table[table["k"] == 100].groupby("value")["mean_overlap"].mean().rename("overlap_k100")
    first = first_pads(table).groupby("value")["k"].agg(first_pad="mean", first_pad_low="min", first_pad_high="max")
    return pd.concat([overlap, first], axis=1).reset_index()


def fact_values(successor: pd.DataFrame) -> dict:
    """Facts for the paper from the second study's published table alone.

    Lists of numbers (failure_ks, failure_queries, failure_missing, failure_runs) are in the order of efSearch;
    failure_queries lacked exactly one neighbor, failure_missing one or more.
    """
    failure, first = abrupt_failure(successor), first_pads(successor)
    bent = bent_exact(successor).set_index(["study", "value", "k"])["exact"]
    return {
        "failure_ks": ", ".join(map(str, failure["k"])),
        "failure_queries": ", ".join(map(str, failure["one_missing"])),
        "failure_missing": ", ".join(map(str, failure["one_missing"] + failure["left_out"])),
        "failure_runs": ", ".join(map(str, failure["runs"])),
        "failure_overlap": interval(failure["overlap"].min(), failure["overlap"].max()),
        "failure_asked": int(failure["queries"].iloc[0]),
        "readings": len(first),
        "residual": fixed(first["residual"].max()),
        "one_missing_low": int(first["one_missing"].min()),
        "one_missing_high": int(first["one_missing"].max()),
        "left_out_high": int(first["left_out"].max()),
        "exact_ef25": fixed(bent["efSearch", 25, 500], 1),
        "exact_ef100": fixed(bent["efSearch", 100, 500], 1),
    }
