"""Quality and repetition rules: against a plain account, on texts that break one rule each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.filter import rules as stage
from onnuri.corpus.stages.filter.rules import ENGLISH, KOREAN, RULES, Rules, reasons
from onnuri.corpus.text.joined import SEPARATOR
from tests.corpus.growth import LINEAR, UNITS, growth
from tests.soak import tries

PROSE = (
    "서울시는 내년부터 시내버스 노선을 전면 개편한다고 밝혔다.\n"
    "이번 개편으로 출퇴근 시간의 혼잡이 크게 줄어들 것으로 시는 기대하고 있다.\n"
    "시민 의견은 다음 달까지 받으며, 누리집과 전화로 낼 수 있다.\n"
    "새 노선은 강북의 주택가와 강남의 사무실 지역을 바로 잇는다."
)
ENGLISH_PROSE = (
    "The committee met on Tuesday to consider the proposal that was put forward by the harbour board, and "
    "most of those who spoke were in favour of it.\nA smaller group asked whether the cost would have to "
    "be borne by the town, or whether the ships that call there could be charged.\n"
    "No answer was given before the evening."
)
# Every rule off but the one under test.
OFF = Rules(
    min_words=0,
    statistics_from_words=0,
    min_hangul=0,
    word_length=(0, 1e9),
    min_letter_words=0,
    max_symbols=1e9,
    max_bullet_lines=1,
    max_ellipsis_lines=1,
    min_ended_lines=0,
    final_syllables="",
    max_short_lines=1,
    max_new_lines=1e9,
    min_stop_words=0,
    stop_words=(),
    stop_suffixes=False,
    max_duplicate_lines=1,
    max_duplicate_characters=1,
    top_ngrams=(),
    duplicate_ngrams=(),
)


def reason(text: str | None, rules: Rules = KOREAN) -> str:
    return reasons(pa.array([text], pa.string()), pa.array(["ko"]), {"ko": rules})[0].as_py()


def measured(text: str, **limits: object) -> float:
    """The value a rule measures, read off the reason that a threshold just out of reach gives."""
    answer = reason(text, replace(OFF, **limits))  # type: ignore[arg-type]
    return float(answer.rsplit(" ", 3)[1]) if answer else 0.0


def test_prose_in_both_languages_is_kept() -> None:
    texts, langs = pa.array([PROSE, ENGLISH_PROSE]), pa.array(["ko", "en"])
    assert reasons(texts, langs, {"ko": KOREAN, "en": ENGLISH}).to_pylist() == ["", ""]


BROKEN = {
    "words": "짧은 글이다.",
    "hangul share": "다음과 같다.\n" + ENGLISH_PROSE,
    "word length": "가 나 다 라 마 바 사 아 자 차 카 타 파 하 거 너 더 러 머 버 서 어 저 처.",
    "words with letters": PROSE + " 12 34 56 78 90 11 13 15 17 19 21 23",
    "ellipses": PROSE.replace(" ", "... ", 12),
    "number signs": PROSE.replace(" ", " #", 12),
    "new lines": PROSE.replace(" ", "\n", 14),
    "bullet lines": "\n".join("- " + line for line in PROSE.split("\n")),
    "ellipsis lines": PROSE.replace(".\n", "...\n"),
    "ended lines": PROSE.replace(".", "").replace("다\n", "고\n").removesuffix("다"),
    "stop words": "한빛 미래 하늘 구름 나무 바람 사람 마음 소리 그림 노래 시간 여름 겨울 아침 저녁 학교 "
    "친구 가족 음악 영화 운동 여행 음식.",
    "duplicate lines": PROSE + "\n네.\n네.\n네.\n네.\n네.",
    "duplicate characters": PROSE + "\n" + PROSE.split("\n")[1],
    "top n-gram": PROSE + " 우리는 함께한다" * 9 + ".",
    "duplicate n-gram": PROSE + " 그리고 또한 " + PROSE.split("\n")[1].removesuffix("."),
}


@pytest.mark.parametrize(("name", "text"), BROKEN.items(), ids=BROKEN.keys())
def test_each_rule_drops_its_own_kind_of_text_and_names_value_and_threshold(name: str, text: str) -> None:
    head, tail = reason(text).split(":", 1)
    assert head == name
    value, sign, limit = tail.split()[-3:]
    assert (float(value) < float(limit)) if sign == "<" else (float(value) > float(limit))


def test_english_short_lines_and_stop_words() -> None:
    def english(text: str) -> str:
        return reasons(pa.array([text]), pa.array(["en"]), {"en": ENGLISH})[0].as_py()

    words = ["alpha", "beta", "gamma", "delta", "eta", "theta", "kappa", "lambda", "omega", "sigma"]
    assert english("\n".join(f"The {word} ought to be here." for word in words)).startswith(
        "short lines: 1 >"
    )
    foreign = ENGLISH_PROSE
    for word in ENGLISH.stop_words:
        foreign = foreign.replace(f" {word} ", " xyzzy ").replace(f" {word},", " xyzzy,")
    assert english(foreign).startswith("stop words: ")


def test_a_dialogue_passes_when_the_recipe_asks_for_no_minimum() -> None:
    dialogue = ["너도 아프니?\n나도 아프다.", "ㅋㅋㅋ 좋아요...", "네", "이 영화 최고", "진짜 진짜 재밌음"]
    short = replace(KOREAN, min_words=0)
    for text in dialogue:
        assert reason(text).startswith("words: ")
        assert reason(text, short) == ""
    assert reason("", short) == reason(" \n ", short) == reason(None, short) == reason("...", short)
    assert reason("", short) == "words: 0 < 1"
    assert reason("안녕 하세요 안녕 하세요 안녕 하세요", short).startswith("top n-gram: ")


def test_hanja_is_not_hangul_and_jamo_is() -> None:
    assert measured("大韓民國 憲法 대한", min_hangul=2) == pytest.approx(0.25)
    assert measured("ㅋㅋ ᄒ1", min_hangul=2) == pytest.approx(0.75)


def test_a_final_ending_ends_a_line_and_a_stop_suffix_needs_a_stem() -> None:
    lines = "오늘은 쉰다\n정말 좋아요\n그냥 명사\n끝."
    assert measured(lines, min_ended_lines=2) == pytest.approx(0.25)
    assert measured(lines, min_ended_lines=2, final_syllables="다요") == pytest.approx(0.75)
    suffixes = {"min_stop_words": 9, "stop_words": KOREAN.stop_words, "stop_suffixes": True}
    assert measured("학교에 간다.", **suffixes) == 2
    assert measured('"학교에," 간다!?', **suffixes) == 2
    assert measured("이 다 은 를", **suffixes) == 0


def test_rules_follow_the_language_and_others_are_kept() -> None:
    texts = pa.array(["짧다"] * 4)
    langs = pa.array(["ko", "en", "ja", None])
    answer = reasons(texts, langs, {"ko": KOREAN, "en": ENGLISH}).to_pylist()
    assert answer == ["words: 1 < 22", "words: 1 < 50", "", ""]
    assert reasons(pa.array([], pa.string()), pa.array([], pa.string()), {"ko": KOREAN}).to_pylist() == []


# A plain account of the definitions, a loop a rule, to hold the arrays against.


def line_duplicates(text: str) -> tuple[float, float]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    seen: set[str] = set()
    again = [line for line in lines if line in seen or seen.add(line)]  # type: ignore[func-returns-value]
    return len(again) / len(lines), sum(map(len, again)) / len(text.replace("\n", ""))


def top_ngram(text: str, n: int) -> float:
    words = text.split()
    counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    count, length = max(((count, len(gram)) for gram, count in counts.items() if count > 1), default=(0, 0))
    return count * length / len(text)


def duplicate_ngram(text: str, n: int) -> float:
    words = text.split()
    seen, covered = set(), set()
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if gram in seen:
            covered.update(range(i, i + n))
        seen.add(gram)
    return sum(len(words[i]) for i in covered) / len(text)


WORDS = st.sampled_from(["a", "b", "가", "나다", "가나", "...", "#", "1", "𐐷", "…"])
TEXTS = st.lists(
    st.tuples(WORDS, st.sampled_from([" ", " ", " ", "\n", "\n\n", "\t", "　"])), min_size=1, max_size=60
).map(lambda pairs: "".join(word + gap for word, gap in pairs))


@settings(max_examples=tries(75, 1200), deadline=None)
@given(TEXTS)
@example("a b " * 20)
def test_measures_equal_the_plain_account(text: str) -> None:
    text = "말 " + text  # a text without a single word is another matter
    close = {"rel": 6e-3, "abs": 1e-9}  # reasons show three digits
    duplicate_lines, duplicate_characters = line_duplicates(text)
    assert measured(text, max_duplicate_lines=-1) == pytest.approx(duplicate_lines, **close)
    assert measured(text, max_duplicate_characters=-1) == pytest.approx(duplicate_characters, **close)
    for n in (2, 3, 4):
        assert measured(text, top_ngrams=((n, 0.0),)) == pytest.approx(top_ngram(text, n), **close)
    for n in (5, 7):
        expected = duplicate_ngram(text, n)
        assert measured(text, duplicate_ngrams=((n, 0.0),)) == pytest.approx(expected, **close)
    words = text.split()
    assert measured(text, max_new_lines=-1) == pytest.approx(text.count("\n") / len(words), **close)
    dots = sum(len(run) // 3 for run in "".join(c if c == "." else " " for c in text).split()) + text.count(
        "…"
    )
    # Ellipses come before number signs, and both share one threshold.
    assert measured(text, max_symbols=-1) == pytest.approx(dots / len(words), **close)
    letters = sum(any(c.isalpha() for c in word) for word in words) / len(words)
    assert measured(text, min_letter_words=2) == pytest.approx(letters, **close)


@settings(max_examples=tries(25, 400), deadline=None)
@given(
    st.lists(st.one_of(TEXTS, st.text(), st.sampled_from([*BROKEN.values(), SEPARATOR])), max_size=8),
    st.integers(1, 60),
)
def test_a_batch_gives_what_its_texts_give_one_by_one(texts: list[str], block: int) -> None:
    loose = replace(KOREAN, min_words=0, statistics_from_words=5, min_hangul=0)
    before = stage.BLOCK_CHARACTERS
    try:
        stage.BLOCK_CHARACTERS = block
        batch = reasons(
            pa.array(texts, pa.string()), pa.array(["ko"] * len(texts), pa.string()), {"ko": loose}
        )
    finally:
        stage.BLOCK_CHARACTERS = before
    assert batch.to_pylist() == [reason(text, loose) for text in texts]


def test_the_same_lines_and_words_in_two_documents_are_no_repetition() -> None:
    strict = replace(KOREAN, max_duplicate_lines=0, max_duplicate_characters=0, top_ngrams=((2, 0.0),))
    batch = reasons(pa.array([PROSE] * 50), pa.array(["ko"] * 50), {"ko": strict})
    assert set(batch.to_pylist()) == {""}


LOOSE = {
    "ko": replace(
        KOREAN, min_words=0, min_hangul=0, word_length=(0, 99), min_letter_words=0, max_new_lines=9
    ),
    "en": replace(ENGLISH, min_words=0, word_length=(0, 99), min_letter_words=0, max_short_lines=1),
}


@pytest.mark.parametrize("unit", [*UNITS, ".", "... ", "가나다라마바사아자차 "])
@pytest.mark.parametrize("rules", [RULES, LOOSE], ids=["published", "loose"])
def test_time_grows_with_the_text(unit: str, rules: dict[str, Rules]) -> None:
    for lang in rules:
        assert growth(lambda texts, lang=lang: reasons(texts, pa.array([lang]), rules), unit) < LINEAR
