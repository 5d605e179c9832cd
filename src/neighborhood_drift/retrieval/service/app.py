"""The application: the paths of the service over one store, and who may use them."""

import json
from functools import partial, wraps
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, Response
from fastapi.security import HTTPBearer

from ... import __version__
from ...checks import InputError
from ..pictures import Thumbnails
from ..remote import Unreachable
from ..store import Store, checked_ids
from . import models
from .documents import docs_page, notice, search_page
from .guard import Guard, Permission
from .limits import Limits, Refused, without_folders
from .problems import answers, tell
from .searching import single
from .state import State

PATHS = (
    *("/", "/docs", "/health", "/image", "/info", "/metrics", "/openapi.json", "/points", "/points/delete"),
    *("/search", "/search/image", "/compact", "/save"),
)
UPLOAD = "/search/image"
AT_ONCE = 4  # changes that wait for each other, or for the collection to be measured or saved, in threads of their own
CHANGES = ("/points", "/points/delete", "/compact", "/save")


def beside(threads: int):
    """A decorator of paths that have so many threads of their own: theirs may wait while the others are at work.

    >>> import asyncio
    >>> asyncio.run(beside(1)(lambda: 5)())
    5
    """
    limiter = CapacityLimiter(threads)

    def with_own(path):
        @wraps(path)
        async def answer(**asked):
            return await to_thread.run_sync(partial(path, **asked), limiter=limiter)

        return answer

    return with_own


def create_app(
    store: Store,
    thumbnails: Thumbnails | None = None,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    read_only: bool = False,
    hosts: tuple[str, ...] = (),
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
        Names that requests may ask for this service by, besides ``localhost`` and addresses of numbers.
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
    state, permission = State(store, thumbnails, limits, weights), Permission(token, read_only)
    app = FastAPI(
        title="Neighborhood drift",
        description="Search, add and delete vectors; an answer that is refused says why in one sentence.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = state
    app.add_middleware(
        Guard,
        limits=limits,
        metrics=state.metrics,
        paths=frozenset(PATHS),
        uploads=frozenset([UPLOAD]),
        changes=frozenset(CHANGES),
        permission=permission,
        hosts=hosts,
    )
    tell(app)
    _pages(app, state)
    _reading(app, state, permission.changes)
    _searching(app, state)
    _changing(app, state, permission)
    return app


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


def _reading(app: FastAPI, state: State, changes: str) -> None:
    store, searcher = state.store, state.searcher

    @app.get("/health", response_model=models.Health, responses=answers())
    @beside(1)
    def health():
        """Whether the service answers, and how many points it has."""
        return {"status": "ok", "points": store.count()}

    @app.get("/info", response_model=models.Info, responses=answers())
    def info():
        """The collection, the limits of a request, and the rules of search."""
        about = {name: value for name, value in store.info().items() if name not in ("path", "location")}
        return {
            **about,
            "limits": vars(state.limits),
            "rules": state.engines.rules(),
            "images": state.thumbnails is not None,
            "image_search": {"ready": state.pictures.ready, "reason": state.pictures.reason},
            "changes": changes,
            "notice": notice(store),
        }

    @app.get("/points", response_model=models.Listed, responses=answers(422))
    def points(
        start: Annotated[int, Query(ge=0, le=2**31)] = 0,
        count: Annotated[int, Query(ge=1, le=state.limits.points)] = 50,
    ):
        """Stored points in a fixed order: so many (count) after so many others (start)."""
        return {"points": searcher.points(store.ids(start, count)), "total": store.count()}

    @app.get(
        "/image",
        response_class=Response,
        responses={**answers(404, 422), 200: {"content": {"image/png": {}}, "description": "a picture of 32 x 32"}},
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

    @app.post("/search", response_model=either, responses=answers(403, 404, 422, 503))
    def search(asked: Search):
        """Search the neighbors of a vector, or of a stored point, which is left out of its own."""
        if asked.id is not None:
            return searcher.answer(searcher.vector_of(asked.id), asked, leave_out=asked.id)
        return searcher.answer(single([asked.vector]), asked)

    @app.post(UPLOAD, response_model=either, responses=answers(403, 415, 422, 503))
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


def _changing(app: FastAPI, state: State, permission: Permission) -> None:
    store, taken = state.store, models.bounded(state.limits)
    Points, Ids = taken.points, taken.ids

    def permitted(request: Request):
        refusal = permission.refusal(request.headers.get("authorization", ""))
        if refusal:
            raise Refused(*refusal)

    bearer = HTTPBearer(auto_error=False, description="the service's token")  # for the document alone
    guarded = {"dependencies": [Depends(permitted), *([Depends(bearer)] if permission.changes == "token" else [])]}

    waiting = beside(AT_ONCE)

    @app.post("/points", response_model=models.Added, responses=answers(401, 403, 422), **guarded)
    @waiting
    def add(given: Points):
        """Add points: all of them, or none."""
        with state.changing():
            ids = store.add(single(given.vectors), given.ids, given.metadata, replace=given.replace)
        state.metrics.change("added", len(ids))
        return {"ids": ids, "points": store.count()}

    @app.post("/points/delete", response_model=models.Deleted, responses=answers(401, 403, 404, 422), **guarded)
    @waiting
    def delete(given: Ids):
        """Delete points: all of them, or none."""
        ids = checked_ids(given.ids)
        try:
            with state.changing():
                deleted = store.delete(ids)
        except Unreachable:
            raise
        except InputError as error:
            raise Refused(404, str(error)) from None
        state.metrics.change("deleted", deleted)
        return {"deleted": deleted, "points": store.count()}

    @app.post("/compact", response_model=models.Done, responses=answers(401, 403), **guarded)
    @waiting
    def compact():
        """Begin to free, in the background, what deleted points still take."""
        if not store.info().get("deleted"):
            return {"status": "nothing is deleted", "points": store.count()}
        store.compact(background=True)
        return {"status": "compacting", "points": store.count()}

    @app.post("/save", response_model=models.Done, responses=answers(401, 403, 507), **guarded)
    @waiting
    def save():
        """Keep all that was added and deleted so far."""
        try:
            state.save()
        except Unreachable:
            raise
        except InputError as error:
            raise InputError(without_folders(str(error))) from error
        return {"status": "saved", "points": store.count()}
