"""Datasets through the `datasets` library, streamed: nothing is copied to a cache first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from onnuri.corpus.files import record_row
from onnuri.corpus.raw_text import Part, batches, unreadable
from onnuri.corpus.recipe import Source
from onnuri.errors import UserError, nearest


def find(source: Source) -> tuple[dict[str, Path], dict[str, str]]:
    """Local files behind the dataset, and named hashes for what is not a local file.

    A dataset on the hub is pinned to the commit it has now; that commit is recorded as its hash.
    """
    folder = Path(source.dataset).expanduser()
    if folder.is_dir():
        files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
        if not files:
            raise UserError(f"dataset={source.dataset}: the folder is empty")
        return {f"{source.name}/{name}": path for name, path in files.items()}, {}
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(source.dataset).sha
    except Exception as error:
        raise UserError(
            f"dataset={source.dataset} is no folder here and the hub does not answer for it: "
            f"{_one_line(error)}"
        ) from None
    return {}, {source.dataset: str(commit)}


def parts(source: Source, commits: dict[str, str]) -> list[Part]:
    """The split as one part. Raises UserError if it cannot be opened or has no text column."""
    dataset = _open(source, commits.get(source.dataset))
    names = dataset.column_names or list(next(iter(dataset), {}))
    if names and source.text_column not in names:
        raise UserError(
            f"dataset={source.dataset} has no column '{source.text_column}'"
            f"{nearest(source.text_column, names)}; found: {', '.join(names)}; choose text_column=..."
        )
    return [Part(source.name, partial(_read, source, commits.get(source.dataset)))]


def _open(source: Source, commit: str | None) -> Any:
    from datasets import load_dataset

    folder = Path(source.dataset).expanduser()
    try:
        return load_dataset(
            str(folder) if folder.is_dir() else source.dataset,
            source.dataset_config or None,
            split=source.dataset_split,
            streaming=True,
            revision=commit,
        )
    except Exception as error:
        raise UserError(f"dataset={source.dataset} cannot be opened: {_one_line(error)}") from None


def _read(source: Source, commit: str | None) -> Iterator[pa.RecordBatch]:
    return batches(_rows(source, commit))


def _rows(source: Source, commit: str | None) -> Iterator[dict[str, str]]:
    number = 0
    try:
        for record in _open(source, commit):
            number += 1
            # By position, not by the record's id, which need not be unique across the dataset's files.
            entry = record_row(source, f"{source.dataset_split}#{number}", source.dataset_split, record)
            entry["origin"] = f"{source.dataset_config}/{source.dataset_split}#{number}"
            yield entry
    except Exception as error:
        yield unreadable(
            source, f"{source.dataset_split}#{number + 1}", f"after row {number}: {_one_line(error)}"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
