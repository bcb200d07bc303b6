"""Tier A: forms that the neighbouring sound decides (josa, irregular stems, numerals before a counter)."""

from __future__ import annotations

from collections.abc import Callable

from onnuri.evaluate.kopairs.conjugate import (
    Stem,
    adnominal_present,
    infinitive,
    is_bright,
    past,
    past_stem,
    with_eu,
)
from onnuri.evaluate.kopairs.form_words import (
    BIEUP,
    DIGEUT_SIOT,
    HARMONY,
    LATIN,
    MEASURES,
    REU_HIEUT,
    RIEUL,
)
from onnuri.evaluate.kopairs.hangul import JOSA, final_of, josa, with_final, wrong_josa
from onnuri.evaluate.kopairs.items import Chooser, Draft, Phenomenon
from onnuri.evaluate.kopairs.words import (
    CITIES,
    COUNTED,
    HONORED,
    JOBS_CONSONANT,
    JOBS_VOWEL,
    NAMES,
    PAST_TIMES,
    PERSONS,
    PLACES,
    object_verbs,
)

OBJECT_VERBS = object_verbs()
NAMES_TOPIC = [josa(name, "은") for name in NAMES]


def object_verb(choose: Chooser) -> tuple[str, Stem]:
    """A noun and a verb that takes it as an object; the noun is counted, the verb is not."""
    return choose.words(OBJECT_VERBS, lambda pair: (pair[0],))


def pair(head: str, template: str, good: str, bad: str, name: str = "") -> Draft:
    """A pair that differs in what stands for {x}."""
    return Draft(name or template, head, (template.format(x=good), template.format(x=bad)))


def josa_object(choose: Chooser) -> Draft:
    noun, verb = object_verb(choose)
    template = f"{choose.any(NAMES_TOPIC)} {choose.any(PAST_TIMES)} {{x}} {past(verb)}."
    return pair(f"{noun} {verb.text}", template, josa(noun, "을"), wrong_josa(noun, "을"), "object")


def josa_of_person(name: str) -> Callable[[Chooser], Draft]:
    def draw(choose: Chooser) -> Draft:
        person = choose.word([*PERSONS, *HONORED])
        noun, verb = object_verb(choose)
        template = f"{{x}} {choose.any(PAST_TIMES)} {josa(noun, '을')} {past(verb)}."
        return pair(
            f"{person} {verb.text}", template, josa(person, name), wrong_josa(person, name), "person"
        )

    return draw


def josa_and(choose: Chooser) -> Draft:
    noun, verb = object_verb(choose)
    other = choose.word([n for n, v in OBJECT_VERBS if v == verb and n != noun])
    template = f"{choose.any(NAMES_TOPIC)} {choose.any(PAST_TIMES)} {{x}} {josa(other, '을')} {past(verb)}."
    return pair(f"{noun} {verb.text}", template, josa(noun, "과"), wrong_josa(noun, "과"), "and")


def josa_direction(choose: Chooser) -> Draft:
    """으로 after a consonant, 로 after a vowel and after ㄹ."""
    places = [*PLACES, *CITIES]
    x = choose.word(places)
    form = JOSA["으로"].index(josa(x, "으로")[len(x) :])
    y = choose.word([place for place in places if josa(place, "으로")[len(place) :] != JOSA["으로"][form]])
    how = choose.any(("혼자", "친구와", "급히", "버스를 타고"))
    before = f"{choose.any(NAMES_TOPIC)} {choose.any(PAST_TIMES)} {how}"
    verb = choose.any(("갔다", "떠났다", "향했다", "출발했다", "돌아갔다"))
    return mirror_josa(x, y, "으로", f"{before} {{x}} {verb}.", f"{x} {verb}")


def mirror_josa(x: str, y: str, name: str, template: str, head: str) -> Draft:
    """x and y take different forms: x right, x wrong, y in x's form, y right."""
    words = (josa(x, name), wrong_josa(x, name), wrong_josa(y, name), josa(y, name))
    return Draft("josa", head, tuple(template.format(x=word) for word in words))


