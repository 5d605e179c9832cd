"""What every store of vectors offers, whoever keeps them: one interface, its answers, and ids that are the user's."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..checks import InputError

Id = int | str
LOWEST_ID, HIGHEST_ID = -(2**63), 2**63 - 1


@dataclass(frozen=True, eq=False)
class Hits:
    """The points that a store found for q queries.

    Parameters
    ----------
    ids : tuple of tuples
        q lists of the user's ids, nearest first; a list is shorter than k where fewer points were found.
    distances : tuple of arrays
        q float64 arrays as long as the lists, ascending: Euclidean distances (never squared), or 1 - cos.
    k : int
        Neighbors asked for.
    ef : int or None
        Search effort; None for an exact search, and for a store that does not say.
    seconds : float
        Wall time of the search in the store.
    exact : bool

    Examples
    --------
    >>> hits = Hits(((7, "a"), ()), (np.array([0.5, 1.0]), np.array([])), k=2, ef=50, seconds=0.0)
    >>> hits.found
    array([2, 0])
    >>> hits.note
    '1 of 2 queries found fewer than k = 2 neighbors, the fewest 0.'
    """

    ids: tuple[tuple[Id, ...], ...]
    distances: tuple[np.ndarray, ...]
    k: int
    ef: int | None
    seconds: float
    exact: bool = False

    @property
    def found(self) -> np.ndarray:
        """(q,) int64, how many neighbors each query got."""
        return np.array([len(one) for one in self.ids], dtype=np.int64)

    @property
    def note(self) -> str:
        """One sentence where a query got fewer than k neighbors; empty otherwise."""
        short = self.found < self.k
        if not short.any():
            return ""
        return (
            f"{int(short.sum())} of {len(short)} queries found fewer than k = {self.k} neighbors, "
            f"the fewest {self.found.min()}."
        )


def overlap_of_hits(exact: Hits, approx: Hits) -> np.ndarray:
    """Share of the true neighbors that were returned, by id.

    Parameters
    ----------
    exact, approx : Hits
        Answers to the same q queries.

    Returns
    -------
    (q,) float64
        nan where a query has no true neighbor.

    Raises
    ------
    InputError
        If the numbers of queries differ.

    Examples
    --------
    >>> near = np.array([0.1, 0.2])
    >>> first = Hits(((1, 2),), (near,), k=2, ef=None, seconds=0.0, exact=True)
    >>> overlap_of_hits(first, Hits(((2, 3),), (near,), k=2, ef=10, seconds=0.0))
    array([0.5])
    """
    if len(exact.ids) != len(approx.ids):
        raise InputError(f"exact answers {len(exact.ids)} queries and approx {len(approx.ids)}; both must be the same.")
    pairs = zip(exact.ids, approx.ids, strict=True)
    return np.array([len({*true} & {*got}) / len(true) if true else np.nan for true, got in pairs], dtype=np.float64)


class Store(ABC):
    """Vectors under the user's ids: added, searched and deleted at any time, from any thread.

    Attributes
    ----------
    kind : str
        What keeps the vectors, for readers.
    metric : str
        "l2" or "cosine".
    dimension : int or None
        d; None until the first points are added.
    """

    kind: ClassVar[str]
    metric: str
    dimension: int | None

    @abstractmethod
    def add(
        self,
        vectors,
        ids: Iterable[Id] | None = None,
        metadata: Sequence[dict | None] | None = None,
        *,
        replace: bool = False,
        progress: bool = False,
    ) -> list[Id]:
        """Add points; all of them, or none where a value is refused.

        Parameters
        ----------
        vectors : (m, d) array
        ids : iterable of int or str, optional
            One a point, without repetition; 64-bit whole numbers or any text. Without it, whole numbers from 0 on that
            follow the highest there is.
        metadata : sequence of dict or None, optional
            One a point; values as in JSON. ``label`` and ``image`` (a path) are shown by the service and the commands.
        replace : bool, default False
            Whether an id that is there already gets the new vector and metadata; else it is refused.
        progress : bool, default False

        Returns
        -------
        list
            The ids, in the order of the vectors.

        Raises
        ------
        InputError
        """

    @abstractmethod
    def search(self, queries, k: int = 10, *, ef: int | None = None, target=None, exact: bool = False) -> Hits:
        """Search the k nearest points of each query.

        Parameters
        ----------
        queries : (q, d) array
        k : int
            At least 1; where the store holds fewer points, all of them come and `Hits.note` says so.
        ef : int, optional
            Search effort; the store's own if neither this nor ``target`` is given.
        target : str or Target, optional
            What the search has to reach, such as "overlap=0.99", instead of ``ef``: see `choose_ef`. A k of all points
            or more takes the effort that meets all; so does a target that the store was given where it holds too few
            points to certify it. One that is named here is then refused.
        exact : bool, default False
            The true neighbors; equal distances in the order in which points were added.

        Raises
        ------
        InputError
        """

    @abstractmethod
    def delete(self, ids: Iterable[Id]) -> int:
        """Delete points; no search that begins after this returns them. Returns how many.

        Raises an `InputError` that names the first id that is not there; nothing is deleted then.
        """

    @abstractmethod
    def vectors(self, ids: Iterable[Id]) -> np.ndarray:
        """(m, d) float32, the vectors of points as they were added; an unknown id is refused."""

    @abstractmethod
    def metadata(self, ids: Iterable[Id]) -> list[dict]:
        """Metadata of points, an empty dict where there is none; an unknown id is refused."""

    @abstractmethod
    def ids(self, start: int = 0, count: int | None = None) -> list[Id]:
        """Ids of the points that are there, in a fixed order: ``count`` of them after the first ``start``."""

    @abstractmethod
    def count(self) -> int:
        """How many points there are, deleted ones not counted."""

    @abstractmethod
    def compact(self, *, background: bool = False) -> None:
        """Free what deleted points still take; searches and changes go on meanwhile."""

    @abstractmethod
    def save(self, path=None) -> None:
        """Keep all that was added and deleted so far: the old state or the new one, never a mixture."""

    @abstractmethod
    def info(self) -> dict:
        """What the store is: kind, metric, dimension, points, deleted, and what else it knows, as in JSON."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and background work; what was not saved is not saved by this."""

    def __len__(self) -> int:
        return self.count()

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.close()


