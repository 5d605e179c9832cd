"""Neighborhood drift: how far approximate neighbors stand from the exact ones, measured."""

from .neighbors import Neighbors

__version__ = "0.1.0"
__all__ = ["Neighbors"]
