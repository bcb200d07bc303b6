"""What an organisation accepts in its repositories, and hands out of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from onnuri.hub import schema
from onnuri.hub.blobs import BlobStore
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.git import FOLDER, Entry
from onnuri.hub.scan.pickles import MAGIC, ZIP
from onnuri.hub.scan.table import FAILED, PENDING, PICKLE, UNSAFE, Status, kind_of

RULES = {
    "safetensors_only": "commits of pickles are refused",
    "block_unscanned": "others do not get files that are not scanned yet",
    "block_unsafe": "others do not get files that are unsafe, or cannot be scanned",
}


def read(account: Any) -> dict[str, bool]:
    """The rules of a row of accounts."""
    return {name: bool(account.policy.get(name)) for name in RULES}


def changed(account: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """The new value of the column. Raises HubError for what is no rule."""
    unknown = set(wanted) - set(RULES)
    if unknown or any(not isinstance(value, bool) for value in wanted.values()):
        raise bad_request(f"a policy has the rules {', '.join(RULES)}, each true or false")
    return {**account.policy, **wanted}


def _rule(connection: Connection, owner: int, *names: str) -> set[str]:
    table = schema.accounts.c
    policy = connection.execute(select(table.policy).where(table.id == owner)).scalar_one()
    return {name for name in names if policy.get(name)}


def check_commit(
    connection: Connection, blobs: BlobStore, owner: int, changes: dict[str, Entry | None]
) -> None:
    """Raises HubError if a commit has a pickle, by name or content, where those are refused."""
    if not _rule(connection, owner, "safetensors_only"):
        return
    for path, entry in changes.items():
        if entry is None or entry.kind == FOLDER:
            continue
        start = b"".join(blobs.read(entry.sha256, 0, min(entry.size, 4)))
        loaded = kind_of(path) == PICKLE and not path.lower().endswith((".bin", ".npy", ".npz"))
        if loaded or MAGIC.match(start) or (path.lower().endswith(".bin") and start == ZIP):
            raise HubError(
                403,
                f"{path} is a pickle, and this organisation accepts safetensors only: save the model with "
                "save_pretrained(safe_serialization=True), or convert it with safetensors.torch.save_file",
            )


def why_withheld(connection: Connection, owner: int, status: Status) -> str:
    """Why a file is not for others now; "" if it is."""
    rules = _rule(connection, owner, "block_unscanned", "block_unsafe")
    reasons = f" ({'; '.join(status.reasons)})" if status.reasons else ""
    if status.state == PENDING and "block_unscanned" in rules:
        return "the file is not scanned yet, and its owner hands out scanned files only: try again later"
    if status.state in (UNSAFE, FAILED) and "block_unsafe" in rules:
        return (
            f"the scan of the file found it {status.state}, so that its owner does not hand it out{reasons}"
        )
    if status.state == FAILED and "block_unscanned" in rules:
        return f"the file cannot be scanned, so that its owner does not hand it out{reasons}"
    return ""
