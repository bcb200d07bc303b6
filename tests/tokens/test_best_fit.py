"""Documents laid into rows: nothing lost, nothing cut that fits, as tight as best fit decreasing."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.tokens.best_fit import best_fit, lay_out
from onnuri.tokens.shards import DOCUMENT
from tests.soak import tries
from tests.tokens.shard_files import open_loader, write


def documents_of(lengths: list[int]) -> np.ndarray:
    documents = np.zeros(len(lengths), dtype=DOCUMENT)
    documents["length"] = lengths
    documents["offset"] = np.cumsum(lengths) - lengths
    return documents


def one_by_one(lengths: list[int], capacity: int) -> list[int]:
    """Room left in each row when items are placed singly, as the books have it."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [(room, row) for row, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting)[1]] -= length
        else:
            rooms.append(capacity - length)
    return sorted(rooms)


@settings(max_examples=tries(75, 1200), deadline=None)
@given(capacity=st.integers(1, 50), data=st.data())
def test_as_tight_as_placing_items_one_by_one(capacity: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, capacity), max_size=80))
    rows = best_fit(np.array(lengths, dtype=np.int64), capacity)
    used = np.bincount(rows, weights=lengths).astype(int) if lengths else np.zeros(0, dtype=int)
    assert sorted((capacity - used).tolist()) == one_by_one(lengths, capacity)


@settings(max_examples=tries(25, 400), deadline=None)
@given(
    shards=st.lists(st.lists(st.integers(1, 300), max_size=40), min_size=1, max_size=4),
    size=st.integers(1, 100),
)
def test_a_layout_holds_every_token_once(shards: list[list[int]], size: int) -> None:
    tables = [documents_of(lengths) for lengths in shards]
    pieces, starts = lay_out(tables, size, first=5)
    for shard, table in enumerate(tables, start=5):
        own = pieces[pieces["shard"] == shard]
        seen = [token for _, start, length in own.tolist() for token in range(start, start + length)]
        assert sorted(seen) == list(range(int(table["length"].sum())))
        whole = {(start, length) for _, start, length in own.tolist()}
        assert all(each["length"] > size or (each["offset"], each["length"]) in whole for each in table)
    assert sum(map(len, tables)) or not len(pieces)
    boundaries = starts.astype(int).tolist()
    assert boundaries[0] == 0
    assert boundaries[-1] == len(pieces)
    for first, stop in itertools.pairwise(boundaries):
        assert 0 < pieces["length"][first:stop].sum() <= size


def test_small_sources_fill_the_rows_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", [60, 40] * 15, shard_tokens=1 << 20, num_sources=2)
    loader = open_loader(tmp_path / "a", 2, 15, sequence_length=100, packing="best_fit")
    assert loader.groups[0].num_windows == 15
    assert loader.targets_by_source(1) == {"s0": 900, "s1": 600}
    assert (loader.rows(0, 0, 15).targets != IGNORE_INDEX).all()
    assert len(loader.document_ids(0)) == 30
    one = open_loader(tmp_path / "a", 2, 15, sequence_length=100, packing="best_fit", mixture={"s1": 1.0})
    assert one.groups[0].num_windows == 8
    with pytest.raises(UserError, match="the checkpoint's data order has best_fit=None, now it is 2"):
        loader.check_state({name: value for name, value in loader.state(0).items() if name != "best_fit"})

    monkeypatch.setattr("onnuri.tokens.best_fit.TOGETHER", 20)
    write(tmp_path / "b", [60, 40] * 15, shard_tokens=1 << 20, num_sources=2)
    alone = open_loader(tmp_path / "b", 2, 15 + 8, sequence_length=100, packing="best_fit")
    assert alone.groups[0].num_windows == 15 + 8
    assert alone.targets_by_source(1) == {"s0": 900, "s1": 600}


def test_a_damaged_layout_is_one_line_and_a_missing_half_is_made_again(tmp_path: Path) -> None:
    write(tmp_path, [30] * 20, shard_tokens=1 << 20)
    before = open_loader(tmp_path, 1, 4, sequence_length=100, packing="best_fit").rows(0, 0, 4)
    pieces = next((tmp_path / "layouts").rglob("*.pieces.npy"))
    whole = pieces.read_bytes()
    pieces.unlink()
    after = open_loader(tmp_path, 1, 4, sequence_length=100, packing="best_fit").rows(0, 0, 4)
    assert pieces.read_bytes() == whole and np.array_equal(before.tokens, after.tokens)
    pieces.write_bytes(whole[:-7])
    with pytest.raises(UserError, match=r"pieces.npy is damaged: .*; remove it, and it is made again"):
        open_loader(tmp_path, 1, 4, sequence_length=100, packing="best_fit")
