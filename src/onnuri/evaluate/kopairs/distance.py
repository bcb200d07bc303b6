"""Tier B: agreement between words that stand apart (counters, honorifics, reciprocals, kinship)."""

from __future__ import annotations

from onnuri.evaluate.kopairs.conjugate import honorific_past, past, stem
from onnuri.evaluate.kopairs.distance_words import (
    ATE,
    FEMALE,
    GATHERING,
    GIFTS,
    GROUPS,
    INDEPENDENT,
    KIN_DEEDS,
    MALE,
    MOVING,
    QUESTIONS,
    RECIPROCAL,
    SOLITARY,
    WALKING,
)
from onnuri.evaluate.kopairs.hangul import josa
from onnuri.evaluate.kopairs.items import Chooser, Draft, Phenomenon
from onnuri.evaluate.kopairs.words import ANIMALS, BUILDINGS, COUNTED, HONORED, LOW_PEOPLE, NAMES, PERSONS

NAMES_TOPIC = [josa(name, "은") for name in NAMES]
TIMES = (
    "어제",
    "그저께",
    "지난주에",
    "지난달에",
    "그날 아침에",
    "그날 저녁에",
    "지난 주말에",
    "며칠 전에",
    "얼마 전에",
)


LATELY = ("어제", "그저께", "지난주에", "지난 주말에", "며칠 전에", "얼마 전에")
DAYS = (
    "어제",
    "그저께",
    "그날 아침에",
    "그날 저녁에",
    "며칠 전에",
    "조금 전에",
    "오늘 아침에",
    "어제저녁에",
    "아까",
)


def quad(template: str, x: str, y: str, good: str, bad: str) -> tuple[str, ...]:
    """x in the good and the bad environment {e}, then y in both."""
    return tuple(template.format(x=word, e=environment) for word in (x, y) for environment in (good, bad))


COUNTER_TEMPLATES = (
    ("을", "{s} {{x}} 하얀 종이에 {n} {{e}} 그렸다."),
    ("을", "{s} {{x}} {t} 꿈에서 {n} {{e}} 보았다."),
    ("을", "{s} {{x}} 오래된 사진에서 {n} {{e}} 찾았다."),
    ("이", "그림 속에는 {{x}} 왼쪽 구석에 {n} {{e}} 있다."),
    ("이", "이 동화에는 {{x}} 마지막에 다시 {n} {{e}} 나온다."),
)
NUMERALS = ("한", "두", "세", "네", "다섯", "여섯")


def counter(choose: Chooser) -> Draft:
    """고양이를 … 두 마리, 책을 … 두 권."""
    nouns = [(name, noun) for name, row in COUNTED.items() for noun in row.split()]
    good, x = choose.words(nouns, lambda entry: (entry[1],))
    bad, y = choose.words([entry for entry in nouns if entry[0] != good], lambda entry: (entry[1],))
    form, template = choose.any(COUNTER_TEMPLATES)
    filled = template.format(s=choose.any(NAMES_TOPIC), t=choose.any(TIMES), n=choose.any(NUMERALS))
    return Draft(template, x, quad(filled, josa(x, form), josa(y, form), good, bad))


def honorific_si(choose: Chooser) -> Draft:
    """-시- honours the subject, so an animal, a baby or a thief does not take it."""
    low, high = choose.word([*LOW_PEOPLE, *ANIMALS]), choose.word(HONORED)
    fillers, verbs = choose.any((WALKING, MOVING))
    verb = stem(choose.any(verbs))
    template = f"{{x}} {choose.any(DAYS)} {choose.any(fillers)} {{e}}."
    return Draft(
        "si",
        f"{low} {verb.text}",
        quad(template, josa(low, "이"), josa(high, "이"), past(verb), honorific_past(verb)),
    )


HONORIFIC_VERBS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "eat": (("부엌에서", "식탁 앞에서", "마당에서", "방에서"), "먹었다", "드셨다"),
    "sleep": (("거실 소파에서", "마당 그늘에서", "따뜻한 방에서", "할머니 집에서"), "잤다", "주무셨다"),
    "stay": (("앞에 혼자", "앞에 오래", "앞에 잠깐"), "있었다", "계셨다"),
    "ill": (("감기 때문에 많이", "하루 종일 심하게", "다리가 조금", "배가 갑자기"), "아팠다", "편찮으셨다"),
    "speak": (
        ("모두 앞에서 크게", "전화로 짧게", "친구들 앞에서 자주", "문 앞에서 조용히"),
        "말했다",
        "말씀하셨다",
    ),
}


