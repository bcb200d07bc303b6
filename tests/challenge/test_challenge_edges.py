"""A challenge where a machine, a clock or a person fails: nobody loses an entry, nothing slips through."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.challenge import board, examine, leaks, organise
from onnuri.challenge import replay as replaying
from onnuri.challenge import verify as verifying
from onnuri.challenge.config import CommitConfig, InitConfig, ReceiveConfig, RevealConfig, VerifyConfig
from onnuri.challenge.create import create
from onnuri.challenge.enter import commit
from onnuri.challenge.entry import read_entry
from onnuri.challenge.faults import MachineTrouble
from onnuri.challenge.folder import RECEIVED, history
from onnuri.challenge.organise import receive, reveal
from onnuri.challenge.record import read_record
from onnuri.challenge.sealed_text import read_texts
from onnuri.corpus.texts import Text
from onnuri.run.chain import Ledger
from onnuri.run.checkpoints import FOLDER, name_of
from tests.challenge.conftest import Play, enter, train, verified
from tests.challenge.forge import OWN, rewrite


def test_intervals_are_joined_to_the_length_that_the_track_allows() -> None:
    points = list(range(0, 210, 10))
    assert replaying.intervals_of(points, 10) == list(pairwise(points))
    assert replaying.intervals_of(range(61), 6) == list(pairwise(range(0, 61, 6)))
    assert replaying.intervals_of([0, 3, 6, 9, 10], 3) == [(0, 3), (3, 6), (6, 10)]
    assert replaying.intervals_of([0, 2], 8) == [(0, 2)]
    assert replaying.intervals_of([0, 5, 6, 7], 4) == [(0, 7)]


def test_which_intervals_are_replayed_hangs_on_the_seed() -> None:
    every = list(pairwise(range(0, 210, 10)))
    drawn = {seed: replaying.choose(every, seed, 3) for seed in map(str, range(40))}
    for intervals in drawn.values():
        assert intervals[0] == (0, 10) and intervals[-1] == (190, 200) and len(intervals) == 5
    assert len(set(map(tuple, drawn.values()))) > 30
    assert replaying.choose(every, "", -1) == every
    assert replaying.choose([(0, 8)], "x", 2) == [(0, 8)]
    assert list(replaying.chains([(0, 4), (4, 8), (12, 16)], joined=True)) == [[0, 4, 8], [12, 16]]
    assert list(replaying.chains([(0, 4), (4, 8)], joined=False)) == [[0, 4], [4, 8]]


def test_many_checkpoints_do_not_hide_an_exchanged_one(copy: Play) -> None:
    """A checkpoint of every step, one of them from another run: both halves are replayed all the same."""
    tokens = str(copy.challenge.tokens)
    train(copy.folder, tokens, "busy", "train.checkpoint_every=1", "train.steps=4")
    train(copy.folder, tokens, "other", "train.checkpoint_every=1", "train.steps=4", "optim.lr=1e-2")
    shutil.copyfile(
        *(copy.run(name) / FOLDER / name_of(2) / "shard-00000.safetensors" for name in ("other", "busy"))
    )
    train(copy.folder, tokens, "honest", "train.checkpoint_every=1")
    enter(copy, "busy", "busy", lambda facts: None)
    enter(copy, "honest", "honest")
    reveal(RevealConfig(str(copy.challenge.folder), str(copy.folder / "secret")))
    assert verified(copy, "honest")["replay"] == {
        "intervals": [(0, 4), (4, 8)],
        "of": 2,
        "steps": 8,
        "exact": True,
    }
    assert {fault["name"] for fault in verified(copy, "busy")["faults"]} == {"edited weights"}


def test_trouble_of_the_machine_is_no_fault_of_an_entry(
    copy: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = copy.challenge
    reveal(RevealConfig(str(challenge.folder), str(copy.folder / "secret")))
    before = len(history(challenge))

    def full(*_: Any) -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise UserError("a copy failed") from None

    def killed(*_: Any) -> int:
        return -9

    def killed_rank(_: Any, output: int, __: Any) -> int:
        os.write(output, b"  exitcode  : -9 (pid: 77)\nRuntimeError: a rank failed\n")
        return 1

    def no_memory(_: Any, output: int, __: Any) -> int:
        os.write(output, b"RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried\n")
        return 1

    for function, message in (
        (killed, "was ended by signal 9"),
        (killed_rank, "was ended by signal 9"),
        (no_memory, "can't allocate memory"),
    ):
        with monkeypatch.context() as patch, pytest.raises(MachineTrouble, match=message):
            patch.setattr(replaying, "run", function)
            verified(copy, "adamw")
    with monkeypatch.context() as patch:
        patch.setattr(examine, "read_verified", full)
        with pytest.raises(MachineTrouble, match=r"No space left .*nothing is recorded"):
            verified(copy, "adamw")
        with pytest.raises(MachineTrouble, match="No space left"):
            commit(CommitConfig(str(challenge.folder), str(copy.run("adamw")), "again"))
    assert len(history(challenge)) == before
    assert verified(copy, "adamw")["faults"] == []


def test_a_result_is_shown_where_it_cannot_be_recorded(
    copy: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    challenge = copy.challenge
    reveal(RevealConfig(str(challenge.folder), str(copy.folder / "secret")))
    before = len(history(challenge))
    assert verified(copy, "adamw", record=False)["faults"] == []
    assert len(history(challenge)) == before and not challenge.result_file("adamw").exists()

    def refused(*_: Any) -> None:
        raise UserError("read-only")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="read-only"):
        patch.setattr(verifying, "record", refused)
        verified(copy, "adamw")
    assert "not recorded: adamw stands: 2 of 2 intervals" in caplog.text
    with monkeypatch.context() as patch, pytest.raises(UserError, match="read-only"):
        patch.setattr(verifying, "recording", refused)
        patch.setattr(verifying, "judge", lambda *_: pytest.fail("it is too late to learn that now"))
        verifying.verify(VerifyConfig(str(challenge.folder), "adamw", str(copy.run("adamw"))))


def test_a_reveal_that_is_cut_off_closes_the_challenge(copy: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    challenge = copy.challenge

    def cut_off(_: Path, target: Path) -> None:
        target.write_text("the beginning")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left"):
        patch.setattr(organise.shutil, "copyfile", cut_off)
        reveal(RevealConfig(str(challenge.folder), str(copy.folder / "secret")))
    assert not (challenge.folder / "heldout.jsonl").exists()
    with pytest.raises(UserError, match="is late"):
        enter(copy, "longer", "longer")
    reveal(RevealConfig(str(challenge.folder), str(copy.folder / "secret")))
    assert verified(copy, "adamw")["faults"] == []


def test_a_receipt_can_be_had_again_and_the_record_decides_who_was_first(
    copy: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = copy.run("adamw").with_name("adamw.entry.json")
    receipt = receive(ReceiveConfig(str(copy.challenge.folder), str(path)))
    assert f"is received already, receipt {receipt}" in caplog.text
    assert (copy.challenge.folder / "lock").read_text() == "", "the machine's name is not published"
    lines = history(copy.challenge)
    for line in lines:
        line["time"] = -line["time"]  # as if the clock ran backwards
    arrived = [line["name"] for line in lines if line["event"] == RECEIVED]
    score = {"mean": 1.0, "kopairs": {"value": 0.5}}
    found = [row._replace(result={"score": score}) for row in board.rows(copy.challenge, lines)]
    assert [row.name for row in sorted(found, key=board.rank)] == arrived


def test_known_text_is_found_in_short_documents_and_in_copies() -> None:
    training = [
        "온누리 계산 센터 안내\n문의는 본관 3층 안내소로\n\n끝",
        " ".join(f"단어{number} 뒤에" for number in range(60)),
    ]
    heldout = [
        Text(text, "ko", "")
        for text in (
            "문의는  본관 3층\n안내소로",
            "새 글",
            *[training[1]] * 20,
            "온누리 계산 센터 안내 문의",
            "  \n",
        )
    ]
    assert leaks.leaked_documents(heldout, training) == [0, *range(2, 22)]


def test_opening_says_what_is_sealed(play: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    again = replace(play.config, output=str(tmp_path / "o"), secret=str(tmp_path / "s"))
    caplog.set_level("INFO")
    inside = str(play.challenge.tokens / "inside")
    with pytest.raises(UserError, match="lies in tokens="):
        create(replace(again, output=inside, tokens=str(play.challenge.tokens)))
    with pytest.raises(UserError, match="has its own checkpoints"):
        InitConfig("o", "t", "c", "h", "s", track="ten_minutes", checkpoints=50)
    path = tmp_path / "heldout.jsonl"
    own = (play.folder / "heldout.jsonl").read_text()
    extra = [{"text": "これは日本語の文書です。", "lang": "ja"}]
    path.write_text(own + own + "".join(json.dumps(each) + "\n" for each in extra))
    challenge = create(replace(again, heldout=str(path)))
    texts = read_texts(Path(again.secret) / "heldout.jsonl")
    double = len(own.splitlines())
    assert len(texts) == 2 * double + 1
    assert f"{double} held-out documents stand in it twice or more" in caplog.text
    assert "1 held-out documents are in neither language" in caplog.text
    assert "held-out text in ko: " in caplog.text and "gives scores of wide intervals" in caplog.text
    assert (challenge.folder / ".gitattributes").read_text() == "* -text\n"


def test_what_a_newcomer_does_at_commit(
    copy: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    challenge, run_dir = str(copy.challenge.folder), copy.run("patient")
    starts: list[dict[str, Any]] = []

    def stopped_and_resumed_patiently(facts: dict[str, Any]) -> None:
        if facts["event"] == "start":
            starts.append(facts["config"])
        if "config" in facts:
            facts["config"]["train"]["steps"] = 16
        if facts["event"] == "resume":
            facts["config"]["guard"]["stall_seconds"] = 600.0
            facts["config"]["engine"]["timeout_minutes"] = 50.0

    shutil.copytree(copy.run("adamw"), run_dir)
    train(copy.folder, str(copy.challenge.tokens), "patient")
    rewrite(run_dir, stopped_and_resumed_patiently)
    monkeypatch.chdir(run_dir)
    title = "가족 👩\u200d💻 나"
    decomposed = "가"
    made, faults = commit(CommitConfig(challenge, ".", "patient", title=title + decomposed))
    assert made is not None and faults == [] and made.title == title + "가"
    assert read_entry(run_dir.with_name("patient.entry.json")) == made
    assert "stopped at step 8 of 16" in caplog.text
    with pytest.raises(UserError, match="is no folder"):
        commit(CommitConfig(challenge, ".", "patient", output="no/such/a.json"))


def test_a_prolonged_run_is_refused_for_what_it_spent(play: Play, tmp_path: Path) -> None:
    """Not for the other `train.steps` of its second start alone."""
    run_dir = shutil.copytree(play.run("adamw"), tmp_path / "longer")
    record = read_record(run_dir)
    start = record.lines[0]
    config = start["config"] | {"train": start["config"]["train"] | {"steps": 1000}}
    ledger = Ledger(run_dir)
    again = {"config": config, "step": 8, "identity": record.checkpoints[8]}
    ledger.add("resume", {name: value for name, value in start.items() if name not in OWN} | again)
    step = next(line for line in record.lines if line["event"] == "step")
    for number in range(9, 1001):
        ledger.add("step", {name: step[name] for name in step if name not in OWN} | {"step": number})
    ledger.close()
    found = examine.examine(play.challenge, run_dir, tmp_path / "copy", [4, 8]).faults
    assert [fault.name for fault in found][:2] == ["over the FLOPs budget", "settings"], found
    assert "the run changed train.steps from 8 to 1000" in found[1].detail
