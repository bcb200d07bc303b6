"""A sentence in another register. Train and test have different sentences.

Only the end of a sentence changes: subjects are things and third persons, so that neither 저 for 나 nor
-시- has to change with it.
"""

from __future__ import annotations

import re
from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, part_of, wrong
from onnuri.chat.programmed.predicates import NAMES, PREDICATES, REGISTERS, Register, also_accepted

NAME = "register"
_DONE = """
동생이 빵을|먹다;아이가 우유를|마시다;친구가 책을|읽다;언니가 편지를|쓰다;학생들이 음악을|듣다;
강아지가 공원을|걷다;이모가 떡을|만들다;가게에서 과일을|팔다;도서관이 일찍 문을|열다;
아이들이 마당에서|놀다;누나가 새 가방을|사다;아기가 방에서|자다;형이 역에서 친구를|만나다;
동생이 버스를|기다리다;언니가 수영을|배우다;삼촌이 수학을|가르치다;친구가 이웃을|돕다;형이 고기를|굽다;
마을 사람들이 다리를|짓다;아이가 노래를|부르다;동생이 선물을|고르다;누나가 종이를|자르다;
형이 숙제를|하다;친구가 역사를|공부하다;동생이 교실을|청소하다;언니가 여행을|준비하다;
동생이 운동을|시작하다;사촌이 은행에서|일하다;아이가 창문을|닦다;동생이 손을|씻다;형이 열쇠를|찾다;
친구가 상을|받다;고양이가 의자에|앉다;아기가 크게|웃다;학생들이 나무를|심다;수업이 일찍|끝나다;
산에 비가|내리다;바람이 세게|불다;동생이 그림을|그리다;기차가 다리를|지나가다;누나가 우산을|빌리다;
친구가 사진을|보내다;형이 자전거를|타다;동생이 늦게|돌아오다;아이가 조개껍데기를|모으다;
친구가 과자를|나누다;배가 항구를|떠나다;동생이 집에서|쉬다;삼촌이 영화를|보다;친구가 시장에|가다;
손님이 우리 집에|오다
"""
_BEING = """
날씨가 정말|좋다;이 방이 꽤|크다;그 글씨는 너무|작다;공원에 사람이|많다;아침 날씨가|춥다;여름밤이|덥다;
이 국은 조금|맵다;가을 하늘이|맑다;그 운동장은|넓다;그 다리는 아주|길다;이 수박은 무척|달다;
저 산은 꽤|높다;가게가 아침부터|바쁘다;그 꽃이|예쁘다;새 기차는 아주|빠르다;도서관이|조용하다;
방 안이|따뜻하다;바닷바람이|시원하다;골목이 조금|어둡다;이 상자는|무겁다;새 가방은|가볍다;
섬의 경치가|아름답다;교실이 아주|깨끗하다;그 약속은|중요하다
"""
DONE, BEING = (
    [(body, name) for line in text.split(";") for body, name in [line.strip().split("|")]]
    for text in (_DONE, _BEING)
)
"""Sentence without its predicate, and the predicate's dictionary form: what one does, what a thing is."""
PAST, FUTURE = ("어제", "그저께", "지난 토요일에"), ("내일", "모레", "다음 토요일에")
SPOKEN: tuple[Register, ...] = ("casual", "polite", "formal")


def _sentence(generator: Random, split: str, question: bool) -> tuple[str, str, str]:
    """(words before the predicate, dictionary form, tense)."""
    doing = generator.random() < 0.7
    body, predicate = generator.choice(part_of(DONE if doing else BEING, split))
    tense = generator.choice(("past", "future") if doing else ("present", "past"))
    if question and tense == "future":
        tense = "past"
    if doing:
        body = f"{generator.choice(PAST if tense == 'past' else FUTURE)} {body}"
    return body, predicate, tense


def rendered(parts: list[list[str]], register: Register, question: bool) -> str:
    """Sentences of [body, predicate, tense] in a register."""
    texts = []
    for body, name, tense in parts:
        predicate = PREDICATES[name]
        if question:
            texts.append(f"{body} {predicate.asked(register, tense == 'past')}?")
        else:
            texts.append(f"{body} {predicate.conjugate(register, tense)}.")  # type: ignore[arg-type]
    return " ".join(texts)


def make(generator: Random, difficulty: int, split: str) -> Task:
    """A statement; a question or a statement in any register; two sentences."""
    question = difficulty == 2 and generator.random() < 0.5
    registers = SPOKEN if question else REGISTERS
    source, target = generator.sample(registers if difficulty > 1 else SPOKEN, 2)
    parts = [list(_sentence(generator, split, question)) for _ in range(2 if difficulty == 3 else 1)]
    what = "두 문장을 모두" if difficulty == 3 else "문장을"
    prompt = (
        f"다음 {what} {NAMES[target]}로 바꾸세요. 문장 끝만 바꾸고 다른 말은 그대로 두세요.\n"
        f"{rendered(parts, source, question)}"
    )
    return Task(
        NAME,
        difficulty,
        split,
        f"{prompt}\n{FORM}",
        final_line(rendered(parts, target, question)),
        {"parts": parts, "source": source, "target": target, "question": question},
        " / ".join(sorted(f"{body} {name}" for body, name, _ in parts)),
    )


_SPACES = re.compile(r"\s+")


def check(task: Task, answer: str) -> Result:
    """The sentence as it was but for its end; 겁니다 for 것입니다 too; a last full stop or none."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    given = _SPACES.sub(" ", value).removesuffix(".")
    parameters = task.parameters
    wanted = rendered(parameters["parts"], parameters["target"], parameters["question"])
    sentences = [each.strip() for each in re.split(r"(?<=[.?])\s", wanted)]
    accepted = [""]
    for sentence in sentences:
        forms = [form + sentence[-1] for form in sorted(also_accepted(sentence[:-1]))]
        accepted = [f"{before} {form}".strip() for before in accepted for form in forms]
    right = given in {each.removesuffix(".") for each in accepted}
    return RIGHT if right else wrong("another sentence or register")


def mistake(generator: Random, task: Task) -> str:
    """A third register, or none changed."""
    parameters = task.parameters
    others = SPOKEN if parameters["question"] else REGISTERS
    other = generator.choice([each for each in others if each != parameters["target"]])
    return final_line(rendered(parameters["parts"], other, parameters["question"]))


FAMILY = Family(
    NAME, "a sentence in another register (반말, 해요체, 합쇼체, 해라체)", "sentences", make, check, mistake
)
