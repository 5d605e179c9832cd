"""What a store is started with and what a search asks of it, checked in the same way whoever keeps the points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import checks
from ..calibration import parse_target, queries_needed
from ..calibration.targets import Target
from ..checks import InputError, whole_number
from ..indexes.base import HIGHEST_EF
from ..indexes.points import refuse_overflow
from .store import HIGHEST_ID, Store, checked_metadata

SAMPLE = 500  # points or queries that an effort is chosen with


def checked_start(dimension, ef, encoder, target) -> tuple[int | None, int, dict | None, str | None]:
    """What every new store is given, each within its range.

    >>> checked_start(None, 50, {"name": "pixels"}, "overlap=0.9")
    (None, 50, {'name': 'pixels'}, 'overlap=0.9')
    """
    if target is not None:
        parse_target(target)
    dimension = None if dimension is None else whole_number(dimension, "dimension", 1)
    return dimension, whole_number(ef, "ef", 1, HIGHEST_EF), checked_metadata([encoder], 1)[0] or None, target


def checked_search(
    store: Store, queries, k, ef, target, exact: bool, dimension: int | None, chosen_ef: Callable[[Target, int], int]
) -> tuple[np.ndarray, int, int]:
    """What a search asks for: its queries, k and effort.

    The effort is ``ef``, else what ``chosen_ef(target, k)`` says, else the store's own. A search that names no target
    has the store's, unless it names ``ef`` or is exact. With a target, k of all points or more takes the effort that
    meets all of them; so does the store's own target where it holds too few points to certify it, while one that the
    search names is then refused.

    Raises an `InputError` where a value is out of range, or ``target`` is given beside ``ef`` or ``exact``.
    """
    queries = checks.vectors(queries, "queries", metric=store.metric, dimension=dimension)
    refuse_overflow(queries, "queries", store.metric)
    k = whole_number(k, "k", 1)
    if target is not None and (ef is not None or exact):
        raise InputError("target is given beside ef or exact; a search has one of them.")
    wanted = store.target if target is None and ef is None and not exact else target
    if wanted is None:
        return queries, k, store.ef if ef is None else whole_number(ef, "ef", 1, HIGHEST_EF)
    wanted, points = wanted if isinstance(wanted, Target) else parse_target(wanted), store.count()
    if k >= points or (target is None and points < queries_needed(wanted)):
        return queries, k, min(max(points, 1), HIGHEST_EF)
    return queries, k, chosen_ef(wanted, k)


def sample_size(target: Target) -> int:
    """How many queries a search has its effort chosen with: more where a target cannot be certified with `SAMPLE`.

    >>> from neighborhood_drift.calibration import MeanOverlap
    >>> sample_size(MeanOverlap(0.9)), sample_size(MeanOverlap(0.999)) > 500
    (500, True)
    """
    return max(SAMPLE, queries_needed(target))


def next_ids(highest: int | None, count: int) -> list[int]:
    """Whole numbers that go on after the highest there is, from 0 on; refused beyond 64 bits.

    >>> next_ids(4, 2), next_ids(None, 1), next_ids(-7, 1)
    ([5, 6], [0], [0])
    """
    first = 0 if highest is None else max(highest + 1, 0)
    if first + count - 1 > HIGHEST_ID:
        raise InputError(f"no {count} whole numbers of 64 bits are left after the id {highest}; name ids.")
    return list(range(first, first + count))
