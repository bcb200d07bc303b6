"""Read a Hugging Face folder back, from the local disk only. Light to import: torch comes with the load."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.run.locate import find_run

UNLIMITED = 2048
"""Tokens at once where the model knows no limit."""

_LOADING = threading.Lock()
"""transformers changes functions of its own while it loads: where two threads load at once, tied weights
get lost, and so they do in every later load of the process (transformers #41782, #44940)."""

LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""Without trust_remote_code transformers would ask whether to run the folder's code."""


def check_model_folder(folder: Path) -> None:
    """Raise UserError unless `folder` looks like a Hugging Face model."""
    if find_run(str(folder)):
        raise UserError(
            f"model={folder} is a run, not a model: onnuri export checkpoint={folder} output=DIR makes one"
        )
    if folder.is_file():
        raise UserError(f"model={folder} is a file; give its folder")
    if not folder.is_dir():
        raise UserError(f"model={folder} does not exist")
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"model={folder} is an adapter alone: onnuri export checkpoint=RUN_DIR output=DIR without "
            "adapter=true makes a model with the adapter in its weights"
        )
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(
            f"model={folder} has no config.json with safetensors weights; give the folder that onnuri "
            "export wrote, or another Hugging Face folder"
        )


def load_model(folder: str | Path, dtype: str = "auto") -> tuple[Any, Any]:
    """The model of a folder, ready to read text, on a GPU where there is one; and its tokenizer.

    Runs no code that the folder may bring. `dtype` is a torch dtype's name; auto takes the stored one.
    Threads may call it; they take turns. Raises UserError if the folder is no model, is damaged, or lacks a
    weight: transformers would make up its values.
    """
    check_model_folder(Path(folder))
    with _loading(folder):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype=dtype, output_loading_info=True, **LOCAL
        )
    if missing := sorted(found["missing_keys"]):
        raise UserError(f"model={folder} lacks {len(missing)} weight(s), the first is {missing[0]}")
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def load_auto_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a folder as transformers has it. Raises UserError if it cannot be loaded."""
    with _loading(folder):
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, **LOCAL)


@contextmanager
def _loading(folder: str | Path) -> Iterator[None]:
    """One thread at a time; what transformers raises becomes a UserError."""
    with _LOADING, _progress_bar_on_a_terminal():
        try:
            yield
        except Exception as error:  # of every kind, by the part of the folder that is damaged
            reason = " ".join(str(error).split())
            raise UserError(f"model={folder} cannot be loaded: {reason or type(error).__name__}") from error


@contextmanager
def _progress_bar_on_a_terminal() -> Iterator[None]:
    """No progress bar of transformers where standard error is a file; afterwards as the caller had it."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def first_token(tokenizer: Any, folder: str) -> int:
    """The id that a text begins after. Raises UserError for a tokenizer that names none."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError(f"model={folder}: its tokenizer_config.json names no bos_token and no eos_token")


def model_context(config: Any) -> int:
    """Tokens that a model reads at once; UNLIMITED for architectures without a limit (Mamba, ALiBi)."""
    for name in ("max_position_embeddings", "seq_length", "max_seq_len"):
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return UNLIMITED


def adds_first_token(tokenizer: Any, first: int) -> bool:
    """Whether the tokenizer by itself puts the first token before every text: Llama, Gemma."""
    found = tokenizer("a", verbose=False)["input_ids"]
    return bool(found[:1] == [first] and len(found) > 1)


def check_scorable(model: Any, tokenizer: Any, folder: str) -> None:
    """Raise UserError for a model that sees what it is to predict, or lacks rows for its tokenizer."""
    import torch

    if (tokens := len(tokenizer)) > model.config.vocab_size:
        raise UserError(
            f"model={folder}: the tokenizer has {tokens:,} tokens, the model {model.config.vocab_size:,}; "
            "they do not belong together"
        )
    one = torch.arange(8, device=model.device)[None] % model.config.vocab_size
    other = one.clone()
    other[0, -1] = (other[0, -1] + 1) % model.config.vocab_size
    with torch.inference_mode():
        first, second = (model(input_ids=ids).logits[0, :4].float() for ids in (one, other))
    scale = float(first.nan_to_num().abs().max())
    if not torch.allclose(first, second, atol=1e-5 * scale, rtol=0, equal_nan=True):
        raise UserError(
            f"model={folder} sees the tokens that it is to predict: it is no causal language model"
        )
