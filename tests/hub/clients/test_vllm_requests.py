"""vLLM's requests, from a recording that was written from its source: vLLM itself needs a GPU."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.conftest import save_model, untrained_model
from tests.hub.hubs import Server

RECORDING = Path(__file__).with_name("vllm_requests.json")


def test_each_request_is_answered_as_vllm_needs_it(
    hub: Server, new_name: Callable[[], str], sample: Callable[[str], str], tmp_path: Path
) -> None:
    name, folder = f"lab/{new_name()}", tmp_path / "model"
    save_model(untrained_model(1024, 64), sample("tokenizer"), folder)
    api = hub.api("lee")
    api.create_repo(name, private=True)
    commit = api.upload_folder(repo_id=name, folder_path=folder).oid
    with hub.client("kim") as client:
        for each in json.loads(RECORDING.read_text(encoding="utf-8"))["requests"]:
            check(client, each, name, commit, folder)


def check(client: httpx.Client, each: dict, name: str, commit: str, folder: Path) -> None:
    path = each["path"].replace("NAME", name).replace("SHA", commit)
    headers = {"Accept-Encoding": "identity"}
    first, last = each.get("range") or (0, None)
    if "range" in each:
        headers["Range"] = f"bytes={first}-{'' if last is None else last}"
    answer = client.request(each["method"], path, headers=headers)
    assert answer.status_code == each["status"], (each, answer.text[:500])
    if "code" in each:
        assert answer.headers["X-Error-Code"] == each["code"], each
    if "names" in each:
        found = answer.json()
        listed = found if isinstance(found, list) else found["siblings"]
        assert set(each["names"]) <= {entry.get("path") or entry.get("rfilename") for entry in listed}, each
    if "file" in each:
        content = (folder / each["file"]).read_bytes()
        assert answer.headers["X-Repo-Commit"] == commit, each
        large = answer.headers.get("X-Linked-Etag", "").strip('"')
        assert large in ("", hashlib.sha256(content).hexdigest()), each
        assert answer.headers["ETag"].strip('"') in (large or git_id(content),), each
        wanted = content[first : None if last is None else last + 1]
        assert int(answer.headers["Content-Length"]) == len(wanted), each
        assert each["method"] == "HEAD" or answer.content == wanted, each


def git_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
