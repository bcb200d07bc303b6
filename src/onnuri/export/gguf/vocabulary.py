"""A byte-level BPE tokenizer in the terms of llama.cpp, or the reason why it has none for it.

llama.cpp cuts text with regular expressions of its own, which a file names and cannot bring along. With a
wrong one it still runs, on other ids than those that were trained. So a tokenizer that cuts in a way that
llama.cpp does not know is refused, and so is everything else that llama.cpp would leave out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.export.chat import chat_template
from onnuri.hf.folder import CONFIG, read_json
from onnuri.tokenizer.huggingface import load_tokenizer, tokenizer_config
from onnuri.tokenizer.presplit import LLAMA, PHRASES, WORDS
from onnuri.tokenizer.special import TURN_END

log = logging.getLogger(__name__)

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Types of tokens in GGUF."""
QWEN = LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
NAMES = {
    (QWEN, False): "qwen2",
    (LLAMA, True): "llama-bpe",
    (LLAMA, False): "smaug-bpe",
    (GPT2, False): "gpt-2",
}
"""Regular expression, and whether a word that is a token is taken without merging (`ignore_merges`), to the
name that llama.cpp has for it. Each is tested against llama.cpp."""
OURS = {WORDS: "bpe and morpheme", PHRASES: "superword"}


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says of a tokenizer."""

    pre: str
    """llama.cpp's name for how text is cut."""
    tokens: list[str]
    """By id, as many as the model has rows."""
    types: list[int]
    merges: list[str]
    roles: dict[str, int]
    """bos, eos, eot, padding: their ids, of those that there are."""
    add_bos: bool
    template: str
    """For conversations; "" without one."""


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The tokenizer of a Hugging Face folder.

    Args:
        rows: of the model's embedding. Rows that no token has become tokens that are not used.

    Raises UserError, with the reason, for a tokenizer that llama.cpp would not read the same.
    """
    described, path = read_json(folder / "tokenizer.json"), folder / "tokenizer.json"
    model = described.get("model") or {}
    if reason := _unsupported(described, model):
        raise UserError(f"{path} cannot be written as GGUF: {reason}")
    cut = _regular_expression(described.get("pre_tokenizer"))
    pre = NAMES.get((cut, bool(model.get("ignore_merges"))))
    if pre is None:
        whose = f" (that of Onnuri's {OURS[cut]})" if cut in OURS else ""
        raise UserError(
            f"{path} cannot be written as GGUF: it cuts text in a way that llama.cpp does not know{whose}, "
            "so the model would read other tokens than it was trained on; onnuri tokenizer "
            "pre_tokenizer=llama3 makes one that it knows"
        )
    if (described.get("normalizer") or {}).get("type") == "NFC":
        log.warning("warning: the tokenizer makes text NFC, llama.cpp does not: give it text in NFC")
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.get_vocab()
    if (last := max(ids.values())) >= rows:
        raise UserError(f"{path} has a token with the id {last}, the model has {rows} rows")
    added = tokenizer.get_added_tokens_decoder()
    tokens = [f"<|unused_{number}|>" for number in range(rows)]
    types = [UNUSED] * rows
    for name, number in ids.items():
        tokens[number], types[number] = name, NORMAL
    for number, token in added.items():
        types[number] = CONTROL if token.special else USER_DEFINED
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    roles = _roles(folder, ids)
    before = tokenizer.encode("").ids
    if before not in ([], [roles.get("bos")]):
        raise UserError(f"{path} cannot be written as GGUF: it adds tokens to a text other than its first")
    return Vocabulary(pre, tokens, types, merges, roles, bool(before), chat_template(folder))


def _unsupported(described: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Why a tokenizer.json is none that GGUF can hold, or nothing; how it cuts is not looked at."""
    if model.get("type") != "BPE":
        return f"only byte-level BPE is supported, it is {str(model.get('type'))[:40]}"
    if (described.get("decoder") or {}).get("type") != "ByteLevel" or model.get("byte_fallback"):
        return "only byte-level BPE is supported, its tokens are not bytes"
    normalizer = (described.get("normalizer") or {"type": "NFC"}).get("type")
    if normalizer != "NFC":
        return f"it changes text before it cuts it ({str(normalizer)[:40]})"
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(name):
            return f"llama.cpp has no {name}"
    for token in described.get("added_tokens") or []:
        if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            return (
                f"its token {str(token.get('content'))[:40]} strips spaces or stands for whole words alone"
            )
    return ""


def _regular_expression(pre_tokenizer: Mapping[str, Any] | None) -> str:
    """What a byte-level pre-tokenizer cuts by; "" where that is not one regular expression."""
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return GPT2
        case {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": str(found)},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return found
    return ""


def _roles(folder: Path, ids: Mapping[str, int]) -> dict[str, int]:
    """Ids of special tokens by GGUF's names for what they do."""
    described, roles = tokenizer_config(folder), {}
    for role, key in (("bos", "bos_token"), ("padding", "pad_token")):
        token = described.get(key)
        name = str(token.get("content") if isinstance(token, dict) else token)
        if name in ids:
            roles[role] = ids[name]
    generation = folder / "generation_config.json"
    settings = read_json(generation) if generation.is_file() else {}
    if "eos_token_id" not in settings:
        settings = read_json(folder / CONFIG)
    stops = settings.get("eos_token_id")
    stops = stops if isinstance(stops, list) else [stops]
    if not stops or not all(type(each) is int for each in stops):
        raise UserError(f"model={folder} has no eos_token_id: llama.cpp would never stop")
    roles["eos"] = stops[0]
    if ids.get(TURN_END) in stops:
        roles["eot"] = ids[TURN_END]
    return roles
