"""The command ``embed``: images to a folder of vectors that `load_dataset` reads."""

from __future__ import annotations

import datetime
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..bundle import PROVENANCE, Part, read_provenance, share_files, write_bundle
from ..checks import InputError
from ..embedding import embed_images, refuse_other, run_identity
from ..encoders import load_encoder
from ..files import sha256
from ..images import DOWNLOADS, ImageList, Survey, cache_folder, open_images, read_order, survey
from ..labels import with_labels
from .neighbors import Scheduler, cluster_errors


def embed(
    images: Annotated[str, typer.Option(help="A folder or .zip of images, or a name: " + ", ".join(DOWNLOADS))],
    encoder: Annotated[str, typer.Option(help="A name of the table in encoders.py.")] = "resnet50",
    weights: Annotated[str, typer.Option(help="DEFAULT (downloaded), or the path of a state dict.")] = "DEFAULT",
    out: Annotated[Path | None, typer.Option(help="Folder to make; default for a name: the cache folder.")] = None,
    sample: Annotated[int, typer.Option(help="Images drawn at random; 0 takes all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of that draw.")] = 0,
    order: Annotated[Path | None, typer.Option(help="JSON with the image names of base and of queries.")] = None,
    labels: Annotated[Path | None, typer.Option(help="JSON with a class for each image name or number.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images a batch.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Type of the stored vectors: float16 or float32.")] = "float16",
    bfloat16: Annotated[bool, typer.Option("--bfloat16", help="Run the encoder in bfloat16.")] = False,
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="Leave unreadable images out.")] = False,
    license_file: Annotated[Path | None, typer.Option("--license", help="License of the weights, kept beside.")] = None,
    share: Annotated[Path | None, typer.Option(help="Folder beside --out; its files are not kept twice.")] = None,
    scheduler: Scheduler = None,
    workers: Annotated[int | None, typer.Option(help="Encode in so many processes; default: in this one.")] = None,
    progress: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Embed images with a pretrained encoder; a run that was stopped goes on where it ended.

    The folder holds the vectors, labels, names, small pictures and a provenance file with checksums, and is a data
    set for every notebook: ``-p vectors=FOLDER``.
    """
    if order and sample:
        raise InputError("both an order and a sample are given; an order already says which images are taken.")
    if license_file and not license_file.is_file():
        raise InputError(f"license file {license_file} does not exist.")
    if share:
        read_provenance(share)
    if labels and not labels.is_file():
        raise InputError(f"file of labels {labels} does not exist.")
    if out is None and images not in DOWNLOADS:
        raise InputError("an output folder is needed for a folder or archive of images; name it with --out.")
    out = Path(out or cache_folder() / "vectors" / images)
    loaded = load_encoder(encoder, weights, device=device, bfloat16=bfloat16)
    listed = open_images(images)
    parts = read_order(order) if order else {}
    listed = (
        listed.named([name for names in parts.values() for name in names]) if parts else listed.sample(sample, seed)
    )
    listed = with_labels(listed, labels) if labels else listed
    seen = survey(listed, skip_unreadable=skip_unreadable, progress=progress)
    if seen.unreadable:
        typer.echo(f"{len(seen.unreadable)} unreadable images left out: {', '.join(seen.unreadable)}")

    work = out / "unfinished"
    identity = run_identity(loaded, seen.fingerprint, batch_size, dtype)
    identity |= {"labels": sha256(labels)} if labels else {}
    if (out / PROVENANCE).is_file():
        begun = read_provenance(out)
        size = {"size of the base": _base_size(seen, parts)}  # the same images may be divided otherwise
        stored = {**begun["identity"], "size of the base": begun["files"]["base.npy"]["shape"][0]}
        refuse_other(stored, identity | size, out)
        shutil.rmtree(work, ignore_errors=True)
        typer.echo(f"{out} is complete already.")
        _share(out, share)
        return
    how = {"fingerprint": seen.fingerprint, "batch_size": batch_size, "dtype": dtype, "progress": progress}
    if scheduler or workers is not None:
        with cluster_errors() as cluster, cluster.connected(scheduler, workers) as client:
            batches = cluster.batches_on(client, images, seen.images, loaded, weights)
            made = embed_images(seen.images, loaded, work, **how, batches=batches)
    else:
        made = embed_images(seen.images, loaded, work, **how)
    provenance = {
        "images": listed.source,
        "encoder": {"name": encoder, "weights": loaded.weights, "weights_sha256": loaded.weights_sha256},
        "transform": loaded.transform_text,
        "order": _order_text(order, sample, seed),
        "labels": labels.name if labels else None,
        "unreadable": list(seen.unreadable),
        "device": loaded.device,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "date": datetime.date.today().isoformat(),
        "license": license_file.name if license_file else None,
        "identity": identity,
    }
    if license_file:
        shutil.copyfile(license_file, out / license_file.name)
    write_bundle(out, _parts(made, seen, parts), listed.classes, provenance, _base(seen, parts), work / "bundle")
    shutil.rmtree(work)
    typer.echo(f"{out}: {made.shape[0]:,} vectors of {made.shape[1]:,} dimensions, {dtype}.")
    _share(out, share)


_PACKAGES = ("neighborhood-drift", "numpy", "pillow", "torch", "torchvision")


def _share(out: Path, other: Path | None) -> None:
    if other:
        typer.echo(f"shared with {other.name}: {', '.join(share_files(out, other)) or 'nothing more'}")


def _order_text(order: Path | None, sample: int, seed: int) -> str:
    if order:
        return f"as in {order.name}, sha256 {sha256(order)}"
    return f"{sample} images drawn with seed {seed}, in the order of their names" if sample else "sorted by name"


def _base_size(seen: Survey, parts: dict) -> int:
    return int((seen.rows < len(parts["base"])).sum()) if parts else len(seen.images)


def _base(seen: Survey, parts: dict) -> ImageList:
    return seen.images.take(range(_base_size(seen, parts)))


def _parts(made: np.ndarray, seen: Survey, parts: dict) -> dict[str, Part]:
    first = _base_size(seen, parts)
    cuts = {"base": slice(0, first)}
    if first < len(seen.images):
        cuts["queries"] = slice(first, None)
    labels = seen.images.labels
    return {
        name: Part(made[cut], seen.images.names[cut], None if labels is None else labels[cut], seen.thumbnails[cut])
        for name, cut in cuts.items()
    }
