"""The same tasks on other vectors, under random loss."""

from __future__ import annotations

from itertools import count

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
        The rows of ``need`` for random loss and those of the others, with column data: the name, and a number after
        a name that was there before.

    Examples
    --------
    >>> need = pd.DataFrame({"task": ["density"], "lists": [RANDOM], "needed": [0.9]})
    >>> on_others("mine", need, [], [0.5])
        task           lists  needed  data
    0  density  lost at random     0.9  mine
    """
    tables, known = [need[need["lists"] == RANDOM].assign(data=name)], {name}
    for sample in further:
        unique = next(one for one in _numbered(sample.name) if one not in known)
        known.add(unique)
        cases = [case for make in (samples, planted) for case in make(sample.base, sample.labels, **setting)]
        tables.append(needed(summarize(measure(cases, recalls, nulls=(RANDOM,)))).assign(data=unique))
    return pd.concat(tables, ignore_index=True)


def _numbered(name: str):
    """Yield the name, then the same with a number: a table has one column for each."""
    yield name
    yield from (f"{name} ({i})" for i in count(2))
