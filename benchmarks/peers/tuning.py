"""Fine-tuning by Onnuri, or by TRL's SFTTrainer on the same shards; it steps when standard input says so.

    python benchmarks/peers/tuning.py onnuri OVERRIDE...
    python benchmarks/peers/tuning.py trl fp32|bf16 MODEL SHARDS LENGTH ROWS ACCUMULATION

TRL packs the conversations by its best fit and flattens a micro-batch into one row, as it does by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.training import LEARNING_RATE, STEPS, Turn


def run_onnuri(words: list[str]) -> None:
    """All of scripts/tune.py."""
    from onnuri.config import CONFIG_ROOT, run_cli
    from onnuri.train import guard, loop
    from onnuri.train.config import PretrainConfig
    from onnuri.train.run_plan import make_plan

    turn, start = Turn(), guard.StepGuard.start_step
    tokens: list[int] = []

    def start_step(self: Any, progress: Any) -> None:
        if tokens:
            turn.step(tokens=progress.tokens - tokens[-1])
        tokens.append(progress.tokens)
        start(self, progress)

    guard.StepGuard.start_step = start_step  # type: ignore[method-assign]
    sys.argv[1:] = words
    run_cli(PretrainConfig, lambda config: loop.train(make_plan(config)), "", CONFIG_ROOT, "tune")


def conversations(folder: Path) -> Iterator[dict[str, list[int]]]:
    """What TRL takes: the tokens of a conversation behind the separator, -100 where nothing is learnt."""
    import numpy as np

    from onnuri.base import manifest
    from onnuri.tokens.shards import TokenShards, load_array

    separator = int(manifest.read(folder, "tokens").counts["separator"])
    shards = TokenShards.open(folder, "train")
    for tokens, path in zip(shards.shards, shards.document_files, strict=True):
        spans = load_array(path.with_name(path.name.replace(".documents.", ".trained.")))
        trained = np.zeros(len(tokens), dtype=bool)
        for offset, length in zip(spans["offset"].tolist(), spans["length"].tolist(), strict=True):
            trained[offset : offset + length] = True
        for row in load_array(path):
            own = slice(int(row["offset"]), int(row["offset"]) + int(row["length"]) - 1)
            labels = np.where(trained[own], tokens[own].astype(np.int64), -100)
            yield {
                "input_ids": [separator, *tokens[own].tolist()],
                "labels": [-100, *labels.tolist()],
            }


def run_trl(precision: str, model: str, shards: str, length: int, rows: int, accumulation: int) -> None:
    """SFTTrainer with the optimizer that it takes by itself; bf16 is its autocast over fp32 weights."""
    import transformers.training_args
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    transformers.training_args.is_torch_bf16_gpu_available = lambda: True  # or bf16 asks for a GPU
    turn, tokens = Turn(), 0

    class Counting(SFTTrainer):
        def compute_loss(self, model: Any, inputs: Any, *words: Any, **options: Any) -> Any:
            nonlocal tokens
            tokens += inputs["input_ids"].numel()
            return super().compute_loss(model, inputs, *words, **options)

    class Ends(TrainerCallback):
        def on_step_end(self, *words: Any, **options: Any) -> None:
            nonlocal tokens
            turn.step(tokens=tokens)
            tokens = 0

    arguments = SFTConfig(
        output_dir=os.environ["BENCH_SCRATCH"],
        max_length=length,
        packing=True,
        max_steps=STEPS,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=accumulation,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        bf16=precision == "bf16",
        use_cpu=True,
        gradient_checkpointing=False,
        model_init_kwargs={"dtype": "float32"},
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )
    dataset = Dataset.from_list(list(conversations(Path(shards))))
    Counting(model=model, args=arguments, train_dataset=dataset, callbacks=[Ends()]).train()


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "onnuri":
        run_onnuri(rest)
    else:
        run_trl(rest[0], rest[1], rest[2], *map(int, rest[3:]))
