"""Pretraining through its command: two real ranks, real text, real kills."""

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from onnuri.run.checkpoints import list_checkpoints
from onnuri.run.lock import lock_run_dir
from tests.conftest import SCRIPTS, TINY_MODEL, our_traceback_lines, pretrain, torchrun_command
from tests.processes import Process

PRETRAIN = SCRIPTS / "pretrain.py"
Sample = Callable[[str], str]


def metrics(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def losses(run_dir: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in metrics(run_dir) if "loss" in line}


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Every piece in a checkpoint's files. (The files themselves differ in the order of their headers.)"""
    pieces = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        pieces |= {f"{path.name}:{name}": value for name, value in load_file(path).items()}
    return pieces


def test_a_run_leaves_what_it_promises(undisturbed: Path, sample: Sample) -> None:
    lines = [line for line in metrics(undisturbed) if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert set(lines[0]) >= {"step", "loss", "grad_norm", "lr", "tokens", "tokens_per_second"}
    assert lines[-1]["tokens"] == 12 * 8 * 64
    vocab_rows = json.loads((undisturbed / "run.json").read_text())["config"]["model"]["vocab_size"]
    assert lines[0]["loss"] == pytest.approx(math.log(vocab_rows), rel=0.02)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    validation = [line["bits_per_byte"] for line in metrics(undisturbed) if "bits_per_byte" in line]
    assert set(validation[-1]) == {"ko", "en"}
    assert all(0.5 < value < 8 for value in validation[-1].values())
    assert [p.name for p in list_checkpoints(undisturbed)] == [
        "step-0000012",
        "step-0000010",
        "step-0000005",
    ]
    assert (undisturbed / "loss.png").stat().st_size > 5000


def test_same_command_on_a_finished_run_does_nothing(undisturbed: Path, sample: Sample) -> None:
    before = (undisturbed / "metrics.jsonl").read_bytes()
    result = pretrain(2, sample, undisturbed, "train.steps=12", "engine.precision=fp32")
    assert "up to date" in result.stdout
    assert (undisturbed / "metrics.jsonl").read_bytes() == before


def test_kill_9_and_resume_is_bit_identical(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    run_dir = tmp_path / "killed"
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL]
    words += ["train.steps=12", "train.checkpoint_every=5", "engine.precision=fp32"]
    command = torchrun_command(2, PRETRAIN, *words)
    process = Process(command, new_session=True)
    deadline = time.monotonic() + 120
    while not (run_dir / "metrics.jsonl").is_file() or max(losses(run_dir), default=0) < 7:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    assert max(losses(run_dir)) < 12, "the run ended before it was killed"
    result = pretrain(
        2, sample, run_dir, "train.steps=12", "train.checkpoint_every=5", "engine.precision=fp32"
    )
    assert "resumes after step" in result.stdout + result.stderr
    assert losses(run_dir) == losses(undisturbed)
    found, expected = (tensors(list_checkpoints(folder)[0]) for folder in (run_dir, undisturbed))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_two_runs_never_write_one_directory(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    """A run that is still alive keeps its directory; a second one says who holds it."""
    run_dir = tmp_path / "held"
    shutil.copytree(undisturbed, run_dir)
    holder = lock_run_dir(run_dir)
    result = pretrain(2, sample, run_dir, "train.steps=20", "engine.precision=fp32", check=False)
    holder.close()
    assert result.returncode != 0
    ours = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert len(ours) == 1
    assert f"is in use by another run (process {os.getpid()} on" in ours[0]
    assert max(losses(run_dir)) == 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops(number: int, sample: Sample, tmp_path: Path) -> None:
    """SIGUSR1 is Slurm's usual warning; torchrun hands it on when asked to."""
    run_dir = tmp_path / "stopped"
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, "train.steps=5000"]
    words += ["train.checkpoint_every=0"]
    command = torchrun_command(2, PRETRAIN, *words)
    command.insert(3, "--signals-to-handle=SIGTERM,SIGUSR1")
    said = tmp_path / "said"
    with said.open("wb") as stream:
        process = Process(command, stream, stream, new_session=True)
    deadline = time.monotonic() + 120
    while not (run_dir / "metrics.jsonl").is_file() or max(losses(run_dir), default=0) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) != 0
    assert "stopped by a signal" in said.read_text()
    saved = list_checkpoints(run_dir)
    assert int(saved[0].name.removeprefix("step-")) == max(losses(run_dir))


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        (1, ["engine.stage=3"]),
        (3, ["engine.stage=3"]),
        (2, ["engine.stage=1"]),
        (2, ["engine.stage=0"]),
    ],
)
def test_other_ranks_and_stages_continue_a_run(
    ranks: int, words: list[str], undisturbed: Path, sample: Sample, tmp_path: Path
) -> None:
    run_dir = tmp_path / "moved"
    shutil.copytree(undisturbed, run_dir)
    for late in list_checkpoints(run_dir)[:2]:
        shutil.rmtree(late)
    result = pretrain(ranks, sample, run_dir, "train.steps=12", "engine.precision=fp32", *words)
    assert "resumes after step 5" in result.stdout + result.stderr
    assert max(losses(run_dir)) == 12
    for step, loss in losses(undisturbed).items():
        assert losses(run_dir)[step] == pytest.approx(loss, abs=1e-5)


