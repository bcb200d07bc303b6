"""Starts that are refused leave a run as it was, and starts that were cut off are made good."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.base import copying
from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.verify import verify
from onnuri.run import chain
from onnuri.run.checkpoints import list_checkpoints
from onnuri.run.metrics_file import measured
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import make_plan
from tests.conftest import SCRIPTS, TINY_MODEL, our_traceback_lines, pretrain
from tests.processes import run

Sample = Callable[[str], str]
WORDS = ["train.steps=14", "engine.precision=fp32"]


def one(sample: Sample, run_dir: Path, *words: str, script: Path = SCRIPTS / "pretrain.py") -> str:
    """Output of a start on one rank, without torchrun."""
    command = [sys.executable, str(script), f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL]
    result = run([*command, *words], check=False)
    assert our_traceback_lines(result.stderr) == []
    return result.stdout + result.stderr


def contents(run_dir: Path) -> dict[str, bytes]:
    """Every file but the lock, which has the number of the last process."""
    files = [path for path in run_dir.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in files}


def test_a_refused_start_changes_nothing(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    before = contents(run_dir)
    refusals = {
        "engine.hpz_partition_size=3": "does not divide",
        "kernels.attention=flash": "needs an NVIDIA GPU",
        "engine=zero_plus": "need GPUs",
    }
    for word, message in refusals.items():
        assert message in one(sample, run_dir, *WORDS, word)
    assert contents(run_dir) == before
    assert verify(VerifyConfig(run=str(run_dir))) == []


def test_a_refused_first_start_can_be_mended(sample: Sample, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    assert "needs an NVIDIA GPU" in one(sample, run_dir, "train.steps=1", "kernels.attention=flash")
    assert contents(run_dir) == {}
    assert "trained to step 1" in one(sample, run_dir, "train.steps=1")
    assert verify(VerifyConfig(run=str(run_dir))) == []


def test_a_start_that_was_killed_before_run_json(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    """The ledger has its line by then; nothing was trained with what it says."""
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    ledger = chain.Ledger(run_dir)
    last = next(line for line in chain.read(run_dir) if line["event"] == "start")
    facts = {
        name: value for name, value in last.items() if name not in ("event", "time", "previous", "hash")
    }
    other = json.loads(json.dumps(facts))
    other["config"]["train"]["steps"] = 99
    ledger.add("resume", other)
    assert verify(VerifyConfig(run=str(run_dir))) == []
    ledger.add("step", {"step": 13, "loss": 1.0, "grad_norm": 1.0, "tokens": 1})
    ledger.close()
    assert len(verify(VerifyConfig(run=str(run_dir)))) == 1
    (first := tmp_path / "first").mkdir()
    chain.Ledger(first).add("start", facts)
    config = compose(
        PretrainConfig, [f"data={sample('tokens')}", f"run_dir={first}"], CONFIG_ROOT, "pretrain"
    )
    assert make_plan(config).stored is None, "a run that never began may begin"


def test_write_protected_data_gives_copies_that_can_be_written(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    for path in (source / "a.json", source / "inner" / "b.json"):
        path.write_text("{}")
        path.chmod(0o444)
    for folder in (source / "inner", source):
        folder.chmod(0o555)
    for _ in range(2):
        copying.copy_contents(source, target)
    assert all(path.stat().st_mode & 0o200 for path in [target, *target.rglob("*")])
    assert (target / "inner" / "b.json").read_text() == "{}"
    stamp = (target / "a.json").stat().st_mtime_ns
    (target / "inner" / "b.json").write_text("[]")
    copying.copy_contents(source, target, lambda _, names: [name for name in names if name == "inner"])
    assert (target / "a.json").stat().st_mtime_ns == stamp, "what is equal is not written again"
    assert (target / "inner" / "b.json").read_text() == "[]"


def test_a_checkpoint_is_written_before_the_validation_of_its_step(sample: Sample, tmp_path: Path) -> None:
    run_dir, worker = tmp_path / "run", Path(__file__).with_name("validation_worker.py")
    words = ["train.steps=4", "train.validate_every=2", "train.checkpoint_every=2"]
    one(sample, run_dir, *words, script=worker)
    assert [folder.name for folder in list_checkpoints(run_dir)] == ["step-0000002"]
    assert "bits_per_byte" not in measured(run_dir, 2)
    one(sample, run_dir, *words)
    assert all("bits_per_byte" in measured(run_dir, step) for step in (2, 4))
    metrics = run_dir / "metrics.jsonl"
    whole = metrics.read_text()
    lines = whole.splitlines(keepends=True)
    assert "bits_per_byte" in lines.pop()
    metrics.write_text("".join(lines))
    assert "up to date" not in one(sample, run_dir, *words)
    assert metrics.read_text() == whole, "the same validation"
    assert "up to date" in one(sample, run_dir, *words)


def test_a_run_of_a_later_version_is_refused_in_one_line(
    undisturbed: Path, sample: Sample, tmp_path: Path
) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    facts = json.loads((run_dir / "run.json").read_text())
    facts["config"]["model"]["num_experts"] = 8
    (run_dir / "run.json").write_text(json.dumps(facts))
    message = "has the option model.num_experts, which this version"
    with pytest.raises(UserError, match=message) as error:
        make_plan(config_of(sample, run_dir))
    assert "\n" not in str(error.value)
    shutil.copyfile(undisturbed / "run.json", run_dir / "run.json")
    folder = list_checkpoints(run_dir)[0]
    facts = json.loads((folder / "manifest.json").read_text())
    facts["counts"]["progress"]["tokens_by_source"] = {}
    (folder / "manifest.json").write_text(json.dumps(facts))
    assert "keeps 'tokens_by_source' of its run, which this version" in one(sample, run_dir, *WORDS)


def config_of(sample: Sample, run_dir: Path) -> PretrainConfig:
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, *WORDS]
    return compose(PretrainConfig, words, CONFIG_ROOT, "pretrain")


def test_a_refusal_ends_all_ranks_with_one_line(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    result = pretrain(2, sample, run_dir, *WORDS, "engine.hpz_partition_size=3", check=False)
    assert [line for line in result.stderr.splitlines() if line.startswith("error")] == [
        "error: engine.hpz_partition_size=3 does not divide 2 ranks"
    ]
    assert contents(run_dir) == contents(undisturbed)
