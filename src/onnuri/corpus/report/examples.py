"""The beginnings of a few rejected texts for each reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.corpus.stages import personal_data

EXAMPLES_A_REASON = 3
EXAMPLE_CHARACTERS = 200

Examples = dict[tuple[str, str], list[str]]
"""(stage, reason up to its colon): beginnings of texts, personal data masked."""


def examples(folder: Path) -> Examples:
    """Examples from the rejected documents of a corpus folder."""
    found: Examples = {}
    for path in sorted((folder / "rejected").glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1024, columns=["stage", "reason", "text"]):
                _add(found, batch)
    return found


def _add(found: Examples, batch: pa.RecordBatch) -> None:
    heads = pc.list_element(pc.split_pattern(batch["reason"], ":", max_splits=1), 0)
    pairs = zip(batch["stage"].to_pylist(), heads.to_pylist(), strict=True)
    for row, key in enumerate(pairs):
        shown = found.setdefault(key, [])
        if len(shown) < EXAMPLES_A_REASON:
            shown.append(_example(batch["reason"][row].as_py(), batch["text"][row]))


def _example(reason: str, text: pa.Scalar) -> str:
    head = pc.utf8_slice_codeunits(text, 0, 2 * EXAMPLE_CHARACTERS).as_py()
    masked = personal_data.mask(pa.array([head], pa.large_string()))[0][0].as_py()
    detail = reason.partition(":")[2].strip()
    return (f"[{detail}] " if detail else "") + masked[:EXAMPLE_CHARACTERS]
