"""What is scanned after commits, and what organisations refuse."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from onnuri.hub.blobs import FileStore, Incoming
from onnuri.hub.scan import headers
from onnuri.hub.scan.scanner import Child
from onnuri.hub.scan.table import kind_of
from tests.hub.hubs import Server
from tests.soak import tries

Scan = Callable[..., dict[str, Any]]


class Runs:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo never run",)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    return FileStore(tmp_path_factory.mktemp("contents"))


def kept(store: FileStore, content: bytes) -> str:
    incoming = Incoming(store.folder)
    incoming.write(content)
    sha256 = incoming.finish()
    store.add(incoming.path, sha256)
    return sha256


@pytest.fixture(scope="module")
def scan(store: FileStore) -> Any:
    """State, reasons and facts of a content with a name."""
    child = Child(store)
    yield lambda name, content: child.scan(kept(store, content), kind_of(name), len(content))
    child.close()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def saved(value: Any, **options: Any) -> bytes:
    target = io.BytesIO()
    torch.save(value, target, **options)
    return target.getvalue()


def header_of(tensors: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


OBJECTS = io.BytesIO()
np.save(OBJECTS, np.array([Runs()], dtype=object), allow_pickle=True)
KERAS = {"config": {"layers": [{"class_name": "Dense"}, {"class_name": "Lambda", "config": {}}]}}


@pytest.mark.parametrize(
    ("name", "content", "call"),
    [
        ("model.pkl", pickle.dumps(Runs()), "posix.system"),
        ("model.pkl", pickle.dumps(Runs(), protocol=0), "posix.system"),
        ("model.pkl", pickle.dumps(Runs())[:-2], "posix.system"),
        ("notes.txt", pickle.dumps(Runs()), "posix.system"),
        ("two.pkl", pickle.dumps(1) + pickle.dumps(Runs()), "posix.system"),
        ("pytorch_model.bin", saved({"a": torch.zeros(2), "b": Runs()}), "posix.system"),
        (
            "old.pt",
            saved({"a": torch.zeros(2), "b": Runs()}, _use_new_zipfile_serialization=False),
            "posix.system",
        ),
        ("data.npy", OBJECTS.getvalue(), "posix.system"),
        ("data.npz", zipped({"a.npy": OBJECTS.getvalue()}, zipfile.ZIP_DEFLATED), "posix.system"),
        ("model.keras", zipped({"config.json": json.dumps(KERAS).encode()}), "Lambda"),
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(1 << 20) + json.dumps(KERAS).encode(), "Lambda"),
    ],
)
def test_dangerous_calls_are_named(scan: Scan, name: str, content: bytes, call: str) -> None:
    found = scan(name, content)
    assert found["state"] == "unsafe" and any(call in each for each in found["reasons"]), found


@pytest.mark.parametrize(
    ("name", "content", "state"),
    [
        ("state.pkl", pickle.dumps({"loss": [1.0, "둘", b"3"]}), "safe"),
        ("pytorch_model.bin", saved({"a": torch.zeros(2), "b": torch.nn.Parameter(torch.ones(3))}), "safe"),
        ("old.pt", saved({"a": torch.zeros(2)}, _use_new_zipfile_serialization=False), "safe"),
        ("data.npz", zipped({"a.npy": b"", "b": b"text"}), "safe"),
        ("own.pkl", pickle.dumps(Path("x")), "suspicious"),
        ("notes.bin", b"plain words", "suspicious"),
        ("packed.joblib", b"\x1f\x8b" + bytes(20), "suspicious"),
        ("config.json", b'{"auto_map": {"AutoModel": "code.Model"}}', "suspicious"),
        ("config.json", b'{"model_type": "llama"}', "safe"),
        ("model.keras", zipped({"config.json": b'{"class_name": "Dense"}'}), "safe"),
        ("model.keras", zipped({"config.json": b"{"}), "failed"),
        ("model.pt", b"PK\x03\x04" + bytes(100), "suspicious"),
    ],
)
def test_other_states(scan: Scan, name: str, content: bytes, state: str) -> None:
    assert scan(name, content)["state"] == state


GOOD = {"a": tensor(0, 8, [2]), "b": tensor(8, 16, [2, 2], "BF16")}


def test_parameters_are_counted(scan: Scan) -> None:
    found = scan("model.safetensors", save({"a": torch.zeros(2), "b": torch.zeros(2, 2).bfloat16()}))
    assert (found["state"], found["facts"]["parameters"]) == ("safe", {"F32": 2, "BF16": 4})
    assert scan("model.safetensors", header_of({}, b""))["state"] == "safe"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header_of({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12)), "overlaps"),
        (header_of({"a": tensor(0, 8, [2]), "b": tensor(12, 20, [2])}, bytes(20)), "gap"),
        (header_of(GOOD, bytes(17)), "end at byte"),
        (header_of(GOOD, bytes(15)), "end at byte"),
        (header_of({"a": tensor(0, 8, [3])}, bytes(8)), "contradict"),
        (header_of({"a": tensor(0, 8, [-2])}, bytes(8)), "no sizes"),
        (header_of({"a": tensor(0, 8, [2], "F33")}, bytes(8)), "unknown type"),
        (struct.pack("<Q", headers.LARGEST_HEADER + 1) + bytes(100), "25,000,001"),
        (struct.pack("<Q", 1000) + bytes(100), "in a file of"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 18) + b'{"a":{},"a":{}}   ', "twice"),
        (b"1234", "no header"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "no JSON"),
    ],
)
def test_headers_that_lie(scan: Scan, content: bytes, reason: str) -> None:
    found = scan("model.safetensors", content)
    assert found["state"] == "unsafe" and reason in found["reasons"][0], found


@settings(max_examples=tries(100, 5000), deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_damaged_headers_give_one_error(noise: bytes, at: int) -> None:
    whole = header_of(GOOD, bytes(16))
    for content, check in (
        (whole[:at] + noise + whole[at:], headers.safetensors),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + noise, headers.gguf),
    ):
        try:
            check(io.BytesIO(content), len(content))
        except headers.Damaged:
            continue
        assert not noise or check is headers.gguf or json.loads(content[8:-16].strip())


def gguf_of(field: bytes = b"", offset: int = 0, data: int = 64) -> bytes:
    begin = b"GGUF" + struct.pack("<IQQ", 3, 1, 1 if field else 0) + field
    begin += struct.pack("<Q1sIQIQ", 1, b"t", 1, 16, 0, offset)
    return begin + bytes(-len(begin) % 32) + bytes(data)


def test_gguf(scan: Scan) -> None:
    key = struct.pack("<Q1sI", 1, b"k", 9)
    assert scan("a.gguf", gguf_of())["state"] == "safe"
    assert scan("a.gguf", gguf_of(key + struct.pack("<IQ", 4, 2) + bytes(8)))["state"] == "safe"
    for content in (
        gguf_of(offset=1 << 40),
        gguf_of(key + struct.pack("<IQ", 4, 1 << 60)),
        gguf_of(key + struct.pack("<IQ", 8, 1 << 20)),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
        b"GGML",
    ):
        assert scan("a.gguf", content)["state"] == "unsafe"


def bomb() -> bytes:
    """256 MiB of one letter in a pickle that is a quarter of a megabyte."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data.pkl", "w", force_zip64=True) as member,
    ):
        member.write(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 28))
        for _ in range(256):
            member.write(b"a" * (1 << 20))
        member.write(b".")
    return target.getvalue()


