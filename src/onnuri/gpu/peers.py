"""The same model by other loops: the plain compiled Hugging Face loop, and the Trainer. No downloads.

Both take the very batches of the training stage's shape: as many tokens a step, as many a micro-batch.
bf16 autocast over fp32 weights, SDPA, fused AdamW; whole rows, as such a loop has no document mask.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from statistics import median
from typing import Any

import torch

from onnuri.config import CONFIG_ROOT, compose
from onnuri.gpu.shards import VOCABULARY
from onnuri.gpu.stage import Result, Results, Settings, not_run
from onnuri.gpu.training import LAST_SECONDS, REHEARSED, SHAPES
from onnuri.model.config import ModelConfig
from onnuri.plan.config import PlanConfig

FIRST_STEPS = 2
"""Not counted: they compile."""
ENOUGH_STEPS = 8
ROWS = 64
"""Random sequences that batches are cut from."""


def run(settings: Settings, loop: str, model: str) -> Results:
    """Steps until there are enough or the time is over; medians."""
    if settings.rehearse:
        yield not_run(
            f"{loop} loop compiled by Inductor, in bf16 on a GPU", "a rehearsal does not wait for it"
        )
    shape: dict[str, Any] = {**SHAPES[model], **(REHEARSED if settings.rehearse else {})}
    words = [
        f"model={model}",
        *(f"{name}={value}" for name, value in shape.items() if name.startswith("model.")),
    ]
    config = compose(PlanConfig, [*words, f"model.vocab_size={VOCABULARY}"], CONFIG_ROOT, "plan").model
    length, micro_batch = shape["data.sequence_length"], shape["engine.micro_batch_size"]
    accumulation = shape["train.global_batch_size"] // micro_batch
    network = llama(config, length, settings.device)
    steps = {"plain": plain_loop, "trainer": trainer_loop}[loop]
    seconds: list[float] = []
    enough = FIRST_STEPS + (2 if settings.rehearse else ENOUGH_STEPS)
    for took in steps(network, length, micro_batch, accumulation, enough, settings):
        seconds.append(took)
        short = len(seconds) >= FIRST_STEPS and settings.seconds_left() < LAST_SECONDS + 1.5 * min(seconds)
        if len(seconds) >= enough or short:
            break
    yield summary(seconds, config, length, accumulation * micro_batch * length) | {
        "loop": loop,
        "model": model,
    }


def summary(seconds: list[float], config: ModelConfig, length: int, tokens: int) -> Result:
    """Tokens a second, MFU by the formula of Onnuri's own runs, memory."""
    result: Result = {"measured": "peer", "steps": len(seconds), "first_step_seconds": seconds[0]}
    counted = seconds[FIRST_STEPS:]
    if not counted:
        return result | {"error": f"only {len(seconds)} steps in the time given"}
    rate = tokens / median(counted)
    result |= {"seconds": median(counted), "tokens_per_second": rate}
    if torch.cuda.is_available():
        from onnuri.base.devices import peak_flops_of

        name = torch.cuda.get_device_name()
        peak = peak_flops_of(name)
        result |= {"mfu": rate * config.flops_per_token(length) / peak} if peak else {}
        result["memory_reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
    return result


def llama(config: ModelConfig, length: int, device: str) -> Any:
    """Hugging Face's model of the same shape, without the norms on queries and keys."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=length,
        tie_word_embeddings=config.tie_embeddings,
        attn_implementation="sdpa",
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.device(device):
        return LlamaForCausalLM(shape).train()


def plain_loop(
    model: Any, length: int, micro_batch: int, accumulation: int, enough: int, settings: Settings
) -> Iterator[float]:
    """A PyTorch loop as a careful user writes it: compiled as a whole, batches copied without waiting."""
    del enough
    device = settings.device
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    compiled = torch.compile(model, backend="aot_eager" if settings.rehearse else "inductor")
    rows = torch.randint(VOCABULARY, (ROWS, length))
    rows = rows.pin_memory() if device == "cuda" else rows
    number = 0
    while True:
        started = time.perf_counter()
        for _ in range(accumulation):
            first = number * micro_batch % ROWS
            batch = rows[first : first + micro_batch].to(device, non_blocking=True)
            with torch.autocast(device, torch.bfloat16):
                loss = compiled(input_ids=batch, labels=batch).loss / accumulation
            loss.backward()
            number += 1
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        yield time.perf_counter() - started


class EnoughError(Exception):
    """Ends the Trainer's loop."""


def trainer_loop(
    model: Any, length: int, micro_batch: int, accumulation: int, enough: int, settings: Settings
) -> Iterator[float]:
    """Hugging Face's Trainer, compiled. It calls back, so its steps come when it has ended."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = torch.randint(VOCABULARY, (ROWS, length))
    on_gpu, seconds, last = settings.device == "cuda", [], [time.perf_counter()]

    class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return 10**6

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"input_ids": rows[index % ROWS], "labels": rows[index % ROWS]}

    class Times(TrainerCallback):
        def on_step_end(self, *words: Any, **options: Any) -> None:
            if on_gpu:
                torch.cuda.synchronize()
            now = time.perf_counter()
            seconds.append(now - last[0])
            last[0] = now
            if len(seconds) >= enough or settings.seconds_left() < LAST_SECONDS + 2 * seconds[-1]:
                raise EnoughError

    arguments = TrainingArguments(
        output_dir=os.path.join(settings.work, "trainer"),  # noqa: PTH118
        max_steps=10**6,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation,
        bf16=on_gpu,
        use_cpu=not on_gpu,
        optim="adamw_torch_fused",
        learning_rate=3e-4,
        max_grad_norm=1.0,
        torch_compile=on_gpu,
        save_strategy="no",
        logging_steps=10**6,
        report_to=[],
        disable_tqdm=True,
        dataloader_num_workers=4 if on_gpu else 0,
        remove_unused_columns=False,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Rows(), callbacks=[Times()])
    last[0] = time.perf_counter()
    with suppress(EnoughError):
        trainer.train()
    yield from seconds
