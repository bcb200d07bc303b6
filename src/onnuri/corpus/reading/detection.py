"""What a file holds, by its first bytes; its name only helps where they leave it open.

Names lie often: JSON lines in .json, an array in .jsonl, plain text in .gz, HWPX in .hwp, `part-00000`.
Compression is taken off first (`compression.unpacked`). A file of a suffix that is not known is read when
its bytes are those of a format of records or pages; plain text under such a name could be anything.
"""

from __future__ import annotations

import json
import re
from typing import Any, BinaryIO

from onnuri.corpus.reading import compression, encoding, files
from onnuri.corpus.source import Source

HEAD_BYTES = 1 << 16
TEXT_FORMS = ("text", "csv", "tsv")
"""Formats that do not show: what looks like another one is that other one."""


class PassedOver(ValueError):
    """A file that is not read, with the reason in a few words."""


_BINARY = (
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a WebP, WAV or AVI file"),
    (b"ID3", "an MP3 file"),
    (b"\x7fELF", "a program or library"),
    (b"MZ", "a program or library of Windows"),
    (b"SQLite format 3", "an SQLite database"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not read"),
    (b"Rar!", "a RAR archive, which is not read"),
    (b"\x04\x22\x4d\x18", "packed with LZ4, which is not read"),
    (b"Obj\x01", "an Avro file, which is not read"),
    (b"ARROW1", "an Arrow file, which is not read; write Parquet"),
    (b"ORC", "an ORC file, which is not read"),
    (b"\x93NUMPY", "a NumPy array"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
_HWP_3 = b"HWP Document File V"
_PART = re.compile(
    r"(.+\.(?:zip|tar|tgz|gz|7z|rar))\.(?:part)?\d+$|(.+)\.z\d\d$|(.+)\.part\d+\.(?:zip|rar)$",
    re.IGNORECASE,
)
_HTML = re.compile(
    r"(?:\s|<\?xml[^>]*\?>|<!--.*?-->)*<(?:!doctype\s+html|html|head|body|title|meta\s)[\s>]?",
    re.IGNORECASE | re.DOTALL,
)
_HWPML = re.compile(r"\s*(?:<\?xml[^>]*\?>|<!DOCTYPE[^>]*>|\s)*<HWPML[\s>]")


def form_of_file(file: files.File, source: Source) -> str:
    """As `form_of`, for planning: a remote file of a known suffix is looked into when it is read."""
    known = source.format if source.format != "auto" else files.format_of(file.name)
    if known and "://" in file.path:
        return known
    with files.open_raw(file.path) as stream:
        return form_of(stream, file.name, source)


def form_of(stream: BinaryIO, name: str, source: Source) -> str:
    """The format (one of source.FORMATS) of a file that is open at its beginning, where it is left again.

    `stream` must be seekable. Raises PassedOver for a file that is unknown or of another kind.
    """
    if source.format != "auto":
        return source.format
    if part := _PART.match(name):
        raise PassedOver(f"part of an archive in several files; join them{_join(part)}")
    hint = files.format_of(name)
    head = compression.head_of(stream, HEAD_BYTES)
    if not head:
        if hint:
            return hint
        raise PassedOver("an empty file")
    form = _packed_form(head, hint) or _text_form(head, hint, name, source)
    if form:
        return form
    raise PassedOver(describe(head) or "neither text nor of a known format")


def _join(part: re.Match[str]) -> str:
    """How the parts of an archive are joined, where that is simple."""
    whole = (part[1] or "").rpartition("/")[2]
    return f": cat $(ls -v {whole}.*) > {whole}" if whole else " or unpack it"


def describe(head: bytes) -> str:
    """What bytes that are not read here are, "" if unknown."""
    if head.startswith(_ZIP):
        return _office(head) or "a zip archive"
    if head.startswith(_HWP_3):
        return "a HWP 3 file, which is not read"
    if head.startswith(_OLE):
        return "an OLE file (doc, xls, ppt), which is not read"
    if _HWPML.match(head[:2048].decode("utf-8", "replace").lstrip("\ufeff")):
        return "a HWPML file, which is not read"
    return next((what for magic, what in _BINARY if head.startswith(magic)), "")


def is_html(head: bytes) -> bool:
    """Whether bytes begin as a web page does."""
    return bool(_HTML.match(_as_text(head[: 1 << 12], "")))


def _packed_form(head: bytes, hint: str) -> str:
    """The format of a file with a signature, "" for others. Raises PassedOver."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if re.match(rb"WARC/[01]\.\d", head):
        return "warc"
    if head.startswith(_ZIP):
        if (
            b"application/hwp+zip" in head[:256]
            or b"Contents/section0.xml" in head
            or hint in ("hwp", "hwpx")
        ):
            return "hwpx"
        if what := _office(head):
            raise PassedOver(what)
        return "archive"
    if head[257:262] == b"ustar":
        return "archive"
    if head.startswith(_HWP_3) or (head.startswith(_OLE) and hint):
        return "hwp"
    return ""


def _office(head: bytes) -> str:
    """What a zip is that is no archive of files, by its first members."""
    if head[30:].startswith((b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/")):
        return "an Office file (docx, xlsx, pptx), which is not read"
    if head[30:38] == b"mimetype":
        return "an e-book or OpenDocument file, which is not read"
    if head[30:39] == b"META-INF/":
        return "a Java archive"
    return ""


def _text_form(head: bytes, hint: str, name: str, source: Source) -> str:
    if hint == "yaml":
        return hint
    text = _as_text(head, source.encoding).lstrip("\ufeff \t\r\n")
    if _HTML.match(text[:4096]):
        return "html"
    if _HWPML.match(text[:2048]):
        return "hwp"
    if form := _json_form(text, len(head) < HEAD_BYTES, hint, bool(source.records)):
        return form
    if hint:
        return hint
    if describe(head):
        return ""
    suffix = re.fullmatch(r".*?[^/.][^/]*\.([a-zA-Z]{1,8})", files.without_packing(name))
    try:
        encoding.decode_most(head, source.encoding, source.bad_characters)
    except ValueError:
        return ""
    if suffix:
        raise PassedOver(
            f"text under a suffix that is not known (.{suffix[1].lower()}); format: text reads it"
        )
    return "text"


def _as_text(head: bytes, declared: str) -> str:
    """A text good enough to tell a format by, which shows in ASCII."""
    try:
        return encoding.decode(head, declared).text
    except ValueError:
        return head.decode("utf-8", "replace")


def _json_form(text: str, whole: bool, hint: str, has_path: bool) -> str:
    """jsonl or json for a text that is one of the two, "" for others."""
    structured = hint in ("json", "jsonl")
    if text[:1] not in ("{", "["):
        return ""
    lines = [line for line in text.split("\n") if line.strip()]
    complete = lines if whole else lines[:-1]
    values = [_parsed(line) for line in complete[:2]]
    if len(values) == 2 and all(isinstance(value, dict) for value in values):
        return "json" if hint == "json" and has_path else "jsonl"
    if hint in TEXT_FORMS:
        return ""
    if values and isinstance(values[0], dict):
        if len(lines) > 1 and hint != "jsonl" and lines[1].lstrip()[:1] == "{":
            return "json" if has_path else "jsonl"  # the second line is damaged, or is longer than `text`
        return hint if structured else "json"
    if not structured:
        return "json" if _begins_as_json(text, whole) and not hint else ""
    if hint == "json":
        return "json"
    rows = len(values) == 2 and all(isinstance(value, list) for value in values)
    if text[0] == "[":
        return "jsonl" if rows or not re.match(r"\[\s*[\[{\"\]]", text) else "json"
    return "json" if values and values[0] is None and _begins_as_json(text, whole) else "jsonl"


def _begins_as_json(text: str, whole: bool) -> bool:
    """Whether a text begins with a JSON value over several lines, as far as one can see."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
        return "\n" in text[:end] or not text[end:].strip()
    except (ValueError, RecursionError):
        return not whole and bool(re.match(r"(?:\{\s*\n\s*\"|\[\s*\{)", text))


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
