"""`run.json`, what a run was started with, and the other names in a run directory."""

from __future__ import annotations

import json
import typing
from collections.abc import Collection
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.config.former_names import rename_stored
from onnuri.run.chain import LEDGER_FILE
from onnuri.run.lock import LOCK_FILE

RUN_FILE = "run.json"
DATA_FOLDER = "data"
"""In a run directory: manifest and tokenizer of the shards it was trained on."""
SIGNATURE_FILE = "model.sig"
"""In a run directory or an exported model: the signature over it."""
HYDRA_FOLDER = ".hydra"
"""In a run directory: the words of its last start, overrides.yaml, and of other starts before it."""
NEEDED_PARTS = ("model", "data", "engine")
"""Of the config in `run.json`: what resuming and exporting read; others may be younger than the run."""
BEGINNINGS = {LOCK_FILE, DATA_FOLDER, LEDGER_FILE, RUN_FILE + ".tmp", HYDRA_FOLDER}
"""All that a run killed in its first instant can leave in its directory; launchers of Hydra that run a job
within their process make `.hydra` before it starts."""


def read_run_file(run_dir: Path) -> dict[str, Any] | None:
    """`run.json` of a run that was started before, None for a fresh directory.

    Options have the names of today, whatever version wrote them.
    Raises UserError if the directory holds something else.
    """
    path = run_dir / RUN_FILE
    if not path.is_file():
        if run_dir.exists() and (not run_dir.is_dir() or {p.name for p in run_dir.iterdir()} - BEGINNINGS):
            raise UserError(f"run_dir={run_dir} exists and is not a run directory; choose another")
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error})") from None
    if not isinstance(stored, dict) or not {"config", "data", "code"} <= stored.keys():
        raise UserError(
            f"run_dir={run_dir} is not a run directory: its {RUN_FILE} is not ours; choose another"
        )
    config = stored["config"]
    if lacking := [part for part in NEEDED_PARTS if not isinstance(config, dict) or not config.get(part)]:
        raise UserError(f"{path} is damaged (its config lacks '{lacking[0]}')")
    return stored | {"config": rename_stored(config)}


def unknown_options(schema: Any, tree: dict[str, Any], prefix: str = "") -> list[str]:
    """Names in a stored config that its dataclass does not have: it is of a later version."""
    types, unknown = typing.get_type_hints(schema), []
    for name, value in tree.items():
        if name not in types:
            unknown.append(prefix + name)
        elif is_dataclass(types[name]) and isinstance(value, dict):
            unknown += unknown_options(types[name], value, f"{prefix}{name}.")
    return unknown


def context_of(run: dict[str, Any]) -> int:
    """Tokens that the model of a `run.json` reads: a window of training, or more where it began with a
    model that reads more."""
    return max(int(run.get("context", 0)), int(run["config"]["data"]["sequence_length"]))


def flatten(tree: dict[str, Any], prefix: str = "", whole: Collection[str] = ()) -> dict[str, Any]:
    """Nested dicts to one dict with dotted names.

    Args:
        whole: dotted names of dicts that are values.
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        name = prefix + key
        inner = isinstance(value, dict) and name not in whole
        leaves |= flatten(value, f"{name}.", whole) if inner else {name: value}
    return leaves


def as_typed(value: Any) -> str:
    """The value of an option, a table as it is written on the command line."""
    if not isinstance(value, dict):
        return str(value)
    return f"{{{','.join(f'{name}:{number}' for name, number in value.items())}}}"
