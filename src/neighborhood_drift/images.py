"""Lists of images to embed: a folder, a zip archive, Tiny-ImageNet's layout, or what torchvision downloads."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from .checks import InputError, whole_number

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
THUMBNAIL = 32
# What Pillow raises on a damaged picture, and zipfile on a damaged, encrypted or unknown member (RuntimeError).
_UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, RuntimeError, struct.error)
_UNREADABLE += (zipfile.BadZipFile, zlib.error, lzma.LZMAError, Image.DecompressionBombError)

# name -> (class of torchvision.datasets, its arguments)
DOWNLOADS = {
    "stl10-unlabeled": ("STL10", {"split": "unlabeled"}),
    "stl10-train": ("STL10", {"split": "train"}),
    "stl10-test": ("STL10", {"split": "test"}),
    "cifar10-train": ("CIFAR10", {"train": True}),
    "cifar10-test": ("CIFAR10", {"train": False}),
    "cifar100-train": ("CIFAR100", {"train": True}),
    "cifar100-test": ("CIFAR100", {"train": False}),
    "fashion-mnist-train": ("FashionMNIST", {"train": True}),
    "fashion-mnist-test": ("FashionMNIST", {"train": False}),
}


@dataclass(frozen=True, eq=False)
class ImageList:
    """Images in a fixed order, read one at a time.

    Parameters
    ----------
    source : str
        Name of the data set, or of the folder or archive (without the path to it).
    names : tuple of str
        One name an image, unique.
    read : callable
        ``read(i)`` returns image i as a PIL image in RGB; raises where it cannot be read.
    labels : (n,) int64 or None
        Index into ``classes``.
    classes : tuple of str
        Names of the classes, empty without labels.
    """

    source: str
    names: tuple[str, ...]
    read: Callable[[int], Image.Image]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows) -> ImageList:
        """Keep the images ``rows`` (integers), in that order."""
        rows = np.asarray(rows, dtype=np.int64)
        labels = None if self.labels is None else self.labels[rows]
        names = tuple(self.names[row] for row in rows)
        return ImageList(self.source, names, lambda i: self.read(int(rows[i])), labels, self.classes)

    def named(self, names) -> ImageList:
        """Keep the images called ``names``, in that order; a name that is not there is refused."""
        rows = {name: row for row, name in enumerate(self.names)}
        missing = [name for name in names if name not in rows]
        if missing:
            raise InputError(f"{len(missing)} images of the order are not in {self.source}, first {missing[0]!r}.")
        return self.take([rows[name] for name in names])

    def sample(self, size: int, seed: int = 0) -> ImageList:
        """Keep a seeded random subset of ``size`` images, in their order; 0 keeps all."""
        size = whole_number(size, "sample size", 0, len(self))
        if size in (0, len(self)):
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False)))


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over an image list found; made by `survey`.

    Parameters
    ----------
    images : ImageList
        The images that can be read.
    thumbnails : (n, 32, 32, 3) uint8
        Small pictures of them, for figures.
    fingerprint : str
        SHA-256 over the names and pixels, in order: another list, order or pixel gives another one.
    rows : (n,) int64
        Places of these images in the list that was given.
    unreadable : tuple of str
        Names of the images left out.
    """

    images: ImageList
    thumbnails: np.ndarray
    fingerprint: str
    rows: np.ndarray
    unreadable: tuple[str, ...]


def open_images(source, *, root=None) -> ImageList:
    """Open an image list by name or path.

    Parameters
    ----------
    source : str or path
        A name of `DOWNLOADS` (torchvision downloads it on first use), a folder (searched to any depth) or a
        ``.zip`` archive. The folder an image lies in is its class; in Tiny-ImageNet's layout, whose images lie in
        ``<class>/images/`` and whose ``val/`` is labeled by ``val_annotations.txt``, the class is taken from there
        (the folder that holds ``wnids.txt`` means its ``train/``).
    root : path, optional
        Where downloads go; default `cache_folder`.

    Raises
    ------
    InputError
        Unknown name, missing path, a file that is not a zip archive, no image inside, torchvision missing.

    Examples
    --------
    >>> open_images("stl11")
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: image set 'stl11' is neither a folder, a zip archive nor a known name ...
    """
    if str(source) in DOWNLOADS:
        return _download(str(source), root)
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _archive(path)
    raise InputError(
        f"image set {str(source)!r} is neither a folder, a zip archive nor a known name; known are "
        f"{', '.join(DOWNLOADS)}."
    )


def cache_folder() -> Path:
    """Folder of downloads and of what is made from them: ``$NEIGHBORHOOD_DRIFT_CACHE``, or one in ``~/.cache``."""
    return Path(os.environ.get("NEIGHBORHOOD_DRIFT_CACHE") or Path.home() / ".cache" / "neighborhood-drift")


