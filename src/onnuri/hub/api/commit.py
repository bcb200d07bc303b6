"""Commits over HTTP: what is asked before one, and the one, as lines of JSON that are read as they come."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from onnuri.hub import access, facts, quotas, repositories
from onnuri.hub.api.call import Call, answer
from onnuri.hub.api.repos import REPO
from onnuri.hub.api.router import Route
from onnuri.hub.blobs import SHA256
from onnuri.hub.card import check_card
from onnuri.hub.commits import DEFAULT_ATTRIBUTES, Proposal, commit, hold, is_large
from onnuri.hub.consent import basis
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.git import FOLDER, small_file
from onnuri.hub.names import clean_path
from onnuri.hub.records import Caller, Repository
from onnuri.hub.scan import policy
from onnuri.hub.trees import Changes

LARGEST_COMMIT = 160 << 20
"""Bytes of a body: a client puts up to 100 MiB of small files into one, in base64."""
LARGEST_LINE = 24 << 20
MOST_OPERATIONS = 50_000
LARGEST_FILE = 50 * 10**9
"""Clients cannot fetch a larger one by plain HTTP."""


def preupload(call: Call) -> Response:
    """POST /api/T/NAME/preupload/REV: which files go up as large contents."""
    no_pull_request(call)
    wanted = call.json().get("files")
    if not isinstance(wanted, list) or len(wanted) > 10_000:
        raise bad_request("files is a list of 10,000 at most")
    ignored = _patterns(str(call.json().get("gitIgnore") or ""))
    hub = call.hub
    with hub.database.reading() as connection:
        repository, _ = call.writable(connection)
        revision = repositories.resolve(connection, repository.id, call.names["revision"])
        entry = hub.trees.find(connection, repository.id, revision.tree, ".gitattributes")
        attributes = DEFAULT_ATTRIBUTES
        if entry and entry.kind != FOLDER and entry.size < 1 << 20:
            attributes = hub.content(entry.sha256, entry.size).decode(errors="replace")
        found = []
        for each in wanted:
            if not isinstance(each, dict) or not isinstance(each.get("size"), int):
                raise bad_request("each of files has a path and a size")
            path, size = clean_path(str(each.get("path", ""))), each["size"]
            if size > LARGEST_FILE:
                raise bad_request(
                    f"{path} has {size:,} bytes; the largest here has {LARGEST_FILE:,}: save the model "
                    "in several files (max_shard_size=), or split the data"
                )
            shown = {
                "path": str(each["path"]),
                "uploadMode": "lfs" if is_large(size, path, attributes) else "regular",
                "shouldIgnore": any(_ignores(pattern, path) for pattern in ignored),
            }
            now = hub.trees.find(connection, repository.id, revision.tree, path)
            if now and now.kind != FOLDER:
                shown["oid"] = now.etag
            found.append(shown)
    return answer({"files": found})


def _patterns(text: str) -> list[str]:
    lines = (line.strip() for line in text[: 1 << 16].splitlines())
    return [line for line in lines if line and not line.startswith(("#", "!"))]


def _ignores(pattern: str, path: str) -> bool:
    """Whether a line of .gitignore covers a path; `!` is not followed."""
    import fnmatch

    pattern = pattern.rstrip("/")
    if "/" in pattern:
        return fnmatch.fnmatchcase(path, pattern.lstrip("/")) or path.startswith(pattern.lstrip("/") + "/")
    return any(fnmatch.fnmatchcase(part, pattern) for part in path.split("/"))


def no_pull_request(call: Call) -> None:
    """Raises HubError for a commit that is to be a pull request."""
    if call.query("create_pr") in ("1", "true", "True"):
        raise bad_request("pull requests are not kept here: commit to a branch, then ask its owner")


def validate_yaml(call: Call) -> Response:
    """POST /api/validate-yaml, which clients ask before they commit a README.md."""
    wanted = call.json()
    errors, warnings = check_card(str(wanted.get("content", "")), str(wanted.get("repoType") or "model"))
    found = {
        "errors": [{"message": each} for each in errors],
        "warnings": [{"message": each} for each in warnings],
    }
    return answer(found, 400 if errors else 200)


async def make_commit(call: Call) -> Response:
    """POST /api/T/NAME/commit/REV."""
    no_pull_request(call)
    repository, caller = await run_in_threadpool(_may_commit, call)
    wanted = await _read_proposal(call)
    new = await run_in_threadpool(_apply, call, repository, caller, wanted)
    path = f"{call.base}/{repository.path}/commit/{new}"
    found = {"success": True, "commitOid": new, "commitUrl": path, "hookOutput": ""}
    return answer(found)


def _may_commit(call: Call) -> tuple[Repository, Caller]:
    with call.hub.database.reading() as connection:
        return call.writable(connection)


def _apply(call: Call, repository: Repository, caller: Caller, wanted: Proposal) -> str:
    hub, branch = call.hub, call.names["revision"]
    with hub.database.writing() as connection:
        again = repositories.by_id(connection, repository.id)
        access.check_role(connection, caller, again, "write")
        before = repositories.resolve(connection, repository.id, branch).commit
        for entry in wanted.small.values():
            hold(connection, repository, caller, entry.sha256, entry.size, committed=False)

        def check(changes: Changes) -> None:
            policy.check_commit(connection, hub.blobs, again.owner, changes)

        new = commit(connection, hub.trees, repository, caller, branch, wanted, check)
        quotas.check(connection, hub.config, again)
        if new != before and branch == repositories.MAIN:
            facts.refresh(connection, hub.trees, hub.content, again, new)
            again = repositories.by_id(connection, repository.id)
            basis.check_public(connection, again, hub.config.require_basis)
    if new != before:
        call.record(
            "commit", repository=repository.full_name, uid=repository.uid, branch=branch, commit=new
        )
        hub.scanner.wake()
    return new


async def _read_proposal(call: Call) -> Proposal:
    """The body's lines. Raises HubError for a line that is none, and for more than fit into memory."""
    wanted, left, size, operations = Proposal(), bytearray(), 0, 0
    async for piece in call.request.stream():
        size += len(piece)
        if size > LARGEST_COMMIT:
            raise HubError(413, f"a commit has {LARGEST_COMMIT:,} bytes at most: upload large files apart")
        start = len(left)  # what came before has no line break
        left += piece
        while (end := left.find(b"\n", start)) >= 0:
            line, start = bytes(left[:end]), 0
            del left[: end + 1]
            if line.strip():
                operations += 1
                await _add_line(call, wanted, line, operations)
        if len(left) > LARGEST_LINE:
            raise HubError(413, f"a line of a commit has {LARGEST_LINE:,} bytes at most")
    if left.strip():
        await _add_line(call, wanted, bytes(left), operations + 1)
    if not operations and not left.strip():
        raise bad_request("the commit has no lines")
    return wanted


