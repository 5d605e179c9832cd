"""Collections of vectors that are kept, changed while in use, searched and served."""

from .store import Hits, Store, overlap_of_hits

__all__ = ["Hits", "Store", "overlap_of_hits"]
