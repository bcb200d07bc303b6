"""Tokens per character, by language: the length of text in a model's eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnuri.corpus.documents import read_documents


def corpus_fertility(tokenizer: Any, corpus: str | Path) -> dict[str, float]:
    """Tokens per character by language on held-out documents: lower is shorter and faster."""
    tokens: dict[str, int] = {}
    characters: dict[str, int] = {}
    for batch in read_documents(corpus, "heldout", ["text", "lang"]):
        encodings = tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False)
        for text, language, encoding in zip(batch["text"], batch["lang"], encodings, strict=True):
            tokens[language] = tokens.get(language, 0) + len(encoding.ids)
            characters[language] = characters.get(language, 0) + len(text)
    return {name: tokens[name] / max(1, characters[name]) for name in tokens}
