"""Options that had another name in an earlier version: old runs, presets and commands keep working."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from onnuri.base.process import own_rank

log = logging.getLogger(__name__)
FORMER = {
    "model.head_size": "model.head_dim",
    "model.ffn_size": "model.intermediate_size",
    "model.norm_eps": "model.rms_norm_eps",
    "engine.recompute_every": "engine.activation_checkpointing",
}
"""Name up to version 0.1 to the name now. Version 0.3 forgets them on the command line and in presets;
stored runs are always read."""


def rename(tree: Any, prefix: str = "", file: str | None = None) -> Any:
    """Nested dicts with the names of today.

    Args:
        tree: options that a run has stored, or those of a preset; other values come back as they are.
        prefix: where it belongs, as `model.`; "" for a whole config.
        file: of a preset, whose former names are reported. None: nothing is.
    """
    if not isinstance(tree, dict):
        return tree
    renamed = {}
    for name, value in tree.items():
        now = FORMER.get(f"{prefix}{name}")
        if now and file:
            report(f"{prefix}{name}", f"{file}: ")
        renamed[now.rpartition(".")[2] if now else name] = rename(value, f"{prefix}{name}.", file)
    return renamed


@cache
def report(name: str, where: str = "") -> None:
    """Log once that an option has another name now."""
    if own_rank() == 0:
        log.warning("%s%s is now %s; the old name works until version 0.3", where, name, FORMER[name])
