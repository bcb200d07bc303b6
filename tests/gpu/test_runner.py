"""Stages run in processes with limits, and whatever becomes of one is in the file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.gpu.check import check
from onnuri.gpu.config import GpuCheckConfig
from onnuri.gpu.results import read
from onnuri.gpu.runner import ResultsFile, run_stages
from onnuri.gpu.stage import Result, Stage
from onnuri.gpu.stages import STAGES, selected
from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages' processes find the fake stages."""
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY}")


def fake(function: str, seconds: float = 60, beside: str = "", **options: Any) -> Stage:
    run = f"tests.gpu.fake_stages:{function}"
    return Stage(function, "fake", run, seconds, options=options, beside=beside)


def run(folder: Path, *stages: Stage, budget: float = 120) -> list[Result]:
    """What the file has in the end."""
    path, log = folder / "results.jsonl", folder / "results.log"
    given = {"device": "cpu", "rehearse": True, "cases": 1, "data": ""}
    run_stages(stages, ResultsFile(path), log, budget, given)
    return [json.loads(line) for line in path.read_text().splitlines()]


def running(pid: int) -> bool:
    """Zombies, which nobody waits for in a container, are not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_results_come_with_the_name_of_their_stage(tmp_path: Path) -> None:
    *results, end = run(tmp_path, fake("good", value=5))
    assert results == [
        {"stage": "good", "value": 5, "device": "cpu"},
        {"stage": "good", "value": 6},
    ]
    assert end["event"] == "done"


def test_a_stage_is_killed_at_its_limit_with_its_children_and_keeps_its_results(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    found = run(tmp_path, fake("endless", 8, pid_file=str(pid_file)), fake("good"))
    assert found[0] == {"stage": "endless", "value": 1}
    assert found[1] == {"stage": "endless", "event": "cut", "seconds": 8}
    assert [each["stage"] for each in found[2:]] == ["good"] * 3
    assert time.monotonic() - started < 60
    deadline = time.monotonic() + 30
    while running(int(pid_file.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(int(pid_file.read_text()))


COMMAND = """
from pathlib import Path
from onnuri.config import run_cli
from onnuri.gpu.config import GpuCheckConfig
from onnuri.gpu.runner import ResultsFile, run_stages
from onnuri.gpu.stage import Stage

def main(config):
    output, options = Path(config.output), {"pid_file": config.data}
    stage = Stage("trains", "fake", "tests.gpu.fake_stages:trains", 60, options=options)
    given = {"device": "cpu", "rehearse": True, "cases": 1, "data": ""}
    run_stages([stage], ResultsFile(output), output.with_suffix(".log"), 60, given)