def read_order(path) -> dict[str, list[str]]:
    """Read an order file: JSON with the image names of ``base`` and, optionally, of ``queries``."""
    try:
        order = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"order file {Path(path).name} cannot be read as JSON: {error}.") from error
    parts = {part: order.get(part) for part in ("base", "queries") if isinstance(order, dict) and part in order}
    if "base" not in parts or not all(isinstance(names, list) for names in parts.values()):
        raise InputError(f"order file {Path(path).name} must hold lists of image names: base and, optionally, queries.")
    return parts


def survey(images: ImageList, *, skip_unreadable: bool = False, progress: bool = True) -> Survey:
    """Read every image once, before the long work: finds unreadable ones, makes thumbnails and the fingerprint.

    Raises
    ------
    InputError
        If images cannot be read and ``skip_unreadable`` is False (the message names and counts them), or none can.
    """
    digest, thumbnails, kept, unreadable = hashlib.sha256(), [], [], []
    for row in tqdm(range(len(images)), desc="reading images", unit="image", disable=not progress):
        try:
            image = images.read(row)
        except _UNREADABLE:
            unreadable.append(images.names[row])
            continue
        digest.update(f"{images.names[row]}\0{image.size}\0".encode())
        digest.update(image.tobytes())
        thumbnails.append(np.asarray(thumbnail(image)))
        kept.append(row)
    if unreadable and not skip_unreadable:
        shown = ", ".join(unreadable[:5]) + (", ..." if len(unreadable) > 5 else "")
        raise InputError(
            f"{len(unreadable)} of {len(images)} images cannot be read: {shown}; repair or remove them, or ask for "
            "unreadable images to be skipped."
        )
    if not kept:
        raise InputError(f"none of the {len(images)} images of {images.source} can be read.")
    readable = images.take(kept) if unreadable else images
    return Survey(readable, np.stack(thumbnails), digest.hexdigest(), np.array(kept), tuple(unreadable))


def thumbnail(image: Image.Image) -> Image.Image:
    """The middle square of an RGB image, resized to 32 x 32 pixels (unchanged if it has that size)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square if side == THUMBNAIL else square.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)


def _rgb(stream) -> Image.Image:
    with Image.open(stream) as image:
        return image.convert("RGB")


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _labeled(source: str, names, read, class_of: dict[str, str] | None = None) -> ImageList:
    if not names:
        raise InputError(f"{source} holds no image; looked for {', '.join(SUFFIXES)}.")
    given = class_of or {}
    found = [given.get(name) or _class(name) for name in names]
    classes = tuple(sorted(set(found)))
    if len(classes) < 2:
        return ImageList(source, tuple(names), read)
    index = {name: label for label, name in enumerate(classes)}
    labels = np.array([index[name] for name in found], dtype=np.int64)
    return ImageList(source, tuple(names), read, labels, classes)


def _class(name: str) -> str:
    folders = [part for part in PurePosixPath(name).parts[:-1] if part != "images"]
    return folders[-1] if folders else ""


def _folder(path: Path) -> ImageList:
    source = path.resolve().name
    if (path / "wnids.txt").is_file() and (path / "train").is_dir():
        path = path / "train"
    files = {str(PurePosixPath(file.relative_to(path))): file for file in path.rglob("*") if file.is_file()}
    names = sorted(name for name in files if _is_image(name))
    annotations = path / "val_annotations.txt"
    class_of = None
    if annotations.is_file():
        rows = (line.split("\t") for line in annotations.read_text(encoding="utf-8").splitlines() if line)
        class_of = {f"images/{row[0]}": row[1] for row in rows}
    return _labeled(source, names, lambda i: _rgb(files[names[i]]), class_of)


def _archive(path: Path) -> ImageList:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path.name} is not a whole zip archive ({error}).") from error
    names = sorted(info.filename for info in archive.infolist() if not info.is_dir() and _is_image(info.filename))

    def read(i: int) -> Image.Image:
        with archive.open(names[i]) as stream:
            return _rgb(stream)

    return _labeled(path.stem, names, read)


def _download(name: str, root) -> ImageList:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise InputError(
            f"image set {name} needs torchvision; install it in a clone: pip install -e '.[encode]'."
        ) from error
    folder = Path(root or cache_folder())
    folder.mkdir(parents=True, exist_ok=True)
    kind, arguments = DOWNLOADS[name]
    try:
        dataset = getattr(datasets, kind)(str(folder), download=True, **arguments)
    except (OSError, RuntimeError) as error:
        raise InputError(f"image set {name} could not be downloaded or is damaged: {error}") from error
    labels = np.asarray(getattr(dataset, "targets", getattr(dataset, "labels", None)), dtype=np.int64)
    labeled = labels.shape == (len(dataset),) and (labels >= 0).all()
    return ImageList(
        name,
        tuple(f"{row:06d}" for row in range(len(dataset))),
        lambda i: dataset[i][0].convert("RGB"),
        labels if labeled else None,
        tuple(dataset.classes) if labeled else (),
    )
