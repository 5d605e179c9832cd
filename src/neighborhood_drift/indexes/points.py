"""What is done to vectors before a library gets them: scaled to length 1, or refused where float32 overflows."""

from __future__ import annotations

import numpy as np

from ..checks import InputError

# Two vectors of this length are at most twice it apart, and the square of that is float32's largest number.
LONGEST = float(np.sqrt(np.finfo(np.float32).max)) / 2


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale each row to length 1, in float64, and return float32."""
    rows = rows.astype(np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def refuse_overflow(points, what: str, metric: str) -> None:
    """Refuse points so long that a squared distance between two such points is beyond the libraries' float32."""
    longest = np.sqrt(np.einsum("ij,ij->i", points, points, dtype=np.float64).max())
    if metric == "l2" and longest > LONGEST:
        raise InputError(
            f"{what} holds a vector of length {longest:.2g}; an index computes squared distances in float32, so at "
            f"most {LONGEST:.2g} is allowed: scale the vectors, which changes no neighbor."
        )
