"""The files in a zip or a tar, one at a time and in memory: nothing is ever written to disk.

Names come out safe and composed (NFC), whichever of UTF-8, CP949 and CP437 they were stored in: Korean
Windows stores CP949 without saying so, and programs that read CP437 there pass that on as UTF-8. zipfile
and tarfile of the standard library do the parsing; around them stand limits on size, number and ratio.
libarchive would read more kinds and faster, but binds to a system library. Memory: one member, and a zip's
table of contents.
"""

from __future__ import annotations

import io
import re
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from onnuri.corpus.reading import compression

MOST_MEMBER_BYTES = 1 << 28
MOST_BYTES = 1 << 38
"""Of all members together: 256 GiB, four times the largest set on AI Hub."""
MOST_MEMBERS = 2_000_000
MOST_RATIO = 300
"""Unpacked to packed bytes, from RATIO_FROM on. JSON of one shape reaches 100, a bomb 1,030."""
RATIO_FROM = 4 << 20
MOST_NAME = 1_000
MOST_TAR_HEADER_BYTES = 1 << 20
"""Of a name or attributes that are stored as a member of their own."""

_RESOURCE_FORK = b"\0\5\x16\7"
_HANGUL = re.compile("[가-힣]")

Member = tuple[str, bytes | Exception]


def members(
    stream: BinaryIO, name: str = "", limit: int = MOST_MEMBER_BYTES, total: int = MOST_BYTES
) -> Iterator[Member]:
    """Name and content of each file of an archive, in its order; the first bytes decide the kind.

    `stream` must be seekable; `name` stands in messages only. What cannot be read is a ValueError in place
    of the content, with the cause in one line: encrypted, damaged, over `limit` bytes, a bomb, a hostile
    name (these go by "#" and their number). Damage that ends the reading comes as a last item called "".
    Folders, links, devices and the resource forks of macOS are passed over. Nothing is raised but what
    `stream` raises.
    """
    room = total
    number = 0
    try:
        found = _members(stream, limit)
        for number, (stored, content) in enumerate(found, 1):
            if number > MOST_MEMBERS:
                raise ValueError(f"more than {MOST_MEMBERS:,} members")
            room -= len(content) if isinstance(content, bytes) else 0
            if room < 0:
                raise ValueError(f"more than {total:,} bytes unpacked")
            try:
                safe = _safe_name(stored)
            except ValueError as error:
                yield f"#{number}", error
                continue
            fork = isinstance(content, bytes) and content.startswith(_RESOURCE_FORK)
            if not safe.startswith("__MACOSX/") and not (fork and safe.rpartition("/")[2].startswith("._")):
                yield safe, content
    except OSError:
        raise
    except Exception as error:  # zipfile and tarfile raise what they meet
        yield "", _damage(name, number, error)


def _members(stream: BinaryIO, limit: int) -> Iterator[Member]:
    content = compression.unpacked(stream)
    if not compression.is_unpacked(content):
        is_zip = content.read(2) == b"PK"
        content.seek(0)
        return _zip_members(content, limit) if is_zip else _tar_members(content, limit)
    bounded = cast(BinaryIO, _Bounded(content, stream))
    if cast(Any, content).peek(2)[:2] != b"PK":
        return _tar_members(bounded, limit)
    return _zip_members(io.BytesIO(bounded.read(limit)), limit)


def _damage(name: str, number: int, error: Exception) -> ValueError:
    cause = " ".join(str(error).split())[:200] or type(error).__name__
    return ValueError(f"archive {name} after {number:,} members: {cause}")


def _safe_name(stored: str) -> str:
    """The name with '/' and composed Hangul. Raises ValueError for one that leads out of the archive."""
    name = unicodedata.normalize("NFC", stored.replace("\\", "/"))
    while name.startswith("./"):
        name = name[2:]
    parts = name.split("/")
    if not name or len(name) > MOST_NAME or name[0] == "/" or ".." in parts or name[1:2] == ":":
        raise ValueError(f"a hostile name: {stored[:80]!r}")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise ValueError(f"a hostile name: {stored[:80]!r}")
    return name


