"""Options that name files and folders: which they are, and `~` at their beginning.

A shell leaves `~` in quotes, in scripts and in YAML as it is, and a folder called `~` is a trap: `rm -rf ~`
would be next. So `~` is the home directory wherever a path is an option.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from onnuri.base.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from onnuri.config.schema import Option

PATH = "path"
"""Key in the metadata of a field that holds a path, or a list of them."""


def path_option(
    default: str | None = "???",
    default_factory: Callable[[], Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """A dataclass field that holds a path; as Hydra has it, `???` is required."""
    metadata = {PATH: True, **(metadata or {})}
    if default_factory:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def expand_home(option: str, text: str) -> str:
    """A path with `~` or `~USER` at its beginning filled in.

    Raises UserError for a user without a home directory.
    """
    expanded = os.path.expanduser(text)  # noqa: PTH111 - Path would drop a slash at the end
    if expanded.startswith("~"):
        user = text.partition("/")[0]
        raise UserError(
            f"{option}={text}: there is no home directory {user}; for that very name write ./{text}"
        )
    return expanded


def expand_homes(node: DictConfig, options: Iterable[Option]) -> None:
    """Fill in `~` in every path of a composed config, wherever its value came from."""
    from omegaconf import ListConfig, OmegaConf, flag_override

    with flag_override(node, "readonly", False):  # of a frozen dataclass
        for option in options:
            value = OmegaConf.select(node, option.name) if option.is_path else None
            given = list(value) if isinstance(value, ListConfig) else [value or ""]
            expanded = [expand_home(option.name, each).replace("${", r"\${") for each in given]
            if any(each.startswith("~") for each in given):
                new = expanded if isinstance(value, ListConfig) else expanded[0]
                OmegaConf.update(node, option.name, new)