def checked_ids(ids: Iterable[Id], count: int | None = None) -> list[Id]:
    """Ids as Python's own ints and strs, each once.

    Raises
    ------
    InputError
        If one is neither a whole number of 64 bits nor text, comes twice, or there are not ``count`` of them.

    Examples
    --------
    >>> checked_ids([np.int32(3), "b"])
    [3, 'b']
    >>> checked_ids([1, 1])
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: id 1 is given twice; ids are given once each.
    """
    checked = [_checked_id(one) for one in ([ids] if isinstance(ids, str) else ids)]
    if count is not None and len(checked) != count:
        raise InputError(f"{len(checked)} ids are given for {count} vectors; there must be one a vector.")
    if len(set(checked)) < len(checked):
        seen: set[Id] = set()
        twice = next(one for one in checked if one in seen or seen.add(one))
        raise InputError(f"id {twice!r} is given twice; ids are given once each.")
    return checked


def _checked_id(one) -> Id:
    if isinstance(one, (str, np.str_)):
        try:
            one.encode()
        except UnicodeEncodeError:
            raise InputError(f"id {one!r} is not valid Unicode; an id is a whole number or text.") from None
        return str(one)
    if isinstance(one, (bool, np.bool_)) or not isinstance(one, (int, np.integer)):
        raise InputError(f"id {one!r} is neither a whole number nor text; those are what an id can be.")
    if not LOWEST_ID <= one <= HIGHEST_ID:
        raise InputError(f"id {one} does not fit 64 bits; whole numbers go from {LOWEST_ID} to {HIGHEST_ID}.")
    return int(one)


def checked_metadata(metadata: Sequence[dict | None] | None, count: int) -> list[dict]:
    """Metadata of ``count`` points as JSON holds it, an empty dict where there is none.

    Raises an `InputError` where there are not ``count``, or one is no dict or holds what JSON cannot.

    >>> checked_metadata([None, {"label": np.int64(3)}], 2)
    [{}, {'label': 3}]
    """
    if metadata is None:
        return [{} for _ in range(count)]
    metadata = list(metadata)
    if len(metadata) != count:
        raise InputError(f"{len(metadata)} metadata are given for {count} vectors; there must be one a vector.")
    return [{} if one is None else _as_json(one) for one in metadata]


def _as_json(one: dict) -> dict:
    if not isinstance(one, dict):
        raise InputError(f"metadata {one!r} is no dict; each is a dict or None.")
    try:
        return json.loads(json.dumps(one, allow_nan=False, default=lambda value: value.item()))
    except (TypeError, ValueError, AttributeError, RecursionError):
        raise InputError(
            f"metadata {one!r} cannot be written as JSON; values are text, finite numbers, lists and dicts."
        ) from None
