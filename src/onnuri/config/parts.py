"""Commands of several parts, each with options of its own: `onnuri ledger verify run=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from onnuri.base.errors import nearest
from onnuri.config.application import print_any_text, run_cli

Parts = Mapping[str, tuple[type, Callable[[Any], int | None], str]]
"""By name: the schema of its options, what runs, and the beginning of its help."""


def run_part(command: str, parts: Parts, about: Callable[[], str]) -> None:
    """Run the part that the first word of the command line names; without one, print `about`."""
    print_any_text()
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if name in parts:
        schema, run, meaning = parts[name]
        run_cli(schema, run, meaning, command=f"{command} {name}")  # which exits
    if name not in ("-h", "--help"):
        print(
            f"error: '{name}' is not known; allowed: {', '.join(parts)}{nearest(name, parts)}",
            file=sys.stderr,
        )
        sys.exit(2)
    print(about())
