"""Options had other names in version 0.1: its runs resume, its presets and commands work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from onnuri.config.former_names import FORMER
from onnuri.config.schema import options
from onnuri.run.metrics_file import read_metrics
from onnuri.train.config import PretrainConfig
from tests.conftest import REPOSITORY, run_command
from tests.soak import SOAK

OLD = REPOSITORY / "tests" / "data" / "run-0.1"
"""Four steps by commit 5ae58e9 of version 0.1, its token shards, and the losses of all eight steps."""
FORM = [
    "model.hidden_size=16",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.num_kv_heads=1",
    "data.sequence_length=32",
    "train.global_batch_size=4",
    "train.validate_every=0",
    "train.validation_tokens=64",
    "engine.micro_batch_size=4",
    "engine.precision=fp32",
    "optim=adamw",
    "optim.lr=5e-3",
    "schedule=constant",
    "schedule.warmup_steps=2",
    "schedule.decay_fraction=0.2",  # the default of then
    "kernels.backend=torch",
    "train.steps=8",
]
OLD_NAMES = [
    "model.head_size=8",
    "model.ffn_size=16",
    "model.norm_eps=1e-5",
    "engine.recompute_every=1",
]
NEW_NAMES = [
    "model.head_dim=8",
    "model.intermediate_size=16",
    "model.rms_norm_eps=1e-5",
    "engine.activation_checkpointing=1",
]


@pytest.mark.parametrize("names", [OLD_NAMES, *[NEW_NAMES] * SOAK])
def test_an_old_run_resumes(names: list[str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(OLD / "run", run_dir)
    result = run_command("pretrain", f"data={OLD / 'tokens'}", f"run_dir={run_dir}", *FORM, *names)
    assert "resumes after step 4:" in result.stdout
    losses = [line["loss"] for line in read_metrics(run_dir) if "loss" in line]
    assert losses == pytest.approx(json.loads((OLD / "losses.json").read_text()), abs=1e-5, rel=0)
    for former, now in FORMER.items():
        line = f"{former} is now {now}; the old name works until version 0.3\n"
        assert result.stdout.count(line) == (names is OLD_NAMES)

    verified = run_command("ledger", "verify", f"run={run_dir}", f"data={OLD / 'tokens'}", "replay=4")
    assert "error" not in verified.stderr


def test_an_old_run_verifies_and_exports(tmp_path: Path) -> None:
    run_command("ledger", "verify", f"run={OLD / 'run'}", f"data={OLD / 'tokens'}")
    run_command("export", f"checkpoint={OLD / 'run'}", f"output={tmp_path / 'model'}")
    described = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (described["head_dim"], described["intermediate_size"]) == (8, 16)
    assert described["rms_norm_eps"] == 1e-5


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("model/own.yaml", "head_size: 48\nffn_size: 96\n", "model=own"),
        ("experiment/own.yaml", "# @package _global_\nmodel:\n  head_size: 48\n", "experiment=own"),
        ("experiment/own.yaml", "# @package model\nhead_size: 48\n", "experiment=own"),
        ("own/a.yaml", "head_size: 48\nffn_size: 96\n", "+own@model=a"),
        (
            "model/own.yaml",
            "head_size: 48\nhidden_size: ${.head_size}\nffn_size: ${model.head_size}",
            "model=own",
        ),
    ],
    ids=["group", "root", "package", "moved", "reference"],
)
def test_presets_of_ones_own(name: str, text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)

    def composed(*words: str) -> tuple[dict[str, int], str]:
        flags = ["--config-dir", str(tmp_path), "--cfg", "job", "--resolve"]
        shown = run_command("pretrain", *flags, word, "data=x", *words).stdout
        said, _, described = shown.partition("run_dir:")
        return yaml.safe_load(f"run_dir:{described}")["model"], said

    model, said = composed()
    assert model["head_dim"] == 48
    assert f"{name.removesuffix('.yaml')}: model.head_size is now model.head_dim; the old name" in said
    if "ffn_size" in text:
        assert model["intermediate_size"] == (48 if "$" in text else 96)
    assert composed("model.head_dim=32")[0]["head_dim"] == 32
    assert composed("model.head_size=32")[0]["head_dim"] == 32
    assert composed("model={head_size: 32,num_layers:3}")[0]["head_dim"] == 32
    assert composed("model.hidden_size=${model.head_size}")[0]["hidden_size"] == 48


@pytest.mark.parametrize("words", [("model.head_size=32", "model.head_dim=64"), ("model=both",)], ids=len)
def test_both_names_at_once_are_refused(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "both.yaml").write_text("head_size: 48\nhead_dim: 32\n")
    flags = ["--config-dir", str(tmp_path), "--cfg", "job", "data=x"]
    refused = run_command("pretrain", *flags, *words, check=False)
    assert refused.returncode == 2
    assert "head_size is the old name of " in refused.stderr and refused.stderr.count("\n") == 1


def test_no_former_name_is_an_option() -> None:
    names = {option.name for option in options(PretrainConfig)}
    assert not names & FORMER.keys()
    assert set(FORMER.values()) <= names
