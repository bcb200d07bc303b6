"""`onnuri tune` where the checker of a family fails. Run as broken_checker.py OVERRIDE..."""

from __future__ import annotations

from dataclasses import replace

from onnuri.chat.programmed.family import Result, Task
from onnuri.chat.programmed.table import FAMILIES
from onnuri.cli.tune import main


def check(task: Task, answer: str) -> Result:
    """Fail."""
    return Result(1 // 0)


if __name__ == "__main__":
    FAMILIES["josa"] = replace(FAMILIES["josa"], check=check)
    main()
