"""The josa after any final sound: Hangul words, digits, Latin letters.

Train and test have different nouns; numbers differ by the remainder modulo 7, and so do invented words
and rows of Latin letters by the sum of their code points. Too few nouns end in one sound to show the rule.
Each of the two forms is right as often: most nouns end in a consonant, and a model would learn that alone.
"""

from __future__ import annotations

import re
from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, number_in, part_of, wrong
from onnuri.chat.programmed.hangul import JOSA, LETTERS, josa_form
from onnuri.chat.programmed.words import NOUNS

NAME = "josa"
PROMPTS = (
    "괄호 안에서 알맞은 조사를 고르세요: {}",
    "다음에서 바른 조사는 무엇입니까? {}",
    "문법에 맞는 조사를 하나만 고르세요: {}",
)
SEVERAL = "괄호마다 알맞은 조사를 하나씩 골라 차례대로 쉼표로 이어 적으세요: {}"
SYLLABLES = tuple(sorted({syllable for noun in NOUNS for syllable in noun}))
READ = "숫자는 한자어 수로, 로마자는 글자 이름으로 하나씩 읽습니다."


def _word(generator: Random, split: str) -> str:
    """A noun, or as often an invented word of syllables that nouns have: 곰마, 자꽃시."""
    if generator.random() < 0.5:
        return generator.choice(part_of(NOUNS, split))
    while True:
        word = "".join(generator.choices(SYLLABLES, k=generator.randint(2, 3)))
        if word not in NOUNS and in_split(sum(map(ord, word)), split):
            return word


def _number(generator: Random, split: str) -> str:
    while True:
        value = number_in(generator, 10, 10 ** generator.randint(2, 6), split)
        round_to = 10 ** generator.randint(0, len(str(value)) - 1)
        value -= value % round_to
        if in_split(value, split):
            return str(value)


def _acronym(generator: Random, split: str) -> str:
    while True:
        letters = generator.choices(list(LETTERS), k=generator.randint(1, 3))
        letters.append(
            generator.choice("LMN") if generator.random() < 0.5 else generator.choice(list(LETTERS))
        )
        if letters[-1] != "R" and in_split(sum(map(ord, letters)), split):  # R is 알 or 아르
            return "".join(letters)


def make(generator: Random, difficulty: int, split: str) -> Task:
    """One word; a number or an acronym; three of any kind."""
    kinds = ([_word], [_number, _acronym], [_word, _number, _acronym])[difficulty - 1]
    pairs = []
    for _ in range(3 if difficulty == 3 else 1):
        kind, josa, form = generator.choice(kinds), generator.choice(list(JOSA)), generator.randrange(2)
        while josa_form(word := kind(generator, split), josa) != form:
            pass
        pairs.append((word, josa))
    shown = ", ".join(f"{word}({'/'.join(JOSA[josa])})" for word, josa in pairs)
    lines = [(SEVERAL if difficulty == 3 else generator.choice(PROMPTS)).format(shown)]
    if difficulty > 1:
        lines.append(READ)
    return Task(
        NAME,
        difficulty,
        split,
        "\n".join([*lines, FORM]),
        final_line(", ".join(_chosen(pairs))),
        {"pairs": [list(pair) for pair in pairs]},
        " ".join(word for word, _ in pairs),
    )


def _chosen(pairs: list[tuple[str, str]], other: int = 0) -> list[str]:
    return [JOSA[josa][josa_form(word, josa) ^ other] for word, josa in pairs]


def check(task: Task, answer: str) -> Result:
    """The josa, alone or behind its word; several in order, with commas or spaces between."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    pairs = [(word, josa) for word, josa in task.parameters["pairs"]]
    given = re.split(r"\s*,\s*|\s+", value)
    wanted = _chosen(pairs)
    if len(given) != len(wanted):
        return wrong("another number of josa")
    fits = all(
        each in (josa, word + josa) for each, josa, (word, _) in zip(given, wanted, pairs, strict=True)
    )
    return RIGHT if fits else wrong("another josa")


def mistake(generator: Random, task: Task) -> str:
    """The other form."""
    return final_line(", ".join(_chosen([(word, josa) for word, josa in task.parameters["pairs"]], 1)))


FAMILY = Family(
    NAME,
    "the josa after Hangul, digits and Latin letters (서울로, 3이, LG는)",
    "nouns; remainder modulo 7 of numbers, and of the sum of letters or syllables",
    make,
    check,
    mistake,
)
