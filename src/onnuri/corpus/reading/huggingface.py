"""Datasets through the `datasets` library, streamed: nothing is copied to a cache first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from onnuri.base import manifest
from onnuri.base.errors import UserError, nearest, optional_package
from onnuri.corpus.reading.files import one_line
from onnuri.corpus.reading.piece import Piece, Reading, add_record, stop_if_transient
from onnuri.corpus.reading.raw_text import Rows
from onnuri.corpus.source import Source

BYTES_ASSUMED = 1 << 27
"""Size of a shard on the hub, for progress."""


def pieces(number: int, source: Source) -> tuple[list[Piece], dict[str, str]]:
    """A piece for each shard of the split, and named hashes: of local files, or the commit on the hub.

    Raises UserError if the dataset cannot be opened or has no text column.
    """
    folder = Path(source.dataset).expanduser()
    hashes, commit, size = {}, "", 0
    if folder.is_dir():
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        if not found:
            raise UserError(f"dataset={source.dataset}: the folder is empty")
        for path in found:
            hashes[f"{source.name}/{path.relative_to(folder).as_posix()}"] = manifest.hash_file(path)
            size += path.stat().st_size
    else:
        commit = _commit(source)
        hashes = {source.dataset: commit}
    dataset = _open(source, commit)
    names = dataset.column_names or list(next(iter(dataset), {}))
    column = source.paths["text"]
    if names and column.split(".")[0] not in names:
        raise UserError(
            f"dataset={source.dataset} has no column '{column}'"
            f"{nearest(column, names)}; found: {', '.join(names)}; choose text_column=..."
        )
    shards = max(1, dataset.num_shards)
    each = size // shards if size else BYTES_ASSUMED
    return [
        Piece(number, source.name, commit, "dataset", shard, shards, each) for shard in range(shards)
    ], hashes


def _commit(source: Source) -> str:
    """The commit that the dataset has now, so that all workers read the same."""
    with optional_package("hf", "dataset=NAME"):
        from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(source.dataset).sha)
    except Exception as error:
        raise UserError(
            f"dataset={source.dataset} is no folder here and the hub does not answer for it: "
            f"{one_line(error)}"
        ) from None


def _open(source: Source, commit: str) -> Any:
    with optional_package("hf", "dataset="):
        from datasets import load_dataset

    folder = Path(source.dataset).expanduser()
    try:
        return load_dataset(
            str(folder) if folder.is_dir() else source.dataset,
            source.dataset_config or None,
            split=source.dataset_split,
            streaming=True,
            revision=commit or None,
        )
    except Exception as error:
        raise UserError(f"dataset={source.dataset} cannot be opened: {one_line(error)}") from None


def read(piece: Piece, source: Source, rows: Rows) -> Iterator[pa.RecordBatch]:
    """Raw rows of one shard. Rows are identified by their position: ids need not be unique across files."""
    shard = f"{source.dataset_config}/{source.dataset_split}/{piece.start}".lstrip("/")
    task = Reading(source, shard, rows, rows.limit)
    number = 0
    try:
        dataset = _open(source, piece.path).shard(piece.stop or 1, piece.start)
        for number, record in enumerate(dataset, 1):
            add_record(task, f"{shard}#{number}", record)
            yield from rows.full()
    except Exception as error:
        stop_if_transient(error)
        rows.add_unreadable(f"{shard}#{number + 1}", f"after row {number}: {one_line(error)}")
