"""Tier C: words that need another one to be there (negation, tense, clause type, case frame)."""

from __future__ import annotations

from onnuri.evaluate.kopairs.conjugate import (
    Stem,
    adnominal_future,
    infinitive,
    negated_past,
    past,
    past_stem,
    plain_present,
    stem,
    with_eu,
)
from onnuri.evaluate.kopairs.distance import quad
from onnuri.evaluate.kopairs.hangul import josa
from onnuri.evaluate.kopairs.items import Chooser, Draft, Phenomenon
from onnuri.evaluate.kopairs.licence_words import (
    AFFECTED,
    AFFECTING,
    CAUSES,
    CHANGES,
    CONSEQUENCES,
    LABELS,
    NEAR_MISSES,
    SAID,
    SETTINGS,
    TIME_PAIRS,
)
from onnuri.evaluate.kopairs.words import (
    ACTIONS,
    ADJECTIVES,
    BUILDINGS,
    DESCRIBED,
    NAMES,
    PLACES,
    STAYING,
    daily_verbs,
    object_verbs,
)

OBJECT_VERBS = object_verbs()
DAILY = daily_verbs()
INSIDES = ("방", "집", "창고", "바닥", "옷장", "서랍", "책장")
"""밖에 after these may mean outside."""
NAMES_TOPIC = [josa(name, "은") for name in NAMES]
NAMES_SUBJECT = [josa(name, "이") for name in NAMES]
TIMES = ("어제", "그저께", "지난주에", "지난달에", "지난 주말에", "며칠 전에", "얼마 전에")


def object_verb(choose: Chooser) -> tuple[str, Stem]:
    """A noun with its josa, and the verb whose object it is."""
    noun, verb = choose.words(OBJECT_VERBS, lambda pair: (pair[0],))
    return josa(noun, "을"), verb


def npi_amudo(choose: Chooser) -> Draft:
    """아무도 stands with a negated verb; 모두 with either."""
    action = stem(choose.word(ACTIONS))
    place = choose.word(PLACES)
    middle = choose.any(
        ("그날 저녁에", "하루 종일", "비가 그친 뒤에", "점심시간에", "해가 진 뒤에", "그날 아침에")
    )
    template = f"{place}에서는 {{x}} {middle} {{e}}."
    return Draft(
        "아무도",
        f"{action.text} {middle}",
        quad(template, "아무도", "모두", negated_past(action), past(action)),
    )


def npi_adverb(choose: Chooser) -> Draft:
    """전혀, 결코 and 좀처럼 stand with a negated verb."""
    noun, verb = choose.words(DAILY, lambda pair: (pair[0],))
    x = choose.any(("전혀", "결코", "좀처럼"))
    template = f"{choose.any(NAMES_TOPIC)} {{x}} {choose.any(SETTINGS)} {josa(noun, '을')} {{e}}."
    y = choose.any(("그때", "한동안", "예전에"))
    return Draft(x, f"{noun} {verb.text}", quad(template, x, y, negated_past(verb), past(verb)))


def npi_bakke(choose: Chooser) -> Draft:
    """밖에 (only) stands with a negated verb; 도 with either."""
    noun, verb = choose.words([pair for pair in DAILY if pair[0] not in INSIDES], lambda pair: (pair[0],))
    middle = choose.any(
        ("어제 하루 종일", "지난주 내내", "그날 아침부터", "주말 내내", "오늘 아침 내내", "어제 저녁까지")
    )
    template = f"{choose.any(NAMES_TOPIC)} {{x}} {middle} {{e}}."
    return Draft(
        "밖에",
        f"{noun} {verb.text}",
        quad(template, f"{noun}밖에", f"{noun}도", negated_past(verb), past(verb)),
    )


