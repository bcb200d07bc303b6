"""The stages that look at one document at a time, in their order, over a batch.

A row that a stage rejects keeps the stage's name and a reason, and later stages do not see it. What a
stage measures stays with the row as columns. `sizes` holds the bytes of text that entered each stage, -1
for one that the row never reached, so that the report can say what every stage did to every source.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus import language
from onnuri.corpus.recipe import Stage
from onnuri.corpus.stages import describe, filter, near_duplicates, normalise, personal_data, spam

READ = "read"
SKETCH_BYTES = 8 * near_duplicates.NUM_BANDS
MEASURED = pa.schema(
    [
        ("register", pa.string()),
        ("hangul_ratio", pa.float32()),
        ("hanja_ratio", pa.float32()),
        ("final_line_share", pa.float32()),
        ("characters", pa.int32()),
        ("lines", pa.int32()),
        ("personal_data", pa.struct([(kind, pa.int32()) for kind in personal_data.KINDS])),
    ]
)
"""Columns that stages add; null where the stage did not run."""
CARRIED = ("source", "lang", "license", "legal_basis", "url")
STAGED = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        *((name, pa.string()) for name in CARRIED),
        *MEASURED,
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("sizes", pa.list_(pa.int64())),
        ("digest", pa.binary(16)),
        ("sketch", pa.binary(SKETCH_BYTES)),
        ("canonical_size", pa.int64()),
    ]
)
"""A document on its way. stage, reason: "" while it is good. digest, sketch, canonical_size: for dedup."""


def process(raw: pa.Table, stages: Sequence[Stage]) -> pa.Table:
    """Take raw rows (raw_text.SCHEMA) through the stages.

    Returns a table of STAGED, good rows and rejected ones, in the order they came in.
    """
    rows = first_look(raw)
    sizes = np.full((raw.num_rows, len(stages) + 1), -1, dtype=np.int64)
    sizes[:, 0] = pc.binary_length(raw["text"]).to_numpy()
    finished = []
    for place, name in enumerate((READ, *(stage.name for stage in stages))):
        if place:
            sizes[rows["row"].to_numpy(), place] = pc.binary_length(rows["text"]).to_numpy()
            rows = WORK[name](rows, stages[place - 1].options)
        good = pc.equal(rows["reason"], "")
        bad = rows.filter(pc.invert(good))
        finished.append(put(bad, stage=pa.array([name] * bad.num_rows, pa.string())))
        rows = rows.filter(good)
    whole = pa.concat_tables([*finished, rows]).sort_by("row")
    unknown = pc.equal(whole["lang"], "")
    if pc.any(unknown).as_py():
        found = language.detect(whole["text"].combine_chunks())
        whole = put(whole, lang=pc.if_else(unknown, pc.cast(found, pa.string()), whole["lang"]))
    whole = whole.append_column("sizes", pa.array(list(sizes), pa.list_(pa.int64())))
    return whole.select(STAGED.names).cast(STAGED)


def first_look(raw: pa.Table) -> pa.Table:
    """Ids, NFC, and the rejects of reading: unreadable and empty rows.

    NFC composes Hangul syllables and leaves every character its meaning; NFKC would not.
    """
    names = zip(raw["source"].to_pylist(), raw["origin"].to_pylist(), strict=True)
    ids = [hashlib.sha256(f"{name}\0{place}".encode()).hexdigest()[:32] for name, place in names]
    texts = pa.array((unicodedata.normalize("NFC", t) for t in raw["text"].to_pylist()), pa.large_string())
    problem = raw["problem"].cast(pa.string())
    count = raw.num_rows
    return pa.table(
        {
            "row": np.arange(count),
            "id": pa.array(ids, pa.string()),
            "text": texts,
            **{name: raw[name].cast(pa.string()) for name in CARRIED},
            **{name: pa.nulls(count, MEASURED.field(name).type) for name in MEASURED.names},
            "stage": pa.array([""] * count, pa.string()),
            "reason": pc.if_else(pc.equal(problem, ""), empty(texts), problem),
            "digest": pa.nulls(count, pa.binary(16)),
            "sketch": pa.nulls(count, pa.binary(SKETCH_BYTES)),
            "canonical_size": pa.nulls(count, pa.int64()),
        }
    )


def empty(texts: pa.Array) -> pa.Array:
    """The reason "empty" for texts without a visible character."""
    return pc.if_else(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0), "empty", "")


def put(rows: pa.Table, **columns: Any) -> pa.Table:
    """The rows with some columns replaced."""
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    return rows


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A table's column as one array."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _normalise(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts = normalise.normalise(one_array(rows["text"]), **options)
    return put(rows, text=texts, reason=empty(texts))


def _describe(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    found = describe.describe(one_array(rows["text"]), one_array(rows["lang"]), **options)
    names = [found.type.field(i).name for i in range(found.type.num_fields)]
    return put(rows, **{name: pc.struct_field(found, name) for name in names})


def _filter(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts, spam_reasons = spam.clean(one_array(rows["text"]))
    rules = {name: replace(rules, **options.get(name, {})) for name, rules in filter.RULES.items()}
    reasons = filter.reasons(texts, one_array(rows["lang"]), rules)
    return put(rows, text=texts, reason=pc.if_else(pc.equal(spam_reasons, ""), reasons, spam_reasons))


def _pii(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts, counts = personal_data.mask(one_array(rows["text"]), **options)
    return put(rows, text=texts, personal_data=counts.cast(MEASURED.field("personal_data").type))


def _dedup(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts = one_array(rows["text"])
    digests = [hashlib.blake2b(value.as_buffer(), digest_size=16).digest() for value in texts]
    sketches = np.ascontiguousarray(near_duplicates.band_hashes(texts))
    sizes = pc.cast(pc.utf8_length(near_duplicates.canonical(texts)), pa.int64())
    return put(
        rows,
        digest=pa.array(digests, pa.binary(16)),
        sketch=pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(SKETCH_BYTES), len(texts), [None, pa.py_buffer(sketches.tobytes())]
        ),
        canonical_size=sizes,
    )


WORK: dict[str, Callable[[pa.Table, Mapping[str, Any]], pa.Table]] = {
    "normalise": _normalise,
    "describe": _describe,
    "filter": _filter,
    "pii": _pii,
    "dedup": _dedup,
}
"""What each stage does to a batch of good rows. dedup only measures here; its verdict needs all rows."""
