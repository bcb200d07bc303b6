"""A run's ledger: whole after kills, and it tells what was changed afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.ledger import replay
from onnuri.ledger.config import SourcesConfig, VerifyConfig
from onnuri.ledger.sources import sources
from onnuri.ledger.verify import verify as find_problems
from onnuri.run.chain import BEGINNING, Ledger, read
from onnuri.run.checkpoints import list_checkpoints
from tests.conftest import pretrain, run_command
from tests.full_disk import files_of_at_most

Sample = Callable[[str], str]


@pytest.fixture
def run_dir(undisturbed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(undisturbed, tmp_path / "run")


def verify(run_dir: Path, *words: str) -> tuple[int, str]:
    result = run_command("ledger", "verify", f"run={run_dir}", *words, check=False)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout + result.stderr


def test_what_is_recorded(run_dir: Path) -> None:
    lines = read(run_dir)
    assert lines[0]["event"] == "start"
    assert lines[0]["previous"] == BEGINNING
    assert len(lines[0]["initial_weights"]) == 64
    assert lines[0]["config"]["train"]["steps"] == 12
    assert lines[0]["environment"]["torch"]
    events = [line["event"] for line in lines]
    assert events.count("step") == 12
    assert events.count("checkpoint") == 3
    assert events[-1] == "end"
    steps = [line for line in lines if line["event"] == "step"]
    assert steps[-1]["tokens"] == 12 * 8 * 64
    assert steps[-1]["flops"] > 12 * 8 * 64 * 6 * 50_000
    status, output = verify(run_dir)
    assert (status, "all as recorded" in output) == (0, True), output


def test_a_run_that_was_cut_off_goes_on_in_the_same_chain(run_dir: Path, sample: Sample) -> None:
    shutil.rmtree(list_checkpoints(run_dir)[0])
    before = (run_dir / "ledger.jsonl").read_text()
    with (run_dir / "ledger.jsonl").open("a") as stream:
        stream.write('{"event": "ste')  # what a crash leaves
    pretrain(2, sample, run_dir, "train.steps=12", "engine.precision=fp32", "train.checkpoint_every=5")
    after = (run_dir / "ledger.jsonl").read_text()
    assert after.startswith(before), "lines are only ever added"
    lines = read(run_dir)
    events = [line["event"] for line in lines]
    assert events.count("resume") == 1
    assert lines[events.index("resume")]["step"] == 10
    assert events.count("step") == 14
    status, output = verify(run_dir)
    assert status == 0, output


def test_a_line_without_room_is_none_and_the_next_one_follows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for _ in range(3):
        ledger.add("step", {"loss": 1.0})
    size = ledger.path.stat().st_size
    with files_of_at_most(size + 100):
        for number in range(200):  # more than any buffer holds
            with pytest.raises(OSError, match="File too large"):
                ledger.add("lost", {"number": number, "text": "x" * 200})
            assert ledger.path.stat().st_size == size
    ledger.add("kept", {})
    ledger.close()
    assert [line["event"] for line in read(tmp_path)] == ["step", "step", "step", "kept"]


def test_replay_gives_the_recorded_losses(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """From step 10, the newest checkpoint with two recorded steps after it. Nothing is forked here."""
    caplog.set_level("INFO", "onnuri")
    assert find_problems(VerifyConfig(run=str(run_dir), replay=2)) == []
    assert "ran steps 11 to 12 again from step-0000010, allowed difference 0" in caplog.text
    status, output = verify(run_dir, "replay=13")
    assert (status, "has 13 recorded steps of one config after it; replay=" in output) == (2, True)


def test_steps_that_a_run_went_back_behind_are_not_replayed() -> None:
    """Steps 7 to 10 were given up; what the run did after it resumed is steps 5 and 6."""

    def line(event: str, step: int, config: int = 0) -> dict[str, Any]:
        return {"event": event, "step": step, "config": config, "world_size": 1, "environment": {}}

    lines = [line("start", 0), *(line("step", step) for step in range(1, 11)), line("resume", 4, config=1)]
    assert list(replay._how_each_step_ran(lines)) == [1, 2, 3, 4]
    how = replay._how_each_step_ran([*lines, line("step", 5), line("step", 6)])
    assert list(how) == [1, 2, 3, 4, 5, 6]
    assert [replay._alike_after(step, how) for step in (0, 3, 4, 6)] == [4, 1, 2, 0]


def test_replay_finds_a_loss_that_was_made_up(run_dir: Path) -> None:
    """A forger who writes chain, metrics and checkpoints anew still cannot make the steps come out so."""
    lines = read(run_dir)
    (run_dir / "ledger.jsonl").unlink()
    heads, ledger = {}, Ledger(run_dir)
    for line in lines:
        facts = {name: line[name] for name in line if name not in ("event", "time", "previous", "hash")}
        if line["event"] == "step" and line["step"] == 11:
            facts["loss"] -= 1e-6
        if line["event"] == "checkpoint":
            folder = run_dir / "checkpoints" / f"step-{line['step']:07d}"
            old = manifest.read(folder, "checkpoint")
            counts = old.counts | {"ledger": heads[old.counts["ledger"]]}
            facts["identity"] = manifest.seal(
                folder, "checkpoint", old.settings, old.inputs, counts
            ).identity
        ledger.add(line["event"], facts)
        heads[line["hash"]] = ledger.head
    ledger.close()
    entries = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    for entry in entries:
        if entry["step"] == 11 and "loss" in entry:
            entry["loss"] -= 1e-6
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    status, output = verify(run_dir)
    assert status == 0, output
    status, output = verify(run_dir, "replay=2")
    assert (status, "step 11 has loss" in output, "step 12" in output) == (1, True, False), output


def edit_line(run_dir: Path, number: int, old: str, new: str) -> None:
    lines = (run_dir / "ledger.jsonl").read_text().splitlines()
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    (run_dir / "ledger.jsonl").write_text("\n".join(lines) + "\n")


def test_changes_are_named(run_dir: Path, sample: Sample, tmp_path: Path) -> None:
    whole = shutil.copytree(run_dir, tmp_path / "whole")

    def fresh() -> Path:
        shutil.rmtree(run_dir)
        return shutil.copytree(whole, run_dir)

    edit_line(fresh(), 4, '"loss":', '"loss":1')
    status, output = verify(run_dir)
    assert (status, "line 4 was changed" in output) == (2, True), output

    lines = (fresh() / "ledger.jsonl").read_text().splitlines()
    (run_dir / "ledger.jsonl").write_text("\n".join([*lines[:5], *lines[6:]]) + "\n")
    assert "line 6 does not follow line 5" in verify(run_dir)[1]

    text = (fresh() / "metrics.jsonl").read_text().splitlines()
    entry = json.loads(text[2])
    text[2] = json.dumps(entry | {"loss": entry["loss"] - 0.001})
    (run_dir / "metrics.jsonl").write_text("\n".join(text) + "\n")
    status, output = verify(run_dir)
    assert status == 1
    assert f"step {entry['step']} has loss" in output
    assert "ledger.jsonl line" in output

    facts = json.loads((fresh() / "run.json").read_text())
    facts["config"]["optim"]["lr"] = 0.5
    (run_dir / "run.json").write_text(json.dumps(facts))
    status, output = verify(run_dir)
    assert (status, "run.json has optim.lr=0.5, ledger.jsonl line 1 says 0.005" in output) == (1, True)

    folder = list_checkpoints(fresh())[1]
    victim = next(folder.glob("*.safetensors"))
    data = bytearray(victim.read_bytes())
    data[-9] ^= 1
    victim.write_bytes(data)
    status, output = verify(run_dir)
    assert (status, f"{folder.name}: {victim} does not match the hash" in output) == (1, True), output
    known = manifest.read(folder, "checkpoint")
    manifest.seal(folder, "checkpoint", known.settings, known.inputs, known.counts)  # a skilled forger
    status, output = verify(run_dir)
    assert (status, f"{folder.name} is not the checkpoint that ledger.jsonl line" in output) == (1, True)

    fresh()
    shards = shutil.copytree(sample("tokens"), tmp_path / "shards")
    victim = next(shards.glob("train-*.tokens.npy"))
    data = bytearray(victim.read_bytes())
    data[-2] ^= 1
    victim.write_bytes(data)
    status, output = verify(run_dir, f"data={shards}")
    assert (status, f"shards: {victim} does not match the hash" in output) == (1, True), output
    known = manifest.read(shards, "tokens")
    manifest.seal(shards, "tokens", known.settings, known.inputs, known.counts)
    status, output = verify(run_dir, f"data={shards}")
    assert (status, "holds other shards than ledger.jsonl line 1 records" in output) == (1, True), output


def test_sources_are_counted_exactly(run_dir: Path) -> None:
    for folder in list_checkpoints(run_dir):
        step = int(folder.name.removeprefix("step-"))
        output = run_command("ledger", "sources", f"run={folder}").stdout
        assert output.startswith(f"{folder.name}: {step * 8 * 64:,} tokens in {step} batches")
        rows = [line.split() for line in output.splitlines()[2:]]
        recorded = next(x for x in read(run_dir) if x["event"] == "sources" and x["step"] == step)
        assert {row[0]: int(row[1].replace(",", "")) for row in rows} == recorded["tokens"]
        assert sum(int(row[1].replace(",", "")) for row in rows) == step * 8 * 64
        assert {row[0] for row in rows} <= set(
            [
                "chatterbot-english",
                "chatterbot-korean",
                "korean-rnd-regs",
                "python-docstrings",
                "python-topics",
            ]
        )
        assert all(" ".join(row).endswith("; public; time of collection not stated") for row in rows)
    newest = run_command("ledger", "sources", f"run={run_dir}").stdout
    assert newest.startswith("step-0000012")


def test_sources_of_a_run_whose_shards_have_gone(run_dir: Path) -> None:
    """As after training with a relative data=, seen from another directory."""
    described = json.loads((run_dir / "run.json").read_text())
    described["config"]["data"]["path"] = "build/gone"
    (run_dir / "run.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match="shards are not at build/gone any more; say where with data=DIR"):
        sources(SourcesConfig(run=str(run_dir)))
    described["config"]["data"]["rhythm"] = 3
    (run_dir / "run.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"the option data.rhythm, which this version does not know"):
        sources(SourcesConfig(run=str(run_dir)))


def test_mistakes(tmp_path: Path) -> None:
    for words, message in (
        (["verify", "run=/no/such"], "has no ledger.jsonl"),
        (["sources", "run=/no/such"], "does not exist"),
        (["verfy"], "did you mean 'verify'?"),
        (["verify"], "missing option: run="),
    ):
        result = run_command("ledger", *words, check=False)
        assert result.returncode == 2
        assert message in result.stderr
    (tmp_path / "ledger.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match="line 1 is damaged; restore it from a copy, or"):
        Ledger(tmp_path)


def test_a_run_resumes_with_its_own_ledger_alone(run_dir: Path, sample: Sample) -> None:
    """A ledger that is gone, damaged or older than the checkpoint; it begins again where that is asked."""
    words, path = ["train.steps=14", "engine.precision=fp32"], run_dir / "ledger.jsonl"
    whole = path.read_bytes()
    newest = list_checkpoints(run_dir)[0]
    older = b"".join(whole.splitlines(keepends=True)[:4])
    for content, message in (
        (None, "is missing; restore it"),
        (older, "is not that of the checkpoint of step 12; restore it"),
        (whole.replace(b'"step":3,', b'"step":4,', 1), "was changed: its hash is another; restore it"),
    ):
        path.unlink() if content is None else path.write_bytes(content)
        result = pretrain(1, sample, run_dir, *words, check=False)
        assert message in result.stderr and "put an empty file in its place" in result.stderr
        assert (path.read_bytes() if path.exists() else None) == content
    path.write_bytes(whole)
    (run_dir / "checkpoints").rename(run_dir.parent / "unmounted")
    result = pretrain(1, sample, run_dir, *words, check=False)
    assert "has no checkpoint, though its ledger records that of step 12" in result.stderr
    assert len((run_dir / "metrics.jsonl").read_bytes().splitlines()) >= 12
    (run_dir.parent / "unmounted").rename(run_dir / "checkpoints")
    path.write_bytes(b"")
    assert "begins again: steps 1 to 12 are not in it" in pretrain(1, sample, run_dir, *words).stdout
    lines = read(run_dir)
    events = ["resume", "step", "step", "sources", "checkpoint", "end"]
    assert [line["event"] for line in lines] == events
    assert sum(lines[3]["tokens"].values()) == 14 * 8 * 64
    Ledger(run_dir, manifest.read(newest, "checkpoint")).close()
    status, output = verify(run_dir)
    assert (status, "step 1 is not in ledger.jsonl" in output) == (1, True)
