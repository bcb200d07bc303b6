"""A fact read from an invented paragraph. Train and test have different towns and people.

Every paragraph is made up, so the answer stands nowhere but in it.
"""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value, squeezed
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, part_of, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.numbers import stated
from onnuri.chat.programmed.words import PEOPLE, SURNAMES, TOWNS

NAME = "reading"
PLACES = ("박물관", "미술관", "식물원", "천문대", "과학관", "기록관")
EXHIBITS = (
    "청동 거울",
    "나무 북",
    "옛 지도",
    "돌 항아리",
    "은빛 나침반",
    "종이 등",
    "소나무 화분",
    "유리 돛단배",
)
UNITS = {"year": "년", "visitors": "명", "fee": "원"}
QUESTIONS = {
    "year": "{topic} 몇 년에 문을 열었습니까?",
    "founder": "{object} 세운 사람은 누구입니까?",
    "exhibit": "{place}에서 가장 이름난 것은 무엇입니까?",
    "visitors": "한 해에 {object} 찾는 사람은 몇 명입니까?",
    "fee": "{place}의 입장료는 얼마입니까?",
}
STATEMENTS = {
    "year": "{topic} {value}년에 문을 열었습니다.",
    "founder": "{object} 세운 사람은 {value}입니다.",
    "exhibit": "{place}에서 가장 이름난 것은 {value}입니다.",
    "visitors": "해마다 {value}명이 {object} 찾습니다.",
    "fee": "{place}의 입장료는 {value}원입니다.",
}


def _about(place: str, template: str, value: str = "") -> str:
    return template.format(
        place=place, topic=with_josa(place, "은"), object=with_josa(place, "을"), value=value
    )


def _facts(generator: Random, split: str) -> dict[str, str]:
    return {
        "year": str(generator.randint(1921, 2024)),
        "founder": generator.choice(SURNAMES) + generator.choice(part_of(PEOPLE, split)),
        "exhibit": generator.choice(EXHIBITS),
        "visitors": f"{generator.randint(21, 999) * 100:,}",
        "fee": f"{generator.randint(2, 29) * 500:,}",
    }


def make(generator: Random, difficulty: int, split: str) -> Task:
    """One place, two, or three with their sentences mixed."""
    towns = generator.sample(part_of(TOWNS, split), difficulty)
    kinds = generator.sample(PLACES, difficulty)
    places = [f"{town} {kind}" for town, kind in zip(towns, kinds, strict=True)]
    facts = [_facts(generator, split) for _ in places]
    sentences = [
        _about(place, STATEMENTS[name], value)
        for place, known in zip(places, facts, strict=True)
        for name, value in known.items()
    ]
    if difficulty == 3:
        generator.shuffle(sentences)
    chosen, name = generator.randrange(difficulty), generator.choice(list(QUESTIONS))
    question = _about(places[chosen], QUESTIONS[name])
    unit, value = UNITS.get(name, ""), facts[chosen][name]
    others = [known[name] + unit for known in facts if known[name] != value]
    if not others:
        others = [facts[chosen]["founder" if name != "founder" else "exhibit"]]
    prompt = f"다음 글을 읽고 물음에 답하세요.\n\n{' '.join(sentences)}\n\n물음: {question}\n{FORM}"
    parameters = {"value": value, "unit": unit, "others": others}
    return Task(
        NAME, difficulty, split, prompt, final_line(value + unit), parameters, " ".join(sorted(towns))
    )


def check(task: Task, answer: str) -> Result:
    """The words of the paragraph, however they are spaced; numbers with their unit or without."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    wanted, unit = task.parameters["value"], task.parameters["unit"]
    if unit:
        right = stated(value, (unit,)) == int(wanted.replace(",", ""))
    else:
        right = squeezed(value) == squeezed(wanted)
    return RIGHT if right else wrong("another answer")


def mistake(generator: Random, task: Task) -> str:
    """The same fact of another place, or another fact."""
    return final_line(generator.choice(task.parameters["others"]))


FAMILY = Family(NAME, "a fact from an invented paragraph", "towns and people", make, check, mistake)
