"""Of conversations only the trained runs are targets, under every way to cut windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.tokens.shards import TRAINED, TokenShards
from onnuri.tokens.trained import TrainedTokens, open_trained
from onnuri.train.validate import collect_stream
from tests.tokens.shard_files import open_loader, write

WAYS = [("concatenate", "windows"), ("best_fit", "windows"), ("concatenate", "documents")]


def table(folder: Path, mask: np.ndarray, shard: str = "train-00000-00000") -> TrainedTokens:
    """The table of a shard whose tokens are trained where `mask` [tokens] says so."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    rows = np.zeros(len(edges) // 2, dtype=TRAINED)
    rows["offset"], rows["length"] = edges[::2], edges[1::2] - edges[::2]
    path = folder / f"{shard}.trained.npy"
    np.save(path, rows)
    return TrainedTokens(path)


@settings(max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
def test_counts_and_masks(
    tmp_path_factory: pytest.TempPathFactory, values: list[bool], data: st.DataObject
) -> None:
    mask = np.array(values)
    found = table(tmp_path_factory.mktemp("trained"), mask)
    start = data.draw(st.integers(0, len(mask)))
    end = data.draw(st.integers(start, len(mask)))
    assert found.mask(start, end).tolist() == mask[start:end].tolist()
    assert found.count(np.array([[start, end], [0, len(mask)]])).tolist() == [
        mask[start:end].sum(),
        mask.sum(),
    ]


@pytest.mark.parametrize(("packing", "reshuffle"), WAYS)
def test_an_epoch_predicts_every_trained_token_once(tmp_path: Path, packing: str, reshuffle: str) -> None:
    """The token ids are all different, so each target says where it comes from."""
    lengths = [int(size) for size in np.random.default_rng(2).integers(3, 40, 50)]
    documents = write(tmp_path, lengths, 400, num_sources=2)
    number = 1
    trained: dict[str, set[int]] = {"s0": set(), "s1": set()}
    for path in sorted(tmp_path.glob("train-*.tokens.npy")):  # ids from 1 on; separators stay 0
        tokens = np.load(path)
        inside = tokens != 0
        tokens[inside] = np.arange(number, number + inside.sum())
        number += int(inside.sum())
        np.save(path, tokens)
        source = f"s{int(path.name[6:11])}"
        if source == "s1":  # a text: all of it is trained
            trained[source] |= set(tokens[inside].tolist())
            continue
        mask = inside & (tokens % 7 > 2)
        table(tmp_path, mask, path.name.removesuffix(".tokens.npy"))
        trained[source] |= set(tokens[mask].tolist())
    assert number > 500 and len(documents) == 50
    options = {"packing": packing, "reshuffle": reshuffle}
    loader = open_loader(tmp_path, 2, 3, sequence_length=32, mixture={"s0": 1.0, "s1": 1.0}, **options)
    counted = []
    windows = max(group.num_windows for group in loader.groups)
    steps = -(-2 * windows // 3) + 1
    for step in range(steps):
        batch = loader.rows(step, 0, 3)
        kept = batch.targets != IGNORE_INDEX
        assert loader.num_targets(step) == kept.sum()
        inside = kept[:, :-1] & (batch.tokens[:, 1:] != 0)
        assert (batch.tokens[:, 1:] == batch.targets[:, :-1])[inside].all()
        counted.append(batch.targets[kept])
    found = set(np.concatenate(counted).tolist()) - {0}
    first = {int(shard[0]) for shard in loader.shards.shards} if packing == "concatenate" else set()
    assert found <= trained["s0"] | trained["s1"]
    assert (trained["s0"] | trained["s1"]) - found <= (first if reshuffle == "windows" else set())
    by_source = loader.targets_by_source(steps)
    assert sum(by_source.values()) == sum(map(len, counted))
    assert 0 < by_source["s0"] < by_source["s1"]
    parts = [loader.micro_batch(0, micro, rank, 2, 1).targets for micro in range(2) for rank in range(2)]
    assert np.array_equal(np.concatenate(parts)[:3], loader.rows(0, 0, 3).targets)


def test_held_out_conversations_are_scored_where_they_are_trained(tmp_path: Path) -> None:
    write(tmp_path, [10, 12, 9], 1000)
    shards = TokenShards.open(tmp_path, "train")
    mask = np.arange(31) % 3 == 1
    table(tmp_path, mask)
    stream, scored = collect_stream(
        shards, shards.documents()[1:], 100, open_trained(shards.document_files)
    )
    assert stream.tolist() == [0, *shards.shards[0][10:].tolist()]
    assert scored.tolist() == [False, *mask[10:].tolist()]


def test_steps_without_a_trained_token_are_named_and_a_damaged_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [40, 40], 1000)
    table(tmp_path, np.arange(80) == 3)
    loader = open_loader(tmp_path, 1, 1, sequence_length=16)
    assert "steps have no token to learn; a larger train.global_batch_size" in loader.warnings(0)[0]
    rows = np.array([(4, 5), (6, 2)], dtype=TRAINED)
    np.save(tmp_path / "train-00000-00000.trained.npy", rows)
    with pytest.raises(UserError, match="its runs overlap"):
        open_loader(tmp_path, 1, 1, sequence_length=16)


def test_conversations_longer_than_a_window_are_counted(tmp_path: Path) -> None:
    write(tmp_path, [40, 16, 17, 9], 1000)
    table(tmp_path, np.arange(82) % 3 == 1)
    warning = "data.sequence_length=16 cuts 2 of 4 conversations, which are longer"
    packed = open_loader(tmp_path, 1, 1, sequence_length=16, packing="best_fit")
    assert next(each for each in packed.warnings(0) if "cuts" in each).startswith(warning)
    for options in ({"sequence_length": 40, "packing": "best_fit"}, {"sequence_length": 16}):
        whole = open_loader(tmp_path, 1, 1, **options)
        assert not [each for each in whole.warnings(0) if "conversations" in each]
