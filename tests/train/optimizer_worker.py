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
from onnuri.optim.config import OptimConfig
from onnuri.optim.groups import describe_optimizer
from onnuri.optim.muon import POLAR_EXPRESS
from onnuri.optim.schedule import lr_multiplier, set_rates
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


def plain_losses(config: PretrainConfig, loader: Loader, kernels: Kernels) -> list[float]:
    """The same steps on whole matrices in one process, by the definitions, in double precision."""
    model = Decoder(config.model, kernels)
    initialise(model, config.train.seed)
    named, spec, optim = dict(model.named_parameters()), spec_of(config.model), config.optim
    kinds = {name: each.kind for name, each in spec.by_name(config.model).items()}
    matrices = spec.matrices(config.model, optim.per_head) if optim.name == "muon" else {}
    state = {name: torch.zeros(4, *p.shape, dtype=torch.float64) for name, p in named.items()}
    losses = []
    for step in range(1, STEPS + 1):
        batch = loader.rows(step - 1, 0, config.train.global_batch_size)
        inputs = to_inputs(batch, config.data, torch.device("cpu"))
        loss = model(*inputs, reduction="sum") / loader.num_targets(step - 1)
        model.zero_grad()
        loss.backward()
        losses.append(float(loss))
        torch.nn.utils.clip_grad_norm_(model.parameters(), optim.gradient_clipping)
        share = lr_multiplier(config.schedule, step, config.train.steps)
        for name, weight in named.items():
            kind, gradient = kinds[name], weight.grad.double()
            ratio = getattr(optim, f"{kind}_lr_ratio", 1.0)
            decay = getattr(optim, f"{kind}_weight_decay", None)
            decay = optim.weight_decay if decay is None else decay
            lr = optim.lr * share * ratio
            if name in matrices:
                update = plain_muon(gradient, state[name], matrices[name], optim, step)
            else:
                update = plain_adam(gradient, state[name], optim, step)
            old = weight.detach().double()
            decays = (old * update > 0) if optim.cautious_decay else torch.ones_like(old)
            shrink = lr * decay * (share if optim.decay_follows_lr else 1.0)
            weight.data = (old - lr * update - shrink * decays * old).float()
    return losses


def plain_adam(gradient: torch.Tensor, state: torch.Tensor, optim: OptimConfig, step: int) -> torch.Tensor:
    """Kingma and Ba, algorithm 1."""
    state[0] = optim.beta1 * state[0] + (1 - optim.beta1) * gradient
    state[1] = optim.beta2 * state[1] + (1 - optim.beta2) * gradient**2
    mean, square = state[0] / (1 - optim.beta1**step), state[1] / (1 - optim.beta2**step)
    return mean / (square.sqrt() + optim.eps)


def plain_muon(
    gradient: torch.Tensor,
    state: torch.Tensor,
    shapes: list[tuple[int, int]],
    optim: OptimConfig,
    step: int,
) -> torch.Tensor:
    """Nesterov's momentum, orthogonalised matrix by matrix; NorMuon's algorithm 1 on its rows."""
    beta = optim.momentum
    if optim.momentum_warmup_steps:
        beta = 0.85 + (optim.momentum - 0.85) * min(1, step / optim.momentum_warmup_steps)
    state[0] = beta * state[0] + gradient
    updates = []
    parts = (beta * state[0] + gradient).split([rows for rows, _ in shapes])
    moments = state[1, :, 0].split([rows for rows, _ in shapes])
    for part, moment in zip(parts, moments, strict=True):
        rows, columns = part.shape
        norm = 0.2 * max(rows, columns) ** 0.5
        norm = max(1, rows / columns) ** 0.5 if optim.update_scale == "spectral" else norm
        update = by_singular_values(part)
        if optim.normuon:
            moment.copy_(optim.beta2 * moment + (1 - optim.beta2) * (update**2).mean(1))
            update = update / (moment.sqrt()[:, None] + 1e-8)
            update *= min(rows, columns) ** 0.5 / torch.linalg.matrix_norm(update)
        updates.append(norm * update)
    return torch.cat(updates)


def by_singular_values(matrix: torch.Tensor) -> torch.Tensor:
    """Muon's orthogonal factor from the singular value decomposition: its polynomials act on the values."""
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    values = values / (1.02 * torch.linalg.matrix_norm(matrix))
    for number, (a, b, c) in enumerate(POLAR_EXPRESS):
        x = values / 1.01 if number < len(POLAR_EXPRESS) - 1 else values
        values = a * x + b * x**3 + c * x**5
    return (u * values) @ v


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
        groups = engine.optimizer.param_groups
        set_rates(groups, config.optim, config.schedule, step + 1, config.train.steps)
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
    if plan.ranks.rank == 0:
        facts["plain_losses"] = plain_losses(config, loader, engine.kernels)
    Path(sys.argv[1], f"rank-{plan.ranks.rank}.json").write_text(json.dumps(facts))
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # as scripts/pretrain.py ends: threads of gloo sometimes abort an orderly exit


main()
