"""Reading a finished corpus folder, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

BATCH_BYTES = 8 << 20


def read_documents(
    folder: str | Path, split: str, columns: Sequence[str]
) -> Iterator[dict[str, list[Any]]]:
    """Documents of one split (train or heldout) in file order.

    Yields column name to values, about BATCH_BYTES of text at a time, so memory stays bounded even when
    single documents are large.
    """
    import pyarrow.parquet as pq

    names = list(dict.fromkeys([*columns, "text"]))
    for path in sorted((Path(folder) / "documents").glob(f"{split}-*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=names):
                start = 0
                while start < batch.num_rows:
                    size, stop = 0, start
                    while stop < batch.num_rows and (stop == start or size < BATCH_BYTES):
                        size += len(batch["text"][stop].as_buffer())
                        stop += 1
                    yield {name: batch[name].slice(start, stop - start).to_pylist() for name in columns}
                    start = stop
