"""Pictures to the vectors of a collection: by their pixels, or by an encoder of the table `ENCODERS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..checks import InputError, one_of, whole_number
from ..datasets import bundled_folder
from ..encoders import ENCODERS, load_encoder

PIXELS = "pixels"
MODES = {"L": 1, "RGB": 3}  # numbers a pixel
BATCH = 16
_MOST_SIDE = 1024


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
    return open_encoder(encoder, weights, device=device)[1]


def open_encoder(encoder: dict, weights=None, *, device: str = "auto") -> tuple[dict, Callable[[Sequence], np.ndarray]]:
    """`picture_encoder`, and the description with which a collection finds it again: with the checksum of its weights.

    >>> open_encoder({"name": "pixels", "size": (2, 1), "mode": "L"})[0]
    {'name': 'pixels', 'size': [2, 1], 'mode': 'L'}
    """
    encoder = checked_encoder(encoder)
    if encoder["name"] == PIXELS:
        return encoder, partial(_pixels, size=tuple(encoder["size"]), mode=encoder["mode"])
    loaded = load_encoder(encoder["name"], weights or _weights(encoder), device=device)
    wanted = encoder.get("weights_sha256") or loaded.weights_sha256
    if loaded.weights_sha256 != wanted:
        raise InputError(
            f"weights {loaded.weights} are not those that made the vectors ({encoder.get('weights')}, sha256 "
            f"{wanted[:12]}...); name that file."
        )
    described = {"name": loaded.name, "weights": loaded.weights, "weights_sha256": loaded.weights_sha256}
    return described, partial(_batches, loaded)


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
