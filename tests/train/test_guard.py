"""Steps that must not be taken are not taken, on any rank; the run continues, and reports it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.run.checkpoints import list_checkpoints
from onnuri.train.config import GuardConfig
from onnuri.train.guard import SPIKE, Progress, StepGuard
from tests.conftest import TINY_MODEL, our_traceback_lines, torchrun

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("guard_worker.py")


def run(sample: Sample, run_dir: Path, fault: list[str], *words: str, check: bool = True) -> str:
    words = (f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, "average.ema_decay=0.9", *words)
    result = torchrun(2, WORKER, *fault, *words, check=check)
    return result.stdout + result.stderr


def states(output: str) -> dict[tuple[int, int], list[str]]:
    """Hashes of the state by (rank, step), in the order in which they were printed."""
    found: dict[tuple[int, int], list[str]] = {}
    for rank, step, value in re.findall(r"STATE (\d) (\d+) ([0-9a-f]{16})", output):
        found.setdefault((int(rank), int(step)), []).append(value)
    return found


def metrics(run_dir: Path) -> dict[int, dict]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


def odd_steps(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "skipped.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        ("3 bf16", ["gradient", "nan"]),
        ("3 bf16", ["loss", "inf"]),
        ("3 fp32", ["gradient", "inf"]),
        ("2 bf16", ["gradient", "nan"]),
        ("1 bf16", ["gradient", "nan"]),
        ("0 bf16", ["gradient", "nan"]),
        ("0 fp32", ["gradient", "nan"]),
        ("3 bf16 engine.offload=all", ["gradient", "nan"]),
        ("2 bf16 engine.offload=optimizer", ["gradient", "nan"]),
        ("3 bf16 optim.name=muon", ["gradient", "nan"]),
        ("1 bf16 optim.name=muon", ["gradient", "inf"]),
    ],
)
def test_a_step_that_is_not_finite_on_one_rank_is_skipped_on_all(
    engine: str, fault: list[str], sample: Sample, tmp_path: Path
) -> None:
    stage, precision, *more = engine.split()
    words = [f"engine.stage={stage}", f"engine.precision={precision}", "train.steps=6", *more]
    output = run(sample, tmp_path / "run", [*fault, "3,4"], *words, "train.checkpoint_every=0")
    found = states(output)
    for rank in range(2):
        hashes = [found[rank, step][0] for step in range(1, 7)]
        assert hashes[1] == hashes[2] == hashes[3], "a skipped step has changed the state"
        assert len(set(hashes)) == 4, "a good step has changed nothing"
    lines = metrics(tmp_path / "run")
    assert [lines[step]["skipped"] for step in range(1, 7)] == [0, 0, 1, 2, 2, 2]
    assert all(math.isfinite(lines[step]["loss"]) for step in (1, 2, 5, 6))
    assert lines[3]["grad_norm"] is None
    assert output.count("not finite; skipped") == 2
    odd = odd_steps(tmp_path / "run")
    assert [(line["step"], line["verdict"], line["taken"]) for line in odd] == [
        (3, "not finite", False),
        (4, "not finite", False),
    ]
    assert all(len(line["documents"]) > 3 for line in odd)
    counts = json.loads((list_checkpoints(tmp_path / "run")[0] / "manifest.json").read_text())["counts"]
    assert {name: counts["progress"][name] for name in ("step", "updates", "skipped")} == {
        "step": 6,
        "updates": 4,
        "skipped": 2,
    }


def test_too_many_in_a_row_end_the_run_and_name_the_last_good_checkpoint(
    sample: Sample, tmp_path: Path
) -> None:
    words = ["train.steps=20", "train.checkpoint_every=2", "guard.max_skipped=3"]
    fault = ["gradient", "nan", "5,7,8,9,10"]
    output = run(sample, tmp_path / "run", fault, *words, check=False)
    errors = [line for line in output.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "step 9: 3 steps in a row were skipped" in errors[0]
    assert "step-0000008" in errors[0]
    assert our_traceback_lines(output) == []


@pytest.mark.parametrize("policy", ["report", "skip", "rollback"])
def test_a_spike(policy: str, sample: Sample, tmp_path: Path) -> None:
    words = [
        "train.steps=14",
        "schedule.decay_fraction=0.2",
        "train.checkpoint_every=4",
        "guard.spike_window=6",
        f"guard.on_spike={policy}",
    ]
    words += ["guard.rollback_batches=2", "engine.precision=fp32", "train.keep_checkpoints=0"]
    output = run(sample, tmp_path / "run", ["gradient", "1000", "10"], *words)
    found, lines = states(output), metrics(tmp_path / "run")
    assert sorted(lines) == list(range(1, 15))
    first = next(line for line in odd_steps(tmp_path / "run"))
    assert (first["step"], first["verdict"], first["taken"]) == (10, SPIKE, policy == "report")
    assert first["deviations"] > 10
    same = [found[rank, 9][0] == found[rank, 10][0] for rank in range(2)]
    assert same == [policy != "report"] * 2
    if policy == "report":
        assert lines[14]["skipped"] == 0
    if policy == "skip":
        assert lines[10]["grad_norm"] > 5 * lines[9]["grad_norm"]
        assert lines[14]["skipped"] == 1
    if policy == "rollback":
        for rank in range(2):
            assert found[rank, 8][0] == found[rank, 9][1] == found[rank, 10][1], "both are left out"
            assert found[rank, 8][0] != found[rank, 9][0]
        assert lines[9]["loss"] is None
        assert lines[10]["loss"] is None
        assert lines[14]["skipped"] == 2
        assert "step 9: left out after a rollback" in output


def test_judgement_is_robust_against_the_spikes_themselves() -> None:
    guard, progress = StepGuard(GuardConfig(on_spike="skip", spike_window=20)), Progress()
    for step in range(200):
        guard.start_step(progress)
        spike = step > 40 and step % 3 == 0  # a third of all steps
        guard.loss = 5.0 - step / 200 + 0.03 * (step % 5)
        assert guard.accept(200.0 if spike else 1.0 + 0.05 * (step % 7)) != spike
        guard.finish_step(progress)
    assert progress.skipped == sum(step > 40 and step % 3 == 0 for step in range(200))
    assert len(progress.recent) == 20
    guard.start_step(progress)
    guard.loss = 9.0
    assert not guard.accept(1.0), "a jump of the loss alone"
