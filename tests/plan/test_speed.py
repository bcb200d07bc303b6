"""Planned speed against published runs, their figures, sources and table; and against runs on an H100."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from onnuri.config import CONFIG_ROOT, compose
from onnuri.kernels.config import ROW_OPERATIONS
from onnuri.plan.config import PlanConfig
from onnuri.plan.machine import settle
from onnuri.plan.memory import GIB, peak
from onnuri.plan.speed import speed
from tests.conftest import REPOSITORY
from tests.plan.published import RUNS, TOO_FAST, Run, words


def planned(run: Run) -> float:
    """Tokens per second of one GPU."""
    setting = settle(compose(PlanConfig, words(run), CONFIG_ROOT, "plan"))
    return speed(setting).tokens_per_second / run.gpus


def place(run: Run) -> tuple[str, str, int, int]:
    return run.model, run.cluster, run.gpus, run.sequence_length


@pytest.mark.parametrize("run", RUNS, ids=lambda run: "-".join(map(str, place(run))))
def test_published_speed_is_planned_within_15_percent(run: Run) -> None:
    apart = planned(run) / run.tokens_per_second - 1
    if place(run) in TOO_FAST:
        assert 0.15 < apart < 0.4  # what docs/planning.md says of these
    else:
        assert abs(apart) < 0.15


@dataclass(frozen=True)
class Measured:
    """A run of this project on one H100 (docs/gpu.md): GiB at its peak, tokens per second."""

    model: str
    gib: float
    tokens_per_second: float
    words: tuple[str, ...] = ()


SHAPES = {
    "300m": ("data.sequence_length=2048", "train.global_batch_size=64", "engine.micro_batch_size=8"),
    "1b": ("data.sequence_length=4096", "train.global_batch_size=32", "engine.micro_batch_size=4"),
}
ON_ONE_H100 = (
    Measured("300m", 21.745, 179_362),
    Measured("1b", 37.396, 81_683),
    Measured("1b", 37.466, 77_633, ("engine.stage=3",)),
    Measured("300m", 21.690, 172_180, tuple(f"kernels.{name}=triton" for name in ROW_OPERATIONS)),
    Measured("300m", 21.694, 133_962, ("engine.compile=off",)),
)


@pytest.mark.parametrize("run", ON_ONE_H100, ids=lambda run: " ".join((run.model, *run.words)))
def test_runs_on_one_h100_are_planned(run: Measured) -> None:
    words = [
        f"model={run.model}",
        "optim=adamw",
        "model.vocab_size=32000",
        "cluster=h100",
        "cluster.gpus=1",
        "engine.stage=1",
    ]
    setting = settle(compose(PlanConfig, [*words, *SHAPES[run.model], *run.words], CONFIG_ROOT, "plan"))
    assert peak(setting).total / GIB == pytest.approx(run.gib, rel=0.05)
    assert speed(setting).tokens_per_second == pytest.approx(run.tokens_per_second, rel=0.1)


def test_one_efficiency_serves_both_sizes_of_the_a100() -> None:
    found = {
        name: compose(PlanConfig, [f"cluster={name}"], CONFIG_ROOT, "plan")
        for name in ("a100-40", "a100-80")
    }
    assert len({config.cluster.efficiency for config in found.values()}) == 1


def test_the_table_in_the_docs_is_what_the_plan_says() -> None:
    text = (REPOSITORY / "docs" / "planning.md").read_text(encoding="utf-8")
    for run in RUNS:
        assert table_row(run) in text, table_row(run)


def table_row(run: Run) -> str:
    """The line of docs/planning.md."""
    found = planned(run)
    again = {0: "none", 1: "all", 2: "half"}[run.activation_checkpointing]
    return (
        f"| {run.source} {run.model} | {run.gpus} x {run.cluster} | {run.micro_batch_size} x "
        f"{run.sequence_length:,} | {again} | {run.tokens_per_second:,.0f} | {found:,.0f} | "
        f"{100 * (found / run.tokens_per_second - 1):+.0f} % |"
    )
