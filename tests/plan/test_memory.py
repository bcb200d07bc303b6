"""The planned peak of a rank is within 5 % of what real ranks hold."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import SCRIPTS


def rows(*words: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(SCRIPTS / "bench" / "memory.py"), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(json.loads(done.stdout))


def test_planned_memory_is_within_five_percent_of_the_measured_peak() -> None:
    found = rows()
    assert len({row["setting"] for row in found}) == 6
    for row in found:
        assert row["measured"] > 100e6, row
        assert abs(row["planned"] / row["measured"] - 1) < 0.05, row


@pytest.mark.parametrize("ranks", [1, 2])
def test_so_it_is_with_the_settings_of_gpus(ranks: int) -> None:
    common = "engine.precision=bf16 data.sequence_length=128 engine.bucket_size=4000000"
    settings = [f"engine.stage={stage} {common}" for stage in (1, 3)]
    found = rows("--gpu-settings", "--ranks", str(ranks), *settings)
    assert [row["setting"] for row in found] == settings
    for row in found:
        assert row["measured"] > 100e6, row
        assert abs(row["planned"] / row["measured"] - 1) < 0.05, row
