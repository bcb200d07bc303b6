"""From `key=value` words on the command line to a typed dataclass, through Hydra.

The dataclass is the single source of names, types, defaults and help: the string below each field is
its meaning, and `--help` prints it without composing anything. Commands with config groups (`configs/`)
name a folder; the others are composed from the dataclass alone, so `model=DIR` stays a plain value.
"""

from onnuri.config.application import CONFIG_ROOT, compose, print_any_text, run_cli, to_dict
from onnuri.config.schema import Option, help_text, options

__all__ = [
    "CONFIG_ROOT",
    "Option",
    "compose",
    "help_text",
    "options",
    "print_any_text",
    "run_cli",
    "to_dict",
]
