"""Choosing an effort for an index: the values tried, a search for each, and the smallest one that is certified."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..checks import InputError, one_of, whole_number
from ..indexes.base import Index
from .decide import BOUNDS, CORRECTIONS, Choice, checked_confidence, decide, queries_needed
from .parse import parse_target
from .sample import Calibration
from .targets import Target

FINE, COARSE = 1.2, 2.0  # ratios of neighboring values of ef, up to 4 k or 256, and beyond
FINE_TO, FINE_AT_LEAST, COARSE_TO, AT_LEAST = 4, 256, 16, 1024


def default_efs(index: Index, k: int, *, leave_one_out: bool = True) -> list[int]:
    """Values of ef to try, fixed before any search from k and from the range in which an engine's effort acts.

    Where effort is a number of candidates (the range ends at n or more): from k / 8, or from where effort starts to
    differ from k, in steps of 1.2 to the larger of 4 k and 256, and of 2 to the larger of 16 k and 1,024, but not
    beyond the range.
    Annoy, whose effort is shared by its trees, gets each times the number of trees. Other knobs (lists visited, say):
    the whole range in steps of 1.2. An engine without a knob: 1 alone.

    >>> from neighborhood_drift.indexes import build_index
    >>> index = build_index("hnswlib", np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32))
    >>> default_efs(index, 10)
    [11, 13, 16, 19, 22, 26, 31, 37, 45, 53, 63, 75, 90, 107, 127, 152, 180, 215, 256, 300]
    """
    k = whole_number(k, "k", 1, index.size - leave_one_out)
    low, high = index.effort_range()
    if index.effort is None:
        return [1]
    unit = high // index.size
    floor = max(low, index.effective_ef(k + leave_one_out, low))
    if unit == 0:
        return _steps(floor, high, FINE)
    top = min(high, unit * max(COARSE_TO * k, AT_LEAST))
    first = min(max(floor, unit * k // 8), top)
    bend = max(first, min(unit * max(FINE_TO * k, FINE_AT_LEAST), top))
    return sorted({*_steps(first, bend, FINE), *_steps(bend, top, COARSE)})


def measure(
    index: Index, calibration: Calibration, k: int, efs, target: Target, *, progress: bool = False
) -> np.ndarray:
    """Search the sample's queries at each ef: a loss of each query.

    Parameters
    ----------
    index : Index
        Over the sample's base.
    calibration : Calibration
        With at least k exact neighbors a query.
    k : int
    efs : iterable of int
    target : Target
    progress : bool, default False
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    (m, q) float64
        In [0, 1], a row each ef in the order given.

    Raises
    ------
    InputError
        If the index is over other points, or k or an ef is out of range.

    Examples
    --------
    >>> from neighborhood_drift.calibration import MeanOverlap, calibration_sample
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    >>> measure(build_index("hnswlib", base), calibration_sample(base, 5, size=2), 5, [50], MeanOverlap(0.9))
    array([[0., 0.]])
    """
    return measure_all(index, calibration, k, efs, [target], progress=progress)[0][0]


def measure_all(index: Index, calibration: Calibration, k: int, efs, targets, *, progress: bool = False):
    """Search once an ef, and measure the losses for several targets.

    Returns
    -------
    list of (m, q) float64
        As of `measure`, one a target.
    DataFrame
        One row an ef: effective_ef (as the library applies it; nan without a knob), and the costs of `search_once`.
    """
    refuse_other(index, calibration)
    k = whole_number(k, "k", 1, calibration.exact.k)
    efs = [whole_number(ef, "ef", 1) for ef in efs]
    losses, costs, alone = [], [], calibration.rows is not None
    for ef in tqdm(efs, desc=f"{index.engine}, k = {k}", unit="ef", disable=None if progress else True):
        found, cost = search_once(index, calibration, k, ef, targets)
        effective = index.effective_ef(k + alone, ef)
        losses.append(found)
        costs.append({"effective_ef": np.nan if effective is None else float(effective), **cost})
    return [np.array([one[place] for one in losses]) for place in range(len(targets))], pd.DataFrame(costs)


def search_once(index: Index, calibration: Calibration, k: int, ef: int, targets) -> tuple[list[np.ndarray], dict]:
    """One search of a sample's queries: their losses for each target, (q,) each, and what it cost.

    The cost is distance_computations (a query; nan where the library does not count) and microseconds (wall time a
    query, with the index's search threads).
    """
    exclude = False if calibration.rows is None else calibration.rows
    found, exact_k = index.search(calibration.queries, k, ef=ef, exclude_self=exclude), calibration.exact.first(k)
    computed, count = index.distance_computations, len(calibration.queries)
    cost = {
        "distance_computations": np.nan if computed is None else computed / count,
        "microseconds": 1e6 * index.search_seconds / count,
    }
    return [target.per_query(calibration, exact_k, found) for target in targets], cost


def refuse_other(index: Index, calibration: Calibration) -> None:
    """Raise an `InputError` where an index was built over other points than a sample's base."""
    if not index.built_over(calibration.base):
        raise InputError("the index was built over other points than the sample's base; both must be the same.")


def choose_ef(
    index: Index, target: Target | str, k: int, confidence: float = 0.95, *, sample: Calibration, efs=None,
    bound: str | None = None, correction: str = "fixed-sequence", seed: int = 0, progress: bool = False,
) -> Choice:  # fmt: skip
    """Choose the smallest search effort whose drift is within a target, with a guarantee.

    Parameters
    ----------
    index : Index
        Its engine decides what ef stands for: efSearch, nprobe, search_k, ...
    target : Target or str
        Such as ``MeanOverlap(0.99)``, or text that `parse_target` reads: ``"below-0.9=0.05"``.
    k : int
        Neighbors asked for.
    confidence : float, default 0.95
    sample : Calibration
        Of `calibration_sample`: queries that were used for nothing else, neither to build or choose the index nor to
        choose ``efs``.
    efs : iterable of int, optional
        Values to try, fixed beforehand; default `default_efs`.
    bound, correction, seed
        As for `decide`, which says what is guaranteed; "sample-mean" and "none" are refused.
    progress : bool, default False
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    Choice
        ``ef`` is None where no value is certified; ``sentence`` says so and names the best bound.

    Raises
    ------
    InputError
        Before any search: if a value is out of range, the index is over other points, or the sample is too small for
        the target, whatever the index.

    Examples
    --------
    >>> from neighborhood_drift.calibration import calibration_sample
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    >>> choice = choose_ef(build_index("hnswlib", base), "overlap=0.9", 5, sample=calibration_sample(base, 5))
    >>> choice.ef, round(choice.bound, 2)
    (6, 0.99)
    """
    target = target if isinstance(target, Target) else parse_target(target)
    if not isinstance(sample, Calibration):
        raise InputError("sample must be what calibration_sample returns: queries with their exact neighbors.")
    name = one_of(target.bound if bound is None else bound, [name for name in BOUNDS if name != "sample-mean"], "bound")
    one_of(correction, [name for name in CORRECTIONS if name != "none"], "correction")
    checked_confidence(confidence)
    k = whole_number(k, "k", 1, sample.exact.k)
    alone = sample.rows is not None
    tried = (
        default_efs(index, k, leave_one_out=alone) if efs is None else sorted({whole_number(e, "ef", 1) for e in efs})
    )
    if not tried:
        raise InputError("efs is empty; at least one is needed.")
    refuse_few(len(sample.queries), target, confidence, bound=name, correction=correction, efs=len(tried))
    began = time.perf_counter()
    (losses,), costs = measure_all(index, sample, k, tried, [target], progress=progress)
    seconds = {"exact": sample.seconds, "searches": time.perf_counter() - began}
    choice = decide(losses, tried, target, confidence, bound=name, correction=correction, seed=seed)
    return choice.with_costs(k, costs, seconds)


def refuse_few(count: int, target: Target, confidence: float = 0.95, **how) -> None:
    """Raise an `InputError` where a sample is too small for a target, whatever the index: see `queries_needed`."""
    needed = queries_needed(target, confidence, **how)
    if count < needed:
        raise InputError(
            f"a sample of {count} queries cannot certify {target.text} at a confidence of {confidence:g}, even without "
            f"a single loss; at least {needed:,} are needed."
        )


def _steps(first: int, last: int, ratio: float) -> list[int]:
    """Whole numbers from first to last, both included, in steps of about a ratio."""
    count = max(1, int(np.ceil(np.log(last / first) / np.log(ratio))))
    return sorted({round(value) for value in np.geomspace(first, last, count + 1)})
