"""Efforts that were chosen for a collection by a target, each for the collection as it was then."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ..calibration import calibration_sample, choose_ef, parse_target
from ..calibration.decide import Choice
from ..calibration.targets import Target
from ..checks import InputError, whole_number
from .locks import KERNELS
from .store import Store
from .view import StoreIndex

STALE = 0.1  # share of the points that may have been added or deleted before an effort is chosen anew


@dataclass(frozen=True)
class Chosen:
    """An effort chosen for ``target`` at ``k``; the changes are points added and deleted since.

    What is certified is certified for the points and the graph of that moment: after changes it is an expectation.
    """

    target: str
    k: int
    ef: int | None
    sentence: str
    points: int
    changes: int = 0

    @property
    def stale(self) -> bool:
        """Whether more than a share of `STALE` of the points has changed."""
        return self.changes > STALE * self.points


class ChosenEfforts:
    """The efforts chosen so far, by target and k.

    >>> efforts = ChosenEfforts([Chosen("mean overlap of at least 0.9", 10, 20, "", points=100, changes=4)])
    >>> efforts.fresh("mean overlap of at least 0.9", 10, version=6).changes
    10
    >>> efforts.fresh("mean overlap of at least 0.9", 10, version=7) is None
    True
    """

    def __init__(self, kept=()):
        self._chosen = {(one.target, one.k): (one, 0) for one in kept}

    def keep(self, choice: Choice, points: int, version: int) -> None:
        """Remember a choice that was made at a version of the collection."""
        chosen = Chosen(choice.target.text, choice.k, choice.ef, choice.sentence, points)
        self._chosen = {**self._chosen, (chosen.target, chosen.k): (chosen, version)}

    def fresh(self, target: str, k: int, version: int) -> Chosen | None:
        """The effort chosen for a target at k, if there is one that is not stale."""
        found = next((one for one in self.all(version) if (one.target, one.k) == (target, k)), None)
        return None if found is None or found.stale else found

    def all(self, version: int) -> list[Chosen]:
        """All efforts, with the changes up to ``version``."""
        return [replace(one, changes=one.changes + version - at) for one, at in self._chosen.values()]

    def forget(self) -> None:
        """Forget all, as the graph is another one."""
        self._chosen = {}

    def as_json(self, version: int) -> list[dict]:
        """What is kept in a collection's file."""
        return [asdict(one) for one in self.all(version)]


def tuned(
    store: Store, target: Target | str, k: int, confidence: float, *, queries, size: int, seed: int, progress: bool
) -> Choice:
    """Choose the smallest effort for a store that nobody changes meanwhile; see `Collection.tune`."""
    target = target if isinstance(target, Target) else parse_target(target)
    points, k = store.count(), whole_number(k, "k", 1)
    if k >= points:
        raise InputError(f"a target at k = {k} needs more than {k} points; the collection has {points}.")
    index = StoreIndex.over(store)
    with KERNELS:
        sample = calibration_sample(index.base, k, queries=queries, size=size, metric=store.metric, seed=seed)
    choice = choose_ef(index, _alone(target), k, confidence, sample=sample, seed=seed, progress=progress)
    return replace(choice, target=target)


def _alone(target: Target) -> Target:
    """The same target, which measures losses while no exact search is at work; these wait for an ef, not for all."""

    class Alone(type(target)):
        def per_query(self, *args):
            with KERNELS:
                return super().per_query(*args)

    return Alone(**vars(target))
