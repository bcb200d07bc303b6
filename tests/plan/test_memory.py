"""The planned peak of a rank is within 5 % of what real ranks hold."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import SCRIPTS


def test_planned_memory_is_within_five_percent_of_the_measured_peak() -> None:
    command = [sys.executable, str(SCRIPTS / "bench" / "memory.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)
    assert len({row["setting"] for row in rows}) == 6
    for row in rows:
        assert row["measured"] > 100e6, row
        assert abs(row["planned"] / row["measured"] - 1) < 0.05, row
