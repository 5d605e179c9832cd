"""Collections of vectors that are kept, changed while in use, searched and served."""

from .collection import Collection
from .store import Hits, Store, overlap_of_hits

__all__ = ["Collection", "Hits", "Store", "overlap_of_hits"]
