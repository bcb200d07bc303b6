"""What uploads of every protocol end with: room, and the record that a repository has a content."""

from __future__ import annotations

from pathlib import Path

from onnuri.hub import access, quotas, repositories
from onnuri.hub.api.call import Call
from onnuri.hub.api.commit import LARGEST_FILE
from onnuri.hub.commits import hold
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.records import Repository


def check_size(size: int, what: str = "a file") -> None:
    """Raises HubError for more than clients can fetch again."""
    if size > LARGEST_FILE:
        raise bad_request(
            f"{what} has {size:,} bytes; the largest here has {LARGEST_FILE:,}: save the model in several "
            "files (max_shard_size=), or split the data"
        )


def check_room(call: Call, repository: Repository, size: int, pending: int = 0) -> None:
    """Raises HubError if the owner may not hold so much more."""
    with call.hub.database.reading() as connection:
        quotas.check(connection, call.hub.config, repository, size, pending)


def keep(call: Call, repository: Repository, path: Path, sha256: str, size: int, protocol: str) -> None:
    """Take over a complete, synced file as a content that the caller uploaded to a repository."""
    hub, caller = call.hub, call.caller
    hub.blobs.add(path, sha256)
    with hub.database.writing() as connection:
        now = repositories.by_uid(connection, repository.uid)
        if now is None:
            raise HubError(404, "the repository was deleted meanwhile")
        hold(connection, now, access.check_role(connection, caller, now, "write"), sha256, size, False)
        quotas.check(connection, hub.config, now)
    call.record(
        "upload",
        repository=repository.full_name,
        uid=repository.uid,
        sha256=sha256,
        size=size,
        protocol=protocol,
    )
