"""Learning rate shapes."""

import pytest

from onnuri.optim.config import AverageConfig, OptimConfig, ScheduleConfig
from onnuri.optim.schedule import default_warmup, lr_multiplier
from onnuri.train.config import PretrainConfig, TrainConfig
from onnuri.train.schedule_warnings import schedule_warnings


def curve(schedule: ScheduleConfig, steps: int) -> list[float]:
    return [lr_multiplier(schedule, step, steps) for step in range(1, steps + 1)]


def test_wsd_warms_up_stays_and_decays() -> None:
    values = curve(ScheduleConfig("wsd", warmup_steps=10, decay_fraction=0.2, final_lr_ratio=0.1), 100)
    assert values[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert set(values[10:80]) == {1.0}
    assert values[80:] == sorted(values[80:], reverse=True)
    assert values[84] == pytest.approx(0.1 + 0.9 * (1 - 0.25**0.5))
    assert values[-1] == pytest.approx(0.1)


def test_wsd_without_a_decay_stays_at_the_peak() -> None:
    schedule = ScheduleConfig("wsd", warmup_steps=2, decay_fraction=0)
    assert curve(schedule, 5) == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert lr_multiplier(schedule, 6, 5) == 1.0, "the first step after a run that is prolonged"
    assert warned(schedule, 3) == []


def test_cosine_is_half_way_in_the_middle() -> None:
    values = curve(ScheduleConfig("cosine", warmup_steps=20, final_lr_ratio=0.0), 120)
    assert values[69] == pytest.approx(0.5)
    assert values[-1] == pytest.approx(0.0, abs=1e-12)
    assert max(values) == values[19] == 1.0


def test_constant_stays_after_warmup() -> None:
    assert curve(ScheduleConfig("constant", warmup_steps=2), 5) == [0.5, 1.0, 1.0, 1.0, 1.0]


def test_no_warmup_starts_at_the_peak() -> None:
    assert curve(ScheduleConfig("wsd", warmup_steps=0), 10)[0] == 1.0


def test_a_warmup_that_is_not_named_goes_by_the_length_of_the_run() -> None:
    assert [default_warmup(steps) for steps in (5, 80, 1000, 10**6)] == [0, 8, 100, 100]


def warned(schedule: ScheduleConfig, steps: int, first_step: int = 0, steps_before: int = 0) -> list[str]:
    config = PretrainConfig(
        schedule=schedule, train=TrainConfig(steps=steps), optim=OptimConfig(lr=1e-3, update_scale="rms")
    )
    return list(schedule_warnings(config, first_step, steps_before or steps))


def test_a_learning_rate_that_is_hardly_meant_is_one_line() -> None:
    wsd, cosine = ScheduleConfig("wsd", 20, 0.2), ScheduleConfig("cosine", 20, final_lr_ratio=0.1)
    for quiet in (warned(wsd, 100), warned(cosine, 100), warned(ScheduleConfig("constant", 0), 1)):
        assert quiet == []
    (line,) = warned(ScheduleConfig("wsd", 0), 1)
    assert "of optim.lr=0.001 the rate gets to 0 and no higher (train.steps=1)" in line
    (line,) = warned(ScheduleConfig("cosine", 0), 2)
    assert "gets to 0.0005 and no higher (train.steps=2)" in line
    assert warned(ScheduleConfig("wsd", 0), 5) == warned(ScheduleConfig("cosine", 0), 10) == []
    (line,) = warned(wsd, 16)
    assert "warmup_steps=20 is not below train.steps=16" in line
    assert "gets to 80% of optim.lr=0.001, 0.0008, at its last step" in line
    (line,) = warned(wsd, 22)
    assert "falls from 0.001 (step 20) to 0.000134 (step 21)" in line


def test_an_average_or_a_momentum_beyond_the_run_is_one_line() -> None:
    def lines(steps: int) -> list[str]:
        config = PretrainConfig(
            optim=OptimConfig("muon", momentum_warmup_steps=200),
            schedule=ScheduleConfig("constant", 0),
            average=AverageConfig(ema_decay=0.999, ema_start=200),
            train=TrainConfig(steps=steps),
        )
        return list(schedule_warnings(config, 0, steps))

    assert lines(200) == []
    average, momentum = lines(100)
    assert average.startswith("average.ema_start=200 is above train.steps=100: there will be no average")
    assert "Muon's momentum gets to 0.9 of optim.momentum=0.95" in momentum


def test_a_length_that_moves_the_decay_names_both_rates() -> None:
    wsd, cosine = ScheduleConfig("wsd", 20, 0.2), ScheduleConfig("cosine", 20, final_lr_ratio=0.1)
    assert warned(wsd, 200, first_step=70, steps_before=100) == []  # the decay had not begun
    assert warned(ScheduleConfig("constant", 20), 200, first_step=100, steps_before=100) == []
    (line,) = warned(wsd, 200, first_step=100, steps_before=100)
    assert "train.steps=200, 100 before" in line and "from 0 (step 100) to 0.001 (step 101)" in line
    (line,) = warned(cosine, 300, first_step=80, steps_before=100)
    assert "from 0.000232 (step 80) to" in line
    (line,) = warned(cosine, 60, first_step=50, steps_before=400)  # shortened
    assert "train.steps=60, 400 before" in line
