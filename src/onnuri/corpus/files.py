"""Text files on disk: JSON lines, Parquet and plain text, plain or compressed.

Finding and checking them happens before anything is written, so that a wrong pattern or column is one
clear line. Reading never raises for bad content: what is broken becomes an `unreadable` row.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from onnuri.corpus.raw_text import ROWS_A_BATCH, TAKEN_OVER, Part, batches, row, unreadable
from onnuri.corpus.recipe import Source
from onnuri.errors import UserError, nearest

SUFFIXES = (".parquet", *(kind + packed for kind in (".jsonl", ".txt") for packed in ("", ".gz", ".zst")))
RECORDS_LOOKED_AT = 100
READ_ERRORS = (OSError, EOFError, ValueError, pa.ArrowException)


def find(pattern: str) -> dict[str, Path]:
    """Name (relative to the fixed part of the pattern) to path of every file that `pattern` means.

    Raises UserError when the folder is missing, nothing matches, or no match has a known suffix.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        root, matches = path.parent, [path]
    elif path.is_dir():
        root, matches = path, sorted(p for p in path.rglob("*") if p.is_file())
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
        matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207
        matches = [match for match in matches if match.is_file()]
    if not matches:
        raise UserError(f"input={pattern} matches no file")
    known = [match for match in matches if match.name.endswith(SUFFIXES)]
    if not known:
        raise UserError(
            f"input={pattern}: no file of a known kind, found {matches[0].name}; "
            f"known: {', '.join(SUFFIXES)}"
        )
    # File systems differ in how they compose Hangul in names; ids must not.
    return {unicodedata.normalize("NFC", match.relative_to(root).as_posix()): match for match in known}


def parts(source: Source, found: dict[str, Path]) -> list[Part]:
    """One part a file. Raises UserError for a missing or non-text column."""
    for path in found.values():
        _check_column(path, source.text_column)
    return [Part(name, partial(read, source, name, path)) for name, path in sorted(found.items())]


def read(source: Source, name: str, path: Path) -> Iterator[pa.RecordBatch]:
    """Raw rows of one file."""
    if path.name.endswith(".parquet"):
        return batches(_unique_origins(_parquet_rows(source, name, path)))
    if ".jsonl" in path.suffixes[-2:]:
        return batches(_unique_origins(_json_rows(source, name, path)))
    return batches(_text_file(source, name, path))


def open_bytes(path: Path) -> BinaryIO:
    """The decompressed bytes of a file."""
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if path.suffix == ".zst":
        import zstandard

        return zstandard.open(path, "rb")
    return path.open("rb")


def _json_rows(source: Source, name: str, path: Path) -> Iterator[dict[str, str]]:
    number = 0
    try:
        with open_bytes(path) as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _json_row(source, f"{name}#{number}", name, line)
    except READ_ERRORS as error:
        yield unreadable(source, f"{name}#{number + 1}", f"{name} after line {number}: {error}")
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "zstandard":
            raise
        yield unreadable(source, f"{name}#{number + 1}", f"{name} after line {number}: {error}")


def _json_row(source: Source, origin: str, name: str, line: bytes) -> dict[str, str]:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return unreadable(source, origin, error, line.decode("utf-8", "replace"))
    if not isinstance(record, dict):
        return unreadable(source, origin, "the line is no JSON object", line.decode("utf-8", "replace"))
    return record_row(source, origin, name, record)


def record_row(source: Source, origin: str, name: str, record: dict[str, Any]) -> dict[str, str]:
    """The raw row of a record with a text field and optional fields id, url, lang, source, ..."""
    text = record.get(source.text_column, "" if source.text_column in record else None)
    if text is None and source.text_column in record:
        text = ""
    if not isinstance(text, str):
        found = "is missing" if text is None else f"is a {type(text).__name__}, not text"
        return unreadable(source, origin, f"field '{source.text_column}' {found}")
    own = {key: str(record[key]) for key in TAKEN_OVER if record.get(key) not in (None, "")}
    if record.get("id") not in (None, ""):
        origin = f"{name}#id={record['id']}"
    return row(source, origin, text, own=own)


def _unique_origins(rows: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    # Ids in the wild repeat within a file. Each repetition stays a document of its own.
    seen: dict[bytes, int] = {}
    for entry in rows:
        name = f"{entry['source']}\0{entry['origin']}".encode("utf-8", "replace")
        key = hashlib.blake2b(name, digest_size=16).digest()
        count = seen.get(key, 0)
        seen[key] = count + 1
        if count:
            entry["origin"] += f"\0{count + 1}"
        yield entry


def _parquet_rows(source: Source, name: str, path: Path) -> Iterator[dict[str, str]]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            columns = [c for c in ("id", source.text_column, *TAKEN_OVER) if c in file.schema_arrow.names]
            for batch in file.iter_batches(ROWS_A_BATCH, columns=list(dict.fromkeys(columns))):
                for record in _records(batch):
                    number += 1
                    if isinstance(record, UnicodeDecodeError):
                        yield unreadable(source, f"{name}#{number}", record)
                    else:
                        yield record_row(source, f"{name}#{number}", name, record)
    except READ_ERRORS as error:
        yield unreadable(source, f"{name}#{number + 1}", f"{name} after row {number}: {error}")


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for index in range(batch.num_rows):
        try:
            yield batch.slice(index, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            yield error


def _text_file(source: Source, name: str, path: Path) -> Iterator[dict[str, str]]:
    try:
        with open_bytes(path) as stream:
            yield row(source, name, stream.read().decode("utf-8-sig"))
    except READ_ERRORS as error:
        yield unreadable(source, name, f"{name}: {error}")
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "zstandard":
            raise
        yield unreadable(source, name, f"{name}: {error}")


def _check_column(path: Path, column: str) -> None:
    """Raise UserError if the file can be read and surely has no text in `column`."""
    names: dict[str, None] = {}
    if path.name.endswith(".parquet"):
        try:
            schema = pq.read_schema(path)
        except READ_ERRORS:
            return
        names = dict.fromkeys(schema.names)
        if column in names:
            kind = schema.field(column).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (
                pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            ):
                raise UserError(
                    f"column '{column}' of {path} holds {kind}, not text; choose text_column=..."
                )
            return
    elif ".jsonl" in path.suffixes[-2:]:
        try:
            with open_bytes(path) as stream:
                for _, line in zip(range(RECORDS_LOOKED_AT), stream, strict=False):
                    try:
                        record = json.loads(line.decode("utf-8-sig"))
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(record, dict):
                        names |= dict.fromkeys(record)
        except Exception:
            return  # reading will name the damage, row by row
    if names and column not in names:
        raise UserError(
            f"{path} has no column '{column}'{nearest(column, names)}; "
            f"found: {', '.join(names)}; choose text_column=..."
        )
