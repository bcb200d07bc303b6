"""Words in the order of a Korean dictionary. Train and test have different words."""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, part_of, wrong
from onnuri.chat.programmed.words import NOUNS

NAME = "sorting"
PROMPTS = (
    "다음 낱말을 가나다순으로 늘어놓으세요: {}",
    "국어사전에 실리는 차례대로 다음 낱말을 적으세요: {}",
)
LIST = "낱말 사이에는 쉼표를 찍으세요."


def make(generator: Random, difficulty: int, split: str) -> Task:
    """Three words, five, or eight; the larger ones with neighbours that begin alike."""
    count = (3, 5, 8)[difficulty - 1]
    words = sorted(part_of(NOUNS, split))
    start = generator.randrange(len(words) - 12)
    chosen = generator.sample(words if difficulty == 1 else words[start : start + 12], count)
    if chosen == sorted(chosen):
        chosen.reverse()
    return Task(
        NAME,
        difficulty,
        split,
        f"{generator.choice(PROMPTS).format(', '.join(chosen))}\n{LIST}\n{FORM}",
        final_line(", ".join(sorted(chosen))),
        {"words": chosen},
        " ".join(sorted(chosen)),
    )


def check(task: Task, answer: str) -> Result:
    """All words in order, with commas between.

    Code points of composed syllables are in dictionary order: the syllables stand by initial, vowel, final.
    """
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    given = [part.strip() for part in value.split(",")]
    return RIGHT if given == sorted(task.parameters["words"]) else wrong("another order")


def mistake(generator: Random, task: Task) -> str:
    """Two neighbours exchanged."""
    words = sorted(task.parameters["words"])
    position = generator.randrange(len(words) - 1)
    words[position : position + 2] = reversed(words[position : position + 2])
    return final_line(", ".join(words))


FAMILY = Family(NAME, "words in dictionary order (가나다순)", "words", make, check, mistake)
