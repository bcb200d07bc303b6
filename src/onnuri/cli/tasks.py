"""Korean tasks made by program, each with an exact checker: to train by reward, as examples, to evaluate.

    onnuri tasks list
    onnuri tasks make output=DIR families=[josa,counters] count=1000
    onnuri tasks make output=DIR kind=sft count=500
    onnuri tasks make output=DIR kind=pairs split=test difficulty=2

onnuri tasks make --help, and so on, lists the options of each. The families: docs/tasks.md
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any

from onnuri.base.errors import nearest
from onnuri.chat.programmed.config import ListConfig, MakeConfig
from onnuri.config import print_any_text, run_cli


def run_make(config: MakeConfig) -> None:
    """Write."""
    from onnuri.chat.programmed.make import make

    make(config)


def run_list(config: ListConfig) -> None:
    """Print."""
    from onnuri.chat.programmed.make import listing

    print(listing(config.families, config.difficulty))


PARTS: dict[str, tuple[type, Callable[[Any], None], str]] = {
    "make": (MakeConfig, run_make, "Write tasks, conversations or preference pairs."),
    "list": (ListConfig, run_list, "The families with an example each."),
}


def main() -> None:
    """The command."""
    print_any_text()
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if name in PARTS:
        schema, run, about = PARTS[name]
        run_cli(schema, run, about, command=f"tasks {name}")
    if name not in ("-h", "--help"):
        allowed = f"allowed: {', '.join(PARTS)}{nearest(name, PARTS)}"
        print(f"error: '{name}' is not known; {allowed}", file=sys.stderr)
        sys.exit(2)
    print(inspect.cleandoc(__doc__ or ""))


if __name__ == "__main__":
    main()
