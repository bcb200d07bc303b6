"""Repositories, branches and small files, with huggingface_hub and without."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfFileSystem
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.hubs import Server

NewName = Callable[[], str]
PATH = "폴더/파일 #1.txt"


@pytest.fixture
def repository(hub: Server, new_name: NewName) -> str:
    """A public model of lab's with a card and a file with a Korean name."""
    name, api = f"lab/{new_name()}", hub.api("lee")
    api.create_repo(name)
    card = b"---\nlicense: apache-2.0\nlanguage: ko\ntags: [law]\n---\n# Model\n"
    operations = [CommitOperationAdd("README.md", card), CommitOperationAdd(PATH, "내용".encode())]
    api.create_commit(name, operations, commit_message="first")
    return name


def test_files_come_back(hub: Server, repository: str, tmp_path: Path) -> None:
    api = hub.api("park")
    assert Path(api.hf_hub_download(repository, PATH, cache_dir=tmp_path)).read_text() == "내용"
    assert {each.path for each in api.list_repo_tree(repository, recursive=True)} == {
        "README.md",
        "폴더",
        PATH,
    }
    files = HfFileSystem(endpoint=hub.url, token=hub.tokens["park"])
    with files.open(f"{repository}/{PATH}", "rb") as stream:
        stream.seek(3)
        assert stream.read() == "용".encode()


def test_commit_ids_are_those_of_git(hub: Server, repository: str, tmp_path: Path) -> None:
    """Whoever has the files can check a commit with git alone."""
    api = hub.api("lee")
    folder = tmp_path / "copy"
    api.snapshot_download(repository, local_dir=folder)
    (commit, first) = api.list_repo_commits(repository)
    assert (commit.title, first.title) == ("first", "initial commit")

    def git(*words: str, given: str = "") -> str:
        done = subprocess.run(
            ["git", "-C", folder, *words], input=given, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "README.md", PATH)
    tree = git("write-tree")
    date = int(commit.created_at.timestamp())
    who = f"lee <lee@hub> {date} +0000"
    content = f"tree {tree}\nparent {first.commit_id}\nauthor {who}\ncommitter {who}\n\nfirst\n"
    assert git("hash-object", "-t", "commit", "--stdin", "--literally", given=content) == commit.commit_id


def test_branches_and_tags(hub: Server, repository: str) -> None:
    api = hub.api("lee")
    api.create_branch(repository, branch="feature/x")
    api.create_tag(repository, tag="v1", tag_message="first")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repository, revision="feature/x")
    assert not api.file_exists(repository, "x")
    assert api.file_exists(repository, "x", revision="feature/x")
    found = api.list_repo_refs(repository)
    assert [each.name for each in found.branches] == ["main", "feature/x"]
    assert found.tags[0].target_commit == api.model_info(repository).sha
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(repository, branch="feature/x")
    api.delete_branch(repository, branch="feature/x")
    with pytest.raises(HfHubHTTPError):
        api.delete_branch(repository, branch="main")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repository, revision="feature/x")


def test_what_is_not_there(hub: Server, repository: str) -> None:
    api = hub.api("park")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("lab/none")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(repository, "README.md", revision="none")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(repository, "none")
    with pytest.raises(EntryNotFoundError):
        hub.api("lee").delete_file("none", repository)


def test_hidden_is_answered_as_missing(hub: Server, new_name: NewName) -> None:
    name = f"lab/{new_name()}"
    hub.api("kim").create_repo(name, private=True)
    for path in (f"/api/models/{name}", f"/{name}/resolve/main/README.md", f"/api/models/{name}/refs"):
        for who, status in (("park", 404), ("", 401)):
            with hub.client(who) as client:
                hidden, missing = client.get(path), client.get(path.replace("repository", "no-repository"))
            assert hidden.status_code == missing.status_code == status
            assert hidden.json() == missing.json()
            assert hidden.headers["x-error-code"] == missing.headers["x-error-code"] == "RepoNotFound"
    assert name not in [each.id for each in hub.api("park").list_models()]
    assert name in [each.id for each in hub.api("lee").list_models(author="lab")]


def test_a_stranger_does_not_write(hub: Server, repository: str) -> None:
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("park").upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repository)
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("lee").delete_repo(repository)  # who writes does not administer
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("park").create_repo("lab/of-park")


def test_parallel_commits_are_all_kept(hub: Server, repository: str) -> None:
    api = hub.api("lee")

    def commit(number: int) -> None:
        api.upload_file(path_or_fileobj=b"%d" % number, path_in_repo=f"n/{number}", repo_id=repository)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(commit, range(20)))
    assert sum(each.startswith("n/") for each in api.list_repo_files(repository)) == 20
    assert len(api.list_repo_commits(repository)) == 22


