"""From a request to an answer: the query's vector, the search by a rule, the neighbors with what is shown of them."""

from __future__ import annotations

import json
import threading
from urllib.parse import quote

import numpy as np

from ...checks import InputError
from ..pictures import Thumbnails, decode, picture_encoder
from ..remote import Unreachable
from ..store import Hits, Id, Store, overlap_of_hits
from . import models
from .engines import OWN, Engines
from .limits import BACKGROUND, Limits, Refused
from .metrics import Metrics
from .targets import Targets

DECODED = 2  # images decoded at a time: the largest takes some hundred megabytes


def single(vectors: list[list[float]]) -> np.ndarray:
    """(m, d) float32 of numbers from a request; what is too large becomes infinite, which the store refuses.

    >>> single([[0.5, 1e300]])
    array([[0.5, inf]], dtype=float32)
    """
    if len({len(vector) for vector in vectors}) > 1:
        raise InputError("the vectors differ in length; all must have the collection's dimension.")
    with np.errstate(over="ignore"):
        return np.array(vectors, dtype=np.float32)


class Pictures:
    """The encoder of a collection of images, loaded in the background: its library alone can take seconds.

    Parameters
    ----------
    encoder : dict or None
        As in `Collection.encoder`.
    weights : path, optional
        The encoder's weights, where they are not at hand.
    """

    def __init__(self, encoder: dict | None, weights=None):
        self._encode = None
        self._lock, self._decoding = threading.Lock(), threading.Semaphore(DECODED)
        self.reason = "The encoder of images is being loaded; ask again in a few seconds."
        if encoder is None:
            self.reason = "This collection does not say how an image becomes a vector, so no image can be searched."
        self.loading = encoder is not None
        if self.loading:
            self._thread = threading.Thread(
                target=self._load, args=(encoder, weights), name=f"{BACKGROUND}encoder", daemon=True
            )
            self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether an image can be searched now."""
        return self._encode is not None

    def vector(self, data: bytes, limits: Limits) -> np.ndarray:
        """(1, d) float32 of an image file; `Refused` where it is none, or the encoder is not ready."""
        if not self.ready:
            raise Refused(503 if self.loading else 400, self.reason)
        with self._decoding:
            picture = decode(data, most_bytes=limits.upload_bytes, most_pixels=limits.upload_pixels)
        with self._lock:  # one at a time: a network uses all processors itself
            return self._encode([picture])

    def _load(self, encoder, weights):
        try:
            self._encode = picture_encoder(encoder, weights)
            self.reason = ""
        except (InputError, ImportError, OSError) as error:
            self.reason = f"Images cannot be searched: {error}"
        finally:
            self.loading = False


class Searcher:
    """Searches of a store by any of the rules, as the service answers them.

    Parameters
    ----------
    store : Store
    engines : Engines
    thumbnails : Thumbnails or None
    metrics : Metrics
    """

    def __init__(self, store: Store, engines: Engines, thumbnails: Thumbnails | None, metrics: Metrics):
        self.store, self.engines, self.thumbnails, self.metrics = store, engines, thumbnails, metrics
        self._targets = Targets(store)

    def answer(self, vector, options: models.Options, leave_out: Id | None = None) -> dict:
        """The neighbors of a (1, d) vector; `leave_out` is not among them."""
        k, ef, rule = options.k, options.ef, options.rule
        if options.target is not None and ef is not None:
            raise InputError("both ef and target are given; give one of them.")
        if options.target is not None and rule != OWN:
            raise InputError(f"target is given with rule {rule}; an ef is chosen for rule {OWN} only.")
        exact = self._own(vector, k, leave_out, exact=True) if options.exact or options.compare else None
        if options.exact:
            hits = exact
        elif rule == OWN:
            hits = self._own(vector, k, leave_out, ef=ef, target=options.target)
        else:
            hits = self.engines.search(rule, vector, k, ef, leave_out)
        self.metrics.search(rule, options.exact, hits.seconds)
        answer = {
            "k": k,
            "ef": hits.ef,
            "rule": rule,
            "seconds": hits.seconds,
            "found": len(hits.ids[0]),
            "note": hits.note,
            "hits": self._shown(hits),
        }
        return {**answer, **self._beside(exact, hits)} if options.compare else answer

    def vector_of(self, id_: Id) -> np.ndarray:
        """(1, d) float32 of a point, or `Refused` with 404."""
        with self.known(id_):
            return self.store.vectors([id_])

    def known(self, id_: Id) -> _Known:
        """A block in which the store's refusal means that there is no such point."""
        return _Known(id_)

    def points(self, ids: list[Id]) -> list[dict]:
        """Id, label and address of the picture of points."""
        return [{"id": one, **self._seen(one, about)} for one, about in zip(ids, self._metadata(ids), strict=True)]

    def _own(self, vector, k, leave_out, *, ef=None, target=None, exact=False) -> Hits:
        asked = k + (leave_out is not None)
        if target is not None:
            hits = self._targets.search(vector, asked, target)
        else:
            hits = self.store.search(vector, asked, ef=ef, exact=exact)
        keep = [place for place, one in enumerate(hits.ids[0]) if leave_out is None or one != leave_out][:k]
        ids = tuple(hits.ids[0][place] for place in keep)
        return Hits((ids,), (hits.distances[0][keep],), k=k, ef=hits.ef, seconds=hits.seconds, exact=exact)

    def _beside(self, exact: Hits, hits: Hits) -> dict:
        true, got = exact.ids[0], hits.ids[0]
        overlap = float(overlap_of_hits(exact, hits)[0])
        return {
            "exact": {"seconds": exact.seconds, "hits": self._shown(exact)},
            "overlap": None if np.isnan(overlap) else overlap,
            "missed": [one for one in true if one not in set(got)],
            "instead": [one for one in got if one not in set(true)],
        }

    def _shown(self, hits: Hits) -> list[dict]:
        points = zip(self.points(list(hits.ids[0])), hits.distances[0], strict=True)
        return [{**point, "distance": float(far), "rank": rank} for rank, (point, far) in enumerate(points, start=1)]

    def _metadata(self, ids: list[Id]) -> list[dict]:
        try:
            return self.store.metadata(ids)
        except InputError:  # one was deleted since it was found
            return [self._metadata_of(one) for one in ids]

    def _metadata_of(self, id_: Id) -> dict:
        try:
            return self.store.metadata([id_])[0]
        except InputError:
            return {}

    def _seen(self, id_: Id, about: dict) -> dict:
        label = about.get("label")
        has = self.thumbnails is not None and self.thumbnails.has(about)
        return {
            "label": None if label is None else str(label),
            "image": f"/image?id={quote(json.dumps(id_), safe='')}" if has else None,
        }


class _Known:
    def __init__(self, id_: Id):
        self._id = id_

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, InputError) and not isinstance(error, Unreachable):
            raise Refused(404, f"There is no point {self._id!r}.") from None
        return False
