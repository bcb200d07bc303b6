"""Syllables taken apart into letters, and put together.

Train and test have different words; rows of random syllables differ by the sum of their code points
modulo 7.
"""

from __future__ import annotations

import re
from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value, squeezed
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, part_of, wrong
from onnuri.chat.programmed.hangul import FINALS, INITIALS, VOWELS, apart, compose, letters
from onnuri.chat.programmed.words import NOUNS

NAME = "jamo"
TAKE_APART = "'{}'의 글자를 초성, 중성, 종성으로 나누어 차례대로 적으세요."
WHOLE = "겹받침, 된소리, 이중모음은 한 글자로 적습니다. (보기: 넋 → ㄴㅓㄳ)"
PUT_TOGETHER = "다음 낱자를 차례대로 모아 쓰면 어떤 글자가 됩니까? {}"
_BETWEEN = re.compile(r"[\s,+·-]+")


def syllables(generator: Random, count: int, split: str) -> str:
    """Random syllables; two of three have a final consonant."""
    while True:
        text = "".join(
            compose(
                generator.choice(INITIALS),
                generator.choice(VOWELS),
                generator.choice(FINALS[1:]) if generator.random() < 0.67 else "",
            )
            for _ in range(count)
        )
        if in_split(sum(map(ord, text)), split):
            return text


def make(generator: Random, difficulty: int, split: str) -> Task:
    """A word, two random syllables, three or four."""
    if difficulty == 1:
        text = generator.choice(part_of(NOUNS, split))
    else:
        text = syllables(generator, 2 if difficulty == 2 else generator.randint(3, 4), split)
    if generator.random() < 0.5:
        prompt, gold, joined = f"{TAKE_APART.format(text)} {WHOLE}", apart(text), False
    else:
        prompt, gold, joined = PUT_TOGETHER.format(" ".join(apart(text))), text, True
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt}\n{FORM}",
        final_line(gold),
        {"text": text, "joined": joined},
        text,
    )


def check(task: Task, answer: str) -> Result:
    """The syllables; the letters in a row, or with spaces, commas, + or - between them."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    text = task.parameters["text"]
    if task.parameters["joined"]:
        return RIGHT if squeezed(value) == text else wrong("other syllables")
    return RIGHT if _BETWEEN.sub("", value) == apart(text) else wrong("other letters")


def mistake(generator: Random, task: Task) -> str:
    """Another vowel or final in one place."""
    text = task.parameters["text"]
    position = generator.randrange(len(text))
    initial, vowel, final = letters(text[position])
    other = generator.choice([each for each in VOWELS if each != vowel])
    changed = text[:position] + compose(initial, other, final) + text[position + 1 :]
    return final_line(changed if task.parameters["joined"] else apart(changed))


FAMILY = Family(
    NAME,
    "syllables into letters and back (값 = ㄱㅏㅄ)",
    "words; code points of random syllables modulo 7",
    make,
    check,
    mistake,
)
