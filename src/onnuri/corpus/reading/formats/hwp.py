"""The text of a HWP 5.0 document (Hangul word processor, .hwp): what a reader reads, top to bottom.

The layout of the text is that of `hwpx`: lines, tables with tabs, notes after their paragraph, equations
and ruby in place, no page headers, footers or comments. Numbers of lists are not text and are lost. Source:
Hancom, "Hangul document file format 5.0", revision 1.3, sections 4.1 to 4.3.

olefile finds the streams; the records are read here, in one pass with a stack. On 70 published samples
that finds every word that four readers find, headers and footers aside. extract-hwp 0.2.1 reads tables
cell by cell, keeps headers and footers, and turns every error into an empty text; hwp-hwpx-parser 1.0.0
loses notes and captions; unhwp 0.23.1 has no build for aarch64; pyhwp is AGPL; python-hwpx 6.9.0 reads into
an object model, 13 times slower. Documents under a password, DRM or locked for distribution are refused:
their body is encrypted, on purpose.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import olefile

from onnuri.corpus.reading.detection import describe
from onnuri.corpus.reading.formats.hwpx import table_lines

MOST_BYTES = 64 << 20
MOST_BODY_BYTES = 16 << 20
"""Of all sections, unpacked: some 1,000 pages."""
MOST_RECORDS = 300_000
MOST_OPEN = 500

PARA_HEADER, PARA_TEXT, CTRL_HEADER, LIST_HEADER, TABLE, EQUATION = 66, 67, 71, 72, 77, 88
_COMPRESSED, _PASSWORD, _DISTRIBUTION, _DRM = 1, 2, 4, 16
_LEFT_OUT = (b"head", b"foot", b"tcmt")
_NUMBERED = (3, 4, 5)  # kinds of automatic numbers: picture, table, equation

# Characters below 32 take one unit of two bytes (line feed, hyphen, spaces), or eight: code, data, code.
_UNITS = re.compile(
    rb"((?:[^\x00-\x1f].|.[^\x00]|[\x00\x0a\x0d\x18-\x1f]\x00)++)|([\x01-\x09\x0b\x0c\x0e-\x17])\x00.{14}",
    re.DOTALL,
)
_INLINE = b"\x04\x05\x06\x07\x08\x09\x13\x14"
"""Of the eight-unit ones, those that no control record belongs to."""
_PLACE = "\ufdd0"
"""Where a control hangs, until its content is known. No text may hold this code point."""
_ONE_UNIT = dict.fromkeys([*range(9), *range(11, 32), ord(_PLACE)], "") | {24: "-", 30: "\u00a0", 31: " "}


def text(raw: bytes) -> str:
    """The text of a document, paragraphs apart by line feeds.

    Raises ValueError with the cause in one line: not HWP 5, damaged, locked, or too large.
    """
    if not raw.startswith(olefile.MAGIC):
        raise ValueError(": ".join(filter(None, ("not a HWP 5 file", describe(raw)))))
    if len(raw) > MOST_BYTES:
        raise ValueError(f"a HWP file of more than {MOST_BYTES:,} bytes")
    try:
        sections = list(_sections(raw))
    except ValueError:
        raise
    except Exception as error:  # olefile raises what it meets: KeyError, IndexError, struct.error, ...
        raise ValueError(f"damaged HWP file: {type(error).__name__}: {error}") from None
    return "\n".join(line for section in sections for line in _lines(section))


def _sections(raw: bytes) -> Iterator[bytes]:
    with olefile.OleFileIO(io.BytesIO(raw)) as file:
        if not file.exists("FileHeader"):
            raise ValueError("not a HWP 5 file: it has no FileHeader")
        header = file.openstream("FileHeader").read(256)
        if len(header) < 40 or not header.startswith(b"HWP Document File"):
            raise ValueError("not a HWP 5 file: its FileHeader is another's")
        flags = struct.unpack_from("<I", header, 36)[0]
        for flag, cause in (
            (_PASSWORD, "protected by a password"),
            (_DISTRIBUTION, "locked for distribution"),
            (_DRM, "under DRM"),
        ):
            if flags & flag:
                raise ValueError(f"a HWP file {cause}")
        names = [path[1] for path in file.listdir() if len(path) == 2 and path[0].lower() == "bodytext"]
        numbered = sorted(
            (int(found[1]), name) for name in names if (found := re.fullmatch(r"Section(\d{1,5})", name))
        )
        if not numbered:
            raise ValueError("damaged HWP file: it has no BodyText/Section0")
        room = MOST_BODY_BYTES
        for _, name in numbered:
            stream = file.openstream(f"BodyText/{name}").read()
            body = _unpacked(stream, room) if flags & _COMPRESSED else stream
            room -= len(body)
            if room < 0:
                raise ValueError(f"a HWP file with more than {MOST_BODY_BYTES:,} bytes of body")
            yield body


def _unpacked(stream: bytes, room: int) -> bytes:
    unpacker = zlib.decompressobj(-15)
    body = unpacker.decompress(stream, room + 1)
    if not unpacker.eof and len(body) <= room:
        raise ValueError("damaged HWP file: a section is cut")
    return body


@dataclass
class _Paragraph:
    level: int
    text: str = ""
    controls: list[str] = field(default_factory=list)
    """What stands in the line, for each control in turn, mostly nothing."""
    following: list[str] = field(default_factory=list)


@dataclass
class _Cell:
    row: int
    lines: list[str] = field(default_factory=list)


@dataclass
class _Control:
    level: int
    kind: bytes
    inline: str = ""
    lists: list[_Cell] = field(default_factory=list)
    """Lists of paragraphs: captions, from `cells_from` on the cells of a table; or a note, a box, ..."""
    cells_from: int | None = None


def _lines(body: bytes) -> list[str]:
    """The lines of one section."""
    lines: list[str] = []
    opened: list[_Paragraph | _Control] = []

    def close(level: int) -> None:
        while opened and opened[-1].level >= level:
            closed = opened.pop()
            above = opened[-1] if opened else None
            if isinstance(closed, _Paragraph):
                into = lines if above is None else _last_list(above)
                _put_paragraph(closed, into)
            elif isinstance(above, _Paragraph):
                above.controls.append(closed.inline)
                above.following.extend(_control_lines(closed))

    for tag, level, payload in _records(body):
        close(level)
        top = opened[-1] if opened else None
        if tag == PARA_HEADER:
            opened.append(_Paragraph(level))
        elif tag == CTRL_HEADER:
            opened.append(_Control(level, payload[3::-1], _inline(payload)))
        elif tag == PARA_TEXT and isinstance(top, _Paragraph):
            top.text = _decoded(payload)
        elif isinstance(top, _Control):
            if tag == LIST_HEADER:
                top.lists.append(_Cell(int.from_bytes(payload[10:12], "little")))
            elif tag == TABLE:
                top.cells_from = len(top.lists)
            elif tag == EQUATION:
                top.inline = _string(payload, 4)
        if len(opened) > MOST_OPEN:
            raise ValueError(f"a HWP file nested more than {MOST_OPEN} deep")
    close(0)
    return lines


def _records(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Tag, level and payload of the records that text depends on."""
    wanted = (PARA_HEADER, PARA_TEXT, CTRL_HEADER, LIST_HEADER, TABLE, EQUATION)
    offset = count = 0
    while offset + 4 <= len(body):
        (head,) = struct.unpack_from("<I", body, offset)
        offset += 4
        size = head >> 20
        if size == 0xFFF:
            size = int.from_bytes(body[offset : offset + 4], "little")
            offset += 4
        if offset + size > len(body):
            raise ValueError("damaged HWP file: a record goes beyond its section")
        count += 1
        if count > MOST_RECORDS:
            raise ValueError(f"a HWP file with more than {MOST_RECORDS:,} records")
        if head & 0x3FF in wanted:
            yield head & 0x3FF, head >> 10 & 0x3FF, body[offset : offset + size]
        offset += size


