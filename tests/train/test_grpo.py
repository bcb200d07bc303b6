"""objective=grpo: answers written, graded, kept and learnt from; the same whatever interrupts the run."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.parallel.ranks import Ranks
from onnuri.run.chain import read
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.train.config import PretrainConfig
from onnuri.train.objectives.grpo import AnswerInputs, TaskSource, group_advantages, loss_sum, open_source
from onnuri.train.read_ahead import read_ahead
from onnuri.train.rollouts import Rollouts, step_file
from onnuri.train.run_plan import make_plan
from tests.checkpoint.stored import stored
from tests.conftest import (
    SCRIPTS,
    TINY_MODEL,
    made_once,
    our_traceback_lines,
    run_command,
    torchrun,
    torchrun_command,
)
from tests.full_disk import files_of_at_most
from tests.processes import Process
from tests.soak import SOAK

Sample = Callable[[str], str]
BROKEN = Path(__file__).with_name("broken_checker.py")
SHAPELESS = [word for word in TINY_MODEL if not word.startswith(("model.", "data.seq", "optim.lr"))]
COMMON = [*SHAPELESS, "data.sequence_length=128", "engine.precision=fp32"]
STEPS = 6
WORDS = [
    *("objective=grpo", f"train.steps={STEPS}", "train.checkpoint_every=2", "grpo.group_size=4"),
    *("train.global_batch_size=16", "grpo.max_tokens=12", "grpo.rewards={right:1.0,stopped:1.0}"),
    *("optim.lr=2e-3", "grpo.slots=5", "train.validate_every=3", "grpo.held_out_tasks=6"),
]


@pytest.fixture(scope="module")
def made(sample: Sample, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks, a model that has learnt to end its answers, and its run on them that nothing disturbs."""

    def make(folder: Path) -> None:
        for kind in ("sft", "tasks"):
            words = ["make", f"kind={kind}", "families=[josa]", "count=60", "difficulty=1"]
            run_command("tasks", *words, f"output={folder / kind}")
        packed = [f"tokenizer={sample('tokenizer')}", "heldout_share=0.1"]
        run_command(
            "pack", "kind=chat", f"input={folder / 'sft'}", *packed, f"output={folder / 'conversations'}"
        )
        run_command(
            "pack", "kind=tasks", f"input={folder / 'tasks'}", *packed, f"output={folder / 'prompts'}"
        )
        words = [f"train.init_from={undisturbed}", f"data={folder / 'conversations'}", *COMMON]
        words += [f"run_dir={folder / 'tuned'}", "train.steps=30", "optim.lr=1e-2", "engine.stage=0"]
        torchrun(1, SCRIPTS / "tune.py", *words)
        torchrun(2, SCRIPTS / "tune.py", *tuning(folder, folder / "run"))

    return made_once(tmp_path_factory, "grpo", make)


def tuning(made: Path, run_dir: Path, *words: str) -> list[str]:
    start = [f"train.init_from={made / 'tuned'}", f"data={made / 'prompts'}", f"run_dir={run_dir}"]
    return [*start, *COMMON, *WORDS, *words]


def lines(run_dir: Path) -> list[dict]:
    path = run_dir / "metrics.jsonl"
    whole = path.read_text().split("\n")[:-1] if path.is_file() else []
    return list(map(json.loads, whole))


def steps(run_dir: Path) -> dict[int, tuple[float, ...]]:
    names = ("loss", "grad_norm", "reward", "answer_tokens", "off_policy")
    return {line["step"]: tuple(line[name] for name in names) for line in lines(run_dir) if "loss" in line}


def test_what_a_run_shows(made: Path) -> None:
    shown = [line for line in lines(made / "run") if "loss" in line]
    assert len(shown) == STEPS
    for line in shown:
        assert 0 <= line["right"] <= line["hidden_form"] <= line["stopped"] <= 1
        assert line["reward"] == pytest.approx(line["right"] + line["stopped"])
        assert 1 <= line["answer_tokens"] <= 12
        assert line["off_policy"] < 1e-5, "written and trained on by the same weights"
        assert line["clipped"] == 0
    assert any(line["groups_left_out"] < 4 for line in shown), "nothing was learnt from"
    assert any(line["grad_norm"] > 0 for line in shown)
    held_out = [line["held_out"] for line in lines(made / "run") if "held_out" in line]
    assert len(held_out) == 2
    assert set(held_out[0]) == {"right", "stopped", "form", "answer_tokens"}


