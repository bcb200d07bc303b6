"""Reading a model leaves no thread behind that would slow the engine's own down."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from onnuri.serve.models import apart

pytestmark = pytest.mark.extra("serve")


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_helpers_of_what_is_done_apart_end_with_it() -> None:
    before, own = torch.get_num_threads(), threads()
    torch.set_num_threads(3)
    try:
        seen = apart(lambda size: (torch.ones(size).exp_().sum().item() > 0, threads()), 1 << 22)
        assert seen[0] and seen[1] >= own + 3
        end = time.monotonic() + 20
        while threads() > own and time.monotonic() < end:
            time.sleep(0.02)
        assert threads() == own
    finally:
        torch.set_num_threads(before)
