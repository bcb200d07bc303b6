"""The lunar calendar, both ways, and its holidays. Train and test differ by the lunar year modulo 7."""

from __future__ import annotations

import re
from datetime import date
from random import Random
from typing import Any

from onnuri.chat.programmed import dates
from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.families.date_sums import AS_DATE
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.lunar_calendar import LunarDate, months, to_solar

NAME = "lunar"
HOLIDAYS = {
    "설날": (1, 1),
    "정월 대보름": (1, 15),
    "삼짇날": (3, 3),
    "부처님 오신 날": (4, 8),
    "단오": (5, 5),
    "칠석": (7, 7),
    "백중": (7, 15),
    "추석": (8, 15),
    "중양절": (9, 9),
}


def written(lunar: LunarDate) -> str:
    """2025년 윤6월 3일."""
    return f"{lunar.year}년 {'윤' * lunar.leap}{lunar.month}월 {lunar.day}일"


def make(generator: Random, difficulty: int, split: str) -> Task:
    """Holidays; any lunar day; a solar day."""
    year, month, leap = generator.choice([key for key in months() if in_split(key[0], split)])
    if difficulty == 3 and generator.random() < 0.3:
        year, month, leap = generator.choice(
            [key for key in months() if key[2] and in_split(key[0], split)]
        )
    lunar = LunarDate(year, month, leap, generator.randint(1, months()[year, month, leap].days))
    if difficulty == 1:
        holiday = generator.choice(list(HOLIDAYS))
        month, day = HOLIDAYS[holiday]
        lunar = LunarDate(year, month, False, day)
        asked = with_josa(holiday, "은")
        prompt = f"{year}년의 {asked} 양력으로 언제입니까? {asked} 음력 {month}월 {day}일입니다. {AS_DATE}"
    elif difficulty == 2:
        prompt = f"음력 {written(lunar)}은 양력으로 언제입니까? {AS_DATE}"
    else:
        prompt = (
            f"양력 {dates.written(to_solar(lunar))}은 음력으로 언제입니까? 답은 '2020년 1월 5일'처럼 적고, "
            "윤달이면 '2020년 윤4월 5일'처럼 적습니다."
        )
    solar = to_solar(lunar)
    parameters: dict[str, Any]
    if difficulty == 3:
        gold, parameters = written(lunar), {"lunar": list(lunar)}
    else:
        gold, parameters = dates.written(solar), {"solar": solar.isoformat()}
    return Task(NAME, difficulty, split, f"{prompt}\n{FORM}", final_line(gold), parameters, str(year))


_LUNAR = re.compile(r"(?:음력\s*)?([0-9]{4})년\s*(윤달?\s*)?([0-9]{1,2})월\s*([0-9]{1,2})일")


def check(task: Task, answer: str) -> Result:
    """A solar day as in date_sums, with 양력 before it or without; a lunar one as 2025년 윤6월 3일."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    if "solar" in task.parameters:
        day = dates.stated(value.removeprefix("양력"))
        right = day is not None and day.isoformat() == task.parameters["solar"]
        return RIGHT if right else wrong("another day")
    match = _LUNAR.fullmatch(value)
    if match is None:
        return wrong("no lunar day")
    found = [int(match[1]), int(match[3]), bool(match[2]), int(match[4])]
    return RIGHT if found == task.parameters["lunar"] else wrong("another day")


def mistake(generator: Random, task: Task) -> str:
    """A day too many or too few, or a leap month for an ordinary one."""
    if "solar" in task.parameters:
        day = date.fromisoformat(task.parameters["solar"])
        return final_line(dates.written(date.fromordinal(day.toordinal() + generator.choice((-1, 1, 30)))))
    lunar = LunarDate(*task.parameters["lunar"])
    changed = generator.choice(
        (lunar._replace(leap=not lunar.leap), lunar._replace(day=lunar.day % 29 + 1))
    )
    return final_line(written(changed))


FAMILY = Family(
    NAME,
    "lunar days and holidays (설날, 추석), 1950 to 2049",
    "remainder modulo 7 of the lunar year",
    make,
    check,
    mistake,
)