def test_killed_while_it_writes_it_ends_the_same_and_the_ledger_holds(made: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = Process(torchrun_command(2, SCRIPTS / "tune.py", *tuning(made, run_dir)), new_session=True)
    try:
        deadline = time.monotonic() + 240
        while not (run_dir / "checkpoints").is_dir() or max(steps(run_dir), default=0) < 3:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    torchrun(2, SCRIPTS / "tune.py", *tuning(made, run_dir))
    assert steps(run_dir) == steps(made / "run")
    expected = stored(made / "run", STEPS, "weight")
    for name, values in stored(run_dir, STEPS, "weight").items():
        assert np.array_equal(values, expected[name]), name
    for step in range(STEPS):
        assert step_file(run_dir, step).read_bytes() == step_file(made / "run", step).read_bytes()
    done = run_command("ledger", "verify", f"run={run_dir}", "replay=1")
    assert "all as recorded" in done.stderr + done.stdout

    path = step_file(run_dir, 1)
    found = Rollouts.load(path)
    found.parts[0, 0] = 1 - found.parts[0, 0]
    found.save(path)
    (number,) = [
        number
        for number, line in enumerate(read(run_dir), 1)
        if line["event"] == "file" and line["path"].endswith("2.safetensors")
    ][-1:]
    done = run_command("ledger", "verify", f"run={run_dir}", check=False)
    assert done.returncode != 0
    assert f"rollouts/{path.name} is not the file that ledger.jsonl line {number} records" in (
        done.stdout + done.stderr
    )


@pytest.mark.skipif(not SOAK, reason="another run")
def test_one_rank_and_stage_0_learn_alike(made: Path, tmp_path: Path) -> None:
    torchrun(1, SCRIPTS / "tune.py", *tuning(made, tmp_path / "run", "engine.stage=0", "train.steps=3"))
    found, expected = steps(tmp_path / "run"), steps(made / "run")
    assert len(found) == 3
    for step in found:
        assert found[step][2:4] == expected[step][2:4], "other answers were written"
        assert found[step][:2] == pytest.approx(expected[step][:2], rel=1e-3, abs=1e-5)


def test_a_checker_that_fails_ends_all_ranks_with_one_line(made: Path, tmp_path: Path) -> None:
    done = torchrun(2, BROKEN, *tuning(made, tmp_path / "broken"), check=False)
    assert "error: the checker of josa fails on task" in done.stderr
    assert "ZeroDivisionError: " in done.stderr
    assert our_traceback_lines(done.stderr) == []


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("grpo.group_size=3", "train.global_batch_size=16 answers are no multiple of grpo.group_size=3"),
        ("data=CONVERSATIONS", "objective=grpo learns from tasks, and data="),
        ("data.sequence_length=8", "no task of data=.* fits data.sequence_length=8; the shortest prompt"),
        ("train.batch_ramp={0:8,3:16}", "train.batch_ramp does not go with objective=grpo"),
        ("grpo.rewards={form:1.0}", "grpo.rewards=form is not known; allowed: right, stopped"),
        ("grpo.rewards={right:0.0,stopped:0.0}", "grpo.rewards has no weight but 0"),
        ("grpo.group_size=1", "grpo.group_size=1 must be at least 2"),
        (
            "data.document_mask=false",
            "data.document_mask=false does not go with shared prompts; set grpo.share_prompts=false",
        ),
        ("data.reset_positions=false", "data.reset_positions=false does not go with shared prompts; set"),
    ],
)
def test_mistakes(made: Path, tmp_path: Path, word: str, reason: str) -> None:
    words = tuning(made, tmp_path / "run", word.replace("CONVERSATIONS", str(made / "conversations")))
    with pytest.raises(UserError, match=reason):
        open_source(make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "tune")), tmp_path)


