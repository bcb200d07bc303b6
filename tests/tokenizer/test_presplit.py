"""Compiled code cuts text exactly where the regular expressions do."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from onnuri.tokenizer.native import split
from onnuri.tokenizer.presplit import ASSIGNED, PHRASES, WORDS, character_classes, engine_classes
from tests.soak import tries
from tests.tokenizer.texts import MIXED

EXPRESSIONS = {
    False: Split(Regex(WORDS), behavior="isolated"),
    True: Split(Regex(PHRASES), behavior="isolated"),
}


def cut(text: str, *, mark_prefix: bool, phrases: bool) -> list[str]:
    return [piece.decode() for piece in split(text.encode(), mark_prefix, phrases)]


@pytest.mark.parametrize("phrases", [False, True])
@settings(max_examples=tries(750, 12000), deadline=None)
@example(text="\t (")
@example(text="\n \t가")
@example(text="가 1 \n 나")
@given(text=MIXED)
def test_compiled_code_and_expression_agree(phrases: bool, text: str) -> None:
    expected = [piece for piece, _ in EXPRESSIONS[phrases].pre_tokenize_str(text)]
    assert cut(text, mark_prefix=True, phrases=phrases) == expected


@settings(max_examples=tries(750, 12000), deadline=None)
@given(text=MIXED)
def test_words_stay_within_phrases(text: str) -> None:
    """The encoder of superwords stands on this."""
    within = [
        word
        for phrase in cut(text, mark_prefix=False, phrases=True)
        for word in cut(phrase, mark_prefix=False, phrases=False)
    ]
    assert within == cut(text, mark_prefix=False, phrases=False)
    assert "".join(within) == text


def test_every_code_point_falls_into_its_class() -> None:
    """Each code point between Hangul, digits and spaces, in a text of its own."""
    sample = [*ASSIGNED[::97], *range(0x2E80, 0x3400), *range(0x0, 0x300)]
    text = "\n".join(f"가{chr(code)}1 {chr(code)}a" for code in sample if chr(code) not in "\r\n")
    for phrases, expression in EXPRESSIONS.items():
        expected = [piece for piece, _ in expression.pre_tokenize_str(text)]
        assert cut(text, mark_prefix=True, phrases=phrases) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("GPT를 2024년 大韓民國ㅋㅋㅋㅋㅋ!", "GPT|를| |202|4|년| 大韓民國|ㅋㅋㅋㅋ|ㅋ|!"),
        ("그는 (학생)이다.", "그는| (학생|)이다|."),
        ("if x:\n        return _y\n", "if| x|:\n       | return| _y|\n"),
        ("don't  stop", "don|'t| | stop"),
    ],
)
def test_words_of_bpe(text: str, words: str) -> None:
    assert cut(text, mark_prefix=True, phrases=False) == words.split("|")


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("연구를 하여야 한다. 제1항은 ㅋㅋ 다.\n  끝", "연구를 하여야 한다. 제|1|항은| ㅋㅋ| 다.\n | 끝"),
        ("of the end, and 12 of", "of the end, and |12| of"),
    ],
)
def test_phrases_of_superwords(text: str, phrases: str) -> None:
    assert cut(text, mark_prefix=False, phrases=True) == phrases.split("|")


def test_table_has_the_classes_of_split_h() -> None:
    table = character_classes()
    assert (table == engine_classes()).all(), "python -m onnuri.tokenizer.presplit makes it anew"
    assert [table[ord(c)] for c in "a가ㅋ漢1. \t\n"] == list(range(9))
    assert table[ord("é")] == table[0x0301] == 0
    assert table[0x10FFFF] == table[ord("👍")] == 5
