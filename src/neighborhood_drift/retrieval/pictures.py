"""Pictures in and out: files decoded safely, pictures to the vectors of a collection, small pictures of its points."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..checks import InputError, one_of, whole_number
from ..datasets import bundled_folder
from ..encoders import ENCODERS, load_encoder
from ..images import thumbnail
from .store import Id, Store

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_BYTES, MOST_PIXELS = 10 * 2**20, 40_000_000
PIXELS = "pixels"
MODES = {"L": 1, "RGB": 3}  # numbers a pixel
BATCH = 16
_MOST_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over all pixels
_MOST_SIDE = 1024


class TooLarge(InputError):
    """A picture has more bytes or pixels than are taken."""


class NotAPicture(InputError):
    """The bytes are not a picture of a form that is taken."""


def decode(data: bytes, *, most_bytes: int = MOST_BYTES, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """Decode a picture that anyone may have sent: PNG, JPEG, WebP, GIF or BMP, its first frame, in RGB.

    The size is read from the header and refused before any pixel is decoded. Transparency and the orientation that a
    camera notes are passed over, as `images.open_images` does: the same file gives the same vector.

    Parameters
    ----------
    data : bytes
        The file.
    most_bytes, most_pixels : int
        The largest that is decoded.

    Raises
    ------
    TooLarge
        More bytes, pixels or progressive scans than are taken.
    NotAPicture
        Another form of file, or none.
    InputError
        A picture that is truncated or damaged.

    Examples
    --------
    >>> decode(b"hello")
    Traceback (most recent call last):
    neighborhood_drift.retrieval.pictures.NotAPicture: the file is not a picture that can be read; PNG, JPEG, ...
    """
    if len(data) > most_bytes:
        raise TooLarge(f"the picture has {len(data):,} bytes; at most {most_bytes:,} are taken.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > most_pixels:
                raise TooLarge(
                    f"the picture has {image.width:,} x {image.height:,} pixels; at most {most_pixels:,} are taken."
                )
            if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > _MOST_SCANS:
                raise TooLarge(f"the picture is a JPEG of more than {_MOST_SCANS} scans; no more are decoded.")
            return image.convert("RGB")
    except InputError:
        raise
    except UnidentifiedImageError:
        raise NotAPicture(
            "the file is not a picture that can be read; PNG, JPEG, WebP, GIF and BMP are, as whole files."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise TooLarge(f"the picture has more than the {most_pixels:,} pixels that are taken.") from None
    except Exception as error:  # each decoder fails in ways of its own, and what was sent is to blame for all of them
        raise InputError(f"the picture is truncated or damaged ({str(error).rstrip('.')}).") from error


def checked_encoder(encoder) -> dict:
    """Return an encoder's description if it is one, as `picture_encoder` takes it.

    >>> checked_encoder({"name": "pixels", "size": [28, 28], "mode": "L"})
    {'name': 'pixels', 'size': [28, 28], 'mode': 'L'}
    >>> checked_encoder({"name": "resnet51"})
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: encoder is 'resnet51'; known are pixels, resnet50, ...
    """
    if not isinstance(encoder, dict):
        raise InputError(f"the encoder is {encoder!r}; it must be a dict with a name, such as {{'name': 'pixels'}}.")
    if one_of(encoder.get("name"), (PIXELS, *ENCODERS), "encoder") != PIXELS:
        return encoder
    size = encoder.get("size")
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise InputError(f"size of the encoder is {size!r}; it must be [width, height].")
    sides = [whole_number(side, "a side of the encoder", 1, _MOST_SIDE) for side in size]
    return {**encoder, "size": sides, "mode": one_of(encoder.get("mode"), MODES, "mode of the encoder")}


def encoded_dimension(encoder: dict) -> int:
    """Numbers in a vector that an encoder makes of a picture.

    >>> encoded_dimension({"name": "pixels", "size": [28, 28], "mode": "L"}), encoded_dimension({"name": "resnet18"})
    (784, 512)
    """
    encoder = checked_encoder(encoder)
    if encoder["name"] != PIXELS:
        return ENCODERS[encoder["name"]].dimension
    return encoder["size"][0] * encoder["size"][1] * MODES[encoder["mode"]]


def picture_encoder(encoder: dict, weights=None, *, device: str = "auto") -> Callable[[Sequence], np.ndarray]:
    """How a picture becomes a vector of a collection: a function of a list of RGB PIL images to (m, d) float32.

    Parameters
    ----------
    encoder : dict
        ``{"name": "pixels", "size": [width, height], "mode": "L" or "RGB"}``: the picture, cut to that shape around
        its middle and resized, its pixels row by row from 0 to 1; or the name of a row of `ENCODERS` with its
        ``weights`` (a file name) and ``weights_sha256``.
    weights : path, optional
        The file of weights; by default one of that name in the bundled data, or the library's own.
    device : str, default "auto"
        As for `load_encoder`.

    Raises
    ------
    InputError
        Unknown encoder, torch missing, weights that are not at hand or not those of the collection.

    Examples
    --------
    >>> encode = picture_encoder({"name": "pixels", "size": [2, 1], "mode": "L"})
    >>> encode([Image.new("RGB", (2, 1), "white")])
    array([[1., 1.]], dtype=float32)
    """
    encoder = checked_encoder(encoder)
    if encoder["name"] == PIXELS:
        return partial(_pixels, size=tuple(encoder["size"]), mode=encoder["mode"])
    loaded = load_encoder(encoder["name"], weights or _weights(encoder), device=device)
    wanted = encoder.get("weights_sha256") or loaded.weights_sha256
    if loaded.weights_sha256 != wanted:
        raise InputError(
            f"weights {loaded.weights} are not those that made the vectors ({encoder.get('weights')}, sha256 "
            f"{wanted[:12]}...); name that file."
        )
    return partial(_batches, loaded)


def _pixels(pictures, size, mode) -> np.ndarray:
    fitted = [ImageOps.fit(picture.convert(mode), size, Image.Resampling.BILINEAR) for picture in pictures]
    rows = [np.asarray(picture, np.float32).ravel() for picture in fitted]
    return np.stack(rows) / np.float32(255) if rows else np.empty((0, size[0] * size[1] * MODES[mode]), np.float32)


def _batches(loaded, pictures) -> np.ndarray:
    if not pictures:
        return np.empty((0, ENCODERS[loaded.name].dimension), np.float32)
    return np.concatenate([loaded(pictures[at : at + BATCH]) for at in range(0, len(pictures), BATCH)])


def _weights(encoder: dict):
    """The weights that a description names: a bundled file, or the library's own; else they are asked for."""
    title = encoder.get("weights", "DEFAULT")
    if title == "DEFAULT" or "_Weights." in title or title == " ".join(ENCODERS[encoder["name"]].clip):
        return "DEFAULT"
    for folder in sorted(bundled_folder().glob("*/")):
        for file in (folder / Path(title).name, folder / f"{Path(title).name}.xz"):
            if file.is_file():
                return file
    raise InputError(f"weights {title} of encoder {encoder['name']} are not at hand; name the file that holds them.")


