"""From a results file to tables, tiles, choices and the planner's numbers.

recorded.jsonl was made by hand and says so: no figure in it was measured.
"""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT
from onnuri.gpu import bars, report, update
from onnuri.gpu.check import failed
from onnuri.gpu.planned import cluster_of, plan
from onnuri.gpu.results import Call, find, newest, of_one_version, read, split
from onnuri.kernels import choice
from onnuri.kernels.triton.tiles import TABLE
from tests.conftest import REPOSITORY

RECORDED = Path(__file__).with_name("recorded.jsonl")
COPIED = ["docs/gpu.md", update.TILES, update.MEASURED, update.MEMORY, update.SPEED, update.CLUSTERS]


@pytest.fixture
def calls() -> list[Call]:
    return read([RECORDED])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copies of all that a report may write."""
    for name in COPIED:
        source, target = REPOSITORY / name, tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    return tmp_path / "checkout"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def gpu_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command, in this process: what it imports is here already."""
    script = str(REPOSITORY / "benchmarks/gpu_report.py")

    def run(*words: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(script, run_name="__main__")
        return Done(int(end.value.code or 0), *capsys.readouterr())

    return run


def verdicts(calls: list[Call]) -> dict[str, tuple[str, str]]:
    return {row.goal: (row.measured, row.verdict) for row in bars.rows(calls)}


def test_every_goal_stands_in_the_docs_with_its_bar() -> None:
    text = (REPOSITORY / "docs" / "gpu.md").read_text(encoding="utf-8")
    for row in bars.rows([]):
        assert f"| {row.goal} | {row.bar} | " in text


def test_without_results_nothing_is_measured() -> None:
    rows = bars.rows([])
    assert len(rows) == 17
    assert {row.verdict for row in rows} == {row.measured for row in rows} == {"not measured"}


def test_goals_of_the_recorded_file(calls: list[Call]) -> None:
    found = verdicts(calls)
    assert found["kernels correct in bfloat16"] == ("5.00e-03 in attention, 100 cases", "met")
    text, verdict = found["kernels correct in float32"]
    assert verdict == "missed" and "1 of 2 slices over, by 2.0 % at most" in text
    to_flash = "2k to 16k, to FlashAttention 2's"
    assert found[f"attention forward, head size 64, {to_flash}"][1] == "met"
    assert found[f"attention forward, head size 128, {to_flash}"] == (
        "2k 0.94x, 4k 0.94x, 8k 0.94x, 16k 0.94x",
        "missed",
    )
    assert found[f"attention backward, head size 128, {to_flash}"][1] == "met"
    assert found["attention forward on 16 packed documents in 16k, to varlen's"] == (
        "head size 64 1.33x, head size 128 1.33x",
        "met",
    )
    assert found["loss at vocabulary 131,072, to the rate of its matrix products"] == ("0.90x", "met")
    assert found["MFU of 300m at 2k"] == ("43.0 %", "met")
    assert found["MFU of 1b at 4k"] == ("44.0 %", "missed")
    loop = "to the plain compiled Hugging Face loop in the same call"
    assert found[f"training 300m, {loop}"] == ("1.22x", "met")
    assert found[f"training 1b, {loop}"] == ("1.10x", "missed")
    assert found["ZeRO stage 3 on one GPU, to stage 1"] == ("300m 0.969x", "met")
    assert found["killed and resumed with attention=triton"][1] == "met"
    assert found["killed and resumed with attention=varlen"][1] == "missed"


def test_memory_is_held_against_what_the_planner_says_today(calls: list[Call]) -> None:
    runs = {name: calls[0].stage(f"train-{name}", "words") for name in ("300m", "1b", "300m-stage3")}
    text, verdict = verdicts(calls)["memory of a run, to the plan"]
    for name, run in runs.items():
        planned = plan(run["words"], "h100").memory_gib
        assert f"{name} {100 * (run['smi_peak_gib'] / planned - 1):+.1f} %" in text
        run["smi_peak_gib"] = 1.04 * planned
    assert verdict == "missed"
    assert verdicts(calls)["memory of a run, to the plan"][1] == "met"


def test_a_shape_that_is_missing_is_no_goal_met(calls: list[Call]) -> None:
    for result in calls[0].find(head_dim=64, length=16384, documents=0):
        calls[0].results.remove(result)
    found = verdicts(calls)["attention forward, head size 64, 2k to 16k, to FlashAttention 2's"]
    assert found == ("2k 1.20x, 4k 1.20x, 8k 1.20x", "incomplete")


def test_a_peer_of_another_call_does_not_count(calls: list[Call]) -> None:
    for result in calls[0].find(measured="peer"):
        calls[0].results.remove(result)
        calls[1].results.append(result)
    loop = "to the plain compiled Hugging Face loop in the same call"
    assert verdicts(calls)[f"training 1b, {loop}"][1] == "not measured"


def test_kernels_that_fail_to_run_are_said_to(calls: list[Call]) -> None:
    broken = {"worst": None, "over": True, "where": "Err: x"}
    calls[0].results.append({**calls[0].find(check="numbers")[0], **broken})
    assert verdicts(calls)["kernels correct in bfloat16"] == ("attention fails: Err: x", "missed")


def test_wrong_results_and_crashes_fail_the_check(calls: list[Call]) -> None:
    bad = [result for call in calls for result in call.results if failed(result)]
    assert [result["stage"] for result in bad] == ["numbers", "resume", "train-300m-varlen"]


def test_all_tables_and_incidents_are_in_the_block(calls: list[Call]) -> None:
    text = report.block(calls)
    assert text.count("| invented H100, 16 cores |") == 2
    assert "| 64 | 16,384 in 16 documents | 280 / 140 |" in text
    assert "| 131,072 | triton, chunk as chosen | 40.00 | 630 |" in text
    assert "| rms_norm 16384 x 2048 | torch compiled | 0.120 | 0.210 |" in text
    assert "| 300m-stage3 | 155,000 |" in text and "| Hugging Face, plain-1b | 54,613 |" in text
    assert "| forward | 64 | (128, 128, 8, 2) 1.000, (128, 64, 8, 3) 1.100 |" in text
    for line in (
        "- train-300m-varlen: RuntimeError: invented",
        "- train-1b-stage3, at 60.0 s",
        "- train-300m-stage0: 3 s of the budget left, needs 25",
        "- attention flash: no flash-attn for this GPU is installed",
    ):
        assert line in text


def test_the_command_writes_the_docs_and_the_updates_of_a_checkout(
    checkout: Path, gpu_report: Callable[..., Done]
) -> None:
    done = gpu_report(RECORDED, "--update", "--root", checkout)
    assert done.returncode == 0, done.stderr
    docs = (checkout / "docs" / "gpu.md").read_text(encoding="utf-8")
    before = (REPOSITORY / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert docs.split(report.BEGIN)[0] == before.split(report.BEGIN)[0]
    assert docs.split(report.END)[1] == before.split(report.END)[1]
    assert "| MFU of 300m at 2k | at least 42 % | 43.0 % | met |" in docs
    for name in ("tiles.json", "measured.json", "h100.yaml", "memory.py", "speed.py"):
        assert f"{name}: " in done.stdout
    assert "kernel_budgets.py" in done.stdout
    assert update.update(read([RECORDED]), checkout) == []


def test_tiles_are_the_fastest_without_spills(calls: list[Call], checkout: Path) -> None:
    path = checkout / update.TILES
    before = json.loads(path.read_text())
    assert update.update_tiles(calls, path)
    after = json.loads(path.read_text())
    entry = after["half"]["90"]
    assert entry["64"]["forward"] == entry["128"]["forward"] == [128, 128, 8, 2]  # not the one that spills
    assert entry["64"]["query_gradient"] == [128, 64, 8, 2]
    not_swept = before["half"]["90"]["64"]["key_value_gradient"]
    assert entry["64"]["key_value_gradient"] == not_swept
    assert entry["128"]["key_value_gradient"] == [64, 64, 4, 3]
    assert entry["source"].startswith("invented H100, torch 0.0, triton 0.0: forward 64, ")
    assert "key_value_gradient 64" not in entry["source"]
    del before["half"]["90"], after["half"]["90"]
    assert after == before
    assert update.update_tiles(calls, path) == []


def test_the_table_keeps_its_layout(tmp_path: Path) -> None:
    update._write(tmp_path / "tiles.json", json.loads(TABLE.read_text(encoding="utf-8")))
    assert (tmp_path / "tiles.json").read_text() == TABLE.read_text(encoding="utf-8")


def test_auto_takes_the_fastest_measured(
    calls: list[Call], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkout / update.MEASURED
    assert update.update_choice(calls, path) and not update.update_choice(calls, path)
    monkeypatch.setattr(choice, "TABLE", path)
    choice.measured.cache_clear()
    try:
        there = ["torch", "triton", "varlen", "cudnn"]
        assert choice.fastest("attention", there, 90, True).backend == "varlen"
        assert choice.fastest("rms_norm", there, 90, True).backend == "torch"  # by the step of a whole run
        assert choice.fastest("rms_norm", there, 90, False).backend == "triton"
        assert choice.fastest("linear_cross_entropy", there, 90, True).backend == "triton"
        assert "on invented H100" in choice.fastest("rope", there, 90, False).reason
        times = choice.measured()["90"]
        assert times["eager"]["rms_norm"] == pytest.approx({"triton": 0.6, "torch": 1.8})
        assert "cudnn" not in times["compiled"]["attention"]  # it takes no documents
    finally:
        choice.measured.cache_clear()


def test_the_fitted_efficiency_gives_the_measured_speed(calls: list[Call], checkout: Path) -> None:
    for result in find(calls, measured="training"):
        known = plan([*result["words"], "cluster.efficiency_alone=0.5"], "h100")
        result["tokens_per_second"] = known.tokens_per_second
    assert update.fitted_efficiency(calls) == pytest.approx(0.5)
    (change,) = update.update_efficiency(calls, checkout / update.CLUSTERS)
    assert change.startswith("h100.yaml: efficiency_alone ") and change.endswith(" -> 0.5")
    assert "\nefficiency_alone: 0.5\n" in (checkout / update.CLUSTERS / "h100.yaml").read_text()


def test_the_planners_constants(calls: list[Call], checkout: Path) -> None:
    changes = update.update_constants(calls, checkout)
    assert {change.split(": ")[0] for change in changes} == {"memory.py", "speed.py"}
    assert "CONTEXT = int(2 * GIB)" in (checkout / update.MEMORY).read_text()
    assert "EAGER = 0.8\n" in (checkout / update.SPEED).read_text()
    compile((checkout / update.MEMORY).read_text(), "memory.py", "exec")


def test_a_line_that_is_no_longer_there_is_said(calls: list[Call], checkout: Path) -> None:
    (checkout / update.SPEED).write_text("SLOW = 0.86\n")
    assert any("put 0.8 there by hand" in change for change in update.update_constants(calls, checkout))


def test_a_rehearsal_is_no_measurement(
    tmp_path: Path, checkout: Path, gpu_report: Callable[..., Done]
) -> None:
    lines = RECORDED.read_text().replace('"rehearsal": false', '"rehearsal": true')
    path = tmp_path / "rehearsed.jsonl"
    path.write_text(lines.replace('"capability": 90', '"capability": 0'))
    before = (REPOSITORY / "docs" / "gpu.md").read_text(encoding="utf-8")
    refused = gpu_report(path)
    assert refused.returncode == 2 and "measure nothing" in refused.stderr
    assert (REPOSITORY / "docs" / "gpu.md").read_text(encoding="utf-8") == before
    done = gpu_report(path, "--update", "--root", checkout)
    assert done.returncode == 0 and "nothing to update" in done.stdout
    text = (
        (checkout / "docs" / "gpu.md")
        .read_text(encoding="utf-8")
        .split(report.BEGIN)[1]
        .split(report.END)[0]
    )
    assert report.REHEARSAL in text
    assert "| rehearsed |" in text and "| met |" not in text and "| missed |" not in text
    assert (checkout / update.TILES).read_text() == (REPOSITORY / update.TILES).read_text()


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(RECORDED.read_text().replace("invented H100", "invented H200"))
    with pytest.raises(UserError, match="different devices"):
        read([RECORDED, other])
    other.write_text('{"stage": "numbers"}\n')
    with pytest.raises(UserError, match="does not begin with the line of a call"):
        read([other])
    for text, match in (
        ("[]\n", "line 1: \\[\\] is no result"),
        ("null\n", "line 1: null is no result"),
        ('{"event": "call"}\n', "line 1: format None, this version reads 1"),
        (RECORDED.read_text() + '{"stage": "loss", "event": "crash"}\n', "line 88: .* lacks error"),
    ):
        other.write_text(text)
        with pytest.raises(UserError, match=rf"other\.jsonl, {match}"):
            read([other])
    other.write_bytes(b"\x80\x81\n")
    with pytest.raises(UserError, match=r"other\.jsonl is binary"):
        read([other])
    other.write_text("not json\nat all\n")
    with pytest.raises(UserError, match="line 1 is no JSON"):
        read([other])
    with pytest.raises(UserError, match="No such file"):
        read([tmp_path / "missing.jsonl"])


def test_files_without_a_result_leave_the_docs_alone(
    tmp_path: Path, checkout: Path, gpu_report: Callable[..., Done]
) -> None:
    before = (checkout / "docs" / "gpu.md").read_text(encoding="utf-8")
    path = tmp_path / "empty.jsonl"
    for text in ("", RECORDED.read_text().split("\n")[0]):
        path.write_text(text)
        refused = gpu_report(path, "--root", checkout)
        assert refused.returncode == 2 and "no result is in" in refused.stderr
        assert (checkout / "docs" / "gpu.md").read_text(encoding="utf-8") == before


def test_a_bar_in_a_text_does_not_end_its_cell() -> None:
    assert report.table(("a",), [("x | y\nz",)]).endswith("| x \\| y z |")


def test_a_last_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_text(RECORDED.read_text() + '{"stage": "loss", "ms": 1')
    assert [len(call.results) for call in read([cut])] == [len(call.results) for call in read([RECORDED])]


def test_the_recorded_file_says_that_it_is_none() -> None:
    calls = split(map(json.loads, RECORDED.read_text().splitlines()))
    assert all("not a measurement" in call.header["note"] for call in calls)


def test_clusters_by_the_drivers_name() -> None:
    assert cluster_of("NVIDIA H100 80GB HBM3", 79) == "h100"
    assert cluster_of("NVIDIA A100-SXM4-40GB", 39) == "a100-40"
    assert cluster_of("NVIDIA A100-SXM4-80GB", 79) == "a100-80"
    assert cluster_of("NVIDIA L4", 22) == ""
    for name in ("h100", "h200", "b200", "a100-40", "a100-80"):
        assert (CONFIG_ROOT / "cluster" / f"{name}.yaml").is_file()


def test_tables_have_the_newest_figure_and_no_error_hides_one() -> None:
    first, second = ({"kernel": "a", "ms": ms} for ms in (1.0, 2.0))
    error = {"kernel": "a", "error": "out of memory"}
    assert newest([error, first, second, error], "kernel") == [second]
    assert newest([error, {"kernel": "b", "ms": 3.0}], "kernel") == [error, {"kernel": "b", "ms": 3.0}]


def test_two_runs_are_compared_only_if_the_same_code_ran(calls: list[Call]) -> None:
    variants = "300m", "300m-rows"
    runs = of_one_version(calls, *variants)
    assert [run["stage"] for run in runs] == ["train-300m", "train-300m-rows"]
    later = [run | {"seconds": run["seconds"] / 2} for run in runs]
    code = {"commit": "later", "modified": ""}
    alone = Call(calls[-1].header | {"code": code}, later[:1])
    assert of_one_version([*calls, alone], *variants) == runs
    both = Call(alone.header, later)
    assert of_one_version([*calls, both], *variants) == later
