"""The shape of a model."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice
from onnuri.model.spec import spec_of

MOST_PARAMETERS = 1e13


@dataclass
class ModelConfig:
    """A model; the decoder is Hugging Face `qwen3` with `qk_norm`, `llama` without."""

    vocab_size: int = 0
    """Rows of the embedding. 0: the tokenizer's size rounded up to a multiple of 64, for matrix units."""
    hidden_size: int = 512
    """Width E of the residual stream."""
    num_layers: int = 8
    """Transformer blocks."""
    num_heads: int = 8
    """Query heads H."""
    num_kv_heads: int = 4
    """Key/value heads K; fewer than H is grouped-query attention and shrinks the inference cache by H/K."""
    head_dim: int = 64
    """Size D of one head; H x D need not equal the hidden size."""
    intermediate_size: int = 1408
    """Inner width of the SwiGLU layer; about 8/3 of the hidden size matches a plain 4x layer."""
    qk_norm: bool = True
    """RMSNorm on queries and keys; bounds attention logits at high learning rates (arXiv 2302.05442)."""
    tie_embeddings: bool = True
    """Input and output embedding share one matrix; best below about 3 billion parameters."""
    rope_theta: float = 10000.0
    """Base of the rotary frequencies; raise it (500000, 1000000) for contexts beyond 8k."""
    rms_norm_eps: float = 1e-6
    """Added to the mean square in every RMSNorm."""
    init_std: float = 0.02
    """Standard deviation of initial weights; `residual_init` and `embedding_init_std` say more."""
    residual_init: str = "depth"
    """Matrices that write into the residual stream start with: depth, init_std / sqrt(2 x num_layers)
    (GPT-2); full, init_std; zero, nothing."""
    embedding_init_std: float = 0.0
    """Of the embedding. 0: init_std; at most 0.4 / sqrt(hidden_size) where it is the output matrix too."""
    loss_chunk_size: int = 0
    """Rows of logits held at once in the loss; 0: what the kernel in use takes by itself."""
    architecture: str = "decoder"
    """decoder: pre-norm blocks of grouped-query attention and SwiGLU."""

    def __post_init__(self) -> None:
        for name in (
            "hidden_size",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "head_dim",
            "intermediate_size",
        ):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name}={getattr(self, name)} must be at least 1")
        if self.vocab_size < 0 or self.loss_chunk_size < 0:
            raise UserError("model.vocab_size and model.loss_chunk_size must be at least 0")
        for name in ("rope_theta", "rms_norm_eps", "init_std"):
            if not getattr(self, name) > 0:
                raise UserError(f"model.{name}={getattr(self, name)} must be above 0")
        check_choice("model.residual_init", self.residual_init, ("depth", "full", "zero"))
        if self.embedding_init_std < 0:
            raise UserError(f"model.embedding_init_std={self.embedding_init_std} must be at least 0")
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"model.num_heads={self.num_heads} must be a multiple of "
                f"model.num_kv_heads={self.num_kv_heads}"
            )
        if self.num_parameters() > MOST_PARAMETERS:
            raise UserError(
                f"model.* describes {self.num_parameters():.1e} parameters, more than "
                f"{MOST_PARAMETERS:.0e}: one of its sizes is a mistake"
            )
        if self.head_dim % 2:
            raise UserError(f"model.head_dim={self.head_dim} must be even for rotary positions")

    def num_parameters(self, include_embeddings: bool = True) -> int:
        """Elements of all trainable parameters."""
        return spec_of(self).num_parameters(self, include_embeddings)

    def flops_per_token(self, sequence_length: int) -> int:
        """Training FLOPs a token, forward and backward; see the architecture's spec."""
        return spec_of(self).flops_per_token(self, sequence_length)
