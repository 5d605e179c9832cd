"""Exact neighbors and embedding over blocks, as a Dask graph: on the cores of one machine, or on many machines."""

from .clients import ClusterError, connected
from .encoding import batches_on
from .neighbors import find_neighbors, neighbors

__all__ = ["ClusterError", "batches_on", "connected", "find_neighbors", "neighbors"]
