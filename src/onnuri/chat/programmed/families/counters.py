"""Numbers before a counter, times and dates, as they are said.

Train and test differ by the pair of number and counter: a test pair has a test remainder modulo 7 of the
number plus the place of the counter in its list.
"""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value, squeezed
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, in_split, wrong
from onnuri.chat.programmed.numbers import native, sino
from onnuri.chat.programmed.words import listed

NAME = "counters"
NATIVE = listed("개 명 마리 병 송이 그루 켤레 자루 잔 살 벌 채 포기 바퀴 그릇 통 곡")
SINO = listed("층 원 년 초 일 인분 개월 학년 도 킬로미터 세 호 등 위 차 회 퍼센트")
"""None that is said both ways: 3권 is 세 권 or 제삼 권, 3분 is 삼 분 or 세 분."""
MONTHS = {6: "유", 10: "시"}
PROMPTS = (
    "다음에 나오는 숫자를 모두 한글로 바꾸어 쓰세요: {}",
    "'{}' 이 말을 숫자 없이 한글로만 쓰면 어떻게 됩니까?",
)
RULE = "고유어 수로 세는 단위는 고유어 수로, 한자어 수로 세는 단위는 한자어 수로 씁니다."


def said(number: int, counter: str) -> str:
    """12, 명 is 열두 명; 6, 월 is 유월."""
    if counter == "월":
        return MONTHS.get(number, sino(number)) + "월"
    if counter == "일":
        return f"{sino(number)}일"
    reading = native(number, before_counter=True) if counter in (*NATIVE, "시") else sino(number)
    return f"{reading} {counter}"


_HIGHEST = {
    "살": 99,
    "월": 12,
    "년": 2100,
    "층": 120,
    "원": 99_900,
    "세": 99,
    "호": 900,
    "회": 300,
    "위": 500,
}


def _draw(generator: Random, difficulty: int) -> list[tuple[int, str]]:
    if difficulty == 1:
        counter = generator.choice((*NATIVE, *SINO))
        return [(generator.randint(1, 6 if counter == "학년" else 19), counter)]
    if difficulty == 2:
        counter = generator.choice(list(_HIGHEST))
        return [(generator.randint(1 if counter == "월" else 20, _HIGHEST[counter]), counter)]
    if generator.random() < 0.5:
        return [(generator.randint(1, 12), "시"), (generator.randint(1, 59), "분")]
    return [(generator.randint(1, 12), "월"), (generator.randint(1, 28), "일")]


def is_test(pairs: list[tuple[int, str]]) -> bool:
    """Which split some numbers with their counters belong to."""
    order = (*NATIVE, *SINO, "시", "분", "월")
    return in_split(sum(number + order.index(counter) for number, counter in pairs), "test")


def make(generator: Random, difficulty: int, split: str) -> Task:
    """One counter; larger numbers and months; a time or a date."""
    pairs = _draw(generator, difficulty)
    while is_test(pairs) != (split == "test"):
        pairs = _draw(generator, difficulty)
    text = " ".join(
        f"{number:,}{counter}" if counter == "원" else f"{number}{counter}" for number, counter in pairs
    )
    reading = " ".join(said(number, counter) for number, counter in pairs)
    return Task(
        NAME,
        difficulty,
        split,
        f"{generator.choice(PROMPTS).format(text)}\n{RULE}\n{FORM}",
        final_line(reading),
        {"pairs": [list(pair) for pair in pairs]},
        text,
    )


def check(task: Task, answer: str) -> Result:
    """The reading, however it is spaced; 만 and 일만 are both right."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    reading = squeezed("".join(said(number, counter) for number, counter in task.parameters["pairs"]))
    accepted = {reading, "일" + reading} if reading.startswith("만") else {reading}
    return RIGHT if squeezed(value) in accepted else wrong("another reading")


def mistake(generator: Random, task: Task) -> str:
    """The other kind of number, or a month as it is written."""
    parts = [said(number, counter) for number, counter in task.parameters["pairs"]]
    number, counter = task.parameters["pairs"][0]
    if counter == "월":
        parts[0] = f"{sino(number) if number in MONTHS else native(number, before_counter=True)}월"
    elif counter in (*NATIVE, "시") or number > 99:
        parts[0] = f"{sino(number if number <= 99 else number + 1)} {counter}"
    else:
        parts[0] = f"{native(number, before_counter=True)} {counter}"
    return final_line(" ".join(parts))


FAMILY = Family(
    NAME,
    "numbers with a counter, times and dates as they are said (스무 살, 유월)",
    "remainder modulo 7 of the number plus the counter's place in its list",
    make,
    check,
    mistake,
)
