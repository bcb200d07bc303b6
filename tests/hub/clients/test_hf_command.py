"""The command `hf`, and the functions of huggingface_hub, of two major versions."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.hub.clients.client import OLDER, Client
from tests.hub.hubs import Server

NewName = Callable[[], str]


def folder_of_files(folder: Path) -> Path:
    """A card, a Korean name, and weights that are no text."""
    (folder / "자료").mkdir(parents=True)
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\nlanguage: ko\n---\n# 모형\n", encoding="utf-8"
    )
    (folder / "자료" / "설명 #1.txt").write_text("내용", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(random.Random(0).randbytes(3_000_000))
    (folder / "empty.txt").touch()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {
        name: data for name, data in names.items() if not name.startswith((".cache/", ".gitattributes"))
    }


def test_the_command(client: Client, hub: Server, new_name: NewName, tmp_path: Path) -> None:
    """Who one is, a repository, a folder up and down, branches with slashes, tags."""
    name = f"lab/{new_name()}"
    assert "lee" in client.hf("auth", "whoami")
    assert f"{hub.url}/{name}" in client.hf("repos", "create", name, "--private")
    folder = folder_of_files(tmp_path / "folder")
    client.hf("upload", name, str(folder))
    client.hf("download", name, "--local-dir", str(tmp_path / "there"))
    assert contents(tmp_path / "there") == contents(folder)
    again = client.hf("upload", name, str(folder))  # nothing has changed
    assert len(hub.api("lee").list_repo_commits(name)) == 2, again
    client.hf("repos", "branch", "create", name, "실험/one")
    client.hf("upload", name, str(folder / "empty.txt"), "other.txt", "--revision", "실험/one")
    client.hf("repos", "tag", "create", name, "v1.0", "-m", "first")
    assert "v1.0" in client.hf("repos", "tag", "list", name)
    path = client.hf("download", name, "other.txt", "--revision", "실험/one", "--quiet").split()[-1]
    assert Path(path).read_bytes() == b""
    client.hf("download", name, "other.txt", "--revision", "v1.0", check=False)
    assert "role admin" in client.hf("repos", "delete", name, "--yes", check=False)
    client.token = hub.tokens["kim"]
    client.hf("repos", "delete", name, "--yes")
    assert "not found" in client.hf("download", name, check=False).lower()


PROGRAM = """
import sys
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download, CommitOperationCopy
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError

name, folder, there = sys.argv[1:]
api = HfApi()
api.create_repo(name)
api.upload_folder(repo_id=name, folder_path=folder)
first = api.model_info(name).sha
api.upload_file(path_or_fileobj=b"text", path_in_repo="a/b.txt", repo_id=name)
with open(folder + "/model.safetensors", "rb") as stream:
    api.upload_file(path_or_fileobj=stream, path_in_repo="stream.safetensors", repo_id=name)
files = HfFileSystem()
assert {e["name"] for e in files.ls(name + "/a")} == {name + "/a/b.txt"}
with files.open(name + "/model.safetensors", "rb") as stream:
    stream.seek(1000)
    assert stream.read(10) == open(folder + "/model.safetensors", "rb").read()[1000:1010]
with files.open(name + "/written.txt", "w") as stream:
    stream.write("through fsspec")
assert files.cat(name + "/written.txt") == b"through fsspec"
api.create_branch(name, branch="feature/x", revision=first)
api.create_tag(name, tag="v1", revision=first)
refs = api.list_repo_refs(name)
assert {b.name for b in refs.branches} == {"main", "feature/x"} and [t.name for t in refs.tags] == ["v1"]
assert not api.file_exists(name, "a/b.txt", revision="feature/x") and api.file_exists(name, "a/b.txt")
copy = CommitOperationCopy("model.safetensors", "copy.safetensors")
api.create_commit(name, [copy], commit_message="copy")
try:
    api.create_commit(name, [], commit_message="late", parent_commit=first)
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=name, parent_commit=first)
except HfHubHTTPError as error:
    assert error.response.status_code == 412
else:
    raise AssertionError("a stale parent was taken")
for call, kind in ((lambda: hf_hub_download(name, "nothing.txt"), EntryNotFoundError),
                   (lambda: api.model_info(name + "-none"), RepositoryNotFoundError)):
    try:
        call()
    except kind:
        continue
    raise AssertionError(kind)
assert name in [m.id for m in api.list_models(author="lab", filter="license:apache-2.0")]
assert name in [m.id for m in api.list_models(search=name.split("/")[1], full=True)]
snapshot_download(name, revision="v1", local_dir=there)
assert [c.title for c in api.list_repo_commits(name)][0] == "copy"
"""


def test_the_functions(client: Client, new_name: NewName, tmp_path: Path) -> None:
    folder, there = folder_of_files(tmp_path / "folder"), tmp_path / "there"
    client.python(PROGRAM, f"lab/{new_name()}", str(folder), str(there))
    assert contents(there) == contents(folder)


def test_upload_large_folder(hub: Server, new_name: NewName, tmp_path: Path) -> None:
    """A command of 1.x: in many commits."""
    name = f"lab/{new_name()}"
    folder = folder_of_files(tmp_path / "folder")
    for number in range(60):
        (folder / f"{number}.json").write_text(str(number))
    client = Client(hub.url, hub.tokens["lee"], tmp_path / "home", [OLDER])
    client.hf("upload-large-folder", name, str(folder), "--type", "model", "--no-bars")
    client.hf("download", name, "--local-dir", str(tmp_path / "there"))
    assert contents(tmp_path / "there") == contents(folder)
