"""Read a Hugging Face folder back, from the local disk only. Light to import: torch comes with the load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.run.locate import find_run


def check_model_folder(folder: Path) -> None:
    """Raise UserError unless `folder` looks like a Hugging Face model."""
    if find_run(str(folder)):
        raise UserError(
            f"model={folder} is a run, not a model: onnuri export checkpoint={folder} output=DIR makes one"
        )
    if not folder.is_dir():
        raise UserError(f"model={folder} does not exist")
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(
            f"model={folder} has no config.json with safetensors weights; see scripts/export.py"
        )


def load_model(folder: str, dtype: str = "auto") -> tuple[Any, Any]:
    """The model of a folder, ready to read text, on a GPU where there is one; and its tokenizer.

    Runs no code that the folder may bring. `dtype` is a torch dtype's name; auto takes the stored one.
    Raises UserError if the folder is damaged, or lacks a weight: transformers would make up its values.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    except Exception as error:  # of every kind, by the part of the folder that is damaged
        reason = " ".join(str(error).split())
        raise UserError(f"model={folder} cannot be loaded: {reason or type(error).__name__}") from error
    if missing := sorted(found["missing_keys"]):
        raise UserError(f"model={folder} lacks {len(missing)} weight(s), the first is {missing[0]}")
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def first_token(tokenizer: Any, folder: str) -> int:
    """The id that a text begins after. Raises UserError for a tokenizer that names none."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError(f"model={folder}: its tokenizer_config.json names no bos_token and no eos_token")
