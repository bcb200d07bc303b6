"""Files by path, glob or URL: found, opened, and named in the same way on every machine.

Local paths need nothing but the standard library. URLs (s3://, hf://datasets/..., https://) go through
fsspec, whose packages for them (s3fs, aiohttp) are loaded when such a URL is met.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from onnuri import manifest
from onnuri.corpus.reading import compression
from onnuri.errors import UserError

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


def find(pattern: str) -> list[File]:
    """Every file that `pattern` means, by name.

    Raises UserError when the folder is missing or nothing matches.
    """
    pattern = pattern.removeprefix("file://")
    try:
        files = _find_remote(pattern) if "://" in pattern else _find_local(pattern)
    except OSError as error:
        raise UserError(f"input={pattern[:200]}: {error.strerror or error}") from None
    if not files:
        raise UserError(f"input={pattern} matches no file")
    return sorted(files, key=lambda file: (file.name, file.path))


def format_of(name: str) -> str:
    """The format that a file name's suffix stands for, "" for none."""
    name = without_packing(name).lower()
    return next((form for form, suffixes in SUFFIXES.items() if name.endswith(suffixes)), "")


def without_packing(name: str) -> str:
    """The name without the suffix of a compression."""
    return name.rpartition(".")[0] if name.lower().endswith(PACKED) else name


def _find_local(pattern: str) -> list[File]:
    path = Path(pattern).expanduser()
    if path.is_file():
        root, matches = path.parent, [path]
    elif path.is_dir():
        root, matches = path, list(_walk(path))
    else:
        fixed = []
        for piece in path.parts:
            if glob.has_magic(piece):
                break
            fixed.append(piece)
        root = Path(*fixed)
        if len(fixed) == len(path.parts):
            raise UserError(f"input={pattern} does not exist")
        if not root.is_dir():
            raise UserError(f"input={pattern}: folder {root} does not exist")
        matches = [Path(p) for p in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    # A link may lead back up: a file counts once, under its shortest name.
    first: dict[str, Path] = {}
    for match in sorted(matches, key=lambda match: (len(match.parts), str(match))):
        if match.is_file():
            first.setdefault(os.path.realpath(match), match)
    # File systems differ in how they compose Hangul in names, and allow bytes that are no text.
    return [
        File(_clean_name(match.relative_to(root).as_posix()), str(match), match.stat().st_size)
        for match in first.values()
    ]


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder. Raises OSError for a folder that cannot be read: none is passed over."""

    def stop(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=stop):
        yield from (Path(place) / name for name in names)


def _find_remote(pattern: str) -> list[File]:
    try:
        system, path = _file_system(pattern)
        if glob.has_magic(path):
            root = path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0]
            matches = system.glob(path)
        elif system.isdir(path):
            root, matches = path.rstrip("/"), system.find(path)
        else:
            root, matches = path.rpartition("/")[0], [path]
        entries = [(match, system.info(match)) for match in matches]
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"input={pattern}: {one_line(error)}") from None
    return [
        File(
            _clean_name(match.removeprefix(root).lstrip("/")),
            system.unstrip_protocol(match),
            info["size"] or 0,
        )
        for match, info in entries
        if info["type"] == "file"
    ]


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url))
    except (ImportError, ValueError) as error:
        raise UserError(f"input={url}: {one_line(error)}") from None


def _clean_name(name: str) -> str:
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def identity(file: File) -> str:
    """sha256 of a local file; of a remote one what its store gives as checksum, or size and time."""
    if "://" not in file.path:
        return manifest.hash_file(Path(file.path))
    system, path = _file_system(file.path)
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
    system, inner = _file_system(path)
    return cast(BinaryIO, system.open(inner, "rb"))


def open_bytes(path: str) -> BinaryIO:
    """The decompressed bytes of a file."""
    return compression.unpacked(open_raw(path), owned=True)


def one_line(error: object) -> str:
    """An error in one line of bounded length."""
    return " ".join(str(error).split())[:300] or type(error).__name__
