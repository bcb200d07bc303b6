"""What the rest must know of an architecture, stated once: `ModelSpec`. Imports no torch.

An architecture is a module with a `SPEC`, and a line in ARCHITECTURES. Training, optimizers, planning,
export and import of Hugging Face folders ask the spec and know no model by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from onnuri.base.errors import UserError, check_choice

if TYPE_CHECKING:
    from torch import nn

    from onnuri.kernels import Kernels
    from onnuri.model.config import ModelConfig

ARCHITECTURES = {"decoder": "onnuri.model.decoder_spec"}
"""`model.architecture` to the module that has its SPEC, imported when it is asked for."""
BLOCK_NUMBER = re.compile(r"\.\d+\.")
Kind = Literal["matrix", "norm", "embedding", "output", "adapter"]
TOKEN_KINDS = ("embedding", "output")
"""Kinds of parameters that have a row for each token."""


class Parameter(NamedTuple):
    """A parameter of a model, or of each of its blocks: then `*` in the names is the block's number."""

    name: str
    kind: Kind
    """matrix: maps a hidden state to another, Muon orthogonalises it; embedding: a row for each token;
    output: the same, where it only makes logits; norm: a scale; adapter: see `onnuri.model.lora`."""
    rows: tuple[int, ...]
    """Of the matrices that are stacked in it, from top to bottom; of a norm its size."""
    columns: int = 0
    """Of each of them; 0: it has one dimension."""
    std: float = 0.0
    """Standard deviation of its initial values; norms begin as ones."""
    hf_names: tuple[str, ...] = ()
    """The Hugging Face weight for each of `rows`, from top to bottom."""
    hf_copies: tuple[str, ...] = ()
    """Hugging Face weights that some folders have too, and that must be the same."""
    heads: tuple[int, ...] = ()
    """Attention heads in each of `rows`, matrices of their own where Muon goes by head; empty: one each."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return (sum(self.rows), self.columns) if self.columns else (sum(self.rows),)

    @property
    def numel(self) -> int:
        """Elements of the tensor."""
        return prod(self.shape)

    @property
    def in_block(self) -> bool:
        """Every block has one."""
        return "*" in self.name


@dataclass(frozen=True)
class HuggingFaceType:
    """A stock Hugging Face architecture that computes the same, and its config.json."""

    model_type: str
    class_name: str
    """In transformers."""
    options: Mapping[str, Any]
    """Options of a ModelConfig that make it this one."""
    keys: Mapping[str, str]
    """Other options of a ModelConfig to their keys in config.json."""
    constants: Mapping[str, Any]
    """Keys with the one value that a ModelConfig has no option for."""
    defaults: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """Values of keys that a config.json may leave out, from those that it has."""


@dataclass(frozen=True)
class ModelSpec:
    """An architecture."""

    build: Callable[[ModelConfig, Kernels], nn.Module]
    """The model. It has the attributes `config`, `kernels`, `z_loss`, the weight of that in a loss,
    and `activation_checkpointing`: one of so many blocks keeps only its input and is run again in the
    backward pass (0: none). Its `forward` takes the fields of `onnuri.train.inputs.Inputs` and
    `reduction`."""
    block: Callable[[], type[nn.Module]]
    """The module that is repeated: what ZeRO-3 gathers and torch.compile compiles at a time."""
    parameters: Callable[[ModelConfig], list[Parameter]]
    """All parameters, those of a block once, in the order of the model."""
    flops_per_token: Callable[[ModelConfig, int], int]
    """Training FLOPs a token at a sequence length, forward and backward."""
    hf_types: tuple[HuggingFaceType, ...] = ()
    """None: the architecture cannot be exported or imported."""

    def by_name(self, config: ModelConfig) -> Mapping[str, Parameter]:
        """Parameters by the names that the model gives them, with those of all blocks."""
        table: dict[str, Parameter] = {}
        for each in self.parameters(config):
            numbers = range(config.num_layers) if each.in_block else range(1)
            table |= {name: each for name in (each.name.replace("*", str(n)) for n in numbers)}
        return table

    def find(self, config: ModelConfig, name: str) -> Parameter:
        """The parameter that the model calls `name`. Raises KeyError."""
        return {each.name: each for each in self.parameters(config)}[BLOCK_NUMBER.sub(".*.", name, count=1)]

    def matrices(self, config: ModelConfig, per_head: bool = False) -> dict[str, list[tuple[int, int]]]:
        """Shapes (rows, columns) of the matrices in each parameter of the kind `matrix`, top to bottom.

        Args:
            per_head: the rows of each head that the parameter names are a matrix.
        """
        return {
            name: [
                (rows // heads, each.columns)
                for rows, heads in zip(
                    each.rows, each.heads if per_head and each.heads else (1,) * len(each.rows), strict=True
                )
                for _ in range(heads)
            ]
            for name, each in self.by_name(config).items()
            if each.kind == "matrix"
        }

    def num_parameters(self, config: ModelConfig, include_embeddings: bool = True) -> int:
        """Elements of all parameters."""
        return sum(
            each.numel * (config.num_layers if each.in_block else 1)
            for each in self.parameters(config)
            if include_embeddings or each.kind not in TOKEN_KINDS
        )

    def hf_type(self, config: ModelConfig) -> HuggingFaceType:
        """The Hugging Face architecture of a config. Raises UserError if there is none."""
        for found in self.hf_types:
            if all(getattr(config, name) == value for name, value in found.options.items()):
                return found
        raise UserError(
            f"model.architecture={config.architecture} has no Hugging Face twin: it cannot be exported"
        )


def spec_of(config: ModelConfig) -> ModelSpec:
    """The spec of a config's architecture. Raises UserError if it is not known."""
    check_choice("model.architecture", config.architecture, ARCHITECTURES)
    return load_spec(config.architecture)


def load_spec(architecture: str) -> ModelSpec:
    """The spec of a name in ARCHITECTURES."""
    spec: ModelSpec = import_module(ARCHITECTURES[architecture]).SPEC
    return spec


def block_number(name: str) -> str:
    """The number of a parameter's block, "" outside of blocks."""
    found = BLOCK_NUMBER.search(name)
    return found[0].strip(".") if found else ""
