"""What notebook 11 searches: points that a collection holds, queries that it does not hold, and their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import InputError, vectors, whole_number
from ..datasets import drawn, find_others, load_dataset
from ..idx import PARTS, is_training_part, read_fashion_mnist

# Pixels scaled to [0, 1] are other vectors than the data set's own, so they have a name of their own.
PIXELS = {"fashion-mnist": "fashion-test-pixels", "fashion-mnist-train": "fashion-pixels"}
STUDY = ("cifar10-resnet50", "l2")  # vectors and metric of the study's own paper
WHITE = np.float32(255)
HELD_OUT = 5  # where there are no queries, one point in so many is kept out of the collection, at most


@dataclass(frozen=True, eq=False)
class Searched:
    """Points to be searched and queries from outside; made by `load_searched`.

    Attributes
    ----------
    name, checksum : str
    base : (n, d) float32
    queries : (q, d) float32
        None of them is a point of the base.
    labels, query_labels : (n,) and (q,) int64, or None
        Index into ``classes`` where these are known.
    images, query_images : (n, 32, 32, 3) and (q, 32, 32, 3) uint8, or None
    classes : tuple of str
    held_out : bool
        Whether the queries are points of the data that were kept out of the base, because the data have no queries.
    """

    name: str
    checksum: str
    base: np.ndarray
    queries: np.ndarray
    labels: np.ndarray | None = None
    query_labels: np.ndarray | None = None
    images: np.ndarray | None = None
    query_images: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    held_out: bool = False

    @property
    def told(self) -> str:
        """One line for readers."""
        kept = "held out of the data" if self.held_out else "from outside"
        return (
            f"{self.name}: {len(self.base):,} points in {self.base.shape[1]:,} dimensions, "
            f"{len(self.queries):,} queries {kept}"
        )


def load_searched(name_or_path, *, points: int = 0, queries: int = 0, seed: int = 0, metric: str = "l2") -> Searched:
    """Load points and queries; the pixels of Fashion-MNIST are scaled to [0, 1], and its whole other part can be asked.

    Parameters
    ----------
    name_or_path : str or path
        As for `load_dataset`.
    points, queries : int, default 0
        How many are used, drawn with ``seed``; 0: all. Data without queries of their own give some of their points
        instead, at most a fifth, which are then not in the base.
    seed : int
    metric : {"l2", "cosine"}
        ``cosine`` refuses vectors of zeros.

    Returns
    -------
    Searched

    Raises
    ------
    InputError
        As `load_dataset`; negative counts; fewer than five points.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/mine.npy", np.arange(40.0, dtype=np.float32).reshape(20, 2))
    ...     load_searched(f"{folder}/mine.npy", queries=3).told
    'mine: 17 points in 2 dimensions, 3 queries held out of the data'
    """
    points, queries = whole_number(points, "points", 0), whole_number(queries, "queries", 0)
    seed = whole_number(seed, "seed", 0)
    path = Path(name_or_path)
    if is_training_part(path):
        data = read_fashion_mnist(path.parent, "fashion-mnist-train", queries=None)
    else:
        data = load_dataset(name_or_path)
    used = drawn(len(data.vectors), points, [seed, 0])
    if len(used) < HELD_OUT:
        raise InputError(f"{data.name} gives {len(used)} points; a search from outside needs at least {HELD_OUT}.")
    held_out = data.queries is None
    if held_out:
        most = max(1, len(used) // HELD_OUT)
        asked = used[drawn(len(used), min(queries or most, most), [seed, 1])]
        used = np.setdiff1d(used, asked)
        source, names, pictures = data.vectors, data.labels, data.images
    else:
        asked = drawn(len(data.queries), queries, [seed, 1])
        source, names, pictures = data.queries, data.query_labels, data.query_images
    scale = WHITE if data.provenance.get("images") in PARTS else None
    labelled = data.labels is not None and names is not None
    shown = data.images is not None and pictures is not None
    return Searched(
        PIXELS.get(data.name, data.name) if scale else data.name,
        data.checksum,
        _vectors(data.vectors[used], data.name, metric, scale),
        _vectors(source[asked], f"queries of {data.name}", metric, scale),
        data.labels[used] if labelled else None,
        names[asked] if labelled else None,
        data.images[used] if shown else None,
        pictures[asked] if shown else None,
        data.classes,
        held_out,
    )


def load_all(name_or_path, also=(), *, data_dir="", **options) -> list[Searched]:
    """Load the vectors of a run and further data, those of ``also`` that are at hand.

    Parameters
    ----------
    name_or_path : str or path
    also : iterable of str
    data_dir : str or path
        As for `load_others`.
    **options
        Of `load_searched`.

    Returns
    -------
    list of Searched
        The run's own vectors first; what is the same data is left out.
    """
    own = load_searched(name_or_path, **options)
    further = [load_searched(place, **options) for place in find_others(also, data_dir).values()]
    return [own, *(one for one in further if one.checksum != own.checksum)]


def is_of_study(name_or_path, metric: str) -> bool:
    """Whether vectors and metric are those of the study's own paper, which alone sets other data beside them.

    >>> is_of_study("cifar10-resnet50", "l2"), is_of_study("cifar10-resnet50", "cosine"), is_of_study("mine.npy", "l2")
    (True, False, False)
    """
    return (str(name_or_path), metric) == STUDY


def to_show(found: list[Searched], name_or_path, metric: str) -> Searched:
    """Whose pictures a notebook shows: the last of further data beside the study's own vectors, which stand in for it.

    Any other vectors are never set aside for other data.
    """
    return found[-1] if is_of_study(name_or_path, metric) else found[0]


def some(one: Searched, count: int, *, seed: int = 0) -> np.ndarray:
    """Rows of ``count`` queries drawn at random; where labels are known, classes take turns.

    >>> 3 in some(Searched("a", "", np.zeros((9, 1)), np.zeros((4, 1)), query_labels=np.array([5, 5, 5, 7])), 2)
    True
    """
    order = np.random.default_rng([seed, 3]).permutation(len(one.queries))
    if one.query_labels is not None:
        labels = one.query_labels[order]
        turn = [int((labels[:place] == label).sum()) for place, label in enumerate(labels)]
        order = order[np.argsort(turn, kind="stable")]
    return order[:count]


def _vectors(values, name, metric, scale):
    checked = vectors(values, name, metric=metric)
    return checked / scale if scale else checked
