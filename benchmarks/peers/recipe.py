"""A peer's own pretraining recipe on our token shards, scored as our runs score themselves.

    python benchmarks/peers/recipe.py --data TOKENS_DIR --output DIR --peer hf_trainer --tokens 21000000
    python benchmarks/peers/recipe.py --data TOKENS_DIR --output DIR --score HUGGING_FACE_FOLDER

A peer trains a model of a size of benchmarks/recipe.py, in the precision that it chooses, on the windows
that our run with data.seed=SEED reads. It is scored in fp32 on the windows of our validation.
OUTPUT/metrics.jsonl has the scores before and after training in the form that benchmarks/recipe.py reads.
Peers attend over whole windows, in training and in scoring; our runs keep documents apart in both.

hf_trainer        Trainer of transformers with the defaults of TrainingArguments, but one epoch, not three
hf_trainer_tuned  the same with learning rate 2e-3, cosine, 5 % of warm-up
litgpt            `litgpt pretrain` with its defaults, but tied embeddings. They are for 3 trillion tokens:
                  512 sequences a step and 2,000 steps of warm-up, which a short run never leaves
litgpt_tuned      16 sequences a step, learning rate 2e-3, falling to 2e-4, 5 % of warm-up; weight decay and
                  betas of litgpt's config_hub/pretrain/tinyllama.yaml
nanochat          its scripts/base_train.py with the heads, attention window and 16,384 tokens a step of its
                  runs/runcpu.sh, the depth whose FLOPs a token are nearest to ours, the same FLOPs in all
nanochat_auto     the same with the batch that base_train.py computes

litgpt needs an environment of its own with numpy, and src/ in PYTHONPATH; nanochat needs --nanochat DIR.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from onnuri.model.config import ModelConfig

SEQUENCE = 256
SIZES = {"small": (256, 4, 4, 768), "large": (512, 5, 8, 1408)}
"""Hidden size, layers, heads of 64, intermediate size."""
LEARNING_RATE, WARMUP = 2e-3, 0.05
"""Of the tuned peers."""
PACKAGES = ("torch", "numpy", "transformers", "accelerate", "litgpt", "lightning")


class Job:
    """One model to train: its data, its scores and the file that has them."""

    def __init__(self, options: argparse.Namespace) -> None:
        from onnuri.base import manifest as manifests
        from onnuri.model.config import ModelConfig
        from onnuri.tokens.config import DataConfig
        from onnuri.tokens.loader import Loader

        self.options = options
        manifest = manifests.read(options.data, "tokens")
        data = DataConfig(path=str(options.data), sequence_length=SEQUENCE, seed=options.seed)
        self.loader = Loader(data, manifest, 1, None)
        hidden, layers, heads, inner = SIZES[options.size]
        vocabulary = -(-self.loader.vocab_size // 64) * 64
        self.model = ModelConfig(vocabulary, hidden, layers, heads, heads // 2, 64, inner)
        heldout = options.heldout or options.data
        counts = manifests.read(heldout, "tokens").counts
        if counts["tokenizer_sha256"] != manifest.counts["tokenizer_sha256"]:
            sys.exit(f"--heldout {heldout} has another tokenizer than --data {options.data}")
        self.heldout = HeldOut(heldout, counts, options.validation_tokens)
        self.facts: dict[str, Any] = {name: vars(options)[name] for name in ("peer", "seed", "size")}
        self.facts["versions"] = {name: version(name) for name in PACKAGES if find_spec(name)}
        self._taken, self._step_ends = 0, list[tuple[float, float]]()
        self._groups: list[dict[str, Any]] = []

    def windows(self, count: int) -> np.ndarray:
        """The next windows in the order in which our runs read them, [count, S + 1]."""
        batches = [self.loader.rows(number, 0, 1) for number in range(self._taken, self._taken + count)]
        self._taken += count
        tokens = np.concatenate([batch.tokens for batch in batches])
        last = np.concatenate([batch.targets[:, -1:] for batch in batches])
        return np.concatenate([tokens, np.where(last < 0, self.loader.separator, last)], axis=1)

    def steps(self, sequences: int) -> int:
        """Steps of so many sequences that come nearest to --tokens, at least two."""
        return max(2, round(self.options.tokens / (sequences * SEQUENCE)))

    def start(self, model: torch.nn.Module, **facts: Any) -> None:
        """Score the model as initialised, and count steps from here on."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        parameters, ours = sum(each.numel() for each in model.parameters()), self.model.num_parameters()
        flops = self.model.flops_per_token(SEQUENCE)
        self.facts |= {"parameters": parameters, "our_parameters": ours, "flops_per_token": flops} | facts
        if not facts and abs(parameters / ours - 1) > 0.02:
            sys.exit(f"the peer's model has {parameters:,} parameters, ours {ours:,}")
        self._write({"step": 0, "bits_per_byte": self.heldout.bits_per_byte(model)})
        register_optimizer_step_post_hook(self._after_step)

    def finish(self, model: torch.nn.Module, steps: int, tokens: int) -> None:
        """Score the model as trained."""
        if len(self._step_ends) != steps or steps < 2:
            sys.exit(f"the peer took {len(self._step_ends)} steps instead of {max(2, steps)}")
        seconds, cpu_seconds = np.median(np.diff(self._step_ends, axis=0), axis=0).tolist()
        line = {"step": steps, "seconds": seconds, "bits_per_byte": self.heldout.bits_per_byte(model)}
        flops = tokens * self.facts["flops_per_token"]
        rate = round(tokens / steps / cpu_seconds)
        facts = {"tokens": tokens, "training_flops": flops, "tokens_per_cpu_second": rate}
        self._write(line | self.facts | facts | {"optimizer": self._groups})

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._step_ends.append((time.perf_counter(), time.process_time()))
        for index, group in enumerate(optimizer.param_groups):
            if index == len(self._groups):
                kept = {name: each for name, each in group.items() if isinstance(each, int | float | tuple)}
                self._groups.append(kept | {"elements": sum(each.numel() for each in group["params"])})
            self._groups[index]["largest_lr"] = max(self._groups[index].get("largest_lr", 0), group["lr"])
            self._groups[index]["last_lr"] = group["lr"]

    def _write(self, line: dict[str, Any]) -> None:
        with (self.options.output / "metrics.jsonl").open("a") as file:
            for each in (file, sys.stdout):
                print(json.dumps(line), file=each, flush=True)


