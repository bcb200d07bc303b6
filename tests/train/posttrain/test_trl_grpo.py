"""Advantages, loss and gradients of objective=grpo are those of TRL's GRPOTrainer with loss_type="dapo"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.chat.data.pack_tasks import pack_tasks
from onnuri.chat.programmed.config import MakeConfig
from onnuri.chat.programmed.make import make
from onnuri.config import CONFIG_ROOT, compose
from onnuri.tokens.config import PackConfig
from onnuri.train.config import PretrainConfig
from onnuri.train.objectives.grpo import (
    TaskSource,
    answer_inputs,
    group_advantages,
    loss_sum,
    open_source,
)
from onnuri.train.rollouts import Rollouts
from onnuri.train.run_plan import make_plan
from tests.conftest import save_model, untrained_model
from tests.train.posttrain.beside_trl import COMMON, decoder, difference
from tests.train.tuning_shards import CPU

pytest.importorskip("trl", reason="TRL is not installed: make test-posttrain installs it")
from trl import GRPOConfig, GRPOTrainer

pytestmark = pytest.mark.extra("posttrain")

Sample = Callable[[str], str]
GROUP = 4
WEIGHTS = {"right": 1.0, "stopped": 0.1}
TOLD_APART = [
    [(1, 1), (0, 1), (0, 0), (0, 1)],
    [(0, 0), (0, 0), (0, 1), (0, 0)],
    [(1, 1), (1, 1), (1, 1), (0, 0)],
    [(1, 1), (0, 0), (1, 1), (0, 1)],
]
"""Whether each answer of a group is right, and whether it stopped."""
ALIKE = [(0, 0)] * GROUP
MICRO_BATCH, RANKS = 2, 2


class Folders(NamedTuple):
    """Weights as a Hugging Face folder, and packed tasks."""

    policy: Path
    prompts: Path


@pytest.fixture(scope="module")
def folders(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("grpo")
    save_model(untrained_model(1024, 1024), sample("tokenizer"), folder / "policy")
    make(MakeConfig(output=str(folder / "tasks"), families=["josa"], count=5, difficulty=1))
    words = {"input": str(folder / "tasks"), "tokenizer": sample("tokenizer"), "heldout_share": 0.0}
    pack_tasks(PackConfig(kind="tasks", output=str(folder / "prompts"), **words))
    return Folders(folder / "policy", folder / "prompts")


class Step(NamedTuple):
    """Answers, as both sides get them."""

    config: PretrainConfig
    source: TaskSource
    rollouts: Rollouts

    @property
    def rewards(self) -> np.ndarray:
        """[groups, GROUP]."""
        return self.source.rewards(self.rollouts.parts).reshape(-1, GROUP)


def answered(
    folders: Folders,
    run_dir: Path,
    verdicts: list[list[tuple[int, int]]],
    sequence_length: int,
    scale: bool,
    shared: bool = True,
) -> Step:
    """Random answers, with log-probabilities recorded from weights that were not quite the policy's."""
    words = [
        *("objective=grpo", f"data={folders.prompts}", f"data.sequence_length={sequence_length}"),
        *(f"run_dir={run_dir}", f"train.global_batch_size={len(verdicts) * GROUP}"),
        *(
            f"grpo.group_size={GROUP}",
            f"grpo.rewards={{right:{WEIGHTS['right']},stopped:{WEIGHTS['stopped']}}}",
        ),
        *(f"grpo.scale_rewards={str(scale).lower()}", f"grpo.share_prompts={str(shared).lower()}"),
    ]
    plan = make_plan(compose(PretrainConfig, words, CONFIG_ROOT, "tune"))
    source = open_source(plan, run_dir)
    documents = np.repeat(source.documents(0), GROUP)
    model = AutoModelForCausalLM.from_pretrained(folders.policy)
    generator = torch.Generator().manual_seed(3)
    answers, logprobs = [], []
    for document in documents.tolist():
        prompt = torch.tensor(source.prompts[document].ids)
        length = int(torch.randint(1, 40, (1,), generator=generator))
        answer = torch.randint(1024, (length,), generator=generator)
        with torch.no_grad():
            logits = model(torch.cat([prompt, answer])[None]).logits[0, len(prompt) - 1 : -1]
        found = logits.log_softmax(-1).gather(1, answer[:, None])[:, 0]
        answers.append(answer.numpy())
        logprobs.append((found + 0.4 * torch.randn(found.shape, generator=generator)).numpy())
    parts = [(right, stopped, stopped) for group in verdicts for right, stopped in group]
    lengths = np.array([len(answer) for answer in answers])
    return Step(
        plan.config,
        source,
        Rollouts(documents, lengths, np.concatenate(answers), np.concatenate(logprobs), np.float32(parts)),
    )


