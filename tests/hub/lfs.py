"""Large files as git-lfs transfers them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx

from tests.hub.hubs import Server


def commit(hub: Server, who: str, name: str, content: bytes) -> httpx.Response:
    """A commit that names a content by its hash alone."""
    value = {"path": "w.bin", "algo": "sha256", "oid": hashlib.sha256(content).hexdigest()}
    value |= {"size": len(content)}
    with hub.client(who) as client:
        line = json.dumps({"key": "lfsFile", "value": value})
        return client.post(f"/api/models/{name}/commit/main", content=line)


def batch(
    hub: Server,
    who: str,
    name: str,
    content: bytes,
    operation: str = "upload",
    transfers: tuple[str, ...] = ("basic", "multipart"),
) -> dict[str, Any]:
    """How one content goes up or down."""
    found = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    body = {"operation": operation, "transfers": transfers, "objects": [found]}
    with hub.client(who) as client:
        answer = client.post(f"/{name}.git/info/lfs/objects/batch", json=body)
    assert answer.status_code == 200, answer.text
    (shown,) = answer.json()["objects"]
    return dict(shown)
