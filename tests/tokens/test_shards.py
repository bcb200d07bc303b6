"""Shards on disk: every document comes back, from a shard of its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.tokens.shards import TokenShards
from tests.soak import tries
from tests.tokens.shard_files import write


@settings(max_examples=tries(10, 120), deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    shard_tokens=st.integers(1, 300),
    num_sources=st.integers(1, 4),
    data=st.data(),
)
def test_documents_come_back_and_reads_cross_shard_borders(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    shard_tokens: int,
    num_sources: int,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    documents = write(folder, lengths, shard_tokens, num_sources=num_sources)
    shards = TokenShards.open(folder, "train")
    by_source = sorted(range(len(lengths)), key=lambda number: (number % num_sources, number))
    tokens = np.concatenate([documents[number] for number in by_source])
    assert shards.num_tokens == len(tokens)
    start = data.draw(st.integers(0, len(tokens)))
    count = data.draw(st.integers(0, len(tokens) - start))
    assert shards.read(start, count).tolist() == tokens[start : start + count].tolist()
    for row, number in zip(shards.documents(), by_source, strict=True):
        assert int(row["id"].decode(), 16) == number
        assert (row["length"], row["bytes"]) == (lengths[number], 3 * lengths[number])
        assert (row["source"], row["lang"]) == (number % num_sources, number % 2)
        found = shards.read(int(row["offset"]), int(row["length"]))
        assert found.tolist() == documents[number].tolist()
    for shard, source in enumerate(shards.sources):
        assert set(shards.document_table(shard)["source"].tolist()) == {source}


def test_reads_outside_are_errors(tmp_path: Path) -> None:
    write(tmp_path, [10], 100)
    shards = TokenShards.open(tmp_path, "train")
    for start, count in ((-1, 2), (9, 2), (11, 0)):
        with pytest.raises(IndexError):
            shards.read(start, count)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    for content in (b"x" * 200, b"\x93NUMPY\x01\x00", b""):
        (tmp_path / "train-00000-00000.tokens.npy").write_bytes(content)
        with pytest.raises(UserError, match=r"train-00000-00000.tokens.npy is damaged: no whole") as error:
            TokenShards.open(tmp_path, "train")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65536, "uint16"), (65537, "uint32")])
def test_dtype_follows_the_vocabulary(vocab_size: int, dtype: str, tmp_path: Path) -> None:
    (tokens,) = write(tmp_path, [500], 10_000, vocab_size)
    shards = TokenShards.open(tmp_path, "train")
    assert shards.dtype.name == dtype
    assert isinstance(shards.shards[0], np.memmap)
    assert shards.read(0, 500).tolist() == tokens.tolist()
