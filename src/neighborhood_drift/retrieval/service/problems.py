"""How the service tells what is wrong: one sentence, with the status that fits, whatever went wrong."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from ...checks import InputError
from ..pictures import NotAPicture, TooLarge
from . import models

log = logging.getLogger("neighborhood_drift.service")
WORDS = {
    400: "bad input",
    401: "the token is missing or wrong",
    403: "changes are closed, or the request comes from another site",
    404: "no such point",
    408: "the body does not come",
    413: "too large",
    415: "not an image",
    422: "bad input",
    503: "not ready yet",
    507: "the disk refuses",
}


def answers(*statuses: int) -> dict:
    """The refusals of a path, for its document: these statuses, and those of every path."""
    return {status: {"model": models.Problem, "description": WORDS[status]} for status in (400, 408, 413, *statuses)}


def tell(app: FastAPI) -> None:
    """Have an application tell its errors so."""

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
