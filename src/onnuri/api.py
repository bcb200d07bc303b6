"""Functions for notebooks and programs; `import onnuri` offers them. They return values."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.evaluate.config import EvaluateConfig
from onnuri.generate.config import GenerateConfig
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader


def open_tokens(folder: str | Path, batch_size: int = 8, **options: Any) -> Loader:
    """The training batches of a folder of token shards.

    Args:
        batch_size: sequences in a batch.
        options: of `DataConfig`: sequence_length, seed, mixture, packing.

    `loader.rows(step, 0, batch_size)` has tokens and targets, int64 [batch_size, sequence_length], of any
    step. Raises UserError for a folder that holds no shards, or damaged ones.
    """
    config = DataConfig(path=str(Path(folder).absolute()), **options)  # files are opened later, too
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} must be at least 1")
    return Loader(config, manifest.read_whole(folder, "tokens"), batch_size, None)


def evaluate_model(model: str | Path, data: str | Path, **options: Any) -> dict[str, Any]:
    """Bits per byte of a Hugging Face folder on held-out text, by language, by source and in total.

    Args:
        data: a corpus folder, or a path or glob of texts.
        options: of `EvaluateConfig`: output (JSON; else nothing is kept), text_column, max_documents,
            batch_tokens.

    Raises UserError for a folder that is no model, and data without text.
    """
    from onnuri.evaluate.run import evaluate

    with tempfile.TemporaryDirectory(prefix="onnuri-evaluate-") as scratch:
        kept = str(options.pop("output", ""))
        output = kept or str(Path(scratch, "evaluation.json"))
        config = EvaluateConfig(model=str(model), data=str(data), output=output, **options)
        result = evaluate(config, kept=bool(kept))
    return {name: found for name, found in result.items() if name != "request"}


def generate_text(model: str | Path, prompt: str, **options: Any) -> str:
    """What a Hugging Face folder writes after a prompt.

    Args:
        options: of `GenerateConfig`: max_tokens, temperature, top_p, top_k, seed.

    For many prompts, and to stream, make one `onnuri.generate.sample.Generator`. Raises UserError for a
    folder that is no model, and a prompt that fills its context.
    """
    from onnuri.generate.sample import Generator

    generator = Generator(str(model))
    config = GenerateConfig(model=str(model), prompt=prompt, **options)
    return "".join(generator.stream(generator.encode(prompt), config))