class Thumbnails:
    """Small pictures of the points of a store, 32 x 32 pixels, found by what a point's metadata has as ``image``.

    Parameters
    ----------
    store : Store
    images : (n, 32, 32, 3) uint8, optional
        Pictures at hand, such as those of a bundled data set.
    names : sequence of str, optional
        Their n names, as in the metadata.
    folder : path, optional
        Where relative names of files are looked for. Files are read from there, and from the folders and archives
        that the store's points name when this is made: who may add points cannot have other files shown.

    Examples
    --------
    >>> from neighborhood_drift import Collection
    >>> points = Collection(2)
    >>> _ = points.add([[0.0, 1.0]], ids=["a"], metadata=[{"image": "black"}])
    >>> small = Thumbnails(points, np.zeros((1, 32, 32, 3), np.uint8), ["black"])
    >>> small.picture("a").size, small.png("a")[:4]
    ((32, 32), b'\\x89PNG')
    """

    media_type = "image/png"

    def __init__(self, store: Store, images: np.ndarray | None = None, names=None, folder=None):
        self._store, self._images = store, images
        self._rows = {} if images is None else {str(name): row for row, name in enumerate(names)}
        if images is not None and not len(images) == len(self._rows) == len(names):
            raise InputError(f"{len(images)} pictures have {len(self._rows)} different names; there must be one each.")
        self._folder = None if folder is None else Path(folder).resolve()
        named = {name for one in store.metadata(store.ids()) if (name := _name(one)) and name not in self._rows}
        self._places = {path.parent for name in named if (path := _path(name, self._folder)) is not None}

    def has(self, metadata: dict) -> bool:
        """Whether a point with that metadata names a picture that may be shown."""
        name = _name(metadata)
        return name is not None and (name in self._rows or self._file(name) is not None)

    def png(self, id_: Id) -> bytes | None:
        """The small picture of a point as a PNG file; None where it has none that can be read."""
        name = _name(self._store.metadata([id_])[0])
        if name in self._rows:
            return _png(Image.fromarray(self._images[self._rows[name]]))
        file = None if name is None else self._file(name)
        try:
            return None if file is None else _small(file, _outer(file).stat().st_mtime_ns)
        except (InputError, OSError):
            return None

    def picture(self, id_: Id) -> Image.Image | None:
        """The small picture of a point, RGB; None where it has none that can be read."""
        data = self.png(id_)
        return None if data is None else Image.open(io.BytesIO(data)).convert("RGB")

    def _file(self, name: str) -> Path | None:
        path = _path(name, self._folder)
        inside = path is not None and self._folder is not None and path.is_relative_to(self._folder)
        return path if path is not None and (inside or path.parent in self._places) else None


def read_picture(path) -> Image.Image:
    """Read a picture file, or one in an archive (``pictures.zip/name.png``), as `decode` does.

    Raises
    ------
    InputError
        If there is no such file, or `decode` refuses it.
    """
    path = Path(path)
    archive = _outer(path)
    try:
        if archive == path:
            with path.open("rb") as stream:
                return decode(stream.read(MOST_BYTES + 1))
        with zipfile.ZipFile(archive) as opened, opened.open(path.relative_to(archive).as_posix()) as stream:
            return decode(stream.read(MOST_BYTES + 1))
    except InputError as error:
        raise type(error)(f"{path.name}: {error}") from error
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"picture {path} cannot be read ({error}).") from error


@lru_cache(maxsize=4096)
def _small(path: Path, changed: int) -> bytes:
    """A small picture, kept until the file changes."""
    return _png(thumbnail(read_picture(path)))


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _name(metadata: dict) -> str | None:
    name = metadata.get("image")
    return name if isinstance(name, str) and name and "\0" not in name else None


def _path(name: str, folder: Path | None) -> Path | None:
    """The file that a name means, links followed; None for a relative one without a folder."""
    path = Path(name)
    if not path.is_absolute():
        if folder is None:
            return None
        path = folder / path
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def _outer(path: Path) -> Path:
    """The archive that a path goes through, or the path itself.

    >>> _outer(Path("nowhere/a.png")).as_posix()
    'nowhere/a.png'
    """
    return next((one for one in path.parents if one.suffix.lower() == ".zip" and one.is_file()), path)


