"""What the command `index` puts into a collection: vectors from a file or data set, or images to encode."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import InputError
from ..datasets import ARRAYS, bundled_names, is_data_folder, load_dataset
from ..idx import is_training_part
from ..images import DOWNLOADS, ImageList, open_images, survey
from ..labels import with_labels
from .bundled import dataset_encoder, point_metadata, scaled
from .store import HIGHEST_ID, LOWEST_ID, Id, checked_ids

_WRITTEN = re.compile(r"0|-?[1-9][0-9]{0,18}")


@dataclass(frozen=True, eq=False)
class Incoming:
    """Points to be put into a store; made by `vectors_in` or `images_in`.

    Parameters
    ----------
    read : callable
        ``read(rows)`` gives the (m, d) float32 vectors of a list of rows.
    metadata : list of dict
        n, one a point.
    ids : list or None
        n ids; None where the store gives them.
    images : bool
        Whether vectors are computed as they are read, which is what takes long.
    """

    read: Callable[[Sequence[int]], np.ndarray]
    metadata: list[dict]
    ids: list[Id] | None
    images: bool

    def __len__(self) -> int:
        return len(self.metadata)


def is_vectors(source: str) -> bool:
    """Whether a source is a file of vectors or a data set; a folder or archive of images is not.

    >>> is_vectors("mine.npy"), is_vectors("cifar10-resnet50"), is_vectors("holidays.zip")
    (True, True, False)
    """
    path = Path(source)
    known = path.suffix.lower() in ARRAYS or is_data_folder(path) or is_training_part(path)
    return known or (source in bundled_names() and not path.exists())


def vectors_in(source: str, *, ids=None, labels=None) -> tuple[Incoming, dict | None]:
    """Read vectors as `load_dataset` does; pixels of Fashion-MNIST come scaled to [0, 1].

    Parameters
    ----------
    source : str
    ids, labels : path, optional
        One a point; see `read_ids` and `read_lines`.

    Returns
    -------
    Incoming
    dict or None
        How an image becomes such a vector, where the data set says so.

    Raises
    ------
    InputError
        As `load_dataset` and `read_lines`.
    """
    data = load_dataset(source)
    base, metadata = scaled(data, data.vectors), point_metadata(data)
    metadata = _labelled(metadata, labels)
    given = None if ids is None else checked_ids(read_ids(ids), len(base))
    return Incoming(lambda rows: base[list(rows)], metadata, given, False), dataset_encoder(data)


def listed_images(source: str, labels=None) -> ImageList:
    """List images as `open_images` does, with the labels of a file beside them (see `with_labels`) if one is given."""
    path = Path(source)
    if not path.is_dir() and path.suffix.lower() != ".zip" and source not in DOWNLOADS:
        raise InputError(
            f"{source} is neither vectors (.npy, .npz, a folder that embed made, {', '.join(bundled_names())}) nor "
            "images (a folder, a .zip archive, a name that embed knows)."
        )
    images = open_images(source)
    return images if labels is None or Path(labels).suffix != ".json" else with_labels(images, labels)


def image_ids(images: ImageList, ids=None) -> list[Id]:
    """Ids of images: their names, or those of a file (see `read_ids`), in the order of their names."""
    return checked_ids(images.names if ids is None else read_ids(ids), len(images))


def images_in(
    images: ImageList, source: str, encode, *, ids=None, labels=None, skip_unreadable=False, progress=True
) -> Incoming:
    """Make the points of an image list: ids are the images' names, unless ``ids`` is a file of others.

    Parameters
    ----------
    images : ImageList
        Of `listed_images`.
    source : str
        Where they lie: the points' metadata name their files.
    encode : callable
        Of `pictures.open_encoder`.
    ids, labels : path, optional
        One an image, in the order of their names; see `read_ids` and `read_lines`.
    skip_unreadable : bool, default False
        Leave out images that cannot be read; else they are refused, before the first is encoded.
    progress : bool

    Raises
    ------
    InputError
        If images cannot be read, or as `read_lines`.
    """
    given = image_ids(images, ids)
    metadata = [{"image": name} for name in _files(images, source)]
    if images.labels is not None:
        for row, label in zip(metadata, images.labels, strict=True):
            row["label"] = images.classes[label]
    if labels is not None and Path(labels).suffix != ".json":
        metadata = _labelled(metadata, labels)
    kept = survey(images, skip_unreadable=skip_unreadable, progress=progress)
    rows = kept.rows

    def read(wanted):
        return encode([images.read(int(rows[row])) for row in wanted])

    return Incoming(read, [metadata[row] for row in rows], [given[row] for row in rows], True)


def read_ids(path) -> list[Id]:
    """Read ids as `read_lines`; the lines of a text file are integers where all of them are written as such.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(f"{folder}/ids.txt").write_text("7\\n-8\\n")
    ...     read_ids(f"{folder}/ids.txt")
    [7, -8]
    """
    lines = read_lines(path, "--ids")
    ids = [written_id(line) if isinstance(line, str) else line for line in lines]
    return ids if Path(path).suffix.lower() != ".npy" and all(isinstance(one, int) for one in ids) else lines


def written_id(text: str) -> Id:
    """The id that a text means: the 64-bit whole number that is written just so, or else the text.

    >>> [written_id(text) for text in ("7", "-8", "007", "1_0", " 5 ", "-0")]
    [7, -8, '007', '1_0', ' 5 ', '-0']
    """
    number = int(text) if _WRITTEN.fullmatch(text) else None
    return number if number is not None and LOWEST_ID <= number <= HIGHEST_ID else text


def read_lines(path, option: str) -> list:
    """Read values, one a line of a text file, or the entries of a 1-d ``.npy`` of whole numbers or text."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            array = np.load(path, allow_pickle=False)
            if array.ndim != 1 or array.dtype.kind not in "iuU":
                raise InputError(f"{option} {path.name} has shape {array.shape} and dtype {array.dtype}; it must be a "
                                 "1-d array of whole numbers or text.")  # fmt: skip
            return array.tolist()
        return path.read_text(encoding="utf-8").splitlines()
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{option} {path} cannot be read ({error}).") from error


def _labelled(metadata: list[dict], labels) -> list[dict]:
    if labels is None:
        return metadata
    lines = read_lines(labels, "--labels")
    if len(lines) != len(metadata):
        raise InputError(f"--labels {Path(labels).name} has {len(lines)} labels for {len(metadata)} points.")
    return [{**row, "label": str(label)} for row, label in zip(metadata, lines, strict=True)]


def _files(images: ImageList, source: str) -> list[str]:
    """Where the images lie, as `pictures.read_picture` takes it; Tiny-ImageNet's are those of its ``train/``."""
    if source in DOWNLOADS:
        return [f"{source}/{name}" for name in images.names]
    folder = Path(source).resolve()
    if folder.is_dir() and not (folder / images.names[0]).is_file():
        folder = folder / "train"
    return [str(folder / name) for name in images.names]
