"""What turning one image into a vector costs: encoders timed, with random weights where none are at hand."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

from .checks import InputError, one_of
from .encoders import ENCODERS, load_encoder, random_encoder
from .retrieval_cost import COLUMNS, WARM

EDGE = 64  # pixels: the size of Tiny-ImageNet's images
RANDOM_WEIGHTS = "random weights"


def widths(encoders) -> list[int]:
    """The lengths of the vectors of some encoders, each once, ascending.

    >>> widths(["resnet18", "mobilenet_v2", "clip"])
    [512, 1280]
    """
    return sorted({ENCODERS[one_of(name, ENCODERS, "encoder")].dimension for name in encoders})


def load(encoder: str, weights_dir: str = "", *, seed: int = 0):
    """Load an encoder with the weights at hand, else with random ones, and say which: (encoder, words).

    Parameters
    ----------
    encoder : str
        A name of `ENCODERS`.
    weights_dir : str
        Folder with state dicts whose names begin with that of the encoder; empty, or none there: random weights. The
        network does the same arithmetic with any weights, so its time is the same.
    seed : int
        Of random weights.

    Raises
    ------
    InputError
        If the folder does not exist, or as `load_encoder`.
    """
    if weights_dir and not Path(weights_dir).is_dir():
        raise InputError(f"weights_dir is {weights_dir!r}; it must be a folder with state dicts, or empty.")
    found = sorted(Path(weights_dir).glob(f"{encoder}*.pth")) if weights_dir else []
    if found:
        return load_encoder(encoder, found[0], device="cpu"), found[0].name
    return random_encoder(encoder, seed=seed), RANDOM_WEIGHTS


def measure(encoders, *, weights_dir="", batches=(1,), repeats=10, seed=0) -> pd.DataFrame:
    """Time encoders from a decoded image to its vector, on one core: one image at a time, and in batches.

    Parameters
    ----------
    encoders : iterable of str
        Names of `ENCODERS`.
    weights_dir : str
        Of `load`.
    batches : iterable of int
        Images of one call.
    repeats : int, default 10
        Timed calls, each on images of their own: random pixels of Tiny-ImageNet's size.
    seed : int

    Returns
    -------
    DataFrame
        part ("extraction": image to vector; "network": without the image's scaling and cropping), method (the encoder),
        gallery (its weights), n (0), dimension, batch, repeat, seconds (processor time of one thread, an image).

    Raises
    ------
    InputError
        As `load`: torch or open_clip are not installed.

    Examples
    --------
    >>> measure([]).empty
    True
    """
    rows = []
    for name in encoders:
        encoder, weights = load(name, weights_dir, seed=seed)
        import torch

        torch.set_num_threads(1)
        for batch in batches:
            pictures = _pictures(batch * (WARM + repeats), seed)
            for repeat in range(WARM + repeats):
                whole, network = _timed(torch, encoder, pictures[repeat * batch : (repeat + 1) * batch])
                if repeat >= WARM:
                    about = (name, weights, 0, ENCODERS[name].dimension, batch, repeat - WARM)
                    rows += [("extraction", *about, whole / batch), ("network", *about, network / batch)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _timed(torch, encoder, pictures) -> tuple[float, float]:
    """Seconds of a whole call, and of the network alone on what the call gave it."""
    began = process_time()
    encoder(pictures)
    whole = process_time() - began
    batch = torch.stack([encoder.transform(picture) for picture in pictures])  # noqa: PD013
    with torch.inference_mode():
        began = process_time()
        encoder.model(batch.contiguous(memory_format=torch.channels_last))
        return whole, process_time() - began


def _pictures(count, seed):
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (count, EDGE, EDGE, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]
