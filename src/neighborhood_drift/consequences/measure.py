"""Every task on every list: one tidy table of scores, each beside that of the exact lists of the same sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..metrics import overlap
from .cases import Case, at_random, from_index, without
from .tasks import TASKS

# Names of the two null models in tables.
RANDOM, EMPTIED = "lost at random", "lost at random, slots empty"
# Points taken away to see how far a result moves by that alone.
TAKEN = 0.1


def measure(
    cases,
    recalls,
    engines=(),
    *,
    nulls=(RANDOM, EMPTIED),
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
        Names of engines, searched at efforts that double from the lowest.
    nulls : iterable of str
        Which null models: `RANDOM`, `EMPTIED`.
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
        One row a case, list and task: task, lists (the null model or engine), step (its recall or effort, text),
        seed (of the case), recall (mean overlap of the lists), missing (mean share of slots), score, exact (score of
        exact lists), deviation (`Task.deviation`).

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
        for lists, step, nb in _all_lists(case, recalls, nulls, engines, params or {}, threads, cache):
            reached = float(overlap(case.truth, nb).mean())
            empty = 1 - float(nb.found.mean()) / case.k
            for name, task in own.items():
                best = task.score(case, exact[name], exact[name])
                score = task.score(case, task.run(case, nb), exact[name])
                rows.append((name, lists, step, case.seed, reached, empty, score, best, task.deviation(score, best)))
    columns = ["task", "lists", "step", "seed", "recall", "missing", "score", "exact", "deviation"]
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
    """
    rows = []
    for case in cases:
        stay, lists = without(case, TAKEN)
        for name, task in tasks.items():
            if task.agreement and _fits(task, case):
                before, after = task.run(case, case.truth), task.run(case, lists)
                deviation = task.deviation(task.score(case, after[stay], before[stay]), 1.0)
                rows.append((name, case.seed, deviation))
    return pd.DataFrame(rows, columns=["task", "seed", "deviation"])


def _fits(task, case: Case) -> bool:
    has_labels = case.labels is not None and len(np.unique(case.labels)) > 1
    return (task.sample == "planted") == (case.outliers is not None) and (has_labels or not task.needs_labels)


def _all_lists(case, recalls, nulls, engines, params, threads, cache):
    for lists in nulls:
        for step, nb in at_random(case, recalls, replace=lists == RANDOM):
            yield lists, step, nb
    for engine in engines:
        for step, nb in from_index(case, engine, params=params, threads=threads, cache=cache):
            yield engine, step, nb
