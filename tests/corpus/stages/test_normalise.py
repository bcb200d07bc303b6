"""Normalising never loses a syllable or a digit, whatever comes in."""

from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.normalise import normalise
from tests.corpus.growth import LINEAR, UNITS, growth
from tests.soak import tries

SYLLABLES = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=4)
TEXT = st.lists(
    st.one_of(
        SYLLABLES,
        st.text("ㅋㅎㅠㅜㄱㅏ", max_size=9),
        st.text("ᄀ나ᅥᆨᆫᅠᅟ\u200b\u0301\u200d\u200c", max_size=5),
        st.text("!?.~-=_*#", max_size=9),
        st.text("0123456789٣", max_size=4),
        st.text(" \t\n\r\u3000\xa0\u2028\x00\x85", max_size=6),
        st.text(max_size=5),
        st.sampled_from(
            ["\ufdd0", "👩\u200d👩\u200d👧", "a\n", "=\n", "e\u0301", "---\n", "क\u094d\u200dष"]
        ),
    )
).map("".join)


def one(text: str) -> str:
    return normalise(pa.array([text], pa.large_string()))[0].as_py()


def promised(text: str) -> list[str]:
    return re.findall(r"[가-힣]|\d", text)


@settings(max_examples=tries(150, 2400), deadline=None)
@given(text=TEXT)
def test_keeps_syllables_and_digits_is_idempotent_and_blind_to_nfd(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    result = one(text)
    assert promised(result) == promised(composed)
    assert one(result) == result
    assert unicodedata.is_normalized("NFC", result)
    assert one(unicodedata.normalize("NFD", text)) == one(composed)


@settings(max_examples=tries(25, 400), deadline=None)
@given(texts=st.lists(TEXT))
def test_a_batch_is_its_documents(texts: list[str]) -> None:
    assert normalise(pa.array(texts, pa.large_string())).to_pylist() == [one(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("안녕ㅋㅋㅋ", "안녕ㅋㅋㅋ"),
        ("진짜ㅋㅋㅋㅋ", "진짜ㅋㅋㅋ"),
        ("대박ㅋㅋ", "대박ㅋㅋ"),
        ("ㅎㅎ네", "ㅎㅎ네"),
        ("ㅇㅇ맞아", "ㅇㅇ맞아"),
        ("ㅠㅜㅠㅜㅠㅜㅠㅜ", "ㅠㅜㅠㅜㅠㅜ"),
        ("100000원", "100000원"),
        ("1000만", "1000만"),
        ("하하하하하하", "하하하하하하"),
        ("ﾡ", "ﾡ"),
        ("좋아요!!!!!!", "좋아요!!!"),
        ("글쎄.........", "글쎄......"),
        ("★★★★★ 1,,,,,2", "★★★★★ 1,,,,,2"),
        ("}\n}\n}\n}", "}\n}\n}\n}"),
        ("한\u200b글\ufeff", "한글"),
        ("가\u200bᆨ", "가\u200bᆨ"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("한\u200d글", "한글"),
        ("a\u3000b\u00a0c", "a b c"),
        ("def f():\n    return  1     # x  \n\n\n\nend\r\n", "def f():\n    return  1  # x\n\nend"),
        ("\n\n 첫 줄\n\n", " 첫 줄"),
        ("* * *\n* * *\n* * *\n* * *\n끝", "* * *\n* * *\n끝"),
        ("제1조\n제1조\n제1조", "제1조\n제1조\n제1조"),
        ("=" * 200, "=" * 6),
        ("\x00\x1b[0m", "[0m"),
        ("", ""),
    ],
)
def test_rules(text: str, expected: str) -> None:
    assert one(text) == expected


def test_null_is_empty() -> None:
    assert normalise(pa.array([None, "가"], pa.string())).to_pylist() == ["", "가"]


@pytest.mark.parametrize(
    "text",
    [
        # What others lose. dps: the syllable before a run of jamo, digits by a squeeze of repeats, and
        # every sentence with one of these signs and words.
        "안녕ㅋㅋㅋ",
        "대박ㅋㅋ",
        "ㅎㅎ네",
        "ㅇㅇ맞아",
        "100000원",
        "1000만",
        "010-0000-1111",
        "뉴스/기사 #1 *네이버* 2/3",
        # HAERAE's rules drop whole documents for these.
        "www.example.kr ... ㅋㅋㅋ 약관 is ■ ▲ 010 @ 대선",
        # NFKC, and with it SentencePiece's default, changes or loses these.
        "ㅋㅋㅋ ㄱㄴㄷ ㅏㅑ",
        "ﾡﾢ",
        "①②㎏㈜ﬁ２Ａ…½",
        # In CP949 but not in the set of KS X 1001.
        "뷁 똠방각하 펲시맨 믜 쌰",
        # Mojibake is for the reader to undo.
        "ÇÑ±¹¾î",
    ],
)
def test_what_other_pipelines_lose_stays(text: str) -> None:
    assert one(text) == text
    decomposed = unicodedata.normalize("NFD", text)
    assert one(decomposed) == unicodedata.normalize("NFC", text)


def test_what_stays_as_it_is_is_handed_on() -> None:
    texts = pa.array(["가나다", "a\n\nb", ""], pa.large_string())
    assert normalise(texts).equals(texts)
    mixed = pa.array(["하나", "둘 ", None, "셋\u200b"], pa.string())
    assert normalise(mixed).to_pylist() == ["하나", "둘", "", "셋"]
    assert normalise(mixed.slice(1, 2)).to_pylist() == ["둘", ""]
    assert normalise(pa.array([], pa.string())).equals(pa.array([], pa.large_string()))


@given(
    base=st.sampled_from(["e", "é", "가", "ᄒ", " ", ""]),
    marks=st.text("\u0301\u0316\u0327\u0344\u0300", min_size=25, max_size=40),
    after=st.sampled_from(["", "\u200b\u0301", "b", "ᅡ"]),
)
def test_a_pile_of_marks_is_cut_in_canonical_order(base: str, marks: str, after: str) -> None:
    text = base + marks + after
    result = one(text)
    assert result == one(unicodedata.normalize("NFD", text)) == one(unicodedata.normalize("NFC", text))
    assert one(result) == result
    assert not re.search("[\u0300\u0301\u0316\u0327]{31}", result)
    assert result.startswith(unicodedata.normalize("NFC", base + marks)[:20])


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_text(unit: str) -> None:
    assert growth(normalise, unit) < LINEAR
