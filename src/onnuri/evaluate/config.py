"""Options of scripts/evaluate.py."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option


@dataclass
class EvaluateConfig:
    """Which model, on which text."""

    model: str = path_option()
    """Hugging Face model folder."""
    data: str = path_option()
    """Corpus folder (its held-out documents), or a file or pattern of .jsonl, .parquet, .txt."""
    output: str = path_option("")
    """JSON file for the result; empty: evaluation.json in the model folder."""
    text_column: str = "text"
    """Column of the text in .jsonl and .parquet files."""
    max_documents: int = 0
    """Documents scored per language, in file order; 0: all."""
    batch_tokens: int = 4096
    """Tokens in one forward pass."""

    def __post_init__(self) -> None:
        if self.batch_tokens < 1 or self.max_documents < 0:
            raise UserError("batch_tokens must be at least 1 and max_documents at least 0")
