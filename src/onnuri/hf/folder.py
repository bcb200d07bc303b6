"""The files of a Hugging Face folder. Imports no torch; of safetensors, reads no more than is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
LARGEST_JSON = 64 << 20
"""Bytes. The index of a model with 100,000 weights has about ten million."""


def read_config_file(folder: Path) -> dict[str, Any]:
    """What config.json of a folder holds. Raises UserError where there is none, or it is damaged."""
    if not folder.is_dir():
        raise UserError(f"model={folder} does not exist")
    if not (folder / CONFIG).is_file():
        raise UserError(f"model={folder} has no {CONFIG}: it is no Hugging Face model folder")
    return read_json(folder / CONFIG)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises UserError if the file is damaged, or larger than any that is honest."""
    try:
        size = path.stat().st_size
        if size > LARGEST_JSON:
            raise UserError(f"{path} has {size:,} bytes, more than {LARGEST_JSON:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {str(error)[:200]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model: one, or those that its index names.

    Raises UserError if there are none, and for names that lead out of the folder.
    """
    if (folder / INDEX).is_file():
        table = read_json(folder / INDEX).get("weight_map")
        names = sorted(map(str, set(table.values()))) if isinstance(table, dict) else []
        if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
            raise UserError(
                f"{folder / INDEX} is damaged: weight_map must name safetensors files in its own folder"
            )
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise UserError(f"{folder / missing[0]} is missing, though {INDEX} names it")
        return [folder / name for name in names]
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    pickled = sorted(path.name for end in ("bin", "pt", "pth") for path in folder.glob(f"*.{end}"))
    if pickled:
        raise UserError(
            f"model={folder} has {pickled[0]}, which may run code when it is opened; save it as safetensors"
        )
    raise UserError(f"model={folder} has neither {WEIGHTS} nor {INDEX}")
