"""Checks on what a caller passes in: each refusal is one sentence that says what is wrong and what is allowed."""

from __future__ import annotations

import warnings

import numpy as np

METRICS = ("l2", "cosine")


class InputError(ValueError):
    """What was passed in cannot be used; the message says what is wrong and what is allowed."""


def one_of(value, allowed, what: str):
    """Return ``value`` if it is among ``allowed``.

    >>> one_of("l2", ("l2", "cosine"), "metric")
    'l2'
    >>> one_of("l3", ("l2", "cosine"), "metric")
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: metric is 'l3'; known are l2, cosine.
    """
    if value not in allowed:
        raise InputError(f"{what} is {value!r}; known are {', '.join(map(str, allowed))}.")
    return value


def whole_number(value, what: str, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int if it is a whole number from ``low`` to ``high``, both included.

    >>> whole_number(10, "k", 1, 99)
    10
    >>> whole_number(0, "k", 1, 99)
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: k is 0; it must be a whole number from 1 to 99.
    """
    limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{what} is {value!r}; it must be a whole number {limits}.")
    if value < low or (high is not None and value > high):
        raise InputError(f"{what} is {value}; it must be a whole number {limits}.")
    return int(value)


def numbers(values, what: str) -> np.ndarray:
    """Return ``values`` as a float64 array, or say that they are none.

    >>> numbers([1, 2], "scores")
    array([1., 2.])
    >>> numbers(["a"], "scores")
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: scores are not an array of numbers.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} are not an array of numbers.") from None


def vectors(array, what: str = "vectors", *, metric: str = "l2", dimension: int | None = None) -> np.ndarray:
    """Return ``array`` as a C-contiguous float32 array of shape (n, d), ready for every index and for exact search.

    float32 passes unchanged; float16, float64 and integers are converted, and a warning says so where
    the conversion can lose digits (float64, and integers beyond 2^24).

    Raises
    ------
    InputError
        If the array is not 2-d and numeric, is empty, holds NaN or infinite values, has another dimension
        than ``dimension``, or (``metric="cosine"``) holds a vector of zeros.
    """
    one_of(metric, METRICS, "metric")
    array = np.asarray(array)
    if array.ndim != 2:
        raise InputError(f"{what} has shape {array.shape}; it must be 2-d, one row a point.")
    if 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}; it must hold at least one point and one dimension.")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} has dtype {array.dtype}; allowed are float16, float32, float64 and integers.")
    if dimension is not None and array.shape[1] != dimension:
        raise InputError(f"{what} has {array.shape[1]} dimensions; the base has {dimension}, and both must agree.")
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(single).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise InputError(
            f"{what} holds NaN or infinite values (as float32) in {int((~finite).sum())} rows, first row {row}; "
            "all values must be finite."
        )
    if array.dtype != np.float32 and array.dtype != np.float16 and not np.array_equal(single, array):
        warnings.warn(f"{what}: {array.dtype} converted to float32; digits beyond float32 are lost.", stacklevel=3)
    if metric == "cosine":
        zero = ~single.any(axis=1)
        if zero.any():
            raise InputError(
                f"{what} holds {int(zero.sum())} vectors of zeros, first row {int(np.flatnonzero(zero)[0])}; "
                "the cosine distance needs vectors of positive length."
            )
    return single


def has_columns(table, columns) -> None:
    """Raise an `InputError` that names the columns a DataFrame lacks, if any."""
    absent = [name for name in columns if name not in table]
    if absent:
        raise InputError(f"the table has no column {', '.join(absent)}; it has {', '.join(map(str, table.columns))}.")
