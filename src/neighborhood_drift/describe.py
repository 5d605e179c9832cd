"""What a cloud of vectors looks like: lengths, spectrum, distances, hubs, duplicates, dimension."""

from __future__ import annotations

import numpy as np

from .checks import InputError, vectors, whole_number
from .neighbors import MISSING, Neighbors

_ROWS = 1024  # pairs a block in float64, which bounds the memory of `pair_distances`


def norms(points) -> np.ndarray:
    """Euclidean length of each vector: (n,) float64.

    >>> norms([[3.0, 4.0], [0.0, 0.0]])
    array([5., 0.])
    """
    points = vectors(points, "points")
    return np.sqrt(np.einsum("ij,ij->i", points, points, dtype=np.float64))


def zero_share(points) -> np.ndarray:
    """Share of coordinates of each vector that are exactly zero: (n,) float64.

    >>> zero_share([[3.0, 0.0], [0.0, 0.0]])
    array([0.5, 1. ])
    """
    return (vectors(points, "points") == 0).mean(axis=1)


def singular_values(points) -> np.ndarray:
    """Singular values of the centered (n, d) array, descending: (min(n, d),) float64.

    Taken from the eigenvalues of the smaller of the two products of the array with itself, in float64; values below
    about 1e-8 of the largest are rounding. Squared and divided by n - 1 they are the variances of the principal
    components.

    >>> singular_values([[1.0, 0.0], [-1.0, 0.0]]).round(6)
    array([1.414214, 0.      ])
    """
    points = vectors(points, "points").astype(np.float64)
    points -= points.mean(axis=0)
    product = points.T @ points if points.shape[1] <= points.shape[0] else points @ points.T
    return np.sqrt(np.clip(np.linalg.eigvalsh(product)[::-1], 0, None))


def participation_ratio(singular) -> float:
    """Number of principal components that share the variance: (sum of v)^2 / (sum of v^2), v the squared values.

    It is d for a cloud of equal variance in d directions and 1 for points on a line; nan if all values are zero.

    >>> participation_ratio([2.0, 2.0, 2.0]), participation_ratio([5.0, 0.0, 0.0])
    (3.0, 1.0)
    """
    variances = np.square(np.asarray(singular, dtype=np.float64))
    total = variances.sum()
    return float(total**2 / np.square(variances).sum()) if total > 0 else np.nan


def pair_distances(points, pairs: int = 100_000, *, seed: int = 0, metric: str = "l2") -> np.ndarray:
    """Distances of random pairs of two different points: (pairs,) float64, in the order drawn.

    Parameters
    ----------
    points : (n, d), n of at least two
    pairs : int
        Number of pairs, drawn with replacement.
    seed : int
    metric : {"l2", "cosine"}
        Euclidean length, not squared; or 1 - cos.

    Examples
    --------
    >>> pair_distances([[0.0, 0.0], [3.0, 4.0]], pairs=3)
    array([5., 5., 5.])
    """
    points = vectors(points, "points", metric=metric)
    whole_number(pairs, "pairs", 1)
    n = len(points)
    if n < 2:
        raise InputError("a pair needs two points; one was given.")
    random = np.random.default_rng(seed)
    first = random.integers(n, size=pairs)
    second = (first + random.integers(1, n, size=pairs)) % n
    measured = np.empty(pairs)
    for start in range(0, pairs, _ROWS):
        cut = slice(start, start + _ROWS)
        a, b = points[first[cut]].astype(np.float64), points[second[cut]].astype(np.float64)
        if metric == "l2":
            measured[cut] = np.linalg.norm(a - b, axis=1)
        else:
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            measured[cut] = 1 - np.einsum("ij,ij->i", a, b) / lengths
    return measured


def relative_contrast(pairs, nearest) -> float:
    """Mean distance of random pairs over mean distance to the nearest neighbor.

    Near 1, the nearest neighbor is hardly nearer than any point, and search is hard (He, Kumar and Chang 2012,
    definition 1). nan if every nearest distance is zero.

    >>> relative_contrast([4.0, 6.0], [1.0, 3.0])
    2.5
    """
    below = float(np.mean(nearest))
    return float(np.mean(pairs)) / below if below > 0 else np.nan


