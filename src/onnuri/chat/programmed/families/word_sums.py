"""Sums in words. Train and test differ by the remainder modulo 7 of the first number."""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, number_in, part_of, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.numbers import stated
from onnuri.chat.programmed.words import BELONGINGS, PEOPLE

NAME = "word_sums"


def make(generator: Random, difficulty: int, split: str) -> Task:
    """One step, two steps, or two steps with a product."""
    thing, unit = generator.choice(list(BELONGINGS.items()))
    one, two = generator.sample(part_of(PEOPLE, split), 2)
    first = number_in(generator, *((11, 60), (40, 900), (40, 900))[difficulty - 1], split)
    second = generator.randint(2, first - 2)
    third = generator.randint(2, 40)
    owner, receiver, item = with_josa(one, "이"), f"{two}에게", with_josa(thing, "을")
    subject = with_josa(one, "은")
    asked = f"{one}에게 남은 {with_josa(thing, '은')} 몇 {unit}입니까?"
    if difficulty == 1 and generator.random() < 0.5:
        value = first + second
        given = f"{with_josa(two, '이')} {second}{unit} 더 주었습니다."
        story = f"{subject} {item} {first}{unit} 가지고 있습니다. {given}"
        asked = f"{owner} 가진 {with_josa(thing, '은')} 모두 몇 {unit}입니까?"
        working = f"{first} + {second} = {value}"
    elif difficulty == 1:
        value = first - second
        story = f"{subject} {item} {first}{unit} 가지고 있다가 {receiver} {second}{unit} 주었습니다."
        working = f"{first} - {second} = {value}"
    elif difficulty == 2:
        value = first - second + third
        story = (
            f"{subject} {item} {first}{unit} 가지고 있었습니다. {receiver} {second}{unit} 주고, 가게에서 "
            f"{third}{unit} 더 샀습니다."
        )
        working = f"{first} - {second} + {third} = {value}"
    else:
        boxes = generator.randint(3, 12)
        value = boxes * third + first
        story = (
            f"{subject} 한 상자에 {thing} {third}{unit}씩 든 상자를 {boxes}개 샀습니다. 원래 집에 있던 "
            f"{with_josa(thing, '은')} {first}{unit}입니다."
        )
        asked = f"{with_josa(thing, '은')} 모두 몇 {unit}입니까?"
        working = f"{third} × {boxes} + {first} = {value}"
    return Task(
        NAME,
        difficulty,
        split,
        f"{story} {asked}\n{FORM}",
        final_line(f"{value}{unit}", working),
        {"value": value, "unit": unit},
        str(first),
    )


def check(task: Task, answer: str) -> Result:
    """The number in digits or Hangul, with its counter or without: 12, 12개, 열두 개, 1,200."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    found = stated(value, (task.parameters["unit"],))
    return RIGHT if found == task.parameters["value"] else wrong("another number")


def mistake(generator: Random, task: Task) -> str:
    """A little off, with a working as the right answer has it: length must not give it away."""
    value = task.parameters["value"] + generator.choice((1, 2, 10))
    working, _, _ = task.answer.partition(" = ")
    return final_line(f"{value}{task.parameters['unit']}", f"{working} = {value}")


FAMILY = Family(
    NAME,
    "sums in words, of one to three numbers",
    "remainder modulo 7 of the first number; names",
    make,
    check,
    mistake,
)
