"""Redis 8's vector sets as a store: keys on a server that stay there."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import numpy as np

from ..checks import InputError, whole_number
from ..indexes.base import DEFAULT_EF
from ..indexes.redis_index import LOCAL, RedisIndex, redis_server, without_password
from .remote import Found, RemoteStore, Unreachable
from .store import LOWEST_ID, Id

FORMAT = 1
PREFIX = "neighborhood-drift:store"
WHOLE = 20  # digits of a 64-bit number, counted from the lowest


class RedisStore(RemoteStore):
    """Points in a vector set, with a few keys beside it; a batch is written in one transaction (MULTI and EXEC).

    Redis knows the cosine only. Its search keeps max(EF, k) points; see `RedisIndex` for the queue that it limits. The
    exact search (TRUTH) compares with all points. Vectors come back to float32's rounding, as Redis keeps them with
    length 1. The keys stay when the store is closed: how safely depends on the server's persistence (RDB, AOF), and
    `save` asks it for a snapshot. In a Redis Cluster all keys of a store are on one node; name that one.

    Parameters
    ----------
    address : str
        "redis://[user:password@]host:port", or rediss:// for TLS.
    name : str
        Of the store on the server.
    dimension, metric, M, ef_construction
        Of a new store. One that is there has its own: another dimension is refused, and M and ef_construction are not
        changed.
    ef : int
        Of a search that gives none.
    encoder : dict, optional
        As for `Collection`; of a new store.
    target : str, optional
        What a search has to reach that names neither ``ef`` nor a target; see `tune`.

    Raises
    ------
    InputError
        If no server with vector sets answers, the metric is another, or the keys hold something else. ImportError, if
        redis-py is not installed.
    """

    kind = "Redis vector set"

    def __init__(self, address: str = LOCAL, name: str = "vectors", *, dimension: int | None = None,
                 metric: str | None = None, M: int = 32, ef_construction: int = 200, ef: int = DEFAULT_EF,
                 encoder: dict | None = None, target: str | None = None):  # fmt: skip
        if metric not in (None, "cosine"):
            raise InputError(f"metric is {metric!r}; Redis has cosine only.")
        super().__init__(dimension=dimension, metric="cosine", M=M, ef_construction=ef_construction, ef=ef,
                         encoder=encoder, target=target)  # fmt: skip
        for value, what in ((self.M, "M"), (self.ef_construction, "ef_construction")):
            whole_number(value, what, RedisIndex.lowest[what], RedisIndex.highest[what])
        if not name or {"{", "}"} & set(name):
            raise InputError(f"name is {name!r}; it must be text without braces.")
        self.location, self.name = without_password(address), name
        # the braces keep the keys of a store on one node of a cluster
        self._key, self._order, self._whole, self._added, self._about = (
            f"{PREFIX}:{{{name}}}{part}" for part in ("", ":order", ":whole", ":added", ":about")
        )
        self._server = redis_server(address)
        self._closed = False
        self._recognize()

    def _recognize(self):
        with self._answering():
            kept = self._server.get(self._about)
        if kept is None:
            return
        try:
            about = json.loads(kept)
            there = about["format"]
        except (ValueError, TypeError, KeyError):
            raise InputError(f"The key {self._about} of Redis was not written by this package; name another.") from None
        if there != FORMAT:
            raise InputError(f"The store {self.name} has format {there}; this version reads {FORMAT}.")
        if self.dimension not in (None, about["dimension"]):
            raise InputError(f"dimension is {self.dimension}; the store {self.name} has {about['dimension']}.")
        self.dimension, self.M, self.ef_construction = (about[one] for one in ("dimension", "M", "ef_construction"))
        self.encoder, self._there = about["encoder"], True

    @contextmanager
    def _answering(self):
        """One request to the server; what it raises becomes one sentence."""
        import redis

        if self._closed:
            raise InputError("This store is closed; open it again.")
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise Unreachable(f"Redis at {self.location} does not answer ({type(error).__name__}).") from None
        except redis.RedisError as error:
            raise InputError(f"Redis at {self.location} refused a request ({error}).") from None

    def _each(self, commands, *, transaction: bool = False) -> list:
        """Answers to several commands, sent in one go.

        In a transaction none is done where they do not all arrive, and no other client comes between them; where one
        fails the others are done all the same, as Redis takes nothing back.
        """
        with self._answering(), self._server.pipeline(transaction=transaction) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return pipe.execute()

    def _begin(self, dimension):
        about = {
            "format": FORMAT, "dimension": dimension, "M": self.M, "ef_construction": self.ef_construction,
            "encoder": self.encoder,
        }  # fmt: skip
        with self._answering():
            self._server.set(self._about, json.dumps(about), nx=True)
        self._recognize()

    def _known(self, ids):
        return [number is not None for number in self._numbers(ids)]

    def _numbers(self, ids):
        """When each id was added, None where it is not there."""
        with self._answering():
            return self._server.zmscore(self._order, [element(one) for one in ids]) if ids else []

    def _highest(self):
        with self._answering():
            last = self._server.zrange(self._whole, -1, -1)
        return int(last[0]) + LOWEST_ID if last else None

    def _put(self, ids, points, metadata):
        with self._answering():
            first = self._server.incrby(self._added, len(ids)) - len(ids)
        how = ("NOQUANT", "EF", self.ef_construction, "M", self.M)
        commands = []
        for row, (one, point, about) in enumerate(zip(ids, points, metadata, strict=True)):
            told = json.dumps(about, ensure_ascii=False) if about else ""
            commands.append(("VADD", self._key, "FP32", point.tobytes(), element(one), *how))
            commands.append(("VSETATTR", self._key, element(one), told))
            commands.append(("ZADD", self._order, first + row, element(one)))
            if isinstance(one, int):
                commands.append(("ZADD", self._whole, 0, digits(one)))
        self._each(commands, transaction=True)

    def _drop(self, ids):
        commands = [("VREM", self._key, element(one)) for one in ids]
        commands.append(("ZREM", self._order, *[element(one) for one in ids]))
        whole = [digits(one) for one in ids if isinstance(one, int)]
        if whole:
            commands.append(("ZREM", self._whole, *whole))
        self._each(commands, transaction=True)

    def _near(self, queries, k, ef, exact):
        how = ("WITHSCORES", "COUNT", k, *(("TRUTH",) if exact else ("EF", ef)))
        answers = self._each(("VSIM", self._key, "FP32", query.tobytes(), *how) for query in queries)
        lists = [[own_id(one) for one in answer[::2]] for answer in answers]
        # only an exact search promises an order of equally near points
        numbers = [self._numbers(found) if exact else range(len(found)) for found in lists]
        return [
            [
                Found(max(2 * (1 - float(score)), 0.0), -1 if number is None else int(number), one)
                for one, score, number in zip(found, answer[1::2], order, strict=True)
            ]
            for found, answer, order in zip(lists, answers, numbers, strict=True)
        ]

    def _vectors(self, ids):
        rows = self._each(("VEMB", self._key, element(one)) for one in ids)
        return [None if row is None else np.array(row, dtype=np.float64) for row in rows]

    def _metadata(self, ids):
        known = self._known(ids)
        told = self._each(("VGETATTR", self._key, element(one)) for one in ids)
        return [(json.loads(one) if one else {}) if there else None for one, there in zip(told, known, strict=True)]

    def _page(self, start, count):
        if count == 0:
            return []
        with self._answering():
            found = self._server.zrange(self._order, start, -1 if count is None else start + count - 1)
        return [own_id(one) for one in found]

    def _count(self):
        with self._answering():
            return self._server.zcard(self._order)

    def save(self, path=None) -> None:
        """Have the server write a snapshot of all its keys, and wait for it.

        Raises an `InputError` where it fails, such as for a full disk or a server that may not write.
        """
        if path is not None:
            raise InputError("path is given; Redis keeps its points in the server's own files.")
        with self._answering():
            self._wait()
            self._server.bgsave()
            self._wait()
            if self._server.info("persistence")["rdb_last_bgsave_status"] != "ok":
                raise InputError(f"Redis at {self.location} could not write its snapshot; its log says why.")

    def _wait(self):
        while self._server.info("persistence")["rdb_bgsave_in_progress"]:
            time.sleep(0.02)

    def info(self) -> dict:
        return {**self._told(), "deleted": 0}

    def close(self) -> None:
        self._closed = True
        self._server.close()


def element(one: Id) -> str:
    """How an id is written in the server's keys.

    >>> element(7), element("7")
    ('i7', 't7')
    """
    return f"t{one}" if isinstance(one, str) else f"i{one}"


def own_id(written: bytes) -> Id:
    """The user's id again."""
    text = written.decode()
    return text[1:] if text[0] == "t" else int(text[1:])


def digits(one: int) -> str:
    """A whole number such that texts sort as numbers do, the lowest first.

    >>> digits(-1) < digits(0) < digits(10)
    True
    """
    return f"{one - LOWEST_ID:0{WHOLE}d}"
