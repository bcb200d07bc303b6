"""Reading results files: calls, each measured on one device in one go."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnuri.errors import UserError
from onnuri.gpu.stage import Result


@dataclass
class Call:
    """The results of one start of scripts/gpu_check.py."""

    header: Result
    results: list[Result] = field(default_factory=list)

    def find(self, **wanted: Any) -> list[Result]:
        """Results with these values."""
        return [
            result
            for result in self.results
            if all(result.get(name) == value for name, value in wanted.items())
        ]

    def stage(self, name: str, key: str) -> Result:
        """The result of a stage that has `key`; empty if there is none."""
        return next((result for result in self.find(stage=name) if key in result), {})

    @property
    def environment(self) -> Result:
        """Device and versions."""
        return self.stage("environment", "device")

    @property
    def device(self) -> str:
        """The name that the driver gives."""
        return str(self.environment.get("device", ""))


def split(results: Iterable[Result]) -> list[Call]:
    """Results, in the order of their files, by call.

    Raises UserError for results without a header, which no gpu_check writes.
    """
    calls: list[Call] = []
    for result in results:
        if result.get("event") == "call":
            calls.append(Call(result))
        elif not calls:
            raise UserError(
                "the results do not begin with the line of a call: not a file of scripts/gpu_check.py"
            )
        else:
            calls[-1].results.append(result)
    return calls


def read(paths: Iterable[Path]) -> list[Call]:
    """The calls of some files. A last line that was cut is left out.

    Raises UserError for a missing file, other content, and files of different kinds of GPU.
    """
    results: list[Result] = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        for number, line in enumerate(lines, 1):
            try:
                results.append(json.loads(line))
            except ValueError:
                if number < len(lines):
                    raise UserError(f"{path}, line {number} is no JSON: not a results file") from None
    calls = split(results)
    devices = sorted({call.device for call in calls if call.device})
    if len(devices) > 1:
        raise UserError(
            f"the results are of different devices ({', '.join(devices)}); report on one at a time"
        )
    return calls


def find(calls: list[Call], **wanted: Any) -> list[Result]:
    """Results with these values, of all calls."""
    return [result for call in calls for result in call.find(**wanted)]


def training(calls: list[Call], variant: str) -> Result:
    """The newest measured run of a variant ("300m", "1b-stage3"); empty if there is none."""
    found = [
        each for each in find(calls, stage=f"train-{variant}", measured="training") if "seconds" in each
    ]
    return found[-1] if found else {}


def spilled(result: Result) -> bool:
    """Whether a swept tile spills registers, by the machine code or by the driver."""
    return bool(result.get("spills") or result.get("driver_spills"))
