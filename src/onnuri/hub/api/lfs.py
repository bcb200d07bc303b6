"""Uploads and downloads by the protocol of git-lfs, with Hugging Face's parts for large files.

Clients send no token to the addresses that they are given: those are signed. Specification: git-lfs,
docs/api/batch.md; huggingface_hub, lfs.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from onnuri.hub import access
from onnuri.hub.api import signed
from onnuri.hub.api.call import Call, answer
from onnuri.hub.api.contents import check_room, check_size, keep
from onnuri.hub.api.router import Route
from onnuri.hub.api.send import send_content
from onnuri.hub.api.signed import Signed
from onnuri.hub.blobs import SHA256, Incoming
from onnuri.hub.commits import held
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.records import Repository
from onnuri.hub.uploads import receive

PART = 32 << 20
"""Bytes of a part; what is not larger goes up in one piece."""
MOST_OBJECTS = 1000
JSON = {"Content-Type": "application/vnd.git-lfs+json"}


def batch(call: Call) -> Response:
    """POST /[datasets/]NAME.git/info/lfs/objects/batch."""
    wanted = call.json()
    objects, operation = wanted.get("objects"), wanted.get("operation")
    if not isinstance(objects, list) or len(objects) > MOST_OBJECTS:
        raise bad_request(f"objects is a list of {MOST_OBJECTS} at most")
    if operation not in ("upload", "download"):
        raise bad_request("operation is upload or download")
    if wanted.get("hash_algo", "sha256") != "sha256":
        raise HubError(409, "hash_algo is sha256 here")
    _without_git(call)
    with call.hub.database.reading() as connection:
        if operation == "upload":
            repository, caller = call.writable(connection)
        else:
            repository = call.readable(connection)
            caller = access.signed_in(call.caller)
        given = [_object(each) for each in objects]
        sizes = [held(connection, repository, caller, sha256) for sha256, _ in given]
    if operation == "download":
        found = [_down(call, repository, *each, size) for each, size in zip(given, sizes, strict=True)]
        return answer({"transfer": "basic", "objects": found}, headers=JSON)
    missing = [size for (_, size), known in zip(given, sizes, strict=True) if known is None]
    check_room(call, repository, sum(missing))
    transfers = wanted.get("transfers")
    parts = isinstance(transfers, list) and "multipart" in transfers
    found = [_up(call, repository, *each, size, parts) for each, size in zip(given, sizes, strict=True)]
    multipart = any("chunk_size" in _header(each) for each in found)
    return answer({"transfer": "multipart" if multipart else "basic", "objects": found}, headers=JSON)


def _without_git(call: Call) -> None:
    """Type and name of the repository, whose address ends with .git."""
    call.names.setdefault("type", "models")
    call.names["name"] = call.names["name"].removesuffix(".git")


def _object(given: Any) -> tuple[str, int]:
    sha256, size = (given.get("oid"), given.get("size")) if isinstance(given, dict) else (None, None)
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256) or not isinstance(size, int) or size < 0:
        raise bad_request("each of objects has a sha256 as its oid, and a size")
    return sha256, size


def _header(shown: dict[str, Any]) -> dict[str, str]:
    header: dict[str, str] = shown.get("actions", {}).get("upload", {}).get("header", {})
    return header


def _up(
    call: Call, repository: Repository, sha256: str, size: int, known: int | None, parts: bool
) -> dict[str, Any]:
    """An object as the answer shows it. Only what was uploaded to this very repository counts as there."""
    shown: dict[str, Any] = {"oid": sha256, "size": size}
    if known is not None:
        if known != size:
            return shown | {"error": {"code": 422, "message": f"the object has {known:,} bytes"}}
        return shown
    try:
        check_size(size, f"object {sha256[:8]}")
    except HubError as error:
        return shown | {"error": {"code": 422, "message": error.message}}
    facts = {"role": "write", "oid": sha256, "size": size}

    def address(purpose: str, **more: int) -> str:
        return f"{call.base}/cas/lfs/{purpose}/{signed.sign(call, repository, purpose, **facts, **more)}"

    verify = {"href": f"{call.base}/{repository.path}.git/info/lfs/objects/verify"}
    if not parts or size <= PART:
        upload: dict[str, Any] = {"href": address("lfs-put")}
    else:
        upload = {"href": address("lfs-complete"), "header": {"chunk_size": str(PART)}}
        for number in range((size + PART - 1) // PART):
            upload["header"][f"{number + 1:05}"] = address("lfs-part", part=number)
        call.hub.parts.begin(_name(call, repository, sha256))
    return shown | {"authenticated": True, "actions": {"upload": upload, "verify": verify}}


def _down(call: Call, repository: Repository, sha256: str, size: int, known: int | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"oid": sha256, "size": size}
    if known is None or known != size:
        return shown | {"error": {"code": 404, "message": "the object is not there"}}
    word = signed.sign(call, repository, "lfs-get", role="read", oid=sha256, size=size)
    return shown | {
        "authenticated": True,
        "actions": {"download": {"href": f"{call.base}/cas/lfs/lfs-get/{word}"}},
    }


def _name(call: Call, repository: Repository, sha256: str) -> str:
    """Of a content that comes in parts: nobody else can write to it."""
    assert call.caller is not None
    return f"{repository.uid}-{call.caller.id}-{sha256}"


async def put(call: Call) -> Response:
    """PUT of a whole object."""
    async with call.hub.uploads.one():
        found = await run_in_threadpool(_enter, call, "lfs-put")
        with call.hub.receiving() as incoming:
            await receive(call.request, incoming.write, found.facts["size"], call.hub.data)
            await asyncio.to_thread(_keep, call, found, incoming)
    return answer({}, headers={"ETag": f'"{found.facts["oid"]}"'})


def _enter(call: Call, purpose: str) -> Signed:
    found = signed.check(call, purpose, call.names["word"])
    if purpose == "lfs-put":
        check_room(call, found.repository, found.facts["size"])
    if purpose == "lfs-part":
        pending = call.hub.parts.pending(found.repository.uid) if call.hub.config.quota_bytes else 0
        check_room(call, found.repository, PART, pending)
    return found


def _keep(call: Call, found: Signed, incoming: Incoming) -> None:
    oid, size = found.facts["oid"], found.facts["size"]
    if incoming.finish() != oid or incoming.size != size:
        raise bad_request(f"the bytes are not those of {oid}: upload the file again")
    keep(call, found.repository, incoming.path, oid, size, "lfs")


async def put_part(call: Call) -> Response:
    """PUT of a part. They may come again, and in any order."""
    async with call.hub.uploads.one():
        found = await run_in_threadpool(_enter, call, "lfs-part")
        number, total = found.facts["part"], found.facts["size"]
        offset = number * PART
        size = min(PART, total - offset)
        name = _name(call, found.repository, found.facts["oid"])
        with call.hub.parts.part(name, offset, size) as part:
            await receive(call.request, part.write, size, call.hub.data)
    return answer({}, headers={"ETag": f'"{number + 1}"'})


def complete(call: Call) -> Response:
    """POST after the last part. The parts that it lists are not read: the sha256 is what counts."""
    found = _enter(call, "lfs-complete")
    oid, size = found.facts["oid"], found.facts["size"]
    with call.hub.database.reading() as connection:
        if held(connection, found.repository, found.caller, oid) == size:  # the answer was lost
            return answer({}, headers=JSON)
    check_room(call, found.repository, size)
    path, sha256 = call.hub.parts.take(_name(call, found.repository, oid), size)
    try:
        if sha256 != oid:
            raise bad_request(f"the bytes are not those of {oid}: upload the file again")
        keep(call, found.repository, path, oid, size, "lfs")
    finally:
        path.unlink(missing_ok=True)
    return answer({}, headers=JSON)


def verify(call: Call) -> Response:
    """POST /[datasets/]NAME.git/info/lfs/objects/verify: whether an upload has come."""
    sha256, size = _object(call.json())
    _without_git(call)
    with call.hub.database.reading() as connection:
        repository, caller = call.writable(connection)
        if held(connection, repository, caller, sha256) != size:
            raise HubError(404, "the object is not there: upload it")
    return answer({}, headers=JSON)


def get(call: Call) -> Response:
    """GET of an object."""
    found = _enter(call, "lfs-get")
    oid, size = found.facts["oid"], found.facts["size"]
    with call.hub.database.reading() as connection:
        access.check_scanned(connection, call.caller, found.repository, oid)
    if found.repository.private or found.repository.gated:
        facts = {"sha256": oid, "range": call.request.headers.get("range", "")[:64]}
        name, uid = found.repository.full_name, found.repository.uid
        call.record("download", False, repository=name, uid=uid, size=size, **facts)
    return send_content(call, oid, size, {"ETag": f'"{oid}"', "Cache-Control": "private, no-store"})


ROUTES = [
    Route("POST", "/{namespace}/{name}/info/lfs/objects/batch", batch),
    Route("POST", "/{type}/{namespace}/{name}/info/lfs/objects/batch", batch),
    Route("POST", "/{namespace}/{name}/info/lfs/objects/verify", verify),
    Route("POST", "/{type}/{namespace}/{name}/info/lfs/objects/verify", verify),
    Route("PUT", "/cas/lfs/lfs-put/{word}", put, anyone=True),
    Route("PUT", "/cas/lfs/lfs-part/{word}", put_part, anyone=True),
    Route("POST", "/cas/lfs/lfs-complete/{word}", complete, anyone=True),
    Route("GET", "/cas/lfs/lfs-get/{word}", get, anyone=True),
]
"""Before those of xet, which begin alike."""
