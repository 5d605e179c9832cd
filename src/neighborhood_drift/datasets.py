"""Vectors in, by name or path: the bundled samples, embedded images, Fashion-MNIST, a user's own arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .bundle import PROVENANCE
from .checks import InputError, vectors, whole_number
from .dataset_files import Dataset, read_embedded, read_user_file
from .idx import is_fashion_mnist, is_training_part, read_fashion_mnist
from .images import DOWNLOADS, cache_folder

ARRAYS = (".npy", ".npz")
# Further data sets that lie inside the folder of another one.
INSIDE = {"fashion-mnist-train": Path("fashion-mnist") / "train-images-idx3-ubyte.gz"}


@dataclass(frozen=True, eq=False)
class Sample:
    """The points a notebook works on; made by `load_sample`.

    Parameters
    ----------
    base : (n, d) float32, C-contiguous
    rows : (q,) int64
        Ids of the points of ``base`` that are asked, each left out of its own answer; ascending.
    labels : (n,) int64 or None
    images : (n, 32, 32, 3) uint8 or None
    name, checksum, provenance
        Of the data set.
    classes : tuple of str
    """

    base: np.ndarray
    rows: np.ndarray
    labels: np.ndarray | None
    images: np.ndarray | None
    name: str
    checksum: str
    provenance: dict
    classes: tuple[str, ...] = ()


def load_dataset(name_or_path) -> Dataset:
    """Load vectors by bundled name or by path, checked before anything is computed.

    Parameters
    ----------
    name_or_path : str or path
        - a bundled name, such as ``"cifar10-resnet50"``: a folder of ``data/`` in the source checkout, or of
          ``$NEIGHBORHOOD_DRIFT_DATA``; every file is verified against its recorded checksum;
        - a folder that ``embed`` made, or the name of an image set that ``embed`` has embedded to its default place;
        - a folder with the four files of Fashion-MNIST, see `idx.read_fashion_mnist`; or, there,
          ``train-images-idx3-ubyte.gz``: its 60,000 training images are then the base;
        - an ``.npy`` file with an (n, d) array;
        - an ``.npz`` file with the array ``vectors`` and, optionally, ``labels`` (n,), ``queries`` (q, d) and
          ``images`` (n, 32, 32, 3) uint8; an archive with one array needs no name.

        float16 and float32 are kept; float64 and integers become float32, with a warning where digits are lost.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        Unknown name; a file that is missing, truncated, pickled or fails its checksum; vectors that are not 2-d and
        numeric or hold NaN or infinite values; labels or images of another length.

    Examples
    --------
    >>> load_dataset("nothing.npy")
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: nothing.npy does not exist.
    """
    path = Path(name_or_path)
    if path.suffix.lower() in ARRAYS:
        if not path.is_file():
            raise InputError(f"{path} does not exist.")
        return read_user_file(path)
    if is_training_part(path):
        return read_fashion_mnist(path.parent, "fashion-mnist-train")
    folder = _find_folder(str(name_or_path))
    return read_fashion_mnist(folder) if is_fashion_mnist(folder) else read_embedded(folder)


def load_sample(name_or_path, *, points: int = 0, queries: int = 0, seed: int = 0, metric: str = "l2") -> Sample:
    """Load the points of a notebook: a seeded part of the base, and which of its points are asked.

    Parameters
    ----------
    name_or_path : str or path
        As for `load_dataset`.
    points : int, default 0
        Points of the base that are used, in their stored order; 0, or more than there are: all.
    queries : int, default 0
        Points that are asked, drawn from the points used; 0, or more than there are: all.
    seed : int, default 0
        Seed of both draws, which do not depend on each other's size.
    metric : {"l2", "cosine"}
        ``cosine`` refuses vectors of zeros.

    Returns
    -------
    Sample

    Raises
    ------
    InputError
        As `load_dataset`; negative counts; fewer than three points.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/mine.npy", np.arange(20.0, dtype=np.float32).reshape(10, 2))
    ...     sample = load_sample(f"{folder}/mine.npy", points=6, queries=2)
    >>> sample.name, sample.base.shape, sample.rows.shape
    ('mine', (6, 2), (2,))
    """
    points = whole_number(points, "points", 0)
    queries = whole_number(queries, "queries", 0)
    seed = whole_number(seed, "seed", 0)
    data = load_dataset(name_or_path)
    used = drawn(len(data.vectors), points, [seed, 0])
    base = vectors(data.vectors[used], data.name, metric=metric)
    if len(base) < 3:
        raise InputError(f"{data.name} gives {len(base)} points; the study needs at least three.")
    return Sample(
        base,
        drawn(len(base), queries, [seed, 1]),
        None if data.labels is None else data.labels[used],
        None if data.images is None else data.images[used],
        data.name,
        data.checksum,
        data.provenance,
        data.classes,
    )


def load_others(
    names, *, data_dir="", points: int = 0, queries: int = 0, seed: int = 0, metric="l2", besides: Sample | None = None
) -> list[Sample]:
    """Load further data sets as `load_sample` does, those of ``names`` that are at hand, in the order of ``names``.

    Parameters
    ----------
    names : iterable of str
        Bundled names, names of embedded image sets, or of folders, ``.npy`` or ``.npz`` files in ``data_dir``; one that
        is not at hand is passed over (`absent` tells which).
    data_dir : str or path, default ""
        Folder of data that are not bundled, such as ``fashion-mnist/``; it is looked into first. Empty: none.
    points, queries, seed, metric
        Of `load_sample`.
    besides : Sample, optional
        The main data: what has its name or its checksum is no further data, and is left out.

    Returns
    -------
    list of Sample

    Raises
    ------
    InputError
        If ``data_dir`` is no folder, or data that are at hand are damaged.

    Examples
    --------
    >>> load_others(["nowhere"])
    []
    """
    places = find_others(names, data_dir).values()
    loaded = [load_sample(place, points=points, queries=queries, seed=seed, metric=metric) for place in places]
    return [one for one in loaded if besides is None or not _same(one, besides)]


def absent(names, data_dir="") -> list[str]:
    """Names of further data sets that `load_others` would pass over, because they are not at hand.

    >>> absent(["nowhere"])
    ['nowhere']
    """
    found = find_others(names, data_dir)
    return [name for name in names if name not in found]


def find_others(names, data_dir="") -> dict[str, Path]:
    """Where the further data sets of ``names`` that are at hand lie: name -> folder or file, as `load_others` reads."""
    if data_dir and not Path(data_dir).is_dir():
        raise InputError(f"data_dir is {str(data_dir)!r}; it must be a folder, with one data set a folder or file.")
    found = {}
    for name in names:
        places = [bundled_folder() / name, cache_folder() / "vectors" / name]
        if data_dir:
            named = [Path(data_dir) / INSIDE.get(name, name)]
            places = [*named, *(Path(data_dir) / f"{name}{suffix}" for suffix in ARRAYS), *places]
        for place in places:
            file = place.suffix in ARRAYS or is_training_part(place)
            if is_data_folder(place) or (file and place.is_file()):
                found.setdefault(name, place)
    return found


def is_data_folder(path) -> bool:
    """Whether a folder holds a data set: one that ``embed`` made, or files of Fashion-MNIST."""
    return (Path(path) / PROVENANCE).is_file() or is_fashion_mnist(path)


def bundled_folder() -> Path:
    """Folder of the bundled data: ``$NEIGHBORHOOD_DRIFT_DATA``, or ``data/`` of the source checkout."""
    return Path(os.environ.get("NEIGHBORHOOD_DRIFT_DATA") or Path(__file__).parents[2] / "data")


def bundled_names() -> list[str]:
    """Names of the bundled data sets."""
    return sorted(file.parent.name for file in bundled_folder().glob(f"*/{PROVENANCE}"))


def _same(one: Sample, other: Sample) -> bool:
    return one.name == other.name or one.checksum == other.checksum


def drawn(n: int, size: int, seed) -> np.ndarray:
    """Which of n points are used: ``size`` of them, ascending; all where it is 0 or n and more.

    >>> drawn(5, 9, seed=0)
    array([0, 1, 2, 3, 4])
    """
    if size == 0 or size >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def _find_folder(name: str) -> Path:
    for folder in (Path(name), bundled_folder() / name, cache_folder() / "vectors" / name):
        if is_data_folder(folder):
            return folder
    if name in DOWNLOADS:
        raise InputError(
            f"image set {name} is not embedded yet; make its vectors with: "
            f"python -m neighborhood_drift embed --images {name}"
        )
    known = ", ".join(bundled_names())
    told = f"bundled are {known}" if known else "no bundled data was found; set NEIGHBORHOOD_DRIFT_DATA to its folder"
    raise InputError(
        f"data set {name!r} is neither a bundled name nor an .npy, .npz, embed's folder or Fashion-MNIST's; {told}."
    )
