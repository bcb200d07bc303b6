"""Xorbs and shards, written by hand; the hashes are computed as the specification says, whole at a time."""

from __future__ import annotations

import hashlib
import struct

import lz4.frame
from blake3 import blake3

from onnuri.hub.xet.formats import DATA_KEY, NODE_KEY, VERIFICATION_KEY, from_hex, to_hex

BOOKEND = b"\xff" * 32 + bytes(16)
TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")


def chunk_hash(raw: bytes) -> bytes:
    return blake3(raw, key=DATA_KEY).digest()


def tree(children: list[tuple[bytes, int]]) -> bytes:
    """Level by level."""
    while len(children) > 1:
        above = []
        while children:
            count = min(9, len(children))
            for index in range(2, count):
                if int.from_bytes(children[index][0][24:], "little") % 4 == 0:
                    count = index + 1
                    break
            group, children = children[:count], children[count:]
            text = "".join(f"{to_hex(digest)} : {size}\n" for digest, size in group)
            above.append((blake3(text.encode(), key=NODE_KEY).digest(), sum(size for _, size in group)))
        children = above
    return children[0][0]


def pack(raw: bytes, scheme: int = 0) -> bytes:
    """A chunk with its header."""
    data = raw
    if scheme == 2:
        data = b"".join(raw[offset::4] for offset in range(4))
    if scheme:
        data = lz4.frame.compress(data)
    return b"\0" + len(data).to_bytes(3, "little") + bytes([scheme]) + len(raw).to_bytes(3, "little") + data


def xorb(chunks: list[bytes], scheme: int = 0) -> tuple[str, bytes]:
    """Hash and body."""
    digest = tree([(chunk_hash(chunk), len(chunk)) for chunk in chunks])
    return to_hex(digest), b"".join(pack(chunk, scheme) for chunk in chunks)


def shard(hash: str, chunks: list[bytes], sha256: str = "", file: bytes = b"") -> bytes:
    """One file of all chunks of a xorb, with verification and sha256."""
    hashes = [chunk_hash(chunk) for chunk in chunks]
    root = tree([(digest, len(chunk)) for digest, chunk in zip(hashes, chunks, strict=True)])
    content = b"".join(chunks)
    return (
        struct.pack("<32sQQ", TAG, 2, 0)
        + struct.pack("<32sII8x", file or blake3(root, key=bytes(32)).digest(), 3 << 30, 1)
        + struct.pack("<32sIIII", from_hex(hash), 0, len(content), 0, len(chunks))
        + blake3(b"".join(hashes), key=VERIFICATION_KEY).digest()
        + bytes(16)
        + from_hex(sha256 or hashlib.sha256(content).hexdigest())
        + bytes(16)
        + BOOKEND
        + BOOKEND
    )