def hamateomyeon(choose: Chooser) -> Draft:
    """하마터면 stands with -을 뻔했다."""
    context, verb = choose.words(NEAR_MISSES, lambda entry: (entry[0],))
    subject = choose.any(NAMES_TOPIC)
    y = choose.any(("어제", "그날", "아까", "그때"))
    template = f"{subject} {{x}} {context} {{e}}."
    return Draft(
        "하마터면",
        f"{context} {verb.text}",
        quad(template, "하마터면", y, adnominal_future(verb) + " 뻔했다", past(verb)),
    )


def locative_case(choose: Chooser) -> Draft:
    """What happens, happens at a place with 에서; verbs of staying take both 에 and 에서."""
    place = choose.word(BUILDINGS)
    action = stem(choose.word(ACTIONS))
    y = choose.any(STAYING)
    middle = choose.any(
        (
            "어제 늦게까지",
            "그저께 하루 종일",
            "지난주에 꽤 오래",
            "그날 저녁에 잠깐",
            "며칠 전에 한참",
            "오늘 아침에 잠시",
        )
    )
    where = choose.any((place, f"{place} 앞", f"{place} 옆"))
    template = f"{choose.any(NAMES_TOPIC)} {where}{{e}} {middle} {{x}}."
    return Draft("에서", f"{place} {action.text}", quad(template, past(action), y, "에서", "에"))


def dative_case(choose: Chooser) -> Draft:
    """에게 for who lives, 에 for what does not."""
    x, y = choose.word(AFFECTED), choose.word(AFFECTING)
    what = choose.any(LABELS)
    template = f"{choose.any(NAMES_TOPIC)} {{x}} 가운데 일부{{e}} {what}."
    return Draft(what, x, quad(template, f"{x}들", f"{y}들", "에게", "에"))


def passive_frame(choose: Chooser) -> Draft:
    """문을 … 열었다, 문이 … 열렸다."""
    noun, active, passive = choose.words(CHANGES, lambda entry: (entry[0],))
    before = choose.any(
        ("어제 아침에", "그날 저녁에", "조금 전에", "며칠 전에", "그저께 밤에", "오늘 새벽에")
    )
    middle = choose.any(("생각보다 쉽게", "생각보다 빨리", "한참 뒤에야", "뜻밖에 쉽게"))
    template = f"{before} {noun}{{x}} {middle} {{e}}."
    x, y = josa(noun, "을")[len(noun) :], josa(noun, "이")[len(noun) :]
    return Draft("frame", f"{noun} {middle}", quad(template, x, y, past(active), past(passive)))


def tense_past(choose: Chooser) -> Draft:
    """어제 and the like do not stand with the future."""
    noun, verb = object_verb(choose)
    x, y = choose.any(TIME_PAIRS)
    template = f"{{x}} {choose.any(NAMES_SUBJECT)} {noun} {{e}}."
    return Draft(
        x, f"{noun} {verb.text}", quad(template, x, y, past(verb), adnominal_future(verb) + " 것이다")
    )


def same_subject(choose: Chooser) -> Draft:
    """-느라고 joins clauses of one subject; -는 바람에 those of two as well."""
    cause = choose.word(CAUSES)
    first, second = choose.any(NAMES_SUBJECT), choose.any(NAMES_SUBJECT)
    if first == second:
        raise LookupError
    middle = choose.any(("어제 저녁에", "지난 주말에", "그날 아침에", "그저께 오후에"))
    after = choose.any(CONSEQUENCES)
    sentences = tuple(
        f"{first} {josa(cause, '을')} 하{link} {middle} {subject}{after}."
        for link in ("느라고", "는 바람에")
        for subject in ("", f"{second} ")
    )
    return Draft("느라고", f"{cause} {after}", sentences)


def question_word(choose: Chooser) -> Draft:
    """왜 and 어째서 ask: their clause does not end in -다."""
    noun, verb = object_verb(choose)
    x, y = choose.any(("왜", "어째서")), choose.any(("혼자", "또", "정말"))
    template = f"{choose.any(NAMES_TOPIC)} {{x}} {choose.any(TIMES)} {noun} {past_stem(verb)}{{e}}"
    return Draft(x, f"{noun} {verb.text}", quad(template, x, y, "니?", "다."))


