"""The spec of the dense decoder, `onnuri.model.decoder`: Hugging Face `qwen3` with `qk_norm`, else `llama`.

Apart from the model, so that planning and `--help` need no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onnuri.model.config import ModelConfig
from onnuri.model.spec import HuggingFaceType, Kind, ModelSpec, Parameter

if TYPE_CHECKING:
    from torch import nn

    from onnuri.kernels import Kernels

FIRST_LOGITS = 0.4
"""Largest standard deviation of the first logits."""


def build(config: ModelConfig, kernels: Kernels) -> nn.Module:
    """See `ModelSpec`."""
    from onnuri.model.decoder import Decoder

    return Decoder(config, kernels, seed=None)


def block() -> type[nn.Module]:
    """See `ModelSpec`."""
    from onnuri.model.decoder import Block

    return Block


def parameters(config: ModelConfig) -> list[Parameter]:
    """Shapes, initial values and Hugging Face names.

    Matrices are normal with `init_std`; those that write into the residual stream have it divided by
    sqrt(2 x layers) by default, so that the stream's variance does not grow with depth (GPT-2). The output
    matrix gets at most 0.4 / sqrt(E) unless the config says more: first logits then have a standard
    deviation of 0.4 or less at any width, and the first loss is ln(V) within 2 %.
    """
    width, inner, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    std = config.init_std
    output = min(std, FIRST_LOGITS / width**0.5)
    residual = {"depth": std / (2 * config.num_layers) ** 0.5, "full": std, "zero": 0.0}[
        config.residual_init
    ]
    tied = config.tie_embeddings

    def matrix(name: str, rows: tuple[int, ...], columns: int, std: float, *theirs: str) -> Parameter:
        names = tuple(f"model.layers.*.{each}.weight" for each in theirs)
        return Parameter(f"blocks.*.{name}.weight", "matrix", rows, columns, std, names)

    def norm(name: str, size: int, theirs: str) -> Parameter:
        names = (f"model.layers.*.{theirs}.weight",)
        return Parameter(f"blocks.*.{name}.weight", "norm", (size,), hf_names=names)

    def embedding(name: str, kind: Kind, std: float, theirs: str, *copies: str) -> Parameter:
        return Parameter(name, kind, (vocabulary,), width, std, (theirs,), copies)

    heads = (config.num_heads, config.num_kv_heads, 1)
    qkv = matrix("attention.qkv", (query, key, key), width, std, *(f"self_attn.{x}_proj" for x in "qkv"))
    attention = [
        qkv._replace(heads=heads),
        matrix("attention.output", (width,), query, residual, "self_attn.o_proj"),
    ]
    if config.qk_norm:
        attention += [
            norm(f"attention.{ours}_norm", config.head_dim, f"self_attn.{theirs}_norm")
            for ours, theirs in (("query", "q"), ("key", "k"))
        ]
    theirs, head = "model.embed_tokens.weight", "lm_head.weight"
    own = config.embedding_init_std
    if tied:
        embeddings = [embedding("embedding.weight", "embedding", own or output, theirs, head)]
    else:
        embeddings = [
            embedding("embedding.weight", "embedding", own or std, theirs),
            embedding("head.weight", "output", output, head),
        ]
    return [
        embeddings[0],
        norm("attention_norm", width, "input_layernorm"),
        *attention,
        norm("ffn_norm", width, "post_attention_layernorm"),
        matrix("ffn.gate_up", (inner, inner), width, std, "mlp.gate_proj", "mlp.up_proj"),
        matrix("ffn.down", (width,), inner, residual, "mlp.down_proj"),
        Parameter("norm.weight", "norm", (width,), hf_names=("model.norm.weight",)),
        *embeddings[1:],
    ]


def flops_per_token(config: ModelConfig, sequence_length: int) -> int:
    """6 a weight (the output projection counted once, the embedding look-up not), and 12 x layers x H x D x
    S for attention, not halved for the causal mask (PaLM, arXiv 2204.02311)."""
    matrices = config.num_parameters(include_embeddings=False) + config.vocab_size * config.hidden_size
    return 6 * matrices + 12 * config.num_layers * config.num_heads * config.head_dim * sequence_length


KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "intermediate_size": "intermediate_size",
    "tie_embeddings": "tie_word_embeddings",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "rms_norm_eps",
    "init_std": "initializer_range",
}
CONSTANTS = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
DEFAULTS = {
    "tie_word_embeddings": False,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
}
"""Of both architectures in transformers 4 and 5."""


def llama_defaults(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of `LlamaConfig`: one key/value head for each query head, heads that add up to the hidden size."""
    heads = values["num_attention_heads"]
    return DEFAULTS | {"num_key_value_heads": heads, "head_dim": values["hidden_size"] // max(1, heads)}


SPEC = ModelSpec(
    build=build,
    block=block,
    parameters=parameters,
    flops_per_token=flops_per_token,
    hf_types=(
        HuggingFaceType(
            "qwen3",
            "Qwen3ForCausalLM",
            options={"qk_norm": True},
            keys=KEYS,
            constants=CONSTANTS,
            defaults=lambda _: DEFAULTS,
        ),
        HuggingFaceType(
            "llama",
            "LlamaForCausalLM",
            options={"qk_norm": False},
            keys=KEYS,
            constants=CONSTANTS,
            defaults=llama_defaults,
        ),
    ),
)