class HeldOut:
    """The windows that the validation of a run of ours reads, by language."""

    def __init__(self, folder: Path, counts: dict[str, Any], limit: int) -> None:
        from onnuri.tokens.shards import load_array
        from onnuri.train.validate import held_out_windows

        self.separator, self.vocab_size = int(counts["separator"]), int(counts["vocab_size"])
        self.token_bytes = load_array(folder / "token_bytes.npy")
        self.windows = held_out_windows(folder, counts, limit, SEQUENCE)

    def bits_per_byte(self, model: torch.nn.Module, apart: bool = False) -> dict[str, float]:
        """By language, as onnuri.train.validate.Validation adds it up.

        apart: keep documents apart; models of transformers do where positions start anew.
        """
        import torch

        from onnuri.tokens.batch import make_batch

        was_training = model.training
        model.eval()
        scores = {}
        for language, windows in self.windows.items():
            nats = size = 0.0
            for start in range(0, len(windows.tokens), 8):
                some = slice(start, start + 8)
                tokens, lengths = windows.tokens[some], windows.lengths[some]
                batch = make_batch(tokens, lengths, self.separator, self.vocab_size)
                inputs, targets = torch.from_numpy(batch.tokens), torch.from_numpy(batch.targets)
                positions = {"position_ids": torch.from_numpy(batch.positions)} if apart else {}
                with torch.no_grad():
                    output = model(inputs, **positions)
                logits = getattr(output, "logits", output).float().flatten(0, 1)
                losses = torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="none")
                counted = np.where(batch.targets < 0, 0, self.token_bytes[batch.targets.clip(0)]).ravel()
                nats += float(losses[torch.from_numpy(counted > 0)].double().sum())
                size += float(counted.sum())
            scores[language] = nats / math.log(2) / size
        model.train(was_training)
        return scores


