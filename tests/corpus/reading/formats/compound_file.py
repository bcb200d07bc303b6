"""A writer of compound files (MS-CFB, version 3) and of HWP 5.0 documents in them, for tests.

Streams under 4,096 bytes go to the mini stream, as the format wants it. Siblings hang on each other to the
right, which is a valid tree if not a balanced one.
"""

from __future__ import annotations

import struct
import zlib

END, FREE = 0xFFFFFFFE, 0xFFFFFFFF
SECTOR, MINI, CUTOFF = 512, 64, 4096


def compound_file(streams: dict[str, bytes]) -> bytes:
    """A file with streams by path; at most one storage deep."""
    sectors: list[bytes] = []
    fat: list[int] = []

    def put(content: bytes) -> int:
        """First sector of a chain that holds the content."""
        count = -(-len(content) // SECTOR)
        first = len(sectors)
        for index in range(count):
            sectors.append(content[index * SECTOR : (index + 1) * SECTOR].ljust(SECTOR, b"\0"))
            fat.append(first + index + 1 if index + 1 < count else END)
        return first if count else END

    mini_stream, mini_fat = b"", []
    places = {}
    for path, content in streams.items():
        if len(content) >= CUTOFF:
            places[path] = put(content)
        else:
            count = -(-len(content) // MINI)
            places[path] = len(mini_fat) if count else END
            mini_fat += [len(mini_fat) + index + 1 for index in range(count - 1)] + [END] * bool(count)
            mini_stream += content.ljust(count * MINI, b"\0")
    root_first = put(mini_stream)
    mini_fat_first = put(struct.pack(f"<{len(mini_fat)}I", *mini_fat))

    storages = sorted({path.split("/")[0] for path in streams if "/" in path})
    names = ["Root Entry", *storages, *streams]
    children: dict[str, list[int]] = {}
    for number, name in enumerate(names[1:], 1):
        children.setdefault(name.rpartition("/")[0], []).append(number)
    entries = []
    for number, name in enumerate(names):
        parent = name.rpartition("/")[0]
        siblings = children.get(parent, []) if number else []
        after = siblings[siblings.index(number) + 1 :] if number else []
        kids = children.get("" if not number else name, [])
        stream = streams.get(name)
        kind = 5 if not number else 1 if stream is None else 2
        encoded = name.rpartition("/")[2].encode("utf-16-le") + b"\0\0"
        first = root_first if not number else 0 if stream is None else places[name]
        size = len(mini_stream) if not number else len(stream or b"")
        entries.append(
            encoded.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(encoded), kind, 1, FREE, (after or [FREE])[0], (kids or [FREE])[0])
            + bytes(36)
            + struct.pack("<IQ", first, size)
        )
    directory_first = put(b"".join(entries))

    fat_count = 1
    while (len(sectors) + fat_count) * 4 > fat_count * SECTOR:
        fat_count += 1
    fat_sectors = list(range(len(sectors), len(sectors) + fat_count))
    fat += [0xFFFFFFFD] * fat_count
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(fat_count * SECTOR, b"\xff")
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIII", 0, fat_count, directory_first, 0, CUTOFF, mini_fat_first, 1, END, 0)
    header += struct.pack("<109I", *(fat_sectors + [FREE] * (109 - fat_count)))
    return header + b"".join(sectors) + table


def hwp_file(*sections: bytes, flags: int = 1) -> bytes:
    """A document of sections of records; flag 1: compressed."""
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05000300, flags)
    streams = {"FileHeader": header.ljust(256, b"\0"), "DocInfo": b""}
    for number, section in enumerate(sections):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(section) + packer.flush() if flags & 1 else section
        streams[f"BodyText/Section{number}"] = packed
    return compound_file(streams)


def record(tag: int, level: int, payload: bytes = b"") -> bytes:
    size = min(len(payload), 0xFFF)
    more = struct.pack("<I", len(payload)) if size == 0xFFF else b""
    return struct.pack("<I", tag | level << 10 | size << 20) + more + payload


def control_unit(code: int) -> bytes:
    """A control character of eight units; what is between the codes must not be taken for text."""
    return struct.pack("<H", code) + "가나다라마바".encode("utf-16-le") + struct.pack("<H", code)


def paragraph(level: int, *pieces: str | bytes) -> bytes:
    text = b"".join(piece.encode("utf-16-le") if isinstance(piece, str) else piece for piece in pieces)
    return record(66, level, bytes(22)) + record(67, level + 1, text + b"\r\0")


def control(level: int, kind: str, more: bytes = b"") -> bytes:
    return record(71, level, kind.encode()[::-1] + more)


def list_header(level: int, column: int = 0, row: int = 0) -> bytes:
    return record(72, level, struct.pack("<HIHHH", 1, 0, 0, column, row) + bytes(26))
