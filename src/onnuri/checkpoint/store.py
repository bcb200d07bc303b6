"""Checkpoint folders of a run: written in the background, hashed, renamed, and verified before use.

RUN_DIR/checkpoints/step-0000200/ holds one safetensors file a rank (no pickle anywhere) and a manifest. It
is written under another name and renamed when every file of every rank is on disk: a folder with that name
is complete, anything else is ignored. The file `latest` names the newest one.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex
from torch.distributed.checkpoint.planner import LoadPlan
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.checkpoint.shard_file import TensorSlice, write_shard
from onnuri.run.checkpoints import (
    FOLDER,
    expired,
    is_permanent,
    list_checkpoints,
    move_away,
    name_of,
    remove,
    update_latest,
)

SPARE = 1.05
"""Free space asked for before a checkpoint is written, as a factor of its size."""


class Saver:
    """Writes checkpoints from all ranks, one at a time, while training continues.

    Every method is a collective call. What fails on any rank is raised on all of them, by the next call.
    A checkpoint that was written is written, whether or not older ones can be removed.

    Args:
        keep: number of newest checkpoints that stay; 0: all, also when the disk is full.
        keep_every: those of steps that it divides always stay; 0: none.
        say: called on rank 0, from another thread, with a line on what was removed to make room, and on
            what could not be removed.
    """

    def __init__(
        self, run_dir: Path, keep: int, keep_every: int = 0, say: Callable[[str], None] = print
    ) -> None:
        self.run_dir, self.keep, self.keep_every, self.say = run_dir, keep, keep_every, say
        # Writers talk to each other in a group of their own: the training step must not wait for them.
        self._group = dist.new_group(backend="gloo")
        self._thread = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None
        self._stuck: set[Path] = set()
        self.finished: list[tuple[int, str]] = []
        """On rank 0: step and manifest identity of every checkpoint written so far."""

    def save(
        self,
        step: int,
        pieces: Mapping[str, TensorSlice],
        state: Mapping[str, Any],
        ephemeral: bool = False,
    ) -> None:
        """Begin to write the checkpoint of `step`, once the one before is finished.

        Args:
            pieces: this rank's; they must not change until the next call.
            state: JSON values to restore besides tensors; the manifest carries them as counts.
            ephemeral: it goes as soon as there is a newer one.
        """
        self.wait()
        counts = dict(state) | {"ephemeral": ephemeral}
        self._running = self._thread.submit(self._write, step, pieces, counts)

    def wait(self) -> None:
        """Until the checkpoint under way is complete and durable.

        Raises UserError if it could not be written.
        """
        if self._running is not None:
            running, self._running = self._running, None
            running.result()

    def close(self) -> None:
        """Wait, whatever comes of it: for an exit that has its own reason."""
        if self._running is not None:
            self._running.exception()
        self._thread.shutdown()

    def _write(self, step: int, pieces: Mapping[str, TensorSlice], counts: dict[str, Any]) -> None:
        rank = dist.get_rank()
        final = self.run_dir / FOLDER / name_of(step)
        partial = final.with_name(final.name + ".partial")
        size = sum(piece.values.nbytes for piece in pieces.values())
        sizes = self._gather(size)
        self._agree(self._make_room(partial, sum(sizes)) if rank == 0 else "")
        name = f"shard-{rank:05d}.safetensors"
        facts: dict[str, Any] = {}
        problem = ""
        try:
            facts = {name: write_shard(partial / name, pieces)}
        except OSError as error:
            problem = f"{error.filename or partial / name}: {error.strerror or error}"
        files: dict[str, Any] = {}
        problems = []
        for other, theirs in self._gather((problem, facts)):
            problems.append(other)
            files |= theirs
        problem = "; ".join(filter(None, problems))
        if rank == 0:
            problem = problem or self._finish(partial, final, step, counts, files)
            if problem:
                shutil.rmtree(partial, ignore_errors=True)
        self._agree(problem)

    def _make_room(self, partial: Path, size: int) -> str:
        """An empty folder with enough space, at the cost of older checkpoints. Returns what went wrong."""
        try:
            for stale in partial.parent.glob("step-*.partial"):
                shutil.rmtree(stale, ignore_errors=True)
            partial.mkdir(parents=True)
            if problem := self._free(partial, SPARE * size):
                partial.rmdir()
                return problem
        except OSError as error:
            return f"{error.filename or partial}: {error.strerror or error}"
        return ""

    def _free(self, partial: Path, needed: float) -> str:
        """Remove older checkpoints, the oldest first, until so many bytes are free. Returns why not."""
        older = [] if self.keep == 0 else list_checkpoints(self.run_dir)[1:]
        older = [folder for folder in older if not is_permanent(folder, self.keep_every)]
        enough = shutil.disk_usage(partial).free + sum(map(_size, older)) >= needed
        while (free := shutil.disk_usage(partial).free) < needed:
            if not enough or not older:
                hint = "; train.keep_checkpoints=0 keeps all" if self.keep == 0 else ""
                return (
                    f"it needs {needed / 1e9:.2f} GB and {partial.parent} has {free / 1e9:.2f} GB free; "
                    f"nothing was written{hint}"
                )
            oldest = older.pop()
            if self._remove(oldest):
                self.say(f"the disk is full: {oldest.name} was removed to make room for {partial.stem}")
        return ""

    def _remove(self, folder: Path) -> bool:
        """Delete a checkpoint, or say once why it is still there."""
        problem = remove(folder)
        if problem and folder not in self._stuck:
            self._stuck.add(folder)
            self.say(f"warning: an older checkpoint could not be removed: {problem}")
        return not problem

    def _finish(
        self, partial: Path, final: Path, step: int, counts: dict[str, Any], files: dict[str, Any]
    ) -> str:
        """Write the manifest, rename, remove what has expired. Returns what went wrong."""
        try:
            for name, facts in files.items():
                if (partial / name).stat().st_size != facts["bytes"]:
                    return f"{partial / name} is not as long as it was written"
            complete = Manifest("checkpoint", {"step": step}, {}, counts, files)
            manifest.write_json(partial / manifest.FILE_NAME, asdict(complete))
            old = move_away(final) if final.is_symlink() or final.exists() else None
            partial.replace(final)
            manifest.sync(final.parent)
            update_latest(final)
        except OSError as error:
            return f"{error.filename or partial}: {error.strerror or error}"
        self.finished.append((step, complete.identity))
        with suppress(OSError):  # it is written, whatever becomes of the others
            replaced = [old] if old and not old.is_symlink() else []
            for folder in [*expired(self.run_dir, self.keep, self.keep_every), *replaced]:
                self._remove(folder)
        return ""

    def _gather(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(values, value, group=self._group)
        return values

    def _agree(self, problem: str) -> None:
        """Raise on every rank what went wrong on rank 0."""
        holder = [problem]
        dist.broadcast_object_list(holder, src=0, group=self._group)
        if holder[0]:
            good = [str(folder) for folder in list_checkpoints(self.run_dir)] or ["none"]
            raise UserError(f"a checkpoint could not be written: {holder[0]}; last good one: {good[0]}")


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, as far as they can be seen."""
    with suppress(OSError):
        return sum(path.lstat().st_size for path in folder.iterdir())
    return 0


