"""The hub behind nginx, with the configuration of the bundle."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import onnuri.bundle
from tests.hub.hubs import Server, running

CONFIGURATION = Path(onnuri.bundle.__file__).with_name("nginx-hub.conf")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, server: str) -> Path:
    """nginx.conf with one server, and everything that nginx writes in a folder."""
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    text = (
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{server}\n}}\n"
    )
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    return path


def plain(text: str, port: int, hub_port: int, contents: Path) -> str:
    """The server for https, over http at a port."""
    text = text[: text.rindex("server {")]
    text = re.sub(r"\n *(ssl_.*|listen \[::\].*);", "", text)
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{hub_port}")
    return text.replace("/var/lib/onnuri-hub/contents/", f"{contents}/")


@contextmanager
def nginx(folder: Path, server: str, port: int) -> Iterator[None]:
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-c", configuration(folder, server)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A hub; `url` is nginx's."""
    folder, port, own_port = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    words = (f"url=http://127.0.0.1:{port}", "accel=/contents/", "proxy=127.0.0.1")
    with running(folder, *words, port=own_port) as server:
        text = CONFIGURATION.read_text(encoding="utf-8")
        with nginx(folder, plain(text, port, own_port, server.data / "contents"), port):
            server.port = own_port
            yield server


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    certificate, key = tmp_path / "hub.crt", tmp_path / "hub.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=hub.example.go.kr"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    text = CONFIGURATION.read_text(encoding="utf-8").replace("/etc/onnuri/", f"{tmp_path}/")
    assert NGINX is not None
    path = configuration(tmp_path, text)
    found = subprocess.run([NGINX, "-t", "-c", path], capture_output=True, text=True, check=False)
    assert found.returncode == 0 and "warn" not in found.stderr, found.stderr


def test_hf_uploads_and_downloads(behind: Server, tmp_path: Path) -> None:
    """The command of stock clients; nginx sends what is above 64 KiB."""
    content = {
        "large.bin": os.urandom(3 << 20),
        "small.txt": "작은 글".encode(),
        "middle.txt": b"m" * 200_000,
    }
    folder = tmp_path / "model"
    folder.mkdir()
    for name, each in content.items():
        (folder / name).write_bytes(each)
    environment = {
        **os.environ,
        "HF_ENDPOINT": behind.url,
        "HF_TOKEN": behind.tokens["lee"],
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_OFFLINE": "0",
    }
    hf = Path(sys.executable).with_name("hf")
    for words in (
        ["upload", "lab/model", folder, "."],
        ["download", "lab/model", "--local-dir", tmp_path / "copy"],
    ):
        done = subprocess.run([hf, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {name: (tmp_path / "copy" / name).read_bytes() for name in content} == content


def test_headers_and_ranges_of_what_nginx_sends(behind: Server) -> None:
    api, name, content = behind.api("lee"), "lab/headers", os.urandom(300_000)
    api.create_repo(name, private=True)
    api.upload_file(path_or_fileobj=content, path_in_repo="모델.bin", repo_id=name)
    path = f"/{name}/resolve/main/모델.bin"
    with behind.client("lee") as client, behind.client("park") as stranger:
        found, head = client.get(path), client.head(path)
        assert found.content == content and found.headers["server"].startswith("nginx")
        assert "last-modified" in found.headers, "nginx sent it, not the hub"
        names = ("etag", "x-repo-commit", "x-linked-etag", "x-linked-size", "x-content-type-options")
        names += (
            "content-type",
            "content-length",
            "content-disposition",
            "cache-control",
            "vary",
            "accept-ranges",
        )
        names += ("content-security-policy", "cross-origin-resource-policy")
        for each in names:
            assert found.headers.get_list(each) == head.headers.get_list(each) != [], each
        part = client.get(path, headers={"range": "bytes=100000-"})
        assert (part.status_code, part.content) == (206, content[100_000:])
        assert part.headers["etag"] == head.headers["etag"] and part.headers["x-repo-commit"]
        assert part.headers["content-range"] == f"bytes 100000-299999/{len(content)}"
        whole = client.get(path, headers={"range": "bytes=5-9", "if-range": '"other"'})
        assert (whole.status_code, whole.content) == (200, content)
        assert client.get(path, headers={"if-none-match": head.headers["etag"]}).status_code == 304
        assert stranger.get(path).status_code == 404
        sha256 = head.headers["x-linked-etag"].strip('"')
        for inner in (f"/contents/{sha256[:2]}/{sha256}", "/contents/", "/contents/../secret"):
            assert client.get(inner).status_code == 404


def test_the_client_is_whom_the_proxy_names(behind: Server) -> None:
    api = behind.api("lee")
    api.create_repo("lab/named", private=True)
    own = f"http://127.0.0.1:{behind.port}/api/models/lab/named/branch/b"
    headers = {"x-forwarded-for": "198.51.100.1, 203.0.113.9"}
    with behind.client("lee") as client:
        assert client.post(own, json={}, headers=headers).status_code == 200
    audit = "".join(path.read_text() for path in behind.data.rglob("*.jsonl"))
    assert '"203.0.113.9"' in audit and "198.51.100.1" not in audit


def test_the_group_reads_contents_and_nothing_else(behind: Server) -> None:
    modes = {
        path: path.stat().st_mode & 0o777 for path in behind.data.rglob("*") if "contents" in str(path)
    }
    assert modes and set(modes.values()) == {0o750, 0o640}
    assert behind.data.stat().st_mode & 0o777 == 0o710
    assert (behind.data / "secret").stat().st_mode & 0o077 == 0