def josa_with(choose: Chooser) -> Draft:
    """이랑 and 이나 after a consonant, 랑 and 나 after a vowel."""
    if choose.any((True, False)):
        people = [*PERSONS, *HONORED]
        x = choose.word(people)
        y = choose.word([person for person in people if bool(final_of(person)) != bool(final_of(x))])
        verb = choose.any(("이야기했다", "밥을 먹었다", "영화를 봤다", "산책했다", "집에 갔다"))
        template = f"{choose.any(NAMES_TOPIC)} {choose.any(PAST_TIMES)} {{x}} 같이 {verb}."
        return mirror_josa(x, y, "이랑", template, f"{x} 이랑")
    x, verb_stem = object_verb(choose)
    if verb_stem.text in ("잃어버리", "찾", "받"):  # nobody means to
        raise LookupError
    same = [n for n, v in OBJECT_VERBS if v == verb_stem and n != x]
    y = choose.word([n for n in same if bool(final_of(n)) != bool(final_of(x))])
    other = choose.any([n for n in same if n != y] or [y])
    if other in (x, y):
        raise LookupError
    template = (
        f"{choose.any(NAMES_TOPIC)} 내일 {{x}} {josa(other, '을')} {with_eu(verb_stem, '려고')} 한다."
    )
    return mirror_josa(x, y, "이나", template, f"{x} 이나")


def copula_past(choose: Chooser) -> Draft:
    """였다 is short for 이었다 after a vowel alone; 이었다 is right after both."""
    x, y = choose.word(JOBS_CONSONANT), choose.word(JOBS_VOWEL)
    before = choose.any(
        (
            "그 사람은 예전에",
            "알고 보니 그는",
            "그때 그 사람은",
            "우리가 만난 사람은",
            "영화의 주인공은",
            "그날 처음 온 사람은",
        )
    )
    return Draft(
        before,
        x,
        tuple(f"{before} {word}." for word in (f"{x}이었다", f"{x}였다", f"{y}이었다", f"{y}였다")),
    )


def josa_digit(choose: Chooser) -> Draft:
    digits = choose.any((1, 1, 2, 2, 3, 4))
    low = 10 ** (digits - 1) if digits > 1 else 0
    number = str(low + int(choose.random.random() * (10**digits - low)))
    name, template = choose.any(DIGIT_TEMPLATES)
    template = template.replace("{s}", choose.any(NAMES_TOPIC))
    return pair(
        number[-1] + "0" * (len(number) - 1),
        template,
        josa(number, name),
        wrong_josa(number, name),
        name + template[-9:],
    )


DIGIT_TEMPLATES = (
    ("을", "{s} 화면에 {x} 입력했다."),
    ("을", "{s} 종이에 {x} 크게 썼다."),
    ("을", "{s} 고민 끝에 {x} 골랐다."),
    ("을", "{s} 그 값에 {x} 더했다."),
    ("이", "계산해 보니 {x} 정답이었다."),
    ("이", "이 표에서는 {x} 빠져 있다."),
    ("은", "이 표에 {x} 들어 있지 않다."),
    ("은", "{s} {x} 틀린 답이라고 했다."),
    ("과", "{s} {x} 다른 수를 비교했다."),
    ("과", "{s} {x} 같은 수를 찾았다."),
)


def josa_latin(choose: Chooser) -> Draft:
    """After Latin letters and symbols of units, read as people read them."""
    if choose.any((True, True, False)):
        word, templates = choose.words(LATIN, lambda entry: (entry[0],))
        name, template = choose.any(templates)
    else:
        unit, numbers, templates = choose.words(MEASURES, lambda entry: (entry[0],))
        name, template = choose.any(templates)
        word = choose.any(numbers) + unit
    template = template.replace("{s}", choose.any(NAMES_TOPIC))
    return pair(
        word.lstrip("0123456789"),
        template,
        josa(word, name),
        wrong_josa(word, name),
        template.split("{x}")[1],
    )


STARTS = ("", "오늘은 ", "지난번에는 ", "그날은 ", "이번에는 ", "어제도 ")
ENDINGS = {"다": "{x}다.", "까": "{x}을까?", "것": "{x}을 것이다.", "고": "{x}다고 한다."}
"""Endings after the stem of the past, which every stem takes."""


def vowel_harmony(choose: Chooser) -> Draft:
    """Past in 았 after ㅏ and ㅗ, in 었 otherwise."""
    context, verb = choose.words(HARMONY, lambda entry: (entry[1].text,))
    wrong = verb.text + ("었" if is_bright(verb.text) else "았")
    ending = choose.any(tuple(ENDINGS))
    template = f"{choose.any(NAMES_TOPIC)} {choose.any(PAST_TIMES)} {context} {ENDINGS[ending]}"
    return pair(f"{context} {verb.text}", template, past_stem(verb), wrong, ending)


