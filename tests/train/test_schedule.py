"""Learning rate shapes."""

import pytest

from onnuri.train.config import ScheduleConfig
from onnuri.train.schedule import lr_multiplier


def curve(schedule: ScheduleConfig, steps: int) -> list[float]:
    return [lr_multiplier(schedule, step, steps) for step in range(1, steps + 1)]


def test_wsd_warms_up_stays_and_decays() -> None:
    values = curve(ScheduleConfig("wsd", warmup_steps=10, decay_fraction=0.2, final_lr_ratio=0.1), 100)
    assert values[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert set(values[10:80]) == {1.0}
    assert values[80:] == sorted(values[80:], reverse=True)
    assert values[84] == pytest.approx(0.1 + 0.9 * (1 - 0.25**0.5))
    assert values[-1] == pytest.approx(0.1)


def test_cosine_is_half_way_in_the_middle() -> None:
    values = curve(ScheduleConfig("cosine", warmup_steps=20, final_lr_ratio=0.0), 120)
    assert values[69] == pytest.approx(0.5)
    assert values[-1] == pytest.approx(0.0, abs=1e-12)
    assert max(values) == values[19] == 1.0


def test_constant_stays_after_warmup() -> None:
    assert curve(ScheduleConfig("constant", warmup_steps=2), 5) == [0.5, 1.0, 1.0, 1.0, 1.0]


def test_no_warmup_starts_at_the_peak() -> None:
    assert curve(ScheduleConfig("wsd", warmup_steps=0), 10)[0] == 1.0