def test_a_stale_parent(hub: Server, repository: str) -> None:
    api = hub.api("lee")
    (head, *_) = api.list_repo_commits(repository)
    first, again = [
        api.create_commit(
            repository, [CommitOperationAdd("a", b"a")], commit_message="a", parent_commit=head.commit_id
        )
        for _ in range(2)
    ]
    assert again.oid == first.oid, "an answer that was lost may be asked for again"
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit(
            repository, [CommitOperationAdd("b", b"b")], commit_message="b", parent_commit=head.commit_id
        )


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a//b", "a/./b", "a\\b", ".git/config", "a\0b", "x" * 256, "a/\u202eb", ""]
)
def test_paths_that_are_refused(hub: Server, repository: str, path: str) -> None:
    line = json.dumps({"key": "file", "value": {"path": path, "content": "eA==", "encoding": "base64"}})
    with hub.client("lee") as client:
        answer = client.post(f"/api/models/{repository}/commit/main", content=line)
    assert answer.status_code == 400 and answer.json()["error"]


def test_names_that_collide(hub: Server, repository: str) -> None:
    api = hub.api("lee")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="A/b", repo_id=repository)
    for path in ("a/c", "A/B", "A", "A/b/c"):
        with pytest.raises(BadRequestError):
            api.upload_file(path_or_fileobj=b"y", path_in_repo=path, repo_id=repository)


def test_ranges(hub: Server, repository: str) -> None:
    api = hub.api("lee")
    content = bytes(range(256)) * 1024
    api.upload_file(path_or_fileobj=content, path_in_repo="data", repo_id=repository)
    with hub.client("park") as client:
        path = f"/{repository}/resolve/main/data"
        whole = client.get(path)
        assert whole.content == content and whole.headers["accept-ranges"] == "bytes"
        for asked, piece in (("0-0", content[:1]), ("100000-", content[100_000:]), ("-5", content[-5:])):
            found = client.get(path, headers={"range": f"bytes={asked}"})
            assert (found.status_code, found.content) == (206, piece)
        found = client.get(path, headers={"range": "bytes=0-9", "if-range": '"another"'})
        assert found.status_code == 200 and found.content == content
        found = client.get(path, headers={"range": f"bytes={len(content)}-"})
        assert (found.status_code, found.headers["content-range"]) == (416, f"bytes */{len(content)}")
        assert client.get(path, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
        head = client.head(path)
        assert head.headers["content-length"] == str(len(content)) and not head.content
        assert head.headers["x-repo-commit"] == api.model_info(repository).sha


def test_a_folder_of_many_files_has_pages(hub: Server, repository: str) -> None:
    api = hub.api("lee")
    operations = [CommitOperationAdd(f"many/{number:04}", b"") for number in range(1001)]
    api.create_commit(repository, operations, commit_message="many")
    found = [each.path for each in api.list_repo_tree(repository, "many")]
    assert found == [f"many/{number:04}" for number in range(1001)]
    some = [each for each in api.list_repo_tree(repository, expand=True)]
    assert {each.path: each.last_commit.title for each in some}["README.md"] == "first"


def test_search_and_filters(hub: Server, repository: str) -> None:
    api, name = hub.api("park"), repository.partition("/")[2]
    assert [each.id for each in api.list_models(search=name)] == [repository]
    assert repository in [each.id for each in api.list_models(filter=["law", "license:apache-2.0"])]
    assert not list(api.list_models(search=name, filter="license:mit"))
    assert not list(api.list_datasets(search=name))
    card = "---\nlicense: MIT\ntags: [판례 요약]\n---\n".encode()
    hub.api("lee").upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repository)
    for word in ("판례", "mit", "MIT"):
        assert repository in [each.id for each in api.list_models(search=word)], word
    limited = list(api.list_models(limit=1))
    assert len(limited) == 1


def test_a_moved_repository_is_found_by_its_former_name(hub: Server, repository: str) -> None:
    api = hub.api("kim")
    api.move_repo(repository, f"{repository}-moved")
    assert api.model_info(repository).id == f"{repository}-moved"
    assert api.file_exists(repository, "README.md")


