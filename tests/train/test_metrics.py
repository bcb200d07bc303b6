"""What a run leaves behind: metrics that survive a crash, a picture, and trackers that stay at home."""

from __future__ import annotations

import gzip
import json
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.run.metrics_file import read_metrics
from onnuri.train.config import TrackerConfig
from onnuri.train.metrics import Metrics, loss_text
from onnuri.train.trackers import TensorBoardTracker, check_tracker
from tests.conftest import pretrain


def line(step: int, loss: float) -> dict[str, float]:
    return {"step": step, "loss": loss, "grad_norm": 1.0, "lr": 1e-3, "tokens": 8.0 * step} | {
        "tokens_per_second": 100.0,
        "mfu": 0.4,
    }


def test_lines_after_the_checkpoint_are_replaced_and_a_cut_line_is_dropped(tmp_path: Path) -> None:
    first = Metrics(tmp_path, 0, 10, TrackerConfig(), {})
    for step in range(1, 6):
        first.log_step(line(step, float(step)))
    first.log_validation(5, {"ko": 2.0, "en": 3.0})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 6, "lo')
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.write(b"\n\xff\n[6]\n")
    assert [entry["step"] for entry in read_metrics(tmp_path)] == [1, 2, 3, 4, 5, 5]
    second = Metrics(tmp_path, 3, 10, TrackerConfig(), {})
    second.log_step(line(4, 40.0))
    second.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    assert [json.loads(entry)["loss"] for entry in text.splitlines()] == [1.0, 2.0, 3.0, 40.0]
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_only_a_step_without_any_held_out_score_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = Metrics(tmp_path, 0, 10, TrackerConfig(), {})
    for step, scores in ((1, {"accuracy": 0.5}), (2, {})):
        metrics.log_held_out(step, scores)
        metrics.log_validation(step, {})
    metrics.close()
    shown = capsys.readouterr().out
    assert "step 1: held out: accuracy 0.5000" in shown and "step 2: no held-out text" in shown
    assert "step 1: no held-out text" not in shown


@pytest.mark.extra("trackers")
def test_tensorboard_holds_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    metrics = Metrics(tmp_path, 0, 3, TrackerConfig(name="tensorboard"), {})
    for step in (1, 2, 3):
        metrics.log_step(line(step, 5.0 - step))
    metrics.log_validation(3, {"ko": 2.5})
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("loss")] == [4.0, 3.0, 2.0]
    assert [(event.step, event.value) for event in events.Scalars("bits_per_byte/ko")] == [(3, 2.5)]


@pytest.mark.extra("trackers")
def test_wandb_stays_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.5)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
    metrics = Metrics(tmp_path, 0, 2, TrackerConfig(name="wandb"), {"optim": {"lr": 1e-3}})
    metrics.log_step(line(1, 4.0))
    metrics.log_validation(1, {"ko": 2.5})
    metrics.log_step(line(2, 3.0))
    metrics.close()
    with pytest.raises(TimeoutError):
        server.accept()
    runs = list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 1
    assert runs[0].stat().st_size > 100


@pytest.mark.extra("trackers")
def test_tensorboard_shows_each_step_once_after_a_rollback_and_a_resume(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = Metrics(tmp_path, 0, 9, TrackerConfig(name="tensorboard"), {})
    for step in (1, 2, 3, 4):
        first.log_step(line(step, float(step)))
    first.rewind(2)
    for step in (3, 4, 5):
        first.log_step(line(step, 10.0 + step))
    first.close()  # as after a crash: step 5 is newer than the checkpoint
    second = Metrics(tmp_path, 4, 9, TrackerConfig(name="tensorboard"), {})
    second.log_step(line(5, 25.0))
    second.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 13.0),
        (4, 14.0),
        (5, 25.0),
    ]


