"""A store seen as an index over the points that it holds, so that an effort can be chosen for it."""

from __future__ import annotations

import numpy as np

from ..checks import InputError
from ..files import checksum
from ..indexes.base import HIGHEST_EF, Index
from ..neighbors import MISSING
from .store import Store


class StoreIndex(Index):
    """The points of a store under row numbers; points added since are missing slots in what it finds.

    Attributes
    ----------
    base : (n, d) float32
        The vectors, as read from the store.
    """

    engine = kept_as = package = "store"
    effort = "ef"

    def __init__(self, native: Store, about: dict, ids: list, base: np.ndarray):
        super().__init__(native, about)
        self.base = base
        self._row = {one: row for row, one in enumerate(ids)}

    @classmethod
    def over(cls, store: Store) -> StoreIndex:
        """Read the points of a store; raises an `InputError` where one is deleted meanwhile."""
        ids = store.ids()
        base = store.vectors(ids)
        about = {
            "metric": store.metric, "seed": 0, "params": {}, "size": len(ids), "dimension": base.shape[1],
            "seconds": 0.0, "base": checksum(base), "key": checksum(base), "ef": store.ef, "threads": 1,
        }  # fmt: skip
        return cls(store, about, ids, base)

    @classmethod
    def version(cls) -> str:
        return "store"

    def effective_ef(self, k, ef):
        return max(ef, k)

    def effort_range(self):
        return 1, min(self.size, HIGHEST_EF)

    def _ask(self, queries, k, ef, threads):
        found = self.native.search(queries, k, ef=ef)
        ids = np.full((len(queries), k), MISSING, dtype=np.int64)
        values = np.full((len(queries), k), np.inf)
        for row, (one, distances) in enumerate(zip(found.ids, found.distances, strict=True)):
            ids[row, : len(one)] = [self._row.get(point, MISSING) for point in one]
            values[row, : len(one)] = distances
        return ids, values, None

    def _distances(self, values):
        return values

    @classmethod
    def _build(cls, points, about):
        raise InputError("a store is not built as an index; use its add().")

    def _write(self, path):
        raise InputError("a store is not written as an index; use its save().")

    @classmethod
    def _read(cls, path, about):
        raise InputError("a store is not read as an index; use open_store().")
