"""A save that is cut off anywhere leaves a complete checkpoint, and the next save finds its way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.soak import tries

WORKER = Path(__file__).with_name("fault_worker.py")


def test_killed_between_any_two_calls_of_a_save(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(WORKER), str(tmp_path), str(tries(25, 400))],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    trials = [line.split()[1:] for line in result.stdout.splitlines() if line.startswith("TRIAL")]
    assert {rank for rank, *_ in trials} == {"0", "1", "-1"}
    assert len(trials) >= 40
    outcomes = {first for _, _, _, first, _ in trials}
    assert outcomes == {"5", "10"}, "some are cut off before, some after the new one is complete"
    for rank, kill_at, calls, first, second in trials:
        assert rank == "-1" or calls == "-1", f"rank {rank} was not killed at call {kill_at}"
        assert second == ("10" if first == "5" else "15")
