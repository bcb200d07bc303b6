"""Files by path or URL: opened, and named in the same way on every machine.

Local paths need nothing but the standard library. URLs (s3://, hf://datasets/..., https://) go through
fsspec, whose packages for them (s3fs, aiohttp) are loaded when such a URL is met.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.reading import compression

PACKED = (".gz", ".zst", ".xz", ".bz2")
SUFFIXES: dict[str, tuple[str, ...]] = {
    "parquet": (".parquet",),
    "jsonl": (".jsonl", ".ndjson"),
    "text": (".txt", ".md"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "yaml": (".yaml", ".yml"),
    "html": (".html", ".htm", ".xhtml"),
    "warc": (".warc", ".wet"),
    "hwp": (".hwp",),
    "hwpx": (".hwpx",),
    "archive": (".zip", ".tar", ".tgz", ".tbz2", ".txz"),
}
"""Format to the suffixes it goes by, each also with one of PACKED behind it."""


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
    name = without_packing(name).lower()
    return next((form for form, suffixes in SUFFIXES.items() if name.endswith(suffixes)), "")


def without_packing(name: str) -> str:
    """The name without the suffix of a compression."""
    return name.rpartition(".")[0] if name.lower().endswith(PACKED) else name


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
    return compression.unpacked(open_raw(path), owned=True)


def one_line(error: object, most: int = 300) -> str:
    """An error in one line of bounded length."""
    return " ".join(str(error).split())[:most] or type(error).__name__
