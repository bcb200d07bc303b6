"""Daft, set up for this house: silent without a terminal, no telemetry, fed by our readers.

Raw rows enter in windows of bounded bytes. A Daft 0.7 data source written in Python would be simpler,
but nothing holds its reading back: it has the whole input in memory before the first row comes out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.raw_text import SCHEMA, Part
from onnuri.corpus.recipe import Stage
from onnuri.corpus.stages import near_duplicates, pipeline
from onnuri.corpus.store import Position
from onnuri.errors import UserError

os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
if not sys.stderr.isatty():
    os.environ["DAFT_PROGRESS_BAR"] = "0"

import daft
from daft import DataType, Series, col
from daft.functions import when

WINDOW_BYTES = 32 << 20
STAGED_TYPE = DataType.from_arrow_type(pa.struct(list(pipeline.STAGED)))


def start(name: str, address: str) -> None:
    """Choose where Daft runs: in this process, or on a Ray cluster.

    Raises UserError when Ray is not installed or the cluster does not answer.
    """
    if name != "ray":
        return
    try:
        import ray
    except ImportError:
        raise UserError("engine=ray needs Ray: pip install -c constraints.txt 'onnuri[ray]'") from None
    try:
        ray.init(
            address=address or None, log_to_driver=False, include_dashboard=False if not address else None
        )
        daft.set_runner_ray(noop_if_initialized=True)
    except Exception as error:
        raise UserError(f"engine.address={address}: {' '.join(str(error).split())[:200]}") from None


def windows(parts: Sequence[Part], start: Position) -> Iterator[tuple[pa.Table, Position]]:
    """The input from `start` on, as tables of at least WINDOW_BYTES, and where each one ends."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for number in range(start.part, len(parts)):
        for done, batch in enumerate(parts[number].read(), 1):
            if number == start.part and done <= start.batch:
                continue
            waiting.append(batch)
            size += batch.nbytes
            if size >= WINDOW_BYTES:
                yield pa.Table.from_batches(waiting), Position(number, done)
                waiting, size = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting), Position(len(parts))


def processed(window: pa.Table, stages: Sequence[Stage]) -> pa.Table:
    """One window of raw rows taken through the stages: rows of pipeline.STAGED, in any order."""

    @daft.func.batch(return_dtype=STAGED_TYPE)
    def run(*columns: Series) -> Series:
        arrays = [column.to_arrow().cast(pa.large_string()) for column in columns]
        rows = pipeline.process(pa.table(arrays, schema=SCHEMA), stages).combine_chunks()
        return Series.from_arrow(rows.to_struct_array().combine_chunks())

    staged = daft.from_arrow(window).select(run(*map(col, SCHEMA.names)).alias("row"))
    names = pipeline.STAGED.names
    return staged.select(*(col("row").get(name).alias(name) for name in names)).to_arrow()


def verdicts(staged: Sequence[Path]) -> pa.Table:
    """Good rows that are copies of one that stays: id and reason. Reads no text.

    Of equal texts the smallest id stays. Of near duplicates the longest stays, then the smallest id.
    """
    if not staged:
        return pa.table({"id": pa.array([], pa.string()), "reason": pa.array([], pa.string())})
    rows = daft.read_parquet([str(path) for path in staged])
    good = rows.where((col("stage") == "") & col("digest").not_null())
    good = good.select("id", "digest", "sketch", "canonical_size")
    first = good.groupby("digest").agg(col("id").min().alias("first_id"))
    good = good.join(first, on="digest").sort("id").to_arrow()
    again = pc.not_equal(good["id"], good["first_id"])
    exact = good.filter(again)["id"]
    single = good.filter(pc.invert(again))
    ids = single["id"].combine_chunks()
    sketches = b"".join(
        chunk.buffers()[1][256 * chunk.offset : 256 * (chunk.offset + len(chunk))]
        for chunk in single["sketch"].chunks
    )
    bands = np.frombuffer(sketches, "<u8").reshape(len(ids), near_duplicates.NUM_BANDS)
    groups = near_duplicates.clusters(ids, bands)
    sizes = single["canonical_size"].to_numpy()
    stays = near_duplicates.keep(ids, bands, sizes, None, groups.representative)
    near = ids.filter(pa.array(~stays))
    reasons = ["duplicate"] * len(exact) + ["near duplicate"] * len(near)
    return pa.table({"id": pa.chunked_array([*exact.chunks, near]), "reason": pa.array(reasons)})


def in_order(staged: Sequence[Path], copies: pa.Table, ids: tuple[str, str]) -> Iterator[pa.RecordBatch]:
    """Staged rows with ids in [ids[0], ids[1]) by id; `copies` (see `verdicts`) are rejected."""
    first, end = ids
    rows = daft.read_parquet([str(path) for path in staged])
    rows = rows.where((col("id") >= first) & (col("id") < end))
    copies = copies.rename_columns(["id", "verdict"])
    rows = rows.exclude("digest", "sketch").join(daft.from_arrow(copies), on="id", how="left")
    copied = col("verdict").not_null()
    rows = rows.with_columns(
        {
            "stage": when(copied, daft.lit("dedup")).otherwise(col("stage")),
            "reason": when(copied, col("verdict")).otherwise(col("reason")),
        }
    )
    return rows.sort("id").to_arrow_iter(results_buffer_size=2)
