"""What consent and scans say of a repository that leaves, and what they are given of one that arrives.

Consents do not travel: whoever accepted terms at one hub accepted them towards that hub's owner. The terms
and the statement of sources do, so that the receiver's owner can state his own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from onnuri.hub.blobs import BlobStore
from onnuri.hub.consent import basis, terms
from onnuri.hub.records import Repository
from onnuri.hub.scan import policy, table
from onnuri.hub.trees import Tree


def why_it_stays(connection: Connection, repository: Repository) -> str:
    """Why a repository must not leave this hub; "" if it may."""
    return basis.may_leave(connection, repository)


def stated(connection: Connection, repository: Repository) -> dict[str, Any]:
    """Sources and terms of a repository that leaves."""
    return {
        "sources": basis.stated(connection, repository),
        "terms": terms.current(connection, repository).content if repository.gated else {},
    }


def state(connection: Connection, repository: Repository, sources: dict[str, Any], creator: str) -> str:
    """Keep the sources of a repository that has arrived, unless somebody here has stated others.

    Returns why it must not be public here; "" if it may. Raises HubError for a statement that no hub takes.
    """
    if sources and not basis.stated(connection, repository):
        given = [{"name": name, **entry} for name, entry in sources.items()]
        for each in given:
            each.pop("url", None)  # read from the files, here as there
        basis.state(connection, repository, creator, given)
    return basis.why_not_public(connection, repository)


def scan(connection: Connection, blobs: BlobStore, repository: Repository, files: Tree) -> None:
    """Have files scanned; a server that runs looks for new ones by itself. Raises HubError for one that the
    policy of the repository's owner refuses."""
    policy.check_commit(connection, blobs, repository.owner, dict(files))
    table.queue(connection, repository.id, files)
