"""What there is to read, cut into units of like size: the grain of parallel work and of going on again.

A unit is a few small files, or a range of a large one. The cut depends on the input alone, not on the
machine, so that every machine and cluster writes the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from onnuri.base import manifest
from onnuri.base.errors import UserError, nearest
from onnuri.corpus import opt_out
from onnuri.corpus.reading import delimited, discovery, files, readers, tables
from onnuri.corpus.reading.discovery import Found
from onnuri.corpus.reading.files import File
from onnuri.corpus.reading.piece import Piece
from onnuri.corpus.recipe import Recipe
from onnuri.corpus.source import Source

LEAST_BYTES, MOST_BYTES = 4 << 20, 128 << 20
UNITS_WANTED = 64
COMPRESSION = 3
"""Bytes of text for a byte of gzip or Zstandard, roughly."""
FILES_LOOKED_INTO = 64
FILES_NAMED = 1000
"""A source of more files is one line in the manifest."""


@dataclass(frozen=True)
class Unit:
    """Pieces that one worker reads into one file."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of input."""
        return sum(piece.size for piece in self.pieces)


def plan(recipe: Recipe) -> tuple[list[Unit], dict[str, str], dict[str, Any]]:
    """Everything there is to read, the hash of each input by name, and the counts of files by source
    (`Found.counts`).

    Raises UserError when something is missing, or a file has no text where the source says.
    """
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    file_counts: dict[str, Any] = {}
    for number, source in enumerate(recipe.sources):
        source_pieces, source_hashes, found = _source(number, source)
        pieces += source_pieces
        hashes |= source_hashes
        if found:
            file_counts[source.name] = found.counts()
        if source.opt_out:
            opt_out.entries(source.opt_out)
            hashes[f"opt-out of {source.name}"] = manifest.hash_file(files.local(source.opt_out))
    target = min(max(sum(piece.size for piece in pieces) // UNITS_WANTED, LEAST_BYTES), MOST_BYTES)
    encodings = [source.encoding for source in recipe.sources]
    return list(_units(_split(pieces, target, encodings), target)), hashes, file_counts


def _source(number: int, source: Source) -> tuple[list[Piece], dict[str, str], Found | None]:
    if source.dataset:
        from onnuri.corpus.reading import huggingface

        return *huggingface.pieces(number, source), None
    if source.python:
        from onnuri.corpus.reading import python_library

        modules = python_library.find(source.python)
        hashes = {name: manifest.hash_file(path) for name, path in modules.items()}
        size = source.max_bytes or LEAST_BYTES
        piece = Piece(number, source.name, "", source.python, size=size)
        return [piece], {f"python {source.python}": manifest.hash_json(hashes)}, None
    pieces, found = pieces_of(number, source)
    return pieces, _hashes(source, found.files), found


def pieces_of(number: int, source: Source) -> tuple[list[Piece], Found]:
    """A piece for each file of a source that names files, and what was found.

    Raises UserError when there is none, or the first ones have no text where the source says.
    """
    if source.package:
        from onnuri.corpus.reading import packages

        found = Found(f"package {source.package}", packages.find(source.package, source.files))
    else:
        found = discovery.find(source.input)
    pieces: list[Piece] = []
    for file, form in discovery.with_formats(found, source):
        if len(pieces) < FILES_LOOKED_INTO:
            _check_column(file, form, source)
        pieces.append(Piece(number, file.name, file.path, form, size=_text_bytes(file, form)))
    return pieces, found


def _hashes(source: Source, found: list[File]) -> dict[str, str]:
    with ThreadPoolExecutor() as pool:
        each = pool.map(files.identity, found)
        bar = tqdm(each, f"hashing {source.name}", len(found), unit="file", disable=None, leave=False)
        hashes: dict[str, str] = {}
        for file, value in zip(found, bar, strict=True):
            # Names that differ in bytes that are no text, or in how Hangul is composed, are one here.
            before = hashes.get(file.name)
            hashes[file.name] = manifest.hash_json([before, value]) if before else value
    if len(hashes) > FILES_NAMED:
        return {f"{source.name} ({len(hashes)} files)": manifest.hash_json(hashes)}
    return {f"{source.name}/{name}": value for name, value in hashes.items()}


def _text_bytes(file: File, form: str) -> int:
    packed = form in ("parquet", "archive", "hwp", "hwpx") or file.name.lower().endswith(files.PACKED)
    return file.size * (COMPRESSION if packed else 1)


def _split(pieces: list[Piece], target: int, encodings: list[str]) -> Iterator[Piece]:
    """Large files that can be read from the middle, cut into ranges."""
    for piece in pieces:
        if piece.size <= target:
            yield piece
        elif piece.form == "parquet":
            yield from _row_groups(piece, target)
        elif piece.form in ("jsonl", "lines") and readers.is_plain_utf8(piece, encodings[piece.source]):
            cuts = [*range(0, piece.size, target), piece.size]
            for start, stop in zip(cuts, [*cuts[1:-1], None], strict=False):
                size = (piece.size if stop is None else stop) - start
                yield Piece(piece.source, piece.name, piece.path, piece.form, start, stop, size)
        else:
            yield piece


def _row_groups(piece: Piece, target: int) -> Iterator[Piece]:
    try:
        with files.open_raw(piece.path) as stream:
            metadata = pq.ParquetFile(stream).metadata
            sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    except (OSError, pa.ArrowException):
        yield piece  # reading will name the damage
        return
    start = size = 0
    for number, bytes_here in enumerate(sizes):
        size += bytes_here
        if size >= target or number + 1 == len(sizes):
            yield Piece(piece.source, piece.name, piece.path, piece.form, start, number + 1, size)
            start, size = number + 1, 0


def _units(pieces: Iterator[Piece], target: int) -> Iterator[Unit]:
    """Neighbours of one source together up to the target."""
    waiting: list[Piece] = []
    number = size = 0
    for piece in pieces:
        other = waiting and waiting[0].source != piece.source
        if waiting and (other or size + piece.size > target):
            yield Unit(number, tuple(waiting))
            number, waiting, size = number + 1, [], 0
        waiting.append(piece)
        size += piece.size
    if waiting:
        yield Unit(number, tuple(waiting))


def _check_column(file: File, form: str, source: Source) -> None:
    """Raise UserError if the file can be read and surely has no text where the source says."""
    path = source.paths["text"]
    names: dict[str, None] = {}
    try:
        if form == "parquet":
            with files.open_raw(file.path) as stream:
                schema = pq.read_schema(stream)
            names = dict.fromkeys(schema.names)
            if path in names:
                _check_type(file, path, schema.field(path).type)
        elif form == "jsonl":
            names = _jsonl_names(file)
        elif form in ("csv", "tsv"):
            with files.open_bytes(file.path) as stream:
                names = dict.fromkeys(delimited.header_of(stream, source.encoding, form == "tsv"))
    except UserError:
        raise
    except (OSError, EOFError, ValueError, pa.ArrowException):
        return  # reading will name the damage, row by row
    if names and path not in names and path.split(".")[0] not in names:
        raise UserError(
            f"{file.path} has no column '{path}'{nearest(path, names)}; "
            f"found: {', '.join(names)}; choose text_column=..."
        )


def _check_type(file: File, path: str, kind: pa.DataType) -> None:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (
        tables.is_text(kind) or tables.is_binary(kind) or pa.types.is_null(kind) or pa.types.is_nested(kind)
    ):
        raise UserError(f"column '{path}' of {file.path} holds {kind}, not text; choose text_column=...")


def _jsonl_names(file: File) -> dict[str, None]:
    import json

    from onnuri.corpus.reading.compression import is_unpacked
    from onnuri.corpus.reading.lines import lines

    names: dict[str, None] = {}
    try:
        with files.open_bytes(file.path) as stream:
            packed = is_unpacked(stream)
            for _, line in zip(range(100), lines(stream, 1 << 20, packed=packed), strict=False):
                if line.size == len(line.content) and line.content.strip():
                    try:
                        record = json.loads(line.content.decode("utf-8-sig"))
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(record, dict):
                        names |= dict.fromkeys(record)
    except Exception:
        return {}
    return names