def _last_list(above: _Paragraph | _Control) -> list[str]:
    if isinstance(above, _Paragraph):
        return above.following
    if not above.lists:
        above.lists.append(_Cell(0))
    return above.lists[-1].lines


def _put_paragraph(paragraph: _Paragraph, into: list[str]) -> None:
    parts = paragraph.text.split(_PLACE)
    controls = paragraph.controls + [""] * len(parts)
    line = parts[0] + "".join(inline + part for inline, part in zip(controls, parts[1:], strict=False))
    if line or not paragraph.following:
        into.append(line)
    into.extend(paragraph.following)


def _control_lines(control: _Control) -> list[str]:
    if control.kind in _LEFT_OUT:
        return []
    first = len(control.lists) if control.cells_from is None else control.cells_from
    lines = [line for each in control.lists[:first] for line in each.lines]
    rows = groupby(control.lists[first:], key=lambda cell: cell.row)
    return lines + table_lines([[cell.lines for cell in row] for _, row in rows])


def _inline(payload: bytes) -> str:
    """What a control shows in the line itself: the word under ruby, overlaid letters, a table's number."""
    kind = payload[3::-1]
    if kind in (b"tdut", b"tcps"):
        return _string(payload, 4)
    if kind == b"atno" and len(payload) >= 10 and payload[4] & 15 in _NUMBERED:
        return str(int.from_bytes(payload[8:10], "little"))
    return ""


def _string(payload: bytes, offset: int) -> str:
    """A string that its number of units comes before."""
    size = 2 * int.from_bytes(payload[offset : offset + 2], "little")
    return payload[offset + 2 : offset + 2 + size].decode("utf-16-le", "replace").replace(_PLACE, "")


def _decoded(payload: bytes) -> str:
    parts = []
    for run, code in _UNITS.findall(payload):
        if run:
            parts.append(run.decode("utf-16-le", "replace").translate(_ONE_UNIT))
        elif code == b"\t":
            parts.append("\t")
        elif code not in _INLINE:
            parts.append(_PLACE)
    return "".join(parts)
