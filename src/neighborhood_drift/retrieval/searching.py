"""The command ``index search``: from a query to a table, a JSON document and a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from ..checks import InputError, one_of, whole_number
from ..datasets import ARRAYS, load_dataset
from ..indexes.base import HIGHEST_EF
from ..indexes.redis_index import without_password
from .asking import answers, as_table, in_words, without_itself
from .bundled import dataset_thumbnails
from .encoding import picture_encoder
from .opening import open_store
from .pictures import Thumbnails, read_picture
from .store import Hits, Id, Store

FORMATS = (".png", ".svg", ".pdf")
SHOWN = 10  # queries of which a table is printed


@dataclass(frozen=True)
class Query:
    """What is asked: a file, or a point of the collection.

    Parameters
    ----------
    file : str or None
        An image, an ``.npy`` or an ``.npz``.
    id : int or str or None
    weights : path or None
        Of the encoder.
    """

    file: str | None
    id: Id | None
    weights: Path | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """A query read: its vectors, their names, and the picture if it is one."""

    vectors: np.ndarray
    names: list[str]
    picture: object = None


def search_store(location, query: Query, k: int, *, ef, target, exact: bool, picture, pictures, as_json: bool) -> None:
    """Search a store and print the answer; see ``index search``.

    Parameters
    ----------
    location : str
    query : Query
    k : int
    ef, target
        At most one of them.
    exact : bool
        Whether the exact neighbors are found too.
    picture : path or None
        Where the query and its neighbors are drawn.
    pictures : str or None
        Data set that holds the pictures.
    as_json : bool

    Raises
    ------
    InputError
    """
    whole_number(k, "--k", 1)
    if ef is not None:
        whole_number(ef, "--ef", 1, HIGHEST_EF)
    if ef is not None and target is not None:
        raise InputError("--ef and --target are given; a search takes one of them.")
    if picture is not None:
        one_of(picture.suffix.lower(), FORMATS, "the ending of --picture")
        if not picture.absolute().parent.is_dir():
            raise InputError(f"--picture is {picture}; there is no folder {picture.parent}.")
    with open_store(location, create=False) as store:
        asked = read_query(store, query)
        if picture is not None and len(asked.names) > 1:
            raise InputError(f"--picture draws one query; {query.file} holds {len(asked.names)}.")
        small = _thumbnails(store, pictures) if picture is not None else None
        hits = _search(store, asked, query, k, ef=ef, target=target)
        true = _search(store, asked, query, k, exact=True) if exact else None
        told = answers(store, asked.names, hits, true)
        typer.echo(_document(location, k, told, hits, true) if as_json else _words(told, hits, true))
        if picture is not None:
            _draw(picture, asked, query, told[0], small)


def read_query(store: Store, query: Query) -> Asked:
    """The vectors of a query; `InputError` where the store or the file does not allow it."""
    if query.id is not None:
        return Asked(store.vectors([query.id]), [str(query.id)])
    name = Path(query.file).name
    if Path(query.file).suffix.lower() in ARRAYS:
        rows = _rows(query.file)
        return Asked(rows, [name] if len(rows) == 1 else [f"{name}, row {row}" for row in range(len(rows))])
    picture = read_picture(query.file)
    encoder = getattr(store, "encoder", None)
    if encoder is None:
        raise InputError("the collection does not say how an image becomes a vector; ask with vectors, or with --id.")
    return Asked(picture_encoder(encoder, query.weights)([picture]), [name], picture)


def _rows(file: str) -> np.ndarray:
    """Vectors of a file; a 1-d array is one vector."""
    path = Path(file)
    if path.suffix.lower() == ".npy" and path.is_file():
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError):
            array = None  # said in one sentence by load_dataset
        if array is not None and array.ndim == 1:
            return np.array(array)[None]
    return load_dataset(path).vectors


def _search(store: Store, asked: Asked, query: Query, k: int, *, ef=None, target=None, exact=False) -> Hits:
    if query.id is None:
        return store.search(asked.vectors, k, ef=ef, target=target, exact=exact)
    if ef is None and not exact:  # a target is kept by k neighbors beside the point itself, as it was measured
        ef = store.search(asked.vectors, k, target=target).ef
    return without_itself(store.search(asked.vectors, k + 1, ef=ef, exact=exact), [query.id], k)


def _document(location, k: int, told: list[dict], hits: Hits, true: Hits | None) -> str:
    shown = without_password(location)
    document = {"location": shown, "k": k, "ef": hits.ef, "seconds": hits.seconds, "note": hits.note}
    if true is not None:
        overlaps = [one["overlap"] for one in told if one["overlap"] is not None]
        document |= {
            "exact_seconds": true.seconds,
            "overlap": float(np.mean(overlaps)) if overlaps else None,
        }
    return json.dumps({**document, "queries": told}, indent=1, ensure_ascii=False)


def _words(told: list[dict], hits: Hits, true: Hits | None) -> str:
    lines = []
    for one in told[:SHOWN]:
        lines += [f"{one['query']}:", as_table(one)]
        if true is not None:
            lines.append(in_words(one, hits.ef))
        lines.append("")
    if len(told) > SHOWN:
        lines.append(f"{len(told) - SHOWN:,} more queries; --json prints all.")
    if true is not None and len(told) > 1:
        overlaps = [one["overlap"] for one in told if one["overlap"] is not None]
        lines.append(f"mean overlap of {len(overlaps):,} queries: {np.mean(overlaps):.4f}" if overlaps else "")
    return "\n".join([*lines, hits.note]).rstrip()


def _thumbnails(store: Store, pictures: str | None) -> Thumbnails:
    if pictures is None:
        return Thumbnails(store)
    data = load_dataset(pictures)
    if data.images is None:
        raise InputError(f"--pictures {pictures} has no pictures.")
    return dataset_thumbnails(store, data)


def _draw(path: Path, asked: Asked, query: Query, told: dict, small: Thumbnails) -> None:
    from ..figures.answers import answer
    from ..files import replacing

    lists = {}
    for name, hits, mark in (("exact", told.get("exact"), "missed"), ("found", told["hits"], "instead")):
        if hits is not None:
            lists[name] = [
                {
                    "picture": small.picture(hit["id"]),
                    "text": f"{_short(hit)}\n{hit['distance']:.3g}",
                    "mark": mark if hit["id"] in told.get(mark, ()) else None,
                }
                for hit in hits
            ]
    figure = answer(small.picture(query.id) if query.id is not None else asked.picture, lists)
    with replacing(path) as part:
        figure.savefig(part, dpi=150)


def _short(hit: dict) -> str:
    """What stands below a picture: the start of the label, or the end of the id.

    >>> _short({"id": "a/very/long/name.png", "label": None}), _short({"id": 7, "label": "other_mammals"})
    ('…ng/name.png', 'other_mamma…')
    """
    text = str(hit["id"] if hit["label"] is None else hit["label"])
    if len(text) <= 12:
        return text
    return f"…{text[-11:]}" if hit["label"] is None else f"{text[:11]}…"
