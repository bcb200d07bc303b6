"""Initial consonants (초성) of words. Train and test have different words."""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value, squeezed
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, part_of, wrong
from onnuri.chat.programmed.hangul import INITIALS, initials
from onnuri.chat.programmed.words import NOUNS

NAME = "initials"
WRITE = (
    "'{}'의 초성만 차례대로 쓰세요.",
    "'{}'에서 각 글자의 첫 자음만 뽑아 차례대로 적으세요.",
    "초성 퀴즈를 만들려고 합니다. '{}'의 초성을 적으세요.",
)
CHOOSE = "다음 낱말 가운데 초성이 '{}'인 것은 무엇입니까? {}"


def make(generator: Random, difficulty: int, split: str) -> Task:
    """Of one word; choose among four or eight words, or of two words."""
    words = [word for word in part_of(NOUNS, split) if len(word) > 1]
    if difficulty == 1 or (difficulty == 3 and generator.random() < 0.5):
        chosen = generator.sample(words, difficulty)
        text = " ".join(chosen)
        prompt, gold = generator.choice(WRITE).format(text), initials(text)
    else:
        while True:
            chosen = generator.sample(words, 4 if difficulty == 2 else 8)
            if len({initials(word) for word in chosen}) == len(chosen):
                break
        gold = chosen[0]
        generator.shuffle(chosen)
        prompt = CHOOSE.format(initials(gold), ", ".join(chosen))
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt}\n{FORM}",
        final_line(gold),
        {"gold": gold, "words": chosen},
        " ".join(sorted(chosen)),
    )


def check(task: Task, answer: str) -> Result:
    """The letters, however they are spaced; the one word."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    gold = task.parameters["gold"]
    return RIGHT if squeezed(value) == squeezed(gold) else wrong("another answer")


def mistake(generator: Random, task: Task) -> str:
    """One letter changed, or another of the words."""
    gold, words = task.parameters["gold"], task.parameters["words"]
    if gold in words:
        return final_line(generator.choice([word for word in words if word != gold]))
    other = generator.choice([letter for letter in INITIALS if letter != gold[0]])
    return final_line(other + gold[1:])


FAMILY = Family(NAME, "initial consonants (대한민국 = ㄷㅎㅁㄱ), both ways", "words", make, check, mistake)
