"""`onnuri tasks`: files, manifest, started again, mistakes in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnuri.base import manifest
from onnuri.chat.programmed.family import Task
from onnuri.chat.programmed.grade import grade
from onnuri.chat.programmed.table import FAMILIES
from tests.conftest import run_command


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_tasks_are_made_once(tmp_path: Path) -> None:
    words = ["make", f"output={tmp_path / 'out'}", "families=[josa,forms]", "count=9", "split=test"]
    first = run_command("tasks", *words)
    assert "9 of each of 2 families in tasks.jsonl" in first.stdout + first.stderr
    found = manifest.read_whole(tmp_path / "out", "tasks")
    assert found.counts == {"josa": 9, "forms": 9} and list(found.files) == ["tasks.jsonl"]
    assert found.settings["split"] == "test"
    written = (tmp_path / "out" / "tasks.jsonl").stat()
    again = run_command("tasks", *words)
    assert "up to date" in again.stdout + again.stderr
    assert (tmp_path / "out" / "tasks.jsonl").stat().st_mtime_ns == written.st_mtime_ns
    made = [Task.from_json(row) for row in rows(tmp_path / "out" / "tasks.jsonl")]
    assert len(made) == 18 and all(grade(task, task.answer).score for task in made)
    run_command(
        "tasks", "make", f"output={tmp_path / 'alone'}", "families=[forms]", "count=9", "split=test"
    )
    lines = (tmp_path / "out" / "tasks.jsonl").read_bytes().splitlines()
    assert (tmp_path / "alone" / "tasks.jsonl").read_bytes().splitlines() == lines[9:]


def test_conversations_and_pairs(tmp_path: Path) -> None:
    for kind in ("tasks", "sft", "pairs"):
        run_command("tasks", "make", f"output={tmp_path / kind}", f"kind={kind}", "count=3")
    tasks = {row["id"]: Task.from_json(row) for row in rows(tmp_path / "tasks" / "tasks.jsonl")}
    assert len(tasks) == 3 * len(FAMILIES)
    talks, pairs = rows(tmp_path / "sft" / "sft.jsonl"), rows(tmp_path / "pairs" / "pairs.jsonl")
    assert [talk["id"] for talk in talks] == [pair["id"] for pair in pairs] == list(tasks)
    for talk, pair in zip(talks, pairs, strict=True):
        task = tasks[talk["id"]]
        assert [message["role"] for message in talk["messages"]] == ["user", "assistant"]
        assert talk["messages"][0]["content"] == pair["prompt"][0]["content"] == task.prompt
        assert talk["messages"][1]["content"] == pair["chosen"][0]["content"] == task.answer
        if task.family == "code":  # may be refused here
            continue
        assert [grade(task, pair[side][0]["content"]).score for side in ("chosen", "rejected")] == [1, 0]
        assert talk["source"] == f"onnuri-tasks/{task.family}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["families=[jsa]"], "families=jsa is not known; allowed: word_sums, "),
        (["kind=dpo"], "kind=dpo is not known; allowed: tasks, sft, pairs"),
        (["split=valid"], "split=valid is not known; allowed: train, test"),
        (["difficulty=4"], "difficulty=4 must be 1, 2, 3, or 0 for all three"),
        (["count=0"], "count=0 must be at least 1"),
        (["families=[hanja]", "difficulty=1", "split=test"], "hanja has no more than 84 tasks"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    done = run_command("tasks", "make", f"output={tmp_path / 'out'}", *words, check=False)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.count("\n") == 1 and message in done.stderr, done.stderr


def test_folders_of_tasks_are_packed_together(sample: Callable[[str], str], tmp_path: Path) -> None:
    """More of one family than of another."""
    counts = {"josa": 9, "forms": 4}
    for name, count in counts.items():
        run_command(
            "tasks", "make", f"families=[{name}]", f"count={count}", f"output={tmp_path / 'in' / name}"
        )
    words = ["kind=tasks", f"tokenizer={sample('tokenizer')}", "heldout_share=0"]
    words += [f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}"]
    run_command("pack", *words)
    found = manifest.read_whole(tmp_path / "out", "tokens")
    assert {row["name"]: row["train_documents"] for row in found.counts["sources"]} == {
        f"onnuri-tasks/{name}": count for name, count in counts.items()
    }
    assert sorted(found.inputs) == ["tasks/forms", "tasks/josa", "tokenizer"]
    again = run_command("pack", *words)
    assert "up to date" in again.stdout + again.stderr
    for copy in ("josa-again", "josa-third"):
        shutil.copytree(tmp_path / "in" / "josa", tmp_path / "in" / copy)
    both = run_command("pack", *words[:-1], f"output={tmp_path / 'both'}")
    assert "9 tasks are in more than one folder" in both.stdout + both.stderr
    assert manifest.read_whole(tmp_path / "both", "tokens").counts["train"]["documents"] == 13
    for copy in ("josa-again", "josa-third"):
        shutil.rmtree(tmp_path / "in" / copy)
    run_command(
        "tasks", "make", "kind=sft", "families=[josa]", "count=2", f"output={tmp_path / 'in' / 'sft'}"
    )
    done = run_command("pack", *words[:-1], f"output={tmp_path / 'other'}", check=False)
    assert f"{tmp_path / 'in' / 'sft'} holds sft, not tasks" in done.stderr
    (tmp_path / "in" / "sft" / "manifest.json").unlink()
    (tmp_path / "in" / "sft").rename(tmp_path / "in" / "half")
    done = run_command("pack", *words[:-1], f"output={tmp_path / 'other'}", check=False)
    assert f"{tmp_path / 'in' / 'half'} has no manifest.json" in done.stderr, "a part was passed over"
    done = run_command("pack", *words[:-1], f"output={tmp_path / 'in' / 'out'}", check=False)
    assert "lies among the folders of input=" in done.stderr


@pytest.mark.parametrize(("count", "held_out"), [(50, 0), (51, 1)])
def test_one_of_many_is_held_out(
    sample: Callable[[str], str], tmp_path: Path, count: int, held_out: int
) -> None:
    run_command("tasks", "make", "families=[josa]", f"count={count}", f"output={tmp_path / 'in'}")
    words = [f"input={tmp_path / 'in'}", f"tokenizer={sample('tokenizer')}", f"output={tmp_path / 'out'}"]
    run_command("pack", "kind=tasks", "heldout_share=1e-9", *words)
    found = manifest.read_whole(tmp_path / "out", "tokens").counts
    assert (found["train"]["documents"], found["heldout"]["documents"]) == (count - held_out, held_out)


def test_the_test_split_is_not_learnt(sample: Callable[[str], str], tmp_path: Path) -> None:
    words = [f"tokenizer={sample('tokenizer')}", f"output={tmp_path / 'out'}"]
    for kind, packed in (("tasks", "tasks"), ("sft", "chat"), ("pairs", "preference")):
        made = tmp_path / "in" / kind
        run_command("tasks", "make", f"kind={kind}", "count=1", "split=test", f"output={made}")
        done = run_command("pack", f"kind={packed}", f"input={made}", *words, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"{made} holds the test split, which grades models" in done.stderr


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    done = run_command("tasks", "make", f"output={tmp_path}", "count=1", check=False)
    assert done.returncode == 2 and "is no tasks folder made by onnuri" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "x"


def test_the_list_and_the_parts() -> None:
    listed = run_command("tasks", "list").stdout
    assert all(f"{name}: {family.about}" in listed for name, family in FAMILIES.items())
    assert listed.count("train and test differ by: ") == len(FAMILIES)
    one = run_command("tasks", "list", "families=[josa]", "difficulty=3").stdout
    assert one.startswith("josa: ") and "괄호마다" in one
    assert "onnuri tasks make output=DIR" in run_command("tasks", "--help").stdout
    assert "kind  <str>  default 'tasks'" in run_command("tasks", "make", "--help").stdout
    wrong = run_command("tasks", "mak", check=False)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: 'mak' is not known; allowed: make, canaries, list (did you mean 'make'?)\n",
    )
