"""A framework's own training loop on the model of training.py; it steps when standard input says so.

    python benchmarks/peers/training.py KIND      KIND: hf, hf_zero3, litgpt, plain, onnuri OVERRIDE...

A step reports its wall and CPU seconds and the peak of the process's memory. The peers see random tokens.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

VOCABULARY, WIDTH, FFN, LAYERS, HEADS, KV_HEADS, SEQUENCE, BATCH = 16384, 512, 1536, 8, 8, 4, 1024, 8
LEARNING_RATE = 3e-4
STEPS = 10**6
RANK = int(os.environ.get("RANK", "0"))


def say(line: str) -> None:
    """Write a line in one piece: ranks share the pipe."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


class Turn:
    """Waits for leave before a step, on every rank, and reports the step before."""

    def __init__(self) -> None:
        self._started: tuple[float, float] | None = None

    def step(self, **more: float) -> None:
        """A step is over; `more` is reported along."""
        if self._started is not None:
            wall, cpu = self._started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            facts = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mib": peak}
            say("STEP " + json.dumps(facts | more))
        else:
            say("READY")
        if RANK == 0 and not sys.stdin.readline():
            os._exit(0)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            import torch.distributed as dist

            dist.barrier()
        self._started = (time.perf_counter(), time.process_time())


def random_rows(index: int, length: int) -> Any:
    """A row of token ids."""
    import torch

    return torch.randint(0, VOCABULARY, (length,), generator=torch.Generator().manual_seed(index))


def llama() -> Any:
    """The Hugging Face model of the size."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=SEQUENCE,
        tie_word_embeddings=True,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).train()


def run_hf(zero: bool) -> None:
    """HF Trainer, on ZeRO-3 if asked."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import torch
    import transformers.training_args
    from transformers import Trainer, TrainerCallback, TrainingArguments

    # When asked to use the CPU, accelerate leaves DeepSpeed out in silence; otherwise bf16 asks for a GPU.
    transformers.training_args.is_torch_bf16_gpu_available = lambda: True

    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": BATCH // world_size,
        "gradient_accumulation_steps": 1,
        "bf16": {"enabled": True},
        "gradient_clipping": 1.0,
        "steps_per_print": 10**9,
        "zero_allow_untested_optimizer": True,
        "optimizer": {"type": "AdamW", "params": {"lr": LEARNING_RATE, "torch_adam": True}},
        "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 10000},
    }
    turn = Turn()

    class Ends(TrainerCallback):
        def on_step_end(self, *words: Any, **options: Any) -> None:
            turn.step()

    class Rows(torch.utils.data.Dataset[dict[str, Any]]):
        def __len__(self) -> int:
            return STEPS * BATCH

        def __getitem__(self, index: int) -> dict[str, Any]:
            row = random_rows(index, SEQUENCE)
            return {"input_ids": row, "labels": row}

    arguments = TrainingArguments(
        output_dir=os.environ["BENCH_SCRATCH"],
        max_steps=STEPS,
        per_device_train_batch_size=BATCH // world_size,
        learning_rate=LEARNING_RATE,
        adam_beta2=0.95,
        weight_decay=0.1,
        lr_scheduler_type="constant",
        bf16=True,
        use_cpu=not zero,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        max_grad_norm=1.0,
        deepspeed=settings if zero else None,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(model=llama(), args=arguments, train_dataset=Rows(), callbacks=[Ends()])
    trainer.train()


def run_plain() -> None:
    """A PyTorch loop with autocast, torch.compile and fused AdamW."""
    import torch

    model = llama()
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.1, fused=True)
    turn = Turn()
    for step in range(STEPS):
        rows = torch.stack([random_rows(step * BATCH + row, SEQUENCE) for row in range(BATCH)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = compiled(input_ids=rows, labels=rows).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        turn.step()


def run_litgpt() -> None:
    """litgpt's pretraining loop, bf16-mixed, compiled as it does by itself."""
    from pathlib import Path

    from lightning.fabric import Fabric
    from litgpt import pretrain
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.config import Config
    from litgpt.data import DataModule
    from torch.utils.data import DataLoader, Dataset

    class Rows(Dataset[Any]):
        def __len__(self) -> int:
            return 1 << 20

        def __getitem__(self, index: int) -> Any:
            return random_rows(index, SEQUENCE + 1)

    class Random(DataModule):
        def connect(self, *words: Any, **options: Any) -> None:
            pass

        def train_dataloader(self) -> Any:
            return DataLoader(Rows(), batch_size=BATCH)

        val_dataloader = train_dataloader

    turn, show = Turn(), Fabric.print

    def notice(self: Any, *words: Any, **options: Any) -> None:
        if words and "(step)" in str(words[0]):
            turn.step()
        else:
            show(self, *words, **options)

    Fabric.print = notice
    pretrain.save_hyperparameters = lambda *words, **options: None
    shape = Config(
        name="peer",
        block_size=SEQUENCE,
        vocab_size=VOCABULARY,
        padded_vocab_size=VOCABULARY,
        n_layer=LAYERS,
        n_head=HEADS,
        n_query_groups=KV_HEADS,
        n_embd=WIDTH,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
        intermediate_size=FFN,
        head_size=WIDTH // HEADS,
    )
    pretrain.setup(
        model_name="peer",
        model_config=shape,
        out_dir=Path(os.environ["BENCH_SCRATCH"]),
        precision="bf16-mixed",
        data=Random(),
        train=TrainArgs(
            save_interval=STEPS,
            log_interval=1,
            global_batch_size=BATCH,
            micro_batch_size=BATCH,
            max_tokens=BATCH * SEQUENCE * STEPS,
            max_norm=1.0,
            min_lr=LEARNING_RATE,
            lr_warmup_steps=1,
            tie_embeddings=True,
        ),
        eval=EvalArgs(interval=STEPS, max_iters=1, initial_validation=False, final_validation=False),
        optimizer={"class_path": "torch.optim.AdamW", "init_args": {"lr": LEARNING_RATE}},
        devices=1,
        tokenizer_dir=None,
        logger_name="csv",
    )


def run_onnuri(words: list[str]) -> None:
    """All of scripts/pretrain.py."""
    from onnuri.config import CONFIG_ROOT, run_cli
    from onnuri.train import guard, loop
    from onnuri.train.config import PretrainConfig
    from onnuri.train.run_plan import make_plan

    turn, start = Turn(), guard.StepGuard.start_step
    begun: list[int] = []

    def start_step(self: Any, progress: Any) -> None:
        if begun:
            turn.step()
        begun.append(progress.step)
        start(self, progress)

    guard.StepGuard.start_step = start_step  # type: ignore[method-assign]
    sys.argv[1:] = words
    run_cli(PretrainConfig, lambda config: loop.train(make_plan(config)), "", CONFIG_ROOT, "pretrain")


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "onnuri":
        run_onnuri(rest)
    elif kind == "litgpt":
        run_litgpt()
    elif kind == "plain":
        run_plain()
    else:
        run_hf(zero=kind == "hf_zero3")
