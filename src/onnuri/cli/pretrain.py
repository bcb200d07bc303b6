"""Pretrain a model on token shards with DeepSpeed ZeRO.

    torchrun --nproc_per_node 2 -m onnuri.cli.pretrain experiment=sample data=DIR run_dir=DIR

Started again on the same run_dir it resumes from the newest whole checkpoint. SIGTERM saves and stops.
"""

import os
import sys

from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.train.config import PretrainConfig


def run(config: PretrainConfig) -> int:
    """Check what can be checked alone, then train together."""
    from onnuri.train.ownership import die_with_launcher
    from onnuri.train.run_plan import finished, make_plan

    die_with_launcher()
    plan = make_plan(config)
    if finished(plan):
        if plan.rank == 0:
            print(f"{config.run_dir} is already trained to step {config.train.steps}: up to date")
        return 0
    from onnuri.train.loop import train

    status = train(plan)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # all is closed; on a busy machine threads of gloo sometimes abort an orderly exit


def main() -> None:
    """The command."""
    run_cli(PretrainConfig, run, __doc__, CONFIG_ROOT, "pretrain")


if __name__ == "__main__":
    main()
