"""The planned peak of a rank is within 5 % of what real ranks hold."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.soak import SOAK

SETTINGS = 6
"""Of benchmarks/memory.py."""
SOME_SETTINGS = (
    "engine.precision=bf16 engine.stage=3 engine.micro_batch_size=1 data.sequence_length=128 "
    "engine.bucket_size=4000000",
    "engine.precision=bf16 engine.stage=3 lora.rank=16 data.sequence_length=128 engine.bucket_size=4000000",
)


ATTEMPTS = 3
"""A thread of gloo gives a copy back late in some runs, mostly beside other work (docs/planning.md). The
usual case is planned."""


def rows(*words: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "memory.py"), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(json.loads(done.stdout))


def check(count: int, *words: str) -> None:
    for _ in range(ATTEMPTS):
        found = rows(*words)
        assert len({row["setting"] for row in found}) == count
        assert all(row["measured"] > 100e6 for row in found), found
        if all(row["measured"] < 1.05 * row["planned"] for row in found):
            break
    for row in found:
        assert abs(row["planned"] / row["measured"] - 1) < 0.05, row


def test_planned_memory_is_within_five_percent_of_the_measured_peak() -> None:
    settings = () if SOAK else SOME_SETTINGS
    check(len(settings) or SETTINGS, *settings)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 3), *[(1, 1), (2, 1), (2, 3)] * SOAK])
def test_so_it_is_with_the_settings_of_gpus(ranks: int, stage: int) -> None:
    optim = "muon" if ranks == 1 else "adamw"
    setting = f"engine.stage={stage} engine.precision=bf16 data.sequence_length=128 optim={optim}"
    check(1, "--gpu-settings", "--ranks", str(ranks), f"{setting} engine.bucket_size=4000000")
