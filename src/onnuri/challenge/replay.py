"""Running an entry's steps again, from checkpoint to checkpoint.

An interval is the steps between two checkpoints; neighbours are joined up to the distance that the track
allows, so that many checkpoints do not make what is replayed small. Its replay starts from the first (the
very first from fresh weights) with the recorded config on the pinned shards, and has to give the recorded
losses and then the second checkpoint. So whoever replays all intervals has the whole run; whoever replays
some catches a forged one with their share. Which ones, the entrant cannot know: the choice hangs on the
nonce of the held-out text, which is secret until the entry is committed.

On the same versions, processor and ranks everything must be equal to the bit. Elsewhere sums are added up
in another order: losses may differ by the ledger's tolerance, and the weights by a share of their movement.
Measured on the sample model over 40 steps, with other ranks and micro-batches, AdamW and Muon: in fp32
losses differ by 3e-6 nats, weights by 1e-5 of their movement; in bf16 by 0.02 nats and 3 %, so that a run
in bf16 replays at home only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.copying import copy_contents
from onnuri.base.provenance import environment
from onnuri.challenge.drift import relative_distance
from onnuri.challenge.faults import OURS, Fault, MachineTrouble, Refused
from onnuri.challenge.record import Record
from onnuri.config import to_dict
from onnuri.ledger.replay import TOLERANCE
from onnuri.run.checkpoints import FOLDER, name_of
from onnuri.run.metrics_file import read_metrics
from onnuri.run.run_file import RUN_FILE

log = logging.getLogger(__name__)

MOST_DRIFT = 0.01
"""Elsewhere: distance of the weights from those recorded, as a share of how far the interval moved them."""
NO_ROOM = ("MemoryError", "OutOfMemoryError", "can't allocate memory", *map(os.strerror, sorted(OURS)))
"""What a worker says that failed for its machine."""
WORKER = "onnuri.challenge.replay_worker"
Interval = tuple[int, int]
"""Steps of two checkpoints; 0 stands for the fresh weights."""


@dataclass(frozen=True)
class Replayed:
    """What was run again."""

    intervals: list[Interval]
    exact: bool
    faults: list[Fault]

    @property
    def steps(self) -> int:
        """Steps that were run again."""
        return sum(after - before for before, after in self.intervals)


def intervals_of(points: Sequence[int], least: int) -> list[Interval]:
    """The intervals of a run, joined until each has `least` steps; what is left over goes to the last.

    Args:
        points: 0 and the steps of all checkpoints.
    """
    ends = [0]
    for point in points[1:]:
        if point - ends[-1] >= least:
            ends.append(point)
    if ends[-1] < points[-1]:
        ends[max(1, len(ends) - 1) :] = [points[-1]]
    return list(pairwise(ends))


def choose(every: Sequence[Interval], seed: str, count: int) -> list[Interval]:
    """The first interval, the last, and `count` others at random (-1: all), in order.

    Args:
        seed: what the choice hangs on.
    """
    inner = every[1:-1]
    draw = random.Random(hashlib.sha256(seed.encode()).digest())
    chosen = inner if count < 0 else draw.sample(inner, min(count, len(inner)))
    return sorted({every[0], every[-1], *chosen})


def needed_checkpoints(intervals: Sequence[Interval]) -> list[int]:
    """Steps whose checkpoints a replay reads."""
    return sorted({step for interval in intervals for step in interval if step})


def replay(
    run_dir: Path,
    record: Record,
    intervals: Sequence[Interval],
    tokens: Path,
    scratch: Path,
    elsewhere: bool = False,
    minutes: float = 120.0,
) -> Replayed:
    """Run intervals again and compare, until something differs.

    Args:
        run_dir: the run as it was taken in, with the checkpoints of the intervals.
        tokens: the pinned shards.
        scratch: an empty folder for the copies that are trained on.

    Raises Refused if the steps cannot be run.
    """
    here = environment()
    exact = not elsewhere and all(each == here for each in record.environments)
    if not exact and record.config.engine.precision != "fp32":
        trained_on = record.environments[-1].get("processor", "")
        raise Refused(
            "no replay",
            f"{record.config.engine.precision} replays only where processor and versions are those of the "
            f"run ({str(trained_on)[:100]}, torch {str(record.environments[-1].get('torch', ''))[:20]})",
        )
    faults: list[Fault] = []
    done: list[Interval] = []
    for chain in chains(intervals, exact):
        copy = scratch / f"replay-{chain[0]}"
        prepare(run_dir, copy, record, tokens, chain[0])
        log.info(f"{run_dir.name}: running steps {chain[0] + 1} to {chain[-1]} again")
        start(copy, record.world_size, chain[1:], minutes)
        faults += compare_losses(copy, record, chain, exact)
        faults += compare_states(copy, run_dir, chain, exact)
        done += pairwise(chain)
        if faults:
            break
    return Replayed(done, exact, faults)


def chains(intervals: Sequence[Interval], joined: bool) -> Iterator[list[int]]:
    """The steps to start from and stop at, one list a process; neighbours share it if `joined`."""
    chain: list[int] = []
    for before, after in intervals:
        if joined and chain and chain[-1] == before:
            chain.append(after)
            continue
        if chain:
            yield chain
        chain = [before, after]
    yield chain


def prepare(run_dir: Path, copy: Path, record: Record, tokens: Path, step: int) -> None:
    """A run directory that resumes after `step`, with a config in which only our own paths are."""
    copy.mkdir(parents=True)
    if step:
        copy_contents(run_dir / FOLDER / name_of(step), copy / FOLDER / name_of(step))
    config = record.config
    config = replace(config, run_dir=str(copy), data=replace(config.data, path=str(tokens)))
    identity = manifest.read(tokens, "tokens").identity
    content = {"config": to_dict(config), "data": identity, "code": {}}
    (copy / RUN_FILE).write_text(json.dumps(content), encoding="utf-8")


def start(copy: Path, world_size: int, stops: Sequence[int], minutes: float) -> None:
    """Train from where `copy` is to the last of `stops`, keeping a checkpoint of each.

    Raises Refused if the processes fail, or take longer than that, and MachineTrouble if they were killed,
    or had no room.
    """
    launcher = [sys.executable, "-m"]
    if world_size > 1:
        launcher += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(world_size), "-m"]
    command = [*launcher, WORKER, str(copy), *map(str, stops)]
    with (copy / "output.txt").open("w+b") as output:
        status = run(command, output.fileno(), 60 * minutes)
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if status is None:
        raise Refused("no replay", f"the steps to {stops[-1]} took longer than {minutes:g} minutes")
    if status:
        killed = re.findall(r"exitcode\s*:\s*-(\d+)", "\n".join(lines)) or [-status] * (status < 0)
        if killed:
            raise MachineTrouble(f"the replay to step {stops[-1]} was ended by signal {killed[-1]}")
        reasons = [line.strip() for line in lines if "rror" in line] or [f"exit status {status}"]
        if trouble := [line for line in reasons if any(sign in line for sign in NO_ROOM)]:
            raise MachineTrouble(f"the replay to step {stops[-1]}: {trouble[-1][:200]}")
        raise Refused("no replay", f"the steps to {stops[-1]} cannot be run: {reasons[-1][:200]}")


def run(command: Sequence[str], output: int, seconds: float) -> int | None:
    """The exit status of a command, None if it took too long; nothing that it started lives on."""
    with subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def compare_losses(copy: Path, record: Record, chain: Sequence[int], exact: bool) -> Iterator[Fault]:
    """The first step whose loss is another one."""
    found = {line["step"]: line["loss"] for line in read_metrics(copy) if "loss" in line}
    tolerance = 0.0 if exact else TOLERANCE
    for step in range(chain[0] + 1, chain[-1] + 1):
        here, wanted = found.get(step), record.losses[step]
        if here == wanted:
            continue
        if here is None or type(wanted) is not float or not abs(here - wanted) <= tolerance:
            allowed = f", allowed difference {tolerance:g}" if tolerance else ""
            yield Fault("edited loss", f"step {step} gives {here}, the ledger says {wanted}{allowed}")
            return


def compare_states(copy: Path, run_dir: Path, chain: Sequence[int], exact: bool) -> Iterator[Fault]:
    """The first checkpoint that is another one."""
    for before, after in pairwise(chain):
        ours, theirs = (each / FOLDER / name_of(after) for each in (copy, run_dir))
        if exact:
            made, given = (manifest.read(folder, "checkpoint").files for folder in (ours, theirs))
            if made != given:
                yield Fault("edited weights", f"steps to {after} give other weights than the checkpoint")
                return
        else:
            begin = run_dir / FOLDER / name_of(before) if before else None
            drift = relative_distance(ours, theirs, begin)
            log.info(f"{theirs.name}: {drift:.2g} of its movement apart from the replay")
            if not drift <= MOST_DRIFT:
                yield Fault(
                    "edited weights",
                    f"the steps to {after} end {drift:.2g} of their movement away from the checkpoint; "
                    f"allowed on another machine: {MOST_DRIFT}",
                )
                return
