"""Web archives (WARC 1.0 and 1.1, ISO 28500): the pages in them, one at a time, through any damage.

A reader of our own, because what matters here is what happens at damage: the broken record becomes an error
item, reading continues with the next record, in a .gz at the next member. fastwarc 2.0.1 and warcio 1.8.1
raise at the first flipped bit or wrong length, and what follows is lost. Unpacked megabytes a second from
a .gz of small pages: fastwarc 700, this 260, warcio 235, where finding the content of the pages makes 35.
Memory is bounded by the limit of a record and some buffers.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import brotli
import zstandard

MOST_RECORD_BYTES = 8 << 20
MOST_HEADER_BYTES = 64 << 10
MOST_BYTES_BETWEEN = 64
"""Of line ends between records, looked at to tell a wrong length."""
CHUNK_BYTES = 256 << 10

_BEGIN = re.compile(rb"(?:^|\n)(?=WARC/[01]\.\d+\r?\n)")
_AFTER = re.compile(rb"[\r\n]*([^\r\n].{4})", re.DOTALL)
_RECORD_END = re.compile(rb"\r?\n\r?\n(?=WARC/[01]\.\d+\r?\n)")
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_GZIP = b"\x1f\x8b\x08"
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x19\x1c-\x1f\x7f]")
MOST_WINDOW_BYTES = 1 << 23
"""What RFC 9659 allows for zstd on the web."""


PAGES = ("response", "conversion", "resource")
"""Types of records with a page or a text in them."""
_PAGE_ADDRESS = re.compile(r"<?(?:https?|ftps?|file):", re.IGNORECASE)
"""Of a resource record; crawlers keep their own logs and thumbnails under others (metadata:, urn:)."""


class Record(NamedTuple):
    url: str
    date: str
    """WARC-Date, as in 2024-05-01T12:00:00Z."""
    content_type: str
    """Lower case and without parameters: text/html, text/plain, ..."""
    charset: str
    """As the server declared it, "" for none."""
    payload: bytes


def records(stream: BinaryIO, limit: int = MOST_RECORD_BYTES) -> Iterator[Record | ValueError]:
    """The pages (response records of status 2xx, resource records) and the texts (conversion records, WET).

    HTTP headers are taken off, chunks joined, gzip, deflate, br and zstd undone. A record that is damaged,
    or longer than `limit` bytes packed or unpacked, is a ValueError with the cause in one line, as is the
    damage or the cut that ends the stream. Nothing is raised but what `stream` itself raises. Gzip is found
    by its first bytes.
    """
    source = _Source(stream)
    while True:
        try:
            if not source.begin():
                return
            headers = source.headers()
            length = headers.get("content-length", "")
            if not re.fullmatch(r"\d{1,15}", length):
                raise ValueError(f"a record with Content-Length {length[:40]!r}")
            kind = headers.get("warc-type", "").lower()
            if int(length) > limit:
                source.skip(int(length))
                if kind in PAGES:
                    yield _error(headers, f"a record of {int(length):,} bytes, over {limit:,}")
                continue
            content = source.content(int(length))
        except (ValueError, zlib.error, EOFError) as error:
            yield ValueError(f"damaged at byte {source.position:,}: {error}")
            if not source.recover():
                return
            continue
        if kind not in PAGES:
            continue
        try:
            page = _response(headers, content, limit) if kind == "response" else _stored(headers, content)
        except ValueError as error:
            yield _error(headers, str(error))
        else:
            if page is not None:
                yield page


def _error(headers: dict[str, str], cause: str) -> ValueError:
    return ValueError(f"{_url(headers)[:200]}: {cause}")


def _url(headers: dict[str, str]) -> str:
    return headers.get("warc-target-uri", "").strip("<>")


class _Source:
    """Unpacked bytes of a stream, in a buffer that can be searched. `position` counts bytes of the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.buffer = bytearray()
        self.packed = b""
        """Read and not yet unpacked."""
        self.unpacker: zlib._Decompress | None = None
        self.is_packed: bool | None = None
        self.position = 0

    def _read(self) -> bytes:
        chunk = self.stream.read(CHUNK_BYTES)
        self.position += len(chunk)
        return chunk

    def fill(self) -> bool:
        """More bytes into the buffer; False at the end. Raises zlib.error, EOFError in a cut member."""
        if self.is_packed is None:
            self.packed = self._read()
            self.is_packed = self.packed.startswith(_GZIP)
        if not self.is_packed:
            chunk, self.packed = self.packed or self._read(), b""
            self.buffer += chunk
            return bool(chunk)
        while True:
            if not self.packed:
                self.packed = self._read()
                if not self.packed:
                    if self.unpacker is not None:
                        self.unpacker = None
                        raise EOFError("the file ends inside a gzip member")
                    return False
            if self.unpacker is None:
                self.packed = self.packed.lstrip(b"\0")  # padding between members
                if not self.packed:
                    continue
                self.unpacker = zlib.decompressobj(31)
            out = self.unpacker.decompress(self.packed, CHUNK_BYTES)
            if self.unpacker.eof:
                self.packed = self.unpacker.unused_data
                self.unpacker = None
            else:
                self.packed = self.unpacker.unconsumed_tail
            if out:
                self.buffer += out
                return True

    def begin(self) -> bool:
        """Pass over the empty lines before a record; False at the end of the stream."""
        while True:
            kept = self.buffer.lstrip(b"\r\n")
            if kept:
                self.buffer = kept
                return True
            self.buffer.clear()
            if not self.fill():
                return False

    def headers(self) -> dict[str, str]:
        while not (end := _HEADERS_END.search(self.buffer)):
            if len(self.buffer) > MOST_HEADER_BYTES:
                break
            if not self.fill():
                raise EOFError("the file ends inside a header")
        if not end or end.start() > MOST_HEADER_BYTES or not _BEGIN.match(self.buffer):
            raise ValueError("no WARC header where a record should begin")
        block = bytes(self.buffer[: end.start()])
        del self.buffer[: end.end()]
        return _fields(block)

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.fill():
                raise EOFError("the file ends inside a record")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def content(self, count: int) -> bytes:
        """`count` bytes, or those up to the next record if that begins among them: lengths may be wrong."""
        taken = self.take(count)
        while not (after := _AFTER.match(self.buffer)) and len(self.buffer) < MOST_BYTES_BETWEEN:
            if self.is_packed or not self.fill():
                break
        if not after or after[1] == b"WARC/":
            return taken
        self.buffer[:0] = taken
        end = _RECORD_END.search(self.buffer)
        return self.take(end.start() if end and end.start() < count else count)

    def skip(self, count: int) -> None:
        while len(self.buffer) < count:
            count -= len(self.buffer)
            self.buffer.clear()
            if not self.fill():
                raise EOFError("the file ends inside a record")
        del self.buffer[:count]

    def recover(self) -> bool:
        """Go to where the next record could begin; False if there is none."""
        del self.buffer[:1]  # or the same record would be found again
        while True:
            found = _BEGIN.search(self.buffer)
            if found:
                del self.buffer[: found.end()]
                return True
            del self.buffer[:-32]
            try:
                if not self.fill():
                    return False
            except (zlib.error, EOFError):
                if not self._next_member():
                    return False

    def _next_member(self) -> bool:
        """After damage in a gzip member, to the next bytes that look like the beginning of one."""
        self.unpacker = None
        self.buffer[:] = b"\n"  # a record begins at the beginning of a line
        self.packed = self.packed[1:]
        while True:
            offset = self.packed.find(_GZIP)
            if offset >= 0:
                self.packed = self.packed[offset:]
                return True
            chunk = self._read()
            if not chunk:
                return False
            self.packed = self.packed[-2:] + chunk


