"""What a run says of files it did not read, of sources that gave nothing, and of a full disk."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onnuri.base import manifest
from onnuri.cli import corpus
from onnuri.config import compose
from onnuri.corpus.config import CorpusConfig
from onnuri.corpus.execution import units
from onnuri.corpus.reading.raw_text import merged
from onnuri.corpus.reading.readers import read
from onnuri.corpus.source import Source
from tests.conftest import SCRIPTS

TEXT = "강가의 마을에서는 봄마다 사람들이 모여 나무를 심고 음식을 나누어 먹는다."


def make(*words: str) -> int:
    return corpus.run(compose(CorpusConfig, [*words, "stages=[]"]))


def lines(path: Path, *texts: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))


def test_files_passed_over_are_on_console_report_and_manifest(
    tmp_path: Path, terminal: pytest.CaptureFixture[str]
) -> None:
    lines(tmp_path / "in" / "a.jsonl", TEXT)
    (tmp_path / "in" / "data.q7z").write_bytes(b"\0\1\2\3" * 9)
    (tmp_path / "in" / ".b.jsonl").write_text("{}")
    words = ("recipe=local", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}")
    expected = (
        "local: passed over 2 of 3 files: "
        "1 hidden: .b.jsonl; 1 neither text nor of a known format: data.q7z\n"
    )
    for _ in range(2):  # the second time it is up to date
        assert make(*words) == 0
        assert expected in terminal.readouterr().out
    counts = manifest.read(tmp_path / "out", "corpus").counts
    assert counts["files"]["local"]["found"] == 3 and counts["files"]["local"]["read"] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data.q7z" in page and ".b.jsonl" in page


def test_sources_of_which_nothing_was_kept_come_first(
    tmp_path: Path, terminal: pytest.CaptureFixture[str]
) -> None:
    lines(tmp_path / "good.jsonl", TEXT)
    lines(tmp_path / "bad.jsonl", "", 5, "")
    (tmp_path / "bare.jsonl").write_text("\n\n")
    entries = [
        f"  - {{name: {name}, input: {tmp_path}/{name}.jsonl, unverified: true}}"
        for name in ("good", "bad", "bare")
    ]
    (tmp_path / "own.yaml").write_text("sources:\n" + "\n".join(entries))
    assert make(f"recipe={tmp_path}/own.yaml", f"output={tmp_path / 'out'}") == 0
    counts = manifest.read(tmp_path / "out", "corpus").counts
    assert list(counts["sources"]) == ["good"]
    assert counts["empty_sources"] == {
        "bad": {"read": 3, "reasons": {"empty": 2, "unreadable": 1}},
        "bare": {"read": 1, "reasons": {"unreadable": 1}},
    }
    assert "bad: nothing kept; documents read: 3, empty 2, unreadable 1\n" in terminal.readouterr().out
    table = (tmp_path / "out" / "report.html").read_text().partition("Sources, licences")[2]
    assert table.index("<td>bad</td>") < table.index("<td>bare</td>") < table.index("<td>good</td>")


def test_a_run_that_keeps_nothing_says_so_and_fails(
    tmp_path: Path, terminal: pytest.CaptureFixture[str]
) -> None:
    lines(tmp_path / "in.jsonl", "", 5)
    output = tmp_path / "out"
    for _ in range(2):
        assert make("recipe=local", f"input={tmp_path / 'in.jsonl'}", f"output={output}") == 1
        assert terminal.readouterr().err == (
            f"nothing was kept: {output}/report.html says why, {output}/rejected/ holds each document "
            "with its reason\n"
        )
    (tmp_path / "empty.json").write_text("[]")
    assert make("recipe=local", f"input={tmp_path / 'empty.json'}", f"output={tmp_path / 'none'}") == 1
    assert terminal.readouterr().err == "nothing was kept: there is no document in what was read\n"


def test_small_files_share_batches(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number in range(300):
        (tmp_path / f"{number:03d}.txt").write_text(f"{TEXT} {number}")
    source = Source(name="a", input=str(tmp_path), unverified=True)
    pieces, _ = units.pieces_of(0, source)
    batches = list(read(pieces, source, 1 << 20))
    assert len(batches) == 1
    assert batches[0]["origin"].to_pylist() == [f"{number:03d}.txt" for number in range(300)]
    for number in range(0, 300, 2):
        (tmp_path / f"{number:03d}.txt").unlink()
        pq.write_table(pa.table({"text": [f"{TEXT} {number}"]}), tmp_path / f"{number:03d}.parquet")
    pieces, _ = units.pieces_of(0, source)
    (batch,) = merged(read(pieces, source, 1 << 20))
    assert batch["text"].to_pylist() == [f"{TEXT} {number}" for number in range(300)], "in their order"


def test_an_unreadable_small_file_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"{TEXT} {number}")
    (tmp_path / "3.txt").write_bytes(bytes(range(256)))
    (tmp_path / "4.json").write_text("{broken")
    source = Source(name="a", input=str(tmp_path), unverified=True)
    (batch,) = read(units.pieces_of(0, source)[0], source, 1 << 20)
    problems = dict(zip(batch["origin"].to_pylist(), batch["problem"].to_pylist(), strict=True))
    assert {name for name, problem in problems.items() if problem} == {"3.txt", "4.json"}
    assert len(problems) == 7


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing fails in the workers as it does there."""
    texts = ["가 " + hashlib.shake_256(str(n).encode()).hexdigest(20_000) for n in range(60)]
    lines(tmp_path / "in.jsonl", *texts)
    words = ["recipe=local", f"input={tmp_path / 'in.jsonl'}", f"output={tmp_path / 'out'}"]
    result = subprocess.run(
        [sys.executable, str(SCRIPTS / "corpus.py"), *words, "stages=[]"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert result.returncode == 2, result.stderr
    assert result.stdout == "" and result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ") and "free some space" in result.stderr


def test_the_working_directory_is_no_part_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: pytest.CaptureFixture[str]
) -> None:
    lines(tmp_path / "in.jsonl", TEXT)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert make("recipe=local", f"input={tmp_path / 'in.jsonl'}", f"output={tmp_path / 'out'}") == 0
    assert "is up to date" in terminal.readouterr().out