def _name_of(raw: bytes, otherwise: str) -> str:
    for codec in ("utf-8", "cp949"):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return otherwise


def _from_cp437(stored: str) -> str:
    """A name declared as UTF-8 that is CP949 read as CP437, as it was: then it has Hangul."""
    if stored.isascii():
        return stored
    try:
        name = stored.encode("cp437").decode("cp949")
    except UnicodeError:
        return stored
    return name if _HANGUL.search(name) else stored


def _zip_members(stream: BinaryIO, limit: int) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            stored = entry.orig_filename
            if entry.flag_bits & 0x800:  # declared as UTF-8
                stored = _from_cp437(stored)
            else:
                stored = _name_of(stored.encode("cp437", "replace"), stored)
            if not stored.endswith(("/", "\\")):
                yield stored, _zip_content(archive, entry, limit)


def _zip_content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes | Exception:
    if entry.flag_bits & 1:
        return ValueError("encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        return ValueError(f"packed by method {entry.compress_type}, which is not read")
    if entry.file_size > limit:
        return ValueError(f"{entry.file_size:,} bytes, over {limit:,}")
    if entry.file_size > max(RATIO_FROM, MOST_RATIO * entry.compress_size):
        return ValueError(f"a bomb: {entry.file_size:,} bytes from {entry.compress_size:,}")
    try:
        with archive.open(entry) as file:
            return file.read(entry.file_size)
    except Exception as error:
        return ValueError(f"damaged: {' '.join(str(error).split())[:200] or type(error).__name__}")


class _Bounded:
    """What a compressed archive unpacks to, as far as its ratio is that of files."""

    def __init__(self, content: BinaryIO, packed: BinaryIO) -> None:
        self.content, self.packed = content, packed
        self.done = 0

    def read(self, size: int) -> bytes:
        out = self.content.read(size)
        self.done += len(out)
        if self.done > max(RATIO_FROM, MOST_RATIO * self.packed.tell()):
            raise ValueError(f"a bomb: {self.done:,} bytes from {self.packed.tell():,}")
        return out


_HEADER_KINDS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class _Header(tarfile.TarInfo):
    """tarfile reads long names and attributes whole, however long they say they are."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _HEADER_KINDS and header.size > MOST_TAR_HEADER_BYTES:
            raise ValueError(f"a header of {header.size:,} bytes")
        return header


def _tar_members(stream: BinaryIO, limit: int) -> Iterator[Member]:
    """The files of a tar, and of those that were put behind it (`cat a.tar b.tar`)."""
    rest: BinaryIO | None = stream
    while rest is not None:
        archive = tarfile.open(fileobj=rest, mode="r|", tarinfo=_Header, encoding="utf-8")  # noqa: SIM115
        for entry in archive:
            archive.members = []  # type: ignore[attr-defined]  # or it would keep every header
            if not entry.isreg():
                continue
            stored = entry.name
            if not stored.isprintable():
                stored = _name_of(stored.encode("utf-8", "surrogateescape"), stored)
            if entry.issparse():
                yield stored, ValueError("a sparse file, which is not read")
            elif entry.size > limit:
                yield stored, ValueError(f"{entry.size:,} bytes, over {limit:,}")
            else:
                file = archive.extractfile(entry)
                content = file.read() if file else b""
                if len(content) < entry.size:
                    raise ValueError(f"the archive ends inside {stored[:80]!r}")
                yield stored, content
        rest = _behind(archive, stream)


def _behind(archive: tarfile.TarFile, stream: BinaryIO) -> BinaryIO | None:
    """What follows the empty blocks at the end of a tar, None for nothing."""
    read = cast(Any, archive.fileobj)
    while block := read.read(tarfile.BLOCKSIZE):
        if block.strip(b"\0"):
            return cast(BinaryIO, _Behind(block + read.buf, stream))
    return None


class _Behind:
    """A stream of which some bytes were read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = head, rest

    def read(self, size: int) -> bytes:
        part, self.head = self.head[:size], self.head[size:]
        return part + self.rest.read(size - len(part)) if len(part) < size else part
