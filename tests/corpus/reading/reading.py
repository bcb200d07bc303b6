"""Files of a test, read as a run reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from onnuri.corpus.execution import units
from onnuri.corpus.reading import readers
from onnuri.corpus.source import Source

LIMIT = 1 << 16


class Read(NamedTuple):
    texts: list[str]
    problems: list[str]
    rows: list[dict[str, Any]]


def read(path: Path, content: bytes | str | None = None, **source: Any) -> Read:
    """The rows of a file, or of all files of a folder, with the content that it is given first."""
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    described = Source("x", input=str(path), unverified=True, **source)
    pieces, _ = units.pieces_of(0, described)
    rows = [row for batch in readers.read(pieces, described, LIMIT) for row in batch.to_pylist()]
    texts = [row["text"] for row in rows if not row["problem"]]
    return Read(texts, [row["problem"] for row in rows if row["problem"]], rows)
