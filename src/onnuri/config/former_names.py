"""Options that had another name in an earlier version: old runs, presets and commands keep working."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from onnuri.base.errors import UserError
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
UNNAMED: dict[str, dict[str, Any]] = {
    "optim.": {
        "embedding_lr_ratio": 1.0,
        "output_lr_ratio": 1.0,
        "norm_lr_ratio": 1.0,
        "normuon": False,
        "per_head": False,
        "update_scale": "rms",
    },
    "grpo.": {"share_prompts": False},
}
"""Options by part: how runs trained that are older than them, where the default of today is another."""
FORMER_LEAF = {name.rpartition(".")[2]: name for name in FORMER}
"""No option of today has one of these names in any part."""
REFERENCE = re.compile(rf"(\$\{{(?:\w+\.|\.)*)({'|'.join(FORMER_LEAF)})(?=\}})")
"""Of an interpolation: `${model.head_size}`, `${.head_size}`."""


def rename_stored(tree: Any, prefix: str = "") -> Any:
    """Nested dicts of a stored config, or of the part `prefix` of one, with the names of today.

    What it does not name has the value it had then.
    """
    if not isinstance(tree, dict):
        return tree
    return UNNAMED.get(prefix, {}) | {
        _leaf(FORMER.get(f"{prefix}{name}", str(name))): rename_stored(value, f"{prefix}{name}.")
        for name, value in tree.items()
    }


def rename_preset(tree: Any, file: str) -> Any:
    """What a file of presets holds, with the names of today; former ones are reported.

    A file does not know into which part of the config it is put (`own@model=a`), so the last part of a name
    decides. Raises UserError if both names of an option are there.
    """
    if isinstance(tree, list):
        return [rename_preset(value, file) for value in tree]
    if isinstance(tree, str):
        return rename_references(tree)
    if not isinstance(tree, dict):
        return tree
    renamed = {}
    for name, value in tree.items():
        former = FORMER_LEAF.get(name)
        if former:
            if _leaf(FORMER[former]) in tree:
                raise UserError(
                    f"{file}: {name} is the old name of {_leaf(FORMER[former])}; write one of them"
                )
            report(former, f"{file}: ")
        key = str(name) if type(name) is int else name  # of a table such as {0: 8}: its keys are texts
        renamed[_leaf(FORMER[former]) if former else key] = rename_preset(value, file)
    return renamed


def rename_references(text: str) -> str:
    """Interpolations of former names, with the names of today."""
    return REFERENCE.sub(lambda found: found[1] + _leaf(FORMER[FORMER_LEAF[found[2]]]), text)


def rename_table(key: str, table: str) -> str:
    """The keys of a table on the command line, `model={head_size:32}`, with the names of today."""
    for former, now in FORMER.items():
        part, _, leaf = former.rpartition(".")
        found = re.compile(rf"(?<=[{{,])(\s*){leaf}(?=\s*:)")
        if part == key and found.search(table):
            report(former)
            table = found.sub(rf"\g<1>{_leaf(now)}", table)
    return table


def refuse_both(keys: Iterable[str]) -> None:
    """Raise UserError if an option is given by its former name and by that of today."""
    keys = set(keys)
    for former, now in FORMER.items():
        if former in keys and now in keys:
            raise UserError(f"{former} is the old name of {now}; give one of them")


@cache
def report(name: str, where: str = "") -> None:
    """Log once that an option has another name now."""
    if own_rank() == 0:
        log.warning("%s%s is now %s; the old name works until version 0.3", where, name, FORMER[name])


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
