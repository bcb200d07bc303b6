"""lora.rank: adapters are trained, the model under them is not, and every way out has both."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from onnuri.hf.load import check_model_folder
from onnuri.hf.weights import load_decoder
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.verify import verify
from onnuri.model.config import ModelConfig
from onnuri.model.lora import LoraLinear, adapter_names, adapters, add_adapters
from onnuri.model.lora_config import LoraConfig
from onnuri.model.spec import spec_of
from onnuri.run.checkpoints import list_checkpoints
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import make_plan
from onnuri.train.warm_start import open_warm_start, stored
from tests.conftest import (
    SCRIPTS,
    made_once,
    our_traceback_lines,
    run_command,
    torchrun,
    torchrun_command,
)
from tests.processes import Process
from tests.soak import SOAK

Sample = Callable[[str], str]
KILLED = Path(__file__).with_name("killed_tuning.py")
STEPS = 8
LORA = LoraConfig(rank=4, alpha=16)
WORDS = [
    *("data.sequence_length=512", "train.global_batch_size=8", "engine.micro_batch_size=2"),
    *(f"train.steps={STEPS}", "train.checkpoint_every=3", "train.keep_checkpoints=0"),
    *("train.validate_every=0", "train.validation_tokens=2048", "engine.precision=fp32", "optim.lr=1e-2"),
    *(
        "schedule.warmup_steps=2",
        "average.ema_decay=0.9",
        f"lora.rank={LORA.rank}",
        f"lora.alpha={LORA.alpha}",
    ),
]


@pytest.fixture(scope="module")
def data(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Conversations of two families of tasks."""

    def make(folder: Path) -> None:
        words = ["kind=sft", "families=[josa,jamo]", "count=40", "difficulty=1"]
        run_command("tasks", "make", *words, f"output={folder / 'sft'}")
        words = [f"input={folder / 'sft'}", f"tokenizer={sample('tokenizer')}", "kind=chat"]
        run_command("pack", *words, f"output={folder / 'chat'}", "heldout_share=0.1")

    return made_once(tmp_path_factory, "lora-data", make) / "chat"


