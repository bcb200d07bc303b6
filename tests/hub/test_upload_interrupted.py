"""Uploads and commits that are cut off by kill -9."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onnuri.run import daily_chain
from tests.hub.counting import client, counting, start_client
from tests.hub.hubs import Server, running
from tests.soak import SOAK, tries

ONE_AT_A_TIME = {
    "HF_XET_FIXED_UPLOAD_CONCURRENCY": "1",
    "HF_XET_SESSION_XORB_METADATA_FLUSH_INTERVAL": "1ms",
}
"""A stock client notes every 20 seconds what it has sent; a test shall not wait so long."""
SIZE = 136_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("killed")) as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two full xorbs and a small one."""
    path = tmp_path_factory.mktemp("file") / "model.bin"
    path.write_bytes(random.Random(0).randbytes(SIZE))
    return path


def large_file(folder: Path, size: int) -> Path:
    """Random bytes, which no chunk of another file has."""
    path, seeded = folder / "model.bin", random.Random(size)
    with path.open("wb") as stream:
        for _ in range(size // 20_000_000):
            stream.write(seeded.randbytes(20_000_000))
    return path


def check(server: Server, name: str, file: Path, folder: Path) -> None:
    down = server.api("lee").hf_hub_download(name, "model.bin", cache_dir=folder)
    assert Path(down).read_bytes() == file.read_bytes()


def test_a_killed_client_resumes_xet(server: Server, file: Path, tmp_path: Path) -> None:
    with counting(server.port) as proxy:
        named = {"url": proxy.url, "token": server.tokens["lee"], "home": tmp_path / "home"} | ONE_AT_A_TIME
        process = start_client("upload", "lee/client", file, **named)
        proxy.at(SIZE - 1_000_000, process.kill)
        process.communicate()
        assert process.returncode == -9
        first = proxy.sent
        client("upload", "lee/client", file, **named)
        print(f"sent {first / 1e6:.1f} MB, then {(proxy.sent - first) / 1e6:.1f} MB")
        assert proxy.sent - first < 0.1 * SIZE
    check(server, "lee/client", file, tmp_path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [200_000_000, *([600_000_000, 1_200_000_000] if SOAK else [])])
def test_a_killed_client_resumes_by_default(server: Server, tmp_path: Path, size: int) -> None:
    """Nothing is set: the client has noted nothing and asks the hub. Half a xorb is not lost either."""
    name, file = f"lee/default-{size}", large_file(tmp_path, size)
    with counting(server.port) as proxy:
        named = {"url": proxy.url, "token": server.tokens["lee"], "home": tmp_path / "home"}
        process = start_client("upload", name, file, **named)
        proxy.at(int(0.6 * size), process.kill)
        process.communicate()
        assert process.returncode == -9
        first = proxy.sent
        client("upload", name, file, **named)
        again = proxy.sent - size
        print(f"of {size / 1e6:.0f} MB sent {first / 1e6:.1f} MB, then {(proxy.sent - first) / 1e6:.1f} MB")
        assert again < 0.1 * size, f"{again / 1e6:.1f} MB were sent twice"
    check(server, name, file, tmp_path)


def test_a_killed_server_resumes_xet(server: Server, file: Path, tmp_path: Path) -> None:
    """The client itself tries again; the hub starts meanwhile."""
    with counting(server.port) as proxy:
        named = {"url": proxy.url, "token": server.tokens["lee"], "home": tmp_path / "home"} | ONE_AT_A_TIME
        killed: list[int] = []

        def restart() -> None:
            killed.append(proxy.sent)
            _restart(server)

        proxy.at(SIZE - 1_000_000, restart)
        client("upload", "lee/server", file, **named)
        print(f"sent {killed[0] / 1e6:.1f} MB, then {(proxy.sent - killed[0]) / 1e6:.1f} MB")
        assert proxy.sent - killed[0] < 0.1 * SIZE
    check(server, "lee/server", file, tmp_path)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not SOAK, reason="make soak: 2.4 GB")
