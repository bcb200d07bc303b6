"""Daft, set up for this house: silent without a terminal, no telemetry, fed by our readers.

Raw rows enter in windows of bounded bytes. A Daft 0.7 data source written in Python would be simpler,
but nothing holds its reading back: it has the whole input in memory before the first row comes out.
"""

from __future__ import annotations

import hashlib
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus import language
from onnuri.corpus.raw_text import Part

os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
if not sys.stderr.isatty():
    os.environ["DAFT_PROGRESS_BAR"] = "0"

import daft
from daft import DataType, Series, col
from daft.functions import when

WINDOW_BYTES = 32 << 20
PREPARED = ("id", "digest", "text", "lang", "reason")
PREPARED_TYPE = DataType.struct({name: DataType.string() for name in PREPARED})
CARRIED_OVER = ("source", "license", "legal_basis", "url")


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


def prepared(parts: list[Part]) -> Iterator[pa.RecordBatch]:
    """Every raw row, prepared: batches of the columns in PREPARED and CARRIED_OVER."""
    columns = [col(name) for name in ("origin", "text", "source", "lang", "problem")]
    for window in windows(batch for part in parts for batch in part.read()):
        rows = daft.from_arrow(window)
        rows = rows.select(prepare(*columns).alias("row"), *(col(name) for name in CARRIED_OVER))
        rows = rows.select(
            *(col("row").get(name).alias(name) for name in PREPARED), *map(col, CARRIED_OVER)
        )
        yield from rows.to_arrow_iter()


def windows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches as tables of at least `WINDOW_BYTES`, the last one aside."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= WINDOW_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


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
