"""How the time of a stage grows with the size of one text: some 16 times for 16 times the size, never 256.

A ratio of processor times, so that a slow or busy machine does not matter; the least of some runs, since
only interruptions add to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa

LARGE_BYTES, FACTOR = 4_000_000, 16
LINEAR = 6 * FACTOR
"""A ratio below it is linear time, and caches that overflow."""

UNITS = (
    "a",
    "가",
    "가나",
    "\n",
    " \n",
    "=\n",
    "a ",
    "가나 다라 ",
    "(((",
    "!",
    "ㅋㅎ",
    "\u200d",
    "가\u200d",
    "\u0301",
    "\u0301\u0316",
    "e\u0301\u0316",
    "\u0301\u200b",
    "무단전재 ",
    "무단전재 및 재배포 금지\n",
    "무단전재 및 재배포 금지\n관련\n",
    "카지노 바카라 토토사이트 ",
    "는카지노",
    "로그인 회원가입 ",
    "로그인 회원가입\n",
)
"""What a hostile page may hold by the megabyte: no stage may look at any of it again and again."""


def growth(stage: Callable[[pa.Array], object], unit: str) -> float:
    """Time for LARGE_BYTES of a unit in one text, over the time for a FACTOR-th of it and 5 ms.

    What looks slow is timed three times more: work grows, a neighbour that fills the caches does not.
    """

    def least(size: int, runs: int) -> float:
        texts = pa.array([unit * (size // len(unit.encode()))], pa.large_string())
        times = []
        for _ in range(runs):
            started = time.process_time()
            stage(texts)
            times.append(time.process_time() - started)
        return min(times)

    small = least(LARGE_BYTES // FACTOR, 3) + 0.005
    ratio = least(LARGE_BYTES, 1) / small
    return ratio if ratio < LINEAR else min(ratio, least(LARGE_BYTES, 3) / small)
