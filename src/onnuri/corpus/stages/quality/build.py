"""Train a quality model on two sets of texts and write its folder."""

from __future__ import annotations

import hashlib
from typing import Any

from onnuri.base import manifest
from onnuri.corpus.config import QualityConfig
from onnuri.corpus.stages.quality import texts
from onnuri.corpus.stages.quality.model import KIND, LAYOUT, save
from onnuri.corpus.stages.quality.train import EPOCHS, LEARNING_RATE, SMOOTHING, TRAINING_CHARACTERS, train


def build(config: QualityConfig) -> int:
    """Write the folder, or do nothing when it answers this request. Returns the exit status."""
    examples = {
        name: texts.read(name, pattern, config.text_column, config.documents)
        for name, pattern in (("good", config.good), ("random", config.random))
    }
    settings: dict[str, Any] = {
        **LAYOUT,
        "documents": config.documents,
        "training_characters": TRAINING_CHARACTERS,
        "epochs": EPOCHS,
        "learning_rate": LEARNING_RATE,
        "smoothing": SMOOTHING,
    }
    inputs = {name: _hash(side) for name, side in examples.items()}
    if manifest.up_to_date(config.output, KIND, settings, inputs):
        print(f"{config.output} is up to date")
        return 0
    with manifest.building(config.output, KIND) as partial:
        model, figures = train(examples["good"], examples["random"])
        save(partial, model)
        manifest.seal(partial, KIND, settings, inputs, figures)
    print(f"{config.output}:")
    for script, figure in figures.items():
        print(f"{script}: {figure['good']:,} good and {figure['random']:,} random texts")
        if "auc" not in figure:
            print("  too few to learn from: such texts get no score and are kept")
            continue
        right = f"{figure['accuracy']:.1%} right at 0.5"
        print(f"  {figure['heldout']:,} held out: AUC {figure['auc']:.4f}, {right}")
        for threshold, (good, random) in figure["kept"].items():
            print(f"  threshold {threshold} keeps {good:.1%} of the good, {random:.1%} of the random ones")
    return 0


def _hash(side: list[str]) -> str:
    """sha256 of the texts that are learnt from, wherever they were read."""
    digest = hashlib.sha256()
    for text in side:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
