"""A collection on disk: a folder of states, of which a small file names the one that counts."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from ..checks import InputError
from ..files import PART, alone, clear_parts, replacing, sha256, write_text
from .parts import GRAPH, read_parts, write_parts
from .state import State

CURRENT, ABOUT, LOCK = "CURRENT", "collection.json", ".lock"
FORMAT = 1
DESCRIBED = ("dimension", "metric", "M", "ef_construction", "ef", "seed", "threads", "encoder", "target", "chosen")
STATE = re.compile(r"state-(\d{6,})")
POINTER = re.compile(r"(state-\d{6,}) ([0-9a-f]{64})\n")


def pointer(path) -> str | None:
    """What CURRENT says: a state's folder and the checksum of its description; None where there is no collection.

    Without CURRENT, which a first save that was killed has not written yet and a copy may have lost, the newest state
    that has its description counts: that is written last.
    """
    said = _written(path)
    if said is not None or not Path(path).is_dir():
        return said
    whole = [one for one in Path(path).iterdir() if STATE.fullmatch(one.name) and (one / ABOUT).is_file()]
    newest = max(whole, key=lambda one: int(STATE.fullmatch(one.name)[1]), default=None)
    return None if newest is None else f"{newest.name} {sha256(newest / ABOUT)}\n"


def _written(path) -> str | None:
    try:
        return (Path(path) / CURRENT).read_bytes().decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (IsADirectoryError, PermissionError):
        return ""


def write(
    path, about: dict, state: State | None, known: tuple[str, ...], telling: Callable[[str], None],
    overwrite: bool = False,
) -> None:  # fmt: skip
    """Write a state beside the one there is, then let CURRENT name it, then remove the older one.

    Parameters
    ----------
    path : path
        Folder, made where it is missing.
    about : dict
        What describes the collection, as in JSON.
    state : State or None
        Nobody changes it meanwhile. None before the first point.
    known : tuple of str
        What CURRENT may say of states of this collection.
    telling : callable
        Is told what CURRENT will say, just before it does: an interrupt may come at once after that.
    overwrite : bool, default False
        Whether another state than the known ones may be replaced.

    Raises
    ------
    InputError
        If the path is a file or a folder of something else, another process is at work in it, or its state is one that
        this collection does not continue.
    OSError
        If the disk is full or closed to us; the state before is untouched unless ``telling`` was called.
    """
    path = Path(path)
    if pointer(path) is None:
        refuse_strangers(path)
    made = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in made:
        _sync(one.parent)
    with alone(path, LOCK):
        said = pointer(path)
        if said not in (None, *known) and not overwrite:
            raise InputError(
                f"{path} holds another collection, or this one as another process has saved it since; load it again, "
                "or save to another folder."
            )
        clear_parts(path)
        older = [one for one in path.iterdir() if STATE.fullmatch(one.name)]
        number = max((int(STATE.fullmatch(one.name)[1]) for one in older), default=0) + 1
        folder = path / f"state-{number:06d}"
        folder.mkdir()
        now = ""
        try:
            now = f"{folder.name} {_write_state(folder, about, state)}\n"
            _sync(path)  # so that after a power cut CURRENT names no folder that is not there
            with replacing(path / CURRENT) as part:
                part.write_bytes(now.encode("ascii"))
                telling(now)
        except BaseException:
            if _written(path) != now:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        _sync(path)
        for one in older:
            shutil.rmtree(one, ignore_errors=True)


def read(path, rebuild: bool = False) -> tuple[dict, State | None, str]:
    """Read the state that CURRENT names: its description, its rows with their graph, and what CURRENT says.

    A state that is replaced while it is read is let go, and the new one is read.

    Raises
    ------
    InputError
        If there is no collection, or a file of it is missing, damaged or of a newer format.
    """
    path = Path(path)
    while True:
        said = pointer(path)
        if said is None:
            raise InputError(f"{path} holds no collection; its file {CURRENT} is missing.")
        try:
            return (*_read_state(path, said, rebuild), said)
        except InputError:
            if pointer(path) == said:
                raise
        except OSError as error:
            if pointer(path) == said:
                raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def refuse_strangers(path: Path) -> None:
    """Raise an `InputError` where a path holds what is not of a collection; what a stopped `write` left is."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; a collection is kept in a folder.")
    names = {one.name for one in path.iterdir()} if path.exists() else set()
    strangers = [one for one in names if one != LOCK and not one.startswith(PART) and not STATE.fullmatch(one)]
    if strangers:
        raise InputError(f"{path} is not empty and no collection, as it holds {min(strangers)}; name another folder.")


def _write_state(folder: Path, about: dict, state: State | None) -> str:
    if state is not None:
        write_parts(folder, state)
    files = {one.name: {"bytes": one.stat().st_size, "sha256": sha256(one)} for one in sorted(folder.iterdir())}
    document = json.dumps({"format": FORMAT, **about, "files": files}, indent=1)
    for one in folder.iterdir():
        _sync(one)
    write_text(folder / ABOUT, document + "\n")  # last and in one piece: it says that the state is whole
    _sync(folder)
    return sha256(folder / ABOUT)


def _read_state(path: Path, said: str, rebuild: bool) -> tuple[dict, State | None]:
    match = POINTER.fullmatch(said)
    if match is None:
        raise InputError(f"{path} is no collection or damaged: its file {CURRENT} does not name a state.")
    folder = path / match[1]
    document = folder / ABOUT
    if not document.is_file():
        raise InputError(f"{path} is damaged: {match[1]}/{ABOUT} is missing.")
    if sha256(document) != match[2]:
        raise InputError(f"{path} is damaged: {match[1]}/{ABOUT} does not match its checksum in {CURRENT}.")
    about = json.loads(document.read_text(encoding="utf-8"))
    absent = [name for name in ("format", *DESCRIBED, "files") if name not in about]
    if absent:
        raise InputError(f"{path} is no collection: {match[1]}/{ABOUT} does not say {', '.join(absent)}.")
    if about["format"] > FORMAT:
        raise InputError(
            f"{path} has the format {about['format']}, and this version of the package reads up to {FORMAT}; a newer "
            "version is needed."
        )
    for name, told in about["files"].items():
        if name != GRAPH or not rebuild:
            _check(path, folder / name, told)
    return about, read_parts(path, folder, about, rebuild) if about["files"] else None


def _check(path: Path, file: Path, told: dict) -> None:
    if not file.is_file():
        wrong = "is missing"
    elif file.stat().st_size != told["bytes"]:
        wrong = f"has {file.stat().st_size} bytes instead of {told['bytes']}"
    elif sha256(file) != told["sha256"]:
        wrong = "does not match its checksum"
    else:
        return
    mend = "; Collection.load(path, rebuild=True) makes the graph anew" if file.name == GRAPH else ""
    raise InputError(f"{path} is damaged: {file.parent.name}/{file.name} {wrong}{mend}.")


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
