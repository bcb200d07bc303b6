"""Options of scripts/quality.py."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option


@dataclass
class QualityConfig:
    """The two heaps of texts to tell apart."""

    good: str = path_option()
    """Texts as they should be: file, folder or quoted glob of .jsonl, .parquet (.gz, .zst) or .txt, or a
    corpus folder. A .txt file is taken in pieces of about 2,000 characters."""
    random: str = path_option()
    """Texts as they come, in the same languages and on the same subjects as far as can be; same formats."""
    output: str = path_option()
    """Folder to write: the weights and what they mean."""
    text_column: str = "text"
    """Column or key of the text in .parquet and .jsonl."""
    documents: int = 20000
    """At most so many texts of each heap, as evenly as can be from all files, from the start of each."""

    def __post_init__(self) -> None:
        if self.documents < 1:
            raise UserError(f"documents={self.documents} must be at least 1")
