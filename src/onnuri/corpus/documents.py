"""Reading a finished corpus folder, batch by batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onnuri.base.errors import UserError

BATCH_BYTES = 8 << 20


class Part(NamedTuple):
    """A row group of one of the corpus' files: what one worker reads at a time."""

    path: Path
    row_group: int
    rows: int


def corpus_parts(folder: str | Path, split: str) -> list[Part]:
    """The parts of one split (train or heldout), in file order."""
    import pyarrow.parquet as pq

    parts = []
    for path in sorted((Path(folder) / "documents").glob(f"{split}-*.parquet")):
        metadata = pq.read_metadata(path)
        rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        parts += [Part(path, number, count) for number, count in enumerate(rows) if count]
    return parts


@contextlib.contextmanager
def _damage_named(path: Path, *errors: type[BaseException]) -> Iterator[None]:
    """Turn errors of the Parquet reader into one that names the file."""
    try:
        yield
    except errors as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from None


def read_part(part: Part, columns: Sequence[str]) -> Iterator[Any]:
    """Arrow record batches of one part with `columns` (text among them).

    One batch holds about BATCH_BYTES of text, so memory stays bounded even when documents are large. It is
    read in the caller's thread: the workers that share the parts are the threads.

    Raises UserError if the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _damage_named(part.path, pa.ArrowException, OSError), pq.ParquetFile(part.path) as file:
        groups, names = [part.row_group], list(columns)
        for batch in file.iter_batches(1024, row_groups=groups, columns=names, use_threads=False):
            batch.validate(full=True)  # among other things: text is UTF-8, which compiled code relies on
            _, offsets = text_bytes(batch["text"])
            start = 0
            while start < batch.num_rows:
                fits = int(offsets.searchsorted(offsets[start] + BATCH_BYTES, side="right")) - 1
                stop = max(start + 1, fits)
                yield batch.slice(start, stop - start)
                start = stop


def read_documents(
    folder: str | Path, split: str, columns: Sequence[str]
) -> Iterator[dict[str, list[Any]]]:
    """Documents of one split in file order: column name to values, a batch at a time."""
    names = list(dict.fromkeys([*columns, "text"]))
    for part in corpus_parts(folder, split):
        for batch in read_part(part, names):
            yield {name: batch[name].to_pylist() for name in columns}


def text_bytes(column: Any) -> tuple[Any, Any]:
    """An Arrow string column as it lies in memory: UTF-8 bytes (uint8) and offsets (int64, rows + 1)."""
    import numpy as np
    import pyarrow as pa

    column = column.cast(pa.large_string())
    _, stored, text = column.buffers()
    offsets = np.frombuffer(stored, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(text or b"\0", dtype=np.uint8), offsets
