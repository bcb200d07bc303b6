"""A played challenge: the organiser, three entrants and forgers, made once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onnuri.challenge import replay as replaying
from onnuri.challenge.config import (
    CommitConfig,
    InitConfig,
    ReceiveConfig,
    VerifyConfig,
)
from onnuri.challenge.create import create
from onnuri.challenge.enter import commit
from onnuri.challenge.folder import Challenge, open_challenge
from onnuri.challenge.organise import receive
from onnuri.challenge.verify import verify
from tests.challenge.forge import forged_entry, rewrite
from tests.conftest import REPOSITORY, TINY_MODEL, run_command
from tests.processes import Process

Sample = Callable[[str], str]
STEPS = [
    "train.steps=8",
    "train.checkpoint_every=4",
    "train.keep_checkpoints=0",
    "engine.precision=fp32",
    "engine.threads_per_rank=1",
]
ENTRANTS = {
    "adamw": [],
    "muon": ["optim=muon", "optim.lr=5e-3"],
    "wide-and-shallow": ["model.num_layers=1", "model.hidden_size=96", "optim.lr=1e-2"],
}
FORGERS = {
    "longer": ["train.steps=16"],
    "larger": ["model.hidden_size=128", "model.intermediate_size=512"],
}


def forked(command: Sequence[str], output: int, seconds: float) -> int:
    """As `replay.run`, but forked from the tests' server: the same process without its imports."""
    assert command[0] == sys.executable
    with os.fdopen(os.dup(output), "wb") as stream:
        return Process(command, stream, stream, new_session=True).wait(seconds)


def heldout_text(path: Path) -> None:
    """The chapters of our own pages: Korean and English, and not in the sample corpus."""
    pages = {"README.ko.md": "ko", "docs/corpus.md": "en"}
    with path.open("w", encoding="utf-8") as stream:
        for name, language in pages.items():
            for text in (REPOSITORY / name).read_text(encoding="utf-8").split("\n## ")[:5]:
                stream.write(json.dumps({"text": text, "lang": language}, ensure_ascii=False) + "\n")


@dataclass
class Play:
    """A challenge with everything received, and the runs behind the entries. To be read or copied only."""

    challenge: Challenge
    folder: Path
    config: InitConfig

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name


def train(play_folder: Path, tokens: str, name: str, *words: str) -> None:
    run_dir = play_folder / "runs" / name
    run_command("pretrain", f"data={tokens}", f"run_dir={run_dir}", *TINY_MODEL, *STEPS, *words)


@pytest.fixture(scope="module")
def play(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Play:
    folder = tmp_path_factory.mktemp("challenge")
    heldout_text(folder / "heldout.jsonl")
    config = InitConfig(
        output=str(folder / "public"),
        tokens=sample("tokens"),
        corpus=sample("corpus"),
        heldout=str(folder / "heldout.jsonl"),
        secret=str(folder / "secret"),
        track="custom",
        flops=4.2e9,
        unique_tokens=2_000_000,
        parameters=200_000,
        checkpoints=2,
        kopairs_items=60,
        title="작은 <i>대회</i>",
    )
    challenge = create(config)
    for name, words in (ENTRANTS | FORGERS).items():
        train(folder, str(challenge.tokens), name, *words)
    leak = folder / "leak"
    run_command("corpus", "recipe=local", f"input={folder}/heldout.jsonl", f"output={leak}/corpus")
    run_command("pack", f"input={leak}/corpus", f"tokenizer={sample('tokenizer')}", f"output={leak}/tokens")
    train(folder, f"{leak}/tokens", "leaked")
    for name in ENTRANTS:
        made, faults = commit(
            CommitConfig(str(challenge.folder), str(folder / "runs" / name), name, title=f"{name} 항목")
        )
        assert faults == [] and made is not None
        receive(ReceiveConfig(str(challenge.folder), f"{folder}/runs/{name}.entry.json"))
    return Play(challenge, folder, config)


@pytest.fixture(autouse=True)
def replays_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "run", forked)


@pytest.fixture
def copy(play: Play, tmp_path: Path) -> Play:
    """The same play, to be changed."""
    folder = shutil.copytree(play.folder, tmp_path / "play", ignore=shutil.ignore_patterns("leak"))
    return Play(open_challenge(str(folder / "public")), folder, play.config)


def enter(play: Play, run: str, name: str, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A forged entry, received: a run under another name, changed by a forger who checks nothing."""
    run_dir = play.run(name)
    if run != name:
        shutil.copytree(play.run(run), run_dir)
    if change:
        rewrite(run_dir, change)
    path = forged_entry(play.challenge, run_dir, name, play.folder / f"{name}.json")
    receive(ReceiveConfig(str(play.challenge.folder), str(path)))
    return run_dir


def verified(play: Play, name: str, **options: Any) -> dict[str, Any]:
    config = VerifyConfig(str(play.challenge.folder), name, str(play.run(name)), **options)
    return verify(config)


def faults_of(play: Play, name: str, **options: Any) -> dict[str, str]:
    return {fault["name"]: fault["detail"] for fault in verified(play, name, **options)["faults"]}


def edit_loss(facts: dict[str, Any]) -> None:
    if facts["event"] == "step" and facts["step"] == 6:
        facts["loss"] -= 1e-4
