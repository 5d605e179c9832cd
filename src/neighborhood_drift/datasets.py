"""Vectors in: the bundled sample, a folder made by ``embed``, or a user's own ``.npy`` / ``.npz``."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from .bundle import PROVENANCE, Part, read_bundle
from .checks import InputError, vectors, whole_number
from .files import sha256
from .images import DOWNLOADS, cache_folder

# What NumPy raises on damage to a header, an archive or its compressed members.
_DAMAGED = (ValueError, EOFError, OSError, TokenError, NotImplementedError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Vectors with what is known about them; made by `load_dataset`.

    Parameters
    ----------
    name : str
        Bundled name, or name of the folder or file (without the path to it).
    vectors : (n, d) float16 or float32
        The base.
    checksum : str
        SHA-256 of the file that holds the base.
    provenance : dict
        How the vectors were made; for a user's file its name, shape and dtype.
    labels : (n,) int64 or None
    classes : tuple of str
        Names of the labels, empty where unknown.
    images : (n, 32, 32, 3) uint8 or None
        Small pictures, for figures only.
    names : tuple of str or None
    queries : (q, d) or None
        Vectors of points that are not in the base.
    query_labels : (q,) int64 or None
    """

    name: str
    vectors: np.ndarray
    checksum: str
    provenance: dict
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    images: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    queries: np.ndarray | None = None
    query_labels: np.ndarray | None = None


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
    if path.suffix.lower() in (".npy", ".npz"):
        if not path.is_file():
            raise InputError(f"{path} does not exist.")
        return _user_file(path)
    folder = _find_folder(str(name_or_path))
    parts, classes, provenance = read_bundle(folder)
    base, queries = parts["base"], parts.get("queries")
    labels = {part: _aligned(parts[part].labels, len(parts[part].vectors), f"{part} labels") for part in parts}
    return Dataset(
        folder.name,
        _stored(base, f"{folder.name}/base.npy"),
        provenance["files"]["base.npy"]["sha256"],
        provenance,
        labels["base"],
        classes,
        base.images,
        base.names,
        None if queries is None else _stored(queries, f"{folder.name}/queries.npy"),
        labels.get("queries"),
    )


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
    used = _draw(len(data.vectors), points, [seed, 0])
    base = vectors(data.vectors[used], data.name, metric=metric)
    if len(base) < 3:
        raise InputError(f"{data.name} gives {len(base)} points; the study needs at least three.")
    return Sample(
        base,
        _draw(len(base), queries, [seed, 1]),
        None if data.labels is None else data.labels[used],
        None if data.images is None else data.images[used],
        data.name,
        data.checksum,
        data.provenance,
        data.classes,
    )


def bundled_folder() -> Path:
    """Folder of the bundled data: ``$NEIGHBORHOOD_DRIFT_DATA``, or ``data/`` of the source checkout."""
    return Path(os.environ.get("NEIGHBORHOOD_DRIFT_DATA") or Path(__file__).parents[2] / "data")


def bundled_names() -> list[str]:
    """Names of the bundled data sets."""
    return sorted(file.parent.name for file in bundled_folder().glob(f"*/{PROVENANCE}"))


def _draw(n: int, size: int, seed) -> np.ndarray:
    if size == 0 or size >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def _find_folder(name: str) -> Path:
    places = [Path(name), bundled_folder() / name, cache_folder() / "vectors" / name]
    for folder in places:
        if (folder / PROVENANCE).is_file():
            return folder
    if name in DOWNLOADS:
        raise InputError(
            f"image set {name} is not embedded yet; make its vectors with: "
            f"python -m neighborhood_drift embed --images {name}"
        )
    known = ", ".join(bundled_names())
    told = f"bundled are {known}" if known else "no bundled data was found; set NEIGHBORHOOD_DRIFT_DATA to its folder"
    raise InputError(f"data set {name!r} is neither a bundled name nor an .npy, .npz or embed's folder; {told}.")


def _stored(part: Part, what: str) -> np.ndarray:
    if len(part.names) != len(part.vectors):
        raise InputError(f"{what} has {len(part.vectors)} vectors for {len(part.names)} image names.")
    return _numbers(part.vectors, what)


def _numbers(array: np.ndarray, what: str) -> np.ndarray:
    single = vectors(array, what)
    return array if array.dtype in (np.float16, np.float32) else single


def _aligned(array, n: int, what: str, shape=()):
    if array is not None and array.shape != (n, *shape):
        raise InputError(f"{what} have shape {array.shape}; {(n, *shape)} is needed, one entry a vector.")
    return array


def _user_file(path: Path) -> Dataset:
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = (
            {"vectors": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
        )
    except _DAMAGED as error:
        pickled = "pickle" in str(error).lower()
        told = "it holds pickled objects, which are refused; save a plain array" if pickled else f"{error}"
        raise InputError(f"{path.name} cannot be read as a whole NumPy file: {told}.") from error
    if "vectors" not in arrays and len(arrays) == 1:
        arrays = {"vectors": next(iter(arrays.values()))}
    if "vectors" not in arrays:
        raise InputError(f"{path.name} must hold an array named vectors; it holds {', '.join(arrays) or 'nothing'}.")
    stored = _numbers(arrays["vectors"], path.name)
    labels, images = arrays.get("labels"), arrays.get("images")
    n = len(stored)
    if labels is not None and labels.dtype.kind not in "iu":
        raise InputError(f"labels of {path.name} have dtype {labels.dtype}; whole numbers are needed.")
    if images is not None and images.dtype != np.uint8:
        raise InputError(f"images of {path.name} have dtype {images.dtype}; uint8 is needed.")
    queries = arrays.get("queries")
    if queries is not None:
        vectors(queries, f"queries of {path.name}", dimension=stored.shape[1])
    labels = None if labels is None else _aligned(labels.astype(np.int64), n, f"labels of {path.name}")
    images = _aligned(images, n, f"images of {path.name}", (32, 32, 3))
    given = arrays["vectors"]
    provenance = {"file": path.name, "shape": list(given.shape), "dtype": str(given.dtype)}
    return Dataset(path.stem, stored, sha256(path), provenance, labels, images=images, queries=queries)
