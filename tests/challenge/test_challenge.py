"""Both sides of a challenge: three entrants to a finished board, and forged entries refused by name."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.challenge import replay as replaying
from onnuri.challenge.board import table, write_board
from onnuri.challenge.config import (
    BoardConfig,
    CommitConfig,
    InitConfig,
    PracticeConfig,
    ReceiveConfig,
    RevealConfig,
)
from onnuri.challenge.create import create
from onnuri.challenge.curve import curve_of
from onnuri.challenge.drift import relative_distance
from onnuri.challenge.enter import commit, practise
from onnuri.challenge.entry import read_entry
from onnuri.challenge.examine import examine
from onnuri.challenge.faults import Refused
from onnuri.challenge.folder import open_challenge
from onnuri.challenge.organise import receive, reveal
from onnuri.challenge.record import changes_of, over_budget, read_record, spent_by
from onnuri.challenge.sealed_text import read_texts
from onnuri.challenge.verify import summary
from onnuri.run.checkpoints import FOLDER, name_of
from tests.challenge.conftest import (
    ENTRANTS,
    STEPS,
    Play,
    Sample,
    edit_loss,
    enter,
    faults_of,
    train,
    verified,
)
from tests.challenge.forge import forged_entry, rewrite
from tests.conftest import SCRIPTS, TINY_MODEL, run_command, torchrun
from tests.soak import SOAK


def test_both_sides_play_to_a_finished_board(copy: Play, play: Play) -> None:
    challenge = copy.challenge
    assert not list(challenge.folder.rglob("heldout.jsonl")), "the held-out text is not public"
    for name, fault in (("longer", "over the FLOPs budget"), ("larger", "larger model")):
        made, faults = commit(CommitConfig(str(challenge.folder), str(copy.run(name)), name))
        assert made is None and fault in {each.name for each in faults}
        enter(copy, name, name)
    made, faults = commit(CommitConfig(str(challenge.folder), str(copy.run("leaked")), "leaked"))
    assert (made, [each.name for each in faults]) == (None, ["other data"])
    enter(copy, "leaked", "other-data")
    enter(copy, "leaked", "leaked", lambda facts: None)  # written anew: another ledger
    enter(copy, "adamw", "edited-loss", edit_loss)
    with pytest.raises(UserError, match="is not public yet"):
        verified(copy, "adamw")

    reveal(RevealConfig(str(challenge.folder), str(copy.folder / "secret")))
    late = forged_entry(challenge, copy.run("adamw"), "late", copy.folder / "late.json")
    with pytest.raises(UserError, match="is late: the held-out text is public"):
        receive(ReceiveConfig(str(challenge.folder), str(late)))
    shutil.copytree(copy.run("adamw"), copy.run("late"))
    assert faults_of(copy, "late") == {"not received": "the record has no entry late"}

    spent = "7.669e+09 FLOPs (16 steps of 512 tokens, 936,192 a token); allowed: 4.2e+09"
    assert faults_of(copy, "longer") == {"over the FLOPs budget": spent}
    larger = faults_of(copy, "larger")
    assert larger["larger model"] == "574,144 parameters; allowed: 200,000"
    assert faults_of(copy, "other-data").keys() == {"other data"}
    leaked = faults_of(copy, "leaked", data=str(play.folder / "leak" / "tokens"))
    assert leaked.keys() == {"other data", "held-out text in training"}
    assert re.match(r"\d+ of \d+ held-out documents stand", leaked["held-out text in training"])
    edited = faults_of(copy, "edited-loss")
    assert edited.keys() == {"edited loss"}
    assert edited["edited loss"].startswith("step 6 gives ")

    for name in ENTRANTS:
        exact = name != "muon"
        result = verified(copy, name, elsewhere=not exact)
        assert result["faults"] == []
        assert result["replay"] == {"intervals": [(0, 4), (4, 8)], "of": 2, "steps": 8, "exact": exact}
        how = "to the bit" if exact else "within the tolerances for another machine"
        assert f"2 of 2 intervals (8 steps) replayed {how}" in summary(result)
        for language in ("ko", "en"):
            assert 1 < result["score"][language]["value"] < 8
        assert 0 <= result["score"]["kopairs"]["value"] <= 1

    _, rows = write_board(BoardConfig(str(challenge.folder)))
    means = [row.result["score"]["mean"] for row in rows[:3] if row.result]
    assert {row.name for row in rows[:3]} == ENTRANTS.keys() and means == sorted(means)
    assert [bool(row.faults) for row in rows] == [False] * 3 + [True] * 6
    assert "  1 " + rows[0].name in table(rows)
    page = (challenge.folder / "board.html").read_text(encoding="utf-8")
    assert "<script" not in page and "src=" not in page and "href=" not in page
    assert str(challenge.folder.parent) not in page, "nothing of the organiser's machine is published"
    assert "&lt;i&gt;대회&lt;/i&gt;" in page and "&lt;b&gt;edited-loss&lt;/b&gt;" in page
    assert "재현되지 않는 손실" in page and "held-out text in training" in page
    assert page.count("<polyline") == 3

    path = challenge.result_file(rows[0].name)
    path.write_text(path.read_text().replace('"mean": ', '"mean": 1'))
    with pytest.raises(UserError, match="was changed; verify"):
        write_board(BoardConfig(str(challenge.folder)))


def test_weights_that_do_not_follow_from_the_steps(copy: Play) -> None:
    """Trained for 16 steps, with a ledger of 8: the final weights are those of step 16."""
    forged = shutil.copytree(copy.run("adamw"), copy.run("forged"))
    shutil.copyfile(
        copy.run("longer") / FOLDER / name_of(16) / "shard-00000.safetensors",
        forged / FOLDER / name_of(8) / "shard-00000.safetensors",
    )
    enter(copy, "forged", "forged", lambda facts: None)
    reveal(RevealConfig(str(copy.challenge.folder), str(copy.folder / "secret")))
    detail = "steps to 8 give other weights than the checkpoint"
    assert faults_of(copy, "forged") == {"edited weights": detail}
    given, honest, begin = (
        copy.run(name) / FOLDER / name_of(step)
        for name, step in (("forged", 8), ("adamw", 8), ("adamw", 4))
    )
    assert relative_distance(given, honest, begin) > 10 * replaying.MOST_DRIFT
    assert relative_distance(honest, honest, begin) == 0


def test_what_changes_after_the_commitment_is_refused(copy: Play) -> None:
    reveal(RevealConfig(str(copy.challenge.folder), str(copy.folder / "secret")))
    run_dir, whole = copy.run("adamw"), copy.run("whole")
    shutil.copytree(run_dir, whole)

    def fresh() -> Path:
        shutil.rmtree(run_dir)
        return shutil.copytree(whole, run_dir)

    rewrite(fresh(), edit_loss)
    assert faults_of(copy, "adamw").keys() == {"other ledger", "other weights"}
    weights = fresh() / FOLDER / name_of(8) / "shard-00000.safetensors"
    data = bytearray(weights.read_bytes())
    data[-9] ^= 1
    weights.write_bytes(data)
    assert "does not match the hash" in faults_of(copy, "adamw")["bad files"]
    shutil.rmtree(fresh() / FOLDER / name_of(4))
    assert faults_of(copy, "adamw").keys() == {"missing checkpoints"}
    path = fresh() / "metrics.jsonl"
    path.write_text(path.read_text().replace('"loss": ', '"loss": 1', 1))
    assert "metrics.jsonl: step 1 has loss" in faults_of(copy, "adamw")["record"]

    entry = copy.challenge.entry_file("adamw")
    entry.write_text(entry.read_text().replace("항목", "1등"))
    assert faults_of(copy, "adamw").keys() == {"changed entry"}
    text = copy.challenge.folder / "heldout.jsonl"
    text.write_text(text.read_text().replace("a", "b", 1))
    with pytest.raises(UserError, match="is not the text whose hash was published"):
        verified(copy, "muon")


def test_a_reveal_must_match(copy: Play) -> None:
    challenge, secret = str(copy.challenge.folder), copy.folder / "secret"
    nonce = secret / "nonce"
    nonce.write_text("0" * 64 + "\n")
    with pytest.raises(UserError, match="does not match the hash published at the start"):
        reveal(RevealConfig(challenge, str(secret)))
    assert not (copy.challenge.folder / "heldout.jsonl").exists()


def test_what_is_no_entry(copy: Play, tmp_path: Path) -> None:
    entry = read_entry(copy.folder / "runs" / "adamw.entry.json")
    for change, message in (
        ({"name": "../../evil"}, "must be 1 to 40 of"),
        ({"title": "a\nb"}, "title must be one line"),
        ({"weights": "x"}, "is no entry: challenge, weights and ledger are hashes"),
        ({"step": True}, "is no entry: step"),
        ({"checkpoints": [8, 4]}, "is no entry: checkpoints are steps that rise"),
        ({"checkpoints": ["8"]}, "is no entry: checkpoints are steps that rise"),
        ({"format": 1}, "has format 1, this version reads 2"),
        ({"more": 1}, "is no entry: unknown keys"),
        ({"challenge": "0" * 64}, "is for 000000000000, not"),
        ({"title": "another"}, "the name adamw is taken"),
        ({"public_key": "x", "signature": "x"}, "was not signed with the key"),
    ):
        path = tmp_path / "entry.json"
        path.write_text(json.dumps(vars(entry) | change))
        with pytest.raises(UserError, match=message):
            receive(ReceiveConfig(str(copy.challenge.folder), str(path)))
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="is damaged"):
        receive(ReceiveConfig(str(copy.challenge.folder), str(path)))
    path.write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(UserError, match="has more than 1,048,576 bytes"):
        receive(ReceiveConfig(str(copy.challenge.folder), str(path)))


def test_checkpoints_that_the_run_has_removed_are_not_asked_for(copy: Play) -> None:
    """The ledger has one of each step; those of steps 4 and 8 are kept, and suffice."""
    challenge, run_dir = str(copy.challenge.folder), copy.run("ephemeral")
    train(copy.folder, str(copy.challenge.tokens), "ephemeral", "train.ephemeral_every=1")
    made, faults = commit(CommitConfig(challenge, str(run_dir), "ephemeral"))
    assert made is not None and (made.checkpoints, faults) == ((4, 8), [])
    receive(ReceiveConfig(challenge, str(run_dir.with_name("ephemeral.entry.json"))))
    rewrite(shutil.copytree(copy.run("wide-and-shallow"), copy.run("more")), lambda facts: None)
    path = forged_entry(copy.challenge, copy.run("more"), "more", copy.folder / "more.json")
    path.write_text(path.read_text().replace('"checkpoints": [', '"checkpoints": [1, '))
    receive(ReceiveConfig(challenge, str(path)))
    reveal(RevealConfig(challenge, str(copy.folder / "secret")))
    result = verified(copy, "ephemeral")
    assert (result["faults"], result["replay"]["intervals"]) == ([], [(0, 4), (4, 8)])
    assert faults_of(copy, "more") == {"missing checkpoints": "the ledger has none of step 1"}
    shutil.rmtree(run_dir / FOLDER / name_of(4))
    (fault,) = commit(CommitConfig(challenge, str(run_dir), "again"))[1]
    assert fault.detail.startswith("none from step 0 to 8; train with train.checkpoint_every=4")


def test_the_hashes_of_another_entry_are_refused(copy: Play, tmp_path: Path) -> None:
    entry, path = read_entry(copy.challenge.entry_file("adamw")), tmp_path / "thief.json"
    for change in ({}, {"ledger": "0" * 64}, {"weights": "0" * 64}):
        path.write_text(json.dumps(vars(entry) | {"name": "thief", "title": "my own idea"} | change))
        with pytest.raises(UserError, match="thief has the hashes of adamw, which is received already"):
            receive(ReceiveConfig(str(copy.challenge.folder), str(path)))
    assert receive(ReceiveConfig(str(copy.challenge.folder), f"{copy.folder}/runs/adamw.entry.json"))


def test_ramps_cost_what_the_ledger_of_the_run_says(play: Play, tmp_path: Path) -> None:
    """Steps that were done again count twice, each with its own batch and attention length."""
    run_dir = shutil.copytree(play.run("adamw"), tmp_path / "ramped")

    def ramp(line: dict[str, Any]) -> None:
        if "config" in line:
            line["config"]["train"]["batch_ramp"] = {"0": 2, "3": 4, "6": 8}
            line["config"]["data"]["length_ramp"] = {"0": 16, "4": 64}

    rewrite(run_dir, ramp)
    record = read_record(run_dir)
    batches, model = [2, 2, 2, 4, 4, 4, 8, 8], record.config.model
    flops = [64 * size * model.flops_per_token(16 if step < 4 else 64) for step, size in enumerate(batches)]
    spent = spent_by(record, 10**9)
    assert (spent.steps, spent.tokens, spent.flops) == (8, 64 * sum(batches), sum(flops))
    assert [point[0] for point in curve_of(record)] == list(accumulate(flops))
    again = [line for line in record.lines if line["event"] == "step" and line["step"] in (1, 8)]
    plain = replace(record.config, train=replace(record.config.train, batch_ramp={}))
    for configs in ([record.config, plain], [plain, record.config]):
        (fault,) = changes_of(configs, [1, 1])
        assert re.fullmatch(r"the run changed train.batch_ramp from \{.*\} to \{.*\}", fault.detail)
    twice = spent_by(replace(record, lines=[*record.lines, *again]), 10**9)
    assert twice.flops == sum(flops) + flops[0] + flops[-1]
    (fault,) = over_budget(record, spent, replace(play.challenge.track, flops=spent.flops - 1))
    assert "8 steps of up to 512 tokens" in fault.detail


def hostile(run_dir: Path) -> Iterator[tuple[str, Callable[[], object], str]]:
    """Fault, what is done to a run directory, and what the fault says."""
    ledger, facts = run_dir / "ledger.jsonl", run_dir / "run.json"

    def config(**options: Any) -> Callable[[], object]:
        def change(line: dict[str, Any]) -> None:
            if "config" in line:
                for name, value in options.items():
                    part, _, key = name.partition("__")
                    line["config"][part][key] = value

        return lambda: rewrite(run_dir, change)

    def link(path: Path, target: str) -> Callable[[], object]:
        return lambda: (shutil.move(path, path.with_name("moved")), path.symlink_to(target))

    yield "bad files", link(ledger, "moved"), "ledger.jsonl cannot be read: it is a link"
    yield "bad files", link(ledger, "/etc/passwd"), "it is a link"
    yield "bad files", link(run_dir / "data", "moved"), "data/manifest.json cannot be read"
    yield "bad files", lambda: (ledger.unlink(), os.mkfifo(ledger)), "ledger.jsonl is no plain file"
    yield "bad files", lambda: os.truncate(facts, 17 << 20), "run.json has more than 16,777,216 bytes"
    yield "broken ledger", lambda: ledger.write_text("[" * 100_000 + "\n"), "line 1 is damaged"
    yield "broken ledger", lambda: ledger.write_text(ledger.read_text().replace("8.", "7.", 1)), "line"
    yield "settings", config(optim__name="${oc.env:HOME}"), "has an interpolation"
    yield "settings", config(optim__magic=1), "the option optim.magic is unknown"
    yield "settings", config(model__hidden_size=-1), "hidden_size"
    yield "settings", config(guard__on_spike="rollback"), "trains on other batches"
    yield "settings", config(train__global_batch_size=1 << 20), "tokens a step; allowed"


def test_hostile_run_directories(play: Play, tmp_path: Path) -> None:
    total = len(list(hostile(tmp_path)))
    for number in range(total):
        run_dir = shutil.copytree(play.run("adamw"), tmp_path / f"run-{number}")
        fault, attack, message = list(hostile(run_dir))[number]
        attack()
        try:
            found = examine(play.challenge, run_dir, tmp_path / f"copy-{number}", [4, 8]).faults
        except Refused as error:
            found = [error.fault]
        assert any(each.name == fault and message in each.detail for each in found), (message, found)


def test_practice_scores_public_text(play: Play) -> None:
    scores = practise(PracticeConfig(str(play.challenge.folder), str(play.run("adamw"))))
    assert 1 < scores["mean"] < 8 and scores["ko"]["low"] < scores["ko"]["value"] < scores["ko"]["high"]
    with pytest.raises(UserError, match="was trained on other shards"):
        practise(PracticeConfig(str(play.challenge.folder), str(play.run("leaked"))))


def test_opening_refuses_text_that_is_known(
    play: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = replace(play.config, output=str(tmp_path / "o"), secret=str(tmp_path / "s"))
    for change, message in (
        ({"secret": str(tmp_path / "o" / "s")}, "would be published with it"),
        ({"unique_tokens": 1000}, "training tokens, the track custom allows 1,000"),
        ({"corpus": str(play.folder / "leak" / "corpus")}, "is not packed from corpus="),
        ({"heldout": "/no/such"}, "heldout=/no/such does not exist"),
        ({"output": str(play.challenge.folder)}, "exists; choose another folder"),
    ):
        with pytest.raises(UserError, match=message):
            create(replace(again, **change))
    known = [text for text in read_texts(play.challenge.practice) if text.lang == "ko"][:3]
    with (tmp_path / "known.jsonl").open("w") as stream:
        stream.write((play.folder / "heldout.jsonl").read_text())
        stream.writelines(json.dumps({"text": text.text, "lang": "ko"}) + "\n" for text in known)
    with pytest.raises(UserError, match=r"3 of 13 held-out documents stand in the training text \(\d\)"):
        create(replace(again, heldout=str(tmp_path / "known.jsonl")))
    for text in known:
        assert repr(" ".join(text.text[:80].split())) in caplog.text, "each is named"
    with pytest.raises(UserError, match="track=custom needs flops="):
        InitConfig("o", "t", "c", "h", "s", track="custom")


def test_a_replay_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    command = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])"]
    with (tmp_path / "output").open("wb") as output:
        assert replaying.run(command, output.fileno(), 0.3) is None
        assert replaying.run([sys.executable, "-c", "raise SystemExit(3)"], output.fileno(), 9.0) == 3


def test_the_command(play: Play) -> None:
    assert "Rules: docs/challenge.md" in run_command("challenge").stdout
    done = run_command("challenge", "bord", check=False)
    assert (done.returncode, "did you mean 'board'?" in done.stderr) == (2, True)
    done = run_command("challenge", "board", "challenge=/no/such", check=False)
    assert "has no challenge.json; onnuri challenge init makes one" in done.stderr
    words = [f"challenge={play.challenge.folder}", f"run_dir={play.run('longer')}", "name=longer"]
    done = run_command("challenge", "commit", *words, check=False)
    assert (done.returncode, "not committed: over the FLOPs budget: " in done.stdout) == (1, True)


@pytest.mark.skipif(not SOAK, reason="two ranks, and replays that import everything: make soak")
def test_the_commands_with_two_ranks(play: Play, sample: Sample, tmp_path: Path) -> None:
    """Both sides by the console alone; the replay of a run on two ranks is a torchrun of its own."""
    public, secret, run_dir = tmp_path / "public", tmp_path / "secret", tmp_path / "run"

    def challenge(part: str, *words: str, check: bool = True) -> str:
        done = run_command("challenge", part, *words, check=check)
        return done.stdout + done.stderr

    sources = [f"{name}={sample(name)}" for name in ("tokens", "corpus")]
    sources.append(f"heldout={play.config.heldout}")
    budget = [
        "track=custom",
        "flops=1e10",
        "unique_tokens=2_000_000",
        "parameters=200_000",
        "checkpoints=4",
    ]
    challenge("init", f"output={public}", f"secret={secret}", *sources, *budget, "kopairs_items=20")
    script, tokens = SCRIPTS / "pretrain.py", f"data={public}/tokens"
    steps = [*STEPS, "train.steps=16"]
    torchrun(2, script, tokens, f"run_dir={run_dir}", *TINY_MODEL, *steps, "optim=muon")
    here = f"challenge={public}"
    assert "the ranking" in challenge("practice", here, f"run_dir={run_dir}")
    assert "entry " in challenge("commit", here, f"run_dir={run_dir}", "name=two-ranks", "title='두 개'")
    forged = shutil.copytree(run_dir, tmp_path / "forged")
    rewrite(forged, edit_loss)
    path = forged_entry(open_challenge(str(public)), forged, "forged", tmp_path / "forged.json")
    for entry in (tmp_path / "two-ranks.entry.json", path):
        assert "receipt " in challenge("receive", here, f"entry={entry}")
    challenge("reveal", here, f"secret={secret}")
    words = [here, "intervals=-1"]
    shown = challenge("verify", *words, "name=two-ranks", f"run_dir={run_dir}")
    assert "4 of 4 intervals (16 steps) replayed to the bit" in shown
    shown = challenge("verify", *words, "name=forged", f"run_dir={forged}", check=False)
    assert "refused: edited loss: step 6 gives" in shown
    assert "  1 two-ranks" in challenge("board", here)
