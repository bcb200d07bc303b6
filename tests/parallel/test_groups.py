"""Process groups of the axes, on real ranks."""

import json
from pathlib import Path

from tests.conftest import torchrun

WORKER = Path(__file__).with_name("groups_worker.py")


def test_each_axis_reduces_over_its_own_ranks(tmp_path: Path) -> None:
    torchrun(4, WORKER, str(tmp_path))
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(4)]
    assert [each["dp"] for each in found] == [2, 4, 2, 4]
    assert [each["sp"] for each in found] == [1, 1, 5, 5]
    assert [each["ep"] for each in found] == [2, 4, 2, 4]
