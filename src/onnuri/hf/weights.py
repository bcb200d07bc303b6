"""One-to-one mapping between a Decoder and the stock Hugging Face `qwen3` / `llama` architectures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from onnuri.model.config import ModelConfig


def hf_config(
    config: ModelConfig, context_length: int, separator: int, pad: int, dtype: str
) -> dict[str, Any]:
    """The `config.json` of an export, readable by transformers 4.51 and later, and 5."""
    architecture = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[config.hf_architecture]
    return {
        "architectures": [architecture],
        "model_type": config.hf_architecture,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_size,
        "hidden_act": "silu",
        "max_position_embeddings": context_length,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": config.init_std,
        "use_cache": True,
        "bos_token_id": separator,
        "eos_token_id": separator,
        "pad_token_id": pad,
        "torch_dtype": dtype,
    }


def hf_weights(config: ModelConfig, name: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """The Hugging Face weights that one weight of the Decoder becomes: one, two or three of them.

    Raises:
        KeyError: `name` is not a weight of a Decoder.
    """
    if name == "embedding.weight":
        yield "model.embed_tokens.weight", value
    elif name == "head.weight":
        yield "lm_head.weight", value
    elif name == "norm.weight":
        yield "model.norm.weight", value
    elif name.startswith("blocks."):
        _, layer, inner = name.split(".", 2)
        prefix = f"model.layers.{layer}."
        if inner == "attention.qkv.weight":
            sizes = [heads * config.head_size for heads in (config.num_heads, *[config.num_kv_heads] * 2)]
            for letter, part in zip("qkv", value.split(sizes), strict=True):
                yield f"{prefix}self_attn.{letter}_proj.weight", part
        elif inner == "ffn.gate_up.weight":
            for part_name, part in zip(("gate", "up"), value.chunk(2), strict=True):
                yield f"{prefix}mlp.{part_name}_proj.weight", part
        else:
            yield prefix + _BLOCK_NAMES[inner], value
    else:
        raise KeyError(name)


_BLOCK_NAMES = {
    "attention_norm.weight": "input_layernorm.weight",
    "attention.output.weight": "self_attn.o_proj.weight",
    "attention.query_norm.weight": "self_attn.q_norm.weight",
    "attention.key_norm.weight": "self_attn.k_norm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn.down.weight": "mlp.down_proj.weight",
}
