"""Files that are whole or absent: write beside, then rename; and checksums of files, arrays and code."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .checks import InputError

PART = ".part-"  # how the names of files begin that are still being written
# The disk is full, over its quota, read-only, or closed to us.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextmanager
def replacing(path):
    """Yield a temporary path beside ``path`` that replaces it when the block ends without an error.

    A reader, or a run after a kill, sees the old file or the new one, never a part of it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as part:
    ...         _ = part.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PART}{path.stem}-", suffix=path.suffix)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def disk_errors(path):
    """Raise the system's own error where a library only repeats its words: a `RuntimeError` for a disk that refuses.

    >>> with disk_errors("a.index"):
    ...     raise RuntimeError("write error: No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'a.index'
    """
    try:
        yield
    except RuntimeError as error:
        for number in DISK:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(path)) from error
        raise


@contextmanager
def alone(folder, name: str = ".lock"):
    """Hold the file ``name`` in ``folder`` for this call, so that the folder has one writer at a time.

    A process that is killed lets go of it by itself. Windows has no such lock; there, two runs are left to the user.

    Raises
    ------
    InputError
        If another process, or another call in this one, holds it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, alone(folder), alone(folder):
    ...     pass
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: Another run is at work in ...; wait for it or name another folder.
    """
    lock = Path(folder) / name
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("a", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"Another run is at work in {folder}; wait for it or name another folder.") from None
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield


def clear_parts(folder) -> None:
    """Remove what a killed process was writing into ``folder``; for a folder that no other process writes to."""
    for part in Path(folder).glob(f"{PART}*"):
        part.unlink(missing_ok=True)


def write_text(path, text: str) -> Path:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def sha256(path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksum(array: np.ndarray) -> str:
    """SHA-256 of an array's shape, dtype and bytes.

    >>> checksum(np.zeros(2)) == checksum(np.zeros(2)), checksum(np.zeros(2)) == checksum(np.zeros((1, 2)))
    (True, False)
    """
    array = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str} ".encode())
    digest.update(array.data)
    return digest.hexdigest()


def code_digest(*modules: str) -> str:
    """SHA-256 over the source files of modules, so that what is kept on disk is not older than the code.

    >>> len(code_digest("neighborhood_drift.files"))
    64
    """
    files = [Path(importlib.import_module(module).__file__) for module in modules]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
