"""Hashes, xorbs and shards of the xet protocol, read with hard bounds.

Specification: xet-core, spec/ (hashing.md, xorb.md, shard.md). Whatever is wrong with a body is a HubError
of 400 or 413; nothing is allocated by a number that a client sent before the number is checked.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import lz4.frame
from blake3 import blake3

from onnuri.hub.errors import HubError, bad_request

DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
VERIFICATION_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
FILE_KEY = bytes(32)
LARGEST_RAW_CHUNK, LARGEST_CHUNK, MOST_CHUNKS = 128 << 10, 256 << 10, 8192
LARGEST_RAW, LARGEST_BODY = 64 << 20, 65 << 20
"""Bytes of the chunks of a xorb, and of a xorb or shard as it is sent: chunks have headers."""
MOST_FILES, MOST_SEGMENTS = 50_000, 500_000
"""Of a shard. A commit has no more files either."""
MOST_REFERENCES = 8_000_000
"""Chunks that the files of one shard may be made of, counted each time: this bounds the time it takes."""
Chunks = list[tuple[bytes, int]]
"""Of a xorb: the hash of each, and where it ends, in bytes without compression."""
HEX = re.compile(r"[0-9a-f]{64}")
_WORDS = struct.Struct("<4Q")
_SHARD_TAG = b"HFRepoMetaData\0" + bytes(
    (85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169)
)
_RECORD = 48
_LISTED, _SEGMENT, _SHARD = struct.Struct("<32sII8x"), struct.Struct("<32sIIII"), struct.Struct("<32sQQ")
_FOOTER = struct.Struct("<9Q32s12Q")
_BOOKEND = b"\xff" * 32
_VERIFIED, _WITH_SHA256 = 1 << 31, 1 << 30


def to_hex(raw: bytes) -> str:
    """A hash as text: four little-endian words."""
    return "".join(f"{word:016x}" for word in _WORDS.unpack(raw))


def from_hex(text: str) -> bytes:
    """The same backwards. Raises HubError for what is no hash."""
    if not HEX.fullmatch(text):
        raise bad_request("a hash has 64 hexadecimal digits")
    return _WORDS.pack(*(int(text[start : start + 16], 16) for start in range(0, 64, 16)))


def chunk_hash(raw: bytes) -> bytes:
    """Of the bytes of a chunk."""
    return blake3(raw, key=DATA_KEY).digest()


def verification_hash(hashes: bytes) -> bytes:
    """Of the chunk hashes of a segment, one after another."""
    return blake3(hashes, key=VERIFICATION_KEY).digest()


class Tree:
    """The hash of a series of chunks, computed as they come: memory grows with the log of their count.

    A node has up to 9 children; it ends early after the third or a later one whose last word divides by 4.
    """

    def __init__(self) -> None:
        self._levels: list[list[tuple[bytes, int]]] = []
        self._counts: list[int] = []

    def add(self, digest: bytes, size: int, level: int = 0) -> None:
        """The next chunk."""
        if level == len(self._levels):
            self._levels.append([])
            self._counts.append(0)
        group = self._levels[level]
        group.append((digest, size))
        self._counts[level] += 1
        if len(group) == 9 or (len(group) > 2 and not digest[24] & 3):
            self._close(level)

    def _close(self, level: int) -> None:
        group = self._levels[level]
        text = "".join(f"{to_hex(digest)} : {size}\n" for digest, size in group)
        total = sum(size for _, size in group)
        group.clear()
        self.add(blake3(text.encode(), key=NODE_KEY).digest(), total, level + 1)

    def root(self) -> bytes:
        """The hash of all; zeros if there was none. Nothing can be added afterwards."""
        if not self._levels:
            return bytes(32)
        level = 0
        while level < len(self._levels):
            group = self._levels[level]
            if level == len(self._levels) - 1 and self._counts[level] == 1:
                return group[0][0]
            if group:
                self._close(level)
            level += 1
        raise AssertionError("a tree has a root")


def file_hash(root: bytes) -> bytes:
    """Of a file, by the root of its chunks."""
    return blake3(root, key=FILE_KEY).digest()


class XorbReader:
    """Takes a xorb in pieces and gives its chunks: 8 bytes of header, then data that may be compressed."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.count = self.size = 0
        self._buffer = bytearray()
        self._taken = 0
        self._footer = False

    def feed(self, piece: bytes | bytearray) -> Iterator[tuple[bytes, bytes]]:
        """Hash and bytes of each chunk that is complete with this piece. Raises HubError."""
        self._taken += len(piece)
        if self._taken > LARGEST_BODY:
            raise HubError(413, f"a xorb has {LARGEST_BODY:,} bytes at most")
        buffer = self._buffer
        buffer += piece
        start = 0
        while not self._footer and len(buffer) - start >= 8:
            if buffer[start : start + 7] == b"XETBLOB":  # what follows is only for those who seek in it
                self._footer = True
                break
            packed, scheme = int.from_bytes(buffer[start + 1 : start + 4], "little"), buffer[start + 4]
            size = int.from_bytes(buffer[start + 5 : start + 8], "little")
            if buffer[start] or not 0 < size <= LARGEST_RAW_CHUNK or not 0 < packed <= LARGEST_CHUNK:
                raise bad_request(f"chunk {self.count} of the xorb has a header that makes no sense")
            if len(buffer) - start < 8 + packed:
                break
            raw = _unpack(bytes(buffer[start + 8 : start + 8 + packed]), scheme, size, self.count)
            start += 8 + packed
            self.count += 1
            self.size += size
            if self.count > MOST_CHUNKS or self.size > LARGEST_RAW:
                raise bad_request(f"a xorb has {MOST_CHUNKS:,} chunks and {LARGEST_RAW:,} bytes at most")
            digest = chunk_hash(raw)
            self.tree.add(digest, size)
            yield digest, raw
        if self._footer:
            buffer.clear()
        else:
            del buffer[:start]

    def finish(self) -> bytes:
        """Hash of the xorb. Raises HubError if it ends in the middle of a chunk."""
        if self._buffer or not self.count:
            raise bad_request(
                "the xorb ends in the middle of a chunk" if self.count else "the xorb is empty"
            )
        return self.tree.root()