def test_a_zip_bomb_is_not_inflated(store: FileStore) -> None:
    content = bomb()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = Child(store, megabytes=256)
    found = child.scan(kept(store, content), "pickle", len(content))
    child.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert found["state"] == "unsafe" and "out of" in found["reasons"][0]
    assert after.ru_utime - before.ru_utime < 5, "seconds of computing, most of them of starting"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (member,) = archive.infolist()
    # The same, with a declared size that hides it: what is beyond is not read.
    lied = content.replace(struct.pack("<Q", member.file_size), struct.pack("<Q", 10))
    assert lied != content
    child = Child(store, megabytes=256)
    try:
        assert child.scan(kept(store, lied), "pickle", len(lied))["state"] in (
            "suspicious",
            "failed",
            "unsafe",
        )
    finally:
        child.close()


def test_limits_of_memory_and_time_fail_closed(store: FileStore) -> None:
    large = b"\x80\x04\x8e" + struct.pack("<Q", 200 << 20) + bytes(200 << 20) + b"."
    child = Child(store, megabytes=160)
    found = child.scan(kept(store, large), "pickle", len(large))
    assert found["state"] == "failed" and "memory" in found["reasons"][0]
    child.close()
    child = Child(store, seconds=0)
    with pytest.raises(RuntimeError, match="0 seconds"):
        child.scan(kept(store, b"x"), "pickle", 1)
    assert child.process.poll() is not None


