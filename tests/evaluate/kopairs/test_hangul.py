"""Josa and conjugation by arithmetic, held against a table, against properties and against Kiwi."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.evaluate.kopairs import conjugate, form_words, words
from onnuri.evaluate.kopairs.conjugate import Stem, stem
from onnuri.evaluate.kopairs.generate import generate
from onnuri.evaluate.kopairs.hangul import JOSA, josa, letters, reading, syllable, with_final, wrong_josa

SYLLABLES = st.integers(0xAC00, 0xD7A3).map(chr)
JOSA_TAGS = {"을": "JKO", "이": "JKS", "은": "JX", "과": "JC", "으로": "JKB"}


@given(SYLLABLES)
def test_letters_are_those_of_unicode(text: str) -> None:
    initial, vowel, final = letters(text)
    parts = [chr(0x1100 + initial), chr(0x1161 + vowel)] + ([chr(0x11A7 + final)] if final else [])
    assert unicodedata.normalize("NFD", text) == "".join(parts)
    assert syllable(initial, vowel, final) == text
    assert letters(with_final(text, ""))[2] == 0


@given(st.text(SYLLABLES, min_size=1, max_size=4), st.sampled_from(list(JOSA)))
def test_josa_follows_the_final_consonant(noun: str, name: str) -> None:
    last = unicodedata.normalize("NFD", noun)[-1]
    closed = "\u11a8" <= last <= "\u11c2"
    after_consonant = closed and not (name == "으로" and last == "\u11af")
    assert josa(noun, name) == noun + JOSA[name][0 if after_consonant else 1]
    assert {josa(noun, name), wrong_josa(noun, name)} == {noun + form for form in JOSA[name]}


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("3", "을", "3을"), ("2", "을", "2를"), ("7", "으로", "7로"), ("0", "을", "0을"),
        ("10", "이", "10이"),
        ("2000", "은", "2000은"), ("45", "과", "45와"), ("PDF", "을", "PDF를"), ("URL", "을", "URL을"),
        ("URL", "으로", "URL로"),
        ("KBS", "이", "KBS가"), ("ATM", "은", "ATM은"), ("5km", "을", "5km를"),
        ("100g", "이", "100g이"), ("30%", "을", "30%를"), ("16px", "은", "16px은"), ("3m", "을", "3m를"),
        ("20℃", "이", "20℃가"), ("서울", "으로", "서울로"),
        ("부산", "으로", "부산으로"), ("대구", "으로", "대구로"),
    ],
)  # fmt: skip
def test_josa_by_reading(text: str, name: str, expected: str) -> None:
    assert josa(text, name) == expected


def test_numbers_are_read_as_they_are_said() -> None:
    said = {
        "0": "영",
        "10": "십",
        "11": "십일",
        "105": "백오",
        "2007": "이천칠",
        "123456": "십이만삼천사백오십육",
    }
    assert {number: reading(number) for number in said} == said
    with pytest.raises(ValueError, match="no reading"):
        josa("그림)", "을")
    with pytest.raises(ValueError, match="not a Hangul syllable"):
        letters("a")


FORMS = {  # stem: past, -아서, -(으)면, -(으)니까, -(으)ㄴ, -(으)ㄹ, -(으)셨다
    "잡": "잡았다 잡아서 잡으면 잡으니까 잡은 잡을 잡으셨다",
    "먹": "먹었다 먹어서 먹으면 먹으니까 먹은 먹을 먹으셨다",
    "가": "갔다 가서 가면 가니까 간 갈 가셨다",
    "오": "왔다 와서 오면 오니까 온 올 오셨다",
    "배우": "배웠다 배워서 배우면 배우니까 배운 배울 배우셨다",
    "마시": "마셨다 마셔서 마시면 마시니까 마신 마실 마시셨다",
    "보내": "보냈다 보내서 보내면 보내니까 보낸 보낼 보내셨다",
    "쉬": "쉬었다 쉬어서 쉬면 쉬니까 쉰 쉴 쉬셨다",
    "되": "됐다 돼서 되면 되니까 된 될 되셨다",
    "쓰": "썼다 써서 쓰면 쓰니까 쓴 쓸 쓰셨다",
    "바쁘": "바빴다 바빠서 바쁘면 바쁘니까 바쁜 바쁠 바쁘셨다",
    "따르": "따랐다 따라서 따르면 따르니까 따른 따를 따르셨다",
    "만들": "만들었다 만들어서 만들면 만드니까 만든 만들 만드셨다",
    "공부하": "공부했다 공부해서 공부하면 공부하니까 공부한 공부할 공부하셨다",
    "덥/ㅂ": "더웠다 더워서 더우면 더우니까 더운 더울 더우셨다",
    "돕/ㅂ": "도왔다 도와서 도우면 도우니까 도운 도울 도우셨다",
    "듣/ㄷ": "들었다 들어서 들으면 들으니까 들은 들을 들으셨다",
    "깨닫/ㄷ": "깨달았다 깨달아서 깨달으면 깨달으니까 깨달은 깨달을 깨달으셨다",
    "낫/ㅅ": "나았다 나아서 나으면 나으니까 나은 나을 나으셨다",
    "붓/ㅅ": "부었다 부어서 부으면 부으니까 부은 부을 부으셨다",
    "고르/르": "골랐다 골라서 고르면 고르니까 고른 고를 고르셨다",
    "부르/르": "불렀다 불러서 부르면 부르니까 부른 부를 부르셨다",
    "빨갛/ㅎ": "빨갰다 빨개서 빨가면 빨가니까 빨간 빨갈 빨가셨다",
    "하얗/ㅎ": "하얬다 하얘서 하야면 하야니까 하얀 하얄 하야셨다",
}


@pytest.mark.parametrize("entry", FORMS)
def test_conjugation(entry: str) -> None:
    word = stem(entry)
    forms = [
        conjugate.past(word),
        conjugate.infinitive(word) + "서",
        conjugate.with_eu(word, "면"),
        conjugate.with_eu(word, "니까"),
        conjugate.adnominal_past(word),
        conjugate.adnominal_future(word),
        conjugate.honorific_past(word),
    ]
    assert forms == FORMS[entry].split()


def test_present_forms() -> None:
    present = {"먹": "먹는다 먹는", "가": "간다 가는", "만들": "만든다 만드는", "듣/ㄷ": "듣는다 듣는"}
    for entry, forms in present.items():
        word = stem(entry)
        assert [conjugate.plain_present(word), conjugate.adnominal_present(word)] == forms.split()
    assert conjugate.negated_past(stem("듣/ㄷ")) == "듣지 않았다"


@given(st.text(SYLLABLES, min_size=1, max_size=3))
def test_regular_past_begins_with_its_stem_after_a_consonant(text: str) -> None:
    past = conjugate.past(Stem(text))
    assert past.endswith("다") and letters(past[-2])[2] == 20
    if letters(text[-1])[2]:
        assert past[:-2] == text


@pytest.fixture(scope="module")
def kiwi() -> object:
    return pytest.importorskip("kiwipiepy").Kiwi(num_workers=1)


def test_kiwi_joins_every_noun_with_the_same_josa(kiwi: object) -> None:
    nouns = {noun for noun, _ in words.object_verbs()} | {*words.PERSONS, *words.HONORED, *words.PLACES}
    nouns |= {*words.CITIES, *words.NAMES, *words.ANIMALS}
    join: Callable[..., str] = kiwi.join  # type: ignore[attr-defined]
    differ = {
        (noun, name)
        for noun in nouns
        for name, tag in JOSA_TAGS.items()
        if join([(noun, "NNG"), (JOSA[name][1], tag)]) != josa(noun, name)
    }
    assert differ == set()


SHORTER = (("보았", "봤"), ("주었", "줬"), ("세었", "셌"), ("되어", "돼"), ("이다", "다"))
"""Both are right; Kiwi writes the shorter one."""


def test_kiwi_gives_good_sentences_back(kiwi: object) -> None:
    """Kiwi takes a good sentence apart and joins it again. It does not read digits and Latin letters."""
    changed = set()
    for item in generate(1)[::7]:
        if item.phenomenon in ("josa_digit", "josa_latin"):
            continue
        good = item.sentences[0]
        tokens = [(token.form, token.tag) for token in kiwi.tokenize(good)]  # type: ignore[attr-defined]
        texts = [text.replace(" ", "") for text in (good, kiwi.join(tokens))]  # type: ignore[attr-defined]
        for long, short in SHORTER:
            texts = [text.replace(long, short) for text in texts]
        if texts[0] != texts[1]:
            changed.add((texts[0], texts[1]))
    assert changed == set()


def test_mistakes_are_no_forms_of_the_stem() -> None:
    """A "wrong" form that another verb of the lists has would be right in some sentence."""
    forms = {conjugate.past_stem(verb) for _, verb in words.object_verbs()}
    for item in generate(1):
        if item.phenomenon in ("vowel_harmony", "irregular_bieup", "irregular_reu_hieut"):
            good, bad = (set(sentence.rstrip("?.").split()) for sentence in item.sentences)
            (wrong,) = bad - good
            assert not any(wrong in (form + "다", form + "을까", form + "을") for form in forms), item


def test_lists_name_their_class() -> None:
    kinds = {word.kind for _, word in form_words.BIEUP}
    assert kinds == {"ㅂ"}
    assert {word.kind for _, word in form_words.DIGEUT_SIOT} == {"ㄷ", "ㅅ"}
    assert {word.kind for _, word in form_words.REU_HIEUT} == {"르", "", "ㅎ"}
    assert all(letters(word.text[-1])[2] == 8 for _, word in form_words.RIEUL)