def irregular(words: list[tuple[str, Stem]], endings: tuple[str, ...]) -> Callable[[Chooser], Draft]:
    """The regular form of an irregular stem as the mistake: 덥었다 for 더웠다, 고랐다 for 골랐다."""

    def draw(choose: Chooser) -> Draft:
        context, word = choose.words(words, lambda entry: (entry[1].text,))
        ending = choose.any(endings)
        forms = [_with_ending(word, ending, right) for right in (True, False)]
        start = choose.any(STARTS)
        if ending == "면":
            start = choose.any(("", "오늘도 ", "만약 "))
        tail = ENDINGS.get(ending) or (
            "{x} 어떻게 될까?" if ending == "면" else "{x} " + choose.any(AFTER_SEO)
        )
        return pair(f"{context} {word.text}", f"{start}{context} {tail}", forms[0], forms[1], ending)

    return draw


AFTER_SEO = ("깜짝 놀랐다.", "모두 놀랐다.")


def _with_ending(word: Stem, ending: str, right: bool) -> str:
    form = word if right else _as_regular(word)
    if ending == "면":
        return with_eu(form, "면")
    if ending == "서":
        return _infinitive(form, right) + "서"
    return with_final(_infinitive(form, right), "ㅆ")


def _as_regular(word: Stem) -> Stem:
    if word.kind == "르":
        return Stem(word.text)
    if word.kind == "ㅎ":
        return Stem(with_final(word.text, ""), "ㅎ")
    if word.text[-1] == "르":
        return Stem(word.text, "르")
    return Stem(word.text)


def _infinitive(word: Stem, right: bool) -> str:
    if word.kind == "ㅎ" and not right:
        return word.text
    return infinitive(word)


def rieul_drop(choose: Chooser) -> Draft:
    """ㄹ falls before ㄴ and ㅅ: 사는, not 살는."""
    context, verb = choose.words(RIEUL, lambda entry: (entry[0],))
    template = context.replace("{s}", choose.any(NAMES_TOPIC)) + "."
    return pair(context, template, adnominal_present(verb), verb.text + "는", "rieul")


NUMERALS = (
    ("두", "둘"),
    ("세", "셋"),
    ("네", "넷"),
    ("스무", "스물"),
    ("열두", "열둘"),
    ("열세", "열셋"),
    ("열네", "열넷"),
)


def numeral_form(choose: Chooser) -> Draft:
    """두, 세, 네, 스무 before a counter; 둘, 셋, 넷, 스물 alone."""
    counter, noun = choose.words(
        [(counter, noun) for counter, nouns in COUNTED.items() for noun in nouns.split()],
        lambda entry: (entry[1],),
    )
    good, bad = choose.any(NUMERALS)
    after = choose.any(("보았다", "그렸다", "세었다"))
    template = (
        f"{choose.any(NAMES_TOPIC)} {choose.any(PAST_TIMES)} {josa(noun, '을')} {{x}} {counter} {after}."
    )
    return pair(f"{noun} {good}", template, good, bad, "counter")


PHENOMENA = (
    Phenomenon("josa_object", "A", "pair", josa_object),
    Phenomenon("josa_subject", "A", "pair", josa_of_person("이")),
    Phenomenon("josa_topic", "A", "pair", josa_of_person("은")),
    Phenomenon("josa_and", "A", "pair", josa_and),
    Phenomenon("josa_direction", "A", "mirror", josa_direction, adjacent=True),
    Phenomenon("josa_with", "A", "mirror", josa_with, adjacent=True),
    Phenomenon("copula_past", "A", "control", copula_past, adjacent=True),
    Phenomenon("josa_digit", "A", "pair", josa_digit),
    Phenomenon("josa_latin", "A", "pair", josa_latin),
    Phenomenon("vowel_harmony", "A", "pair", vowel_harmony),
    Phenomenon("irregular_bieup", "A", "pair", irregular(BIEUP, ("다", "까", "것", "서", "면"))),
    Phenomenon(
        "irregular_digeut_siot",
        "A",
        "pair",
        irregular(DIGEUT_SIOT, ("다", "까", "것", "고", "면")),
        word_limit=25,
    ),
    Phenomenon("irregular_reu_hieut", "A", "pair", irregular(REU_HIEUT, ("다", "까", "것", "고"))),
    Phenomenon("rieul_drop", "A", "pair", rieul_drop),
    Phenomenon("numeral_form", "A", "pair", numeral_form),
)
