"""Large files, pushed by stock clients: by xet, as they do by themselves, and by LFS."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.hub.database import Database
from onnuri.run import daily_chain
from tests.hub.counting import client, counting
from tests.hub.hubs import Server

NewName = Callable[[], str]
LFS = {"HF_HUB_DISABLE_XET": "1"}


def uploads(hub: Server, name: str) -> list[tuple[int, str, str]]:
    """Size, user and protocol of what the audit says was uploaded to a repository."""
    return [
        (line["size"], line["user"], line["protocol"])
        for line in daily_chain.lines(hub.data)
        if line["event"] == "upload" and line["repository"] == name
    ]


@pytest.mark.parametrize(
    ("protocol", "size"), [("xet", 21_000_000), ("lfs", 21_000_000), ("lfs", 34_000_000)]
)
def test_a_folder_of_large_files(
    hub: Server, new_name: NewName, tmp_path: Path, protocol: str, size: int
) -> None:
    """34 MB go up in parts, by LFS."""
    name, folder = f"lee/{new_name()}", tmp_path / "up"
    (folder / "폴더").mkdir(parents=True)
    content = random.Random(size).randbytes(size - 1_000_000) + bytes(1_000_000)
    (folder / "폴더" / "모델 #1.bin").write_bytes(content)
    (folder / "small.safetensors").write_bytes(b"small")
    (folder / "empty").write_bytes(b"")
    with counting(hub.port) as proxy:
        named = {"url": proxy.url, "token": hub.tokens["lee"], "home": tmp_path / "home"}
        named |= LFS if protocol == "lfs" else {}
        client("upload", name, folder, **named)
        sent = proxy.sent
        assert 0.9 * size < sent < 1.05 * size
        client("upload", name, folder, **named)
        assert proxy.sent - sent < 0.01 * size, "nothing has changed"
        if protocol == "xet":
            (folder / "폴더" / "모델 #1.bin").write_bytes(
                content[:9_000_000] + b"100 more" + content[9_000_000:]
            )
            sent = proxy.sent
            client("upload", name, folder, **named)
            assert proxy.sent - sent < 0.1 * size, "only chunks that are new are sent"
            content = (folder / "폴더" / "모델 #1.bin").read_bytes()
    found = uploads(hub, name)
    assert (size, "lee", protocol) in found and (5, "lee", protocol) in found
    down = Path(hub.api("park").snapshot_download(name, cache_dir=tmp_path / "cache"))
    assert (down / "폴더" / "모델 #1.bin").read_bytes() == content
    assert (down / "small.safetensors").read_bytes() == b"small"
    assert (down / "empty").read_bytes() == b""


def test_a_dataset_from_memory_and_from_a_stream(hub: Server, new_name: NewName, tmp_path: Path) -> None:
    name, api = f"lab/{new_name()}", hub.api("lee")
    api = hub.api("kim")
    api.create_repo(name, repo_type="dataset", private=True)
    content = random.Random(5).randbytes(11_000_000)
    (tmp_path / "file").write_bytes(content)
    api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=name, repo_type="dataset")
    with (tmp_path / "file").open("rb") as stream:  # goes by LFS
        api.upload_file(
            path_or_fileobj=stream, path_in_repo="b.bin", repo_id=name, repo_type="dataset", revision="main"
        )
    assert {each[2] for each in uploads(hub, name)} == {"xet"}, "LFS did not ask for what was there"
    for path in ("a.bin", "b.bin"):
        found = hub.api("lee").hf_hub_download(
            name, path, repo_type="dataset", cache_dir=tmp_path / "cache"
        )
        assert Path(found).read_bytes() == content


def test_old_xorbs_go_and_clients_forget_them(hub: Server, new_name: NewName, tmp_path: Path) -> None:
    """A client skips what it believes is there: with a new epoch it believes nothing."""
    from onnuri.hub.xet.gateway import Xorbs

    name, file = f"lee/{new_name()}", tmp_path / "file.bin"
    file.write_bytes(random.Random(6).randbytes(2_000_000))
    with counting(hub.port) as proxy:
        named = {"url": proxy.url, "token": hub.tokens["lee"], "home": tmp_path / "home"}
        client("upload", name, file, "one.bin", **named)
        xorbs, tables = Xorbs(hub.data / "xorbs"), Database(hub.data, hub.database)
        xorbs.sweep(tables)  # those of repositories that other tests have deleted go at once
        assert xorbs.sweep(tables) == 0, "they are kept for a day"
        assert xorbs.sweep(tables, kept=-1) > 0
        tables.close()
        file.write_bytes(file.read_bytes() + b"more")
        sent = proxy.sent
        client("upload", name, file, "two.bin", **named)
        assert proxy.sent - sent > 2_000_000
    down = hub.api("park").hf_hub_download(name, "two.bin", cache_dir=tmp_path / "cache")
    assert Path(down).read_bytes() == file.read_bytes()
