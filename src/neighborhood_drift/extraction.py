"""What turning one image into a vector costs: encoders timed, with random weights where none are at hand."""

from __future__ import annotations

import platform
from importlib import metadata
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


def weight_files(encoders, weights_dir: str) -> dict[str, Path]:
    """Where the weights at hand lie: encoder -> the first state dict in the folder whose name begins with its own.

    Raises
    ------
    InputError
        If the folder does not exist; an empty name is no folder, and holds none.
    """
    if weights_dir and not Path(weights_dir).is_dir():
        raise InputError(f"weights_dir is {weights_dir!r}; it must be a folder with state dicts, or empty.")
    found = {name: sorted(Path(weights_dir).glob(f"{name}*.pth")) if weights_dir else [] for name in encoders}
    return {name: files[0] for name, files in found.items() if files}


def setting() -> dict[str, str]:
    """What times hang on, for `separate.leave`: what was encoded and searched, the processor, the libraries."""
    libraries = {"NumPy": "numpy", "FAISS": "faiss-cpu", "torch": "torch", "torchvision": "torchvision"}
    told = [f"{word} {version}" for word, name in libraries.items() if (version := _version(name))]
    images = f"images of {EDGE} x {EDGE} random pixels and galleries of random vectors"
    return {"input": images, "processor": processor(), "versions": ", ".join(told)}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())


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
    found = weight_files([encoder], weights_dir)
    if found:
        return load_encoder(encoder, found[encoder], device="cpu"), found[encoder].name
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

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for batch in batches:
                pictures = _pictures(batch * (WARM + repeats), seed)
                for repeat in range(WARM + repeats):
                    whole, network = _timed(torch, encoder, pictures[repeat * batch : (repeat + 1) * batch])
                    if repeat >= WARM:
                        about = (name, weights, 0, ENCODERS[name].dimension, batch, repeat - WARM)
                        rows += [("extraction", *about, whole / batch), ("network", *about, network / batch)]
        finally:
            torch.set_num_threads(before)
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