def need(name: str, way_out: str) -> Any:
    """A module, or one line on how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        sys.exit(f"{sys.executable} lacks {name} ({error}): {way_out}")


def run_hf(job: Job, tuned: bool) -> None:
    """Qwen3 from scratch; blocks of 256 tokens are inputs and labels, as in group_texts of run_clm.py."""
    import torch

    need("accelerate", "pip install accelerate")
    transformers = need("transformers", "pip install transformers")
    from onnuri.hf.config import hf_config

    options, sequences = job.options, job.options.batch or 8
    steps = job.steps(sequences)
    chosen = {"learning_rate": LEARNING_RATE, "lr_scheduler_type": "cosine", "warmup_steps": WARMUP}
    arguments = transformers.TrainingArguments(
        **{"output_dir": options.output / "trainer", "save_strategy": "no", "report_to": "none"},
        **{"use_cpu": True, "seed": options.seed, "logging_steps": max(1, steps // 20)},
        **{"num_train_epochs": 1, "per_device_train_batch_size": sequences},
        **chosen if tuned else {},
    )
    transformers.set_seed(options.seed)
    values = hf_config(job.model, SEQUENCE, job.loader.separator, job.loader.separator, "float32")
    values |= {"pad_token_id": None, "use_cache": False}  # the embedding of a pad token is not trained
    model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**values))
    rows = job.windows(steps * sequences)[:, :SEQUENCE]
    data = [{"input_ids": row, "labels": row} for row in torch.from_numpy(rows)]
    job.start(model)
    transformers.Trainer(model=model, args=arguments, train_dataset=data).train()
    job.finish(model, steps, steps * sequences * SEQUENCE)


def run_litgpt(job: Job, tuned: bool) -> None:
    """litgpt.pretrain.setup: its loop, optimizer, schedule, precision and compilation."""
    import torch
    from torch.utils.data import DataLoader

    pretrain = need("litgpt.pretrain", "pip install litgpt")
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.config import Config
    from litgpt.data import DataModule

    options, shape, sequences = job.options, job.model, job.options.batch or (16 if tuned else 512)
    steps = job.steps(sequences)
    rows: Any = torch.from_numpy(job.windows(steps * sequences))

    class Windows(DataModule):
        def connect(self, *words: Any, **options: Any) -> None:
            self.batch_size = options["batch_size"]

        def train_dataloader(self) -> Any:
            return DataLoader(rows, self.batch_size)

        val_dataloader = train_dataloader

    def fit(*words: Any, **named: Any) -> None:
        model = named["state"]["model"]
        plain = getattr(model.module, "_orig_mod", model.module)
        job.start(plain)
        own_fit(*words, **named)
        job.finish(plain, steps, steps * sequences * SEQUENCE)

    own_fit, pretrain.fit = pretrain.fit, fit
    pretrain.save_checkpoint = lambda *words, **named: None
    sizes = {
        **{"n_embd": shape.hidden_size, "n_layer": shape.num_layers},
        "intermediate_size": shape.intermediate_size,
        **{"n_head": shape.num_heads, "n_query_groups": shape.num_kv_heads, "head_size": shape.head_dim},
        **{"vocab_size": shape.vocab_size, "padded_vocab_size": shape.vocab_size, "block_size": SEQUENCE},
    }
    config = Config.from_name("Qwen3-0.6B", rope_base=int(shape.rope_theta), **sizes)
    training = {
        **{"save_interval": None, "micro_batch_size": 4, "max_norm": 1.0, "tie_embeddings": True},
        **{"global_batch_size": sequences, "max_tokens": steps * sequences * SEQUENCE},
        "min_lr": LEARNING_RATE / 10 if tuned else 4e-5,
        "lr_warmup_steps": max(1, round(WARMUP * steps)) if tuned else 2000,
    }
    adamw = {"lr": LEARNING_RATE, "weight_decay": 0.1, "betas": (0.9, 0.95)}
    pretrain.setup(
        model_name="peer",
        model_config=config,
        out_dir=options.output / "litgpt",
        data=Windows(),
        train=TrainArgs(**training),
        eval=EvalArgs(interval=10**9, max_iters=1, final_validation=False),
        optimizer={"class_path": "torch.optim.AdamW", "init_args": adamw} if tuned else "AdamW",
        devices=1,
        logger_name="csv",
        seed=options.seed,
    )


def run_nanochat(job: Job, auto: bool) -> None:
    """scripts/base_train.py as it is, without the modules that read data, save, chat or run benchmarks."""
    import torch

    options, folder = job.options, job.options.nanochat
    script = folder / "scripts" / "base_train.py" if folder else None
    if script is None or not script.is_file():
        sys.exit(f"--nanochat {folder} must be a checkout of github.com/karpathy/nanochat")
    sys.path.insert(0, str(folder))
    os.environ["NANOCHAT_BASE_DIR"] = str(options.output / "nanochat")
    gpt = need("nanochat.gpt", "pip install filelock")
    sources = [folder / "nanochat/gpt.py", folder / "nanochat/optim.py", script]
    job.facts["nanochat"] = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:12]
    own_init, models = gpt.GPT.init_weights, list[Any]()

    def init_weights(model: torch.nn.Module) -> None:
        torch.manual_seed(options.seed)  # base_train.py itself knows one seed
        own_init(model)
        models.append(model)

    def batches(_: Any, rows: int, length: int, **__: Any) -> Iterator[Any]:
        counts = models[0].num_scaling_params()
        lookups = {name: counts[name] for name in ("wte", "value_embeds")}
        job.start(models[0], flops_per_token=models[0].estimate_flops(), lookup_parameters=lookups)
        place = dict.fromkeys(("epoch", "pq_idx", "rg_idx"))
        while True:
            some = torch.from_numpy(job.windows(rows))
            yield some[:, :-1].contiguous(), some[:, 1:].contiguous(), place

    tokenizer = SimpleNamespace(get_vocab_size=lambda: job.model.vocab_size)
    stand_in("wandb")
    stand_in("nanochat.tokenizer", get_tokenizer=lambda: tokenizer, get_token_bytes=lambda device: None)
    name = "tokenizing_distributed_data_loader{}_bos_bestfit"
    stand_in("nanochat.dataloader", **{name.format(each): batches for each in ("", "_with_state")})
    stand_in("nanochat.checkpoint_manager", save_checkpoint=lambda *_, **__: None, load_checkpoint=None)
    stand_in("nanochat.engine", Engine=None)
    stand_in("scripts.base_eval", evaluate_core=None)
    gpt.GPT.init_weights = init_weights
    sequences = options.batch or 64
    settings = {
        "depth": nearest_depth(gpt, job.model),
        "target-flops": job.model.flops_per_token(SEQUENCE) * options.tokens,
        "device-batch-size": min(16, sequences),
        "total-batch-size": -1 if auto and not options.batch else sequences * SEQUENCE,
        **{"head-dim": 64, "window-pattern": "L", "max-seq-len": SEQUENCE, "device-type": "cpu"},
        **dict.fromkeys(("eval-every", "core-metric-every", "sample-every"), -1),
    }
    sys.argv = [str(script), *(f"--{name}={value}" for name, value in settings.items())]
    done = runpy.run_path(str(script), run_name="__main__")
    job.finish(models[0], done["num_iterations"], done["total_tokens"])


def nearest_depth(gpt: Any, ours: ModelConfig) -> int:
    """The depth of a nanochat model, 64 wide for each layer, whose FLOPs a token come nearest to ours."""
    import torch

    def distance(depth: int) -> float:
        config = gpt.GPTConfig(SEQUENCE, ours.vocab_size, depth, depth, depth, 64 * depth, "L")
        with torch.device("meta"):
            return abs(math.log(gpt.GPT(config).estimate_flops() / ours.flops_per_token(SEQUENCE)))

    return min(range(1, 17), key=distance)


def stand_in(name: str, **content: Any) -> None:
    """A module with nothing but `content`."""
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(content)


def score_folder(job: Job, folder: Path) -> None:
    """Score a Hugging Face folder, documents apart unless --whole-windows."""
    transformers = need("transformers", "pip install transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    model.config.use_cache = False  # with a cache, positions do not tell documents
    print(json.dumps({"bits_per_byte": job.heldout.bits_per_byte(model, not job.options.whole_windows)}))


PEERS: dict[str, tuple[Callable[[Job, bool], None], bool]] = {
    "hf_trainer": (run_hf, False),
    "hf_trainer_tuned": (run_hf, True),
    "litgpt": (run_litgpt, False),
    "litgpt_tuned": (run_litgpt, True),
    "nanochat": (run_nanochat, False),
    "nanochat_auto": (run_nanochat, True),
}


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="token shards with a held-out split")
    parser.add_argument("--output", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--peer", choices=PEERS)
    what.add_argument("--score", type=Path, help="train nothing: score a Hugging Face folder")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and the order of windows")
    parser.add_argument("--tokens", type=int, default=21_000_000)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--batch", type=int, default=0, help="sequences in a step; 0: the peer's own")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--heldout", type=Path, help="other shards whose held-out split is scored")
    parser.add_argument("--validation-tokens", type=int, default=1 << 18, help="per language")
    parser.add_argument("--nanochat", type=Path, help="a checkout of github.com/karpathy/nanochat")
    parser.add_argument("--whole-windows", action="store_true", help="--score: attend over whole windows")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"):
        os.environ[name] = str(options.threads)
    need("torch", "pip install torch").set_num_threads(options.threads)
    errors = need("onnuri.base.errors", "set PYTHONPATH=src")
    try:
        job = Job(options)
    except errors.UserError as error:
        sys.exit(str(error))
    options.output.mkdir(parents=True, exist_ok=True)
    if options.score:
        score_folder(job, options.score)
    else:
        (options.output / "metrics.jsonl").unlink(missing_ok=True)
        run, variant = PEERS[options.peer]
        run(job, variant)


if __name__ == "__main__":
    main()
