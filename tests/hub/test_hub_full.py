"""A hub without room on its disk, or with too many uploads at a time."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from onnuri.hub.uploads import WAITING
from onnuri.run import daily_chain
from tests.hub.hubs import SQLITE_ONLY, Server, running
from tests.hub.lfs import batch, commit


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk of its own")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@SQLITE_ONLY
def test_a_full_disk_is_an_answer_and_nothing_is_lost(tmp_path: Path) -> None:
    """The last bytes are for tables and audit; where these are gone too, nothing goes unrecorded."""
    with small_disk(tmp_path / "disk", 64) as disk:
        with running(disk / "hub") as hub, hub.client("lee") as client:
            hub.api("lee").create_repo("lee/m", private=True)
            kept, large = os.urandom(2_000_000), os.urandom(50_000_000)
            put(hub, kept, 200)
            assert commit(hub, "lee", "lee/m", kept).status_code == 200
            put(hub, large, 507)
            put(hub, large, 507, pieces=True)
            put(hub, kept[:1000], 200)
            fill(disk / "rest", 8 << 20)
            put(hub, kept[:500], 507)
            line = {"key": "file", "value": {"path": "a.txt", "content": "eA==", "encoding": "base64"}}
            answer = client.post("/api/models/lee/m/commit/main", content=json.dumps(line))
            assert answer.status_code == 507 and "disk is full" in answer.json()["error"]
            assert client.post("/api/repos/create", json={"name": "another"}).status_code == 200
            path = "/lee/m/resolve/main/w.bin"
            assert client.get(path).content == kept
            fill(disk / "rest", 0)
            answers = {client.get(path).status_code for _ in range(50)}
            assert 507 in answers and answers <= {200, 507}, "a download that cannot be recorded is none"
            assert client.post("/api/repos/create", json={"name": "third"}).status_code == 507
            (disk / "rest").unlink()
            assert client.get(path).content == kept
            put(hub, kept[:2000], 200)
        events = [line["event"] for line in daily_chain.lines(disk / "hub" / "hub")]
        assert events.count("commit") == 1 and events[-1] == "stopped"


def fill(path: Path, left: int) -> None:
    """A file that leaves so many bytes of its disk."""
    path.unlink(missing_ok=True)
    with path.open("wb", buffering=0) as stream, suppress(OSError):
        while shutil.disk_usage(path.parent).free > left:
            stream.write(bytes(1 << 12))


def put(hub: Server, content: bytes, status: int, pieces: bool = False) -> None:
    """By LFS, in pieces that do not say how many there are or as one."""
    address = batch(hub, "lee", "lee/m", content, transfers=("basic",))["actions"]["upload"]["href"]
    body = (content[at : at + 100_000] for at in range(0, len(content), 100_000)) if pieces else content
    answer = httpx.put(address, content=body, timeout=60)
    assert answer.status_code == status, answer.text


def test_too_many_uploads_at_a_time_are_put_off(tmp_path: Path) -> None:
    with running(tmp_path / "hub", "most_uploads=1") as hub, ExitStack() as held:
        hub.api("lee").create_repo("lee/m")
        address = urlsplit(batch(hub, "lee", "lee/m", b"x" * 1000)["actions"]["upload"]["href"])
        head = f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        answers = []
        for _ in range(WAITING + 3):
            connection = socket.create_connection(("127.0.0.1", hub.port), timeout=2)
            held.callback(connection.close)
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
            try:
                answers.append(connection.recv(4096).decode())
            except TimeoutError:
                continue
        assert len(answers) == 2 and all(each.startswith("HTTP/1.1 503") for each in answers)
        assert all("retry-after: 10" in each.lower() for each in answers)
        held.close()
        put(hub, b"y" * 1000, 200)
