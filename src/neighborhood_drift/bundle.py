"""A folder of embedded images: vectors, labels, names, small pictures, and a provenance file with every checksum."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .checks import InputError
from .files import clear_parts, sha256, write_text
from .images import THUMBNAIL, ImageList

PROVENANCE = "provenance.json"
ORIGINALS = 32  # images kept unchanged, so that vectors can be made again and compared
_MOST_PICTURES = 80_000  # a larger sheet would pass Pillow's limit on pixels; such sets carry no pictures
_JPEG_QUALITY = 90


@dataclass(frozen=True, eq=False)
class Part:
    """One part of an embedded image set: the base, or the queries.

    Parameters
    ----------
    vectors : (n, d) float16 or float32
    names : tuple of str
        n image names.
    labels : (n,) int64 or None
    images : (n, 32, 32, 3) uint8 or None
        Small pictures.
    """

    vectors: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray | None
    images: np.ndarray | None


def write_bundle(folder, parts: dict[str, Part], classes, provenance: dict, originals: ImageList, work) -> Path:
    """Write parts and provenance as files of ``folder``; the provenance, with the checksums, comes last.

    Parameters
    ----------
    folder : path
        Gets, for each part, ``<part>.npy`` (vectors), ``<part>-labels.npy`` and ``<part>.jpg`` (small pictures, one
        sheet), and ``names.json``, ``originals.zip`` and ``provenance.json``.
    parts : dict of Part
        Keys ``base`` and, optionally, ``queries``.
    classes : sequence of str
    provenance : dict
        Recorded as it is; ``files`` is added: size, SHA-256, and shape and dtype of each array.
    originals : ImageList
        The base images; the first 32 are kept unchanged, as PNG.
    work : path
        Folder on the same disk where files are written before they are moved: a kill leaves nothing half-written.

    Returns
    -------
    Path
        The provenance file.
    """
    folder, work = Path(folder), Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    clear_parts(folder)
    for name, part in parts.items():
        np.save(work / f"{name}.npy", part.vectors, allow_pickle=False)
        if part.labels is not None:
            np.save(work / f"{name}-labels.npy", part.labels.astype(np.int32), allow_pickle=False)
        if part.images is not None and len(part.images) <= _MOST_PICTURES:
            sheet(part.images).save(work / f"{name}.jpg", quality=_JPEG_QUALITY, subsampling=0)
    listed = {"classes": list(classes), **{name: list(part.names) for name, part in parts.items()}}
    write_text(work / "names.json", json.dumps(listed, indent=0, ensure_ascii=False) + "\n")
    _write_originals(work / "originals.zip", originals)
    files = {file.name: _described(file) for file in sorted(work.iterdir())}
    for name in files:
        (work / name).replace(folder / name)
    return write_text(folder / PROVENANCE, json.dumps({**provenance, "files": files}, indent=1) + "\n")


def read_bundle(folder) -> tuple[dict[str, Part], tuple[str, ...], dict]:
    """Read a folder that `write_bundle` made, each file against its checksum.

    Returns
    -------
    parts, classes, provenance

    Raises
    ------
    InputError
        If a file is missing, truncated or changed, or the provenance cannot be read.
    """
    folder = Path(folder)
    provenance = read_provenance(folder)
    files = {name: _place(folder, name, known) for name, known in provenance["files"].items()}
    for name, file in files.items():
        shown = f"{file.parent.name}/{name}"
        if not file.is_file():
            raise InputError(f"{shown} is missing; restore it, or make the folder again with embed.")
        if sha256(file) != provenance["files"][name]["sha256"]:
            raise InputError(
                f"{shown} does not match its checksum in {PROVENANCE} (truncated or changed); restore it, "
                "or make the folder again with embed."
            )
    listed = json.loads(files["names.json"].read_text(encoding="utf-8"))
    classes = tuple(listed.pop("classes"))
    parts = {}
    for name, names in listed.items():
        labels, pictures = files.get(f"{name}-labels.npy"), files.get(f"{name}.jpg")
        parts[name] = Part(
            np.load(files[f"{name}.npy"], allow_pickle=False),
            tuple(names),
            None if labels is None else np.load(labels, allow_pickle=False).astype(np.int64),
            None if pictures is None else tiles(pictures, len(names)),
        )
    return parts, classes, provenance


def share_files(folder, other) -> list[str]:
    """Keep no second copy of what a data set beside this one holds byte for byte, such as the same pictures.

    The provenance of ``folder`` then names, with each shared file, the folder that it lies in; its checksum stays.

    Parameters
    ----------
    folder, other : path
        Two folders that `write_bundle` made, side by side.

    Returns
    -------
    list of str
        Names of the files that were removed from ``folder``.

    Raises
    ------
    InputError
        If the folders do not stand side by side, are one, or a provenance cannot be read.
    """
    folder, other = Path(folder).resolve(), Path(other).resolve()
    if folder.parent != other.parent or folder == other:
        raise InputError(f"{other.name} is not another data set beside {folder.name}; files are shared side by side.")
    provenance, held = read_provenance(folder), read_provenance(other)["files"]
    own = {name: known for name, known in provenance["files"].items() if "in" not in known}
    shared = [name for name in own if "in" not in held.get(name, {"in": ""}) and held[name] == own[name]]
    for name in shared:
        own[name]["in"] = other.name
    write_text(folder / PROVENANCE, json.dumps(provenance, indent=1) + "\n")
    for name in shared:
        (folder / name).unlink()
    return shared


def read_provenance(folder) -> dict:
    """Read the provenance file of an embedded image set."""
    path = Path(folder) / PROVENANCE
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        if not {"base.npy", "names.json"} <= set(provenance["files"]):
            raise KeyError("base.npy or names.json")
        return provenance
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.parent.name}/{path.name} cannot be read as a provenance file: {error}.") from error


def _place(folder: Path, name: str, known: dict) -> Path:
    """Where a file of a bundle lies: in its folder, or in the one beside it that holds the same file."""
    return folder.parent / known["in"] / name if "in" in known else folder / name


def sheet(images: np.ndarray) -> Image.Image:
    """Lay (n, 32, 32, 3) pictures out row by row on one nearly square sheet.

    >>> sheet(np.zeros((5, 32, 32, 3), np.uint8)).size
    (96, 64)
    """
    columns = _columns(len(images))
    lines = -(-len(images) // columns)
    grid = np.zeros((lines * columns, THUMBNAIL, THUMBNAIL, 3), np.uint8)
    grid[: len(images)] = images
    grid = grid.reshape(lines, columns, THUMBNAIL, THUMBNAIL, 3).swapaxes(1, 2)
    return Image.fromarray(grid.reshape(lines * THUMBNAIL, columns * THUMBNAIL, 3))


def tiles(path, n: int) -> np.ndarray:
    """Read the first ``n`` pictures of a `sheet`: (n, 32, 32, 3) uint8."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    columns = _columns(n)
    grid = pixels.reshape(-1, THUMBNAIL, columns, THUMBNAIL, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(-1, THUMBNAIL, THUMBNAIL, 3)[:n])


def _columns(n: int) -> int:
    return max(1, int(np.ceil(np.sqrt(n))))


def _described(file: Path) -> dict:
    described = {"sha256": sha256(file), "bytes": file.stat().st_size}
    if file.suffix == ".npy":
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        described |= {"shape": list(array.shape), "dtype": str(array.dtype)}
    return described


def _write_originals(path: Path, images: ImageList) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for row in range(min(ORIGINALS, len(images))):
            stream = io.BytesIO()
            images.read(row).save(stream, "PNG")
            # a fixed date: the same images give the same archive
            archive.writestr(zipfile.ZipInfo(f"{row:02d}.png", (1980, 1, 1, 0, 0, 0)), stream.getvalue())
