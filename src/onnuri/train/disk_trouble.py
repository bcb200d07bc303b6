"""What happens when the run directory cannot be written any more.

Only rank 0 writes lines of metrics and ledger. If it left alone, the others would fail in their next
collective call, each with a page about a lost connection. So it notes its problem, the next step tells all
ranks, and they end together with the one line that helps.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from onnuri.base.errors import UserError
from onnuri.run.checkpoints import list_checkpoints


class DiskTrouble:
    """`with` it around what one rank writes: an OSError is noted in `problem` and goes no further."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.problem = ""
        """What went wrong first."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, OSError):
            return False
        self.problem = self.problem or self.describe(error)
        return True

    def describe(self, error: OSError) -> str:
        """One line: which path, and what is left of the run."""
        where, what = error.filename or self.run_dir, error.strerror or error
        good = list_checkpoints(self.run_dir)
        return f"{where}: {what}: the run stops; last good checkpoint: {good[0] if good else 'none'}"

    def end_run(self) -> None:
        """Raise the problem, if there is one."""
        if self.problem:
            raise UserError(self.problem)