def test_a_former_name_changes_nothing(hub: Server, repository: str) -> None:
    """Deleting by it deletes nothing; making a repository of this name ends it, and tells nothing."""
    api = hub.api("kim")
    api.move_repo(repository, f"{repository}-new")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.delete_repo(repository)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.update_repo_settings(repository, private=True)
    assert api.file_exists(f"{repository}-new", "README.md")
    api.create_repo(repository, exist_ok=True)
    assert api.model_info(repository).id == repository and not api.file_exists(repository, "README.md")
    assert api.file_exists(f"{repository}-new", "README.md")
    api.delete_repo(repository)
    api.move_repo(f"{repository}-new", repository)
    assert api.file_exists(repository, "README.md")


def test_a_private_name_does_not_show_by_its_former_one(hub: Server, new_name: NewName) -> None:
    """park, no longer a member, makes a repository of the name that one of his had."""
    name = new_name()
    hub.api("kim").create_repo(f"kim/{name}", private=True)
    hub.api("kim").move_repo(f"kim/{name}", f"lab/{name}-secret")
    with hub.client("kim") as client:
        answer = client.post("/api/repos/create", json={"name": f"kim/{name}"})
    assert answer.status_code == 200 and "secret" not in answer.text


def test_a_card_of_any_length_is_read(hub: Server, repository: str) -> None:
    card = b"---\nlicense: mit\nlanguage: ko\n---\n" + "가나다 ".encode() * 200_000
    hub.api("lee").upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repository)
    found = hub.api("park").model_info(repository)
    assert found.card_data is not None and found.card_data.license == "mit"


def test_names_with_joiners(hub: Server, repository: str) -> None:
    path = "👩\u200d🔬.txt"
    hub.api("lee").upload_file(path_or_fileobj=b"x", path_in_repo=path, repo_id=repository)
    assert path in hub.api("park").list_repo_files(repository)


def test_what_hub_does_not_do_says_so(hub: Server, repository: str) -> None:
    with pytest.raises(BadRequestError, match="history is kept"):
        hub.api("lee").super_squash_history(repository)
    with hub.client("park") as client:
        answer = client.get(f"/{repository}/resolve/main/a%5Cb")
        assert (answer.status_code, answer.headers["x-error-code"]) == (404, "EntryNotFound")
        far = client.get(f"/{repository}/resolve/main/README.md", headers={"range": f"bytes={'9' * 25}-"})
        assert far.status_code == 416


def test_a_card_that_is_no_yaml(hub: Server, repository: str) -> None:
    text = b"---\nlicense: [a\n---\n"
    with pytest.raises(ValueError, match="front matter is no YAML in line"):
        hub.api("lee").upload_file(path_or_fileobj=text, path_in_repo="README.md", repo_id=repository)


def test_tokens_go_no_further_than_they_say(hub: Server, repository: str) -> None:
    from onnuri.hub import accounts
    from onnuri.hub.database import Database

    tables = Database(hub.data, hub.database)
    with tables.writing() as connection:
        user = accounts.account_of(connection, "lee").id
        reads = accounts.create_token(connection, user, "reads", "read")
        elsewhere = accounts.create_token(connection, user, "elsewhere", "write", ["lee/another"])
    try:
        for token, read in ((reads, 200), (elsewhere, 404)):
            with hub.client() as client:
                client.headers["authorization"] = f"Bearer {token}"
                assert client.get(f"/api/models/{repository}").status_code == read
                answer = client.post(f"/api/models/{repository}/branch/b", json={})
                assert answer.status_code in (403, 404)
        with tables.writing() as connection:
            (number,) = [
                row.id for row in connection.exec_driver_sql("SELECT id FROM tokens WHERE name='reads'")
            ]
            accounts.revoke_token(connection, user, number)
        with hub.client() as client:
            client.headers["authorization"] = f"Bearer {reads}"
            answer = client.get(f"/api/models/{repository}")
        assert answer.status_code == 401 and "Invalid credentials" in answer.headers["x-error-message"]
    finally:
        tables.close()


def test_texts_that_no_table_can_hold(hub: Server, repository: str) -> None:
    lines = [
        {"key": "header", "value": {"summary": "a\0b"}},
        {"key": "file", "value": {"path": "x", "content": ""}},
    ]
    with hub.client("lee") as client:
        for address in ("/api/models/a%00b/c", "/api/models?author=%00", "/api/users/%00/overview"):
            assert client.get(address).status_code in (200, 400, 404)
        for text in ("a\0b", "a\ud800b"):
            lines[0]["value"] = {"summary": text}
            body = "\n".join(json.dumps(line) for line in lines)
            assert client.post(f"/api/models/{repository}/commit/main", content=body).status_code in (
                200,
                400,
            )
