"""One rank's part of a checkpoint: a safetensors file that torch.distributed.checkpoint reads.

The header holds, as DCP's own writer has it, where in the whole tensor each piece begins; so any number of
ranks can load it, each what it needs. Names are sorted, so equal state gives equal bytes. The hash is taken
in a thread of its own while the bytes are written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.distributed.checkpoint._hf_utils import CUSTOM_METADATA_KEY, SAVED_OFFSETS_KEY

DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.uint8: "U8"}
WRITE_BYTES = 32 << 20
"""Written and asked to be put on disk at a time, so that little is left to wait for at the end."""


class TensorSlice(NamedTuple):
    """A part of a flat tensor."""

    values: torch.Tensor
    """1-D, contiguous, on the CPU."""
    start: int
    """Its first position in the whole tensor."""


def write_shard(path: Path, pieces: Mapping[str, TensorSlice]) -> dict[str, Any]:
    """Write pieces by name, durably. Returns {"bytes": size, "sha256": hash} of the file."""
    named = sorted((name, piece) for name, piece in pieces.items() if piece.values.numel())
    blocks = [_header(named), *(piece.values.view(torch.uint8).numpy().data for _, piece in named)]
    with ThreadPoolExecutor(2) as pool, path.open("wb", buffering=0) as stream:
        digest = pool.submit(_hash, blocks)
        waiting, unsynced = [], 0
        for block in blocks:
            for start in range(0, len(block), WRITE_BYTES):
                part = block[start : start + WRITE_BYTES]
                while part:
                    written = os.write(stream.fileno(), part)
                    part, unsynced = part[written:], unsynced + written
                if unsynced >= WRITE_BYTES:
                    waiting.append(pool.submit(os.fdatasync, stream.fileno()))
                    unsynced = 0
        for future in waiting:
            future.result()
        os.fsync(stream.fileno())
        return {"bytes": sum(map(len, blocks)), "sha256": digest.result()}


def _header(named: list[tuple[str, TensorSlice]]) -> memoryview:
    offsets = {name: {SAVED_OFFSETS_KEY: [piece.start]} for name, piece in named}
    header: dict[str, Any] = {"__metadata__": {"format": "pt", CUSTOM_METADATA_KEY: json.dumps(offsets)}}
    offset = 0
    for name, (values, _) in named:
        end = offset + values.numel() * values.element_size()
        header[name] = {
            "dtype": DTYPES[values.dtype],
            "shape": list(values.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return memoryview(len(text).to_bytes(8, "little") + text)


def _hash(blocks: Iterable[memoryview]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
