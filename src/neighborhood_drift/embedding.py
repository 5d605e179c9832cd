"""A run over an image list that can be killed at any moment and goes on at the batch where it stopped."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .checks import InputError, one_of, whole_number
from .encoders import ENCODERS, Loaded
from .files import write_text
from .images import ImageList

DTYPES = ("float16", "float32")


def run_identity(encoder: Loaded, fingerprint: str, batch_size: int, dtype: str) -> dict:
    """What decides the vectors of a run: only a run with the same identity goes on with it."""
    return {
        "encoder": encoder.name,
        "weights": encoder.weights_sha256,
        "images": fingerprint,
        "transform": encoder.transform_text,
        "bfloat16": encoder.bfloat16,
        "dtype": dtype,
        "batch size": batch_size,
    }


def refuse_other(begun: dict, identity: dict, where, what_it_holds: str = "vectors") -> None:
    """Raise InputError if a run in the folder ``where`` was begun with another identity, saying what differs."""
    changed = [what for what in identity if begun.get(what) != identity[what]]
    if changed:
        told = "; ".join(f"{what} was {begun.get(what)}, is now {identity[what]}" for what in changed)
        raise InputError(
            f"{where} holds {what_it_holds} begun otherwise ({told}); use another folder, or remove it first."
        )


def embed_images(
    images: ImageList,
    encoder: Loaded,
    folder,
    *,
    fingerprint: str,
    batch_size: int = 16,
    dtype: str = "float16",
    progress: bool = True,
    batches=None,
) -> np.ndarray:
    """Embed a list of images into a memory-mapped array in ``folder``, going on where a stopped run ended.

    After each batch the array is flushed and the number of finished rows is written; a run killed at any moment
    goes on at the batch where it stopped and ends with the same vectors.

    Parameters
    ----------
    images : ImageList
        n images, all readable (see `images.survey`).
    encoder : Loaded
        From `load_encoder`.
    folder : path
        Holds ``vectors.npy`` and ``progress.json`` while the work lasts, and after it.
    fingerprint : str
        Identity of the image list, from `images.survey`.
    batch_size : int, default 16
        Images a batch.
    dtype : {"float16", "float32"}
        Stored type.
    batches : callable, optional
        Takes row ranges and yields (range, (b, d) float32) as they are done, such as `cluster.batches_on` makes; by
        default the encoder runs here, on one batch after another.

    Returns
    -------
    (n, d) memory-mapped array of ``dtype``

    Raises
    ------
    InputError
        If the folder holds a run begun with another encoder, weights, image list, batch size or type; or if a vector
        is not finite in ``dtype``.
    """
    one_of(dtype, DTYPES, "dtype")
    whole_number(batch_size, "batch size", 1)
    n, dimension = len(images), ENCODERS[encoder.name].dimension
    identity = run_identity(encoder, fingerprint, batch_size, dtype)
    folder = Path(folder)
    array, note = folder / "vectors.npy", folder / "progress.json"
    done = _resume(note, array, identity)
    if done == 0:
        folder.mkdir(parents=True, exist_ok=True)
        _allocate(array, dtype, (n, dimension))
        write_text(note, json.dumps({"identity": identity, "done": 0}))
    vectors = np.lib.format.open_memmap(array, mode="r+")
    began, first = time.perf_counter(), done
    ranges = [range(start, min(start + batch_size, n)) for start in range(done, n, batch_size)]
    ahead = {}  # batches that are stored while one before them is not
    with tqdm(total=n, initial=done, desc=f"embedding ({encoder.name})", unit="image", disable=not progress) as bar:
        for rows, batch in (batches or partial(_here, images, encoder))(ranges):
            with np.errstate(over="ignore"):
                stored = batch.astype(dtype)
            if not np.isfinite(stored).all():
                row = rows[int(np.flatnonzero(~np.isfinite(stored).all(axis=1))[0])]
                raise InputError(f"the vector of {images.names[row]} is not finite in {dtype}; store it as float32.")
            vectors[rows.start : rows.stop] = stored
            vectors.flush()
            ahead[rows.start] = rows.stop
            while done in ahead:
                done = ahead.pop(done)
            write_text(note, json.dumps({"identity": identity, "done": done}))
            bar.update(len(rows))
            bar.set_postfix_str(f"{(bar.n - first) / (time.perf_counter() - began):.1f} images/s", refresh=False)
    return vectors


def _here(images: ImageList, encoder: Loaded, ranges):
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as readers:
        for rows in ranges:
            yield rows, encoder(list(readers.map(images.read, rows)))


def _allocate(path: Path, dtype: str, shape: tuple[int, int]) -> None:
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
    size = path.stat().st_size
    if hasattr(os, "posix_fallocate"):  # a mapped file that finds no room later would end the process without a word
        try:
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            path.unlink()
            raise InputError(f"no room for the vectors in {path.parent}: {size:,} bytes ({error.strerror}).") from error


def _resume(note: Path, array: Path, identity: dict) -> int:
    if not note.is_file():
        return 0
    begun = json.loads(note.read_text(encoding="utf-8"))
    refuse_other(begun["identity"], identity, note.parent)
    return begun["done"] if array.is_file() else 0
