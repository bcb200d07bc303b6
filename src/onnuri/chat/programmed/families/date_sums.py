"""Days after and before a day. Train and test differ by the remainder modulo 7 of the number of days."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from onnuri.chat.programmed import dates
from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, number_in, wrong
from onnuri.chat.programmed.numbers import stated

NAME = "date_sums"
FIRST, LAST = date(1950, 1, 1), date(2049, 12, 31)
AS_DATE = "답은 '2020년 1월 5일'처럼 연, 월, 일로 적습니다."


def any_day(generator: Random) -> date:
    """A day of 1950 to 2049; the end of February and of the year more often."""
    day = FIRST + timedelta(generator.randrange((LAST - FIRST).days))
    if generator.random() < 0.2:
        day = date(day.year, *generator.choice(((2, 27), (2, 28), (12, 30), (3, 1))))
    return day


def make(generator: Random, difficulty: int, split: str) -> Task:
    """Within a month or so; within a year; the 100th day, or the days between two days."""
    day = any_day(generator)
    days = number_in(generator, *((2, 31), (32, 400), (50, 1500))[difficulty - 1], split)
    parameters: dict[str, object]
    if difficulty < 3:
        after = generator.random() < 0.6
        found = day + timedelta(days if after else -days)
        prompt = f"{dates.written(day)}에서 {days}일 {'뒤는' if after else '전은'} 언제입니까? {AS_DATE}"
        gold, parameters = dates.written(found), {"date": found.isoformat()}
    elif generator.random() < 0.5:
        found = day + timedelta(days - 1)
        prompt = f"{dates.written(day)}을 1일째로 셀 때 {days}일째 되는 날은 언제입니까? {AS_DATE}"
        gold, parameters = dates.written(found), {"date": found.isoformat()}
    else:
        found = day + timedelta(days)
        prompt = (
            f"{dates.written(day)}부터 {dates.written(found)}까지 며칠 남았습니까? 첫날은 세지 않고, "
            "다음 날을 1일로 셉니다. 답은 '10일'처럼 적습니다."
        )
        gold, parameters = f"{days}일", {"days": days}
    return Task(NAME, difficulty, split, f"{prompt}\n{FORM}", final_line(gold), parameters, str(days))


def check(task: Task, answer: str) -> Result:
    """2026년 11월 26일, 2026-11-26, 2026. 11. 26.; a number of days with 일 or without."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    if "days" in task.parameters:
        right = stated(value, ("일",)) == task.parameters["days"]
    else:
        day = dates.stated(value)
        right = day is not None and day.isoformat() == task.parameters["date"]
    return RIGHT if right else wrong("another day")


def mistake(generator: Random, task: Task) -> str:
    """A day too many or too few."""
    step = generator.choice((-1, 1))
    if "days" in task.parameters:
        return final_line(f"{task.parameters['days'] + step}일")
    return final_line(dates.written(date.fromisoformat(task.parameters["date"]) + timedelta(step)))


FAMILY = Family(
    NAME,
    "days after, before and between",
    "remainder modulo 7 of the number of days",
    make,
    check,
    mistake,
)
