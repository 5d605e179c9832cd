"""The graph inside an HNSW index, as sparse matrices: degrees, levels, and the points no search can reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .checks import InputError, whole_number


def stack_levels(links, n: int) -> tuple[csr_array, ...]:
    """One (n, n) boolean CSR matrix a level, from (sources, targets) a level.

    >>> stack_levels([([0, 0], [1, 2])], 3)[0].toarray().astype(int)
    array([[0, 1, 1],
           [0, 0, 0],
           [0, 0, 0]])
    """
    matrices = []
    for sources, targets in links:
        matrix = csr_array((np.ones(len(sources), dtype=bool), (sources, targets)), shape=(n, n))
        matrix.sum_duplicates()
        matrices.append(matrix)
    return tuple(matrices)


@dataclass(frozen=True, eq=False)
class Graph:
    """The levels and links of an HNSW graph over n points.

    Parameters
    ----------
    levels : (n,) int64
        Highest level of each point; every point stands at level 0.
    links : tuple of (n, n) boolean CSR
        For each level, True at (i, j) where point i links to point j.
    entry_point : int
        Point at which every search starts, on the highest level.

    Examples
    --------
    Three points at level 0; the first links to the second, nothing links to the third:

    >>> graph = Graph(np.zeros(3, dtype=int), stack_levels([([0, 1, 2], [1, 0, 0])], 3), 0)
    >>> graph.out_degree(), graph.in_degree(), graph.unreachable()
    (array([1, 1, 1]), array([2, 1, 0]), array([2]))
    """

    levels: np.ndarray
    links: tuple[csr_array, ...]
    entry_point: int

    def __post_init__(self):
        if len(self.links) != int(self.levels.max()) + 1:
            raise InputError(f"{len(self.links)} levels of links for points up to level {int(self.levels.max())}.")

    @property
    def size(self) -> int:
        """Number of points n."""
        return len(self.levels)

    def neighbors(self, level: int = 0) -> csr_array:
        """(n, n) boolean CSR of the links at ``level``."""
        return self.links[whole_number(level, "level", 0, len(self.links) - 1)]

    def points(self, level: int = 0) -> np.ndarray:
        """Ids of the points that stand at ``level``."""
        return np.flatnonzero(self.levels >= whole_number(level, "level", 0, len(self.links) - 1))

    def out_degree(self, level: int = 0) -> np.ndarray:
        """Links that leave each point of ``level``, in the order of `points`."""
        return np.diff(self.neighbors(level).indptr)[self.points(level)].astype(np.int64)

    def in_degree(self, level: int = 0) -> np.ndarray:
        """Links that lead to each point of ``level``, in the order of `points`."""
        return np.bincount(self.neighbors(level).indices, minlength=self.size)[self.points(level)]

    def level_counts(self) -> np.ndarray:
        """Points that stand at each level, from level 0 (all of them) up."""
        return np.array([(self.levels >= level).sum() for level in range(len(self.links))])

    def unreachable(self) -> np.ndarray:
        """Ids of the points that no search can return, whatever the query and however great the effort.

        From the entry point the links of the highest level are followed, from all points reached those of the next
        level, and so on down to level 0. A search visits a part of these points, so what is left out is never found;
        of the others a single search may still miss some at any effort, since it enters level 0 at one point only.
        """
        reached = np.array([self.entry_point])
        for links in reversed(self.links):
            reached = _closure(links, reached)
        return np.setdiff1d(np.arange(self.size), reached)


def _closure(links: csr_array, start: np.ndarray) -> np.ndarray:
    """All points that links lead to from ``start``, itself included."""
    seen = np.zeros(links.shape[0], dtype=bool)
    seen[start] = True
    frontier = start
    while frontier.size:
        targets = np.unique(links[frontier].indices)
        frontier = targets[~seen[targets]]
        seen[frontier] = True
    return np.flatnonzero(seen)


def common_links(one: Graph, other: Graph, level: int = 0) -> dict[str, float]:
    """How many links two graphs over the same points share at ``level``.

    Returns
    -------
    dict
        ``shared``: number of links in both; ``of_one``, ``of_other``: its share of each graph's links;
        ``jaccard``: its share of the links in either.

    Examples
    --------
    >>> one = Graph(np.zeros(3, dtype=int), stack_levels([([0, 1, 2], [1, 0, 0])], 3), 0)
    >>> other = Graph(np.zeros(3, dtype=int), stack_levels([([0, 1], [1, 2])], 3), 0)
    >>> common_links(one, other)["jaccard"]
    0.25
    """
    if one.size != other.size:
        raise InputError(f"the graphs have {one.size} and {other.size} points; they must be over the same base.")
    first, second = one.neighbors(level), other.neighbors(level)
    shared = int(first.multiply(second).count_nonzero())
    return {
        "shared": shared,
        "of_one": shared / max(first.nnz, 1),
        "of_other": shared / max(second.nnz, 1),
        "jaccard": shared / max(first.nnz + second.nnz - shared, 1),
    }


def expected_level_counts(n: int, M: int, levels: int) -> np.ndarray:
    """Points expected at each level: n M^-level.

    A point's level is floor(-ln(u) / ln(M)) with u uniform on (0, 1), so that it stands at level l with probability
    M^-l (Malkov and Yashunin 2020, section 4: the normalisation m_L = 1 / ln(M)).

    >>> expected_level_counts(1000, 10, 3)
    array([1000.,  100.,   10.])
    """
    return n * float(whole_number(M, "M", 2)) ** -np.arange(levels)
