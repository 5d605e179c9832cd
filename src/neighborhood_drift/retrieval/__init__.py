"""Collections of vectors that are kept, changed while in use, searched and served."""

from .collection import Collection
from .opening import open_store
from .store import Hits, Store, overlap_of_hits

__all__ = ["Collection", "Hits", "Store", "open_store", "overlap_of_hits"]
