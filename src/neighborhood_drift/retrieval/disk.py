"""A collection on disk: a folder whose one small file names the state that counts."""

from __future__ import annotations

import json
import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..checks import InputError
from ..files import alone, clear_parts, disk_errors, replacing, sha256
from ..indexes.hnswlib_index import hnswlib_library
from ..indexes.kept import refuse_partial
from .state import Settings, State

CURRENT, ABOUT, GRAPH = "CURRENT", "collection.json", "graph.hnsw"
FORMAT = 1
STATE = re.compile(r"state-\d{6,}")
POINTER = re.compile(r"(state-\d{6,}) ([0-9a-f]{64})\n")


def pointer(path) -> str | None:
    """What CURRENT says: the state's folder and the checksum of its description; None where there is no such file."""
    try:
        return (Path(path) / CURRENT).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (UnicodeDecodeError, IsADirectoryError):
        return ""


def write(path, about: dict, state: State | None, expected: str | None) -> str:
    """Write a state beside the one there is, then let CURRENT name it; returns what CURRENT says.

    ``expected`` is what CURRENT has to say before: another content means that somebody else's state would be lost.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; a collection is kept in a folder.")
    path.mkdir(parents=True, exist_ok=True)
    with alone(path):
        if pointer(path) != expected:
            raise InputError(
                f"{path} holds another collection, or was saved by another process since this one was loaded; load it "
                "again, or save to another folder."
            )
        strangers = [one.name for one in path.iterdir() if not _ours(one.name)]
        if expected is None and strangers:
            raise InputError(f"{path} is no collection and not empty (it holds {min(strangers)}); name a new folder.")
        clear_parts(path)
        states = [one.name for one in path.iterdir() if STATE.fullmatch(one.name)]
        folder = path / f"state-{max((int(name[6:]) for name in states), default=0) + 1:06d}"
        folder.mkdir()
        try:
            digest = _write_state(folder, about, state)
            with replacing(path / CURRENT) as part:
                part.write_text(f"{folder.name} {digest}\n", encoding="ascii")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _sync(path)
        for name in states:
            shutil.rmtree(path / name, ignore_errors=True)
        return f"{folder.name} {digest}\n"


def read(path, rebuild: bool = False) -> tuple[dict, State | None, str]:
    """Read the state that CURRENT names: its description, its rows with their graph, and what CURRENT says."""
    path = Path(path)
    while True:
        said = pointer(path)
        if said is None:
            raise InputError(f"{path} holds no collection; its file {CURRENT} is missing.")
        try:
            return (*_read_state(path, said, rebuild), said)
        except (InputError, OSError) as error:
            if pointer(path) == said:
                if isinstance(error, OSError):
                    raise InputError(f"{path} cannot be read ({error.strerror}).") from error
                raise


def _ours(name: str) -> bool:
    return name in (CURRENT, ".lock") or name.startswith(".part-") or STATE.fullmatch(name) is not None


def _write_state(folder: Path, about: dict, state: State | None) -> str:
    if state is not None:
        texts = [one.encode() for one in state.ids if isinstance(one, str)]
        arrays = {
            "vectors.npy": state.points,
            "deleted.npy": state.deleted,
            "ids_are_text.npy": np.array([isinstance(one, str) for one in state.ids], dtype=bool),
            "ids_whole.npy": np.array([one for one in state.ids if not isinstance(one, str)], dtype=np.int64),
            "ids_text.npy": np.frombuffer(b"".join(texts), dtype=np.uint8),
            "ids_text_ends.npy": np.cumsum([len(one) for one in texts], dtype=np.int64),
        }
        for name, array in arrays.items():
            np.save(folder / name, array, allow_pickle=False)
        with (folder / "metadata.jsonl").open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(one) + "\n" for one in state.metadata)
        with disk_errors(folder / GRAPH):
            state.native.save_index(str(folder / GRAPH))
        refuse_partial(folder / GRAPH, state.native.index_file_size())
    files = {one.name: {"bytes": one.stat().st_size, "sha256": sha256(one)} for one in sorted(folder.iterdir())}
    document = {"format": FORMAT, "hnswlib": version("hnswlib"), **about, "files": files}
    (folder / ABOUT).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for one in folder.iterdir():
        _sync(one)
    _sync(folder)
    return sha256(folder / ABOUT)


def _read_state(path: Path, said: str, rebuild: bool) -> tuple[dict, State | None]:
    match = POINTER.fullmatch(said)
    if match is None:
        raise InputError(f"{path / CURRENT} is damaged: it does not name a state.")
    folder = path / match[1]
    document = folder / ABOUT
    if not document.is_file():
        raise InputError(f"{path} is damaged: {match[1]}/{ABOUT} is missing.")
    if sha256(document) != match[2]:
        raise InputError(f"{path} is damaged: {match[1]}/{ABOUT} does not match its checksum.")
    about = json.loads(document.read_text(encoding="utf-8"))
    if about["format"] > FORMAT:
        raise InputError(
            f"{path} has format {about['format']}, newer than {FORMAT}; a newer version of this package reads it."
        )
    for name, one in about["files"].items():
        _check(path, folder / name, one, rebuild)
    if not about["files"]:
        return about, None
    arrays = {name: np.load(folder / name, allow_pickle=False) for name in about["files"] if name.endswith(".npy")}
    with (folder / "metadata.jsonl").open(encoding="utf-8") as stream:
        metadata = [json.loads(line) for line in stream]
    settings = Settings(**{name: about[name] for name in Settings.__dataclass_fields__})
    points, deleted, ids = arrays["vectors.npy"], arrays["deleted.npy"], _ids(arrays)
    if rebuild:
        state, keep = State(settings, points.shape[1], max(len(points), 1)), np.flatnonzero(~deleted)
        state.append(points[keep], [ids[row] for row in keep], [metadata[row] for row in keep])
        return about, state
    native = hnswlib_library().Index(space="l2" if settings.metric == "l2" else "ip", dim=points.shape[1])
    native.load_index(str(folder / GRAPH), max_elements=max(len(points), 1))
    return about, State.of_rows(settings, points, ids, metadata, deleted, native)


def _check(path: Path, file: Path, one: dict, rebuild: bool) -> None:
    if file.name == GRAPH and rebuild:
        return
    where = f"{file.parent.name}/{file.name}"
    if not file.is_file():
        wrong = f"{where} is missing"
    elif file.stat().st_size != one["bytes"]:
        wrong = f"{where} has {file.stat().st_size} bytes instead of {one['bytes']}"
    elif sha256(file) != one["sha256"]:
        wrong = f"{where} does not match its checksum"
    else:
        return
    mend = "; Collection.load(path, rebuild=True) makes the graph anew" if file.name == GRAPH else ""
    raise InputError(f"{path} is damaged: {wrong}{mend}.")


def _ids(arrays):
    text, whole = arrays["ids_text.npy"].tobytes(), iter(arrays["ids_whole.npy"].tolist())
    ends = arrays["ids_text_ends.npy"].tolist()
    texts = iter([text[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)])
    return [next(texts) if is_text else next(whole) for is_text in arrays["ids_are_text.npy"].tolist()]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
