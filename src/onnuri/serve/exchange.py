"""A request and its answer over ASGI: limits of bodies, clients that leave, streams with a heartbeat."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from onnuri.serve.errors import ApiError, dump

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientLeft(Exception):
    """The client closed the connection before its answer had ended."""


class Exchange:
    """One request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.id = secrets.token_hex(12)
        self.began = time.monotonic()
        self.status = 0
        """Of the answer; 0 until it has begun."""
        self.body_read = False

    def header(self, name: str) -> str:
        """A header of the request; "" if it has none, ApiError if it has several."""
        found = [value for key, value in self.scope["headers"] if key == name.encode()]
        if len(found) > 1:
            raise ApiError(400, f"the header {name} is there {len(found)} times")
        return found[0].decode("latin-1") if found else ""

    async def body(self, most: int, seconds: float) -> bytes:
        """The body. Raises ApiError for one that is too large (before it is read, if it says so), too slow
        or of another type, ClientLeft."""
        declared = self.header("content-length")
        if declared.isdigit() and int(declared[:18]) > most:
            raise _too_large(most)
        kind = self.header("content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "the header content-type must be application/json")
        if self.header("content-encoding") not in ("", "identity"):
            raise ApiError(415, "bodies are not compressed here: leave content-encoding out")
        pieces, size = [], 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > most:
                        raise _too_large(most)
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise ApiError(408, f"the body did not come within {seconds:g} seconds") from None
        self.body_read = True
        return b"".join(pieces)

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Send status and headers."""
        self.status = status
        every = {"x-request-id": self.id, "x-content-type-options": "nosniff", "cache-control": "no-store"}
        if not self.body_read and self.scope["method"] == "POST":
            every["connection"] = "close"  # what is left of the body is not read
        pairs = [(key.encode(), value.encode("latin-1")) for key, value in {**every, **headers}.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, body: bytes, more: bool = False) -> None:
        """Send a part of the answer."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        """Send JSON, or bytes as they are."""
        body = content if isinstance(content, bytes) else dump(content)
        kind = {} if isinstance(content, bytes) else {"content-type": "application/json; charset=utf-8"}
        await self.start(status, {**kind, "content-length": str(len(body)), **(headers or {})})
        await self.send(body)

    async def fail(self, error: ApiError) -> None:
        """Send an error: as the answer, or, where one has begun, as the last event of its stream."""
        if self.status == 0:
            await self.answer(error.status, error.content(), error.headers())
        else:
            await self.send(b"data: " + dump(error.content()) + b"\n\n")

    async def stream(self, events: AsyncIterator[bytes], heartbeat: float, headers: dict[str, str]) -> None:
        """Send server-sent events. The status goes out with the first of them."""
        kinds = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=heartbeat)
                event = coming.result() if done else b": waiting\n\n"
                if self.status == 0:
                    await self.start(200, {**kinds, **headers})
                if event is None:
                    return
                await self.send(event, more=True)
                if done:
                    coming = asyncio.ensure_future(anext(events, None))
        finally:
            coming.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await coming

    async def while_connected(self, work: Awaitable[None], seconds: float) -> None:
        """Do the work; it is cancelled if the client leaves (ClientLeft), or after so long (ApiError)."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self._gone())
        try:
            done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return await task
            if gone in done:
                raise ClientLeft
            raise ApiError(504, f"the answer did not end within {seconds:g} seconds", None, "timeout")
        finally:
            for each in (task, gone):
                each.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the body has more than {most:,} bytes", None, "body_too_large")
