"""Uploads and commits that are cut off by kill -9."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnuri.hub.names import TYPES
from onnuri.run import daily_chain
from tests.hub.counting import Proxy, client, counting, start_client
from tests.hub.hubs import Server, running
from tests.soak import tries

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


def test_a_killed_server_resumes_xet(server: Server, file: Path, tmp_path: Path) -> None:
    """The client itself tries again; the hub starts meanwhile."""
    with counting(server.port) as proxy:
        named = {"url": proxy.url, "token": server.tokens["lee"], "home": tmp_path / "home"} | ONE_AT_A_TIME
        killed: list[int] = []

        def restart() -> None:
            killed.append(proxy.sent)
            server.kill()
            server.start(server.port)

        proxy.at(SIZE - 1_000_000, restart)
        client("upload", "lee/server", file, **named)
        print(f"sent {killed[0] / 1e6:.1f} MB, then {(proxy.sent - killed[0]) / 1e6:.1f} MB")
        assert proxy.sent - killed[0] < 0.1 * SIZE
    check(server, "lee/server", file, tmp_path)


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
        proxy.at(50 * size, process.kill if who == "client" else lambda: _both(process, server))
        process.communicate()
        first = proxy.sent
        assert first < 90 * size
        client("upload", name, folder, **named)
        print(f"sent {first / 1e6:.1f} MB, then {(proxy.sent - first) / 1e6:.1f} MB")
        assert proxy.sent < 1.1 * 100 * size, "less than a tenth was sent twice"
    down = Path(server.api("lee").snapshot_download(name, cache_dir=tmp_path / "cache"))
    for number in range(100):
        assert (down / f"{number}.bin").read_bytes() == random.Random(number).randbytes(size)


def _both(process: object, server: Server) -> None:
    process.kill()  # type: ignore[attr-defined]
    server.kill()
    server.start(server.port)


def test_no_commit_is_lost_or_half(server: Server, tmp_path: Path) -> None:
    """The server is killed at a random byte of what comes from a client that commits two files each time."""
    seeded, name = random.Random(1), "lee/series"
    server.api("lee").create_repo(name)
    answered: list[int] = []
    for number in range(tries(20, 200)):
        with counting(server.port) as proxy:
            proxy.at(seeded.randrange(1, 3500), server.kill)
            _commit(server, proxy, name, number, answered)
        if server.process.poll() is not None:
            server.start(server.port)
    api = server.api("lee")
    files = set(api.list_repo_files(name)) - {".gitattributes"}
    numbers = {int(path.partition("/")[0]) for path in files}
    assert set(answered) <= numbers, "a commit that was answered is there"
    assert files == {f"{number}/{path}" for number in numbers for path in ("a", "b")}, "and none is half"
    titles = [each.title for each in api.list_repo_commits(name)]
    assert sorted(titles[:-1]) == sorted(str(number) for number in numbers)
    assert 0 < len(answered) < tries(20, 200)
    commits = [line["commit"] for line in daily_chain.lines(server.data) if line["event"] == "commit"]
    assert len(commits) == len(set(commits))


def _commit(server: Server, proxy: Proxy, name: str, number: int, answered: list[int]) -> None:
    import httpx

    lines = [f'{{"key":"header","value":{{"summary":"{number}"}}}}']
    for path in "ab":
        lines.append(f'{{"key":"file","value":{{"path":"{number}/{path}","content":"{path * 1000}"}}}}')
    url = f"{proxy.url}/api/{next(iter(TYPES))}/{name}/commit/main"
    try:
        answer = httpx.post(
            url,
            content="\n".join(lines),
            headers={"authorization": f"Bearer {server.tokens['lee']}"},
            timeout=60,
        )
    except httpx.HTTPError:
        return
    if answer.status_code == 200:
        answered.append(number)
