"""From a request to an answer: the query's vector, the search by a rule, the neighbors with what is shown of them."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from urllib.parse import quote

import numpy as np

from ...checks import InputError
from ..asking import answers, without_itself
from ..pictures import Thumbnails, decode, picture_encoder
from ..remote import Unreachable
from ..store import Hits, Id, Store
from . import models
from .engines import OWN, Engines
from .limits import BACKGROUND, Limits, Refused, without_folders
from .metrics import Metrics
from .targets import Targets

log = logging.getLogger("neighborhood_drift.service")
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
        try:
            with self._lock:  # one at a time: a network uses all processors itself
                return self._encode([picture])
        except Exception as error:  # each library fails in ways of its own, and what was sent is to blame
            width, height = picture.size
            log.exception("the encoder failed at a picture of %d x %d pixels", width, height)
            raise InputError(f"the collection's encoder takes no picture of {width:,} x {height:,} pixels.") from error

    def _load(self, encoder, weights):
        try:
            self._encode = picture_encoder(encoder, weights)
            self.reason = ""
        except (InputError, ImportError, OSError) as error:
            log.warning("images cannot be searched: %s", error)
            self.reason = f"Images cannot be searched: {without_folders(str(error))}"
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
        if options.target is not None and (ef is not None or options.exact):
            raise InputError("target is given beside ef or exact; a search has one of them.")
        if options.target is not None and rule != OWN:
            raise InputError(f"target is given with rule {rule}; an ef is chosen for rule {OWN} only.")
        exact, said = None, ""
        if rule == OWN or options.exact:
            hits = self._own(vector, k, options, leave_out)
            if options.compare:
                exact = hits if options.exact else self._own(vector, k, _EXACT, leave_out)
        else:
            hits, exact, said = self.engines.search(rule, vector, k, ef, leave_out, options.compare)
        if said:
            hits, exact = self._there(hits), exact and self._there(exact)
        self.metrics.search(rule, options.exact, hits.seconds)
        [told] = answers(self, [""], hits, exact)
        for hit in (*told["hits"], *told.get("exact", ())):
            hit |= self._seen(hit["id"], hit)
        answer = {
            "k": k,
            "ef": hits.ef,
            "rule": rule,
            "seconds": hits.seconds,
            "found": len(hits.ids[0]),
            "note": " ".join(one for one in (said, hits.note) if one),
            "hits": told["hits"],
        }
        if exact is None:
            return answer
        beside = {name: told[name] for name in ("overlap", "missed", "instead")}
        return {**answer, **beside, "exact": {"seconds": exact.seconds, "hits": told["exact"]}}

    def vector_of(self, id_: Id) -> np.ndarray:
        """(1, d) float32 of a point, or `Refused` with 404."""
        with self.known(id_):
            return self.store.vectors([id_])

    def known(self, id_: Id) -> _Known:
        """A block in which the store's refusal means that there is no such point."""
        return _Known(id_)

    def points(self, ids: list[Id]) -> list[dict]:
        """Id, label and address of the picture of points."""
        return [{"id": one, **self._seen(one, about)} for one, about in zip(ids, self.metadata(ids), strict=True)]

    def metadata(self, ids: list[Id]) -> list[dict]:
        """Metadata of points, an empty dict for one that was deleted since it was found."""
        return [about or {} for about in self._about(ids)]

    def _own(self, vector, k: int, options: models.Options, leave_out: Id | None) -> Hits:
        ef = options.ef
        if ef is None and not options.exact:
            # certified leave-one-out at k: the neighbor more that is asked for below makes up for the point itself
            ef = self._targets.ef(vector, k, options.target)
        if leave_out is None:
            return self.store.search(vector, k, ef=ef, exact=options.exact)
        return without_itself(self.store.search(vector, k + 1, ef=ef, exact=options.exact), [leave_out], k)

    def _there(self, hits: Hits) -> Hits:
        """Those that were not deleted since."""
        keep = [place for place, about in enumerate(self._about(list(hits.ids[0]))) if about is not None]
        return replace(hits, ids=(tuple(hits.ids[0][place] for place in keep),), distances=(hits.distances[0][keep],))

    def _about(self, ids: list[Id]) -> list[dict | None]:
        """Metadata of points, None where there is no such point any more."""
        try:
            return self.store.metadata(ids)
        except Unreachable:
            raise
        except InputError:
            return [None] if len(ids) == 1 else [about for one in ids for about in self._about([one])]

    def _seen(self, id_: Id, about: dict) -> dict:
        label = about.get("label")
        has = self.thumbnails is not None and self.thumbnails.has(about)
        return {
            "label": None if label is None else str(label),
            "image": f"image?id={quote(json.dumps(id_), safe='')}" if has else None,
        }


_EXACT = models.Options(exact=True)


class _Known:
    def __init__(self, id_: Id):
        self._id = id_

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, InputError) and not isinstance(error, Unreachable):
            raise Refused(404, f"There is no point {self._id!r}.") from None
        return False
