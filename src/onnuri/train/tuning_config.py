"""Options of the objectives that tune a model."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError


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
