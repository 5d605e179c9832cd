"""Fashion-MNIST from its original IDX files: pixels as vectors, without an encoder."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from .checks import InputError
from .dataset_files import Dataset
from .files import sha256
from .images import THUMBNAIL

SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
FILES = {
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
}
CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
# The parts, as the files name them; each can be the base, and the other one then gives the queries.
PARTS = {"fashion-mnist": ("t10k", "train"), "fashion-mnist-train": ("train", "t10k")}
QUERIES = 1000  # training images that are asked; the first ones, as many as the bundled samples have


def is_fashion_mnist(folder) -> bool:
    """Whether a folder holds at least one of the four files of Fashion-MNIST."""
    return any((Path(folder) / name).is_file() for name in FILES)


def is_training_part(path) -> bool:
    """Whether a path is that of Fashion-MNIST's training images, which are then the base."""
    return Path(path).name == "train-images-idx3-ubyte.gz"


def read_fashion_mnist(folder, name: str = "fashion-mnist", *, queries: int | None = QUERIES) -> Dataset:
    """Read Fashion-MNIST: the base is its 10,000 test images, the queries are its first 1,000 training images.

    A vector is the 784 pixels of an image, row by row, from 0 to 255. The base is as large as that of the bundled
    samples, so that data sets are compared at one size. Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747.
    "fashion-mnist-train" is the other way round: the base is the 60,000 training images.

    Parameters
    ----------
    folder : path
        Holds the four files as they were published, compressed.
    name : {"fashion-mnist", "fashion-mnist-train"}
    queries : int or None
        Images of the other part that are asked, the first ones; None: all.

    Returns
    -------
    Dataset
        vectors (n, 784) float32; labels; classes; images padded with black to (n, 32, 32, 3); of the queries as well.

    Raises
    ------
    InputError
        If one of the four files is missing, or is not the published one.
    """
    folder, (base, asked) = Path(folder), PARTS[name]
    for file, known in FILES.items():
        if not (folder / file).is_file():
            raise InputError(f"{file} of Fashion-MNIST is missing in {folder}; the four files are at {SOURCE}.")
        if sha256(folder / file) != known:
            raise InputError(
                f"{file} in {folder} is not the published file (truncated or changed); get it anew from {SOURCE}."
            )
    provenance = {"images": name, "source": SOURCE}
    provenance["files"] = {file: {"sha256": known} for file, known in FILES.items()}
    images = read_idx(folder / f"{base}-images-idx3-ubyte.gz")
    asked_images = read_idx(folder / f"{asked}-images-idx3-ubyte.gz", queries)
    return Dataset(
        name,
        images.reshape(len(images), -1).astype(np.float32),
        FILES[f"{base}-images-idx3-ubyte.gz"],
        provenance,
        read_idx(folder / f"{base}-labels-idx1-ubyte.gz").astype(np.int64),
        CLASSES,
        _pictures(images),
        tuple(f"{base}/{row:05d}" for row in range(len(images))),
        asked_images.reshape(len(asked_images), -1).astype(np.float32),
        read_idx(folder / f"{asked}-labels-idx1-ubyte.gz", queries).astype(np.int64),
        _pictures(asked_images),
    )


def read_idx(path, most: int | None = None) -> np.ndarray:
    """Read the first ``most`` entries of a compressed IDX file of bytes; all by default.

    The format, as Y. LeCun's MNIST page gives it: two zero bytes, the type (8: unsigned byte), the number of
    dimensions, each size as a big-endian 4-byte integer, then the values with the last dimension fastest.

    Raises
    ------
    InputError
        If the file is not a whole compressed IDX file of bytes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(f"{folder}/a.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])))
    ...     read_idx(f"{folder}/a.gz", 2)
    array([7, 8], dtype=uint8)
    """
    path = Path(path)
    try:
        with gzip.open(path) as stream:
            head = stream.read(4)
            sizes = stream.read(4 * head[3]) if len(head) == 4 else b""
            if not sizes or head[:3] != b"\0\0\x08" or len(sizes) < 4 * head[3]:
                raise InputError(f"{path.name} is not an IDX file of bytes.")
            shape = [int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4)]
            shape[0] = shape[0] if most is None else min(shape[0], most)
            values = stream.read(math.prod(shape))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name} is not a whole compressed file ({error}).") from error
    if len(values) < math.prod(shape):
        raise InputError(f"{path.name} ends early: {len(values):,} of {math.prod(shape):,} values.")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _pictures(images: np.ndarray) -> np.ndarray:
    edge = (THUMBNAIL - images.shape[1]) // 2
    padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge)))
    return np.repeat(padded[..., None], 3, axis=-1)
