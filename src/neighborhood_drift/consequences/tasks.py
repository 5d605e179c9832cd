"""The tasks: neighbor lists in, a result out, and a score of the result against the truth or against exact lists.

A new task is one row of `TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from .. import describe
from ..lid import lid, lid_harmonic_mean
from ..metrics import kth_distance
from ..neighbors import Neighbors
from . import structure, voting
from .cases import Case


@dataclass(frozen=True)
class Task:
    """One row of the table of tasks.

    Parameters
    ----------
    label : str
        For readers.
    measure : str
        What the score is.
    run : function of (Case, Neighbors)
        The result of the task on some lists.
    score : function of (Case, result, exact result)
        One number.
    sample : {"points", "planted"}
        Which cases it runs on.
    needs_labels : bool
    agreement : bool
        The score compares with the result of exact lists, so exact lists score 1; otherwise with the truth.
    relative : bool
        Deviations are shares of the exact score; False: differences, for scores that may be near 0.
    """

    label: str
    measure: str
    run: Callable
    score: Callable
    sample: str = "points"
    needs_labels: bool = False
    agreement: bool = False
    relative: bool = True

    @property
    def of(self) -> str:
        """What one percent is a percent of, in words."""
        if self.agreement:
            return "full agreement with exact"
        return "the exact score" if self.relative else "one (a difference of 0.01)"

    def deviation(self, score: float, exact: float) -> float:
        """How far a score is from that of exact lists: a share of it, or a difference.

        >>> TASKS["accuracy"].deviation(0.45, 0.5), TASKS["calibration"].deviation(0.25, 0.125)
        (-0.09999999999999998, 0.125)
        """
        if not self.relative:
            return score - exact
        return (score - exact) / exact if exact else np.nan


def _vote(case: Case, nb: Neighbors):
    return voting.vote(nb, case.labels)


def _accuracy(case, result, exact):
    return float(np.mean(result[0] == case.labels))


def _calibration(case, result, exact):
    return voting.calibration_error(result[0] == case.labels, *result[1:])


def _spread(case: Case, nb: Neighbors):
    return voting.spread_labels(nb, case.labels, case.seed)


def _spread_accuracy(case, result, exact):
    found, asked = result
    return float(np.mean((found == case.labels)[asked])) if asked.any() else np.nan


def _outliers(case: Case, nb: Neighbors):
    return rankdata(structure.outlier_factor(nb))


def _auc(case, result, exact):
    return float(roc_auc_score(case.outliers, result))


def _dbscan(case: Case, nb: Neighbors):
    return structure.dbscan(nb, structure.core_radius(case.exact))


def _hdbscan(case: Case, nb: Neighbors):
    return structure.hdbscan(nb)


def _same_clusters(case, result, exact):
    # where exact lists give one group, agreement with it says nothing
    return float(adjusted_rand_score(exact, result)) if len(np.unique(exact)) > 1 else np.nan


def _density(case: Case, nb: Neighbors):
    return -kth_distance(nb)


def _same_order(case, result, exact):
    known = np.isfinite(result) & np.isfinite(exact)
    ordered = known.sum() > 2 and all(np.ptp(part[known]) > 0 for part in (result, exact))
    return float(spearmanr(result[known], exact[known]).statistic) if ordered else np.nan


def _likelihood_dimension(case: Case, nb: Neighbors):
    return lid_harmonic_mean(lid(nb))


def _ratio_dimension(case: Case, nb: Neighbors):
    return describe.two_nn(nb) if nb.k > 1 else np.nan


def _itself(case, result, exact):
    return float(result)


TASKS: dict[str, Task] = {
    "accuracy": Task("k-NN classification", "accuracy, leave-one-out", _vote, _accuracy, needs_labels=True),
    "calibration": Task(
        "k-NN confidence", "expected calibration error", _vote, _calibration, needs_labels=True, relative=False
    ),
    "spreading": Task(
        "label spreading", "accuracy from five labels a class", _spread, _spread_accuracy, needs_labels=True
    ),
    "outliers": Task("LOF outliers", "AUC, two percent planted", _outliers, _auc, sample="planted", needs_labels=True),
    "dbscan": Task("DBSCAN", "ARI with exact clusters", _dbscan, _same_clusters, agreement=True),
    "hdbscan": Task("HDBSCAN", "ARI with exact clusters", _hdbscan, _same_clusters, agreement=True),
    "density": Task("k-NN density", "rank correlation with exact", _density, _same_order, agreement=True),
    "dimension": Task("dimension, likelihood", "estimate", _likelihood_dimension, _itself),
    "ratio_dimension": Task("dimension, TwoNN", "estimate", _ratio_dimension, _itself),
}
