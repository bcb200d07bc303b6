"""All stages, in order of value: what is most wanted comes first, should the time run out."""

from __future__ import annotations

from typing import Any

from onnuri.base.errors import UserError, nearest
from onnuri.gpu.stage import Stage

ROWS_BY_TRITON = {"kernels.rms_norm": "triton", "kernels.rope": "triton", "kernels.swiglu": "triton"}


def _training(name: str, seconds: float, call: str, model: str, **words: Any) -> Stage:
    options = {"model": model, "words": {"engine.stage": 1, **words}}
    return Stage(f"train-{name}", "training", "onnuri.gpu.training:run", seconds, call, options)


def _peer(loop: str, model: str, seconds: float, call: str) -> Stage:
    options = {"loop": loop, "model": model}
    return Stage(f"peer-{loop}-{model}", "peers", "onnuri.gpu.peers:run", seconds, call, options)


STAGES = (
    Stage("environment", "environment", "onnuri.gpu.environment:run", 25),
    Stage("numbers", "numbers", "onnuri.gpu.numbers:run", 130, beside="resume"),
    Stage("resume", "resume", "onnuri.gpu.resume:run", 130),
    Stage("attention", "attention", "onnuri.gpu.attention:run", 60),
    Stage("loss", "loss", "onnuri.gpu.loss:run", 40),
    _training("300m", 75, "A", "300m"),
    _training("1b", 80, "A", "1b"),
    _peer("plain", "300m", 130, "A"),  # compiling the whole model takes a minute on an H100's host
    _peer("plain", "1b", 130, "A"),
    _training("300m-stage3", 60, "A", "300m", **{"engine.stage": 3}),
    Stage("sweep", "sweep", "onnuri.gpu.sweep:run", 90, "B"),
    Stage("rows", "rows", "onnuri.gpu.rows:run", 35, "B"),
    _training("300m-whole-rows", 50, "B", "300m", **{"data.document_mask": "false"}),
    _training("1b-stage3", 70, "B", "1b", **{"engine.stage": 3}),
    _training("300m-rows", 50, "B", "300m", **ROWS_BY_TRITON),
    _peer("trainer", "300m", 130, "B"),
    _training("300m-eager", 45, "B", "300m", **{"engine.compile": "off"}),
    _training("300m-varlen", 50, "B", "300m", **{"kernels.attention": "varlen"}),
    _training("300m-stage0", 50, "B", "300m", **{"engine.stage": 0}),
)


def selected(names: list[str], call: str) -> list[Stage]:
    """The stages of a call, or those asked for by name or kind, in their order.

    Raises UserError for a name that there is not, or that another call has.
    """
    known = {stage.name for stage in STAGES} | {stage.kind for stage in STAGES}
    for name in names:
        if name not in known:
            raise UserError(
                f"stages: '{name}' is not known; allowed: {', '.join(sorted(known))}{nearest(name, known)}"
            )
    found = [s for s in STAGES if not names or s.name in names or s.kind in names]
    elsewhere = [stage.name for stage in found if call not in ("", stage.call)]
    if names and elsewhere:
        raise UserError(f"stages: {', '.join(elsewhere)} not in call={call}; leave call out to run them")
    return [stage for stage in found if stage.name not in elsewhere]
