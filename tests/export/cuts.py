"""Small models whose tokenizers cut text as llama.cpp knows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from onnuri.base import manifest
from onnuri.corpus.documents import read_documents
from onnuri.export.gguf.vocabulary import GPT2
from onnuri.tokenizer.huggingface import add_special_tokens, save
from onnuri.tokenizer.special import SPECIAL_TOKENS
from tests.conftest import save_model, untrained_model

ROWS, CONTEXT = 1024, 128


def texts(corpus: str, count: int = 400) -> list[str]:
    """Of the sample corpus, in Korean and English."""
    found = [text for batch in read_documents(Path(corpus), "train", ["text"]) for text in batch["text"]]
    return found[:: max(1, len(found) // count)][:count]


def save_tokenizer(folder: Path, corpus: Sequence[str], cut: str, ignore_merges: bool = False) -> Path:
    """A byte-level BPE tokenizer of ROWS tokens, with our special ones."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut == GPT2)
    tokenizer.pre_tokenizer = byte_level
    if cut != GPT2:
        split = pre_tokenizers.Split(Regex(cut), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ROWS,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(described))
    add_special_tokens(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    save(tokenizer, folder, CONTEXT)
    return folder


def llama_model() -> LlamaForCausalLM:
    """As `untrained_model`, of the other architecture, with four heads on two and an output matrix."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=ROWS,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        rope_theta=5000.0,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()


def save_chat_model(folder: Path, tokenizer: Path, architecture: str, **changes: Any) -> Path:
    """A model that stops at the end of its turn, as `onnuri export` describes it."""
    model: Any = untrained_model(ROWS, CONTEXT) if architecture == "qwen3" else llama_model()
    save_model(model, str(tokenizer), folder)
    described = json.loads((folder / "tokenizer_config.json").read_text())
    manifest.write_json(folder / "tokenizer_config.json", described | {"eos_token": "<|im_end|>"})
    ids = {"bos_token_id": 0, "eos_token_id": [3, 0], "pad_token_id": 1}
    manifest.write_json(folder / "generation_config.json", ids | changes)
    return folder
