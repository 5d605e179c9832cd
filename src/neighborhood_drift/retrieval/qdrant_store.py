"""Qdrant, a server or cluster of its own, or the embedded form in which its client keeps points itself."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager, nullcontext

import numpy as np

from ..checks import METRICS, InputError
from ..indexes.base import DEFAULT_EF, library
from ..indexes.points import unit
from ..indexes.redis_index import without_password
from .remote import Found, RemoteStore, Unreachable
from .store import Id

MEMORY = ":memory:"
SPACE = uuid.UUID("b67b1c34-3e5f-4c1e-9d0a-6f0e5f1f2a77")  # of the UUIDs that stand for other ids than Qdrant's
PAGE = 10_000  # ids read in one request
CONFLICT = 409  # what a server answers where a collection is there already


class QdrantStore(RemoteStore):
    """Points in a collection of Qdrant.

    Qdrant's ids are numbers from 0 and UUIDs: whole numbers from 0 are kept as such, negative ones and text as a
    UUID made from them. The payload holds the id, the metadata, when the point was added, and for the cosine the
    vector's length, since Qdrant keeps vectors of length 1: `vectors` gives back what was added to float32's rounding.

    A server searches each segment with a queue of max(ef, k) points (``GraphLayers::search``), and a segment too small
    for a graph in full. The embedded form (":memory:") compares with all points whatever ef is, and is for trying: it
    is gone when it is closed. The form that the client keeps in a folder is left out, as its files are pickles, which
    run any code when they are read.

    Parameters
    ----------
    location : str
        ":memory:", or the URL of a server or of a node of a cluster.
    name : str
        Of the collection; it is made by the first `add`.
    dimension, metric, M, ef_construction
        Of a new collection; metric "l2" if none is given. One that is there has its own: another dimension or metric is
        refused, and M and ef_construction are not changed.
    ef : int
        Of a search that gives none.
    encoder : dict, optional
        As for `Collection`. Kept with a new collection by Qdrant 1.16 and newer; give it again where it is older.
    target : str, optional
        What a search has to reach that names neither ``ef`` nor a target; see `tune`.
    api_key : str, optional
    timeout : int, default 60
        Seconds after which a request is given up.

    Raises
    ------
    InputError
        If the location is another, no server answers, or the collection has another dimension or metric or is not one
        of this package. ImportError, if qdrant-client is not installed.

    Examples
    --------
    >>> with QdrantStore(":memory:", "points") as store:
    ...     _ = store.add([[0.0, 1.0], [3.0, 5.0]], ids=["a", -7])
    ...     store.search([[0.0, 0.0]], k=2).ids
    (('a', -7),)
    """

    kind = "Qdrant"

    def __init__(self, location: str = MEMORY, name: str = "vectors", *, dimension: int | None = None,
                 metric: str | None = None, M: int = 32, ef_construction: int = 200, ef: int = DEFAULT_EF,
                 encoder: dict | None = None, target: str | None = None, api_key: str | None = None,
                 timeout: int = 60):  # fmt: skip
        super().__init__(dimension=dimension, metric=metric or "l2", M=M, ef_construction=ef_construction, ef=ef,
                         encoder=encoder, target=target)  # fmt: skip
        package = library("qdrant_client", "run pip install qdrant-client")
        self._models = package.models
        self.location, self.name = without_password(str(location)), name
        self.embedded = location == MEMORY
        if not self.embedded and "://" not in str(location):
            raise InputError(f"location is {str(location)!r}; it must be {MEMORY!r} or a server's URL.")
        self._guard = threading.RLock() if self.embedded else nullcontext()
        self._last, self._closed, self._given = 0, False, metric
        self._client = None
        with self._answering():
            self._client = (
                package.QdrantClient(MEMORY)
                if self.embedded
                else package.QdrantClient(
                    url=str(location), api_key=api_key, timeout=timeout, check_compatibility=False
                )
            )
        self._recognize()

    def _recognize(self):
        with self._answering():
            if not self._client.collection_exists(self.name):
                return
            there = self._client.get_collection(self.name)
            records, _ = self._client.scroll(self.name, limit=1)
        config, indexed = there.config, there.payload_schema
        space = config.params.vectors
        if isinstance(space, dict) or space is None or not all("number" in (one.payload or {}) for one in records):
            raise InputError(f"The collection {self.name} of Qdrant was not made by this package; name another.")
        metric = next((name for name, one in self._distance_of().items() if one == space.distance), space.distance)
        if metric not in METRICS or self._given not in (None, metric):
            raise InputError(
                f"metric is {self._given or self.metric!r}; the collection {self.name} of Qdrant has {metric!r}."
            )
        if self.dimension not in (None, space.size):
            raise InputError(f"dimension is {self.dimension}; the collection {self.name} has {space.size}.")
        if not self.embedded and "whole" not in indexed:  # without which a server does not sort by it
            with self._answering():
                self._client.create_payload_index(self.name, "whole", self._models.PayloadSchemaType.INTEGER, wait=True)
        self.metric, self.dimension, self._there = metric, space.size, True
        self.encoder = (getattr(config, "metadata", None) or {}).get("encoder", self.encoder)
        graph = space.hnsw_config
        if graph is not None:
            self.M, self.ef_construction = graph.m or self.M, graph.ef_construct or self.ef_construction

    def _distance_of(self) -> dict:
        return {"l2": self._models.Distance.EUCLID, "cosine": self._models.Distance.COSINE}

    @contextmanager
    def _answering(self):
        """One request to Qdrant; what it raises becomes one sentence, without the key."""
        from qdrant_client.http import exceptions

        if self._closed:
            raise InputError("This store is closed; open it again.")
        with self._guard:
            try:
                yield
            except exceptions.ResponseHandlingException as error:
                raise Unreachable(f"No Qdrant answers at {self.location} ({error}).") from None
            except exceptions.UnexpectedResponse as error:
                refused = f"Qdrant at {self.location} refused a request ({error.status_code} {error.reason_phrase})"
                if error.status_code in (401, 403):
                    raise InputError(f"{refused}; give its key as api_key or in QDRANT_API_KEY.") from None
                raise (Unreachable if error.status_code >= 500 else InputError)(f"{refused}.") from None
            except InputError:
                raise
            except (RuntimeError, ValueError) as error:
                reason = " ".join(str(error).split()).rstrip(".")
                raise InputError(f"Qdrant refused a request at {self.location}: {reason}.") from None

    def _begin(self, dimension):
        from qdrant_client.http.exceptions import UnexpectedResponse

        models = self._models
        graph = models.HnswConfigDiff(m=self.M, ef_construct=self.ef_construction)
        space = models.VectorParams(size=dimension, distance=self._distance_of()[self.metric], hnsw_config=graph)
        kept = {} if self.encoder is None else {"metadata": {"encoder": self.encoder}}
        with self._answering():
            try:
                self._client.create_collection(self.name, vectors_config=space, **kept)
            except UnexpectedResponse as error:
                if error.status_code != CONFLICT:
                    raise
                self._given = self.metric  # another process was first; the points were checked for this metric
        self._recognize()

    def _known(self, ids):
        return [one is not None for one in self._records(ids, with_payload=False)]

    def _records(self, ids, **what):
        """Qdrant's records of ids, None where there is none."""
        points = [point_id(one) for one in ids]
        with self._answering():
            records = {str(one.id): one for one in self._client.retrieve(self.name, points, **what)}
        return [records.get(str(point)) for point in points]

    def _highest(self):
        order = self._models.OrderBy(key="whole", direction=self._models.Direction.DESC)
        with self._answering():
            records, _ = self._client.scroll(self.name, limit=1, order_by=order, with_payload=["whole"])
        return records[0].payload["whole"] if records else None

    def _put(self, ids, points, metadata):
        rows, lengths = points, None
        if self.metric == "cosine":
            rows, lengths = unit(points), np.linalg.norm(points.astype(np.float64), axis=1)
        # a time, so that several processes need not agree on a count
        first = max(time.time_ns(), self._last + 1)
        self._last = first + len(ids) - 1
        structs = []
        for row, (one, vector, about) in enumerate(zip(ids, rows, metadata, strict=True)):
            payload = {"text" if isinstance(one, str) else "whole": one, "number": first + row, "metadata": about}
            if lengths is not None:
                payload["length"] = float(lengths[row])
            structs.append(self._models.PointStruct(id=point_id(one), vector=vector.tolist(), payload=payload))
        with self._answering():
            self._client.upsert(self.name, structs, wait=True)

    def _drop(self, ids):
        selector = self._models.PointIdsList(points=[point_id(one) for one in ids])
        with self._answering():
            self._client.delete(self.name, selector, wait=True)

    def _near(self, queries, k, ef, exact):
        models = self._models
        # the embedded form knows no effort, and warns where one is given
        how = None if self.embedded else models.SearchParams(hnsw_ef=ef, exact=exact)
        rows = unit(queries) if self.metric == "cosine" else queries
        kept = ["whole", "text", "number"]
        asked = [models.QueryRequest(query=row.tolist(), params=how, limit=k, with_payload=kept) for row in rows]
        with self._answering():
            answers = self._client.query_batch_points(self.name, asked)
        return [[self._found(point) for point in answer.points] for answer in answers]

    def _found(self, point) -> Found:
        distance = max(point.score if self.metric == "l2" else 1 - point.score, 0.0)
        return Found(distance, point.payload["number"], own_id(point.payload))

    def _vectors(self, ids):
        records = self._records(ids, with_payload=["length"], with_vectors=True)
        return [None if one is None else self._lengthened(one) for one in records]

    def _lengthened(self, record):
        row = np.array(record.vector, dtype=np.float64)
        return row if self.metric == "l2" else row * (record.payload["length"] / np.linalg.norm(row))

    def _metadata(self, ids):
        records = self._records(ids, with_payload=["metadata"])
        return [None if one is None else one.payload.get("metadata") or {} for one in records]

    def _page(self, start, count):
        """Qdrant pages from an id on, not from a place, so what is before the first is read too."""
        ids, offset, end = [], None, None if count is None else start + count
        while end is None or len(ids) < end:
            limit = PAGE if end is None else min(PAGE, end - len(ids))
            with self._answering():
                records, offset = self._client.scroll(
                    self.name, limit=limit, offset=offset, with_payload=["whole", "text"]
                )
            ids += [own_id(one.payload) for one in records]
            if offset is None:
                break
        return ids[start:end]

    def _count(self):
        with self._answering():
            return self._client.count(self.name, exact=True).count

    def save(self, path=None) -> None:
        """Nothing is left to do: what was written is with Qdrant. In memory, or to another path, it is refused."""
        if path is not None:
            raise InputError("path is given; a collection of Qdrant stays where it is, use Qdrant's own snapshots.")
        if self.location == MEMORY:
            raise InputError("The collection is in memory only; open a server's URL to keep one.")

    def info(self) -> dict:
        """``deleted`` is None, as Qdrant does not say how many deleted points its segments still hold."""
        return {**self._told(), "deleted": None, "embedded": self.embedded}

    def close(self) -> None:
        if not self._closed:
            with self._guard:
                self._client.close()
        self._closed = True

    @property
    def _always_exact(self):
        return self.embedded


def point_id(one: Id) -> int | str:
    """The id under which Qdrant keeps a point: the whole number itself, or a UUID.

    >>> point_id(7), point_id("7") == point_id(-7)
    (7, False)
    """
    if isinstance(one, int) and one >= 0:
        return one
    return str(uuid.uuid5(SPACE, f"{type(one).__name__}:{one}"))


def own_id(payload: dict) -> Id:
    """The user's id of a point."""
    return payload["whole"] if "whole" in payload else payload["text"]
