"""Korean tasks made by program, each with an exact checker: to train by reward, as examples, to evaluate.

    onnuri tasks list
    onnuri tasks make output=DIR families=[josa,counters] count=1000
    onnuri tasks make output=DIR kind=sft count=500
    onnuri tasks make output=DIR kind=pairs split=test difficulty=2
    onnuri tasks canaries output=DIR/canaries      # secrets to plant, for tasks=[chat/canaries]

onnuri tasks make --help, and so on, lists the options of each. The families: docs/tasks.md
"""

import inspect

from onnuri.chat.programmed.config import CanariesConfig, ListConfig, MakeConfig
from onnuri.config.parts import Parts, run_part


def run_make(config: MakeConfig) -> None:
    """Write."""
    from onnuri.chat.programmed.make import make

    make(config)


def run_canaries(config: CanariesConfig) -> None:
    """Write."""
    from onnuri.chat.programmed.canaries import make

    make(config)


def run_list(config: ListConfig) -> None:
    """Print."""
    from onnuri.chat.programmed.make import listing

    print(listing(config.families, config.difficulty))


PARTS: Parts = {
    "make": (MakeConfig, run_make, "Write tasks, conversations or preference pairs."),
    "canaries": (
        CanariesConfig,
        run_canaries,
        "Write invented secrets, to measure how much training leaks.",
    ),
    "list": (ListConfig, run_list, "The families with an example each."),
}


def main() -> None:
    """The command."""
    run_part("tasks", PARTS, lambda: inspect.cleandoc(__doc__ or ""))


if __name__ == "__main__":
    main()
