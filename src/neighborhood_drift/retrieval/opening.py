"""One parameter for where the vectors are: a folder, Qdrant, or Redis."""

from __future__ import annotations

import os
from inspect import signature
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ..checks import InputError, whole_number
from ..indexes.base import HIGHEST_EF
from ..indexes.redis_index import without_password
from . import disk
from .collection import Collection
from .remote import RemoteStore
from .store import Store

NAME = "vectors"  # of an embedded collection
KNOWN = "a folder, qdrant+http://HOST:6333/NAME, qdrant+memory: and redis://HOST:6379/NAME"


def open_store(location, *, create: bool = True, **settings) -> Store:
    """Open the store at a location, or start one there.

    Parameters
    ----------
    location : str or Path
        A folder (`Collection`, which `save` writes to), ``qdrant+http://HOST:6333/NAME`` or ``qdrant+https://...`` (a
        server or a node of a cluster), ``qdrant+memory:`` (`QdrantStore`, embedded, for trying),
        ``redis://[USER:PASSWORD@]HOST:6379/NAME`` or ``rediss://...`` (`RedisStore`).
    create : bool, default True
        Whether a store that is not there is started; else it is refused.
    **settings
        Of a new store, as its class takes them: metric, M, ef_construction, ... Of one that is there, metric and
        dimension must agree, ``ef`` is that of searches from now on, and what else the store was made with stays.
        ``api_key`` is Qdrant's, by default the environment variable QDRANT_API_KEY.

    Raises
    ------
    InputError
        If the location is of no known form or holds no store, no server answers, a package is missing, or a setting
        does not fit.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = open_store(f"{folder}/points", metric="cosine")
    ...     store.add([[1.0, 0.0], [0.0, 2.0]], ids=["east", "north"])
    ...     store.save()
    ...     open_store(f"{folder}/points").search([[1.0, 3.0]], k=1).ids
    ['east', 'north']
    (('north',),)
    """
    scheme, colon, _ = str(location).partition(":")
    if isinstance(location, Path) or not colon or not _is_scheme(scheme):
        return _open_folder(Path(location), create, settings)
    if scheme not in SCHEMES:
        raise InputError(f"{without_password(str(location))} is no location of a store; known are {KNOWN}.")
    try:
        return SCHEMES[scheme](str(location), create, settings)
    except ImportError as error:
        missing = getattr(error.__cause__ or error, "name", None)
        raise InputError(
            f"{scheme}: needs the package {missing}, which is missing; in a clone: pip install -e '.[stores]'."
        ) from error


def _is_scheme(text: str) -> bool:
    """Whether what is before a colon is a scheme, and not a folder or the letter of a drive.

    >>> _is_scheme("redis"), _is_scheme("C"), _is_scheme("runs/a")
    (True, False, False)
    """
    return len(text) > 1 and text.replace("+", "").isalnum()


def _open_folder(path: Path, create: bool, settings: dict) -> Collection:
    _refuse_unknown(Collection, {"rebuild"}, settings)
    rebuild = settings.pop("rebuild", False)
    if "ef" in settings:
        settings["ef"] = whole_number(settings["ef"], "ef", 1, HIGHEST_EF)
    if disk.pointer(path) is not None:
        return _agreeing(Collection.load(path, rebuild=rebuild), path, settings)
    if not create:
        raise InputError(f"{path} holds no collection; make one by `index build`, or check the location.")
    disk.refuse_strangers(path)
    collection = Collection(**settings)
    collection._path = path.absolute()
    return collection


def _agreeing(collection: Collection, path: Path, settings: dict) -> Collection:
    for name in ("metric", "dimension"):
        wanted, there = settings.get(name), getattr(collection, name)
        if wanted is not None and there is not None and wanted != there:
            raise InputError(f"{name} is {wanted!r}; the collection in {path} has {there!r}.")
    collection.ef = settings.get("ef", collection.ef)
    return collection


def _open_memory(location: str, create: bool, settings: dict) -> Store:
    from .qdrant_store import MEMORY, QdrantStore

    _refuse_unknown(QdrantStore, set(), settings)
    rest = location.partition(":")[2]
    if rest.strip("/"):
        raise InputError(f"{location} names {rest} after the colon; nothing belongs there.")
    return QdrantStore(MEMORY, NAME, **settings)


def _refuse_files(location: str, create: bool, settings: dict) -> Store:
    raise InputError(
        f"{location} is not opened: its files would be pickles, which run any code when they are read; name a "
        "folder of a Collection, or a server."
    )


def _open_qdrant(location: str, create: bool, settings: dict) -> Store:
    from .qdrant_store import QdrantStore

    _refuse_unknown(QdrantStore, set(), settings)
    address, name = _split(location.removeprefix("qdrant+"), 6333, "qdrant+")
    settings.setdefault("api_key", os.environ.get("QDRANT_API_KEY"))
    return _there(QdrantStore(address, name, **settings), without_password(location), create)


def _open_redis(location: str, create: bool, settings: dict) -> Store:
    from .redis_store import RedisStore

    _refuse_unknown(RedisStore, set(), settings)
    address, name = _split(location, 6379)
    return _there(RedisStore(address, name, **settings), without_password(location), create)


def _refuse_unknown(kind: type[Store], further: set[str], settings: dict) -> None:
    known = (set(signature(kind).parameters) | further) - {"location", "address", "name"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise InputError(f"{kind.kind} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}.")


def _there(store: RemoteStore, shown: str, create: bool) -> Store:
    if not create and not store.exists:
        store.close()
        raise InputError(f"{shown} holds no points yet; check the location, or add points to make it.")
    return store


def _split(location: str, port: int, before: str = "") -> tuple[str, str]:
    """The server's address and the name at the end of a location; ``before`` is what the user wrote ahead of it."""
    shown = before + without_password(location)
    try:
        parts = urlsplit(location)
        host, number = parts.hostname, parts.port or port
    except ValueError:
        raise InputError(f"{shown} has no port from 0 to 65535, or no address that can be read.") from None
    folder, _, name = parts.path.rpartition("/")
    if not host or not name:
        lacks = "store" if host else "host"
        raise InputError(f"{shown} names no {lacks}; write {before}{parts.scheme}://HOST:{port}/NAME.")
    netloc = parts.netloc if parts.port else f"{parts.netloc.rstrip(':')}:{number}"
    return urlunsplit((parts.scheme, netloc, folder, parts.query, "")), unquote(name)


SCHEMES = {
    "qdrant+memory": _open_memory,
    "qdrant+file": _refuse_files,
    "qdrant+http": _open_qdrant,
    "qdrant+https": _open_qdrant,
    "redis": _open_redis,
    "rediss": _open_redis,
}
