"""Muon is Muon, and ZeRO's switches change where the work is done, not what is computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onnuri.optim.muon import orthogonalise
from tests.conftest import TINY_MODEL, pretrain, torchrun
from tests.train.test_pretrain import losses

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("optimizer_worker.py")
MATRICES = 2 * (3 + 1 + 2 + 1)
"""In the two blocks of TINY_MODEL: queries, keys, values; output; gate, up; down."""
STEPS = 4


def ranks(sample: Sample, folder: Path, number: int, *words: str) -> list[dict]:
    constant = ["schedule=constant", "schedule.warmup_steps=0", "train.steps=8"]
    torchrun(number, WORKER, str(folder), f"data={sample('tokens')}", *TINY_MODEL, *constant, *words)
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(number)]


@pytest.fixture(scope="module")
def plain(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """AdamW at ZeRO-3 on two ranks, nothing else switched on."""
    return ranks(sample, tmp_path_factory.mktemp("plain"), 2, "engine.precision=fp32")[0]


@pytest.mark.parametrize("shape", [(64, 64), (48, 200), (200, 48)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalise_makes_singular_values_equal(shape: tuple[int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix.to(dtype)).float()
    values = torch.linalg.svdvals(found)
    assert values.max() < 1.15
    assert values.median() > 0.87
    assert torch.linalg.matrix_norm(found - u @ v) < 0.15 * torch.linalg.matrix_norm(u @ v)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (2, ["engine.stage=3"]),
        (2, ["engine.stage=2"]),
        (3, ["engine.stage=1"]),
        (2, ["engine.stage=0"]),
        (2, ["engine.stage=3", "engine.offload=all"]),
        (4, ["engine.stage=3", "engine.hpz_partition_size=2"]),
    ],
)
def test_muon_is_muon(number: int, words: list[str], sample: Sample, tmp_path: Path) -> None:
    """Every matrix is orthogonalised once a step, by one rank; losses are those of whole matrices."""
    words = [*words, "optim.name=muon", "engine.precision=fp32"]
    found = ranks(sample, tmp_path, number, *words)
    assert sum(facts["orthogonalised"] for facts in found) == MATRICES * STEPS
    assert max(facts["orthogonalised"] for facts in found) < MATRICES * STEPS
    assert f"{MATRICES} matrices orthogonalised a step" in found[0]["optimizer"]
    assert "muon 8 parameters, 73,728 elements" in found[0]["optimizer"]
    assert found[0]["losses"] == pytest.approx(found[0]["plain_losses"], rel=2e-6)
    assert found[0]["losses"][-1] < found[0]["losses"][0] - 0.05


EVERY_OPTION = [
    "optim.embedding_lr_ratio=2",
    "optim.output_lr_ratio=0.5",
    "optim.norm_lr_ratio=3",
    "optim.embedding_weight_decay=0.5",
    "optim.norm_weight_decay=0.2",
    "optim.weight_decay=2",
    "optim.cautious_decay=true",
    "optim.decay_follows_lr=true",
    "schedule.warmup_steps=3",
    "model.tie_embeddings=false",
    "engine.precision=fp32",
]
OF_MUON = ["optim.name=muon", "optim.momentum_warmup_steps=3", "optim.normuon=true", "optim.per_head=true"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (2, ["engine.stage=3"]),
        (2, ["engine.stage=3", *OF_MUON]),
        (3, ["engine.stage=1", *OF_MUON, "optim.update_scale=spectral", "optim.lr=2e-2"]),
        (2, ["engine.stage=0", *OF_MUON]),
        (2, ["engine.stage=2", "engine.offload=optimizer", *OF_MUON]),
    ],
)
def test_every_option_of_the_optimizer(
    number: int, words: list[str], sample: Sample, tmp_path: Path
) -> None:
    """Rates and decay by kind, cautious decay and what Muon adds: the losses of a plain loop in float64."""
    (found, *_) = ranks(sample, tmp_path, number, *EVERY_OPTION, *words)
    assert found["losses"] == pytest.approx(found["plain_losses"], rel=5e-6)
    assert found["losses"][-1] < found["losses"][0] - 0.05


def test_muon_in_bf16(sample: Sample, tmp_path: Path) -> None:
    found = ranks(sample, tmp_path, 2, "optim.name=muon", "engine.precision=bf16")
    assert sum(facts["orthogonalised"] for facts in found) == MATRICES * STEPS
    assert found[0]["losses"] == pytest.approx(found[0]["plain_losses"], rel=2e-3)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["engine.offload=optimizer"], {"offloaded": True, "parameters_offloaded": False}),
        (["engine.offload=all"], {"offloaded": True, "parameters_offloaded": True}),
        (["engine.offload=optimizer", "engine.stage=2"], {"offloaded": True}),
        (["engine.hpz_partition_size=2"], {"secondary_copies": True}),
        (["engine.activation_checkpointing=1"], {"blocks_run": STEPS * 2 * 4}),
        (["engine.activation_checkpointing=2"], {"blocks_run": STEPS * 2 * 3}),
    ],
)
def test_switches_move_the_work_and_keep_the_losses(
    words: list[str], facts: dict, plain: dict, sample: Sample, tmp_path: Path
) -> None:
    """Counts are over 4 steps of 2 micro-batches of 2 blocks."""
    found = ranks(sample, tmp_path, 2, "engine.precision=fp32", *words)[0]
    assert {name: found[name] for name in facts} == facts
    assert {name: plain[name] for name in facts} != facts
    assert found["losses"] == pytest.approx(plain["losses"], rel=1e-6)


@pytest.mark.parametrize("stage", [0, 1])
def test_gradients_are_reduced_once_a_step(stage: int, sample: Sample, tmp_path: Path) -> None:
    """However many micro-batches a step has. (Stages 2 and 3 keep no whole gradients, so they cannot.)"""
    counts = []
    for size in (1, 4):
        folder = tmp_path / str(size)
        folder.mkdir()
        words = [f"engine.stage={stage}", f"engine.micro_batch_size={size}", "engine.precision=bf16"]
        (found, *_) = ranks(sample, folder, 2, *words)
        counts.append((found["accumulation"], found["reductions"]))
    assert counts == [(4, STEPS), (1, STEPS)]


def test_muon_resumes_at_any_stage(sample: Sample, tmp_path: Path) -> None:
    """Its momentum, and what it keeps of rows, are in the checkpoint, wherever they lie: one run on other
    ranks and stages in turn."""
    options = [*OF_MUON, "engine.precision=fp32", "train.checkpoint_every=3", "optim.cautious_decay=true"]
    options += ["schedule.name=constant"]
    pretrain(2, sample, tmp_path / "whole", *options, "train.steps=12")
    pretrain(2, sample, tmp_path / "cut", *options, "train.steps=3")
    pretrain(3, sample, tmp_path / "cut", *options, "train.steps=6", "engine.stage=1")
    pretrain(1, sample, tmp_path / "cut", *options, "train.steps=9", "engine.stage=0")
    pretrain(2, sample, tmp_path / "cut", *options, "train.steps=12", "engine.offload=optimizer")
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=2e-5)
    assert len(losses(tmp_path / "cut")) == 12


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU cannot do")
def test_what_needs_a_gpu_says_so(sample: Sample, tmp_path: Path) -> None:
    result = pretrain(2, sample, tmp_path / "run", "engine=zero_plus", check=False)
    assert "engine.quantized_weights and quantized_gradients need GPUs" in result.stderr
    result = pretrain(2, sample, tmp_path / "run", "engine.hpz_partition_size=3", check=False)
    assert "engine.hpz_partition_size=3 does not divide 2 ranks" in result.stderr
    result = pretrain(2, sample, tmp_path / "run", "engine.stage=1", "engine.offload=all", check=False)
    assert "offload=all need engine.stage=3" in result.stderr
