"""The description that is kept beside an index file."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from ..checks import InputError
from ..files import sha256


def read_about(path) -> dict:
    """Read the description beside an index file and check the file against it."""
    path = Path(path)
    if not path.is_file() or not about_path(path).is_file():
        raise InputError(f"{path} is not a saved index; the file and {about_path(path).name} beside it are needed.")
    try:
        about = json.loads(about_path(path).read_text(encoding="utf-8"))
        wanted = about["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{about_path(path).name} is damaged ({error}); build and save the index again.") from error
    if sha256(path) != wanted:
        raise InputError(f"{path} does not match the checksum in {about_path(path).name}; build and save it again.")
    return about


def about_path(path: Path) -> Path:
    """Where the description of the index file ``path`` stands."""
    return path.with_name(path.name + ".json")


def refuse_partial(path: Path, size: int) -> None:
    """Raise the system's error for a full disk where a library wrote less than ``size`` bytes and did not say so."""
    if path.stat().st_size != size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} (a part of the index was written)", str(path))
