"""A look at the files of Qdrant's embedded form before its client unpickles them, which could run any code."""

from __future__ import annotations

import io
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

from ..checks import InputError

POINT = ("qdrant_client.http.models.models", "PointStruct")  # the one class that the client pickles


class _Inert:
    """Stands for a point; takes any state and does nothing with it."""

    def __setstate__(self, state):
        pass


class _Reader(pickle.Unpickler):
    """Reads a pickle without importing or calling anything that it names."""

    def find_class(self, module, name):
        if (module, name) != POINT:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _Inert


def refuse_foreign(folder: Path) -> None:
    """Raise an `InputError` where a folder of Qdrant's embedded form holds anything but points.

    The client keeps each point as a pickle in an SQLite file, and reads it as such. A pickle names the classes and
    functions that reading it calls; here it may name the class of a point, and nothing else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; an embedded collection of Qdrant is a folder.")
    for file in sorted(folder.glob("collection/*/*.sqlite")):
        try:
            with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
                harmless = all(is_point(value) for (value,) in database.execute("SELECT point FROM points"))
        except sqlite3.Error as error:
            raise InputError(f"{file} is no collection of Qdrant ({error}).") from None
        if not harmless:
            raise InputError(f"{file} holds something else than points, which could run any code when it is read.")


def is_point(value: bytes) -> bool:
    """Whether bytes are the pickle of one point of Qdrant, made of plain values.

    >>> is_point(pickle.dumps([1.0])), is_point(pickle.dumps(print))
    (False, False)
    """
    try:
        return isinstance(_Reader(io.BytesIO(value)).load(), _Inert)
    except Exception:  # a damaged pickle raises nearly anything
        return False