def test_a_scan_has_neither_files_nor_network(store: FileStore) -> None:
    """As its own limits say: there is no number left for another open file."""
    child = Child(store)
    child.scan(kept(store, pickle.dumps(1)), "pickle", len(pickle.dumps(1)))
    limits = Path(f"/proc/{child.process.pid}/limits").read_text()
    opened = os.listdir(f"/proc/{child.process.pid}/fd")  # noqa: PTH208
    child.close()
    (files,) = [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")]
    assert files == ["3", "3"] and sorted(opened) == ["0", "1", "2"]


def scanned(hub: Server, name: str, who: str = "lee") -> dict[str, Any]:
    """What a repository shows of its files once all are scanned."""
    with hub.client(who) as client:
        deadline = time.monotonic() + 60
        while True:
            found = client.get(f"/api/models/{name}?securityStatus=true").json()
            if found["securityRepoStatus"]["scansDone"]:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


def test_states_are_shown_to_clients(hub: Server, new_name: Callable[[], str]) -> None:
    name, api = f"lab/{new_name()}", hub.api("lee")
    api.create_repo(name)
    files = {
        "model.safetensors": save({"a": torch.zeros(5)}),
        "bad.pkl": pickle.dumps(Runs()),
        "code.py": b"",
        "README.md": b"# x",
    }
    with hub.client("lee") as client:
        commit(client, name, files)
    found = scanned(hub, name)
    issues = {each["path"]: each["level"] for each in found["securityRepoStatus"]["filesWithIssues"]}
    assert issues == {"bad.pkl": "unsafe", "code.py": "suspicious"}
    info = api.model_info(name)
    assert info.safetensors is not None and (info.safetensors.parameters, info.safetensors.total) == (
        {"F32": 5},
        5,
    )
    listed = {each.path: each for each in api.list_repo_tree(name, expand=True)}
    assert listed["bad.pkl"].security.status == "unsafe" and listed["README.md"].security.safe
    assert "posix.system" in listed["bad.pkl"].security.pickle_import_scan["message"]
    (one,) = api.get_paths_info(name, "bad.pkl", expand=True)
    assert one.security.status == "unsafe"
    api.upload_file(path_or_fileobj=b"# y", path_in_repo="README.md", repo_id=name)
    assert api.model_info(name).safetensors.total == 5, "a later commit keeps what is known"


def commit(client: Any, name: str, files: dict[str, bytes]) -> Any:
    """Small files, whatever their names are."""
    import base64

    lines = [
        {
            "key": "file",
            "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"},
        }
        for path, content in files.items()
    ]
    body = "\n".join(json.dumps(line) for line in lines)
    return client.post(f"/api/models/{name}/commit/main", content=body)


def test_a_name_that_makes_it_a_pickle_is_scanned_anew(hub: Server, new_name: Callable[[], str]) -> None:
    name = f"lab/{new_name()}"
    hub.api("lee").create_repo(name)
    content = pickle.dumps(Runs(), protocol=0)
    with hub.client("lee") as client:
        commit(client, name, {"notes.txt": content})
        assert not scanned(hub, name)["securityRepoStatus"]["filesWithIssues"]
        commit(client, name, {"model.pkl": content})
    (issue,) = scanned(hub, name)["securityRepoStatus"]["filesWithIssues"]
    assert (issue["path"], issue["level"]) == ("model.pkl", "unsafe")


