"""Headers of safetensors and GGUF files, checked without the libraries that load them.

Formats: github.com/huggingface/safetensors, README; github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any, BinaryIO

LARGEST_HEADER = 25_000_000
"""Bytes; a longer one is refused."""
BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
MOST_DIMENSIONS, LARGEST_SIZE = 64, 1 << 62
GGUF_MAGIC, GGUF_VERSIONS = b"GGUF", (2, 3)
MOST_TENSORS, MOST_FIELDS, LONGEST_TEXT, MOST_ELEMENTS = 1 << 20, 1 << 16, 1 << 24, 1 << 24
GGUF_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Of the values of fields; 8 is a text, 9 a list."""
GGUF_TEXT, GGUF_LIST = 8, 9


class Damaged(Exception):
    """The file is not what its name says."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Damaged("a name is there twice in the header")
    return found


def safetensors(stream: BinaryIO, size: int) -> dict[str, int]:
    """Elements by type. Raises Damaged for a header that libraries may read in different ways."""
    start = stream.read(8)
    if len(start) < 8:
        raise Damaged("the file has no header")
    (length,) = struct.unpack("<Q", start)
    if length > LARGEST_HEADER:
        raise Damaged(f"the header would have {length:,} bytes; {LARGEST_HEADER:,} are allowed")
    if 8 + length > size:
        raise Damaged(f"the header would have {length:,} bytes in a file of {size:,}")
    try:
        header = json.loads(stream.read(length).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Damaged("the header is no JSON") from None
    if not isinstance(header, dict):
        raise Damaged("the header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(not isinstance(each, str) for each in metadata.values()):
        raise Damaged("__metadata__ must hold texts")
    spans, counts = [], dict[str, int]()
    for name, tensor in header.items():
        start_at, end, kind, elements = _tensor(name, tensor)
        spans.append((start_at, end, name))
        counts[kind] = counts.get(kind, 0) + elements
    at = 0
    for start_at, end, name in sorted(spans):
        if start_at != at:
            what = "overlaps another" if start_at < at else "leaves a gap before it"
            raise Damaged(f"the tensor {name[:200]!r} {what}")
        at = end
    if 8 + length + at != size:
        raise Damaged(f"the tensors end at byte {8 + length + at:,} of a file of {size:,}")
    return counts


def _tensor(name: str, tensor: Any) -> tuple[int, int, str, int]:
    """Start, end, type and elements."""
    what = f"the tensor {name[:200]!r}"
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise Damaged(f"{what} needs dtype, shape and data_offsets")
    kind, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(kind, str) or kind not in BITS:
        raise Damaged(f"{what} has an unknown type")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(
            type(each) is int and 0 <= each <= LARGEST_SIZE for each in numbers
        ):
            raise Damaged(f"{what} has a shape or offsets that are no sizes")
    if len(offsets) != 2 or len(shape) > MOST_DIMENSIONS:
        raise Damaged(f"{what} has {len(offsets)} offsets and {len(shape)} dimensions")
    elements = math.prod(shape)
    if (offsets[1] - offsets[0]) * 8 != elements * BITS[kind]:
        raise Damaged(f"{what} has {offsets[1] - offsets[0]:,} bytes, which its type and shape contradict")
    return offsets[0], offsets[1], kind, elements


def gguf(stream: BinaryIO, size: int) -> int:
    """Number of tensors. Raises Damaged for counts and lengths that the file cannot hold."""
    if stream.read(4) != GGUF_MAGIC:
        raise Damaged("the file does not begin with GGUF")
    version, tensors, fields = _unpack(stream, "<IQQ")
    if version not in GGUF_VERSIONS:
        raise Damaged(f"GGUF of version {version} is not known")
    if tensors > MOST_TENSORS or fields > MOST_FIELDS:
        raise Damaged(f"the header names {tensors:,} tensors and {fields:,} fields")
    alignment = 32
    for _ in range(fields):
        key = _text(stream)
        (kind,) = _unpack(stream, "<I")
        value = _skip(stream, kind, size)
        if key == b"general.alignment":
            alignment = value
    if not 8 <= alignment <= 1 << 20:
        raise Damaged(f"an alignment of {alignment:,} bytes")
    furthest = 0
    for _ in range(tensors):
        _text(stream)
        (dimensions,) = _unpack(stream, "<I")
        if not 0 < dimensions <= 4:
            raise Damaged(f"a tensor of {dimensions} dimensions")
        shape = _unpack(stream, f"<{dimensions}Q")
        if math.prod(shape) > LARGEST_SIZE:
            raise Damaged("a tensor is larger than any file")
        _, offset = _unpack(stream, "<IQ")
        if offset % alignment:
            raise Damaged(f"a tensor at byte {offset:,}, which is not aligned")
        furthest = max(furthest, offset)
    data = -(-stream.tell() // alignment) * alignment
    if tensors and data + furthest >= size:
        raise Damaged(f"a tensor at byte {data + furthest:,} of a file of {size:,}")
    return int(tensors)


def _unpack(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    content = stream.read(struct.calcsize(form))
    if len(content) < struct.calcsize(form):
        raise Damaged("the header ends early")
    return struct.unpack(form, content)


def _text(stream: BinaryIO) -> bytes:
    (length,) = _unpack(stream, "<Q")
    if length > LONGEST_TEXT:
        raise Damaged(f"a text of {length:,} bytes in the header")
    content = stream.read(length)
    if len(content) < length:
        raise Damaged("the header ends early")
    return content


def _skip(stream: BinaryIO, kind: int, size: int, depth: int = 0) -> int:
    """Pass over a value; returns it if it is a small number."""
    if kind == GGUF_TEXT:
        _text(stream)
    elif kind == GGUF_LIST:
        inner, count = _unpack(stream, "<IQ")
        if count > MOST_ELEMENTS or depth > 4:
            raise Damaged(f"a list of {count:,} values in the header")
        if inner in GGUF_BYTES:
            if stream.tell() + count * GGUF_BYTES[inner] > size:
                raise Damaged("the header ends early")
            stream.seek(count * GGUF_BYTES[inner], 1)
        else:
            for _ in range(count):
                _skip(stream, inner, size, depth + 1)
    elif kind in GGUF_BYTES:
        (value,) = _unpack(stream, "<I" if kind == 4 else f"<{GGUF_BYTES[kind]}s")
        return value if kind == 4 else 0
    else:
        raise Damaged(f"a field of the unknown type {kind}")
    return 0
