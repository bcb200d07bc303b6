"""Digits to Hangul. Train and test differ by the remainder modulo 7 of the number."""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value, squeezed
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, number_in, wrong
from onnuri.chat.programmed.numbers import sino

NAME = "number_reading"
RANGES = ((11, 9_999), (10_000, 99_999_999), (100_000_000, 9_999_999_999_999))
PROMPTS = (
    "다음 수를 한글로 쓰세요: {}",
    "'{}' 이 수를 한글로 적으면 어떻게 됩니까?",
    "다음 수를 한자어 수로 읽어 한글로 쓰세요: {}",
)


def number(generator: Random, difficulty: int, split: str) -> int:
    """A number of a random length, with zeros inside more often than chance has them."""
    low, high = RANGES[difficulty - 1]
    while True:
        digits = generator.randint(len(str(low)), len(str(high)))
        value = number_in(generator, max(low, 10 ** (digits - 1)), min(high, 10**digits - 1), split)
        if generator.random() < 0.4:
            value -= value % 10 ** generator.randint(1, digits - 1)
            if value < low or not in_split(value, split):
                continue
        return value


def shown(generator: Random, value: int, difficulty: int) -> str:
    """With commas, without, or with 만, 억 and 조 as newspapers have it."""
    style = generator.randrange(3 if difficulty > 1 else 2)
    if style == 2:
        groups: list[str] = []
        for large in ("", "만", "억", "조"):
            value, group = divmod(value, 10_000)
            if group:
                groups.insert(0, (f"{group:,}" if group > 999 else str(group)) + large)
        return " ".join(groups)
    return f"{value:,}" if style else str(value)


def make(generator: Random, difficulty: int, split: str) -> Task:
    """A number in digits."""
    value = number(generator, difficulty, split)
    text = shown(generator, value, difficulty)
    prompt = generator.choice(PROMPTS).format(text)
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt}\n{FORM}",
        final_line(sino(value, " ")),
        {"value": value},
        str(value),
    )


def accepted(value: int) -> set[str]:
    """만 이천 and 일만 이천 are both right; 일천, 일백, 일십 are not, as they are for cheques only."""
    reading = sino(value)
    return {reading, "일" + reading} if reading.startswith("만") else {reading}


def check(task: Task, answer: str) -> Result:
    """The reading, however it is spaced."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    return RIGHT if squeezed(value) in accepted(task.parameters["value"]) else wrong("another reading")


def mistake(generator: Random, task: Task) -> str:
    """일백 for 백, or another number."""
    reading = sino(task.parameters["value"])
    for place in ("백", "십", "천"):
        at = reading.find(place)
        if at == 0 or (at > 0 and reading[at - 1] in "십백천만억조"):
            return final_line(f"{reading[:at]}일{reading[at:]}")
    return final_line(sino(task.parameters["value"] + 10 ** generator.randint(1, 3)))


FAMILY = Family(
    NAME, "digits to Hangul (Sino-Korean)", "remainder modulo 7 of the number", make, check, mistake
)
