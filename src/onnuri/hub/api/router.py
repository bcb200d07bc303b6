"""From an address to its handler: by the address as it was sent, since a branch may be `feature%2Fx`.

Errors become answers here, whom a request comes from is found here, and bodies are bounded here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from sqlalchemy.exc import DataError, OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from onnuri.hub import accounts
from onnuri.hub.api.call import Call, answer
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.hub import Hub
from onnuri.hub.records import Caller
from onnuri.hub.room import LEAST, check_disk, is_full, no_room
from onnuri.hub.sessions import COOKIE, caller_of_session
from onnuri.hub.uploads import declared_size

log = logging.getLogger(__name__)
Handler = Callable[[Call], Any]
"""A plain function runs in a thread and has the body; a coroutine function reads the body itself."""
ErrorPage = Callable[[Call, HubError], Response | None]
LARGEST_BODY = 8 << 20
"""Bytes, of what is no upload."""
BODY_SECONDS = 120
LONGEST_ADDRESS = 8192
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Route(NamedTuple):
    """An address and what answers there. `{name}` is one part, `{name*}` all that are left."""

    methods: str
    pattern: str
    handler: Handler
    anyone: bool = False
    """Whether a wrong token is passed over, as the route needs none."""


class Router:
    """The ASGI application."""

    def __init__(self, hub: Hub, routes: Sequence[Route], error_page: ErrorPage | None = None) -> None:
        """`error_page`: an error as a page, or None where the caller wants JSON."""
        self.hub, self.error_page = hub, error_page
        self.routes = [
            (route, route.methods.split(), route.pattern.strip("/").split("/")) for route in routes
        ]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request, or the life of the server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await run_in_threadpool(self.hub.close)
            await send({"type": "lifespan.shutdown.complete"})
            return
        request, number = Request(scope, receive), secrets.token_hex(12)
        call = Call(self.hub, request, None, {}, number)
        try:
            response = await self._answer(call)
        except HubError as error:
            response = await run_in_threadpool(self._error, call, error)
        except ClientDisconnect:
            return
        except (DataError, UnicodeEncodeError):
            response = answer(
                {"error": "a text has characters that cannot be kept, or a number is too large"}, 400
            )
        except Exception as error:
            log.exception("request %s to %s failed", number, scope["path"])
            if is_full(error):
                response = answer(no_room().content(), 507)
            elif isinstance(error, OperationalError):
                response = answer({"error": "the database is busy; try again"}, 503, {"Retry-After": "1"})
            else:
                failed = HubError(500, "the hub failed; its log has more")
                response = await run_in_threadpool(self._error, call, failed)
        for name, value in (SAFE | {"X-Request-Id": number} | call.headers).items():
            response.headers.setdefault(name, value)
        if scope["method"] == "HEAD" and hasattr(response, "body"):
            length = response.headers.get("content-length", "0")
            response = Response(b"", response.status_code, dict(response.headers))
            response.headers["content-length"] = length
        await response(scope, receive, send)

    def _error(self, call: Call, error: HubError) -> Response:
        shown = self.error_page(call, error) if self.error_page else None
        return shown or answer(error.content(), error.status, error.headers())

    async def _answer(self, call: Call) -> Response:
        request = call.request
        self._check_host(request)
        route = self._route(call)
        call.caller = await run_in_threadpool(self._identify, request, route.anyone)
        if (
            call.caller
            and call.caller.method.startswith("session")
            and request.method not in ("GET", "HEAD")
        ):
            check_own_page(call)
        call.headers |= self.hub.limits.count(call.caller, call.address)
        if request.method not in ("GET", "HEAD"):
            check_disk(self.hub.data, LEAST)
        if inspect.iscoroutinefunction(route.handler):
            found = await route.handler(call)
        else:
            if request.method in ("POST", "PUT", "DELETE", "PATCH"):
                call.body = await read_body(request, LARGEST_BODY)
            found = await run_in_threadpool(route.handler, call)
        return found if isinstance(found, Response) else answer(found)

    def _check_host(self, request: Request) -> None:
        """No page elsewhere may reach the hub by a name that it lets resolve to it."""
        accepted = self.hub.config.accepted_hosts
        host = request.headers.get("host", "").lower()
        name, _, port = host.rpartition(":")
        if accepted is not None and (name if port.isdigit() else host) not in accepted:
            raise HubError(
                403, f"{host[:64]!r} is not a name of this hub; hosts=[NAME] at its start adds it"
            )

    def _route(self, call: Call) -> Route:
        raw = call.request.scope["raw_path"].partition(b"?")[0]
        if len(raw) > LONGEST_ADDRESS:
            raise HubError(414, "the address is too long")
        try:
            parts = [unquote(part, errors="strict") for part in raw.decode("ascii").strip("/").split("/")]
        except ValueError:
            raise bad_request("the address is not UTF-8") from None
        method = "GET" if call.request.method == "HEAD" else call.request.method
        allowed: set[str] = set()
        for route, methods, pattern in self.routes:
            names = _match(pattern, parts)
            if names is None:
                continue
            if method in methods:
                call.names = names
                return route
            allowed.update(methods)
        if allowed:
            raise HubError(
                405, "the address takes another method", headers={"Allow": ", ".join(sorted(allowed))}
            )
        raise HubError(404, "no such address")

    def _identify(self, request: Request, anyone: bool) -> Caller | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        hub = self.hub
        if token and scheme.lower() == "bearer":
            with hub.database.reading() as connection:
                try:
                    row = accounts.token_row(connection, token.strip())
                except HubError:
                    if anyone:
                        return None
                    raise
            if time.time() - row.last_used > accounts.USED_EVERY:
                with hub.database.writing() as connection:
                    accounts.touch_token(connection, row.id)
            return accounts.caller_of(row)
        cookie = request.cookies.get(COOKIE, "")
        if cookie:
            with hub.database.reading() as connection:
                return caller_of_session(connection, cookie)
        return None


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for index, each in enumerate(pattern):
        if each.endswith("*}"):
            names[each[1:-2]] = "/".join(parts[index:])
            return names
        if index >= len(parts):
            return None
        if each.startswith("{"):
            if not parts[index]:
                return None
            names[each[1:-1]] = parts[index]
        elif each != parts[index]:
            return None
    return names if len(parts) == len(pattern) else None


async def read_body(request: Request, most: int) -> bytes:
    """A body. Raises HubError for one that is too large, before it is read if it says so."""
    pieces, size = [], 0
    too_large = HubError(413, f"a body has {most:,} bytes at most here")
    if (declared_size(request) or 0) > most:
        raise too_large
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    raise too_large
    except TimeoutError:
        raise HubError(408, f"the body did not come within {BODY_SECONDS} seconds") from None
    return b"".join(pieces)


def check_own_page(call: Call) -> None:
    """Raises HubError if a request that changes something was sent by another site's page."""
    origin = call.request.headers.get("origin", "")
    if origin and origin.rstrip("/") != call.base:
        raise HubError(403, "requests of pages from elsewhere are refused")
