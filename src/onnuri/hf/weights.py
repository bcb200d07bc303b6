"""Weights between a model and a Hugging Face folder, in both directions by the table in its spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from onnuri.base.errors import UserError
from onnuri.hf.config import read_config
from onnuri.hf.folder import weight_files
from onnuri.kernels import REFERENCE, Kernels
from onnuri.model.config import ModelConfig
from onnuri.model.spec import Parameter, block_number, spec_of

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""What weights may be stored in; float32 holds all of them exactly."""
IGNORED = ("rotary_emb.inv_freq",)
"""Ends of the names of tensors that follow from the config, which older folders have."""


def hf_weights(config: ModelConfig, name: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """The Hugging Face weights that one weight of a model becomes: one for each matrix in it.

    Args:
        value: [rows, columns]; an embedding may have fewer rows than the config says.

    Raises:
        KeyError: `name` is not a weight of the model.
    """
    parameter = spec_of(config).find(config, name)
    parts = value.split(parameter.rows) if len(parameter.rows) > 1 else [value]
    yield from zip(hf_names(parameter, name), parts, strict=True)


def hf_names(parameter: Parameter, name: str) -> list[str]:
    """The Hugging Face names of a parameter that the model calls `name`."""
    return [each.replace("*", block_number(name)) for each in parameter.hf_names]


class Stored(NamedTuple):
    """A tensor in a file, not read yet."""

    path: Path
    shape: tuple[int, ...]
    dtype: str


class Weights:
    """The weights of a Hugging Face folder by the names of the model, read one at a time.

    Raises UserError, from the start, for weights that are missing, too many, of another shape or dtype than
    config.json says, and for files that are damaged or not safetensors.
    """

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        spec, self.folder = spec_of(config), folder
        self.stored = _list_tensors(folder)
        if config.num_layers > len(self.stored):
            raise UserError(
                f"model={folder} has {len(self.stored)} weights, too few for {config.num_layers} blocks"
            )
        self.parameters = spec.by_name(config)
        expected: dict[str, tuple[int, ...]] = {}
        for name, each in self.parameters.items():
            shapes = [(rows, each.columns) if each.columns else (rows,) for rows in each.rows]
            expected |= dict(zip(hf_names(each, name), shapes, strict=True))
        for name, shape in expected.items():
            found = self.stored.get(name)
            if found is None:
                raise UserError(f"model={folder} has no weight {name}, which its config.json asks for")
            if found.shape != shape:
                raise UserError(
                    f"model={folder}: {name} is {[*found.shape]}, by its config.json it is {[*shape]}"
                )
            if found.dtype not in DTYPES:
                raise UserError(
                    f"model={folder}: {name} is {found.dtype}, allowed are {', '.join(DTYPES)}; quantised "
                    "weights cannot be trained"
                )
        copies = {copy: each for each in self.parameters.values() for copy in each.hf_copies}
        for name in sorted(self.stored.keys() - expected.keys()):
            if name in copies:
                original = copies[name].hf_names[0]
                if not torch.equal(self._read(name), self._read(original)):
                    raise UserError(
                        f"model={folder}: by its config.json {name} is {original}, but they differ"
                    )
            elif not name.endswith(IGNORED):
                raise UserError(f"model={folder} has the weight {name[:100]}, which this model has not")

    def read(self, name: str) -> torch.Tensor:
        """A weight of the model in float32, [rows, columns] or [rows]."""
        return torch.cat([self._read(theirs).float() for theirs in hf_names(self.parameters[name], name)])

    def _read(self, name: str) -> torch.Tensor:
        from safetensors import SafetensorError, safe_open

        path = self.stored[name].path
        try:
            with safe_open(path, "pt") as file:
                tensor: torch.Tensor = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        return tensor


def _list_tensors(folder: Path) -> dict[str, Stored]:
    """Every tensor in the files of a folder, from their headers."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, Stored] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118
                    if name in found:
                        raise UserError(f"{name[:100]} is in both {found[name].path.name} and {path}")
                    part = file.get_slice(name)
                    found[name] = Stored(path, tuple(part.get_shape()), str(part.get_dtype()))
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
    return found


def stored_dtype(folder: Path) -> torch.dtype:
    """What most weights of a folder are stored in. Raises UserError for a damaged one, or another dtype."""
    found = Counter(each.dtype for each in _list_tensors(folder).values()).most_common(1)
    if not found or found[0][0] not in DTYPES:
        raise UserError(f"model={folder} has no weights in {', '.join(DTYPES)}")
    return DTYPES[found[0][0]]


def load_decoder(folder: str | Path, kernels: Kernels = REFERENCE) -> nn.Module:
    """A model of ours, in float32 on the CPU, with the config and the weights of a Hugging Face folder.

    Raises UserError for a folder that is damaged or of an architecture that is not supported.
    """
    folder = Path(folder)
    config = read_config(folder)
    weights = Weights(folder, config)
    with torch.device("meta"):
        model = spec_of(config).build(config, kernels)
    for name, parameter in model.named_parameters():
        module, _, own = name.rpartition(".")
        value = nn.Parameter(weights.read(name), parameter.requires_grad)
        setattr(model.get_submodule(module), own, value)
    return model
