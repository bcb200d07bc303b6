"""A rank that keeps the others waiting is named; ranks that work alike are not."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from onnuri.train.stragglers import SHOWN, compare
from tests.conftest import SCRIPTS, TINY_MODEL, torchrun_command
from tests.processes import Process, rank_of
from tests.soak import SOAK
from tests.train.nodes import wait_until

Sample = Callable[[str], str]


def reports(run_dir: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "rank_seconds" in line]


def slow_down(process: Process, rank: int) -> None:
    """Let a rank run for a sixteenth of the time only, as on a core that others use, until the end."""
    victim = None
    while process.poll() is None:
        with suppress(psutil.Error):
            if victim is None:
                for child in psutil.Process(process.pid).children():
                    victim = child if rank_of(child) == rank else victim
            else:
                victim.send_signal(signal.SIGSTOP)
                time.sleep(0.45)
                victim.send_signal(signal.SIGCONT)
        time.sleep(0.03)


@pytest.mark.parametrize("slow", [None, 1, *[0] * SOAK])
def test_the_slow_rank_is_named(slow: int | None, sample: Sample, tmp_path: Path) -> None:
    run_dir, said = tmp_path / "run", tmp_path / "said"
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, "train.steps=12"]
    words += ["train.checkpoint_every=10", "engine.threads_per_rank=1", "guard.straggler_every=4"]
    words += ["guard.straggler_factor=3"]  # other tests keep the cores busy
    with said.open("wb") as stream:
        process = Process(torchrun_command(2, SCRIPTS / "pretrain.py", *words), stream, stream)
        if slow is not None:
            wait_until((run_dir / "metrics.jsonl").is_file, 120, "the first step")
            slow_down(process, slow)
        assert process.wait(timeout=240) == 0, said.read_text()
    found = reports(run_dir)
    assert [line["step"] for line in found] == [4, 8, 12]
    assert all(set(line["rank_seconds"]) == {"0", "1"} for line in found)
    warnings = [line for line in said.read_text().splitlines() if "warning: step" in line]
    if slow is None:
        assert warnings == []
        return
    assert 2 <= len(warnings) <= 3, "the other rank may be slow for a while too: tests run beside it"
    assert all(f": rank {slow} on {socket.gethostname()} is slow: " in warning for warning in warnings)
    warned = [line for line in found if any(f"step {line['step']}:" in each for each in warnings)]
    assert len(warned) == len(warnings)
    assert all(next(iter(line["rank_seconds"])) == str(slow) for line in warned), "the slowest comes first"


def test_of_many_ranks_the_slowest_come_first() -> None:
    seconds = [1.0] * 10_000
    seconds[7_321], seconds[12] = 3.0, 2.0
    order, middle = compare(seconds)
    assert order[:SHOWN] == [7_321, 12, 0, 1, 2, 3, 4, 5]
    assert middle == 1.0
