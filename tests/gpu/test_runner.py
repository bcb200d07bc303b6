"""Stages run in processes with limits, and whatever becomes of one is in the file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from onnuri.errors import UserError
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
    deadline = time.monotonic() + 5
    while running(int(pid_file.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(int(pid_file.read_text()))


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
