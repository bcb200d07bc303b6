"""Threads that read the options of a command at the same time."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from onnuri.config.schema import field_meanings
from onnuri.train.config import TrainConfig


@pytest.fixture
def changes_of_threads() -> Iterator[None]:
    """Each collection of garbage, and there are many, lets another thread run: inside of a parse too."""
    threshold = gc.get_threshold()

    def sleep(phase: str, details: dict[str, int]) -> None:
        time.sleep(0)

    gc.callbacks.append(sleep)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks.remove(sleep)


@pytest.mark.usefixtures("changes_of_threads")
def test_each_has_all_meanings() -> None:
    """Without the lock eight runs of ten failed, under Python 3.11."""
    expected = field_meanings(TrainConfig)
    assert expected["steps"]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(field_meanings.__wrapped__, [TrainConfig] * 200))
    assert found == [expected] * 200