def test_answers_that_the_window_cuts_are_announced(made: Path, tmp_path: Path) -> None:
    def warnings(*words: str) -> list[str]:
        words = (*tuning(made, tmp_path / "run"), "grpo.share_prompts=false", *words)
        return open_source(
            make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "tune")), tmp_path
        ).warnings(0)

    (warning,) = warnings("grpo.max_tokens=100")
    assert "cuts answers to " in warning and "before grpo.max_tokens=100" in warning
    needed = int(warning.rpartition(" ")[2])
    assert warnings("grpo.max_tokens=100", f"data.sequence_length={needed}") == []
    assert len(warnings("grpo.max_tokens=100", f"data.sequence_length={needed - 1}")) == 1
    alone = ("grpo.max_tokens=100", "grpo.share_prompts=true", f"data.sequence_length={needed}")
    (warning,) = warnings(*alone)
    assert "holds no prompt with two answers of grpo.max_tokens=100" in warning
    assert warnings(*alone[:2], f"data.sequence_length={warning.rpartition(' ')[2]}") == []


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    ids = np.zeros(100_000, dtype=np.int64)
    rollouts = Rollouts(
        ids[:1], np.array([len(ids)]), ids, ids.astype(np.float32), np.zeros((1, 3), np.float32)
    )
    with files_of_at_most(100_000), pytest.raises(OSError, match="File too large") as caught:
        rollouts.save(tmp_path / "rollouts" / "step-1.safetensors")
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(tmp_path / "rollouts" / "step-1.safetensors")
    assert not list((tmp_path / "rollouts").glob("*.safetensors"))


def test_a_run_that_has_lost_answers_does_not_resume(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "run", tmp_path / "run")
    step_file(tmp_path / "run", 0).unlink()
    done = run_command("tune", *tuning(made, tmp_path / "run", f"train.steps={STEPS + 1}"), check=False)
    assert done.returncode == 2
    assert f"error: {step_file(tmp_path / 'run', 0)} is missing; bring it back from a copy" in done.stderr
    assert max(steps(tmp_path / "run")) == STEPS, "it has trained before it said so"


def test_ranks_compute_each_answer_once_and_no_empty_rows(made: Path, tmp_path: Path) -> None:
    words = tuning(made, tmp_path / "run", "data.sequence_length=96")
    source = open_source(make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "tune")), tmp_path)
    step = next(step for step in range(STEPS) if steps(made / "run")[step + 1][1] > 0)
    source.take(step, Rollouts.load(step_file(made / "run", step)))
    rows = source.num_rows(step)
    assert rows > 2
    for ranks, size in ((1, rows + 3), (2, rows), (2, 1), (3, 2)):
        batches = [
            source.micro_batch(step, micro, rank, ranks, size).batch
            for micro in range(-(-rows // (ranks * size)))
            for rank in range(ranks)
        ]
        targets = sum(int((each.targets != IGNORE_INDEX).sum()) for each in batches)
        assert targets == source.num_targets(step)
        assert sum(len(each.tokens) for each in batches) - rows < ranks, "empty rows are computed"
        assert all(len(each.tokens) <= size for each in batches)


def test_a_prompt_is_computed_once_for_its_answers(made: Path, tmp_path: Path) -> None:
    step = next(step for step in range(STEPS) if steps(made / "run")[step + 1][1] > 0)

    def taken(*words: str) -> TaskSource:
        words = (*tuning(made, tmp_path / "run"), *words)
        source = open_source(make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "tune")), tmp_path)
        source.take(step, Rollouts.load(step_file(made / "run", step)))
        return source

    shared, apart = taken(), taken("grpo.share_prompts=false", "data.document_mask=false")
    assert shared.num_targets(step) == apart.num_targets(step)
    assert shared.num_tokens(step) < apart.num_tokens(step) / 2
    assert not len(apart.micro_batch(step, 0, 0, 1, apart.num_rows(step)).batch.branches)


