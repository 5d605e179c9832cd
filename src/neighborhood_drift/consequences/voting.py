"""Labels from neighbors: a vote of each point's list, how sure it was, and labels spread over the graph of lists."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from sklearn.semi_supervised import LabelSpreading

from ..knn_graph import links
from ..neighbors import MISSING, Neighbors

# Labelled points of each class, from which the others' labels are spread.
LABELLED = 5
# Bins of confidence; ten are customary (Guo, Pleiss, Sun and Weinberger 2017).
BINS = 10


def vote(nb: Neighbors, labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class of most neighbors of each point, how many of its neighbors agree, and of how many.

    Parameters
    ----------
    nb : Neighbors
        (n, k) lists over labelled points.
    labels : (n,) integers, at least 0
        As `Case.labels`: a negative one could not be told from no answer.

    Returns
    -------
    winner : (n,) int64
        Of equally strong classes the one whose nearest member is nearer; -1 where a list is empty.
    agreeing : (n,) int64
        Neighbors of that class.
    found : (n,) int64
        Neighbors in the list.

    Examples
    --------
    >>> vote(Neighbors([[1, 2], [0, -1]], [[1.0, 2.0], [1.0, np.inf]]), [5, 3, 8])
    (array([3, 5]), array([1, 1]), array([2, 1]))
    """
    classes, codes = np.unique(labels, return_inverse=True)
    there = nb.ids != MISSING
    rows, places = np.nonzero(there)
    votes = np.zeros((len(nb.ids), len(classes)), dtype=np.int64)
    first = np.full(votes.shape, nb.k)
    voted = codes[nb.ids[there]]
    np.add.at(votes, (rows, voted), 1)
    np.minimum.at(first, (rows, voted), places)
    winner = np.argmax(votes - first / (nb.k + 1), axis=1)
    found = nb.found
    return np.where(found > 0, classes[winner], MISSING), votes[np.arange(len(votes)), winner], found


def calibration_error(right, agreeing, found) -> float:
    """Mean gap between confidence and the share of right answers, over bins of confidence.

    Parameters
    ----------
    right : (n,) bool
    agreeing, found : (n,) integers
        Of `vote`; confidence is agreeing / found, and 0 where none was found.

    Notes
    -----
    The expected calibration error of Guo, Pleiss, Sun and Weinberger (2017), equation 3, with their bins: of equal
    width, each with its upper edge and without its lower one, each weighted by its points. Votes are counts, so which
    bin a confidence on an edge is in does not hang on its last bit.

    Examples
    --------
    >>> calibration_error([True, False], [3, 3], [4, 4])
    0.25
    """
    right, agreeing, of = np.asarray(right, dtype=np.float64), np.asarray(agreeing), np.maximum(found, 1)
    confidence = agreeing / of
    bins = np.maximum(-(-agreeing * BINS // of) - 1, 0)
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def mutual(nb: Neighbors) -> csr_array:
    """Adjacency of the graph in which two points are linked if either lists the other: (n, n), ones."""
    listed = links(nb).astype(np.float64)
    return listed.maximum(listed.T)


def spread_labels(nb: Neighbors, labels, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spread the labels of a few points of each class over the graph of the lists.

    Parameters
    ----------
    nb : Neighbors
        (n, k) lists.
    labels : (n,) integers, at least 0
    seed : int
        Draws the labelled points: five of each class, or all but one of a smaller one.

    Returns
    -------
    (n,) int64, (n,) bool
        The label that each point ends with (-1: no label reached it), and which ones were not labelled at first.

    Notes
    -----
    Label spreading of Zhou et al. (2004) as in scikit-learn, on the unweighted graph of `mutual`.
    """
    labels = np.asarray(labels)
    generator = np.random.default_rng([seed, 5])
    given = np.full(len(labels), MISSING)
    for one in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == one))[
            : max(1, min(LABELLED, (labels == one).sum() - 1))
        ]
        given[members] = one
    graph = csr_matrix(mutual(nb))
    model = LabelSpreading(kernel=lambda *_: graph, max_iter=200).fit(np.zeros((len(labels), 1)), given)
    reached = model.label_distributions_.sum(axis=1) > 0
    return np.where(reached, model.transduction_, MISSING), given == MISSING
