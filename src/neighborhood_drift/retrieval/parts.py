"""The files of a collection's state: NumPy arrays, lines of JSON, and the graph as hnswlib's own file."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..checks import InputError
from ..files import disk_errors
from ..indexes.kept import refuse_partial
from .settings import Settings
from .state import State
from .store import Id

GRAPH, METADATA = "graph.hnsw", "metadata.jsonl"
ARRAYS = {
    "vectors": np.float32,
    "deleted": np.bool_,
    "ids_are_text": np.bool_,
    "ids_whole": np.int64,
    "ids_text": np.uint8,
    "ids_text_ends": np.int64,
}


def write_parts(folder: Path, state: State) -> None:
    """Write what a state holds, deleted rows included, since the graph leads through them."""
    arrays = {"vectors": state.points, "deleted": state.deleted, **ids_as_arrays(state.ids)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    with (folder / METADATA).open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in state.metadata)
    with disk_errors(folder / GRAPH):
        state.native.save_index(str(folder / GRAPH))
    refuse_partial(folder / GRAPH, state.native.index_file_size())


def read_parts(path: Path, folder: Path, about: dict, rebuild: bool) -> State:
    """Read what `write_parts` wrote; with ``rebuild`` the graph is made anew from the rows that are not deleted.

    Raises an `InputError` where the files do not fit together.
    """
    try:
        settings = Settings(**{name: about[name] for name in Settings.__dataclass_fields__})
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS}
        with (folder / METADATA).open(encoding="utf-8") as stream:
            metadata = [json.loads(line) for line in stream]
        points, deleted, ids = arrays["vectors"], arrays["deleted"], ids_from_arrays(arrays)
        kinds = {name: array.dtype for name, array in arrays.items()}
        if kinds != ARRAYS or points.shape != (len(ids), about["dimension"]):
            raise ValueError(f"vectors of shape {points.shape} for {len(ids)} ids")
        if any(array.ndim > 1 for name, array in arrays.items() if name != "vectors"):
            raise ValueError("ids or marks are no lists")
        if not len(deleted) == len(metadata) == len(ids):
            raise ValueError(f"{len(ids)} ids, {len(deleted)} marks, {len(metadata)} metadata")
    except (KeyError, ValueError, TypeError, StopIteration, EOFError) as error:
        raise InputError(f"{path} is damaged: its files do not fit together ({error}).") from error
    if rebuild:
        state, keep = State(settings, points.shape[1], max(len(points), 1)), np.flatnonzero(~deleted)
        state.append(points[keep], [ids[row] for row in keep], [metadata[row] for row in keep])
        return state
    native = settings.native(points.shape[1])
    try:
        native.load_index(str(folder / GRAPH), max_elements=max(len(points), 1))
        held = native.get_ids_list()
        if not set(np.flatnonzero(~deleted).tolist()) <= set(held) <= set(range(len(points))):
            raise RuntimeError("it is over other rows")
    except RuntimeError as error:
        raise InputError(
            f"{path} is damaged: {folder.name}/{GRAPH} cannot be used ({error}); Collection.load(path, rebuild=True) "
            "makes the graph anew."
        ) from error
    return State.of_rows(settings, points, ids, metadata, deleted, native)


def ids_as_arrays(ids: list[Id]) -> dict[str, np.ndarray]:
    """Ids as arrays: which are text, the whole numbers in order, the texts' UTF-8 bytes and where each ends.

    >>> arrays = ids_as_arrays([7, "a", ""])
    >>> arrays["ids_text_ends"], ids_from_arrays(arrays)
    (array([1, 1]), [7, 'a', ''])
    """
    texts = [one.encode() for one in ids if isinstance(one, str)]
    return {
        "ids_are_text": np.array([isinstance(one, str) for one in ids], dtype=np.bool_),
        "ids_whole": np.array([one for one in ids if not isinstance(one, str)], dtype=np.int64),
        "ids_text": np.frombuffer(b"".join(texts), dtype=np.uint8),
        "ids_text_ends": np.cumsum([len(one) for one in texts], dtype=np.int64),
    }


def ids_from_arrays(arrays: dict[str, np.ndarray]) -> list[Id]:
    """What `ids_as_arrays` was given; raises where the arrays do not fit together."""
    text, ends = arrays["ids_text"].tobytes(), [0, *arrays["ids_text_ends"].tolist()]
    texts = [text[start:end].decode() for start, end in pairwise(ends)]
    whole, are_text = arrays["ids_whole"].tolist(), arrays["ids_are_text"].tolist()
    if ends[-1] != len(text) or len(texts) != sum(are_text) or len(texts) + len(whole) != len(are_text):
        raise ValueError(f"{len(texts)} texts and {len(whole)} whole numbers for {len(are_text)} ids")
    kinds = {True: iter(texts), False: iter(whole)}
    return [next(kinds[one]) for one in are_text]
