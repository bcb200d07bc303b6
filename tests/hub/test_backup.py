"""A hub that is copied while it runs, and starts from its copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.hub.bundles.backup import backup, restore
from onnuri.hub.bundles.config import BackupConfig, RestoreConfig
from onnuri.run.daily_chain import lines
from tests.conftest import run_command
from tests.hub.carriers import put, stored
from tests.hub.hubs import SQLITE_ONLY, Server, people, running

NAME, CONTENT = "lab/model", bytes(range(256)) * 100


@SQLITE_ONLY
def test_a_restored_hub_serves(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with running(tmp_path) as hub:
        put(hub.data, NAME, {"model.bin": CONTENT})
        hub.api("lee").upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=NAME)
        sha = hub.api("lee").model_info(NAME).sha
        run_command("hub", "backup", f"data={hub.data}", f"output={first}")
        put(hub.data, NAME, {"later": b"later"})
        backup(BackupConfig(data=str(hub.data), output=str(second), previous=str(first)))
        tokens = hub.tokens
    for path in (first / "contents").glob("??/*"):  # the second holds them without a copy
        assert path.samefile(second / path.relative_to(first))
    new = tmp_path / "new"
    run_command("hub", "restore", f"input={first}", f"data={new / 'hub'}")
    assert (new / "hub" / "secret").read_bytes() == (tmp_path / "hub" / "secret").read_bytes()
    assert (new / "hub" / "secret").stat().st_mode & 0o077 == 0
    assert any(line["event"] == "commit" for line in lines(new / "hub"))
    server = Server(new)
    try:
        server.tokens = tokens
        with server.client("park") as client:
            assert client.get(f"/{NAME}/resolve/main/model.bin").content == CONTENT
        assert server.api("lee").model_info(NAME).sha == sha
        server.api("lee").upload_file(path_or_fileobj=b"y", path_in_repo="y", repo_id=NAME)
    finally:
        assert server.stop() == 0
    assert [line["event"] for line in lines(new / "hub")].count("commit") == 2


def test_damaged_backups_are_not_restored(tmp_path: Path) -> None:
    data, copy = tmp_path / "hub", tmp_path / "copy"
    people(data)
    put(data, NAME, {"model.bin": CONTENT})
    (data / "secret").write_bytes(b"s" * 32)
    backup(BackupConfig(data=str(data), output=str(copy)))
    assert stored(copy) == stored(data)
    (content,) = (copy / "contents").glob("??/*")
    for path, why in (
        (content, "is damaged"),
        (copy / "secret", "not as it was"),
        (copy / "hub.sqlite3", "not as it was"),
        (copy / "backup.json", "is not what onnuri hub backup writes"),
    ):
        good = path.read_bytes()
        path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        with pytest.raises(UserError, match=why) as error:
            restore(RestoreConfig(input=str(copy), data=str(tmp_path / "new")))
        assert "\n" not in str(error.value) and not (tmp_path / "new").exists()
        path.write_bytes(good)
    text = (copy / "backup.json").read_text()
    (copy / "backup.json").write_text(text.replace('"secret"', '"audit/../../secret"'))
    with pytest.raises(UserError, match="is not what onnuri hub backup writes"):
        restore(RestoreConfig(input=str(copy), data=str(tmp_path / "new")))
    (copy / "backup.json").write_text(text)
    restore(RestoreConfig(input=str(copy), data=str(tmp_path / "new")))
    assert stored(tmp_path / "new") == stored(data)
    with pytest.raises(UserError, match="is there already"):
        restore(RestoreConfig(input=str(copy), data=str(tmp_path / "new")))


def test_a_damaged_content_ends_a_backup(tmp_path: Path) -> None:
    data = tmp_path / "hub"
    people(data)
    put(data, NAME, {"model.bin": CONTENT})
    (content,) = (data / "contents").glob("??/*")
    content.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="is damaged"):
        backup(BackupConfig(data=str(data), output=str(tmp_path / "copy")))
    assert not (tmp_path / "copy").exists()
    with pytest.raises(UserError, match="pg_dump"):
        backup(BackupConfig(data=str(tmp_path), output=str(tmp_path / "other")))