def honorific_verb(choose: Chooser) -> Draft:
    """드시다, 주무시다, 계시다, 편찮으시다 and 말씀하시다 have honoured subjects."""
    kind = choose.any(("eat", "eat", "sleep", "stay", "ill", "speak"))
    low = choose.word(LOW_PEOPLE if kind == "speak" else [*LOW_PEOPLE, *ANIMALS])
    high = choose.word(HONORED)
    time = choose.any(DAYS)
    middles, plain, honorific = HONORIFIC_VERBS[kind]
    middle = choose.any(middles)
    if kind == "eat":
        middle = f"{middle} {josa(choose.any(ATE), '을')} {choose.any(('조금', '많이'))}"
    elif kind == "sleep":
        middle = f"{middle} {choose.any(('오래', '잠깐', '푹'))}"
    elif kind == "stay":
        middle = f"{choose.any(BUILDINGS)} {middle}"
    template = f"{{x}} {time} {middle} {{e}}."
    return Draft(
        kind, f"{low} {honorific}", quad(template, josa(low, "이"), josa(high, "이"), plain, honorific)
    )


def humble_verb(choose: Chooser) -> Draft:
    """드리다, 여쭈다, 뵙다 and 모시다 honour the one who receives, is asked, met or led."""
    kind = choose.any(("give", "give", "ask", "lead", "meet"))
    low = choose.word(LOW_PEOPLE if kind in ("ask", "meet") else [*LOW_PEOPLE, *ANIMALS])
    high = choose.word(HONORED)
    subject, time = choose.any(("나는", "우리는", *NAMES_TOPIC)), choose.any(DAYS)
    if kind == "give":
        template = f"{subject} {{x}} {time} {josa(choose.any(GIFTS), '을')} {{e}}."
        words = (f"{low}에게", f"{high}에게", "주었다", "드렸다")
    elif kind == "ask":
        template = f"{subject} {{x}} {time} {josa(choose.any(QUESTIONS), '을')} {{e}}."
        words = (f"{low}에게", f"{high}에게", "물었다", "여쭈었다")
    elif kind == "lead":
        place = choose.any(("병원", "공원", "시골집", "바닷가", "시장", "식당"))
        template = f"{subject} {{x}} {time} 차로 {place}까지 {{e}} 갔다."
        words = (josa(low, "을"), josa(high, "을"), "데리고", "모시고")
    else:
        template = f"{subject} {{x}} {time} {choose.any(BUILDINGS)} 앞에서 {{e}}."
        words = (josa(low, "을"), josa(high, "을"), "만났다", "뵈었다")
    return Draft(kind, f"{low} {subject}", quad(template, *words))


def reciprocal(choose: Chooser) -> Draft:
    """서로 needs a subject of more than one; 각자 too."""
    group, place = choose.word(GROUPS), choose.any(BUILDINGS)
    several = choose.any(("두", "세", "네"))
    subject = josa(group, "은")
    if choose.any((True, True, False)):
        verb = past(stem(choose.word(RECIPROCAL)))
        other = josa(choose.word([person for person in PERSONS if person != group]), "을")
        words = ("서로를", other)
        template = f"{{e}} {subject} {choose.any(TIMES)} {place} 앞에서 {{x}} {verb}."
    else:
        verb = choose.word(INDEPENDENT)
        words = ("각자", choose.any(("직접", "다시", "조용히", "열심히")))
        template = f"{{e}} {subject} {choose.any(TIMES)} {place} 앞에서 {{x}} {verb}."
    return Draft(words[0], f"{group} {verb}", quad(template, *words, several, "한"))


def collective(choose: Chooser) -> Draft:
    """모이다, 흩어지다 and the like are done by several."""
    group = choose.word(GROUPS)
    x = choose.any(GATHERING)
    y = choose.any(SOLITARY)
    template = f"{group} {{e}} 명이 {choose.any(TIMES)} {choose.word(BUILDINGS)} 앞에 {{x}}."
    return Draft(x, group, quad(template, x, y, choose.any(("여러", "열", "열두", "스무")), "한"))


def kinship(choose: Chooser) -> Draft:
    """A man's elder siblings are 형 and 누나, a woman's 오빠 and 언니."""
    x, y = choose.word(MALE), choose.word(FEMALE)
    good, bad = choose.any((("형", "오빠"), ("형", "언니"), ("누나", "언니"), ("누나", "오빠")))
    middle, after = choose.any(KIN_DEEDS)
    form = after.partition(" ")
    good_word, bad_word = (
        josa(word, form[0][1:]) if form[0].startswith("~") else word + form[0] for word in (good, bad)
    )
    template = f"{{x}} {choose.any(LATELY)} {middle} 자기 {{e}} {form[2]}."
    return Draft(after, x, quad(template, josa(x, "은"), josa(y, "은"), good_word, bad_word))


PHENOMENA = (
    Phenomenon("counter", "B", "mirror", counter),
    Phenomenon("honorific_si", "B", "control", honorific_si),
    Phenomenon("honorific_verb", "B", "control", honorific_verb),
    Phenomenon("humble_verb", "B", "control", humble_verb),
    Phenomenon("reciprocal", "B", "control", reciprocal),
    Phenomenon("collective", "B", "control", collective),
    Phenomenon("kinship", "B", "mirror", kinship),
)