def _unpack(data: bytes, scheme: int, size: int, number: int) -> bytes:
    if scheme == 0:
        raw = data
    elif scheme in (1, 2):
        decompressor = lz4.frame.LZ4FrameDecompressor()
        try:
            raw = decompressor.decompress(data, max_length=size + 1)
        except RuntimeError:
            raise bad_request(f"chunk {number} of the xorb is not an LZ4 frame") from None
        if not decompressor.eof or decompressor.unused_data:
            raise bad_request(f"chunk {number} of the xorb has another length than its header says")
    else:
        raise bad_request(f"chunk {number} of the xorb is compressed by scheme {scheme}, unknown here")
    if len(raw) != size:
        raise bad_request(f"chunk {number} of the xorb has another length than its header says")
    return _regroup(raw) if scheme == 2 else raw


def _regroup(raw: bytes) -> bytes:
    """Bytes 0, 4, 8, ... come first, then 1, 5, 9, ... and so on: put them back."""
    size, start, found = len(raw), 0, bytearray(len(raw))
    for offset in range(4):
        stop = start + (size - offset + 3) // 4
        found[offset::4] = raw[start:stop]
        start = stop
    return bytes(found)


class Segment(NamedTuple):
    """Chunks of a xorb that are a part of a file."""

    xorb: bytes
    size: int
    start: int
    stop: int
    verification: bytes
    """Empty: none was sent."""


class File:
    """A file of a shard. Its segments are read from the body each time: a list of them could be long."""

    def __init__(self, body: bytes, offset: int, count: int, digest: bytes, flags: int) -> None:
        self._body, self._offset, self.count, self.hash = body, offset, count, digest
        self._verified = bool(flags & _VERIFIED)
        after = offset + _RECORD * count * (1 + self._verified)
        declared = body[after : after + 32]
        self.sha256 = to_hex(declared) if flags & _WITH_SHA256 else ""
        self.size = self.chunks = 0
        for segment in self.segments():
            self.size += segment.size
            self.chunks += segment.stop - segment.start

    def segments(self) -> Iterator[Segment]:
        """All of them. Raises HubError for one that has no chunks."""
        for index in range(self.count):
            at = self._offset + _RECORD * index
            xorb, _, size, start, stop = _SEGMENT.unpack_from(self._body, at)
            if not start < stop <= MOST_CHUNKS:
                raise bad_request("a file of the shard has a segment without chunks")
            check = at + _RECORD * self.count
            yield Segment(
                xorb, size, start, stop, self._body[check : check + 32] if self._verified else b""
            )


def read_shard(body: bytes) -> list[File]:
    """The files of a shard. Raises HubError.

    What it says about xorbs is not read: the hub knows them from their bytes.
    """
    cut = bad_request("the shard ends in the middle of a record")
    if len(body) < _RECORD:
        raise cut
    tag, version, footer = _SHARD.unpack_from(body)
    if tag != _SHARD_TAG or version != 2 or footer >= len(body):
        raise bad_request("the body is not a shard of version 2")
    files: list[File] = []
    segments, references, at = 0, 0, _RECORD
    while True:
        if at + _RECORD > len(body):
            raise cut
        digest, flags, count = _LISTED.unpack_from(body, at)
        at += _RECORD
        if digest == _BOOKEND:
            return files
        records = count * (2 if flags & _VERIFIED else 1) + bool(flags & _WITH_SHA256)
        if records * _RECORD > len(body) - at:
            raise cut
        segments += count
        if len(files) == MOST_FILES or segments > MOST_SEGMENTS:
            most = f"{MOST_FILES:,} files of {MOST_SEGMENTS:,} segments"
            raise HubError(413, f"a shard has {most} at most: upload in several commits")
        file = File(body, at, count, digest, flags)
        references += file.chunks
        if references > MOST_REFERENCES:
            raise HubError(
                413, f"a shard names {MOST_REFERENCES:,} chunks at most: upload in several commits"
            )
        files.append(file)
        at += records * _RECORD


def write_shard(xorbs: Iterable[tuple[bytes, Chunks]], created: int, expires: int) -> bytes:
    """A shard that describes xorbs and no files.

    Each xorb is its hash and its chunks. Times are in seconds since 1970. There are no lookup tables:
    clients build them from the records.
    """
    bookend = _BOOKEND + bytes(_RECORD - len(_BOOKEND))
    body = bytearray(_SHARD.pack(_SHARD_TAG, 2, _FOOTER.size)) + bookend
    total, first = 0, len(body)
    for digest, chunks in xorbs:
        size = chunks[-1][1]
        body += _SEGMENT.pack(digest, 0, len(chunks), size, size)
        start = 0
        for chunk, end in chunks:
            body += _SEGMENT.pack(chunk, start, end - start, 0, 0)
            start = end
        total += size
    body += bookend
    end = len(body)
    key, reserved = bytes(32), (0,) * 6  # no key: the chunk hashes are as they are
    lookups = (end, 0, end, 0, end, 0)
    return bytes(body) + _FOOTER.pack(
        1, _RECORD, first, *lookups, key, created, expires, *reserved, total, total, total, end
    )
