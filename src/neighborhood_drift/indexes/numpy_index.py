"""Brute force as it is written in NumPy: one matrix product, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .base import Index

BLOCK = 1024


class NumpyIndex(Index):
    """A matrix product of queries and base, and the k largest of each row; exact up to float32 rounding.

    "cosine": the product of normalised vectors. "l2": |q|² + |x|² − 2 q·x, whose float32 rounding grows with the
    vectors' lengths, not with their distance: near points far from the origin come in a wrong order. ``ef`` changes
    nothing; NumPy's own threads compute the product, whatever ``threads`` says.
    """

    engine = kept_as = package = "numpy"
    batch = BLOCK  # a block of the product has this many rows

    @classmethod
    def version(cls) -> str:
        return f"numpy {np.__version__}"

    @classmethod
    def _build(cls, points, about):
        return points

    def _ask(self, queries, k, ef, threads):
        values = queries @ self.native.T
        if self.metric == "l2":
            values *= -2
            values += np.einsum("ij,ij->i", self.native, self.native)
            values += np.einsum("ij,ij->i", queries, queries)[:, None]
        else:
            np.subtract(1, values, out=values)
        ids = np.argpartition(values, k - 1, axis=1)[:, :k]
        return ids, np.take_along_axis(values, ids, axis=1), len(queries) * self.size

    def effective_ef(self, k, ef):
        return None

    @property
    def memory_bytes(self):
        return self.native.nbytes

    def _write(self, path):
        with Path(str(path)).open("wb") as stream:  # an open file, as to a name NumPy adds a suffix
            np.save(stream, self.native)

    @classmethod
    def _read(cls, path, about):
        return np.load(path)
