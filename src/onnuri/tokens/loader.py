"""Training batches as a pure function of (shards, mixture, seed, step).

The sequences of a run are numbered; step t has the B after those of all earlier steps, t x B or a sum over
the stages of a ramp. The mixture gives each its source and its position among that source's sequences, and
a keyed permutation, new every epoch, turns it into a window. Nothing of it knows of ranks: a rank takes its
rows out of the same global batch on any number of machines, and seeking to a step costs nothing
(`reshuffle=documents`: a pass over the table of documents).

B: sequences in the global batch of a step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.tokens.batch import IGNORE_INDEX, Batch, make_batch
from onnuri.tokens.best_fit import VERSION, layouts
from onnuri.tokens.config import DataConfig
from onnuri.tokens.mixture import Mixture, named, parse_weights
from onnuri.tokens.order import permute
from onnuri.tokens.ramp import batch_ramp
from onnuri.tokens.reshuffle import Reshuffled
from onnuri.tokens.shards import TokenShards
from onnuri.tokens.trained import open_trained
from onnuri.tokens.windows import BestFit, Concatenated, Windows

BLOCK = 8192
"""Sequences whose windows are looked up at a time."""
MOST_FILLER = 0.25
"""Share of positions without a token above which windows hold too little text."""


class _Block(NamedTuple):
    """Some steps, looked up together."""

    first_step: int
    groups: np.ndarray
    """int64 [steps, B]: which group of sources each sequence comes from."""
    windows: np.ndarray
    """int64 [steps, B]: number of its window, counted through the epochs with `reshuffle=documents`."""
    num_targets: np.ndarray
    """int64 [steps]."""
    num_tokens: np.ndarray
    """int64 [steps]."""


class Loader:
    """Batches of the training split.

    Without `config.mixture` all windows are one pool: an epoch is every window of the data once. With it,
    each source has epochs of its own.

    Args:
        config: what is read, and in which order.
        data: manifest of the shards in `config.path`.
        global_batch: B, with `ramp` at its end.
        folder: where layouts of `packing=best_fit` are kept.
        ramp: `train.batch_ramp`.

    Raises UserError for a mixture that does not fit the data, and for a source without a window.
    """

    split = "train"
    may_be_empty = False
    """Whether it is no mistake that there is nothing to predict."""

    def __init__(
        self,
        config: DataConfig,
        data: Manifest,
        global_batch: int,
        folder: Path | None,
        ramp: Mapping[str, int] | None = None,
    ) -> None:
        self.config, self.data, self.global_batch, self.folder = config, data, global_batch, folder
        self.ramp = dict(ramp or {})
        self.batches, self.lengths = batch_ramp(self.ramp, global_batch), config.lengths
        self.separator = int(data.counts["separator"])
        self.vocab_size = int(data.counts["vocab_size"])
        self.shards = TokenShards.open(config.path, self.split)
        # Layouts are kept by the data they belong to: a run without a checkpoint may be given other shards.
        self._layouts = folder / f"best_fit-{data.identity[:16]}" if folder else None
        self._documents = cache(self.shards.document_table)
        self._trained = open_trained(self.shards.document_files)
        self.source_names = [source["name"] for source in data.counts["sources"]]
        stages = parse_weights(config.mixture, self.source_names)
        self.group_names = sorted({name for weights in stages.values() for name in weights}) or [""]
        self._members = [self._shards_of(name) for name in self.group_names]
        self.groups = [self._windows(*each) for each in enumerate(self._members)]
        for name, group in zip(self.group_names, self.groups, strict=True):
            if not group.num_windows and not self.may_be_empty:
                raise UserError(f"{config.path} has no token to predict{' from ' + name if name else ''}")
        self.mixture = Mixture(
            {
                self.batches.before(step): [weights.get(name, 0.0) for name in self.group_names]
                for step, weights in (stages or {0: {"": 1.0}}).items()
            },
            config.seed,
        )
        self.unique_tokens = {
            name: sum(len(self.shards.shards[member]) for member in members)
            for name, members in zip(self.group_names, self._members, strict=True)
        }
        self._order = {"data": data.identity, "global_batch": global_batch, **config.order_settings()}
        if self.ramp:
            self._order["batch_ramp"] = self.ramp
        if any(isinstance(group, BestFit) for group in self.groups):
            self._order["best_fit"] = VERSION
        self._blocks = lru_cache(4)(self._make_block)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without its tokens, for worker processes: the copy maps the same files."""
        return type(self), (self.config, self.data, self.global_batch, self.folder, self.ramp)

    def _shards_of(self, name: str) -> list[int]:
        """Numbers of the shards that a name of the mixture stands for; of all for no name."""
        sources = self.source_names if not name else named(name, self.source_names)
        return [i for i, own in enumerate(self.shards.sources) if self.source_names[own] in sources]

    def _windows(self, group: int, members: list[int]) -> Windows:
        shards, length = [self.shards.shards[i] for i in members], self.config.sequence_length
        tables = [self.shards.document_files[i] for i in members]
        if self.config.reshuffle == "documents":

            def key(epoch: int) -> int:
                return self._key(group, epoch, "documents")

            return Reshuffled(shards, tables, length, self.separator, key)
        if self.config.packing == "concatenate":
            return Concatenated(shards, length)
        return BestFit(shards, layouts(tables, length, self._layouts), length, self.separator)

    def _look_up(self, step: int) -> _Block:
        """The block of steps that holds `step` (0-based). Raises UserError for one before the first."""
        if step < 0:
            raise UserError(f"step={step} must be at least 0")
        inside = step - self.batches.start_of_stage(step)
        return self._blocks(step - inside % max(1, BLOCK // self.batches.at(step)))

    def _make_block(self, first_step: int) -> _Block:
        size = self.batches.at(first_step)
        shape = (max(1, BLOCK // size), size)
        sources, positions = self.mixture.assign(self.batches.before(first_step), shape[0] * size)
        windows, targets, tokens = (np.empty_like(positions) for _ in range(3))
        for index, group in enumerate(self.groups):
            members = np.flatnonzero(sources == index)
            epochs, inside = np.divmod(positions[members], group.num_windows)
            for epoch in np.unique(epochs).tolist():
                at = epochs == epoch
                windows[members[at]] = self._numbers(index, epoch, inside[at])
            targets[members] = self._num_targets(index, windows[members])
            tokens[members] = group.lengths(windows[members]) - 1
        sums = (each.reshape(shape).sum(axis=1) for each in (targets, tokens))
        return _Block(first_step, sources.reshape(shape), windows.reshape(shape), *sums)

    def _num_targets(self, group: int, windows: np.ndarray) -> np.ndarray:
        """Tokens that each window predicts, int64 [n]."""
        if not any(self._trained[shard] for shard in self._members[group]):
            return self.groups[group].lengths(windows) - 1
        rows, shards, spans = self.groups[group].pieces(windows)
        totals = np.zeros(len(windows), dtype=np.int64)
        np.add.at(totals, rows, self._num_trained(group, shards, spans))
        return totals

    def _num_trained(self, group: int, shards: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """Tokens of each piece that are predicted, int64 [pieces]."""
        counts = spans[:, 1] - spans[:, 0]
        for shard in np.unique(shards).tolist():
            if trained := self._trained[self._members[group][shard]]:
                members = shards == shard
                counts[members] = trained.count(spans[members])
        return counts

    def _numbers(self, group: int, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Numbers of the windows at these positions of an epoch."""
        size = self.groups[group].num_windows
        numbers = permute(positions, size, self._key(group, epoch))
        return numbers + epoch * size if self.config.reshuffle == "documents" else numbers

    def _key(self, group: int, epoch: int, *use: str) -> int:
        text = "/".join([str(self.config.seed), self.group_names[group], str(epoch), *use])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")

    def num_targets(self, step: int) -> int:
        """Tokens that the global batch of `step` (0-based) predicts."""
        block = self._look_up(step)
        return int(block.num_targets[step - block.first_step])

    def num_rows(self, step: int) -> int:
        """See BatchSource."""
        return self.batches.at(step)

    def num_tokens(self, step: int) -> int:
        """See BatchSource."""
        block = self._look_up(step)
        return int(block.num_tokens[step - block.first_step])

    def window_numbers(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Group of sources and window of every row of the global batch of `step`, both int64 [B]."""
        block = self._look_up(step)
        return block.groups[step - block.first_step], block.windows[step - block.first_step]

    def warnings(self, first_step: int) -> list[str]:
        """Where windows are so long that rows of a batch are the same, or hold little text, and where steps
        have nothing to learn."""
        found, length = [], self.config.sequence_length
        ahead = self._look_up(first_step).num_targets
        if empty := int(np.count_nonzero(ahead == 0)):
            found.append(
                f"{100 * empty / len(ahead):.2g} % of steps have no token to learn; a larger "
                "train.global_batch_size or data.sequence_length gives them some"
            )
        cut, conversations = self._cut_conversations()
        if cut:
            found.append(
                f"data.sequence_length={length} cuts {cut:,} of {conversations:,} conversations, which are "
                "longer: behind a cut the model does not see what came before it; pack with max_tokens="
                f"{length} leaves them out"
            )
        groups, _ = self.window_numbers(first_step)
        for index, (name, group) in enumerate(zip(self.group_names, self.groups, strict=True)):
            tokens = self.unique_tokens[name]
            filler = max(0.0, 1 - tokens / (group.num_windows * length))
            rows = int(np.count_nonzero(groups == index))
            repeated = max(0, rows - group.num_windows)
            if repeated or (rows and filler > MOST_FILLER):
                found.append(
                    f"data.sequence_length={length} cuts the {tokens:,} tokens"
                    f"{f' of {name}' if name else ''} into {group.num_windows:,} window(s): {repeated} of "
                    f"{rows} rows of a step repeat another one, {filler:.0%} of their positions are filler"
                )
        return found

    def _cut_conversations(self) -> tuple[int, int]:
        """Conversations longer than a window, and all of them; zeros where every text may be cut."""
        if self.config.packing != "best_fit":
            return 0, 0
        members = {shard for group in self._members for shard in group if self._trained[shard]}
        lengths = [self.shards.document_table(shard)["length"] for shard in members]
        cut = sum(int(np.count_nonzero(each > self.config.sequence_length)) for each in lengths)
        return cut, sum(map(len, lengths))

    def rows(self, step: int, start: int, stop: int) -> Batch:
        """Rows [start, stop) of the global batch of `step`; rows from B on are empty."""
        groups, windows = (each[start:stop] for each in self.window_numbers(step))
        return self.window_rows(groups, windows, stop - start, self.lengths.at(step))

    def window_rows(
        self, groups: np.ndarray, windows: np.ndarray, size: int, longest: int | None = None
    ) -> Batch:
        """Windows as a batch of `size` rows; those beyond the windows are empty.

        Args:
            groups: group of sources of each, int64 [n].
            windows: their numbers, int64 [n].
            longest: tokens that attention reaches at most.
        """
        rows = np.full((size, self.config.sequence_length + 1), self.separator, dtype=self.shards.dtype)
        lengths = np.ones(size, dtype=np.int64)
        chosen = zip(groups.tolist(), windows.tolist(), rows, strict=False)
        for index, (group, window, row) in enumerate(chosen):
            lengths[index] = self.groups[group].read(window, row)
        batch = make_batch(rows, lengths, self.separator, self.vocab_size, longest)
        if any(self._trained):
            self._leave_out(batch.targets, groups, windows)
        return batch

    def _leave_out(self, targets: np.ndarray, groups: np.ndarray, windows: np.ndarray) -> None:
        """Take what is not trained out of the targets [B, S] of some rows."""
        for index in np.unique(groups).tolist():
            members = np.flatnonzero(groups == index)
            filled = np.zeros(len(members), dtype=np.int64)
            for row, shard, (start, end) in zip(*self.groups[index].pieces(windows[members]), strict=True):
                offset, filled[row] = filled[row], filled[row] + end - start
                if trained := self._trained[self._members[index][shard]]:
                    part = targets[members[row], offset : filled[row]]
                    part[~trained.mask(start, end)] = IGNORE_INDEX

    def row_numbers(
        self, step: int, micro: int, rank: int, world_size: int, micro_batch_size: int
    ) -> range:
        """See BatchSource."""
        start = (micro * world_size + rank) * micro_batch_size
        return range(start, start + micro_batch_size)

    def micro_batch(
        self, step: int, micro: int, rank: int, world_size: int, micro_batch_size: int
    ) -> Batch:
        """The rows of `rank` in micro-step `micro`; they are empty where the global batch has ended."""
        numbers = self.row_numbers(step, micro, rank, world_size, micro_batch_size)
        return self.rows(step, numbers.start, numbers.stop)

    def document_ids(self, step: int) -> list[str]:
        """Documents that the global batch of `step` predicts tokens of."""
        groups, windows = self.window_numbers(step)
        found: set[bytes] = set()
        for index in np.unique(groups).tolist():
            _, shards, spans = self.groups[index].pieces(windows[groups == index])
            for shard, (start, end) in zip(shards.tolist(), spans, strict=True):
                documents = self._documents(self._members[index][shard])
                first = int(np.searchsorted(documents["offset"], start, side="right")) - 1
                stop = int(np.searchsorted(documents["offset"], end, side="left"))
                found.update(documents["id"][first:stop].tolist())
        return sorted(identity.decode() for identity in found)

    def epochs(self, step: int) -> dict[str, float]:
        """See BatchSource."""
        sequences = self.mixture.counts(self.batches.before(step))
        named = zip(self.group_names, sequences, self.groups, strict=True)
        return {name: count / group.num_windows for name, count, group in named}

    def targets_by_source(self, step: int, since: int = 0) -> dict[str, int]:
        """Tokens predicted in the steps from `since` to the one before `step`, by name of the source."""
        totals = np.zeros(len(self.source_names), dtype=np.int64)
        counts = (self.mixture.counts(self.batches.before(each)) for each in (since, step))
        for index, (start, stop) in enumerate(zip(*counts, strict=True)):
            group = self.groups[index]
            for times, numbers in self._seen(index, start, stop):
                _, shards, spans = group.pieces(numbers)
                sources = np.array([self.shards.sources[i] for i in self._members[index]])[shards]
                sizes = self._num_trained(index, shards, spans)
                totals += times * np.bincount(sources, sizes, len(totals)).astype(np.int64)
        return {
            name: total for name, total in zip(self.source_names, totals.tolist(), strict=True) if total
        }

    def _seen(self, group: int, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Windows at the positions from `start` to `stop` of a group, and how often each was seen.

        All epochs hold the same tokens, so those that lie in between as a whole are counted once.
        """
        size = self.groups[group].num_windows
        (first, skipped), (last, rest) = divmod(start, size), divmod(stop, size)
        spans = [(1, last, skipped if first == last else 0, rest)]
        if first < last:
            spans += [(1, first, skipped, size), (last - first - 1, last, 0, size)]
        for times, epoch, begin, end in spans:
            for at in range(begin, end if times else begin, 1 << 16):
                yield times, self._numbers(group, epoch, np.arange(at, min(at + (1 << 16), end)))

    def state(self, step: int) -> dict[str, Any]:
        """Everything needed to go on after `step` steps; holds no rank and no world size."""
        return {"step": step, **self._order}

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise UserError naming what differs between a saved state and this loader."""
        now = self.state(state["step"])
        before = {"reshuffle": DataConfig.reshuffle} | state  # checkpoints that are older than the option
        for name in now | before:
            if before.get(name) != now.get(name):
                raise UserError(
                    f"the checkpoint's data order has {name}={before.get(name)}, now it is {now.get(name)}"
                )