@pytest.mark.extra("trackers")
def test_a_run_directory_is_one_run_of_wandb(tmp_path: Path) -> None:
    for first_step in (0, 1):
        metrics = Metrics(tmp_path, first_step, 3, TrackerConfig(name="wandb"), {})
        metrics.log_step(line(first_step + 1, 4.0))
        if first_step:
            metrics.rewind(1)
            metrics.log_step(line(2, 5.0))
        metrics.close()
    folders = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert len(folders) == 3
    assert len({name.split("-")[3] for name in folders}) == 1


@pytest.mark.extra("trackers")
def test_a_tracker_that_cannot_start_is_one_line_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    online = TrackerConfig(name="wandb", wandb_mode="online")
    for key, expected in (("", "finds no API key: set WANDB_API_KEY"), ("short", "API key must have")):
        monkeypatch.setenv("WANDB_API_KEY", key)
        monkeypatch.setenv("WANDB_MODE", "offline")
        wandb.teardown()
        with pytest.raises(UserError, match=expected):
            check_tracker(online)
    check_tracker(TrackerConfig(name="wandb"))
    with pytest.raises(UserError, match="Invalid project name 'a/b'"):
        check_tracker(TrackerConfig(name="wandb", project="a/b"))
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"tracker=tensorboard needs the package tensorboard: pip install"):
        check_tracker(TrackerConfig(name="tensorboard"))


@pytest.mark.extra("trackers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tracker_that_fails_does_not_end_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folder was cleaned away; a thread of TensorBoard finds out and tells the next call."""
    metrics = Metrics(tmp_path, 0, 9, TrackerConfig(name="tensorboard"), {})
    metrics.log_step(line(1, 4.0))
    (tmp_path / "tensorboard").rename(tmp_path / "cleaned away")
    assert isinstance(metrics.tracker, TensorBoardTracker)
    with suppress(FileNotFoundError):
        metrics.tracker.writer.flush()
    for step in (2, 3):
        metrics.log_step(line(step, 4.0))
    metrics.rewind(2)
    metrics.log_step(line(3, 3.0))
    metrics.close()
    assert [line["loss"] for line in read_metrics(tmp_path)] == [4.0, 4.0, 3.0]
    assert capsys.readouterr().out.count("warning: the tracker has failed and gets nothing until") == 1
    (tmp_path / "file" / "tensorboard").mkdir(parents=True)
    (tmp_path / "file" / "tensorboard").rmdir()
    (tmp_path / "file" / "tensorboard").write_text("")
    with pytest.raises(UserError, match="tensorboard: "):
        Metrics(tmp_path / "file", 0, 9, TrackerConfig(name="tensorboard"), {})


def test_profile_shows_where_time_and_memory_go(sample: Callable[[str], str], tmp_path: Path) -> None:
    pretrain(2, sample, tmp_path / "run", "train.steps=8", "profile=true", "engine.precision=fp32")
    folder = tmp_path / "run" / "profile"
    assert "aten::mm" in (folder / "operators-rank-00001.txt").read_text()
    with gzip.open(folder / "trace-rank-00000.json.gz", "rt") as stream:
        names = [event.get("name", "") for event in json.load(stream)["traceEvents"]]
    assert sum(name.startswith("ProfilerStep#") for name in names) == 3
    assert (folder / "memory-rank-00000.png").stat().st_size > 10000
    lines = read_metrics(tmp_path / "run")
    assert all(0 < line["mfu"] < 1 for line in lines if "loss" in line)


def test_a_step_without_targets_shows_no_loss() -> None:
    assert loss_text({"loss": 0.5}) == "loss 0.500"
    assert loss_text({"loss": 0.5, "targets": 3}) == "loss 0.500"
    assert loss_text({"loss": None, "targets": 3}) == "loss none"
    assert loss_text({"loss": 0.0, "targets": 0}) == "nothing to learn"
    assert loss_text({"loss": 0.0, "targets": 0, "reward": 0.25}) == "reward 0.250, nothing to learn"


def test_nothing_held_out_is_no_line(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, 3, TrackerConfig(), {})
    metrics.log_held_out(1, {})
    metrics.log_held_out(2, {"margin": 0.5})
    metrics.close()
    assert read_metrics(tmp_path) == [{"step": 2, "held_out": {"margin": 0.5}}]
