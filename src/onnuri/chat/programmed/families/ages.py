"""Ages by the three Korean counts. Train and test differ by the remainder modulo 7 of the year of birth.

만 나이 is the age by law (Civil Act, article 158): a year more on each birthday. 연 나이 is the difference
of the years; 세는나이 is one more. Who was born on 29 February is a year older on 1 March of a common year.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from onnuri.chat.programmed import dates
from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.numbers import stated
from onnuri.chat.programmed.words import PEOPLE

NAME = "ages"
COUNTS = {
    "만 나이": "태어날 때를 0살로 치고 생일마다 한 살씩 더하는 법률상의 나이",
    "연 나이": "기준이 되는 해에서 태어난 해를 뺀 나이",
    "세는나이": "태어난 해를 한 살로 치고 새해마다 한 살씩 더하는 나이",
}


def age(born: date, day: date, count: str) -> int:
    """The age on a day by one of the COUNTS."""
    years = day.year - born.year
    if count == "만 나이":
        return years - ((day.month, day.day) < (born.month, born.day))
    return years + (count == "세는나이")


def make(generator: Random, difficulty: int, split: str) -> Task:
    """The two counts by year; the legal age; the legal age around the birthday."""
    while True:
        born = date(1950, 1, 1) + timedelta(generator.randrange(70 * 365))
        if in_split(born.year, split):
            break
    if difficulty == 3 and generator.random() < 0.1 and born.year % 4 == 0:
        born = date(born.year, 2, 29)
    if difficulty < 3:
        day = born + timedelta(generator.randint(400, 29_000))
    else:
        anniversary = date(born.year + generator.randint(2, 80), born.month, min(born.day, 28))
        day = anniversary + timedelta(generator.randint(-3, 3))
    count = generator.choice(["연 나이", "세는나이"]) if difficulty == 1 else "만 나이"
    name = generator.choice(PEOPLE)
    value = age(born, day, count)
    prompt = (
        f"{with_josa(name, '은')} {dates.written(born)}에 태어났습니다. "
        f"{dates.written(day)}을 기준으로 하면 {name}의 {with_josa(count, '은')} 몇 살입니까? "
        f"{with_josa(count, '은')} {COUNTS[count]}입니다."
    )
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt}\n{FORM}",
        final_line(f"{value}살"),
        {"value": value, "born": born.isoformat(), "day": day.isoformat(), "count": count},
        str(born.year),
    )


def check(task: Task, answer: str) -> Result:
    """23, 23살, 23세, 스물세 살, with the name of the count before it or without."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    for prefix in (task.parameters["count"], "만 "):
        value = value.removeprefix(prefix).strip()
    return RIGHT if stated(value, ("살", "세")) == task.parameters["value"] else wrong("another age")


def mistake(generator: Random, task: Task) -> str:
    """A year too many or too few."""
    return final_line(f"{task.parameters['value'] + generator.choice((-1, 1))}살")


FAMILY = Family(
    NAME, "만 나이, 연 나이, 세는나이", "remainder modulo 7 of the year of birth", make, check, mistake
)
