"""What a run learns: where its batches come from, and the loss of one. One module each."""

from onnuri.train.objectives import dpo, grpo, next_token, sft
from onnuri.train.objectives.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    "next_token": next_token.OBJECTIVE,
    "sft": sft.OBJECTIVE,
    "dpo": dpo.OBJECTIVE,
    "grpo": grpo.OBJECTIVE,
}

__all__ = ["OBJECTIVES", "Objective"]
