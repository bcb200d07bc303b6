"""What a pretraining run needs, before anything starts: memory, time, network, storage, by the option names
of onnuri pretrain.

    onnuri plan model=8b cluster=h100x64 data.sequence_length=8192 \\
        train.global_batch_size=512 tokens=1e12

Exit status 0 if it fits, 1 if not; then it says which switches make it fit.
"""

import sys

from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.plan.config import PlanConfig, spread


def run(config: PlanConfig) -> int:
    """Print the plan."""
    from onnuri.plan.report import report

    text, fitting = report(config)
    print(text)
    return 0 if fitting else 1


def main() -> None:
    """The command."""
    sys.argv[1:] = spread(sys.argv[1:])
    run_cli(PlanConfig, run, __doc__, CONFIG_ROOT, "plan", "plan")


if __name__ == "__main__":
    main()
