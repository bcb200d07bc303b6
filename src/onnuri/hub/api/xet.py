"""Uploads by the xet protocol, which is how stock clients send large files.

A client asks for a token, posts xorbs, and then a shard that says which files they make. Downloads go by
plain HTTP. Specification: xet-core, openapi/cas.openapi.yaml.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from onnuri.hub import repositories
from onnuri.hub.api import signed
from onnuri.hub.api.call import Call, answer, dump
from onnuri.hub.api.commit import no_pull_request
from onnuri.hub.api.contents import check_room, check_size, keep
from onnuri.hub.api.repos import REPO
from onnuri.hub.api.router import Route
from onnuri.hub.commits import held
from onnuri.hub.errors import HubError
from onnuri.hub.links import LAST
from onnuri.hub.records import Repository
from onnuri.hub.uploads import declared_size, receive
from onnuri.hub.xet.formats import LARGEST_BODY, File, from_hex, read_shard
from onnuri.hub.xet.gateway import Xorb

log = logging.getLogger(__name__)
SILENCE = 15.0
"""Seconds after which a shard that takes longer is answered with spaces, so that clients wait on."""


def write_token(call: Call) -> Response:
    """GET /api/T/NAME/xet-write-token/REV."""
    no_pull_request(call)
    return _token(call, "write")


def read_token(call: Call) -> Response:
    """GET /api/T/NAME/xet-read-token/REV. Nothing is served by xet; clients ask all the same."""
    return _token(call, "read")


def _token(call: Call, role: str) -> Response:
    with call.hub.database.reading() as connection:
        repository = call.writable(connection)[0] if role == "write" else call.readable(connection)
        repositories.resolve(connection, repository.id, call.names["revision"])
    word = signed.sign(call, repository, f"xet-{role}", role=role, epoch=repository.epoch)
    url, until = f"{call.base}/cas/{repository.uid}/{repository.epoch}", int(time.time() + LAST)
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": word,
        "X-Xet-Token-Expiration": str(until),
        "Cache-Control": "no-store",
    }
    return answer({"casUrl": url, "accessToken": word, "exp": until}, headers=headers)


def _enter(call: Call) -> tuple[Repository, int]:
    """Repository and epoch of a request. An upload that runs when a new epoch begins ends in its own."""
    scheme, _, word = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HubError(401, "a token of xet-write-token is needed")
    found = signed.check(call, "xet-write", word.strip())
    epoch, repository = call.names["epoch"], found.repository
    if call.names["uid"] != repository.uid or epoch not in (
        str(repository.epoch),
        str(repository.epoch - 1),
    ):
        raise HubError(403, "the token is for another repository, or its epoch is over: ask for a new one")
    return repository, int(epoch)


async def post_xorb(call: Call) -> Response:
    """POST v1/xorbs/default/HASH."""
    expected = from_hex(call.names["hash"])
    async with call.hub.uploads.one():
        repository, epoch = await run_in_threadpool(_enter, call)
        xorb = await run_in_threadpool(_open, call, repository, epoch, expected)
        try:
            await receive(call.request, xorb.write, LARGEST_BODY, call.hub.data)
            new = await asyncio.to_thread(xorb.finish)
        except ClientDisconnect:
            await asyncio.to_thread(xorb.keep_part)
            raise
        finally:
            xorb.drop()
    return answer({"was_inserted": new})


def _open(call: Call, repository: Repository, epoch: int, expected: bytes) -> Xorb:
    hub, size = call.hub, declared_size(call.request)
    more = LARGEST_BODY if size is None else size
    check_room(call, repository, more, hub.xorbs.pending(repository.uid) if hub.config.quota_bytes else 0)
    assert call.caller is not None
    return hub.xorbs.receiving(repository.uid, epoch, expected, call.caller.id)


async def get_chunk(call: Call) -> Response:
    """GET v1/chunks/default/HASH: a client asks whether this chunk is there, and which others are.

    Answered of what the caller has sent to this repository in this epoch. Else 404, whatever the reason: a
    hash alone must not tell what others have.
    """
    async with call.hub.uploads.question:
        shard = await run_in_threadpool(_describe, call)
    if shard is None:
        raise HubError(404, "not served here")
    return Response(shard, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


def _describe(call: Call) -> bytes | None:
    try:
        chunk = from_hex(call.names["hash"])
        repository, epoch = _enter(call)
    except HubError:
        return None
    assert call.caller is not None
    if epoch != repository.epoch:  # its xorbs may go at any time
        return None
    return call.hub.xorbs.describe(repository.uid, epoch, call.caller.id, chunk)


async def post_shard(call: Call) -> Response:
    """POST v1/shards: the files that xorbs make become contents of the repository."""
    async with call.hub.uploads.shard():
        repository, epoch = await run_in_threadpool(_enter, call)
        body = bytearray()
        await receive(call.request, body.extend, LARGEST_BODY, call.hub.data)
        files = await asyncio.to_thread(_read, call, repository, epoch, bytes(body))
    task = asyncio.create_task(_materialise(call, repository, epoch, files))
    done, _ = await asyncio.wait([task], timeout=SILENCE)
    if done:
        return answer(task.result())
    return StreamingResponse(_wait(task), media_type="application/json")


async def _wait(task: asyncio.Task[dict[str, int]]) -> AsyncIterator[bytes]:
    while not task.done():
        yield b" "
        await asyncio.wait([task], timeout=SILENCE)
    try:
        yield dump(task.result())
    except HubError as error:
        yield dump(error.content())
    except Exception:
        log.exception("a shard failed")
        yield dump({"error": "the hub failed; its log has more"})


def _read(call: Call, repository: Repository, epoch: int, body: bytes) -> list[File]:
    files = read_shard(body)
    for file in files:
        check_size(file.size)
        call.hub.xorbs.check(repository.uid, epoch, file)
    check_room(call, repository, sum(file.size for file in files if not _is_held(call, repository, file)))
    return files


def _is_held(call: Call, repository: Repository, file: File) -> bool:
    """Whether the caller has uploaded this file to this repository already: an answer was lost."""
    assert call.caller is not None
    with call.hub.database.reading() as connection:
        return bool(file.sha256) and held(connection, repository, call.caller, file.sha256) == file.size


async def _materialise(call: Call, repository: Repository, epoch: int, files: list[File]) -> dict[str, int]:
    """One shard of a repository at a time: a client that did not wait sends the same again."""
    async with call.hub.uploads.alone(repository.uid):
        return {"result": int(await asyncio.to_thread(_make, call, repository, epoch, files))}


def _make(call: Call, repository: Repository, epoch: int, files: list[File]) -> bool:
    new = False
    for file in files:
        if _is_held(call, repository, file):
            continue
        with call.hub.receiving() as incoming:
            sha256 = call.hub.xorbs.materialise(repository.uid, epoch, file, incoming)
            keep(call, repository, incoming.path, sha256, incoming.size, "xet")
        new = True
    return new


async def not_served(call: Call) -> Response:
    """What clients ask for and can do without."""
    raise HubError(404, "not served here")


async def telemetry(call: Call) -> Response:
    """POST /v1/telemetry: thrown away unread."""
    return answer({})


CAS = "/cas/{uid}/{epoch}"
ROUTES = [
    Route("GET", f"{REPO}/xet-write-token/{{revision}}", write_token),
    Route("GET", f"{REPO}/xet-read-token/{{revision}}", read_token),
    Route("POST", f"{CAS}/v1/xorbs/default/{{hash}}", post_xorb, anyone=True),
    Route("POST", f"{CAS}/v1/shards", post_shard, anyone=True),
    Route("GET", f"{CAS}/v1/chunks/default/{{hash}}", get_chunk, anyone=True),
    Route("GET HEAD POST PUT", f"{CAS}/{{rest*}}", not_served, anyone=True),
    Route("POST", "/v1/telemetry", telemetry, anyone=True),
]
