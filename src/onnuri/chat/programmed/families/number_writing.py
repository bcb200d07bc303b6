"""Hangul to digits. Train and test differ by the remainder modulo 7 of the number."""

from __future__ import annotations

import re
from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.families.number_reading import number
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, number_in, wrong
from onnuri.chat.programmed.numbers import native, sino

NAME = "number_writing"
PROMPTS = (
    "다음 수를 아라비아 숫자로만 쓰세요: {}",
    "'{}'을 아라비아 숫자로 쓰면 얼마입니까? 한글을 섞지 마세요.",
)


def make(generator: Random, difficulty: int, split: str) -> Task:
    """A number in words: native ones at the first difficulty too."""
    if difficulty == 1 and generator.random() < 0.3:
        value = number_in(generator, 11, 99, split)
        text = native(value)
    else:
        value = number(generator, difficulty, split)
        text = sino(value, generator.choice(("", " ")))
    prompt = PROMPTS[0] if _ends_in_vowel(text) else generator.choice(PROMPTS)
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt.format(text)}\n{FORM}",
        final_line(f"{value:,}" if value > 999 else str(value)),
        {"value": value},
        str(value),
    )


def _ends_in_vowel(text: str) -> bool:
    return (ord(text[-1]) - 0xAC00) % 28 == 0


_DIGITS = re.compile(r"[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+")


def check(task: Task, answer: str) -> Result:
    """Digits, with commas by thousands or without."""
    value = final_value(answer)
    if value is None or not _DIGITS.fullmatch(value):
        return wrong("no single number in digits")
    return RIGHT if int(value.replace(",", "")) == task.parameters["value"] else wrong("another number")


def mistake(generator: Random, task: Task) -> str:
    """A zero too many or too few, or another digit."""
    value = task.parameters["value"]
    return final_line(f"{generator.choice((value * 10, value + 1, value + 100)):,}")


FAMILY = Family(
    NAME,
    "Hangul to digits (Sino-Korean and native)",
    "remainder modulo 7 of the number",
    make,
    check,
    mistake,
)
