"""Columns of Parquet that hold texts in another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpus.reading.reading import Read, read

TEXTS = ["강가의 마을에서는 나무를 심는다.", "위원들은 계획을 이야기했다.", ""]
RAW = [text.encode() for text in TEXTS]
TURNS = [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": TEXTS[1]}]


def table(path: Path, column: Any, **source: Any) -> Read:
    pq.write_table(pa.table({"text": column}), path / "a.parquet")
    return read(path / "a.parquet", **source)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(RAW, pa.binary()),
        pa.array(RAW, pa.large_binary()),
        pa.array(RAW, pa.binary_view()),
        pa.array(RAW, pa.binary()).dictionary_encode(),
        pa.array([*RAW[:2], None], pa.binary()),
        pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array([[text] for text in TEXTS]),
        pa.array([[raw] for raw in RAW], pa.list_(pa.binary())),
        pa.array([text.encode("cp949") for text in TEXTS], pa.binary()),
    ],
    ids=str,
)
def test_texts_of_any_type(column: pa.Array, tmp_path: Path) -> None:
    found = table(tmp_path, column)
    assert (found.texts, found.problems) == (TEXTS, [])


def test_bytes_that_are_no_text_are_rejected_alone(tmp_path: Path) -> None:
    found = table(tmp_path, pa.array([RAW[0], bytes(range(256)), RAW[1]], pa.binary()))
    assert found.texts == TEXTS[:2] and len(found.problems) == 1
    johab = pa.array([text.encode("johab") for text in TEXTS], pa.binary())
    assert table(tmp_path, johab, encoding="johab").texts == TEXTS


def test_records_have_one_reason_however_deep(tmp_path: Path) -> None:
    reason = "not text"
    for column in (pa.array([TURNS]), pa.array([TURNS[0]]), pa.array([[TURNS]])):
        (problem,) = table(tmp_path, column).problems
        assert reason in problem and "text_column could be text.role, text.content" in problem
    assert table(tmp_path, pa.array([TURNS]), text_column="text.content").texts == ["\n".join(TEXTS[:2])]


def test_a_shard_of_nulls_has_empty_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS[:2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": pa.nulls(3)}), tmp_path / "b.parquet")
    found = read(tmp_path)
    assert (found.texts, found.problems) == ([*TEXTS[:2], "", "", ""], [])
