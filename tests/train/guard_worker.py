"""One rank of test_guard.py: a run whose gradients, or losses, go wrong at given steps on one rank only.

Run by torchrun as: guard_worker.py KIND FACTOR STEP,STEP,... OVERRIDE...
KIND gradient: the gradient of one matrix of rank 1 is multiplied. KIND loss: its loss is.
Each rank prints a line a step with a hash of its weights, their average and optimizer state.
"""

import hashlib
import sys

import torch
import torch.distributed as dist

from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.optim.average import WeightAverage
from onnuri.optim.config import AverageConfig
from onnuri.parallel.zero_layout import inner_optimizer
from onnuri.train import guard, loop, run_start
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import make_plan

kind, factor, steps = sys.argv[1], float(sys.argv[2]), [int(step) for step in sys.argv[3].split(",")]
sys.argv[1:] = sys.argv[4:]
now = {"step": 0}


def state_hash(engine: object) -> str:
    """Of everything on this rank that a step changes."""
    found = hashlib.sha256()
    for parameter in engine.module.parameters():
        found.update(getattr(parameter, "ds_tensor", parameter).detach().float().numpy().tobytes())
    for master, state in inner_optimizer(engine).state.items():
        found.update(master.detach().float().numpy().tobytes())
        for name in sorted(state):
            found.update(state[name].detach().float().numpy().tobytes())
    found.update(str(now["average"].updates).encode())
    for values in now["average"].values.values():
        found.update(values.numpy().tobytes())
    return found.hexdigest()[:16]


def keep_average(engine: object, config: AverageConfig) -> WeightAverage:
    """The average of the run, where the hash finds it."""
    now["average"] = WeightAverage(engine, config)
    return now["average"]


def spoil(plan: object) -> object:
    """The engine, with a fault on rank 1."""
    engine = build(plan)
    bad = dist.get_rank() == dist.get_world_size() - 1

    def worse(value: torch.Tensor) -> torch.Tensor:
        return value * factor if bad and now["step"] in steps else value

    if kind == "gradient":
        engine.module.blocks[0].ffn.down.weight.register_hook(worse)
    else:
        engine.module.register_forward_hook(lambda _, __, losses: worse(losses))
    now["engine"] = engine
    return engine


def start_step(self: guard.StepGuard, progress: guard.Progress) -> None:
    """Note which step begins."""
    now["step"] = progress.step + 1
    begin(self, progress)


def finish_step(self: guard.StepGuard, progress: guard.Progress) -> None:
    """Print what the step has left."""
    finish(self, progress)
    print(f"STATE {dist.get_rank()} {progress.step} {state_hash(now['engine'])}", flush=True)


build, begin, finish = run_start.build_engine, guard.StepGuard.start_step, guard.StepGuard.finish_step
run_start.WeightAverage = keep_average
run_start.build_engine, guard.StepGuard.start_step, guard.StepGuard.finish_step = (
    spoil,
    start_step,
    finish_step,
)
run_cli(PretrainConfig, lambda config: loop.train(make_plan(config)), "", CONFIG_ROOT, "pretrain")
