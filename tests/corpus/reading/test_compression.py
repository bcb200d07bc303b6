"""Compressed files: every kind, through damage, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from onnuri.corpus.reading import compression
from onnuri.corpus.reading.compression import Damaged, unpacked
from tests.corpus.reading.reading import read

TEXTS = [f"{number}번째 글은 {number**9}에서 끝난다." for number in range(6)]


def with_checksum(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(raw)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": with_checksum,
}
EVERY = pytest.mark.parametrize("suffix", PACKERS)


def members(pack: Callable[[bytes], bytes]) -> list[bytes]:
    return [pack(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n") for text in TEXTS]


def flipped(raw: bytes) -> bytes:
    middle = len(raw) * 2 // 3
    return raw[:middle] + bytes([raw[middle] ^ 255]) + raw[middle + 1 :]


@EVERY
@pytest.mark.parametrize("damaged", [0, 3, 5])
def test_damage_costs_its_member_alone_and_is_counted(suffix: str, damaged: int, tmp_path: Path) -> None:
    parts = members(PACKERS[suffix])
    parts[damaged] = flipped(parts[damaged])
    found = read(tmp_path / f"a.jsonl.{suffix}", b"".join(parts))
    assert found.texts == TEXTS[:damaged] + TEXTS[damaged + 1 :]
    (problem,) = found.problems
    begin = len(b"".join(parts[:damaged]))
    after = "bytes of the file are not read" if damaged == 5 else "reading resumes at byte"
    assert f"member at byte {begin:,}" in problem and after in problem


def test_what_a_damaged_gzip_member_gives_is_kept_among_the_rejects(tmp_path: Path) -> None:
    parts = members(gzip.compress)
    checksum = bytearray(parts[2])
    checksum[-8] ^= 1
    parts[2] = bytes(checksum)
    found = read(tmp_path / "a.jsonl.gz", b"".join(parts))
    assert TEXTS[2] not in found.texts and len(found.texts) == 5
    assert any(row["problem"] and TEXTS[2] in row["text"] for row in found.rows)


@EVERY
def test_cut_garbage_and_padding(suffix: str, tmp_path: Path) -> None:
    parts = members(PACKERS[suffix])
    path = tmp_path / f"a.jsonl.{suffix}"
    found = read(path, b"".join(parts)[:-40])
    assert found.texts[:5] == TEXTS[:5] and "the file ends inside" in found.problems[0]
    found = read(path, parts[0] + b"garbage " * 10 + parts[1])
    assert found.texts == TEXTS[:2] and "no member begins here" in found.problems[0]
    if suffix != "bz2":
        found = read(path, parts[0] + bytes(64) + parts[1] + bytes(512))
        assert (found.texts, found.problems) == (TEXTS[:2], [])
    assert read(path, "".join(TEXTS), format="text").texts == ["".join(TEXTS)], "not compressed at all"


def test_a_text_in_a_damaged_member_is_rejected_with_what_was_read(tmp_path: Path) -> None:
    packed = gzip.compress(("".join(TEXTS) * 20).encode())
    found = read(tmp_path / "a.txt.gz", packed[:-10])
    assert found.texts == [] and found.rows[0]["text"].startswith(TEXTS[0])


def test_long_windows_take_memory_of_their_content_alone(tmp_path: Path) -> None:
    options = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=options).compressobj()
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    packed = packer.compress(lines) + packer.flush()
    assert zstandard.get_frame_parameters(packed).window_size == 1 << 31
    tracemalloc.start()
    found = read(tmp_path / "a.jsonl.zst", packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.texts, found.problems) == (TEXTS, []) and peak < 16 << 20


def test_a_bomb_in_a_long_window_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "USUAL_WINDOW_BYTES", 1 << 20)
    options = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=options).compressobj()
    packed = packer.compress(bytes(20 << 20)) + packer.flush()
    with pytest.raises(ValueError, match="a bomb"):
        unpacked(io.BytesIO(packed)).read()


@EVERY
def test_many_members_and_small_reads(suffix: str) -> None:
    parts = members(PACKERS[suffix])
    stream = unpacked(io.BytesIO(b"".join(parts)))
    content = b""
    while part := stream.read(7):
        content += part
    assert content == "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in TEXTS).encode()
    with pytest.raises(Damaged, match="cut"):
        unpacked(io.BytesIO(parts[0][:-3])).read()
    assert compression.head_of(io.BytesIO(parts[0]), 9) == b'{"text": '


def test_the_callers_stream_stays_open_unless_it_is_handed_over() -> None:
    for owned in (False, True):
        raw = io.BytesIO(gzip.compress(b"x"))
        with unpacked(raw, owned) as stream:
            assert stream.read() == b"x"
        assert raw.closed == owned
