"""Which weights an export holds: a checkpoint's own, the average it keeps, or a mean of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.checkpoint.weights import tensor_name
from onnuri.export.config import ExportConfig
from onnuri.model.config import ModelConfig
from onnuri.model.lora_config import LoraConfig
from onnuri.run.checkpoints import list_checkpoints, read_verified, step_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Weights:
    """Where the values of the exported weights come from."""

    folders: tuple[Path, ...]
    """Checkpoints, or one imported model; of several the mean is taken."""
    averaged: bool = False
    """Take the average that the checkpoint keeps, not its weights."""
    adapted: Callable[[str], torch.Tensor] | None = None
    """Of a checkpoint of adapters: reads a weight with them in it."""

    def read(self, sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
        """Parameters, whole and flat, in fp32.

        Args:
            sizes: elements by name.

        A mean is summed in fp64 and rounded once. Memory: 4 bytes an element, for a mean 12.
        """
        import torch

        from onnuri.checkpoint.shard_file import TensorSlice
        from onnuri.checkpoint.store import load

        if self.adapted:
            return {name: self.adapted(name).flatten() for name in sizes}
        stored = {name: self.file_name(name) for name in sizes}
        found = {name: torch.empty(size) for name, size in sizes.items()}
        target = {stored[name]: TensorSlice(values, 0) for name, values in found.items()}
        load(self.folders[0], target)
        if len(self.folders) == 1:
            return found
        sums = {name: values.double() for name, values in found.items()}
        for folder in self.folders[1:]:
            load(folder, target)
            for name, values in found.items():
                sums[name] += values
        for name, values in found.items():
            values.copy_(sums.pop(name).div_(len(self.folders)))
        return found

    def file_name(self, name: str) -> str:
        """What a parameter is called in the files."""
        from onnuri.optim.average import KIND

        return f"{KIND}/{name}" if self.averaged else tensor_name(name)


def with_adapters(
    weights: Weights, model: ModelConfig, lora: LoraConfig, checkpoint: Manifest, base: str
) -> Weights:
    """The weights of a checkpoint of adapters, with the model under them.

    Raises UserError if that model is not as it was, and for a mean of several checkpoints.
    """
    from onnuri.train.warm_start import merged

    if len(weights.folders) > 1:
        raise UserError("weights=mean is not for a run that trains adapters; weights=ema is")
    read = merged(weights.folders[0], checkpoint, model, lora, weights.file_name, base)
    return replace(weights, adapted=read)


def choose_weights(
    config: ExportConfig, run_dir: Path, folder: Path, checkpoint: Manifest
) -> tuple[Weights, dict[str, Any], dict[str, str]]:
    """The weights that a request asks for, what to record of them, and checkpoints they come from besides.

    Args:
        folder, checkpoint: the one to export, verified.

    Returns the weights; their facts, {} for a checkpoint's own; and identities of further checkpoints by
    name. Raises UserError where the checkpoint keeps no average, or the run has too few checkpoints up to
    this one or a damaged one among them.
    """
    if config.weights == "raw":
        return Weights((folder,)), {}, {}
    if config.weights == "ema":
        average = checkpoint.counts.get("average")
        if average is None:
            raise UserError(
                f"{folder} keeps no average of the weights: it was written with average.ema_decay=0, or "
                "before average.ema_start; weights=mean takes the mean of several checkpoints instead"
            )
        return Weights((folder,), averaged=True), {"kind": "ema", **average}, {}
    step = int(checkpoint.settings["step"])
    older = [each for each in list_checkpoints(run_dir) if step_of(each) < step][: config.mean_of - 1]
    if 1 + len(older) < config.mean_of:
        raise UserError(
            f"mean_of={config.mean_of}: {run_dir} has {1 + len(older)} checkpoint(s) up to step {step}; "
            "train.keep_checkpoints and train.keep_every say how many a run keeps"
        )
    inputs = {}
    for each in older:
        try:
            inputs[each.name] = read_verified(each).identity
        except (UserError, OSError) as error:
            raise UserError(
                f"mean_of={config.mean_of} includes {each.name}, which is damaged: {error}"
            ) from None
    steps = sorted([step, *map(step_of, older)])
    return Weights((folder, *older)), {"kind": "mean", "steps": steps}, inputs


def describe(averaged: Mapping[str, Any]) -> str:
    """The facts of `choose_weights` in words; "" for a checkpoint's own weights."""
    if not averaged:
        return ""
    if averaged["kind"] == "mean":
        return f"mean of the weights after steps {', '.join(map(str, averaged['steps']))}"
    return (
        f"exponential moving average of the weights since step {averaged['first_step']} "
        f"({averaged['updates']} updates, decay {averaged['decay']:g})"
    )
