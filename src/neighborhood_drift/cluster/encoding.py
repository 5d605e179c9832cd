"""Embedding on many processes: the batches of a run, each encoded by whichever worker is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from distributed import KilledWorker, as_completed

from ..checks import InputError
from ..encoders import Loaded, load_encoder
from ..images import DOWNLOADS, ImageList, open_images
from .clients import ClusterError, threads_of


def batches_on(client, source, images: ImageList, encoder: Loaded, weights="DEFAULT") -> Callable:
    """Make what `embedding.embed_images` takes as ``batches``: an encoder that runs on the workers of a Dask client.

    Each worker opens the images and loads the weights once, under the same names and paths as here. A batch is the
    same images as without workers, so its vectors are the same wherever the encoder gives the same bits. That is so on
    processors of one kind with as many threads; PyTorch promises no more. A few batches a thread are under way at
    a time, and a finished one comes here at once: a worker that dies costs the batches that it was computing.

    Parameters
    ----------
    client : distributed.Client
    source : str or path
        What ``images`` was opened from.
    images : ImageList
        All of `images.open_images`, or a choice of it in any order.
    encoder : Loaded
        The encoder as loaded here; a worker whose weights have another SHA-256 refuses.
    weights : str or path, default "DEFAULT"

    Returns
    -------
    callable
        Takes row ranges of ``images`` and yields (range, (b, d) float32), in the order in which they are done.
    """
    source = source if str(source) in DOWNLOADS else str(Path(source).resolve())
    weights = weights if str(weights) == "DEFAULT" else str(Path(weights).resolve())
    place = {name: row for row, name in enumerate(open_images(source).names)}
    how = (encoder.name, weights, encoder.device, encoder.bfloat16, encoder.weights_sha256)

    def encoded(ranges) -> Iterator[tuple[range, np.ndarray]]:
        waiting, going, known = iter(ranges), as_completed(with_results=False), {}
        while True:
            for rows in islice(waiting, max(0, 3 * threads_of(client) - len(known))):
                named = [(place[images.names[row]], images.names[row]) for row in rows]
                future = client.submit(encode, source, named, how, pure=False)
                known[future.key] = rows
                going.add(future)
            if not known:
                return
            future = next(going)
            try:
                yield known.pop(future.key), future.result()
            except KilledWorker as error:
                raise ClusterError(
                    "a batch was given up: its workers died, most likely for want of memory; fewer workers or smaller "
                    "batches need less. What was finished is kept."
                ) from error

    return encoded


def encode(source: str, named: list[tuple[int, str]], how: tuple) -> np.ndarray:
    """Encode the images of ``source`` in the places that ``named`` gives with their names: (b, d) float32."""
    listed = _images(source)
    for row, name in named:
        if row >= len(listed) or listed.names[row] != name:
            raise InputError(f"{Path(source).name} holds other images for a worker than here, first {name!r}.")
    return _encoder(*how)([listed.read(row) for row, _ in named])


@lru_cache(maxsize=1)
def _images(source: str) -> ImageList:
    return open_images(source)


@lru_cache(maxsize=1)
def _encoder(name: str, weights: str, device: str, bfloat16: bool, expected: str) -> Loaded:
    loaded = load_encoder(name, weights, device=device, bfloat16=bfloat16)
    if loaded.weights_sha256 != expected:
        raise InputError(f"the weights of {name} differ between a worker and here; give both the same file.")
    return loaded
