"""What is deleted, and what stays."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from onnuri.hub import collect as collect_module
from onnuri.hub import schema
from onnuri.hub.collect import GRACE, Daily, collect
from onnuri.hub.commits import hold
from onnuri.hub.config import HubConfig
from onnuri.hub.database import ELSEWHERE, FILE
from onnuri.hub.hub import Hub
from onnuri.hub.records import Caller
from onnuri.hub.repositories import find
from onnuri.run import daily_chain
from tests.conftest import run_command
from tests.hub.hubs import running

OLD = time.time() - GRACE - 100


def age(hub: Hub) -> None:
    """Everything came before the grace period."""
    for path in hub.data.glob("contents/??/*"):
        os.utime(path, (OLD, OLD))
    with hub.database.writing() as connection:
        connection.execute(schema.holdings.update().values(uploaded=OLD))


def test_tables_that_are_elsewhere_are_not_made_anew(tmp_path: Path) -> None:
    """An empty table would have every content deleted."""
    (tmp_path / ELSEWHERE).touch()
    (tmp_path / "contents").mkdir()
    done = run_command("hub", "collect", f"data={tmp_path}", check=False)
    assert done.returncode == 2 and "are in PostgreSQL: give database=" in done.stderr
    assert not (tmp_path / FILE).exists()


def test_only_what_no_repository_needs_is_deleted(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        api = server.api("lee")
        for name in ("one", "two"):
            api.create_repo(name)
            files = {"shared": b"shared", name: name.encode()}
            operations = [CommitOperationAdd(path, content) for path, content in files.items()]
            api.create_commit(f"lee/{name}", operations, commit_message="files")
        api.delete_file("one", "lee/one")
        api.delete_repo("lee/two")
    hub = Hub(HubConfig(data=str(server.data), database=server.database))
    try:
        assert collect(hub).contents == 0, "nothing is old"
        given_up = hub.store(b"never committed")
        with hub.database.writing() as connection:
            repository = find(connection, "model", "lee", "one")
            assert repository is not None
            lee = Caller(repository.owner, "lee")
            hold(connection, repository, lee, given_up, 15, committed=False)
        age(hub)
        (hub.incoming / "old").write_bytes(b"x")
        os.utime(hub.incoming / "old", (OLD, OLD))
        fresh = hub.store(b"just uploaded, not on record yet")
        again = hub.store(b"two")
        found = collect(hub)
        assert (found.contents, found.bytes) == (1, 15), "what came again is young again"
        left = {sha256 for sha256, _ in hub.blobs.every()}
        history = {hashlib.sha256(content).hexdigest() for content in (b"shared", b"one")}
        assert left == history | {fresh, again}, "a file that was deleted is still in the history"
        assert not list(hub.incoming.iterdir())
        age(hub)
    finally:
        hub.close()
    printed = run_command("hub", "collect", f"data={server.data}", *server.words).stdout
    assert printed.startswith("deleted 2 contents of 35 bytes")
    assert [line["contents"] for line in daily_chain.lines(server.data) if line["event"] == "collect"] == [
        1,
        2,
    ]
    tokens = server.tokens
    with running(tmp_path, database=server.database) as server:
        server.tokens = tokens
        assert server.api("lee").hf_hub_download("lee/one", "shared", cache_dir=tmp_path / "cache")


def test_a_server_collects_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_module, "FIRST", 0.0)
    hub = Hub(HubConfig(data=str(tmp_path)))
    try:
        sha256 = hub.store(b"nobody has it")
        age(hub)
        daily = Daily(hub)
        deadline = time.monotonic() + 60
        while hub.blobs.has(sha256):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        daily.stop()
    finally:
        hub.close()
    assert [line["contents"] for line in daily_chain.lines(tmp_path) if line["event"] == "collect"] == [1]


def test_a_grace_that_is_too_short(tmp_path: Path) -> None:
    done = run_command("hub", "collect", f"data={tmp_path}", "grace_hours=1", check=False)
    assert done.returncode == 2 and "grace_hours=1.0 must be at least 25" in done.stderr
