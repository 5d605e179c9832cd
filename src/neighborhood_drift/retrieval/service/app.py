"""The application: the paths of the service over one store, who may use them, and how errors are told."""

import hmac
import json
import logging
import threading
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, File, Form, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from ... import __version__
from ...checks import InputError
from ..pictures import NotAPicture, Thumbnails, TooLarge
from ..store import Store, checked_ids
from . import models
from .documents import docs_page, search_page
from .engines import Engines
from .guard import Guard
from .limits import Limits, Refused
from .metrics import Metrics
from .searching import Pictures, Searcher, single

log = logging.getLogger("neighborhood_drift.service")
PATHS = (
    *("/", "/docs", "/health", "/image", "/info", "/metrics", "/openapi.json", "/points", "/points/delete"),
    *("/search", "/search/image", "/compact", "/save"),
)
UPLOAD = "/search/image"
WORDS = {
    400: "bad input",
    401: "the token is missing or wrong",
    403: "changes are closed, or the request comes from another site",
    404: "no such point",
    413: "too large",
    415: "not an image",
    422: "bad input",
    503: "not ready yet",
    507: "the disk refuses",
}


class State:
    """What the requests of one application share.

    Attributes
    ----------
    changes : int
        Requests so far that changed data and were not saved since; read by who saves at the end.
    """

    def __init__(self, store: Store, thumbnails: Thumbnails | None, limits: Limits, weights):
        self.store, self.limits = store, limits
        self.metrics = Metrics(store)
        self.engines = Engines(store, limits)
        self.pictures = Pictures(getattr(store, "encoder", None), weights)
        self.searcher = Searcher(store, self.engines, thumbnails, self.metrics)
        self.thumbnails = thumbnails
        self.changes = 0
        self._counting, self._saving = threading.Lock(), threading.Lock()

    def note(self) -> None:
        """Note that there is something to save."""
        with self._counting:
            self.changes += 1

    def changed(self, change: str, points: int) -> None:
        """Note that points were "added" or "deleted"."""
        self.note()
        self.engines.changed()
        self.metrics.change(change, points)

    def save(self) -> None:
        """Save the store; a change that comes meanwhile stays noted."""
        with self._saving:
            before = self.changes
            self.store.save()
            with self._counting:
                self.changes -= before


