"""The size of a gallery from which on a search takes longer than extracting the image, and how well that is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .retrieval_cost import RANDOM


def flips(times: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The gallery size at which a search takes as long as the extraction of one image, one query at a time.

    Each search's time is fitted through the medians of its sizes in random galleries of the encoder's dimension, in
    three ways: by a line with least squares of relative errors; by the line through two neighboring sizes, those around
    the crossing or the last two; and, beyond the sizes measured, in proportion to the largest. The size named is that
    of the two neighbors within the sizes measured, and of the line over all beyond them.

    Parameters
    ----------
    times : DataFrame
        Of `retrieval_cost.on_random` and `extraction.measure`.

    Returns
    -------
    DataFrame
        encoder, method, dimension, extraction (milliseconds), largest (size measured), n, low, high (from the lowest to
        the highest of the fits' 95 % bootstrap intervals over repeats), measured (whether n is not beyond the largest
        size). No row for a search measured at fewer than two sizes; n is nan where the time does not grow.

    Examples
    --------
    >>> search = {"part": "search", "method": "a", "gallery": "random", "n": [10, 20], "dimension": 4, "batch": 1}
    >>> image = {"part": ["extraction"], "method": "e", "gallery": "", "n": 0, "dimension": 4, "batch": 1}
    >>> times = [pd.DataFrame({**search, "seconds": [0.1, 0.2]}), pd.DataFrame({**image, "seconds": [0.4]})]
    >>> flips(pd.concat(times)).round(3)[["encoder", "method", "n", "measured"]].values.tolist()
    [['e', 'a', 40.0, False]]
    """
    one = times[times["batch"] == 1]
    searches = one[(one["part"] == "search") & (one["gallery"] == RANDOM)]
    generator, rows = np.random.default_rng(seed), []
    for (encoder, dimension), images in one[one["part"] == "extraction"].groupby(["method", "dimension"], sort=False):
        for method, found in searches[searches["dimension"] == dimension].groupby("method", sort=False):
            sizes = np.array(sorted(found["n"].unique()))
            if len(sizes) < 2 or method.startswith("FAISS IVF"):
                continue
            parts = [images["seconds"].to_numpy(), *(found.loc[found["n"] == n, "seconds"].to_numpy() for n in sizes)]
            medians = np.array([[np.median(part)] for part in parts])
            drawn = np.array([np.median(generator.choice(part, (resamples, len(part))), axis=1) for part in parts])
            whole, near = (values[0] for values in _crossings(sizes, medians)[:2])
            measured = bool(near <= sizes[-1])
            again = _crossings(sizes, drawn)[: 2 if measured else 3]
            limits = [np.quantile(values[np.isfinite(values)], [0.025, 0.975]) for values in again if _any(values)]
            n = float(near if measured else whole)
            low, high = (np.min(limits), np.max(limits)) if limits and np.isfinite(n) else (np.nan, np.nan)
            extraction = 1000 * float(medians[0, 0])
            rows.append((encoder, method, dimension, extraction, sizes[-1], n, low, high, measured))
    names = ["encoder", "method", "dimension", "extraction", "largest", "n", "low", "high", "measured"]
    return pd.DataFrame(rows, columns=names)


def _any(values) -> bool:
    return bool(np.isfinite(values).any())


def _crossings(sizes, medians) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a search equals the first row of ``medians`` (1 + sizes, m): by three fits, (m,) each; nan where none."""
    level, search = medians[0], np.maximum(medians[1:], 1e-12)
    weight, n = search**-2.0, sizes[:, None]
    center, middle = ((weight * part).sum(axis=0) / weight.sum(axis=0) for part in (n, search))
    slope = (weight * (n - center) * (search - middle)).sum(axis=0) / (weight * (n - center) ** 2).sum(axis=0)
    whole = center + _ratio(level - middle, slope)
    at = np.clip((search[1:-1] < level).sum(axis=0), 0, len(sizes) - 2)
    columns = np.arange(search.shape[1])
    below, above = search[at, columns], search[at + 1, columns]
    near = sizes[at] + _ratio((level - below) * (sizes[at + 1] - sizes[at]), above - below)
    return whole, near, sizes[-1] * level / search[-1]


def _ratio(above, below) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
