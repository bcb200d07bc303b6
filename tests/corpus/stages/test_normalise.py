"""Normalising never loses a syllable or a digit, whatever comes in."""

from __future__ import annotations

import re
import time
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.normalise import normalise

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


@settings(max_examples=600, deadline=None)
@given(text=TEXT)
def test_keeps_syllables_and_digits_is_idempotent_and_blind_to_nfd(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    result = one(text)
    assert promised(result) == promised(composed)
    assert one(result) == result
    assert unicodedata.is_normalized("NFC", result)
    assert one(unicodedata.normalize("NFD", text)) == one(composed)


@settings(max_examples=100, deadline=None)
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
    "unit", ["ㅋ", "!", " ", "\n", "ㅋㅎ", "a", "=\n", "a\n", " \n", "\u200b", "\u200d", "가 "]
)
def test_five_megabytes_of_anything_take_no_longer(unit: str) -> None:
    text = unit * (5_000_000 // len(unit.encode()))
    started = time.process_time()
    one(text)
    assert time.process_time() - started < 5
