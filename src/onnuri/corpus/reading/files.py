"""Files by path or URL: opened, and named in the same way on every machine.

Local paths need nothing but the standard library. URLs (s3://, hf://datasets/..., https://) go through
fsspec, whose packages for them (s3fs, aiohttp) are loaded when such a URL is met.
"""

from __future__ import annotations

import gzip
import io
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from onnuri import manifest
from onnuri.errors import UserError

PACKED = ("", ".gz", ".zst")
SUFFIXES: dict[str, tuple[str, ...]] = {
    "parquet": (".parquet",),
    "jsonl": tuple(kind + packed for kind in (".jsonl", ".ndjson") for packed in PACKED),
    "text": tuple(kind + packed for kind in (".txt", ".md") for packed in PACKED),
    "json": tuple(f".json{packed}" for packed in PACKED),
    "yaml": (".yaml", ".yml"),
    "html": (".html", ".htm", ".xhtml"),
    "warc": (".warc", ".warc.gz", ".wet", ".wet.gz"),
    "hwp": (".hwp",),
    "hwpx": (".hwpx",),
    "archive": (".zip", ".tar", ".tar.gz", ".tgz"),
}
"""Format to the suffixes it goes by; the longest suffix that fits a name wins."""


@dataclass(frozen=True)
class File:
    """A file that a source means."""

    name: str
    """Relative to the fixed part of the pattern, with '/' and composed Hangul: everywhere the same."""
    path: str
    """Local path or URL."""
    size: int


def format_of(name: str) -> str:
    """The format that a file name's suffix stands for, "" for none."""
    name = name.lower()
    fits = [(suffix, form) for form, suffixes in SUFFIXES.items() for suffix in suffixes]
    return max(((len(s), form) for s, form in fits if name.endswith(s)), default=(0, ""))[1]


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it. Raises UserError if there is none."""
    import fsspec

    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url))
    except (ImportError, ValueError) as error:
        raise UserError(f"input={url}: {one_line(error)}") from None


def clean_name(name: str) -> str:
    """A file's name as text, with composed Hangul."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def identity(file: File) -> str:
    """sha256 of a local file; of a remote one what its store gives as checksum, or size and time."""
    if "://" not in file.path:
        return manifest.hash_file(Path(file.path))
    system, path = file_system(file.path)
    info = system.info(path)
    lfs = info.get("lfs") or {}
    found = next((info[k] for k in ("ETag", "etag", "blob_id") if info.get(k)), None)
    return str(lfs.get("sha256") or found or f"{info.get('size')} bytes, {info.get('LastModified', '')}")


def local(path: str) -> Path:
    """A path as typed, with ~ for the home folder."""
    return Path(path).expanduser()


def open_raw(path: str) -> BinaryIO:
    """The bytes of a file as they lie there."""
    if "://" not in path:
        return Path(path).open("rb")
    system, inner = file_system(path)
    return cast(BinaryIO, system.open(inner, "rb"))


def open_bytes(path: str) -> BinaryIO:
    """The decompressed bytes of a file."""
    return unpacked(open_raw(path), path)


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """The decompressed bytes of a stream, by the suffix (.gz, .zst) of its name."""
    if name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if name.lower().endswith(".zst"):
        return cast(BinaryIO, io.BufferedReader(Unzstandard(stream), 1 << 17))
    return stream


class Unzstandard(io.RawIOBase):
    """The content of Zstandard frames. Unlike zstandard's own reader it says when the last one was cut.

    Raises EOFError for a frame without end, ValueError for a damaged one.
    """

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._stream = stream
        self._context = zstandard.ZstdDecompressor()
        self._error = zstandard.ZstdError
        self._frame: Any = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not len(self._ready):
            # So little that the most highly compressed of it, 128 kB in 4 bytes, still fits in memory.
            packed = self._stream.read(2048)
            if not packed:
                if self._frame is not None:
                    raise EOFError("Compressed file ended before the end of its last frame")
                return 0
            self._ready = memoryview(self._unpacked(packed))
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpacked(self, packed: bytes) -> bytes:
        found = []
        while packed:
            if self._frame is None:
                self._frame = self._context.decompressobj()
            try:
                found.append(self._frame.decompress(packed))
            except self._error as error:
                raise ValueError(f"no valid Zstandard: {error}") from None
            packed = b""
            if self._frame.eof:
                packed, self._frame = self._frame.unused_data, None
        return b"".join(found)

    def close(self) -> None:
        self._stream.close()
        super().close()


def one_line(error: object, most: int = 300) -> str:
    """An error in one line of bounded length."""
    return " ".join(str(error).split())[:most] or type(error).__name__
