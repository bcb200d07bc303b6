"""What a stage is: everything that the rest of the corpus package must know of it, stated once.

To add a stage, write a module that exports `STAGE` and name it in `table.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.config.paths import PATH

COMMAND = "command"
"""Key in the metadata of an option: the name that it has on the command line of `onnuri corpus`."""
NO_COLUMNS = pa.schema([])


@dataclass
class NoOptions:
    """Nothing to set."""


@dataclass(frozen=True)
class Bars:
    """A chart of the report: a bar for each value that the stage has counted."""

    counts: str
    """Key of the stage's counts that holds value to count."""
    title: str
    label: Callable[[str], str | None] = lambda value: value
    """From a value to what the report calls it; None for the value itself."""
    note: str = "documents · 문서"


@dataclass(frozen=True)
class Table:
    """A table of the report: a line for each entry that the stage has counted."""

    counts: str
    """Key of the stage's counts that holds name to entry."""
    title: str
    heads: tuple[str, ...]
    cells: Callable[[Any], Sequence[str]]
    """From an entry to what stands behind its name, a text for each of `heads` but the first."""


@dataclass(frozen=True)
class AllDocuments:
    """How a stage judges documents that it has to compare with each other.

    `Stage.run` then only measures, without a look at other documents. The verdicts follow when all have
    been measured; stages that come later see the documents that are left.
    """

    measured: pa.Schema
    """Columns that `run` adds for the comparison and that no document keeps."""
    decide: Callable[[Sequence[Path], Any, Path], None]
    """Takes measured documents (`execution.store.STAGED`, files in order), the options and a folder. Writes
    there `verdict-NUMBER.parquet` for each `unit-NUMBER.parquet`: for each row the reason, "" to keep it,
    and the stage's columns."""
    kept_columns: tuple[str, ...] = ()
    """What a corpus keeps of its documents, in its folder `sketches`, for later ones to compare with."""


@dataclass(frozen=True)
class Stage:
    """A stage of the corpus pipeline. At most one of a recipe may need all documents."""

    name: str
    run: Callable[[pa.Table, Any], pa.Table]
    """From good documents and the options to the same rows with new texts, reasons ("" to keep the
    document, else "head: detail") and columns; see `with_columns`."""
    title: str
    """What the report calls the stage."""
    options: type = NoOptions
    """Dataclass of what a recipe can set. It raises UserError for values that it refuses."""
    columns: pa.Schema = NO_COLUMNS
    """Columns that the stage adds to a document; null where it did not run."""
    by_default: bool = False
    """Whether recipes that list no stages have it."""
    needs_all_documents: AllDocuments | None = None
    inputs: Callable[[Any], dict[str, str]] = lambda options: {}
    """From the options to the hash of everything else that the stage reads, by name. Raises UserError."""
    prepare: Callable[[Any, Path], Any] = lambda options, folder: options
    """Called once before `run`: from the options and a folder, which all workers see, to those of `run`."""
    summary: Callable[[pa.Table, Any], Mapping[str, Any]] = lambda rows, options: {}
    """From documents that are done, rejected ones (with a reason) among them, and the options of `run` to
    counts: numbers and mappings of numbers, which are added up."""
    total: Callable[[dict[str, Any], Any], Mapping[str, Any]] = lambda counts, options: counts
    """From the summed counts of a corpus and the options of `run` to what manifest and report hold."""
    charts: tuple[Bars | Table, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    """From the head of a reason to what the report calls it."""
    notes: Callable[[Mapping[str, Any]], list[str]] | None = None
    """From a document to what `onnuri corpus explain` prints for the stage; None for all its columns."""


def paths_of(options: Any) -> Iterator[str]:
    """The files and folders that the options of a stage name."""
    for each in fields(options):
        if each.metadata.get(PATH):
            value = getattr(options, each.name)
            yield from value if isinstance(value, list) else [value]


def with_columns(rows: pa.Table, **columns: Any) -> pa.Table:
    """The rows with some columns replaced, each cast to the type that it has.

    Raises ValueError, with the name of the column, for values that are not of its kind or number.
    """
    for name, values in columns.items():
        index, field = rows.schema.get_field_index(name), rows.schema.field(name)
        try:
            array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
            rows = rows.set_column(
                index, field, array if array.type == field.type else array.cast(field.type)
            )
        except pa.ArrowException as error:
            raise ValueError(f"column {name}: {error}") from error
    return rows


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A table's column as one array."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def empty_reason(texts: pa.Array) -> pa.Array:
    """The reason "empty" for texts without a visible character, "" for others."""
    return pc.if_else(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0), "empty", "")


def counts_of(values: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, as text; null and "" are no values."""
    found = ((entry["values"], entry["counts"]) for entry in values.value_counts().to_pylist())
    return {str(value): count for value, count in found if value not in (None, "")}


def notes(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """What columns hold of a document, in words; nothing of those without a value."""
    found = []
    for name in columns:
        value = row[name]
        if isinstance(value, dict):
            found += [f"{kind} {count}" for kind, count in value.items() if count]
        elif value not in (None, "", []):
            shown = f"{value:.3g}" if isinstance(value, float) else value
            found.append(f"{name.replace('_', ' ')} {shown}")
    return found
