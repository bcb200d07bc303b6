"""Grow a tokenizer, and with it the embeddings of its model."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.manifest import Manifest
from onnuri.config import to_dict
from onnuri.hf.grow_embeddings import check_model, grow_model, model_identity
from onnuri.tokenizer.counting import usable_cores
from onnuri.tokenizer.extend import ExtendConfig, OldTokenizer, learn_merges, old_pieces
from onnuri.tokenizer.fertility import corpus_fertility
from onnuri.tokenizer.huggingface import TOKENIZER_FILES, load_tokenizer, tokenizer_config

log = logging.getLogger(__name__)

NOT_SETTINGS = ("input", "tokenizer", "output", "model", "workers")
"""Options that do not change the result, or that the manifest holds as inputs."""
COPIED_FILES = TOKENIZER_FILES[1:]
"""What stays as it is; vocab.json, merges.txt and the like would be outdated."""


def extend(config: ExtendConfig) -> Manifest:
    """Write the grown folder, or do nothing when it answers this request. Returns its manifest."""
    corpus = manifest.read_whole(config.input, "corpus")
    old = OldTokenizer(config.tokenizer)
    tokenizer_config(config.tokenizer)  # is copied: says now what is wrong with it
    settings = {name: value for name, value in to_dict(config).items() if name not in NOT_SETTINGS}
    copied = [name for name in COPIED_FILES if (Path(config.tokenizer) / name).is_file()]
    inputs = {name: manifest.hash_file(Path(config.tokenizer) / name) for name in copied}
    inputs |= {"corpus": corpus.identity, "tokenizer": manifest.hash_file(old.path)}
    if config.model:
        check_model(Path(config.model), len(old.tokens))
        inputs["model"] = model_identity(Path(config.model))
    if found := manifest.up_to_date(config.output, "tokenizer", settings, inputs):
        log.info("%s is up to date", config.output)
        return found
    workers = config.workers or usable_cores()
    os.environ["RAYON_NUM_THREADS"] = str(workers)  # HF tokenizers reads it when it starts its threads
    with manifest.building(config.output, "tokenizer") as partial:
        rows, facts = learn_merges(config, old, workers)
        pieces = old_pieces(rows)
        text = json.dumps(old.grown(rows), ensure_ascii=False, indent=2)
        (partial / "tokenizer.json").write_text(text, encoding="utf-8")
        for name in copied:
            shutil.copyfile(Path(config.tokenizer) / name, partial / name)
        manifest.write_json(
            partial / "new_tokens.json", {str(number): ids for number, ids in pieces.items()}
        )
        if config.model:
            grow_model(Path(config.model), partial / "model", list(pieces.values()), len(old.tokens))
            for name in ("tokenizer.json", *copied):
                shutil.copyfile(partial / name, partial / "model" / name)
        before = corpus_fertility(load_tokenizer(config.tokenizer), config.input)
        after = corpus_fertility(load_tokenizer(partial), config.input)
        facts |= {"vocab_size": len(old.tokens) + len(pieces), "new_tokens": len(pieces)}
        facts |= {"tokens_per_character": after, "tokens_per_character_before": before}
        sealed = manifest.seal(partial, "tokenizer", settings, inputs, facts)
    shown = ", ".join(f"{name} {before[name]:.3f} -> {after[name]:.3f}" for name in sorted(after))
    log.info(
        f"{config.output}: {len(old.tokens):,} + {len(pieces):,} tokens; "
        f"tokens per character on held-out documents: {shown}"
    )
    if len(pieces) < config.new_tokens:
        log.info(
            f"the corpus has pairs for {len(pieces):,} tokens only, {config.new_tokens:,} were asked for"
        )
    return sealed
