"""Bodies of large contents: how many come at a time, and how one is taken in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import Request

from onnuri.hub.errors import HubError
from onnuri.hub.room import KEPT, check_disk, is_full, no_room

PIECE = 4 << 20
"""Bytes that are hashed and written at a time."""
SLOWEST = 120.0
"""Seconds that one piece may take to come."""
LONGEST_WAIT = 60.0
"""Seconds that a body waits for its turn before it is asked to come back."""
WAITING = 16
"""How many may wait for each that is received."""


class Uploads:
    """Counts bodies that are being received: memory and open files grow with them."""

    def __init__(self, most: int) -> None:
        self._turn = asyncio.Semaphore(most)
        self._most_waiting, self._waiting = most * WAITING, 0
        self._shard = asyncio.Semaphore(2)
        self.question = asyncio.Semaphore(1)
        """The turn of a question for chunks."""
        self._alone: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A body's turn. It is not read while it waits. Raises HubError 503 if too many are there."""
        if self._waiting >= self._most_waiting:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._turn.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def shard(self) -> AsyncIterator[None]:
        """The turn of a shard, which is read into memory whole."""
        async with self.one(), self._shard:
            yield

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """Waits for others of the same name."""
        lock = self._alone.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._alone.pop(name, None)


def _busy() -> HubError:
    return HubError(
        503, "the hub receives as many large files as it may; try again", headers={"Retry-After": "10"}
    )


def declared_size(request: Request) -> int | None:
    """Bytes of the body, by its header. None without one."""
    text = request.headers.get("content-length", "")
    return int(text[:18]) if text.isdecimal() else None


async def receive(
    request: Request, write: Callable[[bytes | bytearray], None], most: int, folder: Path
) -> int:
    """Pass a body to `write` piece by piece, in a thread, while the next piece comes; returns its bytes.

    Raises HubError for one that is larger than `most`, or comes too slowly, or has no room in `folder`.
    """
    declared = declared_size(request) or 0
    too_large = HubError(413, f"the body is larger than {most:,} bytes")
    if declared > most:
        raise too_large
    check_disk(folder, KEPT + declared)
    size, buffer = 0, bytearray()
    pending: Awaitable[None] | None = None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(SLOWEST) as limit:
            async for piece in request.stream():
                buffer += piece
                size += len(piece)
                if size > most:
                    raise too_large
                if len(buffer) >= PIECE:
                    check_disk(folder, KEPT)
                    if pending:
                        await pending
                    pending = asyncio.ensure_future(asyncio.to_thread(write, buffer))
                    buffer = bytearray()
                    limit.reschedule(loop.time() + SLOWEST)
    except TimeoutError:
        raise HubError(408, f"{PIECE:,} bytes did not come within {SLOWEST:.0f} seconds") from None
    except OSError as error:
        raise (no_room() if is_full(error) else error) from None
    finally:
        if pending:
            await asyncio.wait([asyncio.ensure_future(pending)])  # no thread writes on after this
    try:
        if pending:
            await pending
        if buffer:
            await asyncio.to_thread(write, buffer)
    except OSError as error:
        raise (no_room() if is_full(error) else error) from None
    return size
