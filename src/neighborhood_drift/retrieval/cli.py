"""The commands ``index``: a collection of one's own, made, changed and searched from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from ..checks import METRICS, InputError, one_of, whole_number
from ..encoders import ENCODERS
from ..indexes.base import DEFAULT_EF, HIGHEST_EF
from ..indexes.redis_index import without_password
from .asking import terminal
from .encoding import PIXELS, open_encoder, picture_encoder
from .filling import STORES, Filled, add_together, fill, refuse_others, refuse_unwritable, told_if_stopped
from .incoming import image_ids, images_in, is_vectors, listed_images, vectors_in, written_id
from .opening import open_store
from .searching import Query, search_store
from .store import Id, Store

index = typer.Typer(
    help="Collections of your own vectors or images: build one, add to it, search it, delete from it. LOCATION is a "
    "folder, qdrant+http://HOST:6333/NAME, or redis://HOST:6379/NAME.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Location = Annotated[str, typer.Argument(metavar="LOCATION", help="A folder, or another store's address.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Vectors: .npy, .npz, a folder that embed made, a bundled name. Or images: a folder, a .zip, a name "
        "that embed knows.",
    ),
]
Ids = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Ids, one a line or a 1-d .npy, in the order of the vectors, or of the images' names.  [default: the "
        "images' names; of vectors, whole numbers that go on after the highest]",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Labels, in the same form, or for images JSON with a class for each name.  [default: those of the data "
        "set; of images, the folder they lie in]",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The encoder's state dict, .pth or .pth.xz.  [default: the bundled one, or the library's]"
    ),
]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")]
Progress = Annotated[bool, typer.Option(help="Show progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@index.command()
def build(
    source: Source,
    to: Annotated[str, typer.Option(metavar="LOCATION", help="Where the collection is made.")],
    metric: Annotated[str, typer.Option(help="l2 or cosine.")] = "l2",
    M: Annotated[int, typer.Option("--M", help="Links of a point in the graph.")] = 32,
    ef_construction: Annotated[int, typer.Option(help="Effort of the build.")] = 200,
    ef: Annotated[
        int | None,
        typer.Option(
            help=f"Effort of searches that name none.  [default: {DEFAULT_EF}; of a collection that is there, its own]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the graph.")] = 0,
    threads: Annotated[int, typer.Option(help="Of the build; 1 builds the same graph again.")] = 1,
    encoder: Annotated[
        str | None,
        typer.Option(help=f"For images: {PIXELS} (needs nothing else), or {', '.join(ENCODERS)} (the extra encode)."),
    ] = None,
    weights: Weights = None,
    size: Annotated[str, typer.Option(metavar="N|WxH", help="Of the pixels that are compared.")] = "28",
    color: Annotated[bool, typer.Option("--color", help="Compare pixels in color, not in gray.")] = False,
    ids: Ids = None,
    labels: Labels = None,
    skip_unreadable: SkipUnreadable = False,
    as_json: AsJson = False,
    progress: Progress = True,
) -> None:
    """Make a collection of vectors or of images.

    What is done is saved on the way: stopped or killed, the same command goes on where it was. The points are then the
    same as without the stop, the links of the graph not all: hnswlib draws its levels from the start again. Another
    --ef is no other build: the collection that is there takes it.
    """
    one_of(metric, METRICS, "--metric")
    for value, option, low in ((M, "--M", 2), (ef_construction, "--ef-construction", 1), (threads, "--threads", 1),
                               (seed, "--seed", 0)):  # fmt: skip
        whole_number(value, option, low)
    if ef is not None:
        whole_number(ef, "--ef", 1, HIGHEST_EF)
    shown = without_password(to)
    settings = _settings(to, metric, M, ef_construction, ef, seed, threads)
    if is_vectors(source):
        if encoder is not None:
            raise InputError("--encoder is given, but the source holds vectors; encoders are for images.")
        incoming, described = vectors_in(source, ids=ids, labels=labels)
    else:
        images = listed_images(source, labels)
        described, encode = open_encoder(_described(encoder, size, color), weights)
        with open_store(to, **settings) as store:  # what cannot be used is said before the images are read
            refuse_others(store, image_ids(images, ids), {**settings, "encoder": described}, shown)
        incoming = images_in(
            images, source, encode, ids=ids, labels=labels, skip_unreadable=skip_unreadable, progress=progress
        )
    with open_store(to, **settings, **({} if described is None else {"encoder": described})) as store:
        given = list(range(len(incoming))) if incoming.ids is None else incoming.ids
        if not incoming.images:
            asked = {**settings, "dimension": incoming.read([0]).shape[1]}
            refuse_others(store, given, asked, shown, incoming.read)
        done = Filled()
        with told_if_stopped(done, shown):
            fill(store, incoming, given, done, progress=progress)
        _tell_filled(store, done, shown, as_json)


@index.command()
def add(
    location: Location,
    source: Source,
    ids: Ids = None,
    labels: Labels = None,
    replace: Annotated[bool, typer.Option("--replace", help="Ids that are there get the new vectors.")] = False,
    weights: Weights = None,
    skip_unreadable: SkipUnreadable = False,
    as_json: AsJson = False,
    progress: Progress = True,
) -> None:
    """Add vectors, or images through the collection's own encoder.

    Images whose names are there already are left as they are, and what is done is saved on the way: stopped, the same
    command goes on. Vectors are added to a folder all or none.
    """
    shown = without_password(location)
    with open_store(location, create=False) as store:
        described = getattr(store, "encoder", None)
        if is_vectors(source):
            incoming, _ = vectors_in(source, ids=ids, labels=labels)
        elif described is None:
            raise InputError(f"{shown} does not say how an image becomes one of its vectors; add vectors to it.")
        else:
            images = listed_images(source, labels)
            encode = picture_encoder(described, weights)
            incoming = images_in(
                images, source, encode, ids=ids, labels=labels, skip_unreadable=skip_unreadable, progress=progress
            )
        done = Filled()
        with told_if_stopped(done, shown):
            if incoming.images:
                fill(store, incoming, incoming.ids, done, replace=replace, progress=progress)
            else:
                add_together(store, incoming, done, replace=replace, progress=progress)
        _tell_filled(store, done, shown, as_json)


@index.command()
def search(
    location: Location,
    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="An image, or vectors: .npy, one a row, or a single one.")
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="A point of the collection, left out of its own answer."),
    ] = None,
    k: Annotated[int, typer.Option("--k", help="Neighbors.")] = 10,
    ef: Annotated[int | None, typer.Option(help="Search effort.  [default: the collection's]")] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME=NUMBER", help="What to reach instead, such as overlap=0.95: see tune.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Print the exact neighbors beside them, and the overlap.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the query and its neighbors: .png, .svg or .pdf.")
    ] = None,
    pictures: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Data set whose pictures are drawn.  [default: the images' files]"),
    ] = None,
    weights: Weights = None,
    text: Annotated[bool, typer.Option("--text", help="The id is text, also where it looks like a number.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search the neighbors of an image, of vectors, or of a point of the collection."""
    if (query is None) == (id_ is None):
        raise InputError("a search takes one query: an image, a file of vectors, or --id with an id of the collection.")
    asked = Query(query, None if id_ is None else _id(id_, text), weights)
    search_store(location, asked, k, ef=ef, target=target, exact=exact, picture=picture, pictures=pictures,
                 as_json=as_json)  # fmt: skip