run_cli(GpuCheckConfig, main, "")
"""


def test_nothing_is_left_of_a_command_that_was_ended(tmp_path: Path) -> None:
    """By Ctrl-C, by SIGTERM, and by kill -9, all three at the same time."""
    commands = {}
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        words = [f"output={tmp_path / end.name}.jsonl", f"data={tmp_path / end.name}"]
        commands[end] = subprocess.Popen([sys.executable, "-c", COMMAND, *words], stderr=subprocess.PIPE)
    for end, process in commands.items():
        pids: list[int] = []
        deadline = time.monotonic() + 60
        while len(pids) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
            pids = (
                [int(w) for w in (tmp_path / end.name).read_text().split()]
                if (tmp_path / end.name).exists()
                else []
            )
        assert len(pids) == 2 and all(map(running, pids))
        process.send_signal(end)
        said = process.communicate(timeout=30)[1].decode()
        deadline = time.monotonic() + 30
        while any(map(running, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(running, pids)), end.name
        assert "Traceback" not in said
        statuses = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
        assert process.returncode == statuses[end]
        if end != signal.SIGKILL:
            last = json.loads((tmp_path / f"{end.name}.jsonl").read_text().splitlines()[-1])
            assert last["stage"] == "trains" and last["event"] == "stopped"


def test_a_stage_is_over_when_its_process_is(tmp_path: Path) -> None:
    found = run(tmp_path, fake("leaves_a_child", 60))
    assert [each.get("value") for each in found] == [1, 2, None]
    assert found[-1]["event"] == "done" and found[-1]["seconds"] < 30


def test_after_a_crash_the_next_stage_goes_on(tmp_path: Path) -> None:
    found = run(tmp_path, fake("raises"), fake("dies"), fake("good"))
    assert found[:4] == [
        {"stage": "raises", "value": 1},
        {"stage": "raises", "event": "crash", "error": "ValueError: the first line and the second"},
        {"stage": "dies", "value": 1},
        {"stage": "dies", "event": "crash", "error": "signal 9: the last thing it said"},
    ]
    assert found[-1]["event"] == "done"
    assert "Traceback" in (tmp_path / "results.log").read_text()


CALL = {
    "event": "call",
    "format": 1,
    "call": "A",
    "rehearsal": False,
    "time": "2000-01-01T00:00:00Z",
    "code": {"commit": "", "modified": ""},
}


def test_a_file_with_a_line_cut_by_kill_is_added_to_and_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text(json.dumps(CALL) + '\n{"stage": "loss", "ms": 1')
    again = ResultsFile(path)
    again.add(CALL)
    again.add({"stage": "loss", "event": "done", "seconds": 1})
    assert [len(call.results) for call in read([path])] == [0, 1]
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert len(read([path])) == 2
    path.write_text(json.dumps(CALL) + '\n{"stage": \n' + json.dumps({"stage": "loss"}) + "\n")
    with pytest.raises(UserError, match="line 2 is no JSON"):
        read([path])


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the first stage it is one."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.version.cuda", "0")
    monkeypatch.setattr("onnuri.gpu.check.device_name", lambda: "some GPU")


@pytest.mark.usefixtures("a_gpu")
def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    def refused(match: str, **options: Any) -> None:
        with pytest.raises(UserError, match=match):
            check(GpuCheckConfig(**{"output": str(tmp_path / "new.jsonl"), **options}))
        assert not (tmp_path / "new.jsonl").exists()

    refused("did you mean 'sweep'", stages=["swep"])
    refused("stages: sweep not in call=A; leave call out", stages=["loss", "sweep"], call="A")
    refused("data=/nope: .* does not exist", data="/nope")
    refused("is no file", output=str(tmp_path))
    refused("cannot write output=/proc/no/gpu.jsonl", output="/proc/no/gpu.jsonl")
    refused("use .jsonl", output="gpu.log")
    refused("allowed: A, B", call="C")
    there = tmp_path / "there.jsonl"
    for changed, match in (
        ({"rehearsal": True}, "holds results of a rehearsal"),
        ({"format": 0}, "line 1: format 0"),
        ({}, "holds results of another GPU"),
    ):
        device = {"stage": "environment", "device": "another GPU", "capability": 1, "versions": {}}
        text = json.dumps({**CALL, **changed}) + "\n" + json.dumps(device) + "\n"
        there.write_text(text)
        refused(match, output=str(there))
        assert there.read_text() == text


def test_what_no_longer_fits_the_budget_is_named(tmp_path: Path) -> None:
    found = run(tmp_path, fake("good", 300), fake("times", 60), budget=100)
    assert found[0]["event"] == "skipped"
    assert found[0]["why"].endswith("s of the budget left, needs 150")
    assert found[-1]["stage"] == "times" and found[-1]["event"] == "done"


def test_the_budget_cuts_a_stage_that_has_more_time_of_its_own(tmp_path: Path) -> None:
    found = run(tmp_path, fake("endless", 12, pid_file=str(tmp_path / "pid")), budget=8)
    assert found[-1]["event"] == "cut"
    assert found[-1]["seconds"] <= 8


def test_only_the_named_neighbour_runs_at_the_same_time(tmp_path: Path) -> None:
    def overlap(beside: str) -> bool:
        folder = tmp_path / (beside or "none")
        folder.mkdir()
        first, second = fake("times", beside=beside, seconds=60), fake("times", seconds=60)
        found = [each for each in run(folder, first, second) if "started" in each]
        (a, b), (c, d) = sorted((each["started"], each["ended"]) for each in found)
        assert a < b and c < d
        return c < b

    assert overlap("times")
    assert not overlap("another")


def test_every_stage_is_a_function_that_exists() -> None:
    import importlib

    for stage in STAGES:
        module, _, function = stage.run.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), stage.name


def test_stages_are_chosen_by_call_name_and_kind() -> None:
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names)
    assert [stage.name for stage in selected([], "")] == names
    assert {stage.call for stage in selected([], "B")} == {"B"}
    assert [stage.name for stage in selected(["peer-plain-1b", "loss"], "A")] == ["loss", "peer-plain-1b"]
    assert {stage.kind for stage in selected(["training"], "")} == {"training"}
    with pytest.raises(UserError, match="did you mean 'attention'"):
        selected(["atention"], "")
