"""Tune a model: on conversations (objective=sft), on preference pairs (dpo).

    onnuri pack kind=chat input=chat.jsonl tokenizer=MODEL output=DATA license=CC0-1.0
    onnuri tune train.init_from=MODEL data=DATA run_dir=RUN
    torchrun --nproc_per_node 2 -m onnuri.cli.tune objective=dpo train.init_from=RUN data=PAIRS run_dir=DIR

As with pretraining: started again on the same run_dir it resumes, SIGTERM saves and stops.
"""

import os

from onnuri.base.errors import UserError
from onnuri.cli import pretrain
from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.train.config import PretrainConfig


def run(config: PretrainConfig) -> int:
    """Train, from the weights of a model."""
    from onnuri.train.same_run import begun

    if not config.train.init_from and not (config.run_dir and begun(config.run_dir)):
        raise UserError(
            "train.init_from is needed: the model to tune, a Hugging Face folder or a run; onnuri pretrain "
            "draws weights from a seed"
        )
    return pretrain.run(config)


def main() -> None:
    """The command."""
    run_cli(PretrainConfig, run, __doc__, CONFIG_ROOT, "tune", "tune", pretrain.last_score, os._exit)


if __name__ == "__main__":
    main()