def test_a_killed_server_resumes_by_default(server: Server, tmp_path: Path) -> None:
    """The client sends each xorb, of 64 MB at most, that had no answer anew."""
    size = 2_400_000_000
    name, file = "lee/default-server", large_file(tmp_path, size)
    with counting(server.port) as proxy:
        named = {"url": proxy.url, "token": server.tokens["lee"], "home": tmp_path / "home"}
        proxy.at(int(0.6 * size), lambda: _restart(server))
        client("upload", name, file, **named)
        print(f"of {size / 1e6:.0f} MB {(proxy.sent - size) / 1e6:.1f} MB were sent twice")
        assert proxy.sent - size < 0.1 * size
    check(server, name, file, tmp_path)


@pytest.mark.parametrize("who", ["client", "server"])
def test_lfs_resumes(server: Server, tmp_path: Path, who: str) -> None:
    """File by file: the protocol cannot say which parts of a file are there."""
    folder, name, size = tmp_path / "up", f"lee/lfs-{who}", 400_000
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.bin").write_bytes(random.Random(number).randbytes(size))
    with counting(server.port) as proxy:
        named = {"url": proxy.url, "token": server.tokens["lee"], "home": tmp_path / "home"}
        named |= {"HF_HUB_DISABLE_XET": "1"}
        process = start_client("upload", name, folder, **named)
        done = proxy.at(50 * size, process.kill if who == "client" else lambda: _both(process, server))
        process.communicate()
        assert done.wait(120)
        first = proxy.sent
        assert first < 90 * size
        client("upload", name, folder, **named)
        print(f"sent {first / 1e6:.1f} MB, then {(proxy.sent - first) / 1e6:.1f} MB")
        assert proxy.sent < 1.1 * 100 * size, "less than a tenth was sent twice"
    down = Path(server.api("lee").snapshot_download(name, cache_dir=tmp_path / "cache"))
    for number in range(100):
        assert (down / f"{number}.bin").read_bytes() == random.Random(number).randbytes(size)


def _restart(server: Server) -> None:
    server.kill()
    server.start(server.port)


def _both(process: subprocess.Popen[str], server: Server) -> None:
    process.kill()
    _restart(server)


@pytest.mark.timeout(1200)
def test_no_commit_is_lost_or_half(server: Server) -> None:
    """The server is killed at random instants of a series of commits, each of two files."""
    seeded, name = random.Random(1), "lee/series"
    server.api("lee").create_repo(name)
    count, answered, longest = tries(20, 200), [], 0.0
    for number in range(count):
        if number:  # the first shows how long a commit takes
            server.api("lee").whoami()
            killer = threading.Timer(seeded.uniform(0, 2 * longest), server.kill)
            killer.start()
        start = time.perf_counter()
        if _commit(server, name, number):
            answered.append(number)
            longest = max(longest, time.perf_counter() - start)
        if number:
            killer.join()
            server.start()
    api = server.api("lee")
    files = set(api.list_repo_files(name))
    numbers = {int(path.partition("/")[0]) for path in files}
    print(f"{count} commits, {len(answered)} answered, {len(numbers)} there")
    assert set(answered) <= numbers, "a commit that was answered is there"
    assert files == {f"{number}/{path}" for number in numbers for path in ("a", "b")}, "and none is half"
    titles = [each.title for each in api.list_repo_commits(name)]
    assert sorted(titles[:-1]) == sorted(str(number) for number in numbers)
    commits = [line["commit"] for line in daily_chain.lines(server.data) if line["event"] == "commit"]
    assert len(commits) == len(set(commits)), "the audit is whole"


def _commit(server: Server, name: str, number: int) -> bool:
    lines = [{"key": "header", "value": {"summary": str(number)}}]
    for path in "ab":
        lines.append({"key": "file", "value": {"path": f"{number}/{path}", "content": path * 1000}})
    try:
        with server.client("lee") as client:
            answer = client.post(
                f"/api/models/{name}/commit/main", content="\n".join(map(json.dumps, lines))
            )
    except httpx.HTTPError:
        return False
    assert answer.status_code == 200, answer.text
    return True
