"""Facts of a paragraph as a JSON object by a schema. Train and test have different names and numbers."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, number_in, part_of, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.words import BELONGINGS, PEOPLE, SURNAMES, TOWNS

NAME = "json_object"
ONLY = "설명이나 코드 블록 없이 JSON 객체 하나만 쓰세요."
TYPES = {str: "string", int: "integer", bool: "boolean"}
SUBJECTS = ("국어", "수학", "과학", "사회", "영어", "음악", "미술", "체육")


def _order(generator: Random, split: str) -> tuple[str, dict[str, Any], int]:
    name = generator.choice(SURNAMES) + generator.choice(part_of(PEOPLE, split))
    thing, unit = generator.choice(list(BELONGINGS.items()))
    count = generator.randint(2, 30)
    price = number_in(generator, 12, 990, split) * 100
    paid = generator.random() < 0.5
    text = (
        f"{name} 고객님이 {with_josa(thing, '을')} {count}{unit} 주문했습니다. "
        f"금액은 모두 {price:,}원이고, 결제는 {'끝났습니다' if paid else '아직 하지 않았습니다'}."
    )
    return text, {"고객": name, "상품": thing, "수량": count, "금액": price, "결제": paid}, price // 100


def _meeting(generator: Random, split: str) -> tuple[str, dict[str, Any], int]:
    town = generator.choice(part_of(TOWNS, split))
    year = generator.randint(2020, 2039)
    month, day, hour = generator.randint(1, 12), generator.randint(1, 28), generator.randint(1, 11)
    guests = number_in(generator, 10, 300, split)
    online = generator.random() < 0.5
    text = (
        f"{with_josa(town, '은')} {year}년 {month}월 {day}일 오후 {hour}시에 주민 회의를 엽니다. "
        f"참석 인원은 {guests}명이며, "
        f"온라인으로도 {'참여할 수 있습니다' if online else '참여할 수는 없습니다'}."
    )
    date = f"{year}-{month:02}-{day:02}"
    return (
        text,
        {"장소": town, "날짜": date, "시각": f"{hour + 12}:00", "인원": guests, "온라인": online},
        guests,
    )


def _marks(generator: Random, split: str) -> tuple[str, dict[str, Any], int]:
    name = generator.choice(SURNAMES) + generator.choice(part_of(PEOPLE, split))
    subjects = generator.sample(SUBJECTS, 3)
    marks = [generator.randint(40, 100) for _ in subjects]
    marks[0] = number_in(generator, 40, 100, split)
    parts = [f"{subject} {mark}점" for subject, mark in zip(subjects, marks, strict=True)]
    text = f"{name} 학생의 점수는 {parts[0]}, {parts[1]}, {parts[2]}입니다."
    return text, {"이름": name, "점수": dict(zip(subjects, marks, strict=True)), "과목": subjects}, marks[0]


NOTES = {
    "날짜": "날짜는 YYYY-MM-DD, 시각은 24시간제 HH:MM으로 적습니다.",
    "결제": "결제는 끝났으면 true, 아니면 false입니다.",
    "과목": "과목은 글에 나온 차례대로 적습니다.",
}


def schema_of(value: Any) -> dict[str, Any]:
    """A JSON schema that such a value satisfies, with all keys required and no others allowed."""
    if isinstance(value, dict):
        properties = {key: schema_of(each) for key, each in value.items()}
        return {
            "type": "object",
            "properties": properties,
            "required": list(value),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "items": {"type": "string"}}
    return {"type": TYPES[type(value)]}


def make(generator: Random, difficulty: int, split: str) -> Task:
    """Three fields; five; fields inside a field."""
    kind = _marks if difficulty == 3 else generator.choice((_order, _meeting))
    text, value, number = kind(generator, split)
    if difficulty == 1:
        kept = set(generator.sample(list(value), 3))
        value = {name: each for name, each in value.items() if name in kept}
    schema = json.dumps(schema_of(value), ensure_ascii=False)
    notes = " ".join(note for name, note in NOTES.items() if name in value)
    ask = f"다음 글을 읽고 아래 JSON 스키마에 맞추어 정리하세요. {ONLY} {notes}".strip()
    answer = json.dumps(value, ensure_ascii=False)
    prompt = f"{ask}\n\n글: {text}\n\n스키마: {schema}"
    return Task(NAME, difficulty, split, prompt, answer, {"value": value}, f"{kind.__name__} {number}")


def read_object(answer: str) -> Any:
    """The value of a text that is one JSON object and nothing else; None otherwise, and for a key twice."""

    def no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    try:
        value = json.loads(answer, object_pairs_hook=no_twice)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def same(one: Any, other: Any) -> bool:
    """Equal JSON values of equal types: true is not 1, and 3.0 is not 3."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def check(task: Task, answer: str) -> Result:
    """The object itself, with its keys in any order and any white space; no text and no fence around it."""
    value = read_object(answer)
    if value is None:
        return wrong("not one JSON object alone")
    return RIGHT if same(value, task.parameters["value"]) else wrong("other fields or values")


def mistake(generator: Random, task: Task) -> str:
    """A number or truth value as text, text around it, or a field left out."""
    value = dict(task.parameters["value"])
    kind = generator.randrange(3)
    if kind == 0:
        return f"정리한 결과입니다.\n{task.answer}"
    name = generator.choice(list(value))
    if kind == 1:
        del value[name]
    else:
        value[name] = [value[name]] if isinstance(value[name], (str, list, dict)) else str(value[name])
    return json.dumps(value, ensure_ascii=False)


FAMILY = Family(
    NAME,
    "facts of a paragraph as JSON by a schema",
    "names; remainder modulo 7 of a number",
    make,
    check,
    mistake,
)
