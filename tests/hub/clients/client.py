"""Stock clients in processes of their own, which know HF_ENDPOINT and HF_TOKEN and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import REPOSITORY

OLDER = Path(os.environ.get("HUB_CLIENT_1X") or REPOSITORY / "build" / "hub-client-1x")
"""huggingface_hub 1.x with what it needs."""
VERSIONS = {"2.4.0": None, "1.33.0": OLDER}


@dataclass
class Client:
    """A person at a machine with a home directory of its own."""

    url: str
    token: str
    home: Path
    packages: list[Path] = field(default_factory=list)
    """Folders in front of the installed packages."""
    prefix: Sequence[str] = ()
    """Words in front of a command: a network namespace."""
    variables: dict[str, str] = field(default_factory=dict)
    """Further ones."""

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        found = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.token,
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }
        if not self.token:
            del found["HF_TOKEN"]
        if self.packages:
            found["PYTHONPATH"] = os.pathsep.join(map(str, self.packages))
        return found

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints; AssertionError with it where the status is another than 0 (or, without
        `check`, than 1)."""
        result = subprocess.run(
            [*self.prefix, *command],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        printed = result.stdout + result.stderr
        assert result.returncode == (0 if check else 1), printed[-4000:]
        return printed

    def hf(self, *words: str, check: bool = True) -> str:
        """The command `hf`."""
        folder = next((each for each in self.packages if (each / "bin" / "hf").is_file()), None)
        program = folder / "bin" / "hf" if folder else Path(sys.executable).with_name("hf")
        return self.run(sys.executable, str(program), *words, check=check)

    def python(self, program: str, *words: str) -> str:
        """A program, given as its text."""
        file = self.home / "program.py"
        file.write_text(program, encoding="utf-8")
        return self.run(sys.executable, str(file), *words)