def conditional(choose: Chooser) -> Draft:
    """만약 opens a condition in -면."""
    noun, verb = object_verb(choose)
    if verb.text in ("잃어버리", "찾", "받"):
        raise LookupError
    x, y = choose.any(("만약", "만일")), choose.any(("내일", "오늘"))
    result = f"{choose.any(('나도', '우리도', '동생도', '친구도'))} {adnominal_future(verb)} 것이다"
    template = f"{{x}} {choose.any(NAMES_SUBJECT)} {noun} {{e}} {result}."
    return Draft(x, f"{noun} {verb.text}", quad(template, x, y, with_eu(verb, "면"), with_eu(verb, "니까")))


def concessive(choose: Chooser) -> Draft:
    """비록 … -지만, 아무리 … -아도."""
    adjectives, nouns = choose.any(tuple(DESCRIBED.items()))
    noun = choose.word(nouns.split())
    adjective = stem(choose.any(adjectives.split()))
    y = choose.any(("사실", "분명히", "확실히"))
    after = choose.any(("마음에 든다", "인기가 많다", "나는 좋다", "다들 좋아한다"))
    attribute, _, word = adjective.text.partition("_")
    adjective = Stem(word, adjective.kind)
    x, form = choose.any((("비록", word + "지만"), ("아무리", infinitive(adjective) + "도")))
    template = f"{choose.any(('이', '그', '저'))} {josa(noun, '은')} {{x}} {attribute} {{e}} {after}."
    return Draft(x, f"{noun} {attribute}", quad(template, x, y, form, infinitive(adjective) + "서"))


def quotation(choose: Chooser) -> Draft:
    """One asks 했냐고 and answers 했다고."""
    noun, verb = object_verb(choose)
    x, y = choose.any(("물었다", "물어봤다", "질문했다")), choose.any(SAID)
    asker, other = choose.any(NAMES), choose.any(NAMES)
    if asker == other:
        raise LookupError
    middle = choose.any(
        ("친구에게 조용히", "선생님께 다시", "누나에게 몰래", "동생에게 여러 번", "어머니께 전화로")
    )
    template = f"{josa(asker, '은')} {josa(other, '이')} {noun} {past_stem(verb)}{{e}} {middle} {{x}}."
    return Draft(y, f"{noun} {verb.text}", quad(template, x, y, "냐고", "다고"))


def adjective_ending(choose: Chooser) -> Draft:
    """Adjectives end in -다 where verbs end in -ㄴ다."""
    adjectives, nouns = choose.any(tuple(ADJECTIVES.items()))
    noun, adjective = choose.word(nouns.split()), stem(choose.word(adjectives.split()))
    which = choose.any(("이", "그"))
    template = f"{which} {josa(noun, '은')} {choose.any(('아주', '매우', '꽤', '정말'))} {{x}}."
    good, bad = adjective.text + "다", plain_present(adjective)
    return Draft("ㄴ다", f"{noun} {adjective.text}", (template.format(x=good), template.format(x=bad)))


PHENOMENA = (
    Phenomenon("npi_amudo", "C", "control", npi_amudo),
    Phenomenon("npi_adverb", "C", "control", npi_adverb),
    Phenomenon("npi_bakke", "C", "control", npi_bakke),
    Phenomenon("hamateomyeon", "C", "control", hamateomyeon),
    Phenomenon("locative_case", "C", "control", locative_case),
    Phenomenon("dative_case", "C", "mirror", dative_case),
    Phenomenon("passive_frame", "C", "mirror", passive_frame),
    Phenomenon("tense_past", "C", "control", tense_past),
    Phenomenon("same_subject", "C", "control", same_subject),
    Phenomenon("question_word", "C", "control", question_word),
    Phenomenon("conditional", "C", "control", conditional),
    Phenomenon("concessive", "C", "control", concessive),
    Phenomenon("quotation", "C", "mirror", quotation),
    Phenomenon("adjective_ending", "C", "pair", adjective_ending),
)
