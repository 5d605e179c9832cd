"""How a collection's graph is built: parameters within what hnswlib takes, and its empty index."""

from __future__ import annotations

from dataclasses import dataclass

from ..checks import METRICS, one_of, whole_number
from ..indexes.base import HIGHEST_EF, HIGHEST_SEED
from ..indexes.hnswlib_index import hnswlib_library

HIGHEST_M = 10_000  # hnswlib takes no more


@dataclass(frozen=True)
class Settings:
    """How a collection's graph is built and its vectors are compared."""

    metric: str = "l2"
    M: int = 32
    ef_construction: int = 200
    seed: int = 0
    threads: int = 1

    @classmethod
    def checked(cls, metric, M, ef_construction, seed, threads) -> Settings:
        """Settings within what hnswlib takes; an `InputError` names the first that is not."""
        return cls(
            one_of(metric, METRICS, "metric"),
            whole_number(M, "M", 2, HIGHEST_M),
            whole_number(ef_construction, "ef_construction", 1, HIGHEST_EF),
            whole_number(seed, "seed", 0, HIGHEST_SEED),
            whole_number(threads, "threads", 1),
        )

    def native(self, dimension: int):
        """The library's index, empty; for the cosine vectors are scaled to length 1 before it gets them."""
        return hnswlib_library().Index(space="l2" if self.metric == "l2" else "ip", dim=dimension)
