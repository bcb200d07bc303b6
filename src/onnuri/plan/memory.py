"""Memory of one rank, moment by moment, by what it holds; the run needs the largest of them.

What DeepSpeed 0.19 holds was read from its source and from the live tensors of real runs
(benchmarks/memory.py); tests/plan/test_memory.py holds it within 5 % of the measured peak.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnuri.plan import activations
from onnuri.plan.gathering import Gathered, gathered, largest_message
from onnuri.plan.machine import Setting

GIB = 2**30
FP32, ADAMW, MUON = 4, 8, 4
"""Bytes an element: float32; AdamW's two moments; Muon's momentum."""
REDUCED_AT_ONCE = 500_000_000
"""Elements that DeepSpeed sums in one message where gradients are not sharded."""
SUB_GROUP = 10**9
"""Elements of a rank that ZeRO-3 steps at once (`sub_group_size`)."""
CONTEXT = int(1.47 * GIB)
"""CUDA context, workspaces of cuBLAS: the middle of four runs on one H100 (docs/gpu.md)."""
FRAGMENTATION = 0.02
"""Of what comes and goes, what the allocator cannot use again: the most of those runs."""
SEVERAL_CONTEXT, SEVERAL_FRAGMENTATION = int(0.5 * GIB), 0.05
"""On several GPUs, NCCL's buffers, and fragmentation where messages come and go too: estimates."""
KINDS = (
    "parameters",
    "gradients",
    "fp32 master weights",
    "optimizer states",
    "average of the weights",
    "second copy in a node",
    "gathered parameters",
    "communication buckets",
    "activations",
    "logits and loss",
    "work of the optimizer",
    "context and fragmentation",
)


@dataclass
class Moment:
    """An instant of a training step."""

    name: str
    bytes: dict[str, int]
    """By kind, see KINDS."""

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.bytes.values())


def peak(setting: Setting) -> Moment:
    """The moment that needs most."""
    largest = max(moments(setting), key=lambda moment: moment.total)
    if setting.cluster.gpu:
        fleeting = KINDS[KINDS.index("gathered parameters") : KINDS.index("work of the optimizer") + 1]
        passing = sum(largest.bytes.get(kind, 0) for kind in fleeting)
        several = setting.ranks > 1
        lost = int((SEVERAL_FRAGMENTATION if several else FRAGMENTATION) * passing)
        largest.bytes["context and fragmentation"] = CONTEXT + (SEVERAL_CONTEXT if several else 0) + lost
    return largest


def optimizer_bytes(setting: Setting) -> int:
    """Optimizer states of all that is trained."""
    matrices = setting.matrices if setting.optimizer == "muon" else 0
    return MUON * matrices + ADAMW * (setting.num_trained - matrices)


def moments(setting: Setting) -> Iterator[Moment]:
    """The candidates for the peak, without what a GPU's allocator adds."""
    resident = _resident(setting)
    yield Moment("start", dict(resident))
    for moment in _step(setting):
        total = dict(resident)
        for kind, size in moment.bytes.items():
            total[kind] = total.get(kind, 0) + size
        yield Moment(moment.name, total)


