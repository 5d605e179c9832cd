"""Files of vectors, each read whole or refused: a folder that ``embed`` made, an ``.npy`` or an ``.npz``."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from .bundle import Part, read_bundle
from .checks import InputError, vectors
from .files import sha256

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
    query_images : (q, 32, 32, 3) uint8 or None
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
    query_images: np.ndarray | None = None


def read_embedded(folder: Path) -> Dataset:
    """Read a folder that ``embed`` made, every file verified against its checksum."""
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
        None if queries is None else queries.images,
    )


def read_user_file(path: Path) -> Dataset:
    """Read an ``.npy`` or ``.npz`` file, without pickles."""
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
