"""What each store promises, in one table."""

from __future__ import annotations

import pandas as pd

STORES = ("Collection", "Qdrant, embedded", "Qdrant, server", "Redis")
# one row a promise, one text a store in the order of STORES; tests/test_stores.py tries what it can
ROWS = {
    "metrics": ("l2, cosine", "l2, cosine", "l2, cosine", "cosine"),
    "ids": ("64-bit whole numbers, any text",) * 4,
    "many threads at once": (
        "yes: searches side by side, a change holds them up for milliseconds",
        "yes, one call after another",
        "yes",
        "yes",
    ),
    "many processes at once": (
        "each has its copy; of two that save, the second is refused",
        "no: it is in the memory of one",
        "yes; of two that add one id, the later stays",
        "yes; of two that add one id, the later stays",
    ),
    "a delete that has returned is seen": (
        "by every search that begins after it",
        "by every search that begins after it",
        "by every search that begins after it, at the node that was written to",
        "by every search that begins after it, at the primary",
    ),
    "a refused value among those added": ("nothing is added",) * 4,
    "after a kill there is": (
        "what was saved last, whole",
        "nothing",
        "every batch that was written",
        "what the server persisted (RDB, AOF); `save` asks it for a snapshot",
    ),
    "exact search": (
        "yes, in float64",
        "yes, every search, in float32",
        "yes, in float32",
        "yes, in float32",
    ),
    "equal distances, exact search": ("in the order of adding", *("in the order of adding, equal in float32",) * 3),
    "effort": (
        "follows k: max(ef, k)",
        "none: all points are compared",
        "follows k: max(ef, k) in each segment; small segments in full",
        "follows k: max(ef, k), of which 256 wait to be expanded",
    ),
    "ef chosen by target": (
        "yes",
        "nothing to choose: every search is exact",
        "yes; all points are read for it",
        "yes; all points are read for it",
    ),
    "vectors come back": (
        "as they were added",
        "as they were added; with the cosine to float32's rounding",
        "as they were added; with the cosine to float32's rounding",
        "to float32's rounding",
    ),
    "order of ids()": ("of adding", "Qdrant's own", "Qdrant's own", "of adding"),
    "deleted points": (
        "tombstones until compact",
        "tombstones until it is closed",
        "tombstones until Qdrant's optimizer comes by",
        "gone at once",
    ),
    "more than one machine": ("no", "no", "shards and replicas of a cluster", "replicas; a store is on one node"),
    "files": (
        "NumPy, JSON and hnswlib's, with checksums",
        "none",
        "Qdrant's own",
        "Redis's own",
    ),
}


def guarantees() -> pd.DataFrame:
    """What each store promises: one row a promise, one column a store.

    The column of Qdrant's server rests on its documentation and source where no server is at hand.

    >>> guarantees().set_index("promise").loc["metrics", "Redis"]
    'cosine'
    """
    return pd.DataFrame([(name, *cells) for name, cells in ROWS.items()], columns=["promise", *STORES])
