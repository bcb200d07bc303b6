"""Thousands of broken and hostile files: no crash, no hang, and each has its place in the account."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from onnuri.base import manifest
from onnuri.config import compose
from onnuri.corpus.config import CorpusConfig
from onnuri.corpus.execution.build import build
from tests.corpus import hostile_inputs
from tests.soak import tries

NUM_FILES = tries(1_000, 10_000)


@pytest.mark.timeout(900)
def test_every_broken_file_is_accounted_for(tmp_path: Path) -> None:
    count = hostile_inputs.write(tmp_path / "in", NUM_FILES)
    words = ["recipe=local", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}"]
    words.append("stages=[normalise,describe,filter,pii,dedup]")
    assert build(compose(CorpusConfig, words)).counts["kept"]
    counts = manifest.read(tmp_path / "out", "corpus").counts
    assert counts["read"] == counts["kept"] + counts["rejected"]
    seen = set()
    for path in (tmp_path / "out").glob("*/*.parquet"):
        if path.parent.name != "sketches":
            for row in pq.read_table(path, columns=["origin", "text"]).to_pylist():
                seen.add(row["origin"].split("@")[0].split("#")[0].split("/")[0])
                assert len(row["text"].encode()) <= 4 << 20
    empty = {path.name for path in (tmp_path / "in").iterdir() if not path.stat().st_size}
    names = {path.name for path in (tmp_path / "in").iterdir()}
    assert names - empty <= seen <= names
    assert count > NUM_FILES and len(empty) < NUM_FILES / 10
    assert not [path for path in tmp_path.rglob("*") if path.name in ("passwd.txt", "b.jsonl", "y.txt")]
    assert not Path("/etc/passwd.txt").exists()
    reasons = counts["reasons"]
    assert reasons["unreadable"] > NUM_FILES / 4 and reasons["too long"] >= 2
