"""Contents in an S3 bucket, against moto's server: ONNURI_MOTO=DIR is where pip has installed it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onnuri.base.errors import UserError
from onnuri.hub.blobs import Incoming
from onnuri.hub.objects import ObjectStore
from tests.hub.hubs import running

MOTO = os.environ.get("ONNURI_MOTO", "")
needs_moto = pytest.mark.skipif(not MOTO, reason="ONNURI_MOTO is not set: make test-hub-s3")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of moto with the bucket `contents`; the environment is that of its users."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={"PYTHONPATH": MOTO, "PATH": os.environ["PATH"], "HOME": str(log.parent)},
            stdout=stream,
            stderr=stream,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert httpx.put(f"{url}/contents", timeout=30).status_code == 200
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": url,
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }.items():
                patch.setenv(name, value)
            yield url
    finally:
        process.terminate()
        process.wait(60)


def added(store: ObjectStore, folder: Path, content: bytes) -> str:
    incoming = Incoming(folder)
    incoming.write(content)
    sha256 = incoming.finish()
    store.add(incoming.path, sha256)
    assert not incoming.path.exists()
    return sha256


@needs_moto
def test_contents_come_back(endpoint: str, tmp_path: Path) -> None:
    store = ObjectStore("s3://contents/hub/a")
    large = os.urandom(20 << 20)
    for content in (large, b"", b"small", b"small"):
        sha256 = added(store, tmp_path, content)
        assert store.has(sha256) and store.local(sha256) is None
        assert b"".join(store.read(sha256, 0, len(content))) == content
    sha256 = added(store, tmp_path, large)
    for start, stop in ((0, 1), (8 << 20, (8 << 20) + 1), (5, 17 << 20), (len(large) - 3, len(large))):
        assert b"".join(store.read(sha256, start, stop)) == large[start:stop]
    found = dict(store.every())
    assert len(found) == 3 and abs(found[sha256] - time.time()) < 3600
    assert not list(ObjectStore("s3://contents/hub/b").every())
    assert not store.remove(sha256, time.time() - 3600)
    assert store.remove(sha256, time.time() + 3600) and not store.remove(sha256, time.time() + 3600)
    assert not store.has(sha256)
    with pytest.raises(FileNotFoundError):
        list(store.read(sha256, 0, 1))


@needs_moto
def test_a_hub_with_its_contents_in_a_bucket(endpoint: str, tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    with running(tmp_path, "blobs=s3://contents/server") as server:
        api = server.api("lee")
        api.create_repo("lab/model")
        api.upload_file(path_or_fileobj=content, path_in_repo="a.txt", repo_id="lab/model")
        large = os.urandom(12 << 20)
        api.upload_file(path_or_fileobj=large, path_in_repo="large.gguf", repo_id="lab/model")
        assert (
            Path(api.hf_hub_download("lab/model", "large.gguf", cache_dir=tmp_path)).read_bytes() == large
        )
        assert Path(api.hf_hub_download("lab/model", "a.txt", cache_dir=tmp_path)).read_bytes() == content
        with server.client("park") as client:
            part = client.get("/lab/model/resolve/main/a.txt", headers={"range": "bytes=1000-2000"})
            assert (part.status_code, part.content) == (206, content[1000:2001])
            deadline = time.monotonic() + 60
            while not client.get("/api/models/lab/model?securityStatus=1").json()["securityRepoStatus"][
                "scansDone"
            ]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert not list((server.data / "incoming").iterdir())
        assert not (server.data / "contents").exists()


@needs_moto
def test_a_bucket_that_is_not_there(endpoint: str) -> None:
    with pytest.raises(UserError, match=r"blobs=s3://none/x cannot be used"):
        ObjectStore("s3://none/x")


def test_addresses_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("s3:///x", "http://contents", "s3://a/b?c=d"):
        with pytest.raises(UserError, match="must be s3://BUCKET/PREFIX"):
            ObjectStore(url)
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:9000")
    with pytest.raises(UserError, match="has no TLS"):
        ObjectStore("s3://contents")
