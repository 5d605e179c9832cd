"""Points put into a store part by part, saved on the way, so that a stopped command goes on where it was."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer
from tqdm import tqdm

from ..checks import InputError
from ..indexes.redis_index import without_password
from .collection import Collection
from .incoming import Incoming
from .store import Id, Store

STORES = ("qdrant+", "redis")  # how locations begin that are no folders
PART = 256
SAVE_EVERY = 20.0  # seconds between two saves, at least
MOST_SAVING = 0.1  # share of the time that saves may take
COMPARED = 64  # points that are compared before a build goes on
INTERRUPTED = 130  # exit status after Ctrl-C, as of a shell


@dataclass
class Filled:
    """What `fill` or `add_together` did.

    Parameters
    ----------
    added : int
        Points that were put in.
    known : int
        Points that were there already and were left as they are.
    saved : int
        How many of the new ones are kept, whatever happens next: in a folder those that were saved, on a server those
        that were written.
    again : str
        What to do for the rest, if it is stopped now.
    """

    added: int = 0
    known: int = 0
    saved: int = 0
    again: str = "give the same command again for the rest"


def fill(store: Store, incoming: Incoming, ids: list[Id], done: Filled, *, replace=False, progress=True) -> None:
    """Add points, those that are there already left out, and save now and then and at the end.

    Parameters
    ----------
    store : Store
    incoming : Incoming
    ids : list
        One a point.
    done : Filled
        Kept up to date on the way, for who is interrupted.
    replace : bool, default False
        Whether points that are there already are put in anew.
    progress : bool, default True
    """
    there = set() if replace else set(store.ids())
    rows = [row for row, one in enumerate(ids) if one not in there]
    done.known = len(ids) - len(rows)
    try:
        _fill(store, incoming, ids, rows, done, replace, progress)
    except KeyboardInterrupt:
        if not _unsaved(store):  # it came when the last save had done its work
            done.saved = done.added
        raise


def _fill(store, incoming, ids, rows, done, replace, progress):
    saved, pause = time.monotonic(), SAVE_EVERY
    with tqdm(total=len(ids), initial=done.known, desc="points", unit="point", disable=not progress) as bar:
        for start in range(0, len(rows), PART):
            part = rows[start : start + PART]
            store.add(
                incoming.read(part), [ids[row] for row in part], [incoming.metadata[row] for row in part],
                replace=replace,
            )  # fmt: skip
            done.added += len(part)
            if not _keeps_what_is_saved(store):
                done.saved = done.added
            bar.update(len(part))
            if time.monotonic() - saved > pause:
                began = time.monotonic()
                store.save()
                done.saved, saved = done.added, time.monotonic()
                pause = max(SAVE_EVERY, (saved - began) / MOST_SAVING)
    store.save()
    done.saved = done.added


def add_together(store: Store, incoming: Incoming, done: Filled, *, replace=False, progress=True) -> None:
    """Add vectors in one go: all or none to a folder; a server keeps the batches that it got before a stop.

    Parameters are those of `fill`; without ids the store gives them.
    """
    before = store.count()
    try:
        rows = range(len(incoming))
        store.add(incoming.read(rows), incoming.ids, incoming.metadata, replace=replace, progress=progress)
        store.save()
    except KeyboardInterrupt:
        done.saved = 0 if _unsaved(store) else store.count() - before
        if done.saved and incoming.ids is None:
            done.again = "they are the first of the source: the same command would add them twice, so give it the rest"
        elif done.saved and not replace:
            done.again += ", with --replace"
        raise
    done.added = done.saved = len(incoming)


@contextmanager
def told_if_stopped(done: Filled, where: str):
    """End the command after Ctrl-C, and say what is kept ``where``."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Stopped: {done.saved:,} new points are kept in {where}; {done.again}.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _unsaved(store: Store) -> bool:
    """Whether what is in memory is not on the disk; a server has no such difference."""
    return _keeps_what_is_saved(store) and store.changed


def _keeps_what_is_saved(store: Store) -> bool:
    """Whether points are lost that are not saved; a server keeps each batch as it is written."""
    return isinstance(store, Collection)


def refuse_unwritable(location: str) -> None:
    """Raise an `InputError` where a folder cannot be made or written, which is otherwise noticed at the first save."""
    if location.startswith(STORES):
        return
    path = Path(location).absolute()
    there = next(one for one in (path, *path.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        shown = without_password(location)
        raise InputError(f"{shown} cannot be written: {there} is no folder, or closed; name another location.")


def refuse_others(store: Store, ids: list[Id], asked: dict, where, read=None) -> None:
    """Raise an `InputError` unless a store is empty or holds a part of the points, as the same build left it.

    Parameters
    ----------
    store : Store
    ids : list
        One a point.
    asked : dict
        Parameters of the build and the dimension of its vectors; those that the store tells of are compared.
    where
        The location without a password, for the message.
    read : callable, optional
        ``read(rows)`` gives vectors, which are then compared too.
    """
    held = store.ids()
    if not held:
        return
    row_of = {one: row for row, one in enumerate(ids)}
    told = store.info()
    changed = [name for name, value in asked.items() if name in told and told[name] != value]
    same = not changed and all(one in row_of for one in held)
    if same and read is not None:
        seen = list(dict.fromkeys([*held[:COMPARED], *held[-COMPARED:]]))
        same = np.allclose(store.vectors(seen), read([row_of[one] for one in seen]), rtol=1e-5, atol=1e-6)
    if not same:
        why = f", with another {' and another '.join(changed)}" if changed else ""
        raise InputError(
            f"{where} holds {len(held):,} points of another build{why}; name another location, or add to it by "
            "`index add`."
        )
