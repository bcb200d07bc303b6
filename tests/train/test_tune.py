"""`onnuri tune` on real ranks: conversations and pairs, through kills, with a ledger to check."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.verify import verify
from onnuri.run.chain import read
from onnuri.run.checkpoints import list_checkpoints
from onnuri.train.config import PretrainConfig
from onnuri.train.objectives import OBJECTIVES
from onnuri.train.objectives.dpo import MEASURES
from onnuri.train.run_plan import make_plan
from tests.conftest import SCRIPTS, made_once, our_traceback_lines, run_command, torchrun, torchrun_command
from tests.processes import Process
from tests.soak import SOAK

Sample = Callable[[str], str]
KILLED = Path(__file__).with_name("killed_tuning.py")
STEPS = 10
WORDS = [
    *("data.sequence_length=1024", "train.global_batch_size=8", "engine.micro_batch_size=2"),
    *(f"train.steps={STEPS}", "train.checkpoint_every=4", "train.keep_checkpoints=0"),
    *("train.validate_every=0", "train.validation_tokens=2048"),
    *("engine.precision=fp32", "optim.lr=1e-3", "schedule.warmup_steps=2", "dpo.beta=0.5"),
]


@pytest.fixture(scope="module")
def data(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tasks of all families, as conversations and as pairs."""

    def make(folder: Path) -> None:
        for kind, made in (("chat", "sft"), ("preference", "pairs")):
            run_command("tasks", "make", f"output={folder / made}", f"kind={made}", "count=3")
            words = [f"input={folder / made}", f"tokenizer={sample('tokenizer')}"]
            run_command("pack", *words, f"kind={kind}", f"output={folder / kind}")

    folder = made_once(tmp_path_factory, "tuning", make)
    return {"sft": folder / "chat", "dpo": folder / "preference", "text": Path(sample("tokens"))}


Tune = Callable[..., Path]


@pytest.fixture(scope="module")
def tune(undisturbed: Path, data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Tune:
    """Tune the model of the sample run; each run without an interruption once."""
    done: dict[tuple[Any, ...], Path] = {}

    def words(objective: str, run_dir: Path, *more: str) -> list[str]:
        given = [f"objective={objective}", f"train.init_from={undisturbed}", f"data={data[objective]}"]
        return [*given, f"run_dir={run_dir}", *WORDS, *more]

    def run(objective: str, ranks: int, run_dir: Path | None = None, *more: str, kill: str = "") -> Path:
        if run_dir is None:
            if (objective, ranks) not in done:
                folder = tmp_path_factory.mktemp("runs") / objective
                done[objective, ranks] = run(objective, ranks, folder, *more)
            return done[objective, ranks]
        if not kill:
            said = torchrun(ranks, SCRIPTS / "tune.py", *words(objective, run_dir, *more))
            (run_dir / "said").write_text(said.stdout + said.stderr)
            return run_dir
        command = torchrun_command(ranks, KILLED, *words(objective, run_dir, *more))
        environment = {**os.environ, "KILL_AT": kill}
        assert Process(command, environment=environment).wait(timeout=240) != 0
        return run_dir

    return run


def steps(run_dir: Path) -> list[dict[str, Any]]:
    found = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if "loss" in line]


def losses(run_dir: Path) -> list[float]:
    return [line["loss"] for line in steps(run_dir)]


def test_conversations_on_any_number_of_ranks(tune: Tune, data: dict[str, Path]) -> None:
    one, two = tune("sft", 1), tune("sft", 2)
    assert losses(one) == pytest.approx(losses(two), abs=1e-5)
    assert len(losses(two)) == STEPS
    assert losses(two)[-1] < losses(two)[0] - 0.2
    stored = json.loads((two / "run.json").read_text())
    assert stored["config"]["objective"] == "sft"
    last = json.loads((two / "metrics.jsonl").read_text().splitlines()[-1])
    assert list(last["bits_per_byte"]) == ["chat-ko"]
    trained = manifest.read(data["sft"], "tokens").counts["chat"]["trained_tokens"]
    recorded = [line for line in read(two) if line["event"] == "sources"][-1]["tokens"]
    epochs = steps(two)[-1]["epoch"]
    assert sum(recorded.values()) == pytest.approx(trained * epochs, rel=0.05)
    assert steps(two)[-1]["tokens"] > 2 * sum(recorded.values()), "tokens of the prompts are read too"


