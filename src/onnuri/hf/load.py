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
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=dtype
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer
