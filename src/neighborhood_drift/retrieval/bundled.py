"""A data set as a collection with pictures: the bundled samples, Fashion-MNIST, and whatever `load_dataset` reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..checks import InputError, vectors, whole_number
from ..dataset_files import Dataset
from ..datasets import find_others, load_dataset
from ..idx import SOURCE as FASHION_MNIST
from ..images import cache_folder
from .collection import Collection
from .pictures import PIXELS, Thumbnails, checked_encoder
from .store import Store

PARAMETERS = {"metric": "l2", "M": 32, "ef_construction": 200, "ef": 50, "seed": 0}
KEPT = 2000  # points from which on building takes so long that the graph is kept


def sample_collection(
    name="cifar10-resnet50", *, points: int = 0, data_dir=None, progress: bool = False
) -> tuple[Collection, Thumbnails, np.ndarray | None]:
    """Make a collection of a data set, with its labels and small pictures.

    From some thousand points on, the graph is built once and kept in `images.cache_folder`; what is done to the
    collection changes nothing there.

    Parameters
    ----------
    name : str or path, default "cifar10-resnet50"
        As for `load_dataset`. The pixels of Fashion-MNIST are divided by 255.
    points : int, default 0
        The first points of the base that are taken; 0, or more than there are: all.
    data_dir : path, optional
        A folder of data sets that are not bundled, such as ``fashion-mnist/``; it is looked into first.
    progress : bool, default False

    Returns
    -------
    Collection
        Ids are row numbers of the base; metadata are ``label`` and ``image``, where they are known.
    Thumbnails
        By the names in the metadata; without pictures where the data set has none.
    (q, d) float32 or None
        Vectors of queries that are not in the base, if the data set has some.

    Raises
    ------
    InputError
        As `load_dataset`; negative ``points``.

    Examples
    --------
    >>> collection, thumbnails, queries = sample_collection(points=50)
    >>> len(collection), collection.metadata([0])[0]["label"], queries.shape
    (50, 'cat', (1000, 2048))
    """
    data = _dataset(name, data_dir)
    count = whole_number(points, "points", 0)
    count = min(count or len(data.vectors), len(data.vectors))
    base, metadata = scaled(data, data.vectors[:count]), point_metadata(data)[:count]
    collection = _kept(data, base, metadata, progress)
    collection._path = None  # a later save() names its own folder: what is kept here stays as it is
    queries = None if data.queries is None else scaled(data, data.queries)
    return collection, dataset_thumbnails(collection, data), queries


def dataset_thumbnails(store: Store, data: Dataset) -> Thumbnails:
    """Small pictures of a store's points, found in a data set by the names in their metadata."""
    return Thumbnails(store) if data.images is None else Thumbnails(store, data.images, _names(data))


def dataset_encoder(data: Dataset) -> dict | None:
    """How an image becomes a vector of a data set, as `pictures.picture_encoder` takes it; None where unknown."""
    if _is_pixels(data):
        return {"name": PIXELS, "size": [28, 28], "mode": "L"}
    recorded = data.provenance.get("encoder")
    try:
        return None if recorded is None else checked_encoder(recorded)
    except InputError:
        return None


def _dataset(name, data_dir) -> Dataset:
    found = find_others([str(name)], data_dir) if data_dir else {}
    return load_dataset(found.get(str(name), name))


def _is_pixels(data: Dataset) -> bool:
    return data.provenance.get("source") == FASHION_MNIST


def scaled(data: Dataset, values) -> np.ndarray:
    """Vectors of a data set as float32; the pixels of Fashion-MNIST from 0 to 1."""
    single = vectors(values, data.name)
    return single / np.float32(255) if _is_pixels(data) else single


def point_metadata(data: Dataset) -> list[dict]:
    """Metadata of a data set's base: ``label`` where there are labels, and ``image`` where there are pictures."""
    rows: list[dict] = [{} if data.images is None else {"image": name} for name in _names(data)]
    if data.labels is not None:
        for row, label in zip(rows, data.labels, strict=True):
            row["label"] = data.classes[label] if data.classes else str(label)
    return rows


def _names(data: Dataset) -> list[str]:
    return list(data.names or [f"{data.name} {row}" for row in range(len(data.vectors))])


def _kept(data: Dataset, base: np.ndarray, metadata: list[dict], progress: bool) -> Collection:
    """The collection that an earlier call kept, if it is whole and holds just these points; else a new one."""
    encoder = dataset_encoder(data)
    about = [data.checksum, len(base), _is_pixels(data), PARAMETERS, encoder, version("hnswlib"), metadata]
    if len(base) < KEPT:
        return _built(base, encoder, metadata, progress)
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    place = cache_folder() / "collections" / f"{Path(data.name).name}-{key[:16]}"
    try:
        collection = Collection.load(place)
        ids = list(range(len(base)))
        if collection.ids() == ids and np.array_equal(collection.vectors(ids), base):
            return collection
    except (InputError, OSError):
        pass
    collection = _built(base, encoder, metadata, progress)
    shutil.rmtree(place, ignore_errors=True)
    with suppress(InputError, OSError):  # another call is writing it, or there is no room: it is only a shortcut
        collection.save(place)
    return collection


def _built(base, encoder, metadata, progress) -> Collection:
    collection = Collection(base.shape[1], encoder=encoder, **PARAMETERS)
    collection.add(base, range(len(base)), metadata, progress=progress)
    return collection
