"""dedup: of texts that are equal or nearly so one stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config.paths import path_option
from onnuri.corpus.stages.dedup import near_duplicates, verdicts
from onnuri.corpus.stages.stage import (
    COMMAND,
    AllDocuments,
    Bars,
    Stage,
    counts_of,
    one_array,
    with_columns,
)
from onnuri.corpus.text.hashes import text_hashes

SKETCH_BYTES = 8 * near_duplicates.NUM_BANDS


@dataclass
class DedupOptions:
    """What already counts as a copy."""

    against: list[str] = path_option(default_factory=list, metadata={COMMAND: "against"})
    """Finished corpus folders (against=...)."""


def inputs(options: DedupOptions) -> dict[str, str]:
    """The earlier corpora. Raises UserError for one that cannot be compared with."""
    found = {}
    for number, folder in enumerate(options.against, 1):
        earlier = manifest.read_whole(folder, "corpus")
        if earlier.counts["kept"] and not any(name.startswith("sketches/") for name in earlier.files):
            raise UserError(f"against={folder} was made without the stage dedup: nothing to compare with")
        found[f"against {number} {Path(folder).name}"] = earlier.identity
    return found


def run(rows: pa.Table, options: Any) -> pa.Table:
    """The stage: only measures, since the verdict needs all documents."""
    texts = one_array(rows["text"])
    bands, lengths = near_duplicates.sketches(texts)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(bands).tobytes())]
    return with_columns(
        rows,
        digest=pa.array(text_hashes((), texts), pa.binary(16)),
        sketch=pa.FixedSizeBinaryArray.from_buffers(pa.binary(SKETCH_BYTES), len(texts), buffers),
        canonical_size=pa.array(lengths, pa.int64()),
    )


def decide(staged: Sequence[Path], options: DedupOptions, folder: Path) -> None:
    """The verdicts, in files of `folder`."""
    verdicts.decide(staged, [Path(each) for each in options.against], folder)


def summary(rows: pa.Table, options: Any) -> Mapping[str, Any]:
    """Kept documents by their copies: the power of two at or below the number of them, itself included."""
    kept = rows.filter(pc.equal(rows["reason"], ""))
    powers = pc.floor(pc.log2(kept["cluster_size"])).cast(pa.int32())
    return {"copies": {str(2 ** int(power)): n for power, n in counts_of(powers).items()}}


def notes(row: Mapping[str, Any]) -> list[str]:
    """How often the document was found."""
    if row["cluster_size"] is None:
        return []
    return ["no copy" if row["cluster_size"] == 1 else f"{row['cluster_size']} copies"]


def _copies(power_of_two: str) -> str:
    first, last = int(power_of_two), 2 * int(power_of_two) - 1
    return f"{first:,}" if last == first else f"{first:,} – {last:,}"


STAGE = Stage(
    name="dedup",
    run=run,
    title="duplicates · 중복",
    options=DedupOptions,
    columns=pa.schema([("cluster", pa.string()), ("cluster_size", pa.int32())]),
    by_default=True,
    needs_all_documents=AllDocuments(
        measured=pa.schema(
            [
                ("digest", pa.binary(16)),
                ("sketch", pa.binary(SKETCH_BYTES)),
                ("canonical_size", pa.int64()),
            ]
        ),
        decide=decide,
        kept_columns=verdicts.KEPT_COLUMNS,
    ),
    inputs=inputs,
    summary=summary,
    charts=(
        Bars(
            "copies",
            "Copies of a kept document · 남은 문서의 사본 수",
            _copies,
            note="How often a document that stays was found, itself included. · 자신을 포함한 횟수",
        ),
    ),
    reasons={
        "duplicate": "equal text · 완전 중복",
        "near duplicate": "near duplicate · 유사 중복",
        "too many candidates": "template, not compared · 서식 과다, 비교 생략",
    },
    notes=notes,
)
"""Column cluster: the id that names a set of copies."""