@pytest.fixture(autouse=True)
def experimental(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL warns of `rollout_func`."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def trl_inputs(step: Step, policy: Path, folder: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """TRL's trainer, and what it makes of the answers in the place of its own."""
    answers = step.rollouts.answers()

    def rollout(prompts: list[str], _: Any) -> dict[str, list[list[float]]]:
        assert len(prompts) == len(answers)
        return {
            "prompt_ids": [
                list(step.source.prompts[each].ids) for each in step.rollouts.documents.tolist()
            ],
            "completion_ids": [ids.tolist() for ids, _ in answers],
            "logprobs": [logprobs.tolist() for _, logprobs in answers],
        }

    def right(right: list[float], **_: Any) -> list[float]:
        return right

    def stopped(stopped: list[float], **_: Any) -> list[float]:
        return stopped

    trainer = GRPOTrainer(
        model=str(policy),
        reward_funcs=[right, stopped],
        args=GRPOConfig(
            output_dir=str(folder),
            model_init_kwargs={"dtype": "float32"},
            per_device_train_batch_size=len(answers),
            num_generations=GROUP,
            reward_weights=list(WEIGHTS.values()),
            loss_type="dapo",
            beta=0.0,
            epsilon=0.2,
            epsilon_high=0.28,
            scale_rewards="group" if step.config.grpo.scale_rewards else "none",
            temperature=1.0,
            vllm_importance_sampling_correction=False,
            **COMMON,
        ),
        processing_class=AutoTokenizer.from_pretrained(policy),
        train_dataset=Dataset.from_list([{"prompt": "a"}]),
        rollout_func=rollout,
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # its training loop sets it
    rows = [
        {"prompt": "a", "right": float(right), "stopped": float(stopped)}
        for right, stopped, _ in step.rollouts.parts
    ]
    inputs = trainer._generate_and_score_completions(rows)
    # With one step for each batch TRL takes the ratio to be 1 and keeps nothing to compare with.
    assert "old_per_token_logps" not in inputs
    return trainer, inputs | {"old_per_token_logps": inputs["sampling_per_token_logps"]}


def our_sums(step: Step, model: Any) -> torch.Tensor:
    """Loss and measures over all micro-batches of all ranks."""
    step.source.take(0, step.rollouts)
    found = []
    for micro in range(-(-step.source.num_rows(0) // (MICRO_BATCH * RANKS))):
        for rank in range(RANKS):
            batch = step.source.micro_batch(0, micro, rank, RANKS, MICRO_BATCH)
            found.append(loss_sum(model, answer_inputs(batch, step.config.data, CPU), step.config))
    return torch.stack(found).sum(0)


@pytest.mark.parametrize("scale", [True, False], ids=["scaled", "not scaled"])
@pytest.mark.parametrize(
    ("length", "shared"),
    [(512, True), (512, False), (128, False)],
    ids=["shared prompts", "packed", "an answer a row"],
)
def test_loss_and_gradients(
    length: int, shared: bool, scale: bool, folders: Folders, tmp_path: Path
) -> None:
    step = answered(folders, tmp_path / "run", TOLD_APART, length, scale, shared)
    trainer, inputs = trl_inputs(step, folders.policy, tmp_path / "out")
    theirs = trainer.compute_loss(trainer.model, inputs)
    ours = decoder(folders.policy)
    sums = our_sums(step, ours)
    num_targets, num_rows = step.source.num_targets(0), step.source.num_rows(0)
    assert num_targets == int(inputs["num_items_in_batch"])
    num_answers = len(step.rollouts.lengths)
    assert num_rows == num_answers if length == 128 else 1 < num_rows < num_answers / 2
    found = difference(ours, sums[0] / num_targets, trainer, theirs, tmp_path / "gradients")
    assert found.loss <= 1e-5 and found.gradient <= 1e-4
    shares = {
        name: values[-1] for name, values in trainer._metrics["train"].items() if "clip_ratio" in name
    }
    assert shares["clip_ratio/low_mean"] > 0.05 and shares["clip_ratio/high_mean"] > 0.05
    assert sums[1].item() / num_targets == pytest.approx(shares["clip_ratio/region_mean"])


def test_a_group_whose_rewards_are_equal_is_only_in_the_divisor_of_trl(
    folders: Folders, tmp_path: Path
) -> None:
    step = answered(folders, tmp_path / "run", [*TOLD_APART, ALIKE], 512, True)
    trainer, inputs = trl_inputs(step, folders.policy, tmp_path / "out")
    theirs = trainer.compute_loss(trainer.model, inputs)
    ours = decoder(folders.policy)
    sums = our_sums(step, ours)
    num_targets, counted = step.source.num_targets(0), int(inputs["num_items_in_batch"])
    assert counted == step.rollouts.lengths.sum()
    assert num_targets == step.rollouts.lengths[:-GROUP].sum()
    scaled = theirs * (counted / num_targets)
    found = difference(ours, sums[0] / num_targets, trainer, scaled, tmp_path / "gradients")
    assert found.loss <= 1e-5 and found.gradient <= 1e-4


@pytest.mark.parametrize("scale", [True, False], ids=["scaled", "not scaled"])
def test_advantages(scale: bool, folders: Folders, tmp_path: Path) -> None:
    step = answered(folders, tmp_path / "run", [*TOLD_APART, ALIKE], 512, scale)
    _, inputs = trl_inputs(step, folders.policy, tmp_path / "out")
    ours = group_advantages(step.rewards, scale)
    assert np.abs(ours[:-1]).max(axis=1).min() > 0.05 and not ours[-1].any()
    assert np.abs(ours.ravel() - inputs["advantages"].numpy()).max() <= 1e-5
