"""Spans of trained tokens move with their documents, whatever the sources and shards."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.tokens.shards import DOCUMENT, TRAINED, SplitWriter, TokenShards, load_array


@given(
    st.lists(st.tuples(st.integers(2, 40), st.integers(0, 2)), min_size=1, max_size=30),
    st.sampled_from([1, 2]),
    st.integers(30, 120),
    st.integers(1, 9),
)
def test_spans_follow(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[int, int]],
    together: int,
    shard_tokens: int,
    batch: int,
) -> None:
    folder: Path = tmp_path_factory.mktemp("shards")
    drawn = [each for each in drawn for _ in range(together)]
    writer = SplitWriter(folder, "train", np.dtype("<u4"), shard_tokens, together)
    number = itertools.count()
    for place in range(0, len(drawn), batch * together):
        part = drawn[place : place + batch * together]
        documents = np.zeros(len(part), DOCUMENT)
        documents["length"], documents["source"] = zip(*part, strict=True)
        documents["offset"] = np.cumsum(documents["length"]) - documents["length"]
        documents["id"] = [f"{next(number):032d}".encode() for _ in part]
        tokens = np.zeros(int(documents["length"].sum()), np.uint32)
        trained = []
        for row in documents:
            start, length = int(row["offset"]), int(row["length"])
            trained += [(start, 1)] + ([(start + 2, length - 3)] if length > 3 else [])
        spans = np.array(trained, TRAINED)
        for start, length in trained:  # what is trained on has the number of its document
            own = documents["id"][np.searchsorted(documents["offset"], start, side="right") - 1]
            tokens[start : start + length] = int(own) + 1
        writer.add(tokens, documents, spans)
    writer.close()
    shards = TokenShards.open(folder, "train")
    assert writer.trained_tokens() == sum(int((shard > 0).sum()) for shard in shards.shards)
    for shard, path in zip(shards.shards, shards.document_files, strict=True):
        table, trained_rows = (
            load_array(path),
            load_array(path.with_name(path.name.replace("documents", "trained"))),
        )
        assert len(table) % together == 0 and len(set(table["source"].tolist())) == 1
        assert len(table) == together or len(shard) <= shard_tokens
        mask = np.zeros(len(shard), bool)
        for start, length in trained_rows.tolist():
            assert not mask[start : start + length].any()
            mask[start : start + length] = True
        assert np.array_equal(mask, np.asarray(shard) > 0)
        for row in table:
            own = np.asarray(shard)[int(row["offset"]) : int(row["offset"]) + int(row["length"])]
            assert set(own.tolist()) <= {0, int(row["id"]) + 1}
