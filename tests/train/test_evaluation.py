"""Scores of tasks inside the training loop: those of the exported model, on any number of ranks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnuri.evaluate.items import Request
from onnuri.evaluate.requests import plan
from onnuri.run.metrics_file import METRICS_FILE, read_metrics
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.train.evaluation import lay_out
from tests.conftest import TINY_MODEL, pretrain, run_command, torchrun_command

Sample = Callable[[str], str]
FP32 = "engine.precision=fp32"
TASK = """\
title: numbers
data: rows.jsonl
columns: [question, answers, label]
context: "{{question}}"
choices_from: answers
label: label
metric: bits_per_byte
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> str:
    """31 items, which neither two nor three ranks divide; letters, and answers of several tokens."""
    folder = tmp_path_factory.mktemp("task")
    rows = [
        {
            "question": f"연구개발과제 {i}번의 답은 무엇인가? " * (1 + i % 3),
            "answers": ["A", "B", "C"] if i % 2 else [f"제{i}조의 규정", "연구자", f"협약 {i}"],
            "label": i % 3,
        }
        for i in range(31)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (folder / "numbers.yaml").write_text(TASK)
    return str(folder / "numbers.yaml")


def evaluated(run_dir: Path) -> list[dict[str, Any]]:
    return [line for line in read_metrics(run_dir) if "tasks" in line]


@pytest.fixture(scope="module")
def trained(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps without tasks."""
    run_dir = tmp_path_factory.mktemp("runs") / "plain"
    pretrain(1, sample, run_dir, "train.steps=4", FP32)
    return run_dir


@pytest.mark.parametrize(("ranks", "packed"), [(1, True), (2, True), (3, True), (2, False)])
def test_scores_are_those_of_the_exported_model(
    ranks: int, packed: bool, trained: Path, task: str, sample: Sample, tmp_path: Path
) -> None:
    """From the same checkpoint on one, two and three ranks; packed, and a row for each text."""
    run_dir = tmp_path / "run"
    if not packed:
        pretrain(
            2,
            sample,
            run_dir,
            "train.steps=2",
            FP32,
            f"evaluation.tasks=[{task}]",
            "data.document_mask=false",
        )
    else:
        shutil.copytree(trained, run_dir)
        lines = [line for line in read_metrics(run_dir) if "bits_per_byte" not in line]
        (run_dir / METRICS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
        pretrain(ranks, sample, run_dir, "train.steps=4", FP32, f"evaluation.tasks=[{task}]")
    (line,) = evaluated(run_dir)
    model = tmp_path / "model"
    run_command("export", f"checkpoint={run_dir}", f"output={model}", "dtype=float32")
    run_command("evaluate", f"model={model}", f"tasks=[{task}]", f"run={run_dir}")
    result = json.loads((model / "evaluation.json").read_text())
    exported, here = result["tasks"]["numbers"], line["tasks"]["numbers"]
    assert here["protocol"] == exported["protocol"]
    for end in ("value", "low", "high"):
        assert here[end] == pytest.approx(exported["metrics"]["bits_per_byte"][end], abs=1e-5)
    assert result["curve"] == [{"step": line["step"], "tokens": line["tokens"], "tasks": line["tasks"]}]


def test_training_does_not_notice(trained: Path, task: str, sample: Sample, tmp_path: Path) -> None:
    """Losses are the same bits; a subset while training, everything at the end."""
    words = (f"evaluation.tasks=[{task}]", "evaluation.every=2", "evaluation.max_items=10")
    pretrain(1, sample, tmp_path / "run", "train.steps=4", FP32, *words)
    losses = [
        [line["loss"] for line in read_metrics(run) if "loss" in line]
        for run in (trained, tmp_path / "run")
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    lines = evaluated(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4]
    assert [line["tasks"]["numbers"]["items"] for line in lines] == [10, 10]
    assert lines[1]["tasks_in_full"]["numbers"]["items"] == 31
    assert "tasks_in_full" not in lines[0]
    assert lines[0]["tasks"]["numbers"]["protocol"] == lines[1]["tasks"]["numbers"]["protocol"]


def test_killed_while_it_evaluates(task: str, sample: Sample, tmp_path: Path) -> None:
    """The checkpoint of the step is there, its scores are not: the next start measures them, once."""
    run_dir = tmp_path / "run"
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, FP32, "train.steps=4"]
    words += [
        "train.checkpoint_every=2",
        f"evaluation.tasks=[{task}]",
        "evaluation.every=2",
        "engine.compile=off",
    ]
    (tmp_path / "stalled.py").write_text(
        "import runpy, time\n"
        "import onnuri.train.evaluation\n"
        "onnuri.train.evaluation._batch = lambda *_: time.sleep(600)\n"
        "runpy.run_module('onnuri.cli.pretrain', run_name='__main__')\n"
    )
    command = torchrun_command(1, tmp_path / "stalled.py", *words)
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 120
        while not list(run_dir.glob("checkpoints/*2/manifest.json")):
            assert time.monotonic() < limit and process.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert evaluated(run_dir) == []
    pretrain(1, sample, run_dir, *words[2 + len(TINY_MODEL) :])
    assert [line["step"] for line in evaluated(run_dir)] == [2, 4]


def test_layout_holds_each_text_once() -> None:
    def encode(texts: list[str]) -> list[list[int]]:
        return [[2 + ord(char) % 50 for char in text] for text in texts]

    requests = [Request("q" * n, answer) for n in (0, 3, 9) for answer in ("a", "b", "long answer")]
    found = plan(requests, encode, 0, 32)
    for together in (True, False):
        tokens, targets, texts = lay_out(found, 32, 1, together)
        assert tokens.shape == targets.shape == texts.shape
        total = sum(map(len, found.last))
        for number in range(total):
            (row,) = np.unique(np.nonzero(texts == number)[0])
            assert np.ptp(np.nonzero(texts[row] == number)[0]) == (texts == number).sum() - 1
        assert (targets != IGNORE_INDEX).sum() == sum(
            (len(row.tokens) - row.first_scored) * len(last)
            for row, last in zip(found.rows, found.last, strict=True)
        )
        assert len(tokens) == (3 if together else total)
