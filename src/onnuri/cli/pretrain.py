"""Pretrain a model on token shards with DeepSpeed ZeRO.

    torchrun --nproc_per_node 2 -m onnuri.cli.pretrain experiment=sample data=DIR run_dir=DIR

Started again on the same run_dir it resumes from the newest complete checkpoint. SIGTERM saves and stops.
"""

import os
import statistics
import sys
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.train.config import PretrainConfig


def run(config: PretrainConfig) -> int:
    """Check what can be checked alone, then train together."""
    from onnuri.run.lock import die_with_launcher
    from onnuri.train.run_plan import finished, make_plan
    from onnuri.train.trackers import check_tracker

    die_with_launcher()
    plan = make_plan(config)
    if finished(plan):
        if plan.ranks.is_lead:
            print(f"{config.run_dir} is already trained to step {config.train.steps}: up to date")
        return 0
    if plan.ranks.is_lead:
        check_tracker(config.tracker)
    if getattr(sys.modules.get("deepspeed.comm.comm"), "cdb", None) is not None:  # it has started before
        raise UserError(
            "DeepSpeed starts once in a process: sweep with hydra/launcher=processes, the default, or with "
            "one that starts a process for each job"
        )
    from onnuri.train.loop import train

    return train(plan)


def last_score(run_dir: str) -> float | None:
    """What a sweep makes small: the last bits per byte, mean of the languages, or else the last loss."""
    from onnuri.run.metrics_file import read_metrics

    lines = read_metrics(Path(run_dir))
    validations = [line["bits_per_byte"].values() for line in lines if line.get("bits_per_byte")]
    losses = [line["loss"] for line in lines if "loss" in line]
    if validations:
        return statistics.fmean(validations[-1])
    return losses[-1] if losses else None


def main() -> None:
    """The command."""
    # All is closed at the end; on a busy machine threads of gloo sometimes abort an orderly exit.
    run_cli(PretrainConfig, run, __doc__, CONFIG_ROOT, "pretrain", "pretrain", last_score, os._exit)


if __name__ == "__main__":
    main()
