"""Daft, set up for this house: silent without a terminal, no telemetry, fed by our readers.

Each part of the input is one task of a Daft data source, so readers stay plain generators of Arrow
batches and the engine decides how many run at once, here or on a cluster.
"""

from __future__ import annotations

import hashlib
import os
import sys
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus import language
from onnuri.corpus.raw_text import SCHEMA, Part

os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
if not sys.stderr.isatty():
    os.environ["DAFT_PROGRESS_BAR"] = "0"

import daft
from daft import DataType, Series, col
from daft.functions import when
from daft.io.source import DataSource, DataSourceTask
from daft.recordbatch import RecordBatch

RAW_SCHEMA = daft.Schema.from_pyarrow_schema(SCHEMA)
PREPARED = ("id", "digest", "text", "lang", "reason")
PREPARED_TYPE = DataType.struct({name: DataType.string() for name in PREPARED})
CARRIED_OVER = ("source", "license", "legal_basis", "url")


class PartTask(DataSourceTask):
    """Reads one part."""

    def __init__(self, part: Part) -> None:
        self.part = part

    @property
    def schema(self) -> Any:
        return RAW_SCHEMA

    async def read(self) -> AsyncIterator[RecordBatch]:
        for batch in self.part.read():
            yield RecordBatch.from_arrow_record_batches([batch], SCHEMA)


class PartSource(DataSource):
    """All parts of a corpus."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts

    @property
    def name(self) -> str:
        return "raw text"

    @property
    def schema(self) -> Any:
        return RAW_SCHEMA

    async def get_tasks(self, pushdowns: Any) -> AsyncIterator[PartTask]:
        for part in self.parts:
            yield PartTask(part)


@daft.func.batch(return_dtype=PREPARED_TYPE)
def prepare(origin: Series, text: Series, source: Series, lang: Series, problem: Series) -> Series:
    """Give each raw row its id, its text in NFC, a digest of that text, a language and a reject reason.

    NFC composes Hangul syllables and leaves every character its meaning; NFKC would not.
    """
    names = zip(source.to_arrow().to_pylist(), origin.to_arrow().to_pylist(), strict=True)
    ids = [hashlib.sha256(f"{name}\0{place}".encode()).hexdigest()[:32] for name, place in names]
    texts = [unicodedata.normalize("NFC", value) for value in text.to_arrow().to_pylist()]
    digests = [hashlib.blake2b(value.encode(), digest_size=16).hexdigest() for value in texts]
    empty = [not value or value.isspace() for value in texts]
    normal, given, problems = pa.array(texts, pa.large_string()), lang.to_arrow(), problem.to_arrow()
    unknown = pc.equal(given, "")
    if pc.any(unknown).as_py():
        given = pc.if_else(unknown, language.detect(normal), given)
    empty_reason = pc.if_else(pa.array(empty), "empty", "")
    reasons = pc.if_else(pc.equal(problems, ""), empty_reason, problems)
    columns = [pa.array(ids), pa.array(digests), normal, given, reasons]
    large = [column.cast(pa.large_string()) for column in columns]
    return Series.from_arrow(pa.StructArray.from_arrays(large, list(PREPARED)))


def prepared(parts: list[Part]) -> daft.DataFrame:
    """Every raw row, prepared: the columns in PREPARED and CARRIED_OVER."""
    rows = PartSource(parts).read()
    columns = [col(name) for name in ("origin", "text", "source", "lang", "problem")]
    rows = rows.select(prepare(*columns).alias("row"), *(col(name) for name in CARRIED_OVER))
    return rows.select(*(col("row").get(name).alias(name) for name in PREPARED), *map(col, CARRIED_OVER))


def duplicates(staged: list[str]) -> daft.DataFrame:
    """Ids of the rows whose text another row with a smaller id has too. Reads no text."""
    good = daft.read_parquet(staged).where(col("reason") == "").select("id", "digest")
    first = good.groupby("digest").agg(col("id").min().alias("first_id"))
    return good.join(first, on="digest").where(col("id") != col("first_id")).select("id").collect()


def in_order(staged: list[str], repeated: daft.DataFrame) -> daft.DataFrame:
    """Rows of the staged files by id, with the reason "duplicate" set for the repeated ones."""
    flagged = repeated.with_column("repeated", daft.lit(True))
    rows = daft.read_parquet(staged).join(flagged, on="id", how="left")
    reason = when(col("repeated").not_null(), daft.lit("duplicate")).otherwise(col("reason"))
    rows = rows.with_column("reason", reason).exclude("repeated")
    return rows.sort("id")
