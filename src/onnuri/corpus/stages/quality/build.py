"""Train a quality model on two sets of texts and write its folder."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from onnuri.base import manifest
from onnuri.base.manifest import Manifest
from onnuri.corpus.config import QualityConfig
from onnuri.corpus.stages.quality import texts
from onnuri.corpus.stages.quality.model import KIND, LAYOUT, save
from onnuri.corpus.stages.quality.train import EPOCHS, LEARNING_RATE, SMOOTHING, TRAINING_CHARACTERS, train

log = logging.getLogger(__name__)


def build(config: QualityConfig) -> Manifest:
    """Write the folder, or do nothing when it answers this request. Returns its manifest."""
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
    if made := manifest.up_to_date(config.output, KIND, settings, inputs):
        log.info("%s is up to date", config.output)
        return made
    with manifest.building(config.output, KIND) as partial:
        model, figures = train(examples["good"], examples["random"])
        save(partial, model)
        made = manifest.seal(partial, KIND, settings, inputs, figures)
    log.info(f"{config.output}:")
    for script, figure in figures.items():
        log.info(f"{script}: {figure['good']:,} good and {figure['random']:,} random texts")
        if "auc" not in figure:
            log.info("  too few to learn from: such texts get no score and are kept")
            continue
        right = f"{figure['accuracy']:.1%} right at 0.5"
        log.info(f"  {figure['heldout']:,} held out: AUC {figure['auc']:.4f}, {right}")
        for threshold, (good, random) in figure["kept"].items():
            log.info(
                f"  threshold {threshold} keeps {good:.1%} of the good, {random:.1%} of the random ones"
            )
    return made


def _hash(side: list[str]) -> str:
    """sha256 of the texts that are learnt from, wherever they were read."""
    digest = hashlib.sha256()
    for text in side:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
