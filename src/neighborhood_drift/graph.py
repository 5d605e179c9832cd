"""The graph inside an HNSW index, as sparse matrices: degrees, levels, and the points no search can reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import skew

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
            reached = closure(links, reached)
        return np.setdiff1d(np.arange(self.size), reached)

    def renamed(self, ids) -> Graph:
        """The same graph where point i is called ``ids[i]``; ``ids`` is a permutation of 0 to n - 1.

        It makes graphs comparable whose points were inserted in another order.
        """
        ids = np.asarray(ids)
        if not np.array_equal(np.sort(ids), np.arange(self.size)):
            raise InputError(f"ids must be a permutation of 0 to {self.size - 1}.")
        levels = np.empty_like(self.levels)
        levels[ids] = self.levels
        links = [(ids[rows], ids[columns]) for rows, columns in (matrix.nonzero() for matrix in self.links)]
        return Graph(levels, stack_levels(links, self.size), int(ids[self.entry_point]))


def closure(links: csr_array, start: np.ndarray) -> np.ndarray:
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


def level_table(graphs: dict[str, Graph], M: int) -> pd.DataFrame:
    """Points at each level of each graph, and the number the law of levels expects.

    A point's level is floor(-ln(u) / ln(M)) with u uniform on (0, 1), so it stands at level l with probability M^-l
    (Malkov and Yashunin 2020, section 4: the normalisation m_L = 1 / ln(M)).

    Parameters
    ----------
    graphs : dict of str to Graph
        Graphs by engine name, built with the same M.
    M : int

    Returns
    -------
    DataFrame
        One row a graph and level: engine, level, points, expected (n M^-level), and spread, the standard deviation of
        the number when levels are drawn (binomial).

    Examples
    --------
    >>> graph = Graph(np.zeros(3, dtype=int), stack_levels([([0, 1, 2], [1, 0, 0])], 3), 0)
    >>> level_table({"hnswlib": graph}, 4)
        engine  level  points  expected  spread
    0  hnswlib      0       3       3.0     0.0
    """
    M = whole_number(M, "M", 2)
    rows = []
    for engine, graph in graphs.items():
        for level, points in enumerate(graph.level_counts().tolist()):
            chance = float(M) ** -level
            spread = np.sqrt(graph.size * chance * (1 - chance))
            rows.append((engine, level, points, graph.size * chance, spread))
    return pd.DataFrame(rows, columns=["engine", "level", "points", "expected", "spread"])


def degree_table(graphs: dict[str, Graph], level: int = 0) -> pd.DataFrame:
    """Share of the points with at least each degree.

    Returns
    -------
    DataFrame
        One row a graph, direction and degree: engine, direction ("out" or "in"), degree from 0 to the largest, share
        of the points at ``level`` with that degree or a larger one.

    Examples
    --------
    >>> graph = Graph(np.zeros(2, dtype=int), stack_levels([([0], [1])], 2), 0)
    >>> degree_table({"hnswlib": graph}).query("direction == 'in'")["share"].tolist()
    [1.0, 0.5]
    """
    tables = []
    for engine, graph in graphs.items():
        for direction, degree in (("out", graph.out_degree(level)), ("in", graph.in_degree(level))):
            counts = np.bincount(degree)
            share = counts[::-1].cumsum()[::-1] / len(degree)
            table = {"engine": engine, "direction": direction, "degree": np.arange(len(counts)), "share": share}
            tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def anatomy(graphs: dict[str, Graph]) -> pd.DataFrame:
    """Level 0 of each graph in numbers.

    Returns
    -------
    DataFrame
        One row a graph: engine, links (mean out-degree), largest_out, largest_in (degrees), in_skew (skewness of the
        in-degree: hubs make it large), unlinked (points with in-degree 0), unreachable (points).
    """
    rows = []
    for engine, graph in graphs.items():
        out, into = graph.out_degree(), graph.in_degree()
        rows.append(
            {
                "engine": engine,
                "links": out.mean(),
                "largest_out": int(out.max()),
                "largest_in": int(into.max()),
                "in_skew": float(skew(into)),
                "unlinked": int((into == 0).sum()),
                "unreachable": len(graph.unreachable()),
            }
        )
    return pd.DataFrame(rows)
