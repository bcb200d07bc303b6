"""Tokens a second of the generator against llama.cpp's server: one text at a time, on a random Qwen3.

    onnuri tokenizer input=build/sample/corpus output=build/llama3 pre_tokenizer=llama3 vocab_size=12000
    PYTHONPATH=build/posttrain python -m benchmarks.llama_cpp --tokenizer build/llama3 --model 30m

The package xllamacpp has the server (`make test-posttrain` installs it). It is a process of its own, asked
over HTTP: the helper threads of two libraries in one process are in each other's way. Both run the same
weights, at the same number of threads, in turns; figures are medians, ratios medians of the turns' ratios.
Seconds of the clock, or with --cpu of both processes' processors.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import psutil
import torch
import xllamacpp
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.generate import SHAPES
from onnuri.export.gguf.config import GgufConfig
from onnuri.export.gguf.write import write_gguf
from onnuri.generate.batched import BatchGenerator
from onnuri.generate.sample import load_own
from onnuri.generate.sampling import Request
from onnuri.tokenizer.huggingface import TOKENIZER_FILES, load_tokenizer, num_ids
from onnuri.tokenizer.special import SEPARATOR

PROMPT = 16
DTYPES = ("float32", "bfloat16")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--model", choices=SHAPES, default="30m")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(
        f"{given.model}, {given.threads} thread(s), {given.tokens} tokens after {PROMPT}: tokens a second"
    )
    for dtype in given.dtypes:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs, server = both(Path(folder), dtype, given)

            def clock(server: psutil.Process = server) -> float:
                if not given.cpu:
                    return time.perf_counter()
                return time.process_time() + sum(server.cpu_times()[:2])

            found: list[tuple[float, float]] = []
            for turn in range(given.turns + 1):
                pair = {}
                for name, run in (("ours", ours), ("theirs", theirs))[:: 1 if turn % 2 else -1]:
                    started = clock()
                    run()
                    pair[name] = given.tokens / (clock() - started)
                found.append((pair["ours"], pair["theirs"]))
            server.terminate()
        found = found[1:]  # the first turn reads weights from the disk
        first, second = (median(each[side] for each in found) for side in (0, 1))
        ratio = median(one / other for one, other in found)
        print(f"{dtype:9}  Onnuri {first:7.1f}   llama.cpp {second:7.1f}   ratio {ratio:.2f}", flush=True)


def both(
    folder: Path, dtype: str, given: argparse.Namespace
) -> tuple[Callable[[], object], Callable[[], object], psutil.Process]:
    """What continues one text, ours and theirs, with the same weights; llama.cpp's process."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(given.tokenizer)
    shape = SHAPES[given.model] | {"vocab_size": num_ids(tokenizer)}
    config = Qwen3Config(**shape, num_attention_heads=8, num_key_value_heads=4, tie_word_embeddings=True)
    config.eos_token_id = config.bos_token_id = tokenizer.token_to_id(SEPARATOR)
    Qwen3ForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (given.tokenizer / name).is_file():
            shutil.copyfile(given.tokenizer / name, folder / name)
    file = folder / "model.gguf"
    write_gguf(GgufConfig(str(folder), str(file), dtype))
    context = PROMPT + given.tokens + 8
    generator = BatchGenerator(load_own(str(folder)), 1, context, reuse=False)
    ours, theirs = multiprocessing.Pipe()
    arguments = str(file), max(256, context), given.threads, theirs
    server = multiprocessing.get_context("spawn").Process(target=serve, args=arguments, daemon=True)
    server.start()
    address = ours.recv()
    prompt = list(range(100, 100 + PROMPT))

    def post() -> object:
        body = {"prompt": prompt, "n_predict": given.tokens, "temperature": 0, "ignore_eos": True}
        asked = urllib.request.Request(
            address + "/completion",
            json.dumps(body | {"cache_prompt": False}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked) as answer:
            found = json.load(answer)
        assert found["tokens_predicted"] == given.tokens, found["tokens_predicted"]
        return found

    def generate() -> object:
        return generator.generate([Request(prompt, given.tokens, temperature=0.0)])

    return generate, post, psutil.Process(server.pid)


def serve(file: str, context: int, threads: int, address: Connection) -> None:
    """Serve a GGUF file until the parent ends."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx, params.n_parallel = context, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup, params.verbosity = False, -1
    server = xllamacpp.Server(params)
    address.send(server.listening_address)
    threading.Event().wait()


if __name__ == "__main__":
    main()
