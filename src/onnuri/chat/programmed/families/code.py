"""A short Python function, which is run. Train and test differ by a constant of the task modulo 7.

The answer is run in sandbox.py, or not at all. It gets inputs and never the results that are expected.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from onnuri.chat.programmed import sandbox
from onnuri.chat.programmed.families.json_object import same
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, number_in, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.words import NOUNS

NAME = "code"
ASK = "다음 설명에 맞는 파이썬 함수 solve를 작성하세요. 모듈을 불러오지 말고, 설명 없이 코드만 쓰세요."
LONGEST = 4_000
"""Characters of a program."""
Inputs = Callable[[Random, int], list[Any]]


@dataclass(frozen=True)
class Exercise:
    """What to write: {k} is the constant, {object} and {by} are it with its josa."""

    argument: str
    asked: str
    code: str
    expected: Callable[[Any, int], Any]
    inputs: Inputs
    """Arguments of some calls; they tell the constant from its neighbours."""
    largest: int = 60
    """Of the constant."""


def _lists(generator: Random, k: int) -> list[Any]:
    near = [k - 1, k, k + 1, 2 * k, 2 * k + 2, 3 * k]
    return [generator.sample([*near, *generator.choices(range(1, 200), k=6)], 12) for _ in range(4)] + [[]]


def _numbers(generator: Random, k: int) -> list[Any]:
    return [k, 7 * k, k * (k + 1), *generator.choices(range(1, 500), k=4)]


def _texts(generator: Random, k: int) -> list[Any]:
    letters = "".join(generator.sample(NOUNS, 40))
    return [letters[start : start + k + more] for start, more in enumerate((3, -1, 0, 1, 2, 9))]


def _words(generator: Random, k: int) -> list[Any]:
    letters = "".join(generator.sample(NOUNS, 40))
    rows = [generator.sample(range(30), 3) for _ in range(3)]
    return [[letters[s : s + k + more] for s, more in zip(row, (1, -1, 0), strict=True)] for row in rows]


EXERCISES = {
    1: (
        Exercise(
            "n",
            "정수 n을 받아 n에 {object} 곱한 값을 돌려줍니다.",
            "def solve(n):\n    return n * {k}",
            lambda n, k: n * k,
            _numbers,
        ),
        Exercise(
            "numbers",
            "정수 목록 numbers를 받아 {k}보다 큰 수의 개수를 돌려줍니다.",
            "def solve(numbers):\n    return sum(1 for number in numbers if number > {k})",
            lambda numbers, k: len([each for each in numbers if each > k]),
            _lists,
        ),
    ),
    2: (
        Exercise(
            "numbers",
            "정수 목록 numbers를 받아 {k}의 배수만 모두 더한 값을 돌려줍니다.",
            "def solve(numbers):\n    return sum(number for number in numbers if number % {k} == 0)",
            lambda numbers, k: sum(each for each in numbers if each % k == 0),
            _lists,
        ),
        Exercise(
            "text",
            "문자열 text를 받아 {k}글자가 넘으면 앞의 {k}글자만, 넘지 않으면 그대로 돌려줍니다.",
            "def solve(text):\n    return text[:{k}]",
            lambda text, k: text if len(text) <= k else "".join(list(text)[:k]),
            _texts,
            largest=15,
        ),
        Exercise(
            "n",
            "양의 정수 n을 받아 1부터 n까지의 정수 가운데 {by} 나누어떨어지는 수의 개수를 돌려줍니다.",
            "def solve(n):\n    return n // {k}",
            lambda n, k: sum(each % k == 0 for each in range(1, n + 1)),
            _numbers,
        ),
    ),
    3: (
        Exercise(
            "numbers",
            "음이 아닌 정수 목록 numbers를 받아, {by} 나눈 나머지가 작은 수부터 늘어놓은 목록을 "
            "돌려줍니다. 나머지가 같으면 원래 순서를 지킵니다.",
            "def solve(numbers):\n    return sorted(numbers, key=lambda number: number % {k})",
            lambda numbers, k: [each for rest in range(k) for each in numbers if each % k == rest],
            _lists,
        ),
        Exercise(
            "words",
            "문자열 목록 words를 받아 {k}글자 이상인 문자열만 가나다순으로 정렬한 목록을 돌려줍니다.",
            "def solve(words):\n    return sorted(word for word in words if len(word) >= {k})",
            lambda words, k: sorted([each for each in words if len(each) > k - 1]),
            _words,
            largest=12,
        ),
    ),
}


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def make(generator: Random, difficulty: int, split: str) -> Task:
    """An expression, a condition, an order."""
    index = generator.randrange(len(EXERCISES[difficulty]))
    exercise = EXERCISES[difficulty][index]
    k = number_in(generator, 3, exercise.largest, split)
    inputs = exercise.inputs(generator, k)
    asked = exercise.asked.format(k=k, object=with_josa(str(k), "을"), by=with_josa(str(k), "으로"))
    shown, *hidden = inputs
    expected = [exercise.expected(each, k) for each in inputs]
    example = (
        f"solve({json.dumps(shown, ensure_ascii=False)}) → {json.dumps(expected[0], ensure_ascii=False)}"
    )
    return Task(
        NAME,
        difficulty,
        split,
        f"{ASK}\n\n함수: solve({exercise.argument})\n설명: {asked}\n보기: {example}",
        exercise.code.format(k=k),
        {"calls": [[each] for each in hidden], "expected": expected[1:], "k": k},
        f"{difficulty} {index} {k}",
    )


def program_of(answer: str) -> str | None:
    """The program of an answer, fenced or bare: functions alone, one of them `solve`, no imports."""
    lines = answer.strip().splitlines()
    if len(lines) > 2 and lines[0] in ("```python", "```") and lines[-1] == "```":
        lines = lines[1:-1]
    text = "\n".join(lines)
    try:
        tree = ast.parse(text) if len(text) <= LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if tree is None or not all(isinstance(each, ast.FunctionDef) for each in tree.body):
        return None
    names = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    imports = any(isinstance(each, (ast.Import, ast.ImportFrom)) for each in ast.walk(tree))
    return text if names.count("solve") == 1 and not imports else None


def check(task: Task, answer: str) -> Result:
    """A program that gives the expected results for inputs that the prompt does not show.

    Raises UserError where code cannot be run safely.
    """
    program = program_of(answer)
    if program is None:
        return wrong("not one function solve alone")
    found = sandbox.run(program, task.parameters["calls"])
    if found is None:
        return wrong("it does not come to an end")
    return RIGHT if same(found, task.parameters["expected"]) else wrong("other results")


def mistake(generator: Random, task: Task) -> str:
    """Another constant, or words around the code."""
    if generator.random() < 0.3:
        return f"코드는 다음과 같습니다.\n{task.answer}"
    k = task.parameters["k"]
    return task.answer.replace(str(k), str(k + generator.choice((-1, 1))))


FAMILY = Family(
    NAME, "a short Python function, which is run", "remainder modulo 7 of a constant", make, check, mistake
)