def _resident(setting: Setting) -> dict[str, int]:
    """What stays from step to step."""
    trained, ranks, width, stage = setting.num_trained, setting.ranks, setting.width, setting.stage
    share = -(-trained // ranks)
    own = share if stage else trained
    on_device = setting.offload == "none"
    held = {
        "parameters": width * (-(-setting.num_held // ranks) if stage == 3 else setting.num_held),
        "fp32 master weights": FP32 * own if on_device and (stage or width < FP32) else 0,
        "optimizer states": optimizer_bytes(setting) * own // trained if on_device else 0,
        "average of the weights": FP32 * own if on_device and setting.average else 0,
    }
    if setting.offload == "all":
        held["parameters"] = 0
    if stage == 3:
        held["gradients"] = FP32 * share if on_device else 0
        held["communication buckets"] = width * setting.bucket_size
        held["second copy in a node"] = width * setting.num_held // setting.hpz if setting.hpz > 1 else 0
    elif stage == 1 and width < FP32 and on_device:
        # BF16_Optimizer: all sums in fp32; on CPUs in bf16 again (onnuri.parallel.zero_config).
        held["gradients"] = (FP32 + (0 if setting.cluster.gpu else width)) * trained
    return held


def _step(setting: Setting) -> Iterator[Moment]:
    """What each moment of a step holds beyond that."""
    model, width = setting.model, setting.width
    tokens = setting.tokens
    kept = activations.all_blocks(
        model, tokens, width, setting.kept, setting.activation_checkpointing, setting.lora.rank
    )
    of_gpu = setting.cluster.gpu and setting.loss != "native"
    of_loss = activations.loss(model, tokens, width, setting.loss, of_gpu, setting.lora.rank > 0)
    matrix = width * setting.embedding
    before, buckets = _between_micro_batches(setting), _bucket(setting)
    whole = _gathered(setting)
    arriving = _block_gradients(setting)

    if whole:
        yield Moment(
            "end of the forward pass",
            before
            | {
                "activations": kept,
                "gathered parameters": width * whole.last_block,
                "communication buckets": width * whole.ahead,
            },
        )
    yield Moment(
        "loss",
        before
        | {
            "activations": kept,
            "logits and loss": of_loss.peak,
            "gathered parameters": width * whole.loss if whole else 0,
        },
    )
    again = (
        activations.block(model, tokens, width, setting.kept, setting.lora.rank)
        if setting.activation_checkpointing
        else 0
    )
    yield Moment(
        "backward pass of the last block",
        before
        | {
            "activations": kept + again + activations.block_workspace(model, tokens, width),
            "logits and loss": matrix * (setting.loss != "reference" or model.tie_embeddings),
            "gathered parameters": width * whole.turn if whole else 0,
            "gradients": before.get("gradients", 0) + arriving,
            "communication buckets": buckets,
        },
    )
    yield from _after_backward(setting, before, buckets, width * whole.end if whole else 0)


def _gathered(setting: Setting) -> Gathered | None:
    """Whole parameters under ZeRO-3, adapters in proportion. On one device each is its own partition,
    unless it lives on the host."""
    if setting.stage < 3 or (setting.ranks == 1 and setting.offload != "all"):
        return None
    whole = gathered(setting.model, setting.bucket_size)
    return Gathered(*(size * setting.num_held // setting.num_parameters for size in whole))


def _block_gradients(setting: Setting) -> int:
    """Stage 1 in bf16 on GPUs: gradients of one block, until they are added to the sums in fp32."""
    if setting.stage == 1 and setting.width < FP32 and setting.cluster.gpu:
        return setting.width * setting.num_trained // setting.model.num_layers
    return 0


def _between_micro_batches(setting: Setting) -> dict[str, int]:
    """Gradients of earlier micro-batches of the same step."""
    if setting.accumulation == 1:
        return {}
    if setting.stage == 0 or (setting.stage == 1 and setting.width == FP32):
        return {"gradients": setting.width * setting.num_trained}
    if setting.stage == 2 and setting.offload == "none":
        return {"gradients": FP32 * (-(-setting.num_trained // setting.ranks))}
    return {}


def _bucket(setting: Setting) -> int:
    """ZeRO-1 and 2 make their bucket with the first gradient of a backward pass, two where they overlap
    messages with it: on several GPUs."""
    if setting.stage == 2 or (setting.stage == 1 and setting.width == FP32):
        return setting.width * setting.bucket_size * (2 if setting.cluster.gpu and setting.ranks > 1 else 1)
    return 0


def _after_backward(setting: Setting, before: dict[str, int], buckets: int, whole: int) -> Iterator[Moment]:
    """The embedding's gradient, the last message, and the optimizer."""
    model, trained, ranks, width = setting.model, setting.num_trained, setting.ranks, setting.width
    share, embedding = -(-trained // ranks), setting.embedding
    tail = width * embedding * (3 if model.tie_embeddings else 1)  # of the output, of the look-up, the sum
    message = width * _largest_message(setting) if ranks > 1 else 0
    stage, unsharded = setting.stage, setting.stage == 0 or (setting.stage == 1 and width == FP32)
    own = FP32 * share
    if unsharded:
        gradients = width * (trained if before else trained - embedding) + tail
        yield Moment(
            "gradient of the embedding",
            {"gradients": gradients, "communication buckets": buckets},
        )
        if stage == 0 and ranks > 1:
            flat = width * min(trained, REDUCED_AT_ONCE)
            yield Moment("gradients summed", {"gradients": width * trained, "communication buckets": flat})
        if stage == 1:
            yield Moment(
                "gradients summed",
                {
                    "gradients": width * trained + (own if trained > setting.bucket_size else 0),
                    "communication buckets": buckets + message,
                },
            )
    elif stage == 1:  # BF16_Optimizer sums what it keeps in fp32, in messages of bf16
        yield Moment("gradient of the embedding", before | {"gradients": tail})
        at_once = min(trained, REDUCED_AT_ONCE) if ranks > 1 else 0
        yield Moment("gradients summed", {"communication buckets": (FP32 + width) * at_once})
    elif stage == 2:
        # In bf16 the sums are in fp32, beside what arrives; in fp32 only with several micro-batches.
        sums = own if width < FP32 or before else 0
        gradients = sums + width * setting.largest_partition
        yield Moment(
            "gradient of the embedding",
            {"gradients": gradients + tail, "communication buckets": buckets},
        )
        yield Moment(
            "gradients summed",
            {"gradients": gradients, "communication buckets": buckets + message},
        )
    else:
        copies = 1 if setting.cluster.gpu else 2  # gloo's reduce-scatter takes a copy of its own
        yield Moment("gradient of the embedding", {"gradients": tail, "gathered parameters": whole})
        lone = width * embedding if embedding > setting.bucket_size else 0
        yield Moment(
            "gradients summed",
            {
                "communication buckets": copies * max(message, lone) if ranks > 1 else _alone(setting),
                "gathered parameters": whole,
            },
        )
    if setting.offload != "none":
        return
    if stage == 0:
        work = FP32 * trained if width < FP32 else 0
        yield Moment(
            "optimizer",
            {"gradients": width * trained, "work of the optimizer": work + _muon_work(setting)},
        )
    elif stage == 3:
        work = FP32 * min(share, SUB_GROUP)
        yield Moment("optimizer", {"work of the optimizer": work + _muon_work(setting)})
    elif stage == 1 and width < FP32:
        work = width * share if not setting.cluster.gpu else 0
        yield Moment("optimizer", {"work of the optimizer": work + _muon_work(setting)})
    else:
        norm = 8 * min(embedding, share)  # in double precision, a parameter at a time
        yield Moment(
            "optimizer",
            {"gradients": own, "work of the optimizer": max(norm, own) + _muon_work(setting)},
        )


def _largest_message(setting: Setting) -> int:
    """Elements."""
    if setting.lora.rank:
        return min(setting.num_trained, setting.bucket_size)
    return largest_message(setting.model, setting.bucket_size)


def _alone(setting: Setting) -> int:
    """ZeRO-3 on one device: a bucket of gradients in fp32, on CPUs beside a copy of it."""
    width, embedding, message = setting.width, setting.embedding, _largest_message(setting)
    copy = 0 if setting.cluster.gpu else width * message
    lone = embedding if embedding > setting.bucket_size else 0
    return max(copy + FP32 * message, FP32 * lone) if width < FP32 else copy


def _muon_work(setting: Setting) -> int:
    """Directions of a rank's share in fp32, sent and received in the dtype of the matrices, of which gloo
    takes a copy; or four times the matrices while they are orthogonalised. At stage 0 each rank has all
    directions, and gets all updates from those that made them."""
    if setting.optimizer != "muon":
        return 0
    width, matrices = setting.width, setting.matrices
    share = -(-matrices // setting.ranks)
    if setting.stage == 0:
        return max(FP32 * matrices + 2 * width * share, 2 * width * matrices + width * share)
    copies = 3 if setting.ranks > 1 and not setting.cluster.gpu else 2
    return share * max(FP32 + copies * width, 4 * width)
