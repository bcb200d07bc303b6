"""What every reader gives: Arrow batches of raw rows, good and bad ones alike.

A row that cannot be read travels on with its `problem`, so that it ends up among the rejected
documents with a reason and is counted, instead of stopping the run or vanishing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onnuri.corpus.recipe import Source

COLUMNS = ("origin", "text", "source", "lang", "license", "legal_basis", "url", "problem")
SCHEMA = pa.schema([(name, pa.large_string()) for name in COLUMNS])
TAKEN_OVER = ("source", "lang", "license", "legal_basis", "url")
ROWS_A_BATCH = 2048
BYTES_A_BATCH = 4 << 20


@dataclass(frozen=True)
class Part:
    """A piece of input that is read on its own: a file, or a whole source."""

    name: str
    read: Callable[[], Iterator[pa.RecordBatch]]


def row(
    source: Source, origin: str, text: str, problem: str = "", own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """One raw row: the source's description, overridden by what the record says of itself."""
    described = {name: getattr(source, name) for name in TAKEN_OVER if name != "source"}
    described["source"] = source.name
    described |= {name: value for name, value in (own or {}).items() if value}
    return {"origin": origin, "text": text, "problem": problem, **described}


def unreadable(source: Source, origin: str, cause: object, text: str = "") -> dict[str, str]:
    """A row that says what could not be read."""
    return row(
        source, origin, _storable(text), "unreadable: " + _storable(" ".join(str(cause).split()))[:300]
    )


def batches(rows: Iterable[dict[str, str]]) -> Iterator[pa.RecordBatch]:
    """Rows as record batches of bounded rows and bytes. A lone surrogate makes a row unreadable."""
    waiting: list[dict[str, Any]] = []
    size = 0
    for entry in rows:
        size += len(entry["text"])
        waiting.append(_checked(entry))
        if len(waiting) >= ROWS_A_BATCH or size >= BYTES_A_BATCH:
            yield pa.RecordBatch.from_pylist(waiting, schema=SCHEMA)
            waiting, size = [], 0
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, schema=SCHEMA)


def _checked(entry: dict[str, str]) -> dict[str, str]:
    try:
        "".join(entry.values()).encode()
    except UnicodeEncodeError:
        entry = {name: _storable(value) for name, value in entry.items()}
        entry["problem"] = entry["problem"] or "unreadable: lone surrogate in the text"
    return entry


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
