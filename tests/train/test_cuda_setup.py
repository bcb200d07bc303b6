"""What is set before the first tensor on a GPU: the user's own allocator settings stay, fp32 stays fp32."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from onnuri.parallel.config import EngineConfig
from onnuri.parallel.cuda_setup import ALLOCATOR_VARIABLES, set_up_cuda
from onnuri.train.run_start import stage_hint


@pytest.fixture(autouse=True)
def as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    matmul = torch.backends.cuda.matmul
    reduced = matmul.allow_bf16_reduced_precision_reduction
    for name in ALLOCATOR_VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    torch.set_float32_matmul_precision("high")  # as in a container that turns TF32 on
    yield
    torch.set_float32_matmul_precision(precision)
    matmul.allow_bf16_reduced_precision_reduction = reduced


def test_the_allocator_grows_segments_unless_the_user_has_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_cuda()
    assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    for name in ALLOCATOR_VARIABLES:
        for other in ALLOCATOR_VARIABLES:
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, "max_split_size_mb:512")
        set_up_cuda()
        assert [os.environ.get(each) for each in ALLOCATOR_VARIABLES].count(None) == 1
        assert os.environ[name] == "max_split_size_mb:512"


def test_fp32_is_exact_and_bf16_sums_are_not_rounded_between() -> None:
    set_up_cuda()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction is False


def test_stage_3_on_one_gpu_is_advised_against() -> None:
    (line,) = stage_hint(EngineConfig(), 1, "cuda")
    assert "engine.stage=1 is faster" in line
    for engine, world_size, device in (
        (EngineConfig(), 2, "cuda"),
        (EngineConfig(), 1, "cpu"),
        (EngineConfig(stage=1), 1, "cuda"),
        (EngineConfig(offload="all"), 1, "cuda"),
    ):
        assert not list(stage_hint(engine, world_size, device))