def test_policy_of_an_organisation(hub: Server, new_name: Callable[[], str]) -> None:
    organisation, name = new_name(), new_name()
    from onnuri.hub import accounts
    from onnuri.hub.database import Database

    tables = Database(hub.data, hub.database)
    with tables.writing() as connection:
        kim = accounts.account_of(connection, "kim").id
        accounts.create_organisation(connection, organisation, "", kim)
        lee = accounts.account_of(connection, "lee").id
        accounts.set_member(connection, accounts.account_of(connection, organisation).id, lee, "write")
    tables.close()
    address, name = f"/api/organizations/{organisation}/policy", f"{organisation}/{name}"
    with hub.client("kim") as kims, hub.client("lee") as lees, hub.client("park") as parks:
        assert [each.put(address, json={}).status_code for each in (lees, parks)] == [403, 403]
        assert parks.get(address).status_code == 403 and not any(lees.get(address).json().values())
        assert kims.put(address, json={"safetensors_only": 1}).status_code == 400
        assert kims.put(address, json={"other": True}).status_code == 400
        hub.api("lee").create_repo(name)
        bad = {"bad.pkl": pickle.dumps(Runs())}
        assert commit(lees, name, bad).status_code == 200
        scanned(hub, name)
        assert parks.get(f"/{name}/resolve/main/bad.pkl").status_code == 200
        assert kims.put(address, json={"safetensors_only": True, "block_unsafe": True}).status_code == 200
        refused = parks.get(f"/{name}/resolve/main/bad.pkl")
        assert refused.status_code == 403 and "posix.system" in refused.json()["error"]
        assert lees.get(f"/{name}/resolve/main/bad.pkl").status_code == 200
        content = bad["bad.pkl"]
        oid = hashlib.sha256(content).hexdigest()
        wanted = {"operation": "download", "objects": [{"oid": oid, "size": len(content)}]}
        for client, status in ((parks, 403), (lees, 200)):
            answer = client.post(f"/{name}.git/info/lfs/objects/batch", json=wanted)
            href = answer.json()["objects"][0]["actions"]["download"]["href"]
            assert client.get(href).status_code == status, "nor by Git LFS"
        for path, content in (
            ("x.pkl", b"x"),
            ("x.txt", pickle.dumps(1)),
            ("x.bin", saved({})),
            ("x.pt", b""),
        ):
            answer = commit(lees, name, {path: content})
            assert answer.status_code == 403 and "safe_serialization=True" in answer.json()["error"]
        assert commit(lees, name, {"model.safetensors": save({}), "x.bin": b"words"}).status_code == 200
        with pytest.raises(HfHubHTTPError, match="safe_serialization"):
            hub.api("lee").create_commit(
                name, [CommitOperationAdd("again.pkl", b"")], commit_message="again"
            )


def test_what_waits_is_scanned_after_a_restart(tmp_path: Path) -> None:
    """A hub that is killed right after a commit; others get the file once it was found safe, not before."""
    from onnuri.hub import repositories
    from onnuri.hub.database import Database
    from onnuri.hub.scan.table import scans
    from tests.hub.hubs import running

    with running(tmp_path) as server:
        with server.client("kim") as client:
            client.put("/api/organizations/lab/policy", json={"block_unscanned": True})
        server.api("lee").create_repo("lab/model")
        with server.client("lee") as client:
            commit(client, "lab/model", {"good.pkl": pickle.dumps(1)})
        scanned(server, "lab/model")
        server.kill()
        tables = Database(server.data, server.database)
        with tables.writing() as connection:
            known = repositories.find(connection, "model", "lab", "model")
            assert known is not None
            connection.execute(scans.update().values(state="pending"))
            connection.execute(
                scans.insert().values(
                    repository=known.id,
                    sha256="0" * 64,
                    kind="other",
                    path="gone",
                    size=1,
                    state="pending",
                    changed=0,
                )
            )
        tables.close()
        server.start()
        scanned(server, "lab/model")
        with server.client("park") as client:
            assert client.get("/lab/model/resolve/main/good.pkl").status_code == 200
