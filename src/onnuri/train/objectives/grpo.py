"""Group-relative policy optimization (arXiv 2402.03300, 2503.14476): tasks with checkers (`onnuri pack
kind=tasks`), answered by the model itself before each step.

Of the G answers to a task each is worth its reward against the mean of the group. Groups whose answers all
earn the same teach nothing and are left out, and counted. The loss is the mean over the tokens of the other
answers. Steps are taken on the answers of the weights that wrote them, so the ratio of probabilities that
is clipped differs from 1 by rounding alone.

B answers of a step, G of them to each task; S sequence length.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from onnuri.base.errors import UserError
from onnuri.chat.data.pack_tasks import TASKS_FILE, read_tasks
from onnuri.kernels.attention_mask import AttentionMask
from onnuri.model.dropout import Dropout
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokenizer.special import TURN_END
from onnuri.tokens.answers import Answer, AnswerBatch, Answered, answer_batch, fewest_rows
from onnuri.tokens.batch import IGNORE_INDEX
from onnuri.tokens.config import DataConfig
from onnuri.tokens.order import permute
from onnuri.tokens.shards import TokenShards
from onnuri.train.config import PretrainConfig
from onnuri.train.inputs import move, to_inputs
from onnuri.train.objectives.objective import Objective
from onnuri.train.rank_zero import on_rank_zero
from onnuri.train.rollouts import PARTS, Prompt, Rollouts, Writer, check_there, step_file

if TYPE_CHECKING:
    from onnuri.train.run_plan import RunPlan
    from onnuri.train.run_state import Run

MEASURES = ("clipped", "off_policy")
"""Share of tokens whose ratio is clipped; mean absolute difference of log-probabilities from those recorded
while generating."""
SMALLEST_DEVIATION = 1e-4
FAR_OFF = 0.1
"""Of off_policy. bf16 makes 0.004 at most (docs/tuning.md)."""


class AnswerInputs(NamedTuple):
    """`Inputs` of the rows, and what is known of their answers."""

    tokens: torch.Tensor
    targets: torch.Tensor
    mask: AttentionMask
    positions: torch.Tensor | None
    advantages: torch.Tensor
    logprobs: torch.Tensor
    dropout: Dropout | None = None


class TaskSource:
    """Tasks by step, and the rows that their answers make once they are written. A BatchSource."""

    def __init__(self, plan: RunPlan, split: str = "train") -> None:
        config, self.data = plan.config, plan.data
        self.options, self.config = config.grpo, config.data
        self.separator = int(self.data.counts["separator"])
        self.groups_per_step = config.train.global_batch_size // config.grpo.group_size
        folder = Path(config.data.path)
        shards = TokenShards.open(folder, split)
        tasks = read_tasks(folder)
        found = [
            Prompt(
                tasks[row["id"].decode()],
                [self.separator, *shards.read(int(row["offset"]), int(row["length"]) - 1).tolist()],
            )
            for row in shards.documents()
        ]
        self.prompts = [each for each in found if len(each.ids) < config.data.sequence_length]
        self.too_long = len(found) - len(self.prompts)
        if not self.prompts:
            shortest = min(len(each.ids) for each in found)
            raise UserError(
                f"no task of data={folder} fits data.sequence_length={self.config.sequence_length}; the "
                f"shortest prompt has {shortest} tokens"
            )
        self.unique_tokens = {"": sum(len(each.ids) for each in self.prompts)}
        self.said_far_off = False
        self._run_dir = Path(config.run_dir)
        self._step = -1
        self._rows: list[list[Answered]] = []

    def documents(self, step: int) -> np.ndarray:
        """The tasks of a step, int64 [groups]."""
        places = np.arange(step * self.groups_per_step, (step + 1) * self.groups_per_step)
        epochs, inside = np.divmod(places, len(self.prompts))
        found = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            own = epochs == epoch
            digest = hashlib.sha256(f"{self.config.seed}/tasks/{epoch}".encode()).digest()[:16]
            found[own] = permute(inside[own], len(self.prompts), int.from_bytes(digest, "big"))
        return found

    def take(self, step: int, rollouts: Rollouts) -> dict[str, float]:
        """Lay the answers of a step into rows. Returns what is logged of them."""
        rewards = self.rewards(rollouts.parts).reshape(-1, self.options.group_size)
        advantages = group_advantages(rewards, self.options.scale_rewards).ravel()
        varied = np.ptp(rewards, axis=1) > 0
        answers = [
            Answer(*each, float(advantage))
            for each, advantage in zip(rollouts.answers(), advantages, strict=True)
        ]
        size = self.options.group_size
        groups = [
            Answered(self.prompts[int(rollouts.documents[first])].ids, answers[first : first + size])
            for first in (np.flatnonzero(varied) * size).tolist()
        ]
        most = size if self.options.share_prompts else 1
        self._rows = fewest_rows(groups, most, self.config.sequence_length)
        self._step = step
        means = dict(zip(PARTS, rollouts.parts.mean(axis=0).tolist(), strict=True))
        return {
            "reward": float(rewards.mean()),
            **{"hidden_form" if name == "form" else name: value for name, value in means.items()},
            "answer_tokens": float(rollouts.lengths.mean()),
            "groups_left_out": float((~varied).sum()),
        }

    def rewards(self, parts: np.ndarray) -> np.ndarray:
        """The weighted sum of the parts that are rewarded, float64 [B]."""
        weights = [self.options.rewards.get(name, 0.0) for name in PARTS]
        return parts.astype(np.float64) @ np.array(weights)

    def num_targets(self, step: int) -> int:
        """See BatchSource: tokens of the answers that are learnt from."""
        return sum(each.num_targets for row in self._of(step) for each in row)

    def num_tokens(self, step: int) -> int:
        """See BatchSource. Generating is not counted."""
        return sum(each.num_tokens for row in self._of(step) for each in row)

    def num_rows(self, step: int) -> int:
        """See BatchSource."""
        return len(self._of(step))

    def _of(self, step: int) -> list[list[Answered]]:
        if step != self._step:
            raise RuntimeError(f"the answers of step {step} are not there; those of step {self._step} are")
        return self._rows

    def row_numbers(
        self, step: int, micro: int, dp_rank: int, dp_size: int, micro_batch_size: int
    ) -> range:
        """See BatchSource. Ranks take rows in turn, and compute no empty ones beside them: groups that are
        left out leave few. A rank that has none takes one behind the last."""
        start = micro * dp_size * micro_batch_size
        first, end = start + dp_rank, min(start + dp_size * micro_batch_size, self.num_rows(step))
        return range(first, max(end, first + 1), dp_size)

    def micro_batch(
        self, step: int, micro: int, dp_rank: int, dp_size: int, micro_batch_size: int
    ) -> AnswerBatch:
        """See BatchSource."""
        numbers = self.row_numbers(step, micro, dp_rank, dp_size, micro_batch_size)
        rows = self._of(step)[numbers.start : numbers.stop : numbers.step]
        return answer_batch(rows, len(numbers), self.config.sequence_length, self.separator)

    def document_ids(self, step: int) -> list[str]:
        """See BatchSource."""
        return sorted({self.prompts[number].task.id for number in self.documents(step).tolist()})

    def epochs(self, step: int) -> dict[str, float]:
        """See BatchSource."""
        return {"": step * self.groups_per_step / len(self.prompts)}

    def targets_by_source(self, step: int, since: int = 0) -> dict[str, int]:
        """See BatchSource: tokens of answers, those without an advantage too."""
        totals: dict[str, int] = {}
        for each in range(since, step):
            found = Rollouts.load(step_file(self._run_dir, each))
            for document, length in zip(found.documents.tolist(), found.lengths.tolist(), strict=True):
                name = f"onnuri-tasks/{self.prompts[document].task.family}"
                totals[name] = totals.get(name, 0) + length
        return totals

    def state(self, step: int) -> dict[str, Any]:
        """See BatchSource."""
        order = {"sequence_length": self.config.sequence_length, "seed": self.config.seed}
        groups = {"groups": self.groups_per_step, "group_size": self.options.group_size}
        return {"step": step, "data": self.data.identity, **order, **groups}

    def check_state(self, state: dict[str, Any]) -> None:
        """See BatchSource."""
        now = self.state(state["step"])
        for name in now | state:
            if state.get(name) != now.get(name):
                raise UserError(
                    f"the checkpoint's tasks have {name}={state.get(name)}, now it is {now.get(name)}"
                )

    def warnings(self, first_step: int) -> list[str]:
        """See BatchSource."""
        found, window = [], f"data.sequence_length={self.config.sequence_length}"
        if self.options.temperature != 1:
            found.append(
                f"grpo.temperature={self.options.temperature:g}: answers are drawn at it; the loss is "
                "of the probabilities at 1"
            )
        if self.too_long:
            found.append(
                f"{self.too_long} of {self.too_long + len(self.prompts)} tasks do not fit {window} and are "
                "left out"
            )
        room = self.config.sequence_length + 1 - self.options.max_tokens
        if tight := sum(len(each.ids) > room for each in self.prompts):
            found.append(
                f"{window} cuts answers to {tight} of {len(self.prompts)} tasks before grpo.max_tokens="
                f"{self.options.max_tokens}: with the longest prompt they need {self._needed()}"
            )

        shortest = min(len(each.ids) for each in self.prompts)
        two = shortest - 1 + 2 * self.options.max_tokens
        if self.options.share_prompts and two > self.config.sequence_length:
            found.append(
                f"{window} holds no prompt with two answers of grpo.max_tokens="
                f"{self.options.max_tokens}, and an answer alone shares nothing; with the shortest prompt "
                f"two need {two}"
            )
        return found

    def _needed(self) -> int:
        """The window in which an answer of grpo.max_tokens fits behind any prompt."""
        return max(len(each.ids) for each in self.prompts) + self.options.max_tokens - 1


def group_advantages(rewards: np.ndarray, scale: bool) -> np.ndarray:
    """Rewards [groups, G] above the mean of their group, with `scale` in standard deviations."""
    advantages = rewards - rewards.mean(axis=1, keepdims=True)
    if scale:
        advantages /= rewards.std(axis=1, ddof=1, keepdims=True) + SMALLEST_DEVIATION
    found: np.ndarray = advantages
    return found


def open_source(plan: RunPlan, folder: Path) -> TaskSource:
    """The tasks of a run. Raises UserError for options and shards that do not go with it."""
    config = plan.config
    if plan.data.counts.get("chat", {}).get("kind") != "tasks":
        raise UserError(
            f"objective=grpo learns from tasks, and data={config.data.path} holds none: pack with "
            "kind=tasks"
        )
    if config.train.global_batch_size % config.grpo.group_size:
        raise UserError(
            f"train.global_batch_size={config.train.global_batch_size} answers are no multiple of "
            f"grpo.group_size={config.grpo.group_size}"
        )
    for option, given in (
        ("train.batch_ramp", config.train.batch_ramp),
        ("data.mixture", config.data.mixture),
    ):
        if given:
            raise UserError(f"{option} does not go with objective=grpo")
    for option in ("document_mask", "reset_positions") if config.grpo.share_prompts else ():
        if not getattr(config.data, option):
            raise UserError(
                f"data.{option}=false does not go with shared prompts; set grpo.share_prompts=false"
            )
    if not (Path(config.data.path) / TASKS_FILE).is_file():
        raise UserError(f"data={config.data.path} lacks {TASKS_FILE}; pack again")
    return TaskSource(plan)


def answer_inputs(found: AnswerBatch, config: DataConfig, device: torch.device) -> AnswerInputs:
    """Rows and what is known of their answers, on the device."""
    inputs = to_inputs(found.batch, config, device)
    advantages, logprobs = (
        move(torch.from_numpy(each), device) for each in (found.advantages, found.logprobs)
    )
    rows = (inputs.tokens, inputs.targets, inputs.mask, inputs.positions)
    return AnswerInputs(*rows, advantages, logprobs)


def loss_sum(model: Any, inputs: AnswerInputs, config: PretrainConfig) -> torch.Tensor:
    """[1 + MEASURES], summed over the tokens of answers."""
    losses = model(
        tokens=inputs.tokens,
        targets=inputs.targets,
        mask=inputs.mask,
        positions=inputs.positions,
        dropout=inputs.dropout,
    )
    counted = inputs.targets != IGNORE_INDEX
    options = config.grpo
    change = torch.where(counted, -losses - inputs.logprobs, 0.0)
    ratio = change.exp()
    bounded = ratio.clamp(1 - options.clip_low, 1 + options.clip_high)
    advantages = torch.where(counted, inputs.advantages, 0.0)
    gains = torch.minimum(ratio * advantages, bounded * advantages)
    clipped = gains < ratio * advantages
    return torch.stack([-gains.sum(), clipped.detach().sum().float(), change.detach().abs().sum()])


def prepare(run: Run) -> None:
    """What answers are written and graded with. Raises UserError for a run that has lost answers."""
    source: Any = run.source
    with on_rank_zero(run.plan) as lead:
        for step in range(run.progress.step if lead and not run.plan.replay_until else 0):
            check_there(step_file(run.run_dir, step))
    tokenizer = load_tokenizer(Path(run.plan.config.data.path) / "tokenizer")
    stops = frozenset({source.separator, tokenizer.token_to_id(TURN_END)})
    source.writer = Writer(run, tokenizer, stops)
    source.held_out = None
    if run.plan.data.counts["heldout_shards"]:
        source.held_out = TaskSource(run.plan, "heldout").prompts[: run.plan.config.grpo.held_out_tasks]


def before_step(run: Run) -> dict[str, float]:
    """Write and grade the answers of the step, or read them in a replay."""
    source: Any = run.source
    step, size = run.progress.step, run.plan.config.grpo.group_size
    path = step_file(run.run_dir, step)
    if run.plan.replay_until:
        facts: dict[str, float] = source.take(step, Rollouts.load(path))
        return facts
    documents = np.repeat(source.documents(step), size)
    prompts = [source.prompts[number] for number in documents.tolist()]
    answers = source.writer.answer(prompts, f"step/{step}", run.plan.config.grpo.temperature)
    rollouts = Rollouts(
        documents,
        np.array([len(answer.ids) for answer, _ in answers], dtype=np.int64),
        np.concatenate([np.array(answer.ids, dtype=np.int64) for answer, _ in answers]),
        np.concatenate([np.array(answer.logprobs, dtype=np.float32) for answer, _ in answers]),
        np.array([parts for _, parts in answers], dtype=np.float32),
    )
    with on_rank_zero(run.plan) as lead:
        if lead:
            rollouts.save(path)
            run.record.keep_file(step + 1, path)
    facts = source.take(step, rollouts)
    return facts


def remarks(run: Run, measured: dict[str, Any]) -> list[str]:
    """Said once in a start: answers of other weights than those of the step."""
    source: Any = run.source
    dropped = run.plan.config.train.dropout  # nothing is dropped while answers are written
    if dropped or source.said_far_off or measured.get("off_policy", 0.0) <= FAR_OFF:
        return []
    source.said_far_off = True
    who = (
        f"does {run.plan.config.grpo.vllm} take the weights?"
        if run.plan.config.grpo.vllm
        else "see docs/tuning.md"
    )
    return [f"off_policy is {measured['off_policy']:.2f}: other weights wrote the answers; {who}"]


def held_out(run: Run) -> dict[str, float]:
    """PARTS of greedy answers to held-out tasks. A collective call."""
    source: Any = run.source
    if not source.held_out:
        return {}
    answers = source.writer.answer(source.held_out, "held out", 0.0)
    means = np.mean([parts for _, parts in answers], axis=0).tolist()
    return dict(zip(PARTS, means, strict=True)) | {
        "answer_tokens": float(np.mean([len(answer.ids) for answer, _ in answers]))
    }


OBJECTIVE = Objective(
    open_source, answer_inputs, loss_sum, MEASURES, prepare, before_step, remarks, held_out
)