@pytest.fixture(scope="module")
def run(undisturbed: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters of the sample run, trained on two ranks at ZeRO-3 without an interruption."""

    def make(folder: Path) -> None:
        torchrun(2, SCRIPTS / "tune.py", *words(undisturbed, data, folder / "run"))

    return made_once(tmp_path_factory, "lora", make) / "run"


def words(base: Path, data: Path, run_dir: Path, *more: str) -> list[str]:
    return [f"train.init_from={base}", f"data={data}", f"run_dir={run_dir}", *WORDS, *more]


def losses(run_dir: Path) -> list[float]:
    found = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in found if "loss" in line]


def newest(run_dir: Path) -> Path:
    return list_checkpoints(run_dir)[0]


def kept(run_dir: Path) -> set[str]:
    """Names of the tensors in the newest checkpoint."""
    found: set[str] = set()
    for path in newest(run_dir).glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            found.update(file.keys())
    return found


def adapted(run_dir: Path, base: Path) -> Any:
    """The model in training: that of an export, with the adapters of the run beside its weights."""
    export(ExportConfig(str(base), str(run_dir.parent / "base")))
    model: Any = load_decoder(run_dir.parent / "base")
    table = spec_of(model.config).by_name(model.config)
    read = stored(newest(run_dir), model.config, LORA)
    add_adapters(model, table, LORA)
    for name, parameter in model.named_parameters():
        if name in adapters(table, LORA):
            parameter.data.copy_(read(name))
    return model


def test_adapters_alone_are_trained_and_kept(run: Path) -> None:
    found = losses(run)
    assert len(found) == STEPS and found[-1] < found[0] - 0.1
    weights = [name for name in kept(run) if not name.startswith("rng/")]
    assert all("lora_a" in name or "lora_b" in name for name in weights)
    assert {name.partition("/")[0] for name in weights} == {"weight", "exp_avg", "exp_avg_sq", "ema"}
    assert verify(VerifyConfig(str(run))) == []


@pytest.mark.parametrize("how", [(1, 1), *[(1, 0), (1, 3), (2, 2)] * SOAK])
def test_any_ranks_and_stage(
    how: tuple[int, int], run: Path, undisturbed: Path, data: Path, tmp_path: Path
) -> None:
    ranks, stage = how
    torchrun(
        ranks, SCRIPTS / "tune.py", *words(undisturbed, data, tmp_path / "run", f"engine.stage={stage}")
    )
    assert losses(tmp_path / "run") == pytest.approx(losses(run), abs=2e-5)


@pytest.mark.skipif(not SOAK, reason="two more runs: make soak")
def test_killed_and_resumed_bit_for_bit(run: Path, undisturbed: Path, data: Path, tmp_path: Path) -> None:
    """In the second micro-batch of the fifth step; then without train.init_from, which the run knows."""
    given = words(undisturbed, data, tmp_path / "run")
    command = torchrun_command(2, KILLED, *given)
    assert Process(command, environment={**os.environ, "KILL_AT": "10"}).wait(timeout=240) != 0
    assert len(losses(tmp_path / "run")) == 4
    torchrun(2, SCRIPTS / "tune.py", *given[1:])
    assert losses(tmp_path / "run") == losses(run)
    files = sorted(newest(run).glob("*.safetensors"))
    assert len(files) == 2
    for path in files:
        assert path.read_bytes() == (newest(tmp_path / "run") / path.name).read_bytes(), path.name


def test_an_export_has_them_in_its_weights(run: Path, undisturbed: Path, tmp_path: Path) -> None:
    made = export(ExportConfig(str(run), str(tmp_path / "model")))
    assert made.counts["parameters"] > 100_000
    merged, beside = load_decoder(tmp_path / "model"), adapted(run, undisturbed)
    ids = torch.randint(0, merged.config.vocab_size, (2, 60), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        bare = load_decoder(run.parent / "base")(ids)
        assert torch.allclose(merged(ids), beside(ids), atol=1e-5)
        assert not torch.allclose(merged(ids), bare, atol=1e-2)
    export(ExportConfig(str(run), str(tmp_path / "ema"), weights="ema"))
    averaged = load_decoder(tmp_path / "ema")(ids)
    assert not torch.allclose(averaged, merged(ids), atol=1e-4)
    with pytest.raises(UserError, match="weights=mean is not for a run that trains adapters"):
        export(ExportConfig(str(run), str(tmp_path / "mean"), weights="mean", mean_of=2))


def test_the_adapter_alone(run: Path, undisturbed: Path, tmp_path: Path) -> None:
    made = export(ExportConfig(str(run), str(tmp_path / "adapter"), adapter=True))
    facts = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (facts["r"], facts["lora_alpha"]) == (4, 16)
    assert Path(facts["base_model_name_or_path"]) == newest(undisturbed).resolve()
    assert "gate_proj" in facts["target_modules"] and len(facts["target_modules"]) == 7
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert "config.json" not in names and {"training.json", "tokenizer.json"} <= names
    with safe_open(tmp_path / "adapter" / "adapter_model.safetensors", "pt") as file:
        keys = set(file.keys())
    assert "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight" in keys
    assert 0 < made.counts["parameters"] < 100_000
    with pytest.raises(UserError, match=r"is an adapter alone: onnuri export .* without adapter=true"):
        check_model_folder(tmp_path / "adapter")
    with pytest.raises(UserError, match=r"adapter=true: .* trained all weights"):
        export(ExportConfig(str(undisturbed), str(tmp_path / "none"), adapter=True))


def test_another_model_under_them_is_refused(
    run: Path, undisturbed: Path, data: Path, sample: Sample, tmp_path: Path
) -> None:
    alone = Path(shutil.copytree(run, tmp_path / "run"))
    manifest = newest(alone) / "manifest.json"
    moved = Path(shutil.copytree(undisturbed, tmp_path / "moved"))
    facts = json.loads(manifest.read_text())
    facts["counts"]["base"]["folder"] = str(tmp_path / "gone")
    manifest.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"under them: train.init_from=.*gone does not exist; .*base=DIR"):
        open_warm_start(str(alone))
    export(ExportConfig(str(newest(alone)), str(tmp_path / "model"), base=str(moved)))
    other = next(step for step in list_checkpoints(undisturbed) if step != newest(undisturbed))
    with pytest.raises(UserError, match="has other weights than those that the adapters were trained on"):
        export(ExportConfig(str(newest(alone)), str(tmp_path / "other"), base=str(other)))
    given = words(other, data, Path(shutil.copytree(run, tmp_path / "again")), f"train.steps={STEPS + 1}")
    result = torchrun(1, SCRIPTS / "tune.py", *given, check=False)
    assert "train.init_from has other weights than those that the adapters of the run" in result.stderr
    assert our_traceback_lines(result.stderr) == []


def test_training_goes_on_from_adapters(run: Path, undisturbed: Path) -> None:
    """As a start of another run they are the whole model, rounded as the export rounds it."""
    start = open_warm_start(str(run))
    name = "blocks.0.ffn.down.weight"
    a, b = map(stored(newest(run), start.model, LORA), adapter_names(name))
    plain = open_warm_start(str(undisturbed)).read(name)
    assert torch.allclose(start.read(name), plain + LORA.scale * b @ a, atol=1e-6)
    assert torch.equal(start.read("norm.weight"), open_warm_start(str(undisturbed)).read("norm.weight"))


def test_answers_are_written_with_them(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    """objective=grpo, on two ranks at ZeRO-3: what is recorded while writing is what training computes."""
    words = ["kind=tasks", "families=[josa]", "count=20", "difficulty=1", f"output={tmp_path / 'tasks'}"]
    run_command("tasks", "make", *words)
    words = [f"input={tmp_path / 'tasks'}", f"tokenizer={sample('tokenizer')}", "kind=tasks"]
    run_command("pack", *words, f"output={tmp_path / 'prompts'}")
    words = ["objective=grpo", f"train.init_from={undisturbed}", f"data={tmp_path / 'prompts'}"]
    words += ["data.sequence_length=128", "engine.precision=fp32", "train.validate_every=0", "lora.rank=4"]
    words += ["train.steps=3", "train.global_batch_size=64", "grpo.group_size=32", "grpo.max_tokens=30"]
    words += ["grpo.rewards={stopped:1.0}", "optim.lr=5e-2", "schedule.warmup_steps=0"]
    words += ["train.validation_tokens=2048", "grpo.held_out_tasks=2", f"run_dir={tmp_path / 'run'}"]
    torchrun(2, SCRIPTS / "tune.py", *words)
    found = list(map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()))
    steps = [line for line in found if "loss" in line]
    assert len(steps) == 3 and all(line["off_policy"] < 1e-5 for line in steps)
    assert any(line["grad_norm"] > 0 for line in steps[:2]), "the adapters were zero in every step"


REFUSED = {
    "needs train.init_from: the model that is adapted": ["lora.rank=4", "train.init_from="],
    "goes with optim=adamw, not with muon": ["lora.rank=4", "optim=muon"],
    "needed: lora.rank >= 0, lora.alpha > 0": ["lora.rank=4", "lora.alpha=0"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message: str, undisturbed: Path, data: Path) -> None:
    given = [f"train.init_from={undisturbed}", f"data={data}", *REFUSED[message]]
    with pytest.raises(UserError, match=message):
        make_plan(compose(PretrainConfig, given, CONFIG_ROOT, "tune"))


def test_flops_are_those_that_are_computed() -> None:
    """4 a frozen weight, 6 a weight of an adapter; the sum of a model's layers is that of its config."""
    tokens, linear = 3, torch.nn.Linear(32, 48, bias=False).requires_grad_(False)
    layer = LoraLinear(linear, LORA)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(tokens, 32, requires_grad=True)).sum().backward()
    added = LORA.rank * (32 + 48)
    assert counter.get_total_flops() == tokens * (4 * 32 * 48 + 6 * added)
    model = ModelConfig(
        vocab_size=64, hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, head_dim=16
    )
    weights = model.num_parameters(include_embeddings=False) + 64 * 32
    rows = {"qkv": 64, "out": 32, "gate_up": 2 * 1408, "down": 32}
    columns = {"qkv": 32, "out": 32, "gate_up": 32, "down": 1408}
    added = LORA.rank * (sum(rows.values()) + sum(columns.values()))
    assert model.flops_per_token(8) - LORA.flops_per_token(model, 8) == 2 * weights - 6 * added
    assert LoraConfig().flops_per_token(model, 8) == model.flops_per_token(8)
