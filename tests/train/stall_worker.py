"""One rank of test_watchdog.py: the last rank stops for ever in its tenth step.

Run by torchrun as: stall_worker.py OVERRIDE...
"""

import threading

import torch.distributed as dist

from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.train import guard, loop
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import make_plan


def stop_for_ever(self: guard.StepGuard, progress: guard.Progress) -> None:
    """What a dead disk or a lost peer looks like from inside."""
    begin(self, progress)
    if progress.step == 9 and dist.get_rank() == dist.get_world_size() - 1:
        threading.Event().wait()


begin, guard.StepGuard.start_step = guard.StepGuard.start_step, stop_for_ever
run_cli(PretrainConfig, lambda config: loop.train(make_plan(config)), "", CONFIG_ROOT, "pretrain")
