"""Redis 8's vector sets, an HNSW inside a server, over redis-py."""

from __future__ import annotations

import os
import re
import uuid
import weakref
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..checks import InputError
from ..neighbors import MISSING
from .base import HIGHEST_EF, Index, insertion_order, library

LOCAL = "redis://127.0.0.1:6379"
FORMAT = {0: "NOQUANT", 8: "Q8", 1: "BIN"}


def redis_server(address: str | None = None):
    """A connection to the server at ``address``, or that the environment variable REDIS_URL names.

    Raises
    ------
    InputError
        If no server answers, or one without vector sets. ImportError, if redis-py is not installed.
    """
    redis, address = library("redis", "run pip install redis"), address or os.environ.get("REDIS_URL", LOCAL)
    try:
        server = redis.Redis.from_url(address, protocol=2)  # in which an answer is a flat list
        server.execute_command("VCARD", "neighborhood-drift")
    except (redis.RedisError, ValueError) as error:
        # of an address that cannot be read the message quotes parts, which may be the password's
        reason = type(error).__name__ if isinstance(error, ValueError) and "@" in address else error
        raise InputError(
            f"No Redis server with vector sets answers at {without_password(address)} "
            f"({reason}); start Redis 8 or newer (docker run "
            "-p 6379:6379 redis:8) or name one in the environment variable REDIS_URL."
        ) from None  # the cause may hold the address with its password
    return server


def without_password(address: str) -> str:
    """An address without the user and password in it.

    >>> without_password("redis://me:secret@host:6379?password=secret")
    'redis://host:6379?password=...'
    """
    return re.sub(r"(?<=password=)[^&]*", "...", re.sub(r"(?<=://).*@", "", address))


class RedisIndex(Index):
    """A vector set (VADD, VSIM): HNSW with a queue of max(EF, k) points, vectors normalised by the server.

    The queue of points still to expand holds 256 and drops the farthest, whatever EF is (``HNSW_MAX_CANDIDATES`` in
    Redis's hnsw.c): a search at a higher EF can end before one of other libraries would.

    Vector sets know the cosine only, and quantize to 8 bits unless told not to: ``bits`` is 0 (NOQUANT, float32),
    8 or 1. Scores are (1 + cos) / 2. A set is a key of its own, deleted with the index or by `close` (a process that
    is killed leaves it: ``neighborhood-drift:*``); in a file it is what the server dumps. The levels of its points are
    drawn by the server's generator, which has no seed, so no two builds are one graph; ``seed`` decides the order of
    insertion as in `UsearchIndex`. Points are added one after another (without CAS), and searches run in the server's
    threads. Times include the connection's.
    """

    engine = kept_as = package = "redis"
    effort = "EF"
    metrics = ("cosine",)
    repeatable = False
    defaults: ClassVar = {"M": 32, "ef_construction": 200, "bits": 0}
    lowest: ClassVar = {"M": 4, "ef_construction": 1, "bits": 0}
    highest: ClassVar = {"M": 4096, "ef_construction": HIGHEST_EF}  # the server's limits (vset.c in Redis)
    batch = 256  # commands sent in one go

    def __init__(self, native, about):
        super().__init__(native, about)
        self.close = native.close

    @classmethod
    def version(cls) -> str:
        return f"redis {redis_server().info('server')['redis_version']}"

    @classmethod
    def _build(cls, points, about):
        params = about["params"]
        if params["bits"] not in FORMAT:
            raise InputError(f"bits is {params['bits']}; allowed are {', '.join(map(str, sorted(FORMAT)))}.")
        native, order = VectorSet(), insertion_order(about)
        how = (FORMAT[params["bits"]], "EF", params["ef_construction"], "M", params["M"])
        for start in range(0, len(order), cls.batch):
            rows = order[start : start + cls.batch]
            native.each(("VADD", native.key, "FP32", points[row].tobytes(), str(row), *how) for row in rows)
        return native

    def _ask(self, queries, k, ef, threads):
        ids = np.full((len(queries), k), MISSING, dtype=np.int64)
        values = np.full((len(queries), k), np.inf)
        how = ("WITHSCORES", "COUNT", k, "EF", ef)
        answers = self.native.each(("VSIM", self.native.key, "FP32", query.tobytes(), *how) for query in queries)
        for row, answer in enumerate(answers):
            found = len(answer) // 2
            ids[row, :found] = np.asarray(answer[::2]).astype(np.int64)
            values[row, :found] = 2 * (1 - np.asarray(answer[1::2]).astype(np.float64))
        return ids, values, None

    def effort_range(self):
        return 1, min(self.size, HIGHEST_EF)

    def effective_ef(self, k, ef):
        return max(min(ef, HIGHEST_EF), k)

    @property
    def memory_bytes(self):
        return self.native.server.memory_usage(self.native.key, samples=0)

    def _write(self, path):
        Path(str(path)).write_bytes(self.native.server.dump(self.native.key))

    @classmethod
    def _read(cls, path, about):
        native = VectorSet()
        native.server.restore(native.key, 0, path.read_bytes())
        return native


class VectorSet:
    """A key of its own on the server, deleted with this object or by `close`, also where a build is interrupted."""

    def __init__(self):
        self._connection, self.key = redis_server(), f"neighborhood-drift:{uuid.uuid4()}"
        self.close = weakref.finalize(self, self._connection.delete, self.key)

    @property
    def server(self):
        """The connection; raises once the set is deleted."""
        if not self.close.alive:
            raise InputError("This index is closed, and its set deleted from the server; build or load it again.")
        return self._connection

    def each(self, commands):
        """Answers to several commands, sent in one go."""
        with self.server.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return pipe.execute()
