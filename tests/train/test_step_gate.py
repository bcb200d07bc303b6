"""The guard refuses to run on a DeepSpeed that it does not know: it never lets a step pass unseen."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.parallel import step_gate
from tests.conftest import REPOSITORY, TINY_MODEL
from tests.processes import run

WORKER = Path(__file__).with_name("gate_worker.py")


TRIALS = {
    "3 bf16": "_get_norm_groups combine_grad_norm_groups overflow DeepSpeedZeroOptimizer_Stage3",
    "2 fp32": "scaled_global_norm cpu_offload DeepSpeedZeroOptimizer",
    "2 bf16 engine.offload=optimizer": "reset_cpu_buffers averaged_gradients",
    "1 bf16": "get_global_norm_of_tensors clip_grad fp32_groups_gradient_flat_partition BF16_Optimizer",
    "0 bf16": "overflow_checker check FP16_UnfusedOptimizer",
    "0 fp32": "",
}
"""Every name of DeepSpeed on which the gate hangs, under the settings where it does."""
COSMETIC = ["see_memory_usage", "persistent_parameters"]
"""Names that are set for speed or quiet alone."""


def test_every_private_name_is_missed_when_a_release_renames_it(sample: Callable[[str], str]) -> None:
    trials = [(setting, ["", *words.split()]) for setting, words in TRIALS.items()]
    trials.append(("3 bf16", COSMETIC))
    output = run([sys.executable, str(WORKER), json.dumps(trials), f"data={sample('tokens')}", *TINY_MODEL])
    lines = [line for line in output.stdout.splitlines() if line.startswith("TRIAL ")]
    results = [line.removeprefix("TRIAL ").split(": ", 2) for line in lines]
    expected = [(setting, word or "nothing") for setting, words in trials for word in words]
    assert [(setting, word) for setting, word, _ in results] == expected
    for setting, word, result in results:
        if word in ("nothing", *COSMETIC):
            assert result == "guarded", (setting, word)
        else:
            assert result.startswith("refused: DeepSpeed 0.19.8 is not one that Onnuri knows: "), result
            assert word in result
            assert result.endswith(f"pip install '{step_gate.KNOWN}'")


class DeepSpeedZeroOptimizer:
    """One that computes its norm, and does with it what a later release might."""

    cpu_offload = False

    def __init__(self, behaviour: str) -> None:
        self.behaviour, self.overflow = behaviour, behaviour == "says nothing"

    def scaled_global_norm(self) -> Any:
        """The norm of a good step."""
        return SimpleNamespace(cpu=lambda: 1.0)

    def step(self) -> None:
        """A step."""
        if self.behaviour not in ("does not ask", "says nothing"):
            self.scaled_global_norm()
        if self.behaviour != "says nothing":
            self.overflow = self.behaviour == "drops it"


@pytest.mark.parametrize(
    ("behaviour", "accepted", "error"),
    [
        ("takes it", True, ""),
        ("does not ask", True, "took a step unasked"),
        ("says nothing", True, "took a step unasked"),
        ("drops it", True, "did not follow the answer"),
        ("drops it", False, ""),
        ("takes it", False, "did not follow the answer"),
    ],
)
def test_a_step_against_the_answer_ends_the_run(
    behaviour: str, accepted: bool, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_gate.torch, "full_like", lambda *_: None)
    optimizer = DeepSpeedZeroOptimizer(behaviour)
    step_gate.install(
        SimpleNamespace(optimizer=optimizer, zero_optimization_stage=lambda: 2), lambda _: accepted, 1.0
    )
    if not error:
        optimizer.step()
        return
    with pytest.raises(UserError, match=error):
        optimizer.step()


def test_another_optimizer_is_refused() -> None:
    for stage in (0, 1, 3):
        engine = SimpleNamespace(
            optimizer=DeepSpeedZeroOptimizer(""), zero_optimization_stage=lambda stage=stage: stage
        )
        if stage == 1:
            step_gate.install(engine, lambda _: True, 1.0)
            continue
        with pytest.raises(UserError, match=f"at ZeRO stage {stage} is DeepSpeedZeroOptimizer"):
            step_gate.install(engine, lambda _: True, 1.0)


def test_the_package_asks_for_the_versions_that_the_gate_knows() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert step_gate.KNOWN in project["dependencies"]
    assert any(each.startswith("torch>=2.11,<2.14") for each in project["dependencies"])
