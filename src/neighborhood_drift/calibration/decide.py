"""From a matrix of losses to an effort with a guarantee: pure, so that thousands of samples can be redrawn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ..checks import InputError, numbers, one_of, whole_number
from ..intervals import bootstrap_means, limits
from .bounds import certain, least_queries, upper
from .targets import Target

# What each bound is, for readers; all but the last are valid.
BOUNDS = {
    "betting": "a bound by betting",
    "clopper-pearson": "the exact binomial bound",
    "empirical-bernstein": "the empirical Bernstein bound",
    "risk-control": "conformal risk control",
    "sample-mean": "the sample's mean alone, which guarantees nothing",
}
CORRECTIONS = {
    "fixed-sequence": "the values of ef tested in turn from the largest down, each at the full level",
    "bonferroni": "the level divided among the values of ef",
    "none": "each value of ef tested at the full level, which guarantees nothing for their choice",
}


@dataclass(frozen=True, eq=False)
class Choice:
    """The smallest effort that is certified to reach a target; made by `decide` and `choose_ef`.

    Attributes
    ----------
    ef : int or None
        None where no ef tried is certified.
    target : Target
    k : int or None
        Neighbors asked for; None where only losses were given.
    confidence : float or None
        None for risk control, into which no confidence enters.
    method : tuple of str
        Names of the bound and of the correction.
    efs : (m,) int64
        The values tried, ascending.
    losses : (m, q) float64
        Loss of each query at each of them; in risk control the largest at that ef or a higher one.
    passes : (m,) bool
        Whether each is certified.
    level : float
        Chance of error allowed to each test.
    seed : int
        Of coins and of the bootstrap.
    seconds : dict of str to float
        Wall time of "exact" (neighbors of the sample) and "searches".
    costs : DataFrame or None
        Columns of the table that the searches gave.
    """

    ef: int | None
    target: Target
    k: int | None
    confidence: float | None
    method: tuple[str, str]
    efs: np.ndarray
    losses: np.ndarray
    passes: np.ndarray
    level: float
    seed: int = 0
    seconds: dict = field(default_factory=dict)
    costs: pd.DataFrame | None = None

    @property
    def queries(self) -> int:
        """Number of queries in the sample."""
        return self.losses.shape[1]

    @property
    def position(self) -> int | None:
        """Place of ``ef`` among those tried; None where there is none."""
        return None if self.ef is None else int(np.searchsorted(self.efs, self.ef))

    @cached_property
    def bounds(self) -> np.ndarray:
        """(m,) bounds of the target's quantity, each at the level of its own test.

        Each holds with that confidence for an ef named beforehand. At the ef that the fixed sequence has chosen, what
        is guaranteed is the target, and the bound says by how much the test was passed; with "bonferroni" all bounds
        hold at once.
        """
        return self.target.value(self._upper)

    @cached_property
    def _upper(self) -> np.ndarray:
        return upper(self.method[0], self.losses, self.level, self.seed)

    @cached_property
    def estimates(self) -> np.ndarray:
        """(m,) values of the target's quantity measured on the sample."""
        return self.target.value(self.losses.mean(axis=1))

    @property
    def bound(self) -> float:
        """The bound at ``ef``; where there is none, the best of all values tried."""
        return float(self.bounds[np.argmin(self._upper) if self.position is None else self.position])

    @property
    def estimate(self) -> float:
        """The value measured on the sample at ``ef``; nan where there is none."""
        return np.nan if self.position is None else float(self.estimates[self.position])

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval over queries of `estimate`, without a correction for its choice; nan where none."""
        if self.position is None:
            return np.nan, np.nan
        means = bootstrap_means(self.losses[self.position][:, None], seed=self.seed)
        low, high = limits(self.target.value(means))
        return float(low[0]), float(high[0])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a value of ef tried: ef, estimate, bound, passes, and after `choose_ef` the columns of ``costs``."""
        table = pd.DataFrame({"ef": self.efs, "estimate": self.estimates, "bound": self.bounds, "passes": self.passes})
        return table if self.costs is None else table.join(self.costs)

    @property
    def sentence(self) -> str:
        """What was found, with its guarantee, in one sentence."""
        at_k = "" if self.k is None else f" at k = {self.k}"
        wanted, shown = f"{self.target.text}{at_k}", self.target.shown
        if self.ef is None:
            return (
                f"No ef from {self.efs[0]} to {self.efs[-1]} is certified to give {wanted}: the best bound is "
                f"{shown(self.bound)}, from {self.queries} queries."
            )
        how = "in expectation" if self.confidence is None else f"with a confidence of {100 * self.confidence:g} %"
        return (
            f"ef = {self.ef} gives {wanted}, {how}: measured {shown(self.estimate)} on {self.queries} queries, "
            f"bound {shown(self.bound)}."
        )

    @property
    def method_text(self) -> str:
        """The bound and how many values of ef are allowed for, in words."""
        bound, correction = self.method
        return BOUNDS[bound] if bound == "risk-control" else f"{BOUNDS[bound]}; {CORRECTIONS[correction]}"

    def with_costs(self, k: int, costs: pd.DataFrame, seconds: dict) -> Choice:
        """The same choice with what the searches cost."""
        return replace(self, k=k, costs=costs, seconds=seconds)


