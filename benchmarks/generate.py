"""Tokens a second of the generator against `generate` of transformers, greedy, on a random Qwen3.

    OMP_NUM_THREADS=1 python benchmarks/generate.py --model 30m --batches 1 8

Both run the same weights and prompts, interleaved in changing order; figures are medians, ratios medians of
the turns' ratios. Seconds of the clock, or with --cpu of the processor, steadier where others compute too.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from onnuri.generate.batched import BatchGenerator
from onnuri.generate.sample import load_own
from onnuri.generate.sampling import Request

SHAPES = {
    "5m": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "vocab_size": 8192,
        "head_dim": 32,
    },
    "30m": {
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
        "vocab_size": 16384,
        "head_dim": 64,
    },
}
PROMPT = 16


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=SHAPES, default="5m")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_args()
    clock = time.process_time if given.cpu else time.perf_counter
    torch.manual_seed(0)
    config = Qwen3Config(
        **SHAPES[given.model], num_attention_heads=8, num_key_value_heads=4, tie_word_embeddings=True
    )
    theirs = Qwen3ForCausalLM(config).to(getattr(torch, given.dtype)).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_own(folder)
    draw = random.Random(0)
    prompts = [
        [draw.randrange(config.vocab_size) for _ in range(PROMPT)] for _ in range(max(given.batches))
    ]

    def hugging_face(batch: int) -> None:
        ids = torch.tensor(prompts[:batch])
        options = {
            "do_sample": False,
            "max_new_tokens": given.tokens,
            "eos_token_id": None,
            "pad_token_id": 0,
        }
        theirs.generate(ids, attention_mask=torch.ones_like(ids), **options)

    def onnuri(batch: int) -> None:
        requests = [Request(ids, given.tokens, temperature=0.0) for ids in prompts[:batch]]
        BatchGenerator(ours, batch, PROMPT + given.tokens).generate(requests)

    def rate(run: Callable[[int], None], batch: int) -> float:
        begun = clock()
        run(batch)
        return batch * given.tokens / (clock() - begun)

    print(
        f"{theirs.num_parameters() / 1e6:.1f}M parameters, {given.dtype}, {torch.get_num_threads()} threads"
    )
    for batch in given.batches:
        rates: dict[Callable[[int], None], list[float]] = {hugging_face: [], onnuri: []}
        for turn in range(-1, given.turns):  # the first one warms up
            for run in (hugging_face, onnuri) if turn % 2 else (onnuri, hugging_face):
                found = rate(run, batch)
                if turn >= 0:
                    rates[run].append(found)
        ratio = median(b / a for a, b in zip(*rates.values(), strict=True))
        a, b = map(median, rates.values())
        print(
            f"batch {batch}: transformers {a:.0f} tokens/s, onnuri {b:.0f} tokens/s, ratio {ratio:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