def create_app(
    store: Store,
    thumbnails: Thumbnails | None = None,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    read_only: bool = False,
    hosts: tuple[str, ...] | None = None,
    weights=None,
) -> FastAPI:
    """The service over a store.

    Parameters
    ----------
    store : Store
        Searched and changed by requests, from many threads at once.
    thumbnails : Thumbnails, optional
        Pictures of its points.
    limits : Limits, optional
    token : str, optional
        What a request that changes data has to show, as ``Authorization: Bearer TOKEN``. Without it anyone may.
    read_only : bool, default False
        Whether such requests are refused.
    hosts : tuple of str, optional
        Host names that requests may be for; None: any, for a service behind a proxy that checks them.
    weights : path, optional
        The weights of the collection's encoder, where they are not at hand.

    Examples
    --------
    >>> from neighborhood_drift import Collection
    >>> app = create_app(Collection(2))
    >>> sorted(app.openapi()["paths"]["/points"])
    ['get', 'post']
    """
    limits = limits or Limits()
    state = State(store, thumbnails, limits, weights)
    app = FastAPI(
        title="Neighborhood drift",
        description="Search, add and delete vectors; an answer that is refused says why in one sentence.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = state
    app.add_middleware(
        Guard, limits=limits, metrics=state.metrics, paths=frozenset(PATHS), uploads=frozenset([UPLOAD]), hosts=hosts
    )
    _errors(app)
    _pages(app, state)
    _reading(app, state, "closed" if read_only else "token" if token else "open")
    _searching(app, state)
    _changing(app, state, _permission(token, read_only))
    return app


def _answers(*statuses: int) -> dict:
    return {status: {"model": models.Problem, "description": WORDS[status]} for status in (400, 413, *statuses)}


def _pages(app: FastAPI, state: State) -> None:
    def shown(page: tuple[str, str]) -> HTMLResponse:
        return HTMLResponse(page[0], headers={"Content-Security-Policy": page[1]})

    @app.get("/", include_in_schema=False)
    def page():
        return shown(search_page())

    @app.get("/docs", include_in_schema=False)
    def docs():
        return shown(docs_page(app.openapi()))

    @app.get("/metrics", include_in_schema=False)
    def metrics():
        return Response(state.metrics.text(), media_type=state.metrics.media_type)


def _reading(app: FastAPI, state: State, changes: Literal["open", "token", "closed"]) -> None:
    store, searcher = state.store, state.searcher

    @app.get("/health", response_model=models.Health, responses=_answers())
    def health():
        """Whether the service answers, and how many points it has."""
        return {"status": "ok", "points": store.count()}

    @app.get("/info", response_model=models.Info, responses=_answers())
    def info():
        """The collection, the limits of a request, and the rules of search."""
        return {
            **store.info(),
            "limits": vars(state.limits),
            "rules": state.engines.rules(),
            "images": state.thumbnails is not None,
            "image_search": {"ready": state.pictures.ready, "reason": state.pictures.reason},
            "changes": changes,
        }

    @app.get("/points", response_model=models.Listed, responses=_answers(422))
    def points(
        start: Annotated[int, Query(ge=0, le=2**31)] = 0,
        count: Annotated[int, Query(ge=1, le=state.limits.points)] = 50,
    ):
        """Stored points in a fixed order: ``count`` of them after the first ``start``."""
        return {"points": searcher.points(store.ids(start, count)), "total": store.count()}

    @app.get(
        "/image",
        response_class=Response,
        responses={**_answers(404, 422), 200: {"content": {"image/png": {}}, "description": "a picture of 32 x 32"}},
    )
    def image(id: Annotated[str, Query(description='the id as JSON: 5, or "a" in quotes', max_length=6_100)]):
        """The small picture of a stored point."""
        try:
            [asked] = checked_ids([json.loads(id)])
        except (ValueError, RecursionError):
            raise InputError('id must be JSON: a whole number such as 5, or text in quotes such as "a".') from None
        with searcher.known(asked):
            picture = None if state.thumbnails is None else state.thumbnails.png(asked)
        if picture is None:
            raise Refused(404, f"There is no picture of point {asked!r}.")
        return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=60"})


def _searching(app: FastAPI, state: State) -> None:
    searcher = state.searcher
    either, limits = models.Compared | models.Found, state.limits
    Search = models.bounded(limits).search

    @app.post("/search", response_model=either, responses=_answers(403, 404, 422, 503))
    def search(asked: Search):
        """Search the neighbors of a vector, or of a stored point, which is left out of its own."""
        if asked.id is not None:
            return searcher.answer(searcher.vector_of(asked.id), asked, leave_out=asked.id)
        return searcher.answer(single([asked.vector]), asked)

    @app.post(UPLOAD, response_model=either, responses=_answers(403, 415, 422, 503))
    def search_image(
        image: Annotated[UploadFile, File(description="PNG, JPEG, WebP, GIF or BMP")],
        k: Annotated[int, Form(ge=1, le=limits.k)] = 10,
        ef: Annotated[int | None, Form(ge=1, le=limits.ef)] = None,
        target: Annotated[models.TargetText | None, Form()] = None,
        rule: Annotated[models.RuleName, Form()] = "follows-k",
        exact: Annotated[bool, Form()] = False,
        compare: Annotated[bool, Form()] = False,
    ):
        """Search the neighbors of an image."""
        options = models.Options(k=k, ef=ef, target=target, rule=rule, exact=exact, compare=compare)
        return searcher.answer(state.pictures.vector(image.file.read(), limits), options)


def _changing(app: FastAPI, state: State, permission) -> None:
    store, taken = state.store, models.bounded(state.limits)
    Points, Ids = taken.points, taken.ids
    guarded = {"dependencies": [Depends(permission)]}

    @app.post("/points", response_model=models.Added, responses=_answers(401, 403, 422), **guarded)
    def add(given: Points):
        """Add points: all of them, or none."""
        ids = store.add(single(given.vectors), given.ids, given.metadata, replace=given.replace)
        state.changed("added", len(ids))
        return {"ids": ids, "points": store.count()}

    @app.post("/points/delete", response_model=models.Deleted, responses=_answers(401, 403, 404, 422), **guarded)
    def delete(given: Ids):
        """Delete points: all of them, or none."""
        ids = checked_ids(given.ids)
        try:
            deleted = store.delete(ids)
        except InputError as error:
            raise Refused(404, str(error)) from None
        state.changed("deleted", deleted)
        return {"deleted": deleted, "points": store.count()}

    @app.post("/compact", response_model=models.Done, responses=_answers(401, 403), **guarded)
    def compact():
        """Begin to free, in the background, what deleted points still take."""
        store.compact(background=True)
        state.note()
        return {"status": "compacting", "points": store.count()}

    @app.post("/save", response_model=models.Done, responses=_answers(401, 403, 507), **guarded)
    def save():
        """Keep all that was added and deleted so far."""
        state.save()
        return {"status": "saved", "points": store.count()}


def _permission(token: str | None, read_only: bool):
    bearer = HTTPBearer(auto_error=False, description="the service's token")

    def closed():
        raise Refused(403, "This service is read-only; it takes no changes.")

    def shown(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]):
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            raise Refused(401, "Changing data needs the header Authorization: Bearer and the service's token.")

    def anyone():
        pass

    return closed if read_only else shown if token is not None else anyone


def _errors(app: FastAPI) -> None:
    def told(status: int, sentence: str, headers=None) -> JSONResponse:
        # a lone surrogate, which JSON can hold, has no UTF-8
        safe = sentence.encode("utf-8", "backslashreplace").decode()
        return JSONResponse({"detail": safe}, status, headers)

    @app.exception_handler(InputError)
    async def refused(request: Request, error: InputError):
        kinds = {TooLarge: 413, NotAPicture: 415}
        status = getattr(error, "status", None) or next((kinds[one] for one in kinds if isinstance(error, one)), 400)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}.get(status)
        return told(status, str(error), headers)

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def invalid(request: Request, error):
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"][:4] if one != "body") or "the body"
        return told(422, f"{place[:200]}: {first['msg'][:300]}.")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException):
        path = request.url.path[:200]
        sentences = {
            404: "There is no such path; /docs lists those there are.",
            405: f"{path} does not take {request.method}; /docs lists what it takes.",
        }
        return told(error.status_code, sentences.get(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(OSError)
    async def disk(request: Request, error: OSError):
        log.error("%s", error)
        return told(507, f"The disk refuses: {error.strerror or 'unknown reason'}; what was saved before is kept.")
