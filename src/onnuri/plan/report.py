"""What scripts/plan.py prints."""

from __future__ import annotations

from collections.abc import Iterator

from onnuri.plan.advice import Advice, advise, checkpoint_bytes, devices_needed, fits, host_bytes
from onnuri.plan.config import PlanConfig
from onnuri.plan.machine import Setting, has_shards, settle
from onnuri.plan.memory import GIB, KINDS, peak
from onnuri.plan.speed import Speed, speed
from onnuri.plan.stages import PlanStage, stages
from onnuri.plan.suggestions import plain, suggestions

DAY = 86400.0


def report(config: PlanConfig) -> tuple[str, bool]:
    """The text, and whether the run fits."""
    setting = settle(config)
    fitting = fits(setting)
    run = list(stages(config, setting))
    lines = [*_run(config, setting), "", *_memory(setting), "", *_time(config, setting, run)]
    if config.objective == "next_token" and not config.lora.rank:
        lines += ["", *suggestions(config, setting, sum(stage.tokens for stage in run))]
    if not fitting:
        lines += ["", *_advice(setting, advise(setting))]
    return "\n".join(lines), fitting


def _run(config: PlanConfig, setting: Setting) -> Iterator[str]:
    model, cluster = setting.model, setting.cluster
    experts = ""
    if model.num_experts:
        experts = f" ({model.num_active_parameters() / 1e9:.2f}B active)"
    yield (
        f"model    {setting.num_parameters / 1e9:.3f}B parameters{experts}, "
        f"vocabulary {model.vocab_size:,}, {model.num_layers} x {model.hidden_size}"
    )
    yield (
        f"machines {cluster.gpus} x {cluster.name} on {cluster.nodes} node(s), "
        f"ZeRO-{setting.stage}, {'bf16' if setting.width == 2 else 'fp32'}"
        f"{', compiled' if setting.compiled else ''}, {config.optim.name}"
    )
    yield (
        f"step     {setting.global_batch_size:,} x {setting.sequence_length:,} tokens: "
        f"{setting.ranks} ranks x {setting.accumulation} micro-batch(es) of {setting.micro_batch_size}"
    )
    if config.lora.rank:
        yield (
            f"adapters {setting.num_trained / 1e6:.1f}M parameters of rank {config.lora.rank} are trained; "
            "the model stays as it is"
        )
    if config.data.path and not has_shards(config.data.path):
        yield (
            f"note     data={config.data.path} has no token shards yet; planned for a vocabulary of "
            f"{model.vocab_size:,} (vocab_size)"
        )
    if config.objective != "next_token":
        more = {"dpo": "the reference's scores", "grpo": "the writing of answers"}.get(config.objective)
        yield (
            f"note     objective={config.objective}: planned as steps of full windows"
            f"{f', without {more}' if more else ''}"
        )
    if model.num_experts:
        yield (
            "note     a model with experts can be planned, not trained: scripts/pretrain.py has none yet. "
            "Experts are counted as sharded by ZeRO, without expert parallelism"
        )


def _memory(setting: Setting) -> Iterator[str]:
    moment = peak(setting)
    cluster = setting.cluster
    yield f"memory of a rank, at its peak ({moment.name})"
    for kind in KINDS:
        if moment.bytes.get(kind):
            yield f"  {kind:<28}{moment.bytes[kind] / GIB:>10.2f} GiB"
    spare = cluster.memory_gib - moment.total / GIB
    word = f"{spare:.1f} spare" if spare >= 0 else f"{-spare:.1f} TOO MUCH"
    yield f"  {'total':<28}{moment.total / GIB:>10.2f} GiB of {cluster.memory_gib:g}: {word}"
    host = host_bytes(setting) / GIB
    verdict = "" if host <= cluster.host_memory_gib else ": TOO MUCH"
    yield (
        f"  {'host of a node':<28}{host:>10.2f} GiB of {cluster.host_memory_gib:g} (checkpoint copy"
        f"{' and offload' if setting.offload != 'none' else ''}){verdict}"
    )


def _duration(seconds: float) -> str:
    """In days, or in minutes what takes less than a tenth of one."""
    return f"{seconds / DAY:>10.2f} days" if seconds > DAY / 10 else f"{seconds / 60:>10.2f} minutes"


def _time(config: PlanConfig, setting: Setting, run: list[PlanStage]) -> Iterator[str]:
    found, cluster = speed(setting), setting.cluster
    total = sum(stage.tokens for stage in run)
    flops = sum(stage.tokens * stage.speed.flops_per_token for stage in run)
    per_rank = found.tokens_per_second / setting.ranks
    utilisation = per_rank * found.flops_per_token / (1e12 * cluster.peak_tflops)
    yield (
        f"time, estimated (cluster.{cluster.efficiency_word}={cluster.efficiency_here:g}, docs/planning.md)"
    )
    yield f"  {'FLOPs a token, a step':<28}{found.flops_per_token:.3e}, {found.flops_per_step:.3e}"
    yield f"  {'seconds a step':<28}{found.seconds:>10.3f}: {_parts(found)}"
    yield (
        f"  {'tokens a second':<28}{plain(found.tokens_per_second):>10}, {plain(per_rank)} a rank, "
        f"{100 * utilisation:.0f} % of the peak"
    )
    yield (
        f"  {total:.3g} tokens{'':<14}{_duration(sum(stage.seconds for stage in run))}, "
        f"{sum(stage.steps for stage in run):,} steps, {flops:.3e} FLOPs"
    )
    if config.train.batch_ramp or config.data.length_ramp:
        for stage in run:
            yield (
                f"  {f'ramp, from step {stage.start:,}':<28}{_duration(stage.seconds)}: batch of "
                f"{stage.setting.global_batch_size:,}, attention over {stage.setting.attention_length:,} "
                f"tokens, {stage.speed.seconds:.3f} s a step"
            )
    share = found.network / found.compute
    hides = "can hide behind the arithmetic" if share < 0.5 else "is too much to hide behind the arithmetic"
    yield (
        f"  {'network, a rank and step':<28}{found.network_bytes / GIB:>10.2f} GiB, at full bandwidth "
        f"{100 * share:.0f} % of the arithmetic's time: {hides if setting.ranks > 1 else 'none'}"
    )
    yield f"  {'checkpoint on disk':<28}{checkpoint_bytes(setting) / GIB:>10.2f} GiB"


def _parts(found: Speed) -> str:
    return f"arithmetic {found.compute:.3f}, network {found.network:.3f}, optimizer {found.optimizer:.3f}"


def _advice(setting: Setting, found: Advice | None) -> Iterator[str]:
    yield "It does not fit."
    if found:
        loss = 1 - found.tokens_per_second / speed(setting).tokens_per_second
        price = f"{100 * loss:.0f} % slower" if loss > 0 else "no slower"
        left = found.setting.cluster.memory_gib - peak(found.setting).total / GIB
        yield f"It does with: {' '.join(found.words)}"
        yield f"  ({price} by this estimate, {left:.1f} GiB spare)"
        return
    needed = devices_needed(setting)
    if needed:
        yield (
            f"No switch helps on {setting.ranks} devices; with engine.stage=3 "
            f"engine.activation_checkpointing=1 engine.micro_batch_size=1 it takes cluster.gpus={needed}"
        )
    else:
        yield "No switch helps, nor more devices: shorter sequences, a smaller model or larger devices do"
