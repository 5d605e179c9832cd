"""Every task on every list: one tidy table of scores, each beside that of the exact lists of the same sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..losses import matched, rank_profile
from ..metrics import overlap
from .cases import Case, at_random, build, from_index, without
from .tasks import TASKS

# Names of the two null models in tables.
RANDOM, EMPTIED = "lost at random", "lost at random, slots empty"
# What random losses have in common with the lists of an engine that they stand beside.
NUMBER, RANKS = "number", "number and ranks"
# Points taken away to see how far a result moves by that alone.
TAKEN = 0.1


def measure(
    cases,
    recalls,
    engines=(),
    *,
    nulls=(RANDOM, EMPTIED),
    compared_at: float = 0.9,
    tasks=TASKS,
    params=None,
    threads: int = 1,
    cache=None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run tasks on lists at many recalls, and on the exact lists of the same sample.

    Parameters
    ----------
    cases : iterable of Case
        Of both kinds, `samples` and `planted`; each runs the tasks made for its kind.
    recalls : iterable of float
        Of the null models: neighbors lost at random and replaced by the next ones, or their slots left empty. 1 is
        always among them.
    engines : iterable of str
        Names of engines, searched at efforts that double from the lowest; those that `cases.build` cannot build have
        no rows.
    nulls : iterable of str
        Which null models: `RANDOM`, `EMPTIED`.
    compared_at : float, default 0.9
        The lists of each engine whose recall is nearest to this are imitated by random losses twice: query by query as
        many, and as many of about the same ranks (`neighborhood_drift.losses.matched`).
    tasks : dict of Task, optional
        Tasks by name; those that need labels are left out where a case has none.
    params : dict, optional
        Build parameters, each given to the engines that know it.
    threads : int, default 1
        Threads of search; indexes are built by one each.
    cache : path, optional
    progress : bool, default True

    Returns
    -------
    DataFrame
        One row a case, list and task: task, lists (the null model or engine), like ("", or what the random losses that
        imitate an engine share with it: `NUMBER`, `RANKS`), step (recall or effort, text), seed (of the case), recall
        (mean overlap of the lists), missing (mean share of slots), score, exact (score of exact lists), deviation
        (`Task.deviation`).

    Examples
    --------
    >>> from neighborhood_drift.consequences import samples
    >>> base = np.random.default_rng(0).random((60, 3), dtype=np.float32)
    >>> table = measure(samples(base, None, size=0, k=5, count=1), [0.5], progress=False)
    >>> sorted(set(table["task"])), float(table.loc[table["recall"] == 1, "deviation"].abs().max())
    (['dbscan', 'density', 'dimension', 'hdbscan', 'ratio_dimension'], 0.0)
    """
    cases = list(cases)
    recalls = sorted({*recalls, 1.0})
    rows = []
    for case in tqdm(cases, desc="samples", disable=None if progress else True):
        own = {name: task for name, task in tasks.items() if _fits(task, case)}
        exact = {name: task.run(case, case.truth) for name, task in own.items()}
        best = {name: task.score(case, exact[name], exact[name]) for name, task in own.items()}
        found = _of_engines(case, engines, compared_at, params or {}, threads, cache)
        for lists, like, step, nb in [*_of_nulls(case, nulls, recalls), *found]:
            reached = _recall(case, nb)
            empty = 1 - float(nb.found.mean()) / case.k
            for name, task in own.items():
                score = task.score(case, task.run(case, nb), exact[name])
                deviation = task.deviation(score, best[name])
                rows.append((name, lists, like, step, case.seed, reached, empty, score, best[name], deviation))
    columns = ["task", "lists", "like", "step", "seed", "recall", "missing", "score", "exact", "deviation"]
    return pd.DataFrame(rows, columns=columns)


def moved(cases, *, tasks=TASKS) -> pd.DataFrame:
    """How far the result of agreement tasks moves where nothing is approximate and a tenth of the points leaves.

    Parameters
    ----------
    cases : iterable of Case
    tasks : dict of Task, optional

    Returns
    -------
    DataFrame
        One row a case and task: task, seed, deviation of the score on the points that stay.

    Examples
    --------
    >>> from neighborhood_drift.consequences import samples
    >>> case = samples(np.random.default_rng(0).random((60, 3), dtype=np.float32), None, size=0, k=5, count=1)[0]
    >>> moved([case], tasks={"density": TASKS["density"]}).round(2).values.tolist()
    [['density', 0, -0.05]]
    """
    rows = []
    for case in cases:
        stay, lists = without(case, TAKEN)
        for name, task in tasks.items():
            if task.agreement and _fits(task, case):
                before, after = task.run(case, case.truth), task.run(case, lists)
                deviation = task.deviation(task.score(case, after, before[stay]), 1.0)
                rows.append((name, case.seed, deviation))
    return pd.DataFrame(rows, columns=["task", "seed", "deviation"])


def _fits(task, case: Case) -> bool:
    has_labels = case.labels is not None and len(np.unique(case.labels)) > 1
    return (task.sample == "planted") == (case.outliers is not None) and (has_labels or not task.needs_labels)


def _recall(case, nb) -> float:
    return float(overlap(case.truth, nb).mean())


def _of_nulls(case, nulls, recalls):
    for lists in nulls:
        for step, nb in at_random(case, recalls, replace=lists == RANDOM):
            yield lists, "", step, nb


def _of_engines(case, engines, compared_at, params, threads, cache):
    for engine, index in build(case, engines, params=params, threads=threads, cache=cache)[0].items():
        found = list(from_index(case, index))
        for step, nb in found:
            yield engine, "", step, nb
        step, nearest = min(found, key=lambda one: abs(_recall(case, one[1]) - compared_at))
        ranks = rank_profile(case.exact, nearest)
        for like, profile in ((NUMBER, None), (RANKS, ranks)):
            yield engine, like, step, matched(case.exact, nearest, profile=profile, seed=case.seed)