def decide(
    losses, efs, target: Target, confidence: float = 0.95, *, bound: str | None = None,
    correction: str = "fixed-sequence", seed: int = 0,
) -> Choice:  # fmt: skip
    """Choose the smallest ef that is certified to reach a target.

    Parameters
    ----------
    losses : (m, q) floats in [0, 1]
        Loss of each query at each ef, as `measure` gives it.
    efs : (m,) integers
        Ascending, fixed before the losses were seen.
    target : Target
        Its ``limit`` is the highest mean loss that reaches it.
    confidence : float, default 0.95
        For risk control it does not enter.
    bound : str, optional
        "betting" (default for a mean), "clopper-pearson" (default for a share of queries), "empirical-bernstein",
        "risk-control" (default for geometric targets); "sample-mean", for comparison, is no bound.
    correction : str
        "fixed-sequence" (default): from the largest ef down, each tested at 1 - confidence, to the first that fails.
        "bonferroni": each tested at (1 - confidence) / m, the smallest that passes chosen.
        "none", for comparison: each tested at 1 - confidence, the smallest that passes chosen. Risk control needs none.
    seed : int, default 0
        Of the coins of "clopper-pearson", which are independent of a sample drawn with the same seed.

    Returns
    -------
    Choice
        Its ``table`` and bounds are computed when first read.

    Raises
    ------
    InputError
        If losses are not (m, q) numbers in [0, 1], efs do not ascend, or a name or the confidence is not known.

    Notes
    -----
    What is guaranteed: for queries drawn independently from one population, sample and later queries alike, and for
    this one index, the probability over the draw of the sample, and for "clopper-pearson" over its coins too, that the
    mean loss at the chosen ef exceeds the limit is at most 1 - confidence; where no ef is chosen there is no claim.
    Nothing is said about another index, nor about queries of another kind. `bounds` says what holds for draws without
    replacement.

    Fixed sequence: the first ef in the order whose mean loss exceeds the limit is passed with probability at most
    1 - confidence, and without passing it no later one is reached, so no penalty is due for the number of values
    (Bauer 1991; Angelopoulos, Bates, Candes, Jordan and Lei 2025, Learn then Test). The mean loss need not fall with
    ef; the order must not come from the same losses.

    Risk control: losses are first made monotone, each query's loss being the largest at this ef or a higher one. The
    expected loss at the ef chosen, over the draw of the sample and of one more query, is then at most the limit, where
    a sample for which none is found counts as no loss (exact search in its place); see `bounds.risk_control`.

    Examples
    --------
    >>> from neighborhood_drift.calibration.targets import MeanOverlap
    >>> losses = np.repeat([[0.2], [0.01], [0.0]], 500, axis=1)
    >>> choice = decide(losses, [10, 20, 40], MeanOverlap(0.95))
    >>> choice.ef, round(choice.bound, 4)
    (20, 0.9831)
    """
    losses, efs = _checked(losses, efs)
    bound = one_of(target.bound if bound is None else bound, BOUNDS, "bound")
    one_of(correction, CORRECTIONS, "correction")
    delta = 1 - checked_confidence(confidence)
    if bound == "risk-control":
        losses = np.maximum.accumulate(losses[::-1])[::-1]
    level = delta / len(efs) if correction == "bonferroni" else delta
    passes = certain(bound, losses, target.limit, level, seed)
    if correction == "fixed-sequence":
        passes = np.logical_and.accumulate(passes[::-1])[::-1]
    ef = int(efs[passes.argmax()]) if passes.any() else None
    shown = None if bound == "risk-control" else confidence
    return Choice(ef, target, None, shown, (bound, correction), efs, losses, passes, level, seed)


def queries_needed(
    target: Target, confidence: float = 0.95, *, bound: str | None = None, correction: str = "fixed-sequence",
    efs: int = 1,
) -> int:  # fmt: skip
    """The fewest queries with which `decide` can certify a target at all: enough where no query of them has a loss.

    >>> from neighborhood_drift.calibration.targets import MeanOverlap
    >>> queries_needed(MeanOverlap(0.99)), queries_needed(MeanOverlap(0.99), bound="empirical-bernstein")
    (349, 862)
    """
    bound = one_of(target.bound if bound is None else bound, BOUNDS, "bound")
    delta = 1 - checked_confidence(confidence)
    divided = one_of(correction, CORRECTIONS, "correction") == "bonferroni"
    return least_queries(bound, target.limit, delta / whole_number(efs, "efs", 1) if divided else delta)


def checked_confidence(confidence: float) -> float:
    """Return the confidence if it lies between 0.5 and 1, 0.5 included."""
    if not isinstance(confidence, (int, float, np.number)) or not 0.5 <= confidence < 1:
        raise InputError(f"confidence is {confidence!r}; it must be at least 0.5 and below 1, such as 0.95.")
    return confidence


def _checked(losses, efs):
    losses = numbers(losses, "losses")
    efs = np.asarray(efs)
    if efs.ndim != 1 or efs.dtype.kind not in "iu" or not len(efs) or (np.diff(efs) <= 0).any():
        raise InputError("efs must be whole numbers that ascend, at least one of them.")
    if losses.ndim != 2 or len(losses) != len(efs) or not losses.shape[1]:
        raise InputError(
            f"losses have shape {losses.shape}; they must have a row each of {len(efs)} ef, a column a query."
        )
    if not (losses.min() >= 0 and losses.max() <= 1):
        raise InputError("losses must lie in 0 to 1 and hold no NaN.")
    return losses, efs.astype(np.int64)