@pytest.fixture(scope="module")
def bf16_run(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 steps of ZeRO-3 in bf16 on two ranks."""
    run_dir = tmp_path_factory.mktemp("runs") / "bf16"
    words = ["train.steps=8", "engine.precision=bf16", "schedule.name=constant"]
    pretrain(2, sample, run_dir, *words, "train.checkpoint_every=4")
    return run_dir


@pytest.mark.parametrize(("stage", "tolerance"), [(3, 0.0), (2, 0.02), (0, 0.02)])
def test_bf16_learns_and_resumes(
    stage: int, tolerance: float, bf16_run: Path, sample: Sample, tmp_path: Path
) -> None:
    """Bit for bit at the same stage; to bf16 rounding at another, which adds in another order."""
    run_dir, whole = tmp_path / "bf16", losses(bf16_run)
    assert whole[8] < whole[1] - 0.3
    shutil.copytree(bf16_run, run_dir)
    shutil.rmtree(list_checkpoints(run_dir)[0])
    words = [f"engine.stage={stage}", "engine.precision=bf16", "schedule.name=constant"]
    pretrain(2, sample, run_dir, "train.steps=8", *words)
    assert losses(run_dir) == pytest.approx(whole, abs=tolerance, rel=0)


def test_mistakes_end_all_ranks_with_one_line(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    other = tmp_path / "tokenizer"
    other.mkdir()
    (other / "tokenizer.json").write_text("{}")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("do not touch")
    lacking = tmp_path / "lacking"
    shutil.copytree(sample("tokens"), lacking)
    (lacking / "train-00000-00000.tokens.npy").unlink()
    grown = tmp_path / "grown"
    shutil.copytree(sample("tokens"), grown)
    facts = json.loads((grown / "manifest.json").read_text())
    facts["counts"]["sources"][0]["train_tokens"] += 1
    (grown / "manifest.json").write_text(json.dumps(facts))
    cases = {
        f"data={grown}": f"on other data than {grown} holds now: source chatterbot-english had ",
        f"data={lacking}": "train-00000-00000.tokens.npy is missing",
        f"run_dir={foreign}": "exists and is not a run directory",
        "data=/no/such/folder": "does not exist",
        "optim.lrr=1": "did you mean 'optim.lr'?",
        f"tokenizer={other}": "is not the one that",
        "train.seed=7": "was started with train.seed=0, now it is 7",
        "optim=muon": "was started with optim=adamw, now it is muon; choose another run_dir, or optim=",
    }
    for word, message in cases.items():
        started = time.monotonic()
        result = pretrain(
            2, sample, undisturbed, "train.steps=13", "engine.precision=fp32", word, check=False
        )
        assert result.returncode != 0
        ours = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(ours) == 1, result.stderr
        assert message in ours[0]
        assert our_traceback_lines(result.stderr) == []
        assert "exitcode  : 2" in result.stderr
        assert time.monotonic() - started < 30
