"""What a prompt that answers share saves in the training part of a GRPO step: tokens and seconds.

    python benchmarks/shared_prompts.py
    python benchmarks/shared_prompts.py --shapes 512x8x128x4096 --device cuda --precision bf16

A shape is prompt x answers to it x tokens of an answer x tokens of a row; `make chat` has 67x8x8x256. Both
ways of laying out the same groups go through the forward and backward pass of one model in turns; medians,
on CPUs of CPU seconds. Generating is not in it. Tokens are those of whole rows: what is empty is computed.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch

from onnuri.kernels import KernelConfig, choose
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from onnuri.tokens.answers import Answer, Answered, answer_batch, fewest_rows
from onnuri.tokens.config import DataConfig
from onnuri.train.config import PretrainConfig
from onnuri.train.objectives.grpo import AnswerInputs, answer_inputs, loss_sum

VOCABULARY, TOKENS = 4096, 1 << 15
SHAPES = ["67x8x8x256", "128x8x128x2048", "256x8x512x8192", "512x16x32x2048", "32x8x62x1024"]


def groups_of(prompt: int, size: int, tokens: int, groups: int) -> list[Answered]:
    """Random prompts and answers, of `tokens` tokens on average and half of it at least."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(groups):
        lengths = random.integers(tokens - tokens // 2, tokens + tokens // 2 + 1, size).tolist()
        answers = [Answer(random.integers(1, VOCABULARY, n), np.zeros(n, np.float32), 1.0) for n in lengths]
        found.append(Answered(random.integers(1, VOCABULARY, prompt).tolist(), answers))
    return found


def micro_batches(
    rows: list[list[Answered]], config: PretrainConfig, device: torch.device
) -> list[AnswerInputs]:
    """Rows, about 2,048 tokens of them at a time."""
    length = config.data.sequence_length
    size = max(1, 2048 // length)
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [answer_inputs(answer_batch(part, len(part), length, 0), config.data, device) for part in parts]


def seconds_of(
    model: Decoder, batches: list[AnswerInputs], config: PretrainConfig, precision: torch.dtype
) -> float:
    """Of the forward and backward pass over all of them."""
    device = model.embedding.weight.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    for inputs in batches:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = loss_sum(model, inputs, config)[0]
        loss.backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    model.zero_grad()
    return clock() - started


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    precision = torch.bfloat16 if options.precision == "bf16" else torch.float32
    device, heads = torch.device(options.device), options.hidden // 64
    shape = ModelConfig(
        VOCABULARY, options.hidden, options.layers, heads, heads // 2, 64, 3 * options.hidden
    )
    kernels = choose(KernelConfig(), device, precision, branched=True)
    model = Decoder(shape, kernels).to(device, precision)
    print(f"{kernels.describe()}, {torch.get_num_threads()} threads")
    print(
        "| prompt x answers x tokens x row | computed apart | shared | seconds | shared | times as fast |"
    )
    print("| --- | --: | --: | --: | --: | --: |")
    for word in options.shapes:
        prompt, size, tokens, length = map(int, word.split("x"))
        groups = groups_of(prompt, size, tokens, max(1, TOKENS // (size * (prompt + tokens))))
        config = PretrainConfig(data=DataConfig(sequence_length=length, reset_positions=True))
        ways = [fewest_rows(groups, most, length) for most in (1, size)]
        counts = [len(rows) * length for rows in ways]
        batches = [micro_batches(rows, config, device) for rows in ways]
        taken: list[list[float]] = [[], []]
        for round_ in range(1 + options.rounds):
            for way in (0, 1) if round_ % 2 else (1, 0):
                found = seconds_of(model, batches[way], config, precision)
                taken[way] += [found] if round_ else []
        apart, shared = map(median, taken)
        figures = f"{counts[0]:,} | {counts[1]:,} | {apart:.3f} | {shared:.3f} | {apart / shared:.2f}"
        print(f"| {word} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