def _fields(block: bytes) -> dict[str, str]:
    """Names in lower case; the first line, which has no colon or a version, is left out."""
    fields: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _stored(headers: dict[str, str], content: bytes) -> Record | None:
    """A conversion or resource record, which has no HTTP headers."""
    if headers["warc-type"].lower() == "resource" and not _PAGE_ADDRESS.match(_url(headers) or "-"):
        return None
    kind, charset = _content_type(headers.get("content-type", "text/plain"))
    return Record(_url(headers), headers.get("warc-date", ""), kind, charset, content)


def _response(headers: dict[str, str], content: bytes, limit: int) -> Record | None:
    """The page in an HTTP response, None for other statuses and protocols (dns:)."""
    if not content.startswith(b"HTTP/"):
        return None
    if not re.match(rb"HTTP/\d(?:\.\d)?\s+2\d\d\b", content):
        return None
    end = _HEADERS_END.search(content, 0, MOST_HEADER_BYTES)
    if not end:
        raise ValueError("HTTP headers without an end")
    http = _fields(content[: end.start()])
    payload = content[end.end() :]
    codings = f"{http.get('content-encoding', '')},{http.get('transfer-encoding', '')}".lower()
    for coding in reversed(codings.split(",")):
        payload = _undone(payload, coding.strip(), limit)
    kind, charset = _content_type(http.get("content-type", ""))
    return Record(_url(headers), headers.get("warc-date", ""), kind, charset, payload)


