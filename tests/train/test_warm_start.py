"""train.init_from: weights from wherever they lie, bit for bit; what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onnuri.base import manifest
from onnuri.export.weights import Weights
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of
from onnuri.run.chain import read
from onnuri.run.checkpoints import list_checkpoints
from tests.conftest import SCRIPTS, TINY_MODEL, made_once, our_traceback_lines, run_command, torchrun
from tests.train.test_elastic import losses

Sample = Callable[[str], str]
SHAPELESS = [word for word in TINY_MODEL if not word.startswith("model.")]
STILL = ["optim.lr=0", "train.steps=1"]
"""A step that changes nothing."""


def start(ranks: int, sample: Sample, run_dir: Path, *words: str, check: bool = True) -> str:
    given = [f"data={sample('tokens')}", f"run_dir={run_dir}", *SHAPELESS, *words]
    result = torchrun(ranks, SCRIPTS / "pretrain.py", *given, check=check)
    return result.stdout + result.stderr


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    """The fp32 weights of the newest checkpoint, flat."""
    model = ModelConfig(**json.loads((run_dir / "run.json").read_text())["config"]["model"])
    sizes = {name: each.numel for name, each in spec_of(model).by_name(model).items()}
    return Weights((list_checkpoints(run_dir)[0],)).read(sizes)


@pytest.fixture(scope="module")
def folders(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same weights in every place."""

    def make(folder: Path) -> None:
        run_command("export", f"checkpoint={undisturbed}", f"output={folder / 'hf'}", "dtype=float32")
        run_command("import", f"model={folder / 'hf'}", f"output={folder / 'imported'}")

    made = made_once(tmp_path_factory, "warm-start", make)
    found = {"run": undisturbed, "checkpoint": list_checkpoints(undisturbed)[0]}
    return {
        name: str(path)
        for name, path in {**found, "hf": made / "hf", "imported": made / "imported"}.items()
    }


@pytest.mark.parametrize(
    ("kind", "ranks", "words"),
    [
        ("run", 2, ["engine.stage=3", "engine.precision=bf16"]),
        ("checkpoint", 1, ["engine.stage=0", "engine.precision=bf16"]),
        ("hf", 2, ["engine.stage=1", "engine.precision=fp32"]),
        ("imported", 2, ["engine.stage=2", "engine.precision=bf16", "optim=muon", "optim.lr=0"]),
    ],
)
def test_weights_are_those_of_the_folder(
    kind: str,
    ranks: int,
    words: list[str],
    folders: dict[str, str],
    undisturbed: Path,
    sample: Sample,
    tmp_path: Path,
) -> None:
    """Masters too, where the model computes in bf16."""
    run_dir = tmp_path / "run"
    said = start(ranks, sample, run_dir, f"train.init_from={folders[kind]}", *STILL, *words)
    assert f"weights of {folders['checkpoint'] if kind == 'run' else folders[kind]}" in said
    before, after = weights(undisturbed), weights(run_dir)
    assert before.keys() == after.keys() and len(before) > 10
    for name, value in before.items():
        known = value.numel()
        assert torch.equal(after[name][:known], value), name
    (line,) = [each for each in read(run_dir) if each["event"] == "start"]
    assert line["init_from"]["identity"]
    assert line["config"]["model"]["hidden_size"] == 64


def test_a_run_goes_on_without_the_folder(folders: dict[str, str], sample: Sample, tmp_path: Path) -> None:
    """Stopped after two of four steps, bit for bit; its ledger verifies, and in `make soak` replays.

    Its export reads as many tokens as the folder, though the windows of the run are shorter.
    """
    folder = shutil.copytree(folders["hf"], tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4321}))
    words = [
        f"train.init_from={folder}",
        "engine.precision=fp32",
        "train.checkpoint_every=2",
        "train.keep_checkpoints=0",
    ]
    start(2, sample, tmp_path / "whole", *words, "train.steps=4", "schedule=constant")
    start(2, sample, tmp_path / "run", *words, "train.steps=2", "schedule=constant")
    shutil.rmtree(folder)
    model = tmp_path / "model"
    run_command("export", f"checkpoint={tmp_path / 'run'}", f"output={model}")
    assert json.loads((model / "config.json").read_text())["max_position_embeddings"] == 4321
    assert "| 4321 tokens |" in (model / "README.md").read_text()
    identity = manifest.read(folders["hf"], "model").identity
    assert (
        f"started from the weights of | base, manifest {identity}; the data"
        in (model / "README.md").read_text()
    )
    said = start(2, sample, tmp_path / "run", *words, "train.steps=4", "schedule=constant")
    assert "resumes after step 2" in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["context"] == 4321
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    verify = ("verify", f"run={tmp_path / 'run'}", f"data={sample('tokens')}", "replay=2")
    assert "error" not in run_command("ledger", *verify).stderr
    first = next(iter(losses(tmp_path / "whole").values()))
    assert first < 6.5, "a model that has learned nothing begins at ln(vocabulary)"


def test_a_plan_takes_the_shape_of_the_folder(folders: dict[str, str]) -> None:
    words = [f"train.init_from={folders['imported']}", "cluster=cpu", "cluster.gpus=1"]
    assert "2 x 64" in run_command("plan", *words).stdout.splitlines()[0]


def test_missing_rows_are_the_mean(folders: dict[str, str], sample: Sample, tmp_path: Path) -> None:
    start(
        1,
        sample,
        tmp_path / "run",
        f"train.init_from={folders['hf']}",
        *STILL,
        "model.vocab_size=4096",
        "engine.precision=fp32",
    )
    rows = weights(tmp_path / "run")["embedding.weight"].view(-1, 64)
    known = json.loads((Path(folders["hf"]) / "config.json").read_text())["vocab_size"]
    assert len(rows) == 4096 > known
    assert torch.equal(rows[known:], rows[:known].mean(0, keepdim=True).expand(4096 - known, -1))


def test_mistakes_are_one_line(folders: dict[str, str], sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    other = shutil.copytree(folders["hf"], tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    (other / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
    (other / "manifest.json").unlink()
    hf = f"train.init_from={folders['hf']}"
    cases = {
        f"train.init_from={tmp_path}/none": ("does not exist",),
        f"train.init_from={tmp_path}/empty": (
            "has no weights to start from; allowed are a Hugging Face folder",
        ),
        f"train.init_from={other}": ("has another tokenizer than the shards",),
        f"{hf} model.num_layers=3": ("has model.num_layers=2, the options say 3; leave the shape",),
    }
    for words, (message,) in cases.items():
        said = start(1, sample, tmp_path / "run", *words.split(), *STILL, check=False)
        ours = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(ours) == 1 and message in ours[0], said
        assert our_traceback_lines(said) == []