def test_pairs_begin_at_the_reference(tune: Tune) -> None:
    found = steps(tune("dpo", 2))
    assert found[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert found[0]["margin"] == pytest.approx(0, abs=1e-4)
    assert {*MEASURES} <= found[0].keys()
    assert found[-1]["margin"] > 0.05 and found[-1]["loss"] < found[0]["loss"]
    lines = list(map(json.loads, (tune("dpo", 2) / "metrics.jsonl").read_text().splitlines()))
    (held_out,) = [line["held_out"] for line in lines if "held_out" in line]
    assert list(held_out) == ["loss", *MEASURES]
    assert held_out["loss"] != pytest.approx(math.log(2), abs=1e-4), "scored with the last weights"
    files = [line for line in read(tune("dpo", 2)) if line["event"] == "file"]
    assert [line["path"] for line in files] == ["data/reference.npy", "data/reference-heldout.npy"]


@pytest.mark.parametrize("objective", ["sft", *["dpo"] * SOAK])
def test_killed_and_resumed_bit_for_bit(objective: str, tune: Tune, tmp_path: Path) -> None:
    """In the second micro-batch of the seventh step; pairs before the first step too."""
    run_dir, whole = tmp_path / "run", tune(objective, 2)
    if objective == "dpo":
        tune(objective, 2, run_dir, kill="reference")
        assert (run_dir / "data" / "reference.npy").is_file() and not list_checkpoints(run_dir)
    tune(objective, 2, run_dir, kill="14")
    assert len(losses(run_dir)) == 6
    tune(objective, 2, run_dir)
    assert "resumes after step 4" in (run_dir / "said").read_text()
    assert [line["loss"] for line in steps(run_dir)] == losses(whole)
    folder, other = (list_checkpoints(each)[0] for each in (run_dir, whole))
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(names) == 2
    for name in names:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    assert verify(VerifyConfig(str(run_dir))) == []


def problems(run_dir: Path, data: Path | str = "") -> list[str]:
    return verify(VerifyConfig(str(run_dir), str(data)))


def edit(path: Path, place: int) -> None:
    """Another number at one place."""
    values = np.load(path)
    values.flat[place] += 1
    np.save(path, values)


def test_the_ledger_tells_of_another_reference(tune: Tune, tmp_path: Path) -> None:
    whole = tune("dpo", 2)
    result = run_command("ledger", "verify", f"run={whole}", "replay=2")
    assert f"ran steps {STEPS - 1} to {STEPS} again" in result.stdout
    run_dir = Path(shutil.copytree(whole, tmp_path / "run"))
    edit(run_dir / "data" / "reference.npy", 3)
    result = run_command("ledger", "verify", f"run={run_dir}", "replay=2", check=False)
    assert result.returncode == 1 and result.stdout.count("\n") == 1 and not result.stderr
    assert result.stdout.startswith("data/reference.npy is not the file that ledger.jsonl line ")
    shutil.copyfile(whole / "data" / "reference.npy", run_dir / "data" / "reference.npy")
    (run_dir / "data" / "reference-heldout.npy").unlink()
    (line,) = problems(run_dir)
    assert line.startswith("data/reference-heldout.npy is missing, ledger.jsonl line ")


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_the_ledger_tells_of_another_turn(
    objective: str, tune: Tune, data: dict[str, Path], tmp_path: Path
) -> None:
    run_dir = tune(objective, 2)
    assert problems(run_dir) == []
    shards = Path(shutil.copytree(data[objective], tmp_path / "shards"))
    path = sorted(shards.glob("train-*.tokens.npy"))[0]
    turns = np.load(path.with_name(path.name.replace(".tokens.", ".trained.")))
    edit(path, int(turns["offset"][1]))
    (line,) = problems(run_dir, shards)
    assert f"{path} does not match the hash" in line
    facts = json.loads((shards / "manifest.json").read_text())
    manifest.seal(shards, "tokens", facts["settings"], facts["inputs"], facts["counts"])
    (line,) = problems(run_dir, shards)
    assert line.startswith(f"{shards} holds other shards than ledger.jsonl line ")


@pytest.mark.parametrize("harm", ["is missing", "is not the file that the ledger records"])
def test_without_its_reference_a_run_does_not_resume(
    harm: str, tune: Tune, undisturbed: Path, data: dict[str, Path], tmp_path: Path
) -> None:
    run_dir = Path(shutil.copytree(tune("dpo", 2), tmp_path / "run"))
    path = run_dir / "data" / "reference.npy"
    if harm == "is missing":
        path.unlink()
    else:
        np.save(path, np.load(path) + 1)
    words = ["objective=dpo", f"data={data['dpo']}", f"train.init_from={undisturbed}", *WORDS]
    words += [f"run_dir={run_dir}", f"train.steps={STEPS + 1}"]
    result = torchrun(1, SCRIPTS / "tune.py", *words, check=False)
    ours = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert ours == [
        f"error: {run_dir}/data/reference.npy {harm}; bring it back from a copy, or start over with "
        "another run_dir"
    ]
    assert our_traceback_lines(result.stderr) == []


NO_TALKS = "objective=sft learns from conversations, and data={} holds none: pack with kind=chat"
NO_PAIRS = "objective=dpo learns from pairs, and data={} holds none: pack with kind=preference"
REFUSED = [
    ("sft text", "", NO_TALKS),
    ("sft dpo", "", NO_TALKS),
    ("dpo text", "", NO_PAIRS),
    ("dpo sft", "", NO_PAIRS),
    ("next_token dpo", "", "data={} holds preference pairs, half of them rejected answers; objective=dpo"),
    ("dpo dpo", "data.sequence_length=64", "no pair fits data.sequence_length=64; the longest has "),
    ("dpo dpo", "data.document_mask=false", "objective=dpo needs data.document_mask=True: an answer must"),
    ("dpo dpo", "data.packing=concatenate data.reshuffle=documents", "needs data.reshuffle=windows: the"),
    ("dpo dpo", "data.length_ramp={0:512,5:1024}", "objective=dpo needs data.length_ramp={{}}: pairs are"),
    ("dpo dpo", "train.z_loss=1e-4", "objective=dpo needs train.z_loss=0.0: it would count as a part of"),
]
"""Objective and data, words, and the message."""


@pytest.mark.parametrize(("what", "words", "message"), REFUSED)
def test_what_is_refused(
    what: str, words: str, message: str, data: dict[str, Path], tmp_path: Path
) -> None:
    objective, kind = what.split()
    given = [f"objective={objective}", f"data={data[kind]}", "data.sequence_length=1024", *words.split()]
    config = compose(PretrainConfig, given, CONFIG_ROOT, "tune")
    with pytest.raises(UserError) as caught:
        OBJECTIVES[objective].open_source(make_plan(config), tmp_path)
    assert message.format(data[kind]) in str(caught.value) and "\n" not in str(caught.value)


def test_a_refusal_is_one_line_of_the_command(
    data: dict[str, Path], undisturbed: Path, tmp_path: Path
) -> None:
    run_dir = f"run_dir={tmp_path / 'run'}"
    cases = {
        "train.init_from is needed: the model to tune, a Hugging Face folder or a run; onnuri pretrain": [],
        "objective=sft learns from conversations": [f"train.init_from={undisturbed}"],
    }
    for message, words in cases.items():
        result = run_command("tune", f"data={data['text']}", run_dir, *words, check=False)
        assert result.returncode == 2 and result.stderr.count("error: ") == 1
        assert f"error: {message}" in result.stderr and our_traceback_lines(result.stderr) == []
        assert not (tmp_path / "run" / "ledger.jsonl").exists()
