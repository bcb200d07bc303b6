"""DeepSpeed's settings by device, and that those of GPUs compute what those of CPUs do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnuri.config import CONFIG_ROOT, compose
from onnuri.parallel.zero_config import deepspeed_config
from onnuri.train.config import PretrainConfig
from tests.conftest import TINY_MODEL, torchrun

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("zero_config_worker.py")


def zero_settings(world_size: int, gpu: bool, *words: str) -> dict[str, Any]:
    config = compose(PretrainConfig, ["data=none", *words], CONFIG_ROOT, "pretrain")
    settings = deepspeed_config(config.engine, world_size, 1, 32, 1.0, gpu)
    assert settings["timers"] == {"throughput": {"enabled": False}}, "it waits for the device"
    assert settings["bf16"]["immediate_grad_update"] == gpu
    return dict(settings["zero_optimization"])


def test_one_gpu_keeps_parameters_whole_and_has_no_second_copy_of_gradients() -> None:
    found = zero_settings(1, True, "engine.stage=3")
    assert found["stage3_param_persistence_threshold"] == sys.maxsize
    assert found["overlap_comm"]
    assert not found["reduce_scatter"]
    assert not found["memory_efficient_linear"]
    assert not zero_settings(1, True, "engine.stage=2")["overlap_comm"]


def test_one_gpu_gives_parameters_up_that_live_on_the_host() -> None:
    found = zero_settings(1, True, "engine.stage=3", "engine.offload=all", "engine.compile=off")
    assert found["stage3_param_persistence_threshold"] == 100_000
    assert found["memory_efficient_linear"]
    assert found["offload_param"] == {"device": "cpu", "pin_memory": True}


def test_several_gpus_keep_only_small_parameters_and_scatter_gradients() -> None:
    found = zero_settings(8, True, "engine.stage=3", "engine.compile=off")
    assert found["stage3_param_persistence_threshold"] == 100_000
    assert found["overlap_comm"]
    assert found["reduce_scatter"]
    assert found["memory_efficient_linear"]
    assert not zero_settings(8, True, "engine.compile=on")["memory_efficient_linear"]
    assert zero_settings(8, True, "engine.stage=2")["overlap_comm"]


@pytest.mark.parametrize("ranks", [1, 8])
def test_cpus_keep_nothing_and_overlap_nothing(ranks: int) -> None:
    found = zero_settings(ranks, False, "engine.stage=3", "engine.compile=off")
    assert found["stage3_param_persistence_threshold"] == 0
    assert not found["overlap_comm"]
    assert found["reduce_scatter"]
    assert found["memory_efficient_linear"]


def run(sample: Sample, folder: Path, ranks: int, kind: str, *words: str) -> dict[str, Any]:
    folder.mkdir()
    torchrun(ranks, WORKER, str(folder), kind, f"data={sample('tokens')}", *TINY_MODEL, *words)
    return dict(json.loads((folder / "rank-0.json").read_text()))


@pytest.mark.parametrize(
    ("ranks", "stage", "precision"),
    [(1, 1, "bf16"), (2, 1, "bf16"), (1, 3, "bf16"), (2, 3, "bf16"), (1, 3, "fp32"), (1, 2, "fp32")],
)
def test_settings_of_gpus_give_the_same_losses_and_norms_bit_for_bit(
    ranks: int, stage: int, precision: str, sample: Sample, tmp_path: Path
) -> None:
    words = [f"engine.stage={stage}", f"engine.precision={precision}", "optim.gradient_clipping=0.5"]
    words += ["engine.bucket_size=40000", "engine.compile=off", "engine.threads_per_rank=1"]
    cpu = run(sample, tmp_path / "cpu", ranks, "cpu", *words)
    gpu = run(sample, tmp_path / "gpu", ranks, "gpu", *words)
    assert gpu["losses"] == cpu["losses"]
    assert gpu["norms"] == cpu["norms"]
    assert gpu["again"] == gpu["losses"], "loaded weights are used, also where parameters are kept whole"
    assert gpu["losses"][-1] < gpu["losses"][0] - 0.1
    assert max(gpu["norms"]) > 0.5, "nothing was clipped"
    if stage == 3 and ranks == 1:
        assert gpu["whole"][-8:] == [gpu["parameters"]] * 8, "a parameter was given up within a step"
        assert cpu["whole"][-8:] == [0] * 8
