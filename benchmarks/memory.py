"""What does a rank really hold at its peak, and what does the plan say?

    python benchmarks/memory.py                                  # the settings below, on two ranks
    python benchmarks/memory.py 'engine.stage=2 optim=muon'      # of your own, each in quotes
    python benchmarks/memory.py --gpu-settings engine.stage=1    # with DeepSpeed set as on GPUs

Each setting builds the engine and takes three steps on random tokens. Counted are the live bytes of all
tensors on all threads, by standing between torch and the C library (count_allocations.c): resident memory
would add what the C library keeps, and torch's profiler misses what gloo's threads free. Needs cc.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from onnuri.config import CONFIG_ROOT, compose
from onnuri.plan.config import PlanConfig
from onnuri.plan.machine import settle
from onnuri.plan.memory import moments

SHIM = Path(__file__).with_name("count_allocations.c")
COMMON = "model=small model.vocab_size=16000 data.sequence_length=256 train.global_batch_size=4"
SETTINGS = (
    "engine.precision=fp32 engine.stage=0",
    "engine.precision=fp32 engine.stage=1",
    "engine.precision=fp32 engine.stage=2 engine.bucket_size=4000000",
    "engine.precision=fp32 engine.stage=3",
    "engine.precision=fp32 engine.stage=3 engine.activation_checkpointing=1",
    "engine.precision=bf16 engine.stage=3 engine.micro_batch_size=1 data.sequence_length=128 "
    "engine.bucket_size=4000000",
)
MORE = (
    "engine.precision=bf16 engine.stage=0 data.sequence_length=128",
    "engine.precision=bf16 engine.stage=1 data.sequence_length=128",
    "engine.precision=bf16 engine.stage=2 data.sequence_length=128",
    "engine.precision=fp32 engine.stage=1 engine.bucket_size=4000000 engine.micro_batch_size=1",
    "engine.precision=fp32 engine.stage=3 engine.bucket_size=4000000 data.sequence_length=512",
    "engine.precision=fp32 engine.stage=3 engine.bucket_size=4000000 engine.activation_checkpointing=2",
    "engine.precision=fp32 engine.stage=3 model.loss_chunk_size=128 engine.bucket_size=4000000",
    "engine.precision=fp32 engine.stage=3 kernels.linear_cross_entropy=reference "
    "engine.bucket_size=4000000",
    "engine.precision=fp32 engine.stage=3 optim=muon engine.bucket_size=4000000",
    "engine.precision=bf16 engine.stage=3 optim=muon data.sequence_length=128 engine.bucket_size=4000000",
    "engine.precision=fp32 engine.stage=0 optim=muon",
    "engine.precision=fp32 engine.stage=3 average.ema_decay=0.999 engine.bucket_size=4000000",
    "engine.precision=fp32 engine.stage=0 model.tie_embeddings=false",
    "engine.precision=fp32 engine.stage=3 engine.compile=on engine.bucket_size=4000000",
    "engine.precision=fp32 engine.stage=0 lora.rank=16",
    "engine.precision=fp32 engine.stage=2 lora.rank=16",
    "engine.precision=fp32 engine.stage=3 lora.rank=16 engine.bucket_size=4000000",
    "engine.precision=bf16 engine.stage=3 lora.rank=16 data.sequence_length=128 engine.bucket_size=4000000",
)
STEPS = 2


def worker(folder: Path, gpu_settings: bool, settings: list[str]) -> None:
    """One rank: write down the peak of each setting."""
    import torch.distributed as dist

    from onnuri.parallel.zero_config import deepspeed_config
    from onnuri.train import engine

    engine.deepspeed_config = lambda *given: deepspeed_config(*given[:5], gpu_settings)  # type: ignore[call-arg]
    engine.fill = lambda *given: ""
    from onnuri.parallel.process_group import start_process_group

    shim: Any = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.peak_bytes.restype = shim.live_bytes.restype = ctypes.c_long
    ranks, peaks = int(os.environ["WORLD_SIZE"]), {}
    for setting in settings:
        config = compose(PlanConfig, words_of(setting), CONFIG_ROOT, "plan")
        config.engine.threads_per_rank = 1
        if config.engine.compile == "auto":
            config.engine.compile = "off"
        if not dist.is_initialized():
            start_process_group(config.engine)
        gc.collect()
        before = shim.live_bytes()
        shim.reset_peak()
        run(config, ranks)
        peaks[setting] = shim.peak_bytes() - before
    (folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(peaks))
    dist.barrier()
    os._exit(0)  # as scripts/pretrain.py does


def run(config: PlanConfig, ranks: int) -> None:
    """Build and step as onnuri.train.loop does."""
    import torch

    from onnuri.base.process import from_environment
    from onnuri.kernels.attention_mask import attention_mask
    from onnuri.optim.average import WeightAverage
    from onnuri.parallel import step_gate
    from onnuri.parallel.ranks import Ranks
    from onnuri.train.engine import build_engine
    from onnuri.train.run_plan import RunPlan, choose_micro_batch_size

    size, length = choose_micro_batch_size(config, ranks), config.data.sequence_length
    start: Any = object() if config.lora.rank else None  # adapters need a model under them: here any values
    plan = RunPlan(config, None, Ranks.of_process(from_environment()), size, None, start)  # type: ignore[arg-type]
    engine = build_engine(plan)
    step_gate.install(engine, lambda norm: True, config.optim.gradient_clipping)
    average = WeightAverage(engine, config.average)
    for _ in range(STEPS * plan.accumulation):
        tokens = torch.randint(0, config.model.vocab_size, (size, length))
        boundaries = [0, length // 2, *range(length, size * length + 1, length)]
        mask = attention_mask(size, length, torch.tensor(boundaries))
        loss = engine(tokens, tokens.roll(-1, 1), mask, reduction="sum") / (size * length * ranks)
        engine.backward(loss * ranks, scale_wrt_gas=False)
        engine.step()
        average.update(1)
    engine.destroy()


def words_of(setting: str) -> list[str]:
    """The whole command line of a setting."""
    return ["cluster=cpu", *COMMON.split(), *["optim=adamw"] * ("optim=" not in setting), *setting.split()]


def measure(settings: list[str], ranks: int, gpu_settings: bool) -> list[dict[str, Any]]:
    """Peaks of the rank that holds most, and the plan's, in bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        shim = Path(scratch) / "count_allocations.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, SHIM, "-ldl"], check=True)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(ranks), __file__, "--worker", scratch, *settings]
        command += ["--gpu-settings"] * gpu_settings
        done = subprocess.run(
            command, env=os.environ | {"LD_PRELOAD": str(shim)}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-5000:]}")
        found = [json.loads(path.read_text()) for path in Path(scratch).glob("rank-*.json")]
    rows = []
    for setting in settings:
        peak = max(of_rank[setting] for of_rank in found)
        words = [*words_of(setting), f"cluster.gpus={ranks}"]
        plan = settle(compose(PlanConfig, words, CONFIG_ROOT, "plan"))
        plan.cluster.gpu |= gpu_settings
        planned = max(moments(plan), key=lambda m: m.total)
        rows.append(
            {"setting": setting, "measured": peak, "planned": planned.total, "moment": planned.name}
        )
    return rows


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("settings", nargs="*", help="options of scripts/plan.py, a setting in quotes")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--more", action="store_true", help="further settings")
    parser.add_argument("--gpu-settings", action="store_true", help="DeepSpeed set as on GPUs, on CPUs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(Path(options.worker[0]), options.gpu_settings, options.worker[1:])
    settings = options.settings or (MORE if options.more else SETTINGS)
    rows = measure(list(settings), options.ranks, options.gpu_settings)
    if options.json:
        print(json.dumps(rows))
        return
    print("| setting | measured MB | planned MB | | at its peak |\n| --- | --: | --: | --: | --- |")
    for row in rows:
        apart = 100 * (row["planned"] / row["measured"] - 1)
        megabytes = f"{row['measured'] / 1e6:.1f} | {row['planned'] / 1e6:.1f}"
        print(f"| `{row['setting']}` | {megabytes} | {apart:+.1f} % | {row['moment']} |")


if __name__ == "__main__":
    main()
