"""Two ranks that save a checkpoint; one is killed at a chosen call to the system, or both at any time.

Run as: fault_worker.py FOLDER RANDOM_INSTANTS. One process imports everything and forks the ranks of each
trial. Prints a line a trial: which rank (-1: both), which call, what survived.
"""

import io
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from onnuri.checkpoint.shard_file import TensorSlice
from onnuri.checkpoint.store import Saver, load
from onnuri.run.checkpoints import newest_verified, step_of

CALLS = ("open", "close", "write", "fsync", "fdatasync", "replace", "mkdir", "unlink", "rmdir")
SIZE = 30_001


def values(step: int) -> torch.Tensor:
    return torch.arange(SIZE, dtype=torch.float32) * step


def save(run_dir: Path, meeting: Path, rank: int, step: int, kill_at: int) -> int:
    """Save as one of two ranks; returns the number of calls made. At `kill_at` the rank is no more."""
    made = [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*words: Any, **options: Any) -> Any:
            made[0] += 1
            if made[0] == kill_at:
                if call is write:  # with half of it on its way
                    write(words[0], bytes(words[1])[: len(words[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*words, **options)

        return wrapped

    write = os.write
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    saver = Saver(run_dir, keep=1)
    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    io.open = counted(io.open)  # what Path.open calls
    half = -(-SIZE // 2)
    start = rank * half
    pieces = {"weight/a": TensorSlice(values(step)[start : start + half].clone(), start)}
    saver.save(step, pieces, {"progress": step})
    saver.wait()
    return made[0]


def trial(folder: Path, step: int, rank_killed: int, kill_at: int, seconds: float = 60.0) -> list[int]:
    """One save in two forked ranks; the calls that each has made, -1 for one that did not end well.

    Both are killed when they take longer than so many seconds.
    """
    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    children, results = [], []
    for rank in range(2):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                calls = save(folder / "run", meeting, rank, step, kill_at if rank == rank_killed else 0)
                os.write(writer, str(calls).encode())
            except BaseException:
                os._exit(1)
            os._exit(0)
        os.close(writer)
        children.append((child, reader))
    deadline = time.monotonic() + seconds
    waiting = {child for child, _ in children}
    while waiting:
        for child in list(waiting):
            if os.waitpid(child, os.WNOHANG)[0]:
                waiting.discard(child)
        if waiting and time.monotonic() > deadline:
            for child in waiting:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.0005)
    for _, reader in children:
        with os.fdopen(reader, "rb") as stream:
            results.append(int(stream.read() or b"-1"))
    return results


def survivor(run_dir: Path) -> int:
    """The step of the checkpoint that a resumed run would use, after comparing every number in it."""
    found = newest_verified(run_dir)
    assert found is not None
    folder, facts, _ = found
    target = {"weight/a": torch.empty(SIZE)}
    load(folder, {name: TensorSlice(values, 0) for name, values in target.items()})
    step = step_of(folder)
    assert facts.counts["progress"] == step
    assert torch.equal(target["weight/a"], values(step)), f"wrong numbers in {folder}"
    return step


def main() -> None:
    """See the top of the file."""
    folder, random_instants = Path(sys.argv[1]), int(sys.argv[2])
    good, run_dir = folder / "good", folder / "run"
    run_dir.mkdir()
    assert min(trial(folder, 5, -1, 0)) > 0
    shutil.copytree(run_dir, good)
    started = time.monotonic()
    calls = trial(folder, 10, -1, 0)
    duration = time.monotonic() - started
    assert survivor(run_dir) == 10
    generator = random.Random(0)
    trials = [(rank, at, 60.0) for rank in range(2) for at in range(1, calls[rank] + 1)]
    trials += [(-1, 0, duration * generator.random()) for _ in range(random_instants)]
    for rank, kill_at, seconds in trials:
        shutil.rmtree(run_dir)
        shutil.copytree(good, run_dir)
        left = trial(folder, 10, rank, kill_at, seconds)
        first = survivor(run_dir)
        trial(folder, 10 if first == 5 else 15, -1, 0)  # the run resumes from there
        print("TRIAL", rank, kill_at, left[rank], first, survivor(run_dir), flush=True)


if __name__ == "__main__":
    main()
