"""describe: language, register and make-up of each document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.stages.describe import language_id, measures
from onnuri.corpus.stages.stage import Bars, Stage, counts_of, one_array, with_columns

HANJA_SHARE = 0.01
"""From this share of its characters on a document counts as one with Hanja."""
COLUMNS = pa.schema(
    [
        ("register", pa.string()),
        ("hangul_ratio", pa.float32()),
        ("hanja_ratio", pa.float32()),
        ("final_line_share", pa.float32()),
        ("characters", pa.int32()),
        ("lines", pa.int32()),
    ]
)
REGISTERS = {
    "formal": "formal · 하십시오체",
    "polite": "polite · 해요체",
    "plain": "plain · 해라체/문어체",
    "intimate": "intimate · 해체",
    "mixed": "mixed · 섞임",
    "none": "no Korean ending · 종결어미 없음",
}


def run(rows: pa.Table, options: Any) -> pa.Table:
    """The stage: what `measures` finds, and the language of texts in Latin letters by a model."""
    given, texts = one_array(rows["lang"]), one_array(rows["text"])
    found = measures.describe(texts, given)
    columns = {field.name: pc.struct_field(found, field.name) for field in found.type}
    # "en" so far means Latin letters; a model tells whether they are English.
    unsure = pc.and_(pc.equal(given, ""), pc.equal(columns["lang"], "en"))
    if pc.any(unsure).as_py():
        named, _ = language_id.identify(texts.filter(unsure))
        named = pc.if_else(pc.equal(named, "und"), "en", named)
        columns["lang"] = pc.replace_with_mask(columns["lang"], unsure, named)
    return with_columns(rows, **columns)


def summary(rows: pa.Table, options: Any) -> Mapping[str, Any]:
    """Kept documents by register, and how many have Hanja."""
    kept = rows.filter(pc.equal(rows["reason"], ""))
    hanja = pc.sum(pc.greater_equal(kept["hanja_ratio"], HANJA_SHARE)).as_py() or 0
    return {"registers": counts_of(kept["register"]), "with_hanja": hanja}


STAGE = Stage(
    name="describe",
    run=run,
    title="describe · 특성 기록",
    columns=COLUMNS,
    by_default=True,
    summary=summary,
    charts=(Bars("registers", "Register of Korean sentences · 문체", REGISTERS.get),),
)
