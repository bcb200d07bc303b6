"""A private cluster of PostgreSQL, for the tests of the hub: ONNURI_HUB_DATABASE=postgresql."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WANTED = os.environ.get("ONNURI_HUB_DATABASE") == "postgresql"
_numbers = itertools.count()
_cluster: list[Cluster] = []


class Cluster:
    """Reached over a socket in its own folder. Root's is run as the user postgres."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        found = programs[-1] / "initdb" if programs else shutil.which("initdb")
        assert found, "initdb is missing: apt-get install postgresql"
        self.programs = Path(found).parent
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        self._run(
            "initdb",
            "-D",
            "data",
            "-U",
            "onnuri",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        )
        self._run(
            "pg_ctl", "-D", "data", "-w", "-l", "log", "-o", f"-k {folder} -c listen_addresses=''", "start"
        )

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self.programs / program, *words],
            cwd=self.folder,
            user=self.user if os.getuid() == 0 else None,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def database(self) -> str:
        """Address of a new one, empty."""
        name = f"hub{next(_numbers)}"
        self._run("createdb", "-h", str(self.folder), "-U", "onnuri", name)
        return f"postgresql://onnuri@/{name}?host={self.folder}"

    def stop(self) -> None:
        """End it, whoever is still connected."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")


@contextmanager
def cluster() -> Iterator[None]:
    """One for all tests of a run, where it is wanted."""
    if not WANTED:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="onnuri-pg-") as name:
        _cluster.append(Cluster(Path(name)))
        try:
            yield
        finally:
            _cluster.pop().stop()


def new_database() -> str:
    """For a hub of its own: empty for SQLite."""
    return _cluster[0].database() if WANTED else ""