def load(folder: Path, pieces: Mapping[str, TensorSlice]) -> None:
    """Fill pieces of tensors in place from a checkpoint, whatever ranks wrote it.

    A collective call when a process group exists, a plain read otherwise. Raises UserError when the
    checkpoint lacks any of it.
    """
    wanted = {name: piece.values for name, piece in pieces.items() if piece.values.numel()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = dcp.HuggingFaceStorageReader(str(folder))
        starts = {name: pieces[name].start for name in wanted}
        alone = not dist.is_initialized()
        try:
            dcp.load(wanted, storage_reader=reader, planner=_PieceReader(starts), no_dist=alone)
        except CheckpointException as error:
            ours = [cause for cause, _ in error.failures.values() if isinstance(cause, UserError)]
            if not ours:
                raise
            raise UserError(f"{folder}: {ours[0]}") from None


class _PieceReader(dcp.DefaultLoadPlanner):
    """Reads, of each tensor, the contiguous range that begins at a given offset."""

    def __init__(self, starts: Mapping[str, int]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.starts = starts

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        requests = []
        for name, values in self.state_dict.items():
            stored: Any = self.metadata.state_dict_metadata.get(name)
            wanted = ChunkStorageMetadata(torch.Size([self.starts[name]]), values.size())
            found = create_read_items_for_chunk_list(name, stored, [wanted]) if stored else []
            if sum(item.lengths.numel() for item in found) != values.numel():
                raise UserError(f"the checkpoint lacks values of {name}")
            requests += found
        return LoadPlan(requests)

    def lookup_tensor(self, index: MetadataIndex) -> torch.Tensor:
        values: torch.Tensor = self.state_dict[index.fqn]
        return values
