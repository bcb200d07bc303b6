"""Options of the objectives that tune a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from onnuri.base.errors import UserError, check_choice


def check_server(url: str) -> None:
    """Raise UserError unless it is http(s)://HOST[:PORT]."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise UserError(f"grpo.vllm={url} must be http://HOST:PORT or https://HOST:PORT")
    if parts.username is not None:
        raise UserError("grpo.vllm must hold no name or password: the run directory keeps its options")


@dataclass
class DpoConfig:
    """objective=dpo: Rafailov et al., arXiv 2305.18290."""

    beta: float = 0.1
    """How much a change of the log-probability of an answer counts; with length_normalised about 5."""
    label_smoothing: float = 0.0
    """Share of pairs taken to be labelled the wrong way round (arXiv 2310.12036, conservative DPO)."""
    length_normalised: bool = False
    """Log-probabilities are means over an answer's tokens, not sums (arXiv 2411.15124)."""

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise UserError(f"dpo.beta={self.beta} must be above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise UserError(f"dpo.label_smoothing={self.label_smoothing} must be at least 0 and below 0.5")


REWARDS = ("right", "stopped")
"""Parts of a reward; `form` is measured and never rewarded."""


@dataclass
class GrpoConfig:
    """objective=grpo: group-relative policy optimization, one step for each batch of answers (Shao et al.,
    arXiv 2402.03300; token-level loss, no KL and the upper clip of DAPO, arXiv 2503.14476)."""

    group_size: int = 8
    """Answers to each task. train.global_batch_size counts answers and is a multiple of it."""
    max_tokens: int = 128
    """Most tokens of an answer."""
    temperature: float = 1.0
    """Of sampling."""
    slots: int = 64
    """Most answers that a rank writes at a time, or asks a server for."""
    vllm: str = ""
    """Address of a vLLM server, http://HOST:8000, that writes the answers in place of the ranks."""
    share_prompts: bool = True
    """Compute a prompt once for all answers to it, with kernels.attention auto, torch, native, triton or
    reference. A prompt and as many of its answers as fit are one document of data.sequence_length."""
    clip_low: float = 0.2
    """The ratio of probabilities counts down to 1 - clip_low."""
    clip_high: float = 0.28
    """And up to 1 + clip_high."""
    scale_rewards: bool = True
    """Divide by the standard deviation of the group's rewards."""
    rewards: dict[str, float] = field(default_factory=lambda: {"right": 1.0})
    """Weight of each part: right, what the task's checker says; stopped, the answer has an end."""
    held_out_tasks: int = 200
    """Held-out tasks answered greedily at each validation."""

    def __post_init__(self) -> None:
        if self.group_size < 2:
            raise UserError(f"grpo.group_size={self.group_size} must be at least 2: answers are compared")
        for name in ("max_tokens", "slots", "held_out_tasks"):
            if getattr(self, name) < 1:
                raise UserError(f"grpo.{name}={getattr(self, name)} must be at least 1")
        if not self.temperature >= 0.01:
            raise UserError(f"grpo.temperature={self.temperature} must be at least 0.01")
        if self.vllm:
            check_server(self.vllm)
        if not (0 < self.clip_low < 1 and self.clip_high > 0):
            raise UserError("needed: 0 < grpo.clip_low < 1 and grpo.clip_high > 0")
        for name in self.rewards:
            check_choice("grpo.rewards", name, REWARDS)
        if not any(self.rewards.values()):
            raise UserError("grpo.rewards has no weight but 0: there is nothing to learn")