async def _add_line(call: Call, wanted: Proposal, line: bytes, number: int) -> None:
    if number > MOST_OPERATIONS:
        raise HubError(413, f"a commit has {MOST_OPERATIONS:,} files at most")
    try:
        found = json.loads(line)
        key, value = found["key"], found["value"]
        if not isinstance(value, dict):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise bad_request(f"line {number} of the commit is not a JSON object with key and value") from None
    if key == "header":
        wanted.title, wanted.message = str(value.get("summary") or ""), str(value.get("description") or "")
        wanted.parent = str(value.get("parentCommit") or "")
    elif key == "file":
        content = _decoded(value, number)
        path = clean_path(str(value.get("path", "")))
        if path == "README.md":
            errors, _ = check_card(content.decode(errors="replace"), call.kind)
            if errors:
                raise bad_request(f"README.md: {errors[0]}")
        await asyncio.to_thread(call.hub.store, content)
        wanted.small[path] = small_file(content)
    elif key == "lfsFile":
        sha256 = str(value.get("oid", "")).lower()
        if value.get("algo", "sha256") != "sha256" or not SHA256.fullmatch(sha256):
            raise bad_request(f"line {number} of the commit: oid is a sha256")
        wanted.large[clean_path(str(value.get("path", "")))] = sha256
    elif key == "deletedFile":
        wanted.deleted_files.append(clean_path(str(value.get("path", ""))))
    elif key in ("deletedFolder", "deletedEntry"):
        wanted.deleted_folders.append(clean_path(str(value.get("path", "")).strip("/")))
    else:
        raise bad_request(f"line {number} of the commit: {str(key)[:40]!r} is not known here")


def _decoded(value: dict[str, Any], number: int) -> bytes:
    content = value.get("content", "")
    if not isinstance(content, str):
        raise bad_request(f"line {number} of the commit: content is a text")
    if value.get("encoding", "utf-8") != "base64":
        return content.encode(errors="replace")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request(f"line {number} of the commit: content is not base64") from None


ROUTES = [
    Route("POST", f"{REPO}/preupload/{{revision}}", preupload),
    Route("POST", f"{REPO}/commit/{{revision}}", make_commit),
    Route("POST", "/api/validate-yaml", validate_yaml, anyone=True),
]
