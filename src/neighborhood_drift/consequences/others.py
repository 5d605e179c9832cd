"""The same tasks on other vectors, under random loss."""

from __future__ import annotations

import pandas as pd

from .cases import planted, samples
from .compare import needed, summarize
from .measure import RANDOM, measure


def on_others(name: str, need: pd.DataFrame, further, recalls, **setting) -> pd.DataFrame:
    """Recall that each task needs under random loss, on the first data set and on further ones.

    Parameters
    ----------
    name : str
        Of the first data set.
    need : DataFrame
        Of `compare.needed`, on it.
    further : iterable of Sample
        Of `neighborhood_drift.datasets.load_others`.
    recalls : iterable of float
    **setting
        ``size``, ``k``, ``count``, ``metric``, ``seed`` of `samples`.

    Returns
    -------
    DataFrame
        The rows of ``need`` for random loss and those of the others, with column data.
    """
    tables = [need[need["lists"] == RANDOM].assign(data=name)]
    for sample in further:
        cases = [case for make in (samples, planted) for case in make(sample.base, sample.labels, **setting)]
        tables.append(needed(summarize(measure(cases, recalls, nulls=(RANDOM,)))).assign(data=sample.name))
    return pd.concat(tables, ignore_index=True)
