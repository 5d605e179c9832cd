"""What may be asked of an effort: a loss of each query, from 0 to 1, and the mean loss that can be borne.

A loss is cut at 1, since a mean of values without a limit has no bound from a sample: a query that is worse counts as
one with a loss of 1, and what is certified is the mean of the losses so cut. A query with a missing slot has the loss 1
(for overlap: the missing neighbors count as lost), and so has one whose value is not defined, unless its list is the
exact one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..checks import InputError
from ..metrics import drift, overlap
from ..neighbors import MISSING, Neighbors


class Target:
    """What `decide` and `measure` need of a target; a query's loss lies in [0, 1].

    Attributes
    ----------
    limit : float
        The highest mean loss that reaches the target, in [0, 1].
    guarantee : str
        "mean" or "share": with the confidence chosen, the mean over queries is within the limit; "expected": the
        expectation of the loss is, over the draw of sample and query, and no confidence enters.
    bound : str
        The bound used where none is named.
    quantity : str
        What is certified, in words.
    """

    guarantee: ClassVar[str] = "mean"
    bound: ClassVar[str] = "betting"
    quantity: ClassVar[str]

    def value(self, loss):
        """A mean loss in [0, 1] as the quantity it stands for."""
        return np.asarray(loss, dtype=np.float64)

    def shown(self, value: float) -> str:
        """A value of the quantity, for readers."""
        return f"{value:.4f}"

    @property
    def goal(self) -> float:
        """The quantity that is just good enough."""
        return float(self.value(self.limit))

    @property
    def ideal(self) -> float:
        """The quantity where the lists are the exact ones."""
        return float(self.value(0.0))


@dataclass(frozen=True)
class _AtLeast(Target):
    """A mean over queries of a share of neighbors found."""

    least: float = 0.99
    option: ClassVar[str]

    def __post_init__(self):
        _between(self.least, self.option)

    @property
    def text(self) -> str:
        """The target in words."""
        return f"{self.quantity} of at least {self.least:g}"

    @property
    def limit(self) -> float:
        """The mean share of neighbors lost that can be borne."""
        return 1 - self.least

    def value(self, loss):
        """A mean loss in [0, 1] as a mean share found."""
        return 1 - np.asarray(loss, dtype=np.float64)


@dataclass(frozen=True)
class MeanOverlap(_AtLeast):
    """Mean overlap with the exact neighbors of at least ``least``; of equally near points only the exact ones count.

    >>> MeanOverlap(0.99).text
    'mean overlap of at least 0.99'
    """

    quantity: ClassVar = "mean overlap"
    option: ClassVar = "overlap"

    def per_query(self, calibration, exact_k: Neighbors, found: Neighbors) -> np.ndarray:
        """(q,) share of the true neighbors that were not returned."""
        return 1 - overlap(exact_k, found)


@dataclass(frozen=True)
class TieAwareRecall(_AtLeast):
    """Mean `metrics.tie_aware_recall` of at least ``least``: any point as near as the k-th true neighbor counts.

    For vectors with many copies or equal distances, of which overlap asks for the very ones in the exact list. The
    distances are measured anew in float64, as in `metrics.drift`.

    >>> TieAwareRecall(0.99).text
    'mean tie-aware recall of at least 0.99'
    """

    quantity: ClassVar = "mean tie-aware recall"
    option: ClassVar = "recall"

    def per_query(self, calibration, exact_k: Neighbors, found: Neighbors) -> np.ndarray:
        """(q,) share of the k slots that hold no point as near as the k-th true neighbor."""
        return 1 - _measured(calibration, exact_k, found)["tie_aware_recall"].to_numpy()


@dataclass(frozen=True)
class ShareBelow(Target):
    """A share of at most ``share`` of the queries with an overlap below ``overlap``.

    >>> ShareBelow(0.9, 0.05).text
    'at most 5 % of queries with overlap below 0.9'
    """

    overlap: float = 0.9
    share: float = 0.05
    guarantee: ClassVar = "share"
    bound: ClassVar = "clopper-pearson"

    def __post_init__(self):
        _between(self.overlap, "the overlap of a share below", one=True)
        _between(self.share, "the share of queries")

    @property
    def text(self) -> str:
        """The target in words."""
        return f"at most {100 * self.share:g} % of queries with overlap below {self.overlap:g}"

    @property
    def quantity(self) -> str:
        """What is certified, in words."""
        return f"share of queries with overlap below {self.overlap:g}"

    def shown(self, value: float) -> str:
        """A share in percent."""
        return f"{100 * value:.2f} %"

    @property
    def limit(self) -> float:
        """The share of queries that can be borne."""
        return self.share

    def per_query(self, calibration, exact_k: Neighbors, found: Neighbors) -> np.ndarray:
        """(q,) 1 where the overlap is below, else 0."""
        return (overlap(exact_k, found) < self.overlap).astype(np.float64)


@dataclass(frozen=True)
class _Geometric(Target):
    """A mean over queries of a column of `metrics.drift`, in expectation."""

    guarantee: ClassVar = "expected"
    bound: ClassVar = "risk-control"

    @property
    def text(self) -> str:
        """The target in words."""
        return f"{self.quantity} of at most {self.goal:g}"

    def per_query(self, calibration, exact_k: Neighbors, found: Neighbors) -> np.ndarray:
        """(q,) loss, cut at 1; 1 with a missing slot, 0 where the list is the exact one."""
        loss = np.asarray(self._loss(_measured(calibration, exact_k, found)), dtype=np.float64)
        loss = np.where(np.isnan(loss) | (found.found < exact_k.found), 1.0, np.clip(loss, 0.0, 1.0))
        return np.where(overlap(exact_k, found) == 1, 0.0, loss)


@dataclass(frozen=True)
class DistanceRatio(_Geometric):
    """Mean distance to the returned neighbors over that to the true ones: at most ``most`` in the mean over queries.

    A query's ratio is cut at 2: neighbors twice as far as the true ones are as bad as any.

    >>> DistanceRatio(1.01).text
    'mean distance ratio of at most 1.01'
    """

    most: float = 1.01
    quantity: ClassVar = "mean distance ratio"

    def __post_init__(self):
        _between(self.most - 1, "the distance ratio's excess over 1")

    @property
    def limit(self) -> float:
        """The mean excess of the ratio over 1 that can be borne."""
        return self.most - 1

    def value(self, loss):
        """A mean loss in [0, 1] as a mean ratio."""
        return 1 + np.asarray(loss, dtype=np.float64)

    def _loss(self, table):
        same = (table["mean_distance_exact"] == 0) & (table["mean_distance"] == 0)
        return np.where(same, 0.0, table["mean_distance_ratio"] - 1)


@dataclass(frozen=True)
class _AtMost(_Geometric):
    """A mean of losses that are the quantity itself."""

    most: float = 0.05
    option: ClassVar[str]

    def __post_init__(self):
        _between(self.most, self.option)

    @property
    def limit(self) -> float:
        """The mean that can be borne."""
        return self.most


@dataclass(frozen=True)
class BarycenterShift(_AtMost):
    """Mean shift of the neighbors' barycenter, over each query's mean true distance: at most ``most``.

    A query's shift is cut at 1, its mean true distance.

    >>> BarycenterShift(0.05).text
    'mean barycenter shift of at most 0.05'
    """

    quantity: ClassVar = "mean barycenter shift"
    option: ClassVar = "barycenter"

    def _loss(self, table):
        return np.where(table["barycenter_shift_raw"] == 0, 0.0, table["barycenter_shift"])


@dataclass(frozen=True)
class LidBias(_AtMost):
    """Mean over queries of the size of the LID's relative error: at most ``most``.

    The relative bias, which is the mean with signs, then is at most that too, whichever way it points. A query's error
    is cut at 1, the LID from exact neighbors itself.

    >>> LidBias(0.05).text
    'mean relative error of the LID of at most 0.05'
    """

    quantity: ClassVar = "mean relative error of the LID"
    option: ClassVar = "lid-bias"

    def _loss(self, table):
        return (table["lid_difference"] / table["lid_exact"]).abs()


def _between(value, what: str, *, one: bool = False) -> None:
    if not isinstance(value, (int, float, np.number)) or not (0 < value < 1 or (one and value == 1)):
        raise InputError(f"{what} is {value!r}; it must be above 0 and {'at most' if one else 'below'} 1.")


def _measured(calibration, exact_k: Neighbors, found: Neighbors):
    """The table of `metrics.drift`, over those points alone that stand in a list: a large base is not read again."""
    used = np.unique(np.concatenate([exact_k.ids, found.ids], axis=None))
    used = used[used != MISSING]

    def renamed(nb):
        return Neighbors(np.where(nb.ids == MISSING, MISSING, np.searchsorted(used, nb.ids)), nb.distances)

    lists = {exact_k.k: renamed(found)}
    queries, metric = calibration.queries, calibration.metric
    return drift(calibration.base[used], renamed(exact_k), lists, queries=queries, metric=metric)
