"""The command ``neighbors``: exact neighbors of vectors on disk, over all cores or a cluster."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..checks import InputError
from ..datasets import load_dataset
from .project import StudyError

Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A running Dask scheduler, tcp://HOST:PORT; its workers see the same paths."),
]


def neighbors(
    vectors: Annotated[str, typer.Option(help="An .npy file, or what load_dataset reads: a name, a folder, .npz.")],
    k: Annotated[int, typer.Option(help="Neighbors of each query.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Gets ids.npy, distances.npy and neighbors.json.")],
    queries: Annotated[
        Path | None, typer.Option(help="An .npy file of what is asked.  [default: each vector, left out of its answer]")
    ] = None,
    metric: Annotated[str, typer.Option(help="l2 or cosine.")] = "l2",
    block: Annotated[int | None, typer.Option(help="Rows of a block.  [default: 256 MiB of vectors]")] = None,
    scheduler: Scheduler = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine, without a scheduler.  [default: one a core]")
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Find the exact nearest neighbors of all vectors, block by block on many processes; a stopped run goes on.

    The ids and float64 distances are those of exact_neighbors in Python, to the last one. An .npy file, or the folder
    that embed made, is read block by block and may be larger than memory; all else is loaded and copied. A process that
    is killed costs the blocks that it was computing.
    """
    if queries and queries.suffix != ".npy":
        raise InputError(f"queries {queries.name} is no .npy file; save them as one 2-d array.")
    made = Path(vectors) / "base.npy"  # by embed
    base = vectors if vectors.endswith(".npy") else made if made.is_file() else load_dataset(vectors).vectors
    with cluster_errors() as cluster:
        found = cluster.neighbors(
            base,
            queries,
            k=k,
            metric=metric,
            block=block,
            folder=out,
            scheduler=scheduler,
            workers=workers,
            progress=progress,
        )
    typer.echo(f"{out}: the {found.k:,} nearest of {len(found.ids):,} queries.")


@contextmanager
def cluster_errors():
    """Yield the package `cluster`, and report a cluster that failed as a study that stopped."""
    from .. import cluster  # here, because the other commands need not wait for Dask to load

    try:
        yield cluster
    except cluster.ClusterError as error:
        raise StudyError(str(error)) from error
