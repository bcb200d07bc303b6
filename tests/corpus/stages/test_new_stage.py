"""A new stage is one new file and one line in the table, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnuri.base.location import PACKAGE
from onnuri.corpus.stages.stage import Stage, with_columns
from tests.conftest import REPOSITORY

VOWELS = '''
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base.errors import UserError
from onnuri.corpus.stages.stage import Bars, Stage, counts_of, with_columns


@dataclass
class VowelOptions:
    """How many vowels are too many."""

    most: int = 5

    def __post_init__(self) -> None:
        if self.most < 0:
            raise UserError(f"most={self.most} must be at least 0")


def run(rows: pa.Table, options: VowelOptions) -> pa.Table:
    vowels = pc.count_substring_regex(rows["text"], "[aeiou]").cast(pa.int32())
    reason = pc.if_else(pc.greater(vowels, options.most), "vowels: too many", "")
    return with_columns(rows, vowels=vowels, reason=reason)


def summary(rows: pa.Table, options: VowelOptions) -> dict:
    return {"vowels": counts_of(rows["vowels"])}


STAGE = Stage(
    name="vowels",
    run=run,
    title="vowels <all>",
    options=VowelOptions,
    columns=pa.schema([("vowels", pa.int32())]),
    summary=summary,
    charts=(Bars("vowels", "Vowels of a document"),),
    reasons={"vowels": "full of vowels"},
)
'''


def test_one_file_and_one_line(tmp_path: Path) -> None:
    package = tmp_path / "src" / "onnuri"
    shutil.copytree(PACKAGE.parent, package.parent, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (package / "corpus" / "stages" / "vowels.py").write_text(VOWELS)
    table = package / "corpus" / "stages" / "table.py"
    table.write_text(table.read_text().replace('    "quality",\n', '    "quality",\n    "vowels",\n'))
    (tmp_path / "in.txt").write_text("sky\nqueue\naeiou and a\nbanana\n")
    source = f"{{name: words, input: {tmp_path}/in.txt, format: lines, unverified: true}}"

    def corpus(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "onnuri.cli", "corpus", *words],
            env=os.environ | {"PYTHONPATH": str(package.parent)},
            capture_output=True,
            text=True,
            check=False,
        )

    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"sources: [{source}]\nstages: [dedup, {{vowels: {{most: -1}}}}]\nheldout_share: 0\n")
    output = tmp_path / "out"
    wrong = corpus(f"recipe={recipe}", f"output={output}")
    assert wrong.returncode and "stage vowels: most=-1 must be at least 0" in wrong.stderr
    recipe.write_text(recipe.read_text().replace("most: -1", "most: 3"))
    made = corpus(f"recipe={recipe}", f"output={output}")
    assert made.returncode == 0, made.stderr

    (kept,) = (output / "documents").glob("train-*")
    (rejected,) = (output / "rejected").glob("*")
    texts = {row["text"]: row["vowels"] for row in pq.read_table(kept).to_pylist()}
    assert texts == {"sky": 0, "banana": 3}
    for row in pq.read_table(rejected).to_pylist():
        assert (row["stage"], row["reason"]) == ("vowels", "vowels: too many")
    counts = json.loads((output / "manifest.json").read_text())["counts"]
    assert counts["vowels"] == {"0": 1, "3": 1, "4": 1, "7": 1}
    assert counts["reasons_by_stage"] == {"vowels/vowels": 2}
    assert [stage["stage"] for stage in counts["stages"]] == ["read", "dedup", "vowels"]
    page = (output / "report.html").read_text()
    assert all(text in page for text in ("vowels &lt;all&gt;", "full of vowels", "Vowels of a document"))
    identity = next(row["id"] for row in pq.read_table(kept).to_pylist() if row["text"] == "banana")
    assert "vowels 3" in corpus("explain", f"id={identity}", f"input={output}").stdout


def test_the_stage_of_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "corpus.md").read_text(encoding="utf-8")
    code = page.partition("### Add a stage")[2].partition("```python\n")[2].partition("```")[0]
    namespace = {"__name__": "repeated_lines"}
    exec(compile(code, "docs/corpus.md", "exec", dont_inherit=True), namespace)
    stage: Stage = namespace["STAGE"]
    texts = ["a\nb\na", "a\na\na", ""]
    rows = pa.table({"text": texts, "reason": pa.nulls(3, pa.string())})
    rows = rows.append_column(stage.columns.field(0), pa.nulls(3, pa.float32()))
    done = stage.run(rows, stage.options())
    assert done["reason"].to_pylist() == ["", "repeated lines: 0.667", ""]
    assert done["text"].to_pylist() == texts and done["repeated_lines"].to_pylist()[2] == 0


def test_new_values_take_the_type_of_their_column() -> None:
    rows = pa.table({"text": pa.array(["a", "b"], pa.large_string())})
    for values in (["c", "d"], pa.array(["c", "d"]), pa.chunked_array([["c"], ["d"]])):
        changed = with_columns(rows, text=values)
        assert changed.schema == rows.schema and changed["text"].to_pylist() == ["c", "d"]
    for wrong in (["c"], [{"c": 1}, {"c": 2}]):
        with pytest.raises(ValueError, match="column text: "):
            with_columns(rows, text=wrong)
