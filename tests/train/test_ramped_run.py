"""Runs whose batch and attention length grow: kills, ranks and replays change nothing."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.ledger.config import SourcesConfig
from onnuri.ledger.sources import sources
from onnuri.run.metrics_file import read_metrics
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import choose_micro_batch_size, make_plan, sized_model
from onnuri.train.same_run import begun, check_same_run, take_over
from onnuri.train.schedule_warnings import ramp_warnings
from tests.conftest import SCRIPTS, TINY_MODEL, pretrain, run_command, torchrun_command
from tests.processes import Process
from tests.soak import SOAK
from tests.train.nodes import wait_until
from tests.train.test_elastic import losses

Sample = Callable[[str], str]
RAMPS = ["train.batch_ramp={0:2,3:6,7:8}", "data.length_ramp={0:16,4:32,9:64}"]
WORDS = [*RAMPS, "engine.micro_batch_size=1", "optim.lr=1e-3", "train.steps=12"]
WORDS += ["train.checkpoint_every=5", "train.keep_checkpoints=0"]


@pytest.fixture(scope="module")
def ramped(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on two ranks, ZeRO-3 in fp32, and what it printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "ramped"
    return run_dir, pretrain(2, sample, run_dir, *WORDS, "engine.precision=fp32").stdout


def test_what_is_reported_and_counted(ramped: tuple[Path, str], sample: Sample) -> None:
    run_dir, output = ramped
    assert "12 steps of up to 512 tokens, 2 rank(s) x 4 micro-batch(es) of 1 x 64" in output
    sequences = "2 (1 micro-batch(es)) from step 0 on, 6 (3 micro-batch(es)) from step 3 on, 8 (4 micro"
    assert f"train.batch_ramp: sequences in a step: {sequences}" in output
    assert "data.length_ramp: tokens that attention reaches: 16 from step 0 on, 32 from step 4" in output
    tokens = [line["tokens"] for line in read_metrics(run_dir) if "loss" in line]
    batches = [2] * 3 + [6] * 4 + [8] * 5
    assert tokens == [64 * sum(batches[: step + 1]) for step in range(12)]
    found = sources(SourcesConfig(run=str(run_dir)))
    assert (found.tokens, found.batches) == (tokens[-1], 12)


def test_steps_of_a_ramp_are_replayed(ramped: tuple[Path, str]) -> None:
    result = run_command("ledger", "verify", f"run={ramped[0]}", "replay=7", check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ran steps 6 to 12 again from step-0000005, allowed difference 0" in result.stdout


def test_killed_and_resumed_is_bit_identical(
    ramped: tuple[Path, str], sample: Sample, tmp_path: Path
) -> None:
    run_dir, words = tmp_path / "killed", [*WORDS, "engine.precision=fp32"]
    command = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, *words]
    process = Process(torchrun_command(2, SCRIPTS / "pretrain.py", *command), new_session=True)
    wait_until(lambda: max(losses(run_dir), default=0) >= 7, 120, "step 7")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert max(losses(run_dir)) < 12, "the run ended before it was killed"
    assert "resumes after step" in pretrain(2, sample, run_dir, *words).stdout
    assert losses(run_dir) == losses(ramped[0])


@pytest.mark.parametrize(
    ("ranks", "words", "tolerance"),
    [
        (1, ["engine.stage=2", "engine.precision=fp32"], 1e-5),
        *[
            (ranks, [f"engine.stage={stage}", f"engine.precision={precision}"], tolerance)
            for ranks in (1, 2)
            for stage in range(4)
            for precision, tolerance in (("fp32", 1e-5), ("bf16", 0.02))
            if SOAK
        ],
    ],
)
def test_ranks_and_stages_have_the_same_losses(
    ranks: int, words: list[str], tolerance: float, ramped: tuple[Path, str], sample: Sample, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    if ranks == 1:  # without torchrun
        words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, *WORDS, *words]
        run_command("pretrain", *words)
    else:
        pretrain(ranks, sample, run_dir, *WORDS, *words)
    assert losses(run_dir) == pytest.approx(losses(ramped[0]), abs=tolerance, rel=0)


def composed(sample: Sample, *words: str) -> PretrainConfig:
    return compose(
        PretrainConfig, [f"data={sample('tokens')}", *TINY_MODEL, *words], CONFIG_ROOT, "pretrain"
    )


def test_other_ramps_are_refused_or_reported(ramped: tuple[Path, str], sample: Sample) -> None:
    run_dir = str(ramped[0])
    stored, data = begun(run_dir), manifest.read(sample("tokens"), "tokens")
    assert stored is not None
    for option in ("train.batch_ramp", "data.length_ramp"):
        kept = [word for word in WORDS if not word.startswith(option)]
        config = composed(sample, *kept, "engine.precision=fp32", f"run_dir={run_dir}")
        config = take_over(replace(config, model=sized_model(config.model, 1024)), stored)
        (written,) = (word for word in RAMPS if word.startswith(option))
        with pytest.raises(UserError, match=re.escape(f"started with {written}, now it is {{}}; choose")):
            check_same_run(config, data, stored)
    config = composed(sample, *RAMPS, "train.steps=8")
    message = "train.batch_ramp begins with 2 sequences, too few for 3 ranks; begin with at least 3"
    with pytest.raises(UserError, match=re.escape(message)):
        choose_micro_batch_size(config, 3)
    config.engine.micro_batch_size = 4
    warned = list(ramp_warnings(make_plan(config)))
    assert "data.length_ramp gets to 64 at step 9; the run ends at 32, as train.steps=8" in warned
    assert any(
        "from step 0 on 50% of the rows that are computed are empty: 2 sequences" in line for line in warned
    )


def test_one_micro_batch_size_serves_all_stages() -> None:
    """The one that takes least over the run, not the one for the full batch."""
    config = PretrainConfig()
    config.train.global_batch_size, config.train.steps = 64, 100
    sizes = []
    for start in (90, 50, 10):
        config.train.batch_ramp = {"0": 8, str(start): 64}
        sizes.append(choose_micro_batch_size(config, 4))
    assert sizes == [2, 4, 16]
