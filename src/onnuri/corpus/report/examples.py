"""The beginnings of a few rejected texts for each reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnuri.corpus.stages.pii.mask import mask

EXAMPLES_A_REASON = 3
EXAMPLE_CHARACTERS = 200

Examples = dict[tuple[str, str], list[str]]
"""(stage, reason up to its colon): beginnings of texts, personal data masked."""


def examples(folder: Path, by_stage: Mapping[str, int]) -> Examples:
    """Examples from the rejected documents of a corpus folder, of which there are "stage/reason": count.

    Reads texts only of row groups that hold what is still wanted, and stops when nothing is.
    """
    wanted = {}
    for key, count in by_stage.items():
        stage, _, reason = key.partition("/")
        wanted[stage, reason] = min(count, EXAMPLES_A_REASON)
    found: Examples = {}
    for path in sorted((folder / "rejected").glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                if not any(wanted.values()):
                    return found
                _add(found, wanted, file, group)
    return found


def _add(found: Examples, wanted: dict[tuple[str, str], int], file: pq.ParquetFile, group: int) -> None:
    table = file.read_row_group(group, columns=["stage", "reason"])
    heads = pc.list_element(pc.split_pattern(table["reason"], ":", max_splits=1), 0)
    rows = []
    for row, key in enumerate(zip(table["stage"].to_pylist(), heads.to_pylist(), strict=True)):
        if wanted[key]:
            wanted[key] -= 1
            rows.append((row, key))
    if not rows:
        return
    texts = file.read_row_group(group, columns=["text"])["text"].take(np.array([row for row, _ in rows]))
    for (row, key), text in zip(rows, texts, strict=True):
        found.setdefault(key, []).append(_example(table["reason"][row].as_py(), text))


def _example(reason: str, text: pa.Scalar) -> str:
    head = pc.utf8_slice_codeunits(text, 0, 2 * EXAMPLE_CHARACTERS).as_py()
    masked = mask(pa.array([head], pa.large_string()))[0][0].as_py()
    detail = reason.partition(":")[2].strip()
    return (f"[{detail}] " if detail else "") + masked[:EXAMPLE_CHARACTERS]
