"""Upper confidence bounds for the mean of losses in [0, 1], each for many rows of losses at once.

All hold for losses of n queries drawn independently from one population. For n points drawn from a finite base without
replacement, where the mean is that of the whole base, the betting bound is proven too (see `betting`); the other two
are known for independent draws, and for draws without replacement they are only tested here, by simulation. Risk
control needs no more than that sample and later query are exchangeable, which draws without replacement are.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import beta

# Shares of the highest bet, and the capital put on each; fixed before any loss is seen.
STAKES = 0.95 * 0.5 ** np.arange(6)
CAPITAL = (1 / 3) ** np.arange(6) / ((1 / 3) ** np.arange(6)).sum()
STEPS = 40  # bisections: the bound is off by less than 1e-12, and never too low


def empirical_bernstein(losses: np.ndarray, delta: float) -> np.ndarray:
    """(m,) upper bounds at level 1 - delta for the means of (m, q) losses in [0, 1].

    The mean plus sqrt(2 V ln(2/delta) / q) plus 7 ln(2/delta) / (3 (q - 1)), V the sample variance (Maurer and Pontil
    2009, Empirical Bernstein bounds and sample-variance penalization, theorem 4). 1 where q = 1; never above 1.

    >>> empirical_bernstein(np.zeros((1, 1000)), 0.05).round(4)
    array([0.0086])
    """
    count = losses.shape[1]
    if count < 2:
        return np.ones(len(losses))
    log = np.log(2 / delta)
    width = np.sqrt(2 * losses.var(axis=1, ddof=1) * log / count) + 7 * log / (3 * (count - 1))
    return np.minimum(1.0, losses.mean(axis=1) + width)


def clopper_pearson(losses: np.ndarray, delta: float, seed: int = 0) -> np.ndarray:
    """(m,) upper bounds at level 1 - delta for the means of (m, q) losses in [0, 1], from one coin a query.

    A loss x becomes 1 with probability x, else 0: for overlap, one of the k true neighbors is drawn and looked for.
    That has the mean of the losses exactly, and the bound is the exact binomial one (Clopper and Pearson 1934), the
    (1 - delta) quantile of Beta(s + 1, q - s) after s ones. Losses that are 0 or 1 need no coin. One draw a query
    serves all rows; it has a random stream of its own, so that a sample drawn with the same ``seed`` has no part in it.

    >>> clopper_pearson(np.zeros((1, 299)), 0.05).round(5)
    array([0.00997])
    """
    coins = coin_stream(seed).random(losses.shape[1])
    ones = (coins < losses).sum(axis=1)
    return np.where(ones < losses.shape[1], beta.ppf(1 - delta, ones + 1, np.maximum(losses.shape[1] - ones, 1)), 1.0)


def coin_stream(seed: int) -> np.random.Generator:
    """The random numbers of coins: another stream than ``default_rng(seed)``, which draws the samples.

    >>> bool(coin_stream(3).random() == np.random.default_rng(3).random())
    False
    """
    return np.random.default_rng([seed, 1])


def betting(losses: np.ndarray, delta: float) -> np.ndarray:
    """(m,) upper bounds at level 1 - delta for the means of (m, q) losses in [0, 1], by bets against a higher mean.

    The smallest mean that a bettor refutes: at a supposed mean of at least u, a bet of the share c turns capital 1 into
    the product over queries of 1 - c + c (1 - x) / (1 - u), whose expectation is at most 1. Capital is divided over
    `STAKES` as `CAPITAL` says, and u is refuted where it ends at 1 / delta or more, which by Markov's inequality has
    probability delta at most. Capital grows with u, so that u is found by bisection; it does not depend on the order of
    the queries. The bound is 1 where nothing below is refuted.

    Without replacement: the factors are all decreasing in x, draws without replacement are negatively associated
    (Joag-Dev and Proschan 1983), so the expectation of the product is at most the product of the expectations, and the
    bound holds for the mean of the whole base.

    Source: Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, with a fixed grid
    of bets, one side, and the capital at the end.

    >>> betting(np.zeros((1, 500)), 0.05).round(4)
    array([0.007])
    """
    low, high = losses.mean(axis=1), np.ones(len(losses))
    for _ in range(STEPS):
        middle = (low + high) / 2
        refuted = refutes(losses, middle, delta)
        low, high = np.where(refuted, low, middle), np.where(refuted, middle, high)
    return high


def refutes(losses: np.ndarray, supposed, delta: float) -> np.ndarray:
    """(m,) bool: whether the bets of `betting` refute a supposed mean, one number or (m,); 1 is never refuted.

    >>> refutes(np.zeros((1, 500)), 0.01, 0.05)
    array([ True])
    """
    supposed = np.broadcast_to(np.asarray(supposed, dtype=np.float64), len(losses))
    factor = 1 / np.maximum(1 - supposed, np.finfo(float).tiny)
    gain = ((1 - losses) * factor[:, None] - 1)[None] * STAKES[:, None, None]
    capital = np.log1p(gain, out=gain).sum(axis=2) + np.log(CAPITAL)[:, None]
    return (supposed < 1) & (np.logaddexp.reduce(capital, axis=0) >= -np.log(delta))


def risk_control(losses: np.ndarray) -> np.ndarray:
    """(m,) values n / (n + 1) times the mean plus 1 / (n + 1), of (m, n) losses in [0, 1] that never grow along m.

    The first row at which it is at most a limit is chosen with an expected loss of at most that limit, over the draw of
    the n queries and of one more (Angelopoulos, Bates, Fisch, Lei and Schuster 2024, Conformal risk control, theorem
    1).

    >>> risk_control(np.zeros((1, 99)))
    array([0.01])
    """
    count = losses.shape[1]
    return (losses.sum(axis=1) + 1) / (count + 1)


def certain(name: str, losses: np.ndarray, limit: float, delta: float, seed: int = 0) -> np.ndarray:
    """(m,) bool: whether a bound by name is at most a limit; betting needs no bisection for that.

    >>> certain("betting", np.zeros((1, 500)), 0.01, 0.05), certain("sample-mean", np.ones((1, 2)), 0.5, 0.05)
    (array([ True]), array([False]))
    """
    return refutes(losses, limit, delta) if name == "betting" else upper(name, losses, delta, seed) <= limit


def upper(name: str, losses: np.ndarray, delta: float, seed: int = 0) -> np.ndarray:
    """(m,) bounds by name, of (m, q) losses in [0, 1]; "sample-mean" is the mean alone, which is no bound.

    >>> upper("sample-mean", np.array([[0.0, 0.5]]), 0.05)
    array([0.25])
    """
    if name == "clopper-pearson":
        return clopper_pearson(losses, delta, seed)
    if name == "risk-control":
        return risk_control(losses)
    if name == "sample-mean":
        return losses.mean(axis=1)
    return betting(losses, delta) if name == "betting" else empirical_bernstein(losses, delta)


def least_queries(name: str, limit: float, delta: float) -> int:
    """The fewest queries with which a bound can be at most a limit: the number that suffices where no query has a loss.

    >>> [least_queries(name, 0.01, 0.05) for name in ("clopper-pearson", "betting", "empirical-bernstein")]
    [299, 349, 862]
    """
    if limit >= 1:
        return 1
    low, high = 0, 1
    while not _suffices(name, high, limit, delta):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _suffices(name, middle, limit, delta) else (middle, high)
    return high


def _suffices(name: str, count: int, limit: float, delta: float) -> bool:
    """`certain` for so many losses of 0, from the formulas alone: no array is made."""
    count = float(count)  # whole numbers up to 2^53; beyond, no sample is that large
    if name == "betting":
        capital = count * np.log1p(STAKES * limit / (1 - limit)) + np.log(CAPITAL)
        return bool(np.logaddexp.reduce(capital) >= -np.log(delta))
    if name == "clopper-pearson":
        return -np.expm1(np.log(delta) / count) <= limit
    if name == "risk-control":
        return 1 / (count + 1) <= limit
    return name == "sample-mean" or (count > 1 and 7 * np.log(2 / delta) / (3 * (count - 1)) <= limit)
