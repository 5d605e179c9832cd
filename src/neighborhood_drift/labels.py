"""Labels that come in a file of their own, for images that have none where they are published."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from .checks import InputError
from .images import ImageList

LEGEND = "legend.json"


def with_labels(images: ImageList, path) -> ImageList:
    """Give each image the class that a file of labels has for it.

    Parameters
    ----------
    images : ImageList
    path : path
        JSON, or the same compressed (``.json.gz``): an object of image names, or numbers, and class codes, such as
        ``{"0": "ca0", "1": "fe2"}``. A number means the image of that number in the published order, which is what
        downloaded image sets are named by. A file ``legend.json`` beside it, ``{"canine": {"dog": "ca0"}}``, gives
        the codes' names; the class is then called ``canine: dog``. Without it a code is its own name.

    Returns
    -------
    ImageList
        With labels and the classes that occur, sorted by name.

    Raises
    ------
    InputError
        If a file cannot be read or has another form, an image has no label, or a code is not in the legend.
    """
    path = Path(path)
    codes = {_key(name): code for name, code in _read(path).items()}
    names = _legend(path.parent / LEGEND)
    missing = [name for name in images.names if _key(name) not in codes]
    if missing:
        raise InputError(
            f"{path.name} has no label for {len(missing)} images of {images.source}, first {missing[0]!r}."
        )
    found = [codes[_key(name)] for name in images.names]
    if not all(isinstance(code, str) for code in found):
        raise InputError(f"{path.name} must hold one class code, a string, for each image.")
    unknown = sorted(set(found) - set(names)) if names else []
    if unknown:
        raise InputError(
            f"{LEGEND} beside {path.name} names no class {unknown[0]!r}; {len(unknown)} codes are unknown."
        )
    called = [names.get(code, code) for code in found]
    classes = tuple(sorted(set(called)))
    place = {name: label for label, name in enumerate(classes)}
    return replace(images, labels=np.array([place[name] for name in called], dtype=np.int64), classes=classes)


def _key(name: str) -> str:
    """An image's name; of a number its digits without leading zeros, for ``000017`` and ``17`` are one image."""
    return str(int(name)) if name.isdecimal() else name


def _legend(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    groups = _read(path)
    if not all(isinstance(known, dict) for known in groups.values()):
        raise InputError(f"{path.name} must hold groups of class names and codes.")
    return {code: f"{group}: {name}" for group, known in groups.items() for name, code in known.items()}


def _read(path: Path) -> dict:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            content = json.loads(stream.read().decode("utf-8"))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"labels {path.name} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise InputError(f"labels {path.name} must hold a JSON object, names and what belongs to them.")
    return content
