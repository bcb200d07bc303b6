"""What the forward pass keeps for the backward pass, counted from the operations in onnuri.kernels.

Shapes: T tokens of a micro-batch, E hidden size, H query heads, K key/value heads, D head size, F inner
width, V vocabulary. All sizes in bytes; `width` is that of a number the model computes in, 2 or 4.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from onnuri.plan.config import PlanModelConfig

WIDE = 4
"""Bytes of float32, in which norms, softmax and losses are computed."""
CHUNK_LOGITS, GPU_CHUNK_LOGITS, LEAST_ROWS = 1 << 24, 1 << 29, 256
"""Logits at a time where nothing else is asked for, and rows (onnuri/kernels/linear_cross_entropy.py)."""


class Loss(NamedTuple):
    """What the output matrix and the loss hold, in bytes."""

    kept: int
    """From the forward to the backward pass, the gradient of the output matrix aside."""
    peak: int
    """At most, where the logits are."""
    matrix_gradients: int
    """How many gradients of the output matrix live at once."""


Kept = Literal["all", "inputs", "outputs"]
"""all: what PyTorch's functions keep; inputs, outputs: of matrix products and of attention."""


def block(model: PlanModelConfig, tokens: int, width: int, kept: Kept, lora_rank: int = 0) -> int:
    """What one block keeps. With adapters, what lies between the two matrices of each of the four, and no
    unit vectors of norms, which stay as they are.

    In float32 an RMSNorm keeps its input, the unit vector and the scaled one; in bf16 its input in float32.
    Compiled, what no matrix product and no attention reads is computed again: unit vectors and silu; with
    outputs only, also what is elementwise between them: norms and the product of gate and up.
    """
    hidden, heads, keys = model.hidden_size, model.num_heads, model.num_kv_heads
    query, key = heads * model.head_dim, keys * model.head_dim
    inner = model.intermediate_size * (model.experts_per_token or 1)
    attention = width * (query + 2 * key + query + key + query + 4 * lora_rank) + WIDE * heads
    if kept != "all":
        between = width * (2 * hidden + inner) if kept == "inputs" else 0
        return tokens * (width * 2 * (hidden + inner) + between + attention + WIDE * (2 + heads + keys))
    norms = 2 * hidden * (WIDE + 2 * width) + WIDE * 2
    if model.qk_norm:
        copies = 0 if width == WIDE else WIDE
        norms += (query + key) * (width + copies) + WIDE * (heads + keys)
    if lora_rank:
        norms -= width * (2 * hidden + (query + key) * model.qk_norm)
    return tokens * (norms + attention + width * 4 * inner)


def block_input(model: PlanModelConfig, tokens: int, width: int) -> int:
    """What a block keeps that is run again in the backward pass."""
    return tokens * model.hidden_size * width


def block_workspace(model: PlanModelConfig, tokens: int, width: int) -> int:
    """What the backward pass of a block needs beside that: gradients by gate and up, and by the stream."""
    inner = model.intermediate_size * (model.experts_per_token or 1)
    return tokens * width * (2 * inner + 2 * model.hidden_size)


def all_blocks(
    model: PlanModelConfig,
    tokens: int,
    width: int,
    kept: Kept,
    activation_checkpointing: int,
    lora_rank: int = 0,
) -> int:
    """What all blocks and the last norm keep."""
    again = -(-model.num_layers // activation_checkpointing) if activation_checkpointing else 0
    norm = tokens * (model.hidden_size * (WIDE + (1 if lora_rank else 2) * width) + WIDE)
    return (
        again * block_input(model, tokens, width)
        + (model.num_layers - again) * block(model, tokens, width, kept, lora_rank)
        + norm
    )


def loss(
    model: PlanModelConfig, tokens: int, width: int, backend: str, gpu: bool = False, frozen: bool = False
) -> Loss:
    """The loss (onnuri.kernels.linear_cross_entropy), or its reference, which holds all logits.

    Of one chunk of rows: logits, exponentials, their derivative, indices of the targets (twice); native and
    triton: logits, in whose place the derivative is written. Of all rows (reference): the logarithm of the
    softmax is kept; going back, it, the gradient by it and the gradient by the logits live at once, in
    float32. Several chunks sum the gradient of the output matrix in float32; on CPUs each chunk's part is
    computed in bf16 and widened before it is added, on GPUs it is added within the product. On CPUs oneDNN
    packs both sides of a product in bf16, of the gradient of the matrix. One that is frozen has none.
    """
    matrix, stream = model.vocab_size * model.hidden_size * width, tokens * model.hidden_size * width
    if backend == "reference":
        rows = tokens * model.vocab_size
        gradient = 0 if frozen else matrix
        return Loss(WIDE * rows, max(3 * WIDE * rows, width * rows + gradient + stream), 1)
    at_once = GPU_CHUNK_LOGITS if gpu else CHUNK_LOGITS
    chunk = model.loss_chunk_size or max(LEAST_ROWS, at_once // model.vocab_size)
    rows = min(tokens, chunk) * model.vocab_size
    in_place = backend in ("native", "triton")
    sizes = width if in_place else (width if width < WIDE else 0) + 4 * WIDE + 1
    total = 0 if frozen else matrix * WIDE // width if tokens > chunk else matrix
    product = 0
    if width < WIDE and not gpu:
        product = matrix + (0 if frozen else total if tokens > chunk else rows * width)
    return Loss(stream, stream + total + max(rows * sizes, product + rows * width), 2)
