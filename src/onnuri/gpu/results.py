"""Reading results files: calls, each measured on one device in one go."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.gpu.stage import Result

FORMAT = 1
"""Of the results file. A call's line has it."""


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
    """The calls of some files. A line that a killed call left unfinished is left out.

    Raises UserError for a missing file, other content, and files of different kinds of GPU.
    """
    calls = [call for path in paths for call in split(_lines(path))]
    devices = sorted({call.device for call in calls if call.device})
    if len(devices) > 1:
        raise UserError(
            f"the results are of different devices ({', '.join(devices)}); report on one at a time"
        )
    return calls


def _lines(path: Path) -> list[Result]:
    """The results of one file, checked."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is binary: not a results file of scripts/gpu_check.py") from None
    results: list[Result] = []
    unfinished = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            result = json.loads(line)
        except (ValueError, RecursionError):
            if unfinished:
                break
            unfinished = number
            continue
        if unfinished and not (isinstance(result, dict) and result.get("event") == "call"):
            break
        unfinished = 0
        if fault := _fault(result, first=not results):
            raise UserError(f"{path}, line {number}: {fault}")
        results.append(result)
    else:
        return results
    raise UserError(f"{path}, line {unfinished} is no JSON: not a results file of scripts/gpu_check.py")


KEYS = {
    ("event", "call"): ("call", "rehearsal", "time", "code"),
    ("event", "crash"): ("stage", "error"),
    ("event", "cut"): ("stage", "seconds"),
    ("event", "stopped"): ("stage", "seconds"),
    ("event", "skipped"): ("stage", "why"),
    ("event", "not run"): ("what", "why"),
    ("check", "numbers"): ("dtype", "function", "cases", "worst", "where", "over"),
    ("check", "resume"): ("attention",),
    ("measured", "attention"): ("implementation", "head_dim", "documents", "length"),
    ("measured", "loss ceiling"): ("vocabulary", "rows", "tflops"),
    ("measured", "loss"): ("implementation", "vocabulary", "chunk"),
    ("measured", "rows"): ("function", "shape", "implementation"),
    ("measured", "training"): ("stage", "steps", "words", "cluster"),
    ("measured", "peer"): ("stage", "steps"),
    ("measured", "sweep"): ("kernel", "head_dim", "tile"),
}
"""What a report needs of each kind of line."""


def _fault(result: Any, first: bool) -> str:
    """What is wrong with a line; empty if nothing is."""
    if not isinstance(result, dict):
        return f"{json.dumps(result)[:40]} is no result: not a results file of scripts/gpu_check.py"
    if result.get("event") == "call":
        if result.get("format") != FORMAT:
            return f"format {result.get('format')}, this version reads {FORMAT}; measure again"
        code = result.get("code")
        if not isinstance(code, dict) or not {"commit", "modified"} <= code.keys():
            return "the line of a call names no commit"
    elif first:
        return "does not begin with the line of a call: not a results file of scripts/gpu_check.py"
    for (name, value), keys in KEYS.items():
        if result.get(name) == value and (absent := [key for key in keys if key not in result]):
            return f"a result of {name} '{value}' lacks {', '.join(absent)}"
    if "device" in result and "capability" in result and not isinstance(result.get("versions"), dict):
        return "the device's line has no versions"
    return ""


def find(calls: list[Call], **wanted: Any) -> list[Result]:
    """Results with these values, of all calls."""
    return [result for call in calls for result in call.find(**wanted)]


def newest(results: Iterable[Result], *keys: str) -> list[Result]:
    """One result for each combination of these values: the last, or the last without an error."""
    kept: dict[tuple[Any, ...], Result] = {}
    for result in results:
        key = tuple(result[name] for name in keys)
        if key not in kept or "error" in kept[key] or "error" not in result:
            kept[key] = result
    return list(kept.values())


def training(calls: list[Call], variant: str) -> Result:
    """The newest measured run of a variant ("300m", "1b-stage3"); empty if there is none."""
    found = [
        each for each in find(calls, stage=f"train-{variant}", measured="training") if "seconds" in each
    ]
    return found[-1] if found else {}


def of_one_version(calls: list[Call], *variants: str) -> list[Result]:
    """The newest measured runs of these variants by the same code, to compare; empty if there are none."""
    versions = dict.fromkeys(version(call) for call in reversed(calls))
    for wanted in versions:
        same = [call for call in calls if version(call) == wanted]
        runs = [training(same, variant) for variant in variants]
        if all(runs):
            return runs
    return []


def version(call: Call) -> str:
    """The commit that was measured: the kit's, where a kit was."""
    code = call.header["code"]
    return str(code.get("kit") or code["commit"])


def spilled(result: Result) -> bool:
    """Whether a swept tile spills registers, by the machine code or by the driver."""
    return bool(result.get("spills") or result.get("driver_spills"))
