"""Train a tokenizer on a corpus folder and write it so that AutoTokenizer loads it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.config import to_dict
from onnuri.tokenizer.config import TokenizerConfig

log = logging.getLogger(__name__)

NOT_SETTINGS = ("input", "output", "workers")
"""Options that do not change the result."""


def build(config: TokenizerConfig) -> Manifest:
    """Write the tokenizer folder, or do nothing when it answers this request. Returns its manifest."""
    corpus = manifest.read_whole(config.input, "corpus")
    settings = {name: value for name, value in to_dict(config).items() if name not in NOT_SETTINGS}
    if config.pre_tokenizer == "onnuri":  # as before there was a choice
        del settings["pre_tokenizer"]
    if not config.split_digits:
        del settings["split_digits"]
    inputs = {"corpus": corpus.identity}
    if found := manifest.up_to_date(config.output, "tokenizer", settings, inputs):
        log.info("%s is up to date", config.output)
        return found
    from onnuri.tokenizer.counting import corpus_sizes, usable_cores
    from onnuri.tokenizer.fertility import corpus_fertility
    from onnuri.tokenizer.huggingface import load_tokenizer, save
    from onnuri.tokenizer.mixture import document_weights

    workers = config.workers or usable_cores()
    with manifest.building(config.output, "tokenizer") as partial:
        sizes = corpus_sizes(config.input, workers)
        if not sum(sizes.values()):
            raise UserError(f"{config.input} has no training text")
        weights = document_weights(
            sizes, config.source_power, config.source_weights, config.language_shares
        )
        tokenizer, facts = _train(config, weights, workers, partial)
        save(tokenizer, partial)
        size = tokenizer.get_vocab_size()
        fertility = corpus_fertility(load_tokenizer(partial), config.input)
        mixture = {f"{source} {language}": weights[source, language] for source, language in weights}
        counts = {"vocab_size": size, "tokens_per_character": fertility, "weights": mixture} | facts
        sealed = manifest.seal(partial, "tokenizer", settings, inputs, counts)
    shown = ", ".join(f"{language} {value:.3f}" for language, value in sorted(fertility.items()))
    log.info(f"{config.output}: {size:,} tokens; tokens per character on held-out documents: {shown}")
    if size < config.vocab_size:
        log.info(f"the corpus has pairs for {size:,} tokens only, {config.vocab_size:,} were asked for")
    return sealed


def _train(
    config: TokenizerConfig, weights: dict[tuple[str, str], int], workers: int, folder: Path
) -> tuple[Any, dict[str, Any]]:
    """The HF tokenizer and what to note about it; writes the files that only some algorithms have."""
    memory = int(config.memory_gb * 2**30)
    if config.algorithm == "unigram":
        from onnuri.tokenizer.unigram import train_unigram

        return train_unigram(
            config.input,
            weights,
            vocab_size=config.vocab_size,
            max_token_bytes=config.max_token_bytes,
            split_digits=config.split_digits,
            memory_bytes=memory,
            workers=workers,
        )
    from onnuri.tokenizer.huggingface import to_huggingface
    from onnuri.tokenizer.presplit import LLAMA
    from onnuri.tokenizer.tiktoken import save_tiktoken
    from onnuri.tokenizer.training import learn

    vocabulary = learn(
        config.input,
        weights,
        config.algorithm,
        config.vocab_size,
        min_frequency=config.min_frequency,
        superword_start=config.superword_start,
        max_token_bytes=config.max_token_bytes,
        split_digits=config.split_digits,
        memory_bytes=memory,
        workers=workers,
    )
    if config.pre_tokenizer == "llama3":
        return to_huggingface(vocabulary, LLAMA), vocabulary.facts
    written = save_tiktoken(vocabulary, config.input, folder)
    return to_huggingface(vocabulary), vocabulary.facts | {"tiktoken": written}
