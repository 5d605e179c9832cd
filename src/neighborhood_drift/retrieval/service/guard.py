"""What stands before the service: which sites may ask, how long a body may be, headers and log line of an answer."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import re
import time
import uuid
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from .limits import Limits
from .metrics import Metrics

log = logging.getLogger("neighborhood_drift.service")
FORM = 64 * 1024  # bytes that the other fields of an upload, and what separates them, may take
IDLE = 5.0  # seconds without any part of a body until its request is given up
UNREAD = (401, 403, 408, 413)
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def host_of(authority: str) -> str:
    """The host in ``host:port``, small letters, without the brackets of IPv6.

    >>> host_of("Localhost:8000"), host_of("[::1]:8000"), host_of("[")
    ('localhost', '::1', '')
    """
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Permission:
    """Who may change data: anyone, who shows the token, or nobody.

    Parameters
    ----------
    token : str or None
    read_only : bool

    Examples
    --------
    >>> Permission("secret", False).refusal("Bearer secret"), Permission("secret", False).refusal("")[0]
    (None, 401)
    """

    def __init__(self, token: str | None, read_only: bool):
        # a header carries no blanks at the ends of its value
        self._token = None if token is None else token.strip().encode()
        self.changes = "closed" if read_only else "token" if token is not None else "open"

    def refusal(self, authorization: str) -> tuple[int, str] | None:
        """Status and sentence for a request with that header; None where it may change data."""
        if self.changes == "closed":
            return 403, "This service is read-only; it takes no changes."
        kind, _, shown = authorization.partition(" ")
        if self.changes == "open" or (
            kind.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token)
        ):
            return None
        return 401, "Changing data needs the header Authorization: Bearer and the service's token."


class Guard:
    """ASGI middleware around the whole service.

    A browser lets any page send requests to a service on the same machine. Three checks keep such a page out: the
    request must name a host that is served, whatever address it listens at (else a page could come under a name of its
    own that was made to point here), what changes data
    must not come from another site, and no answer carries a permission to be read elsewhere.

    Parameters
    ----------
    app : ASGI application
    limits : Limits
    metrics : Metrics
    paths : frozenset of str
        Paths of the service; others are counted together.
    uploads, changes : frozenset of str
        Of these, those that take an image, and those that change data.
    permission : Permission
        Asked before a body is read; the paths ask it too.
    hosts : tuple of str
        Names of hosts that are served, besides those of this machine and any numeric address.
    """

    def __init__(
        self, app, *, limits: Limits, metrics: Metrics, paths, uploads, changes, permission: Permission, hosts=()
    ):
        self.app, self.limits, self.metrics, self.permission = app, limits, metrics, permission
        self.paths, self.uploads, self.changes = paths, uploads, changes
        self.hosts = frozenset(name.lower() for name in hosts)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"] if scope["path"] in self.paths else "other"
        ident, began, status = _ident(headers.get("x-request-id", "")), time.perf_counter(), 500
        started = False

        async def answer(message):
            nonlocal status, started
            started = True
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                out["X-Request-ID"] = ident
                if status in UNREAD:
                    out["Connection"] = "close"  # what the client still sends is not read
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            if refusal:
                await _refuse(answer, *refusal)
            else:
                await self.app(scope, self._bounded(scope, receive), answer)
        except Exception:
            log.exception("%s %s failed, %s", scope["method"], path, ident)
            if started:
                raise
            await _refuse(answer, 500, "The service failed at this request; its log says where.")
        finally:
            milliseconds = 1000 * (time.perf_counter() - began)
            self.metrics.request(path, status)
            log.info("%s %s %d %.1f ms %s", scope["method"], path, status, milliseconds, ident)

    def _most(self, scope) -> int:
        if scope["path"] in self.uploads:
            return self.limits.upload_bytes + FORM
        return self.limits.body_bytes if scope["path"] in self.changes else self.limits.search_bytes

    def _refusal(self, scope, headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._served(host_of(host)):
            return 400, "The request names a host that is not served here; --allow-host adds one."
        if scope["method"] not in SAFE:
            origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
            if site not in ("same-origin", "none") or (origin is not None and authority_of(origin) != host.lower()):
                return 403, "The request comes from a page of another site; only pages of this service may send it."
            refused = self.permission.refusal(headers.get("authorization", ""))
            if refused and scope["path"] in self.changes and scope["method"] == "POST":
                return refused
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return 400, "Content-Length is not a whole number."
        return (413, self._too_long(scope)) if int(length) > self._most(scope) else None

    def _served(self, host: str) -> bool:
        # a page reaches this service under its own name, which was made to point here, but never under a number
        return host in self.hosts or host == "localhost" or _is_number(host)

    def _too_long(self, scope) -> str:
        return f"The body is too long; at most {self._most(scope)} bytes are taken here."

    def _bounded(self, scope, receive):
        """Receive that counts, as a body in chunks has no length to check before, and that waits `IDLE` for a part."""
        came, whole = 0, False

        async def bounded():
            nonlocal came, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), IDLE)
            except TimeoutError:
                raise HTTPException(408, f"Nothing of the body came for {IDLE:g} seconds.") from None
            whole = not message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self._most(scope):
                raise HTTPException(413, self._too_long(scope))
            return message

        return bounded


def authority_of(origin: str) -> str:
    """Host and port of an origin, small letters; empty for one that is none, as of a sandboxed page.

    >>> authority_of("http://Localhost:8000"), authority_of("null")
    ('localhost:8000', '')
    """
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _ident(given: str) -> str:
    return given if re.fullmatch(r"[\w-]{1,64}", given, re.ASCII) else uuid.uuid4().hex


async def _refuse(send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
