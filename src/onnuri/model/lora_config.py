"""Options of low-rank adapters. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of


@dataclass
class LoraConfig:
    """Adapters in place of whole matrices (arXiv 2106.09685): the model itself stays as it is."""

    rank: int = 0
    """Rank of the adapter that each matrix of the blocks gets, 8 to 64; 0: all weights are trained. Rates
    of learning are about ten times those of all weights."""
    alpha: float = 32.0
    """What the adapters compute counts alpha / rank."""

    def __post_init__(self) -> None:
        if self.rank < 0 or not 0 < self.alpha < float("inf"):
            raise UserError(f"needed: lora.rank >= 0, lora.alpha > 0; found {self.rank} and {self.alpha}")

    @property
    def scale(self) -> float:
        """What the product of an adapter is multiplied by."""
        return self.alpha / self.rank

    def num_parameters(self, model: ModelConfig) -> int:
        """Elements of the adapters of all blocks."""
        matrices = [each for each in spec_of(model).by_name(model).values() if each.kind == "matrix"]
        return self.rank * sum(sum(each.rows) + each.columns for each in matrices)

    def flops_per_token(self, model: ModelConfig, sequence_length: int) -> int:
        """Training FLOPs a token, forward and backward: a weight that stays as it is has no gradient of its
        own, so 4 instead of 6."""
        whole = model.flops_per_token(sequence_length)
        if not self.rank:
            return whole
        frozen = model.num_parameters(include_embeddings=False) + model.vocab_size * model.hidden_size
        return whole - 2 * frozen + 6 * self.num_parameters(model)