def k_occurrence(nb: Neighbors, n: int, k: int | None = None) -> np.ndarray:
    """How often each of the n base points stands in the first k neighbors of the queries: (n,) int64.

    Missing neighbors count for no point; a point that stands twice in a list counts twice.

    >>> k_occurrence(Neighbors([[1, 2], [2, -1]], [[1.0, 2.0], [1.0, np.inf]]), 3)
    array([0, 1, 2])
    """
    ids = nb.ids if k is None else nb.first(k).ids
    if ids.size and ids.max() >= n:
        raise InputError(f"an id is {ids.max()}; the base has {n} points.")
    return np.bincount(ids[ids != MISSING], minlength=n)


def hubness(occurrence) -> float:
    """Skewness of the k-occurrence: third central moment over the cubed standard deviation (divisor n).

    Zero for a symmetric distribution, large where a few points, the hubs, are neighbors of many (Radovanovic,
    Nanopoulos and Ivanovic 2010, section 3); nan if all points occur equally often.

    >>> hubness([1, 1, 1, 5]) > 1, hubness([0, 1, 2])
    (True, 0.0)
    """
    away = np.asarray(occurrence, dtype=np.float64)
    away = away - away.mean()
    spread = np.sqrt(np.mean(away**2))
    return float(np.mean(away**3) / spread**3) if spread > 0 else np.nan


def exact_duplicates(points) -> int:
    """Number of points whose vector, number by number, equals that of an earlier point.

    >>> exact_duplicates([[1.0, 0.0], [1.0, -0.0], [2.0, 0.0]])
    1
    """
    points = vectors(points, "points") + np.float32(0)  # makes -0 and 0 the same bytes
    rows = points.view(np.dtype((np.void, points.itemsize * points.shape[1]))).ravel()
    return len(rows) - len(np.unique(rows))


def near_duplicates(nearest, share: float = 0.25) -> int:
    """Number of points whose nearest neighbor is nearer than ``share`` of the median nearest distance.

    >>> near_duplicates([1.0, 1.1, 0.9, 0.01])
    1
    """
    nearest = np.asarray(nearest, dtype=np.float64)
    return int((nearest < share * np.median(nearest)).sum())


def two_nn(nb: Neighbors, discard: float = 0.1) -> float:
    """Estimate the intrinsic dimension from the ratio of the second to the first neighbor's distance.

    The ratio m has the distribution F(m) = 1 - m^-d where the density is constant over two neighbors; d is the slope
    through the origin of -ln(1 - F) against ln m, the largest ratios left out (Facco, d'Errico, Rodriguez and Laio
    2017).

    Parameters
    ----------
    nb : Neighbors
        At least two neighbors a query, each query a point of the base left out of its own answer.
    discard : float, default 0.1
        Share of the points, those with the largest ratios, that is left out of the fit; at least the largest one is.

    Returns
    -------
    float
        nan where fewer than two points have a positive first and a known second distance, or all ratios are 1.

    Examples
    --------
    >>> share = np.append(np.arange(1, 100) / 100, 0.999)
    >>> ratios = (1 - share) ** (-1 / 3)  # quantiles of F in dimension 3
    >>> nb = Neighbors(np.tile([0, 1], (100, 1)), np.column_stack([np.ones(100), ratios]))
    >>> round(two_nn(nb), 6)
    3.0
    """
    if nb.k < 2:
        raise InputError(f"two neighbors a query are needed; {nb.k} was given.")
    if not 0 <= discard < 1:
        raise InputError(f"discard is {discard}; it must be a share from 0 to below 1.")
    near, far = nb.distances[:, 0], nb.distances[:, 1]
    known = (near > 0) & np.isfinite(far)
    logs = np.sort(np.log(far[known] / near[known]))
    n = len(logs)
    kept = min(int(n * (1 - discard)), n - 1)
    if kept < 1 or logs[kept - 1] == 0:
        return np.nan
    expected = -np.log1p(-np.arange(1, kept + 1) / n)
    return float(logs[:kept] @ expected / (logs[:kept] @ logs[:kept]))
