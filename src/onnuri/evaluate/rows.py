"""Rows of a benchmark's files as published: JSON (lines), CSV, TSV (.txt too), Parquet, also gzipped."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from onnuri.base.errors import UserError

MOST_BYTES = 1 << 30
"""Of one file, unpacked: benchmarks are small."""
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def find(pattern: str, folder: Path, task: str) -> list[Path]:
    """The files of a pattern, in order of their names. Raises UserError if there are none."""
    base = Path(pattern) if Path(pattern).is_absolute() else folder / pattern
    names = sorted(glob.glob(str(base), recursive=True))  # noqa: PTH207, of any path
    found = [Path(name) for name in names if Path(name).is_file()]
    if not found:
        raise UserError(f"task {task}: no file {base}")
    return found


def read(path: Path, columns: list[str], task: str) -> Iterator[dict[str, Any]]:
    """The rows of a file. Raises UserError if it cannot be read or a row lacks a column."""
    try:
        for number, row in enumerate(_rows(path), start=1):
            if not isinstance(row, dict):
                raise UserError(f"task {task}: {path}, row {number} is no table row: {str(row)[:60]!r}")
            if missing := [name for name in columns if name not in row]:
                raise UserError(
                    f"task {task}: {path}, row {number} has no column '{missing[0]}'; "
                    f"it has {', '.join(map(str, row))[:200]}"
                )
            yield row
    except (OSError, ValueError, EOFError, csv.Error) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"task {task}: {path} cannot be read: {' '.join(str(error).split())[:200]}"
        ) from None


def _rows(path: Path) -> Iterator[Any]:
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    kind = ending.removesuffix(".gz")
    if kind == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
        return
    if kind == ".txt":  # tabs, as NSMC has them
        kind = ".tsv"
    if kind not in ENDINGS:
        raise UserError(f"{path}: files of a task end in {', '.join(ENDINGS)}, also with .gz")
    text = _text(path)
    if kind == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):  # texts may have other line separators
            try:
                if line.strip():
                    yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    elif kind == ".json":
        whole = json.loads(text)
        # A list, or an object that holds one, as data sets of the hub and of SQuAD's kind do.
        yield from (
            whole
            if isinstance(whole, list)
            else next((value for value in whole.values() if isinstance(value, list)), [])
        )
    else:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if kind == ".csv" else csv.QUOTE_NONE
        rows = csv.DictReader(
            io.StringIO(text, newline=""),
            delimiter="," if kind == ".csv" else "\t",
            quoting=quoting,
            strict=True,
        )
        for row in rows:
            if None in row or None in row.values():
                raise UserError(f"{path}, line {rows.line_num}: not as many fields as the header")
            yield row


def _text(path: Path) -> str:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES >> 30} GiB")
    return data.decode("utf-8-sig")
