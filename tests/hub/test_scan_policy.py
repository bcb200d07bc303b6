"""What clients see of scans, and what organisations refuse."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save

from tests.hub.hubs import Server
from tests.hub.scanning import Runs, saved


def scanned(hub: Server, name: str, who: str = "lee") -> dict[str, Any]:
    """What a repository shows of its files once all are scanned."""
    with hub.client(who) as client:
        deadline = time.monotonic() + 60
        while True:
            found = client.get(f"/api/models/{name}?securityStatus=true").json()
            if found["securityRepoStatus"]["scansDone"]:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


def test_states_are_shown_to_clients(hub: Server, new_name: Callable[[], str]) -> None:
    name, api = f"lab/{new_name()}", hub.api("lee")
    api.create_repo(name)
    files = {
        "model.safetensors": save({"a": torch.zeros(5)}),
        "bad.pkl": pickle.dumps(Runs()),
        "code.py": b"",
        "README.md": b"# x",
    }
    with hub.client("lee") as client:
        commit(client, name, files)
    found = scanned(hub, name)
    issues = {each["path"]: each["level"] for each in found["securityRepoStatus"]["filesWithIssues"]}
    assert issues == {"bad.pkl": "unsafe", "code.py": "suspicious"}
    info = api.model_info(name)
    assert info.safetensors is not None and (info.safetensors.parameters, info.safetensors.total) == (
        {"F32": 5},
        5,
    )
    listed = {each.path: each for each in api.list_repo_tree(name, expand=True)}
    assert listed["bad.pkl"].security.status == "unsafe" and listed["README.md"].security.safe
    assert "posix.system" in listed["bad.pkl"].security.pickle_import_scan["message"]
    (one,) = api.get_paths_info(name, "bad.pkl", expand=True)
    assert one.security.status == "unsafe"
    api.upload_file(path_or_fileobj=b"# y", path_in_repo="README.md", repo_id=name)
    assert api.model_info(name).safetensors.total == 5, "a later commit keeps what is known"


def commit(client: Any, name: str, files: dict[str, bytes]) -> Any:
    """Small files, whatever their names are."""
    import base64

    lines = [
        {
            "key": "file",
            "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"},
        }
        for path, content in files.items()
    ]
    body = "\n".join(json.dumps(line) for line in lines)
    return client.post(f"/api/models/{name}/commit/main", content=body)


def test_a_name_that_makes_it_a_pickle_is_scanned_anew(hub: Server, new_name: Callable[[], str]) -> None:
    name = f"lab/{new_name()}"
    hub.api("lee").create_repo(name)
    content = pickle.dumps(Runs(), protocol=0)
    with hub.client("lee") as client:
        commit(client, name, {"notes.txt": content})
        assert not scanned(hub, name)["securityRepoStatus"]["filesWithIssues"]
        commit(client, name, {"model.pkl": content})
    (issue,) = scanned(hub, name)["securityRepoStatus"]["filesWithIssues"]
    assert (issue["path"], issue["level"]) == ("model.pkl", "unsafe")


def test_policy_of_an_organisation(hub: Server, new_name: Callable[[], str]) -> None:
    organisation, name = new_name(), new_name()
    from onnuri.hub import accounts
    from onnuri.hub.database import Database

    tables = Database(hub.data, hub.database)
    with tables.writing() as connection:
        kim = accounts.account_of(connection, "kim").id
        accounts.create_organisation(connection, organisation, "", kim)
        lee = accounts.account_of(connection, "lee").id
        accounts.set_member(connection, accounts.account_of(connection, organisation).id, lee, "write")
    tables.close()
    address, name = f"/api/organizations/{organisation}/policy", f"{organisation}/{name}"
    with hub.client("kim") as kims, hub.client("lee") as lees, hub.client("park") as parks:
        assert [each.put(address, json={}).status_code for each in (lees, parks)] == [403, 403]
        assert parks.get(address).status_code == 403 and not any(lees.get(address).json().values())
        assert kims.put(address, json={"safetensors_only": 1}).status_code == 400
        assert kims.put(address, json={"other": True}).status_code == 400
        hub.api("lee").create_repo(name)
        bad = {"bad.pkl": pickle.dumps(Runs())}
        assert commit(lees, name, bad).status_code == 200
        scanned(hub, name)
        assert parks.get(f"/{name}/resolve/main/bad.pkl").status_code == 200
        assert kims.put(address, json={"safetensors_only": True, "block_unsafe": True}).status_code == 200
        refused = parks.get(f"/{name}/resolve/main/bad.pkl")
        assert refused.status_code == 403 and "posix.system" in refused.json()["error"]
        assert lees.get(f"/{name}/resolve/main/bad.pkl").status_code == 200
        content = bad["bad.pkl"]
        oid = hashlib.sha256(content).hexdigest()
        wanted = {"operation": "download", "objects": [{"oid": oid, "size": len(content)}]}
        for client, status in ((parks, 403), (lees, 200)):
            answer = client.post(f"/{name}.git/info/lfs/objects/batch", json=wanted)
            href = answer.json()["objects"][0]["actions"]["download"]["href"]
            assert client.get(href).status_code == status, "nor by Git LFS"
        for path, content in (
            ("x.pkl", b"x"),
            ("x.txt", pickle.dumps(1)),
            ("x.bin", saved({})),
            ("x.pt", b""),
        ):
            answer = commit(lees, name, {path: content})
            assert answer.status_code == 403 and "safe_serialization=True" in answer.json()["error"]
        assert commit(lees, name, {"model.safetensors": save({}), "x.bin": b"words"}).status_code == 200
        with pytest.raises(HfHubHTTPError, match="safe_serialization"):
            hub.api("lee").create_commit(
                name, [CommitOperationAdd("again.pkl", b"")], commit_message="again"
            )


def test_what_waits_is_scanned_after_a_restart(tmp_path: Path) -> None:
    """A hub that is killed right after a commit; others get the file once it was found safe, not before."""
    from onnuri.hub import repositories
    from onnuri.hub.database import Database
    from onnuri.hub.scan.table import scans
    from tests.hub.hubs import running

    with running(tmp_path) as server:
        with server.client("kim") as client:
            client.put("/api/organizations/lab/policy", json={"block_unscanned": True})
        server.api("lee").create_repo("lab/model")
        with server.client("lee") as client:
            commit(client, "lab/model", {"good.pkl": pickle.dumps(1)})
        scanned(server, "lab/model")
        server.kill()
        tables = Database(server.data, server.database)
        with tables.writing() as connection:
            known = repositories.find(connection, "model", "lab", "model")
            assert known is not None
            connection.execute(scans.update().values(state="pending"))
            connection.execute(
                scans.insert().values(
                    repository=known.id,
                    sha256="0" * 64,
                    kind="other",
                    path="gone",
                    size=1,
                    state="pending",
                    changed=0,
                )
            )
        tables.close()
        server.start()
        scanned(server, "lab/model")
        with server.client("park") as client:
            assert client.get("/lab/model/resolve/main/good.pkl").status_code == 200
