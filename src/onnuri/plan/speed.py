"""How long a step takes: arithmetic, then what of the network does not hide behind it. An estimate.

A matrix product of width E reaches `efficiency` x E / (E + 5 R) of the peak, with R the operations a device
can do in the time it takes to read a byte: narrow models wait for memory. Each device kind has one fitted
number, `cluster.efficiency`; the 5, and that messages count in full beside the arithmetic, are the same
for all kinds (as if they went at half their bandwidth and half of them hid). That gives published runs of 1
to 70 billion parameters within 15 %, but for four that it takes for too fast (docs/planning.md). Not in it:
the latency of messages among thousands of ranks, stragglers, checkpoints, validation, restarts.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.plan.machine import Setting
from onnuri.plan.memory import optimizer_bytes

WIDTHS_OF_RIDGE = 5.0
EAGER = 0.77
"""Speed without torch.compile: 300m on one H100 (docs/gpu.md). torchtitan's 8B on eight has 0.86."""
HOST_BANDWIDTH = 100e9
"""Bytes/s that the optimizer moves on the host of a node: an estimate."""
PCIE = 25e9
"""Bytes/s between a device and its host: an estimate."""


@dataclass
class Speed:
    """One optimizer step, in seconds unless it says otherwise."""

    flops_per_token: int
    flops_per_step: int
    """All ranks, without what is computed again."""
    compute: float
    """Forward and backward passes."""
    network: float
    """Messages, if they went alone."""
    network_bytes: int
    """Received by a rank."""
    optimizer: float
    """Weights, gradients and states through the memory; with offload through the host."""
    tokens: int

    @property
    def seconds(self) -> float:
        """In all."""
        return self.compute + self.network + self.optimizer

    @property
    def tokens_per_second(self) -> float:
        """Of all ranks."""
        return self.tokens / self.seconds


def speed(setting: Setting) -> Speed:
    """Estimate a step."""
    model, cluster = setting.model, setting.cluster
    per_token = setting.lora.flops_per_token(model, setting.attention_length)
    tokens = setting.global_batch_size * setting.sequence_length
    again = (
        -(-model.num_layers // setting.activation_checkpointing) / model.num_layers
        if setting.activation_checkpointing
        else 0
    )
    blocks = model.flops_per_token(setting.attention_length) - 6 * model.vocab_size * model.hidden_size
    run = per_token + blocks * again / 3
    peak = 1e12 * cluster.peak_tflops
    ridge = peak / (1e9 * cluster.memory_bandwidth)
    width = min(model.hidden_size, model.intermediate_size)  # experts are narrow
    reached = cluster.efficiency_here * width / (width + WIDTHS_OF_RIDGE * ridge)
    if not setting.compiled and cluster.gpu:
        reached *= EAGER
    positions = setting.accumulation * setting.tokens  # of a rank, empty rows too
    received, network = _network(setting)
    return Speed(
        flops_per_token=per_token,
        flops_per_step=per_token * tokens,
        compute=positions * run / (reached * peak),
        network=network,
        network_bytes=received,
        optimizer=_optimizer(setting),
        tokens=tokens,
    )


def _network(setting: Setting) -> tuple[int, float]:
    """Bytes that a rank receives in a step, and seconds for them.

    A message to all comes into each node once, over the network cards of all its devices, and continues
    from device to device within it.
    """
    trained = setting.width * setting.num_trained
    gathered = setting.width * setting.num_held if setting.stage == 3 else trained
    micro, cluster = setting.accumulation, setting.cluster
    gathers, reductions = {
        0: (0, 2),
        1: (1, 1),
        2: (1, micro),
        3: (2 * micro, micro),
    }[setting.stage]
    total = gathers * gathered + reductions * trained
    ranks, nodes = cluster.gpus, cluster.nodes
    within = min(cluster.gpus_per_node, ranks)
    inside = total * (within - 1) / within / (1e9 * cluster.link_bandwidth)
    beyond = (
        total - micro * gathered if setting.hpz > 1 else total
    )  # hpZ: the second gather stays in the node
    node = 1e9 * cluster.network_bandwidth * cluster.gpus_per_node
    between = beyond * (nodes - 1) / nodes / node
    return int(total * (ranks - 1) / ranks), max(inside, between)


def _optimizer(setting: Setting) -> float:
    """Gradients, weights and states through the memory once; Muon's five steps for its matrices."""
    share = setting.num_trained / (setting.ranks if setting.stage else 1)
    states = optimizer_bytes(setting) * share / setting.num_trained
    moved = 2 * states + share * (4 + 2 * 4 + setting.width + (3 * 4 if setting.average else 0))
    cluster, model = setting.cluster, setting.model
    seconds = moved / (1e9 * cluster.memory_bandwidth)
    if setting.offload != "none":
        within = min(cluster.gpus_per_node, cluster.gpus)
        seconds = moved * within / HOST_BANDWIDTH + share * (4 + setting.width) / PCIE
        if setting.offload == "all":
            seconds += 2 * setting.accumulation * share * setting.width / PCIE
    if setting.optimizer == "muon":
        # Per matrix of m x n, m the smaller: five times two products m x m x n and one m x m x m.
        flops = 5 * 2 * setting.matrices * 2.5 * model.hidden_size / setting.ranks
        seconds += flops / (0.5 * 1e12 * cluster.peak_tflops * cluster.efficiency_here)
    return seconds
