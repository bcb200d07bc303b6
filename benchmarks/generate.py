"""Tokens a second of the generator against `generate` of transformers, greedy, on a random Qwen3.

    OMP_NUM_THREADS=1 python benchmarks/generate.py --model 30m --batches 1 8

Beside them the generator with int8 weights. The last line has answers to one prompt of --shared tokens,
which is computed once for all of them, or with reuse=False for each.

All run the same weights and prompts, interleaved in changing order; figures are medians, ratios medians of
the turns' ratios. Seconds of the clock, or with --cpu of the processor, steadier where others compute too.
"""

from __future__ import annotations

import argparse
import copy
import random
import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from onnuri.generate.batched import BatchGenerator
from onnuri.generate.int8 import with_int8_weights
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
    "300m": {
        "hidden_size": 1024,
        "intermediate_size": 3584,
        "num_hidden_layers": 20,
        "vocab_size": 16384,
        "head_dim": 128,
    },
}
PROMPT = 16
Run = Callable[[list[list[int]]], None]
"""Continues texts."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=SHAPES, default="5m")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--shared", type=int, default=256)
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
    small = with_int8_weights(copy.deepcopy(ours))
    draw = random.Random(0)
    length, most = max(PROMPT, given.shared), max(given.batches)
    prompts = [[draw.randrange(config.vocab_size) for _ in range(length)] for _ in range(most)]

    def hugging_face(texts: list[list[int]]) -> None:
        ids = torch.tensor(texts)
        options = {
            "do_sample": False,
            "max_new_tokens": given.tokens,
            "eos_token_id": None,
            "pad_token_id": 0,
        }
        theirs.generate(ids, attention_mask=torch.ones_like(ids), **options)

    def onnuri(model: torch.nn.Module, reuse: bool = True) -> Run:
        def run(texts: list[list[int]]) -> None:
            requests = [Request(ids, given.tokens, temperature=0.0) for ids in texts]
            context = len(texts[0]) + given.tokens
            BatchGenerator(model, len(texts), context, reuse=reuse).generate(requests)

        return run

    def compare(title: str, runs: dict[str, Run], texts: list[list[int]]) -> None:
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(-1, given.turns):  # the first one warms up
            for name in [*runs][:: 1 if turn % 2 else -1]:
                begun = clock()
                runs[name](texts)
                if turn >= 0:
                    rates[name].append(len(texts) * given.tokens / (clock() - begun))
        first, *others = rates
        line = f"{first} {median(rates[first]):.0f} tokens/s"
        for name in others:
            ratio = median(b / a for a, b in zip(rates[first], rates[name], strict=True))
            line += f", {name} {median(rates[name]):.0f} (x {ratio:.2f})"
        print(f"{title}: {line}", flush=True)

    print(
        f"{theirs.num_parameters() / 1e6:.1f}M parameters, {given.dtype}, {torch.get_num_threads()} threads"
    )
    runs = {"transformers": hugging_face, "onnuri": onnuri(ours), "int8": onnuri(small)}
    for batch in given.batches:
        compare(f"batch {batch}", runs, [ids[:PROMPT] for ids in prompts[:batch]])
    if given.shared:
        runs = {"transformers": hugging_face, "reuse=False": onnuri(ours, False), "onnuri": onnuri(ours)}
        compare(f"{most} answers to {given.shared} tokens", runs, [prompts[0][: given.shared]] * most)


if __name__ == "__main__":
    main()
