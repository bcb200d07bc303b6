"""What a scan finds in a content."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from onnuri.hub.blobs import FileStore, Incoming
from onnuri.hub.scan import headers
from onnuri.hub.scan.scanner import Child
from onnuri.hub.scan.table import kind_of
from tests.hub.scanning import Runs, saved
from tests.soak import tries

Scan = Callable[..., dict[str, Any]]


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