def _content_type(value: str) -> tuple[str, str]:
    kind, _, parameters = value.partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", parameters, re.IGNORECASE)
    return kind.strip().lower(), charset[1] if charset else ""


def _joined_chunks(payload: bytes) -> bytes:
    """Without the chunk sizes; as it is if it has none, for crawlers join chunks and leave the header."""
    parts: list[bytes] = []
    offset = 0
    while True:
        size = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,200}\r\n").match(payload, offset)
        if not size:
            return b"".join(parts) if parts else payload
        count = int(size[1], 16)
        if not count:
            return b"".join(parts)
        parts.append(payload[size.end() : size.end() + count])
        offset = size.end() + count + 2


def _undone(payload: bytes, coding: str, limit: int) -> bytes:
    """Without a content or transfer coding. Crawlers undo it and leave the header: plain text stays.

    Raises ValueError for what is damaged, too long unpacked, or in a coding that is not known.
    """
    if coding in ("", "identity", "none"):
        return payload
    if coding == "chunked":
        return _joined_chunks(payload)
    if coding not in _UNPACKERS:
        if _looks_plain(payload):
            return payload
        raise ValueError(f"content encoding {coding[:40]!r} is not read")
    try:
        out = _UNPACKERS[coding](payload, limit + 1)
    except _ERRORS as error:
        if _looks_plain(payload):
            return payload
        raise ValueError(f"damaged {coding}: {' '.join(str(error).split())[:100]}") from None
    if len(out) > limit:
        raise ValueError(f"a page of more than {limit:,} bytes unpacked")
    return out


def _looks_plain(payload: bytes) -> bool:
    """Whether bytes are those of a page rather than packed ones, which soon have a control character."""
    head = payload[:1024]
    if head.startswith(_GZIP[:2]) or _CONTROL.search(head):
        return False
    try:
        return b"<" in head or bool(codecs.getincrementaldecoder("utf-8")().decode(head)) or not head
    except UnicodeDecodeError:
        return False


def _gunzip(payload: bytes, most: int) -> bytes:
    return zlib.decompressobj(31).decompress(payload, most)


def _inflate(payload: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj(15).decompress(payload, most)
    except zlib.error:
        return zlib.decompressobj(-15).decompress(payload, most)


def _unbrotli(payload: bytes, most: int) -> bytes:
    unpacker = brotli.Decompressor()
    out = bytearray(unpacker.process(payload, output_buffer_limit=most))
    while len(out) < most and not unpacker.is_finished():
        more = unpacker.process(b"", output_buffer_limit=most - len(out))
        if not more:
            raise ValueError("it is cut")
        out += more
    return bytes(out)


def _unzstandard(payload: bytes, most: int) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES)
    return unpacker.stream_reader(payload, read_across_frames=True).read(most)


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstandard,
}
_ERRORS = (zlib.error, brotli.error, zstandard.ZstdError, ValueError)
