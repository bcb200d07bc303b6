"""Tokens, batch and learning rate that suit a size, beside those of the run, and the score to expect.

From others' sweeps of AdamW: 20 tokens a parameter (Hoffmann et al., arXiv 2203.15556); the batch and the
rate from Li et al., arXiv 2503.04715, which counts parameters without embeddings and batches in tokens.
Muon's rate and the expected score are from runs of this project (LAB.md, Recipes).
"""

from __future__ import annotations

from collections.abc import Iterator

from onnuri.plan.config import PlanConfig
from onnuri.plan.law import largest_error, load
from onnuri.plan.machine import Setting

TOKENS_PER_PARAMETER = 20
FARTHEST = 1.5
"""Times the parameters or tokens of the largest run that the law was checked on."""
MUON_RATE = 0.01
"""With optim.update_scale=spectral. Best at width 128 with steps of 2,048 tokens; 0.004 is with 1,024."""
MUON_RMS = 0.2
"""Root mean square of an update with optim.update_scale=rms, at rate 1."""


def plain(value: float) -> str:
    """A number without an exponent, and never 0."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def batch_tokens(tokens: float) -> float:
    """Tokens of a step that suit a run of so many tokens."""
    return 0.58 * tokens**0.571


def adamw_rate(parameters: float, tokens: float) -> float:
    """Peak learning rate of AdamW; `parameters` without embeddings."""
    return 1.79 * parameters**-0.713 * tokens**0.307


def muon_rate(update_scale: str, hidden_size: int) -> float:
    """Peak learning rate of Muon: in spectral units the same at every width."""
    return MUON_RATE if update_scale == "spectral" else MUON_RATE / (MUON_RMS * hidden_size**0.5)


def suggestions(config: PlanConfig, setting: Setting, tokens: float) -> Iterator[str]:
    """Lines of the report; `tokens` are those of the run."""
    model, optim = setting.model, config.optim
    active, inner = model.num_active_parameters(), model.num_parameters(include_embeddings=False)
    yield "recipe that suits this size and length (docs/planning.md, Recipe)"
    yield (
        f"  {'tokens':<28}{TOKENS_PER_PARAMETER * active:>10.3g}, {TOKENS_PER_PARAMETER} a parameter; "
        f"this run has {plain(tokens / active)}"
    )
    step = batch_tokens(tokens)
    rows = max(1, round(step / setting.sequence_length))
    yield (
        f"  {'tokens a step':<28}{step:>10.3g}: train.global_batch_size={rows}; "
        f"this run has {setting.global_batch_size}"
    )
    if optim.name == "muon":
        rate = muon_rate(optim.update_scale, model.hidden_size)
    else:
        rate = adamw_rate(inner, tokens)
    yield f"  {'learning rate':<28}{rate:>10.2g}: optim.lr={rate:.2g}; this run has {optim.lr:g}"
    stored = load()
    widest = max(run["parameters"] for run in stored["runs"] + stored["held_out"])
    longest = max(run["tokens"] for run in stored["runs"] + stored["held_out"])
    scores = ", ".join(
        f"{language} {law.bits_per_byte(active, tokens):.2f}" for language, law in stored["laws"].items()
    )
    beyond = max(active / widest, tokens / longest)
    error = max(largest_error(law, stored["held_out"], name) for name, law in stored["laws"].items())
    trust = (
        f"not to be believed: {beyond:,.0f} times beyond the runs that it was fitted to"
        if beyond > FARTHEST
        else f"off by up to {error:.0%} on larger ones than it was fitted to"
    )
    yield f"  {'bits per byte to expect':<28}{scores}, on text like that of the law's runs; {trust}"
