"""Options of scripts/export.py and of scripts/import.py."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option


@dataclass
class ExportConfig:
    """What to export, and where to."""

    checkpoint: str = path_option()
    """Run directory (its newest verified checkpoint is taken), a checkpoint in it, checkpoints/latest, or a
    link to one of them."""
    output: str = path_option()
    """Folder to write: config.json, safetensors, tokenizer, generation_config.json, model card."""
    dtype: str = "float32"
    """float32 keeps the master weights exactly; bfloat16 halves the size."""
    max_shard_gb: float = 5.0
    """Largest weight file in GB (10^9 bytes); also bounds the memory that exporting takes."""
    weights: str = "raw"
    """raw: of the checkpoint; ema: the average that it keeps (average.ema_decay of the run); mean: over
    the last mean_of checkpoints."""
    mean_of: int = 0
    """mean: how many checkpoints, the chosen one and those before it. A file then takes three times its
    fp32 size in memory."""
    chat: str = "auto"
    """yes: a chat model, which stops at <|im_end|> and has the chat template it was trained with; no:
    a base one, which stops at the separator; auto: yes where the run was trained on conversations."""

    adapter: bool = False
    """Of a run with lora.rank: write the adapter alone, for PEFT; otherwise the model with it in its
    weights."""
    base: str = path_option("")
    """Of a run with lora.rank: folder of the model under the adapter, where it has moved."""
    push: str = ""
    """Model on a hub to upload the finished folder to: ORG/NAME or ORG/NAME@BRANCH. Made
    private where it is missing."""
    hub: str = ""
    """Address of the hub (docs/hub.md); empty: HF_ENDPOINT. Never the public hub."""

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, ("float32", "bfloat16"))
        check_choice("chat", self.chat, ("auto", "yes", "no"))
        check_choice("weights", self.weights, ("raw", "ema", "mean"))
        if self.weights == "mean" and self.mean_of < 2:
            raise UserError(f"weights=mean needs mean_of, at least 2 checkpoints; it is {self.mean_of}")
        if self.weights != "mean" and self.mean_of:
            raise UserError(
                f"mean_of={self.mean_of} goes with weights=mean, here it is weights={self.weights}"
            )
        if self.max_shard_gb <= 0:
            raise UserError(f"max_shard_gb={self.max_shard_gb} must be above 0")


@dataclass
class ImportConfig:
    """Which model to import, and where to."""

    model: str = path_option()
    """Hugging Face model folder, of the type qwen3 or llama, with safetensors weights; or ORG/NAME of a
    hub."""
    output: str = path_option()
    """Folder to write: weights in float32 in the layout of checkpoints, options of the model, tokenizer."""
    hub: str = ""
    """Address of the hub that has model=ORG/NAME; empty: HF_ENDPOINT. Never the public hub."""