def test_a_run_older_than_an_option_is_as_it_was(made: Path, tmp_path: Path) -> None:
    """Options that a run does not read do not bind it."""
    conversations = [f"train.init_from={tmp_path}", f"data={made / 'conversations'}", *COMMON]
    conversations += ["train.steps=30", "optim.lr=1e-2", "engine.stage=0"]
    for name, words in (("run", tuning(made, tmp_path / "run")), ("tuned", conversations)):
        run_dir = tmp_path / name
        shutil.copytree(made / name, run_dir)
        stored = json.loads((run_dir / "run.json").read_text())
        del stored["config"]["grpo"]["share_prompts"]
        (run_dir / "run.json").write_text(json.dumps(stored))
        config = compose(PretrainConfig, [*words, f"run_dir={run_dir}"], CONFIG_ROOT, "tune")
        if name == "tuned":
            make_plan(config)
        else:
            with pytest.raises(UserError, match=r"started with grpo.share_prompts=False, now it is True"):
                make_plan(config)


def test_an_answer_has_its_dropout_on_any_ranks(made: Path, tmp_path: Path) -> None:
    words = tuning(made, tmp_path / "run", "data.sequence_length=96", "train.dropout=0.1")
    plan = make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "tune"))
    source = open_source(plan, tmp_path)
    step = next(step for step in range(STEPS) if steps(made / "run")[step + 1][1] > 0)
    source.take(step, Rollouts.load(step_file(made / "run", step)))

    def keys(ranks: int, size: int) -> list[list[int]]:
        """Of all rows, in their order."""
        found = {}
        for rank in range(ranks):
            own = replace(plan, ranks=Ranks(rank, ranks), micro_batch_size=size)
            batches = islice(
                read_ahead(source, own, step, torch.device("cpu")), own.micro_batches(source.num_rows(step))
            )
            for micro, inputs in enumerate(batches):
                numbers = source.row_numbers(step, micro, rank, ranks, size)
                rows = zip(inputs.tokens.tolist(), inputs.dropout.keys.tolist(), strict=True)
                found |= {number: [key, *row] for number, (row, key) in zip(numbers, rows, strict=True)}
        return [found[number] for number in range(source.num_rows(step))]

    expected = keys(1, 2)
    assert len({key for key, *_ in expected}) == source.num_rows(step)
    assert keys(2, 2) == keys(3, 1) == expected


def test_advantages() -> None:
    rewards = np.array([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    assert group_advantages(rewards, False).tolist() == [[0.5, -0.5, -0.5, 0.5], [0, 0, 0, 0]]
    scaled = group_advantages(rewards, True)
    assert scaled[0].tolist() == pytest.approx([0.5 / (3**-0.5 + 1e-4) * sign for sign in (1, -1, -1, 1)])
    assert scaled[1].tolist() == [0, 0, 0, 0]


def test_the_loss_is_clipped_on_the_side_that_pays() -> None:
    """Against the formula, token by token."""
    logprobs = torch.tensor([[-1.0, -2.0, -0.5, -3.0]], dtype=torch.float64)
    recorded = torch.tensor([[-1.5, -1.2, -0.5, -9.0]], dtype=torch.float64)
    advantages = torch.tensor([[1.0, -1.0, 2.0, 5.0]], dtype=torch.float64)
    targets = torch.tensor([[5, 6, 7, IGNORE_INDEX]])
    inputs = AnswerInputs(targets, targets, None, None, advantages, recorded)  # type: ignore[arg-type]
    config = PretrainConfig()
    found = loss_sum(lambda **_: -logprobs, inputs, config)
    expected = 0.0
    for new, old, advantage in [(-1.0, -1.5, 1.0), (-2.0, -1.2, -1.0), (-0.5, -0.5, 2.0)]:
        ratio = np.exp(new - old)
        expected -= min(ratio * advantage, np.clip(ratio, 0.8, 1.28) * advantage)
    assert float(found[0]) == pytest.approx(expected)
    assert found[1:].tolist() == pytest.approx([2, 0.5 + 0.8])


def test_rollouts_are_damaged_or_gone(made: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(made / "run", run_dir)
    path = step_file(run_dir, STEPS - 1)
    path.write_bytes(path.read_bytes()[:-10])
    done = run_command("ledger", "verify", f"run={run_dir}", check=False)
    assert f"{path.name} is not the file" in done.stdout + done.stderr
    path.unlink()
    done = run_command("ledger", "verify", f"run={run_dir}", check=False)
    assert f"{path.name} is missing" in done.stdout + done.stderr
