"""A consent or withdrawal whose answer has arrived is there after a power cut: in tables and audit."""

from __future__ import annotations

import copy
import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import select

from onnuri.hub.config import HubConfig
from onnuri.hub.consent import tables
from onnuri.hub.hub import Hub
from onnuri.run.daily_chain import lines
from tests.hub.consents import agreement, read_terms
from tests.hub.disks import Disk, build
from tests.hub.hubs import SQLITE_ONLY, Server, people

ROUNDS = 4


class Recorded(Server):
    """A hub whose operations on files are written down."""

    library: Path
    journal: Path

    def launch(self, command: list[str], stream: IO[bytes]) -> Any:
        powered = {"LD_PRELOAD": self.library, "POWER_ROOT": self.data, "POWER_JOURNAL": self.journal}
        environment = os.environ | {name: str(value) for name, value in powered.items()}
        return subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)


@SQLITE_ONLY
@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="needs a C compiler")
def test_consents_survive_a_power_cut(tmp_path: Path) -> None:
    tokens = people(tmp_path / "hub")
    before = Disk(tmp_path / "hub")
    Recorded.library, Recorded.journal = build(tmp_path), tmp_path / "journal"
    hub = Recorded(tmp_path)
    hub.tokens = tokens
    answered: list[tuple[int, str]] = []  # size of the journal when the answer had arrived, and the status
    try:
        api, name = hub.api("kim"), "lab/data"
        api.create_repo(name, repo_type="dataset")
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=name, repo_type="dataset")
        api.update_repo_settings(name, repo_type="dataset", gated="auto")
        for _ in range(ROUNDS):
            body = agreement(read_terms(hub, "park", name))
            for action in ("ask-access", "withdraw-access"):
                with hub.client("park") as client:
                    found = client.post(f"/api/datasets/{name}/{action}", json=body).raise_for_status()
                answered.append((Recorded.journal.stat().st_size, found.json()["status"]))
    finally:
        hub.kill()
    journal = Recorded.journal.read_bytes()
    cuts = [size for size, _ in answered]
    between = [(first + second) // 2 for first, second in itertools.pairwise(cuts)]
    for number, cut in enumerate(sorted({*cuts, *between})):
        disk = copy.deepcopy(before)
        disk.replay(journal[:cut])
        expected = [status for size, status in answered if size <= cut]
        check(disk, tmp_path / f"after-{number}", expected)
    assert [status for _, status in answered] == ["accepted", "withdrawn"] * ROUNDS


def check(disk: Disk, folder: Path, expected: list[str]) -> None:
    """That a hub opens on what is left, with everything that was answered."""
    disk.write(folder)
    recorded = [line for line in lines(folder) if line["event"] in ("consent", "withdrawal")]
    hub = Hub(HubConfig(data=str(folder)))
    try:
        with hub.database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            rows = connection.execute(select(tables.grants).order_by(tables.grants.c.id)).all()
    finally:
        hub.close()
    assert [row.status for row in rows][: len(expected)] == expected
    assert {row.id for row in rows} <= {line["grant"] for line in recorded}
    assert len(recorded) >= len(expected)
    shutil.rmtree(folder)
