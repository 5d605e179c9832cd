"""Which effort for which k: one index searched at a grid of efforts, the losses of every query kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from .calibration import Calibration, Choice, Target, choose_ef, decide, default_efs, measure_all, queries_needed
from .calibration.choose import refuse_other, search_once
from .checks import InputError, whole_number
from .files import checksum, code_digest, replacing
from .indexes.base import Index
from .metrics import overlap

MODULES = ("metrics", "kernels", "lid", "calibration.targets", "calibration.choose", "choosing")
# what kept losses depend on besides the index: edit one of these and they are measured again
MEASURED_BY = tuple(f"neighborhood_drift.{name}" for name in MODULES)
LOWEST_RATIO = 1 / 16  # of ef to k: below, mean overlap on all data seen is under 0.8
MOST_DOUBLINGS = 20
COSTS = ("distance_computations", "microseconds")


class Searched(NamedTuple):
    """One index asked for k at m efforts.

    ``efs`` ascending; ``losses``: name of a target -> (m, q) losses of the queries, in [0, 1]; ``distances`` and
    ``microseconds``: (m,) means a query, nan where the library does not count.
    """

    efs: np.ndarray
    losses: dict[str, np.ndarray]
    distances: np.ndarray
    microseconds: np.ndarray

    def part(self, which) -> Searched:
        """Keep the queries ``which``; distances and times stay those of all."""
        return self._replace(losses={name: rows[:, which] for name, rows in self.losses.items()})


def lowest_effort(index: Index, k: int, *, leave_one_out: bool = True) -> int:
    """The lowest ef whose search differs from those below: about k where effort follows k, else that of the engine.

    >>> from neighborhood_drift.indexes import build_index
    >>> index = build_index("faiss-hnsw", np.arange(40.0).reshape(20, 2))
    >>> lowest_effort(index, 5), lowest_effort(index.unbounded(), 5)
    (1, 6)
    """
    low = index.effort_range()[0]
    effective = index.effective_ef(k + leave_one_out, low)
    return low if effective is None else max(low, effective)


def effort_grid(
    index: Index, k: int, pilot: Calibration, *, steps: int = 4, low: float = 0.8, high: float = 0.999
) -> list[int]:
    """Efforts k 2^(j / steps) between those at which a few pilot queries have a low and a high mean overlap.

    The pilot decides where the grid begins and ends, so that a guarantee from other queries holds on it.

    Parameters
    ----------
    index : Index
    k : int
    pilot : Calibration
        Queries that take no part in anything else, with at least k exact neighbors.
    steps : int, default 4
        Efforts for each doubling.
    low, high : float
        The grid begins at the last effort with a mean overlap below ``low``, if any, and ends with twice the first that
        has at least ``high``, as a few queries may miss what more of them lose; or where a higher one changes nothing.

    Returns
    -------
    list of int
        Ascending, at least one; whole multiples of k where j is a multiple of ``steps``. ``[1]`` without a knob.

    Examples
    --------
    >>> from neighborhood_drift.calibration import calibration_sample
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    >>> grid = effort_grid(build_index("hnswlib", base, M=4), 5, calibration_sample(base, 5, size=20))
    >>> grid[0]
    6
    """
    steps = whole_number(steps, "steps", 1)
    highest, one_out = index.effort_range()[1], pilot.rows is not None
    floor = lowest_effort(index, k, leave_one_out=one_out)
    powers = np.arange(int(np.log2(LOWEST_RATIO)) * steps, MOST_DOUBLINGS * steps + 1) / steps
    tried = [floor, *(round(k * 2.0**power) for power in powers), highest]
    grid, truth = [], pilot.exact.first(k)
    for ef in sorted({min(ef, highest) for ef in tried if ef >= floor}):
        exclude = pilot.rows if one_out else False
        reached = overlap(truth, index.search(pilot.queries, k, ef=ef, exclude_self=exclude)).mean()
        grid = [ef] if reached < low else [*grid, ef]
        if reached >= high:
            return sorted({*grid, min(2 * ef, highest)})
    return grid


def search_losses(
    index: Index, calibration: Calibration, k: int, efs, targets: dict[str, Target], *, cache=None, progress=True
) -> Searched:
    """Search once at each effort, and measure every query's loss for each target.

    Parameters
    ----------
    index : Index
    calibration : Calibration
        Queries with at least k exact neighbors.
    k : int
    efs : iterable of int
        Efforts; searched in ascending order, each once.
    targets : dict of str to Target
    cache : path, optional
        Folder that keeps the losses of each effort, so that a stopped run goes on where it stopped.
    progress : bool, default True

    Returns
    -------
    Searched

    Raises
    ------
    InputError
        If there is no effort, the index is over other points, or k is more than the exact neighbors.
    """
    efs = sorted({whole_number(ef, "ef", 1) for ef in efs})
    if not efs:
        raise InputError("efs is empty; at least one effort is needed.")
    refuse_other(index, calibration)
    made_from = None
    if cache is not None:
        arrays = (calibration.queries, calibration.exact.first(k).ids, calibration.exact.first(k).distances)
        rows = None if calibration.rows is None else checksum(calibration.rows)
        named = {name: repr(target) for name, target in targets.items()}
        made_from = [index.engine, index.key, code_digest(*MEASURED_BY), rows, named, *map(checksum, arrays)]
    found = []
    for ef in tqdm(efs, desc=f"{index.engine}, k = {k}", unit="ef", disable=None if progress else True):
        path = None if made_from is None else _kept_at(cache, [*made_from, k, ef])
        if path is not None and path.exists():
            with np.load(path, allow_pickle=False) as kept:
                found.append({name: kept[name] for name in kept.files})
            continue
        losses, cost = search_once(index, calibration, k, ef, targets.values())
        one = {f"loss_{name}": rows for name, rows in zip(targets, losses, strict=True)} | cost
        if path is not None:
            with replacing(path) as part, part.open("wb") as stream:
                np.savez(stream, **one)
        found.append(one)
    losses = {name: np.stack([one[f"loss_{name}"] for one in found]) for name in targets}
    return Searched(np.array(efs), losses, *(np.array([float(one[name]) for one in found]) for name in COSTS))


def _kept_at(cache, made_from) -> Path:
    name = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
    return Path(cache) / f"losses-{name}.npz"


def within(loss, limit: float):
    """Tell whether mean losses are at most a limit, but for the last bits, in which sums of another order differ.

    >>> within(np.array([0.1, 0.1 * (1 + 1e-9)]), 1 - 0.9)
    array([ True, False])
    """
    return loss <= limit * (1 + 1e-10)


def smallest(losses: np.ndarray, limit: float) -> int:
    """Row of the smallest effort that, with all larger ones, has a mean loss within the limit; -1 where none has.

    >>> smallest(np.array([[0.0], [0.5], [0.1], [0.0]]), 0.1)
    2
    """
    good = within(np.asarray(losses).mean(axis=1), limit)
    failing = np.flatnonzero(~good)
    row = failing[-1] + 1 if len(failing) else 0
    return int(row) if row < len(good) else -1


def split(calibration: Calibration, pilot: int) -> tuple[Calibration, Calibration]:
    """Cut queries in random order in a pilot, a fifth of them at most, and the others.

    >>> from neighborhood_drift.calibration import calibration_sample
    >>> [len(part.queries) for part in split(calibration_sample(np.arange(20.0)[:, None], 3), 100)]
    [4, 16]
    """
    first = min(whole_number(pilot, "pilot queries", 1), max(1, len(calibration.queries) // 5))
    return calibration.part(slice(first)), calibration.part(slice(first, None))


def choose(index: Index, target: Target, k: int, sample: Calibration, confidence: float = 0.95) -> Choice:
    """`calibration.choose_ef`, which refuses a sample too small for the target; here such a sample chooses none.

    >>> from neighborhood_drift.calibration import MeanOverlap, calibration_sample
    >>> from neighborhood_drift.indexes import build_index
    >>> base = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    >>> choose(build_index("hnswlib", base), MeanOverlap(0.99), 5, calibration_sample(base, 5)).ef is None
    True
    """
    if len(sample.queries) >= queries_needed(target, confidence):
        return choose_ef(index, target, k, confidence, sample=sample)
    efs = default_efs(index, k, leave_one_out=sample.rows is not None)[-1:]
    (losses,), costs = measure_all(index, sample, k, efs, [target])
    seconds = {"exact": sample.seconds, "searches": 1e-6 * float(costs["microseconds"].sum()) * len(sample.queries)}
    return decide(losses, efs, target, confidence).with_costs(k, costs, seconds)
