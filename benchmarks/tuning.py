"""Fine-tuning beside TRL's SFTTrainer, and DPO beside SFT: tokens and CPU seconds a step, and peak memory.

    python -m benchmarks.tuning --tokenizer build/sample/tokenizer
    python -m benchmarks.tuning --tokenizer build/sample/tokenizer --only sft_2 dpo_2

A random Qwen3 of 8 layers, 512 wide, 8 rows of 1,024 tokens a step; conversations and pairs of all
programmed families, packed. The number in a name is that of rows in a micro-batch. Each is a process that
takes one step when it is its turn, in changing order; medians, and ratios to the first named. TRL must be
importable (`make test-posttrain` installs it into build/posttrain; add that to PYTHONPATH).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.training import ROOT, Runner

PEER = Path(__file__).with_name("peers") / "tuning.py"
LENGTH, ROWS = 1024, 8
WORDS = [
    f"data.sequence_length={LENGTH}",
    f"train.global_batch_size={ROWS}",
    "train.steps=1000000",
    "train.validate_every=0",
    "train.checkpoint_every=0",
    "optim.lr=3e-4",
]


def make_inputs(tokenizer: str, count: int, folder: Path) -> None:
    """Random weights, and shards of conversations and pairs."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    found = AutoTokenizer.from_pretrained(tokenizer)
    config = Qwen3Config(
        vocab_size=-(-len(found) // 64) * 64,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    model.save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(tokenizer) / name, folder / "model" / name)
    print(f"{model.num_parameters():,} parameters", flush=True)
    for kind, made in (("chat", "sft"), ("preference", "pairs")):
        for words in (
            ["tasks", "make", f"kind={made}", f"count={count}", f"output={folder / made}"],
            ["pack", f"kind={kind}", f"input={folder / made}", f"output={folder / kind}"],
        ):
            more = [f"tokenizer={tokenizer}"] if words[0] == "pack" else []
            script = ROOT / "scripts" / f"{words[0]}.py"
            subprocess.run([sys.executable, str(script), *words[1:], *more], check=True)


def contender(name: str, scratch: Path, options: argparse.Namespace) -> Runner:
    """The process of a name on the command line."""
    kind, _, rows = name.partition("_")
    model = scratch / "model"
    if kind == "trl":
        sizes = [str(LENGTH), rows, str(ROWS // int(rows))]
        words = ["trl", options.precision, str(model), str(scratch / "chat"), *sizes]
    else:
        data = scratch / ("chat" if kind == "sft" else "preference")
        words = ["onnuri", f"objective={kind}", f"train.init_from={model}", f"data={data}", *WORDS]
        words += [f"run_dir={scratch / name}", f"engine.micro_batch_size={rows}"]
        words += [f"engine.precision={options.precision}", f"engine.threads_per_rank={options.threads}"]
    return Runner(name, [sys.executable, str(PEER), *words], scratch, threads=options.threads)


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="a folder with a chat template")
    parser.add_argument("--only", nargs="*", default=["sft_2", "trl_1", "trl_2"])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=400, help="of each family")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: with fp32 weights"
    )
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="onnuri-tuning-"))
    make_inputs(options.tokenizer, options.count, scratch)
    runners: list[Runner] = []
    try:
        for name in options.only:
            runner = contender(name, scratch, options)
            for _ in range(options.warmup):
                runner.step()
            runner.steps.clear()
            runners.append(runner)
            print(f"{name} is ready", flush=True)
        for number in range(options.rounds):
            turn = number % len(runners)
            for runner in runners[turn:] + runners[:turn]:
                runner.step()
                taken = runner.steps[-1]
                facts = f"{taken['tokens']:,} tokens, {taken['wall']:.1f} s, {taken['cpu']:.1f} CPU s"
                print(f"{runner.name}: {facts}, {taken['mib']:,.0f} MiB", flush=True)
    finally:
        for runner in runners:
            runner.close()
    titles = ("tokens", "s/step", "CPU s", "tokens/s", "tokens/CPU s", "(low)", "(high)", "MiB")
    print(f"{'':12}" + "".join(f"{title:>14}" for title in titles))
    first: list[float] = []
    for runner in runners:
        tokens, wall, cpu, peak = (
            median(step[name] for step in runner.steps) for name in ("tokens", "wall", "cpu", "mib")
        )
        speeds = [[step["tokens"] / step[clock] for step in runner.steps] for clock in ("wall", "cpu")]
        middle = [median(each) for each in speeds]
        first = first or [*middle, peak]
        figures = f"{tokens:14,.0f}{wall:14.2f}{cpu:14.2f}{middle[0]:14,.0f}{middle[1]:14,.0f}"
        figures += f"{min(speeds[1]):14,.0f}{max(speeds[1]):14,.0f}{peak:14,.0f}"
        ratios = [mine / found for mine, found in zip(first, [*middle, peak], strict=True)]
        print(f"{runner.name:12}{figures}   first/this: {ratios[0]:.2f} {ratios[1]:.2f} {ratios[2]:.2f}")


if __name__ == "__main__":
    main()
