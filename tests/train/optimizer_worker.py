"""One rank of test_optimizers.py: the losses of a few steps, and what the optimizer and the network did.

Run by torchrun as: optimizer_worker.py OUTPUT_FOLDER OVERRIDE...
"""

import itertools
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from onnuri.config import CONFIG_ROOT, compose
from onnuri.kernels import Kernels
from onnuri.model.decoder import Decoder
from onnuri.model.initialise import initialise
from onnuri.model.spec import spec_of
from onnuri.optim.groups import describe_optimizer
from onnuri.optim.muon import POLAR_EXPRESS, RMS
from onnuri.parallel.process_group import start_process_group
from onnuri.parallel.zero_layout import inner_optimizer, local_shards
from onnuri.tokens.loader import Loader
from onnuri.train.config import PretrainConfig
from onnuri.train.engine import build_engine
from onnuri.train.inputs import to_inputs
from onnuri.train.read_ahead import read_ahead
from onnuri.train.run_plan import make_plan

STEPS = 4
collectives: Counter[str] = Counter()


def count_collectives() -> None:
    """Count calls that reduce gradients."""
    from deepspeed import comm

    for name in (
        "all_reduce",
        "reduce_scatter_tensor",
        "reduce_scatter_fn",
        "reduce_scatter_base",
        "reduce",
    ):
        original = getattr(comm, name, None)
        if original is None:
            continue

        def counted(*words: Any, name: str = name, original: Any = original, **more: Any) -> Any:
            collectives[name] += 1
            return original(*words, **more)

        setattr(comm, name, counted)


def plain_muon_losses(config: PretrainConfig, loader: Loader, kernels: Kernels) -> list[float]:
    """The same steps on whole matrices in one process, by the definition of Muon in double precision."""
    model = Decoder(config.model, kernels)
    initialise(model, config.train.seed)
    named = dict(model.named_parameters())
    matrices = spec_of(config.model).matrices(config.model)
    rest = [p for n, p in named.items() if n not in matrices]
    optim = config.optim
    groups = [
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": optim.weight_decay},
        {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=optim.lr, betas=(optim.beta1, optim.beta2), eps=optim.eps)
    momentum = {name: torch.zeros_like(named[name]) for name in matrices}
    losses = []
    for step in range(STEPS):
        batch = loader.rows(step, 0, config.train.global_batch_size)
        inputs = to_inputs(batch, config.data, torch.device("cpu"))
        loss = model(*inputs, reduction="sum") / loader.num_targets(step)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optim.gradient_clipping)
        adamw.step()
        with torch.no_grad():
            for name, shapes in matrices.items():
                weight = named[name]
                momentum[name] = optim.momentum * momentum[name] + weight.grad
                nesterov = optim.momentum * momentum[name] + weight.grad
                weight.mul_(1 - optim.lr * optim.weight_decay)
                parts = nesterov.double().split([rows for rows, _ in shapes])
                update = torch.cat([by_singular_values(part) for part in parts])
                weight.sub_(optim.lr * update.float())
        losses.append(float(loss))
    return losses


def by_singular_values(matrix: torch.Tensor) -> torch.Tensor:
    """Muon's update from the singular value decomposition: its polynomials act on the singular values."""
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    values = values / (1.02 * torch.linalg.matrix_norm(matrix))
    for number, (a, b, c) in enumerate(POLAR_EXPRESS):
        x = values / 1.01 if number < len(POLAR_EXPRESS) - 1 else values
        values = a * x + b * x**3 + c * x**5
    return RMS * max(matrix.shape) ** 0.5 * (u * values) @ v


def main() -> None:
    """Write what this rank found to OUTPUT_FOLDER/rank-N.json."""
    config = compose(PretrainConfig, sys.argv[2:], CONFIG_ROOT, "pretrain")
    plan = make_plan(config)
    config = plan.config
    device = start_process_group(config.engine)
    engine = build_engine(plan)
    loader = Loader(config.data, plan.data, config.train.global_batch_size, None)
    losses, batches = [], read_ahead(loader, plan, 0, device)
    count_collectives()
    seen: Counter[str] = Counter()
    weight = engine.module.blocks[0].ffn.down.weight
    for block in engine.module.blocks:
        block.attention.register_forward_hook(lambda *_: seen.update(["block"]))
    for step in range(STEPS):
        for group in engine.optimizer.param_groups:
            group["lr"] = config.optim.lr
        total = torch.zeros(())
        for inputs in itertools.islice(batches, plan.accumulation):
            loss = engine(*inputs, reduction="sum") / loader.num_targets(step)
            seen["secondary"] += getattr(weight, "ds_secondary_tensor", None) is not None
            engine.backward(loss * plan.ranks.dp_size, scale_wrt_gas=False)
            engine.step()
            total += loss.detach()
        dist.all_reduce(total)
        losses.append(float(total))
    inner = inner_optimizer(engine)
    facts = {
        "losses": losses,
        "optimizer": describe_optimizer(engine),
        "orthogonalised": getattr(inner, "num_orthogonalised", 0),
        "reductions": sum(collectives.values()),
        "blocks_run": seen["block"],
        "accumulation": plan.accumulation,
        "offloaded": engine.zero_cpu_offload(),
        "parameters_offloaded": engine.zero_offload_param() is not None,
        "secondary_copies": seen["secondary"] > 0,
        "held": sum(f.numel for f in local_shards(engine)),
    }
    if plan.ranks.rank == 0 and config.optim.name == "muon":
        facts["plain_losses"] = plain_muon_losses(config, loader, engine.kernels)
    Path(sys.argv[1], f"rank-{plan.ranks.rank}.json").write_text(json.dumps(facts))
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # as scripts/pretrain.py ends: threads of gloo sometimes abort an orderly exit


main()
