"""Tier D: speech levels and spelling. What is wrong here is wrong by convention; it is reported apart."""

from __future__ import annotations

from onnuri.evaluate.kopairs.conjugate import infinitive, past, past_stem
from onnuri.evaluate.kopairs.distance import TIMES, quad
from onnuri.evaluate.kopairs.hangul import josa
from onnuri.evaluate.kopairs.items import Chooser, Draft, Phenomenon
from onnuri.evaluate.kopairs.listing import listed
from onnuri.evaluate.kopairs.words import (
    BUILDINGS,
    HONORED,
    JOBS_CONSONANT,
    JOBS_VOWEL,
    NAMES,
    PERSONS,
    object_verbs,
)

OBJECT_VERBS = object_verbs()
NAMES_TOPIC = [josa(name, "은") for name in NAMES]
NAMES_SUBJECT = [josa(name, "이") for name in NAMES]


def humble_pronoun(choose: Chooser) -> Draft:
    """저 (I, humble) does not go with the intimate ending; 나 goes with both."""
    noun, verb = choose.words(OBJECT_VERBS, lambda pair: (pair[0],))
    template = f"{{x}} {choose.any(TIMES)} {josa(noun, '을')} {past_stem(verb)}{{e}}."
    return Draft("저", f"{noun} {verb.text}", quad(template, "저는", "나는", "습니다", "어"))


def one_speech_level(choose: Chooser) -> Draft:
    """A speaker keeps to one level from one sentence to the next."""
    noun, verb = choose.words(OBJECT_VERBS, lambda pair: (pair[0],))
    place = choose.word(BUILDINGS)
    first = choose.any(("갔", "들렀", "있었"))
    who = choose.any(("친구와 같이", "혼자 조용히", "동생하고", "가족과 함께"))
    then = choose.any(("거기서", "그리고", "그날"))
    one = f"{choose.any(TIMES)} {place}에 {first}{{e}}."
    template = f"{one} {then} {who} {josa(noun, '을')} {past_stem(verb)}{{x}}."
    return Draft(first, f"{noun} {verb.text}", quad(template, "습니다", "어", "습니다", "어"))


def doe_and_an(choose: Chooser) -> Draft:
    """되 and 돼, 안 and 않."""
    kind = choose.any(("become", "must_not", "not", "not_long", "may"))
    subject = choose.any(NAMES_SUBJECT)
    if kind == "become":
        job = choose.word([*JOBS_CONSONANT, *JOBS_VOWEL])
        template = f"{subject} {choose.any(TIMES)} {josa(job, '이')} {{x}}."
        good, bad = choose.any((("됐다", "됬다"), ("됐어요", "됬어요"), ("됐습니다", "됬습니다")))
        return Draft("됐", job, (template.format(x=good), template.format(x=bad)))
    noun, verb = choose.words(OBJECT_VERBS, lambda pair: (pair[0],))
    head = f"{noun} {verb.text}"
    if verb.text == "잃어버리":
        raise LookupError
    noun = josa(noun, "을")
    if kind in ("must_not", "may"):
        start = choose.any(("지금", "여기서", "오늘은", "혼자서"))
        before = "서는 안" if kind == "must_not" else "도"
        good, bad = choose.any(
            (("돼.", "되."), ("돼요.", "되요."), ("됩니다.", "됍니다."), ("된다.", "됀다."))
        )
        template = f"{start} {noun} {infinitive(verb)}{before} {{x}}"
    elif kind == "not":
        template = f"{subject} {choose.any(TIMES)} {noun} {{x}} {past(verb)}."
        good, bad = "안", "않"
    else:
        template = f"{subject} {choose.any(TIMES)} {noun} {verb.text}지 {{x}}."
        good, bad = choose.any(
            (("않았다", "안았다"), ("않았어요", "안았어요"), ("않았습니다", "안았습니다"))
        )
    return Draft(kind, head, (template.format(x=good), template.format(x=bad)))


NORMS = listed(
    "약속 계획 순서 말씀 지시 규칙 예정 생각 마음 설명서 차례 지도 예상 안내문 방식 기대 주문 법 원칙"
)
DONE = listed(
    "배운 들은 본 말한 적은 읽은 약속한 부탁한 정한 생각한 느낀 외운 연습한 준비한 계획한 설명한 상상한 "
    "바란 시킨"
)


MEASURED = (
    ("산", "많이 샀다"),
    ("먹은", "많이 먹었다"),
    ("쓴", "많이 썼다"),
    ("읽은", "많이 읽었다"),
    ("모은", "많이 모았다"),
    ("받은", "많이 받았다"),
    ("배운", "많이 배웠다"),
    ("만든", "많이 만들었다"),
    ("마신", "많이 마셨다"),
    ("판", "많이 팔았다"),
    ("기다린", "오래 기다렸다"),
    ("쉰", "오래 쉬었다"),
    ("걸은", "오래 걸었다"),
    ("공부한", "열심히 공부했다"),
    ("일한", "열심히 일했다"),
)


def bound_noun_spacing(choose: Chooser) -> Draft:
    """대로 and 만큼 are josa after a noun (written on) and nouns after a verb (written apart)."""
    bound = choose.any(("대로", "만큼"))
    if bound == "대로":
        noun = choose.word(NORMS)
        clause = f"{choose.any(('어제', '처음에', '예전에', '혼자', '지난번에'))} {choose.word(DONE)}"
        after = choose.any(("했다", "움직였다", "끝냈다"))
    else:
        noun = choose.word([*PERSONS, *HONORED])
        did, after = choose.any(MEASURED)
        clause = f"{choose.any(('어제', '지난번에', '작년에', '지난달에'))} {did}"
    subject = choose.any(NAMES_TOPIC)
    sentences = (f"{noun}{bound}", f"{noun} {bound}", f"{clause}{bound}", f"{clause} {bound}")
    return Draft(
        bound, f"{noun} {after}", tuple(f"{subject} {sentence} {after}." for sentence in sentences)
    )


PHENOMENA = (
    Phenomenon("humble_pronoun", "D", "control", humble_pronoun),
    Phenomenon("one_speech_level", "D", "mirror", one_speech_level),
    Phenomenon("doe_and_an", "D", "pair", doe_and_an),
    Phenomenon("bound_noun_spacing", "D", "mirror", bound_noun_spacing, adjacent=True),
)
