"""Days of the week. Train and test differ by the remainder modulo 7 of the year."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from onnuri.chat.programmed import dates
from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.families.date_sums import any_day
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, wrong

NAME = "weekdays"


def make(generator: Random, difficulty: int, split: str) -> Task:
    """Some days after a known weekday; some weeks or months; a day without any help."""
    day = any_day(generator)
    while not in_split(day.year, split):
        day = any_day(generator)
    if difficulty == 3:
        found = day
        prompt = f"{dates.written(day)}은 무슨 요일입니까?"
    else:
        days = generator.randint(1, 20) if difficulty == 1 else generator.randint(21, 400)
        after = generator.random() < 0.6
        found = day + timedelta(days if after else -days)
        prompt = (
            f"{dates.written(day)}은 {dates.weekday(day)}입니다. "
            f"이날에서 {days}일 {'뒤는' if after else '전은'} 무슨 요일입니까?"
        )
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt}\n{FORM}",
        final_line(dates.weekday(found)),
        {"weekday": dates.weekday(found)},
        str(day.year),
    )


def check(task: Task, answer: str) -> Result:
    """목요일, or 목."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    wanted = task.parameters["weekday"]
    return RIGHT if value in (wanted, wanted[0]) else wrong("another weekday")


def mistake(generator: Random, task: Task) -> str:
    """The day before or after."""
    index = dates.WEEKDAYS.index(task.parameters["weekday"][0]) + generator.choice((-1, 1))
    return final_line(f"{dates.WEEKDAYS[index % 7]}요일")


FAMILY = Family(NAME, "days of the week", "remainder modulo 7 of the year", make, check, mistake)
