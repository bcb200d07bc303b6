"""What consent and scans say of a repository that leaves, and what they are given of one that arrives.

Consents do not travel: whoever accepted terms at one hub accepted them towards that hub's owner. The terms
and the statement of sources do, so that the receiver's owner can state his own.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from sqlalchemy import Connection

from onnuri.hub.access import Repository
from onnuri.hub.blobs import BlobStore
from onnuri.hub.trees import Tree

BASIS, TERMS = "onnuri.hub.consent.basis", "onnuri.hub.consent.terms"
SCANS, POLICY = "onnuri.hub.scan.table", "onnuri.hub.scan.policy"


def _module(name: str) -> Any:
    """A package of the hub that this build may lack."""
    try:
        return importlib.import_module(name) if importlib.util.find_spec(name) else None
    except ModuleNotFoundError:
        return None


def why_it_stays(connection: Connection, repository: Repository) -> str:
    """Why a repository must not leave this hub; "" if it may."""
    basis = _module(BASIS)
    return str(basis.may_leave(connection, repository)) if basis else ""


def stated(connection: Connection, repository: Repository) -> dict[str, Any]:
    """Sources and terms of a repository that leaves."""
    basis, terms = _module(BASIS), _module(TERMS)
    return {
        "sources": basis.stated(connection, repository) if basis else {},
        "terms": terms.current(connection, repository).content if terms and repository.gated else {},
    }


def state(connection: Connection, repository: Repository, sources: dict[str, Any], creator: str) -> str:
    """Keep the sources of a repository that has arrived, unless somebody here has stated others.

    Returns why it must not be public here; "" if it may. Raises HubError for a statement that no hub takes.
    """
    basis = _module(BASIS)
    if basis is None:
        return ""
    if sources and not basis.stated(connection, repository):
        given = [{"name": name, **entry} for name, entry in sources.items()]
        for each in given:
            each.pop("url", None)  # read from the files, here as there
        basis.state(connection, repository, creator, given)
    return str(basis.why_not_public(connection, repository))


def scan(connection: Connection, blobs: BlobStore, repository: Repository, files: Tree) -> None:
    """Have files scanned; a server that runs looks for new ones by itself. Raises HubError for one that the
    policy of the repository's owner refuses."""
    scans, policy = _module(SCANS), _module(POLICY)
    if scans and policy:
        policy.check_commit(connection, blobs, repository.owner, files)
        scans.queue(connection, repository.id, files)
