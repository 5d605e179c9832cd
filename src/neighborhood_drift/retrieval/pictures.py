"""Pictures in and out: files decoded safely, pictures to the vectors of a collection, pictures of its points."""

from __future__ import annotations

import io
import threading
import warnings
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..checks import InputError
from ..images import thumbnail
from .encoding import PIXELS, checked_encoder, open_encoder, picture_encoder
from .store import Id, Store

__all__ = [
    "PIXELS",
    "NotAPicture",
    "Thumbnails",
    "TooLarge",
    "checked_encoder",
    "decode",
    "open_encoder",
    "picture_encoder",
    "read_picture",
]
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_BYTES, MOST_PIXELS = 10 * 2**20, 40_000_000
MOST_RATIO = 20  # encoders scale the shorter side, so that a long line of few pixels becomes an image of millions
_OPENING = threading.Lock()  # filters of warnings are those of all threads
_MOST_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over all pixels


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
        More bytes, pixels or progressive scans than are taken, or sides further apart than `MOST_RATIO` to 1.
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
        with _opened(data) as image:
            pixels = image.width * image.height
            if pixels > most_pixels:
                raise TooLarge(
                    f"the picture has {image.width:,} x {image.height:,} pixels; at most {most_pixels:,} are taken."
                )
            if max(image.size) > MOST_RATIO * min(image.size):
                raise TooLarge(
                    f"the picture has {image.width:,} x {image.height:,} pixels; its longer side may be at most "
                    f"{MOST_RATIO} times the other."
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
    except (Image.DecompressionBombError, MemoryError):
        raise TooLarge(f"the picture has more than the {most_pixels:,} pixels that are taken.") from None
    except Exception as error:  # each decoder fails in ways of its own, and what was sent is to blame for all of them
        raise InputError(f"the picture is truncated or damaged ({str(error).rstrip('.')}).") from error


def _opened(data: bytes) -> Image.Image:
    """`Image.open` without the warning that Pillow gives for many pixels: what is too large gets a sentence."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=FORMATS)


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
        self._places = _folders(named, self._folder)

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
        """The picture of a point, RGB, in full where it is a file; None where it has none that can be read."""
        name = _name(self._store.metadata([id_])[0])
        if name in self._rows:
            return Image.fromarray(self._images[self._rows[name]])
        file = None if name is None else self._file(name)
        try:
            return None if file is None else read_picture(file)
        except InputError:
            return None

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
    except Exception as error:  # zipfile, and each of the ways to pack a member, fail in ways of their own
        raise InputError(f"picture {path} cannot be read ({str(error).rstrip('.')}).") from error


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


def _folders(names: set[str], folder: Path | None) -> set[Path]:
    """The folders that named files lie in, links followed."""
    paths = [Path(name) if folder is None else folder / name for name in names]
    paths = [path for path in paths if path.is_absolute()]
    # a folder is resolved once for all of its files, since that takes long
    found = {_resolved(one) for one in {path.parent for path in paths}}
    found |= {resolved.parent for path in paths if path.is_symlink() and (resolved := _resolved(path)) is not None}
    return found - {None}


def _path(name: str, folder: Path | None) -> Path | None:
    """The file that a name means, links followed; None for a relative one without a folder."""
    path = Path(name) if folder is None else folder / name
    return _resolved(path) if path.is_absolute() else None


def _resolved(path: Path) -> Path | None:
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