@index.command()
def delete(
    location: Location,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids; 7 is a whole number, 007 is text.")],
    text: Annotated[bool, typer.Option("--text", help="All ids are text, also those that look like numbers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete points: all that are named, or none where one is not there."""
    with open_store(location, create=False) as store:
        deleted = store.delete([_id(one, text) for one in ids])
        store.save()
        _tell({"deleted": deleted, "points": store.count()}, as_json,
              f"{deleted:,} points deleted; {without_password(location)} holds {store.count():,}.")  # fmt: skip


@index.command()
def compact(
    location: Location,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Do not read the graph: it is damaged or lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Free what deleted points still take: the graph is built again from the others."""
    shown = without_password(location)
    if rebuild and not Path(location).is_dir():
        raise InputError(f"--rebuild is given, but {shown} is no folder; other stores mend their graphs themselves.")
    with open_store(location, create=False, **({"rebuild": True} if rebuild else {})) as store:
        freed = store.info().get("deleted")
        store.compact()
        store.save()
        said = "" if freed is None else f"{freed:,} deleted points freed; "
        _tell({"freed": freed, "points": store.count()}, as_json, f"{said}{shown} holds {store.count():,}.")


@index.command()
def info(location: Location, as_json: AsJson = False) -> None:
    """Say what a collection is and holds."""
    with open_store(location, create=False) as store:
        told = store.info()
        rows = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in told.items()]
        _tell(told, as_json, terminal(pd.DataFrame(rows, columns=["what", "value"])))


def _described(encoder: str | None, size: str, color: bool) -> dict:
    if encoder is None:
        raise InputError(
            f"images need an encoder: --encoder {PIXELS} compares them pixel by pixel and needs nothing else; "
            f"{', '.join(ENCODERS)} compare what is on them (pip install -e '.[encode]')."
        )
    if encoder != PIXELS:
        return {"name": one_of(encoder, ENCODERS, "--encoder")}
    try:
        sides = [int(side) for side in size.split("x")]
    except ValueError:
        raise InputError(f"--size is {size!r}; it must be a number, such as 28, or two, such as 32x24.") from None
    return {"name": PIXELS, "size": sides * (2 if len(sides) == 1 else 1), "mode": "RGB" if color else "L"}


def _settings(location: str, metric, M, ef_construction, ef, seed, threads) -> dict:
    """Parameters of a new store; seed and threads are those of a graph that is built here."""
    if location.startswith("qdrant+memory"):
        raise InputError(f"{location} is gone when this command ends; name a folder, or a server's address.")
    refuse_unwritable(location)
    settings = {"metric": metric, "M": M, "ef_construction": ef_construction} | ({} if ef is None else {"ef": ef})
    own = {name: value for name, value, usual in (("seed", seed, 0), ("threads", threads, 1)) if value != usual}
    if own and location.startswith(STORES):
        raise InputError(f"--{next(iter(own))} is given, but {location.partition(':')[0]} builds its graph itself.")
    return settings | own


def _id(text: str, as_text: bool) -> Id:
    return text if as_text else written_id(text)


def _tell_filled(store: Store, done: Filled, shown: str, as_json: bool) -> None:
    known = f" ({done.known:,} were there already)" if done.known else ""
    _tell(
        {"added": done.added, "known": done.known, "points": store.count()},
        as_json,
        f"{done.added:,} points added{known}; {shown} holds {store.count():,} of {store.dimension:,} dimensions.",
    )


def _tell(document: dict, as_json: bool, words: str) -> None:
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False) if as_json else words)
