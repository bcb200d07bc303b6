"""Conjugation of Korean verbs and adjectives by class, after 한글 맞춤법, articles 15 to 18 and 34 to 36.

A stem's spelling does not say its class (걷다, to walk, is irregular; 걷다, to roll up, is not), so the
word lists do.
"""

from __future__ import annotations

from typing import NamedTuple

from onnuri.evaluate.kopairs.hangul import FINALS, VOWELS, letters, syllable, with_final


class Stem(NamedTuple):
    """A verb or adjective without 다."""

    text: str
    kind: str = ""
    """"" for regular ones (with those in ㄹ and ㅡ), else ㅂ, ㄷ, ㅅ, 르, ㅎ or 하."""


INITIAL_NIEUN, INITIAL_SIOT = 2, 9
_CONTRACTED = {
    "ㅏ": "ㅏ",
    "ㅓ": "ㅓ",
    "ㅐ": "ㅐ",
    "ㅔ": "ㅔ",
    "ㅕ": "ㅕ",
    "ㅗ": "ㅘ",
    "ㅜ": "ㅝ",
    "ㅣ": "ㅕ",
    "ㅚ": "ㅙ",
}


def stem(text: str) -> Stem:
    """Read an entry of the word lists: 돕/ㅂ is irregular, 하 at the end is its own class, else regular."""
    word, _, kind = text.partition("/")
    return Stem(word, kind or ("하" if word.endswith("하") else ""))


def is_bright(text: str) -> bool:
    """Whether the last syllable's vowel asks for 아 (ㅏ, ㅑ, ㅗ) and not for 어."""
    return VOWELS[letters(text[-1])[1]] in "ㅏㅑㅗ"


def infinitive(word: Stem) -> str:
    """The form in 아 or 어: 잡아, 먹어, 도와, 들어, 나아, 골라, 빨개, 써, 해."""
    text, kind = word
    head, last = text[:-1], text[-1]
    initial, vowel, final = letters(last)
    if kind == "하":
        return head + "해"
    if kind == "ㅂ":
        return with_final(text, "") + ("와" if text in ("돕", "곱") else "워")
    if kind == "ㄷ":
        return with_final(text, "ㄹ") + ("아" if is_bright(text) else "어")
    if kind == "ㅅ":
        return with_final(text, "") + ("아" if is_bright(text) else "어")
    if kind == "르":
        return with_final(head, "ㄹ") + ("라" if is_bright(head) else "러")
    if kind == "ㅎ":
        return head + syllable(initial, VOWELS.index("ㅒ" if VOWELS[vowel] in "ㅑ" else "ㅐ"))
    if final:
        return text + ("아" if is_bright(text) else "어")
    if VOWELS[vowel] == "ㅡ":
        bright = "가" <= head[-1:] <= "힣" and is_bright(head)
        return head + syllable(initial, VOWELS.index("ㅏ" if bright else "ㅓ"))
    if VOWELS[vowel] in _CONTRACTED:
        return head + syllable(initial, VOWELS.index(_CONTRACTED[VOWELS[vowel]]))
    return text + "어"


def past_stem(word: Stem) -> str:
    """The stem of the past: 잡았, 먹었, 도왔, 했."""
    return with_final(infinitive(word), "ㅆ")


def past(word: Stem) -> str:
    """Plain past: 잡았다, 도왔다, 했다."""
    return past_stem(word) + "다"


def linking_stem(word: Stem) -> str:
    """The stem before endings in 으: 잡으, 도우, 들으, 나으, 빨가; without 으 after a vowel or ㄹ."""
    text, kind = word
    if kind == "ㅂ":
        return with_final(text, "") + "우"
    if kind == "ㄷ":
        return with_final(text, "ㄹ") + "으"
    if kind == "ㅅ":
        return with_final(text, "") + "으"
    if kind == "ㅎ":
        return with_final(text, "")
    return text if letters(text[-1])[2] in (0, FINALS["ㄹ"]) else text + "으"


def with_eu(word: Stem, ending: str) -> str:
    """The stem with an ending that is spelled here without its 으: 면, 니까, 려고, 시, 세요."""
    base = linking_stem(word)
    if letters(base[-1])[2] == FINALS["ㄹ"] and letters(ending[0])[0] in (INITIAL_NIEUN, INITIAL_SIOT):
        base = with_final(base, "")
    return base + ending


def honorific_past(word: Stem) -> str:
    """Past with -시-: 잡으셨다, 도우셨다, 만드셨다."""
    return with_eu(word, "셨다")


def adnominal_past(word: Stem) -> str:
    """-(으)ㄴ: 잡은, 더운, 들은, 나은, 만든, 빨간."""
    base = linking_stem(word)
    return with_final(base, "ㄴ") if letters(base[-1])[2] in (0, FINALS["ㄹ"]) else base


def adnominal_future(word: Stem) -> str:
    """-(으)ㄹ: 잡을, 도울, 들을, 나을, 만들."""
    return with_final(linking_stem(word), "ㄹ")


def adnominal_present(word: Stem) -> str:
    """-는 of verbs: 잡는, 만드는."""
    dropped = letters(word.text[-1])[2] == FINALS["ㄹ"]
    return (with_final(word.text, "") if dropped else word.text) + "는"


def plain_present(word: Stem) -> str:
    """-는다, -ㄴ다 of verbs: 잡는다, 간다, 만든다."""
    if letters(word.text[-1])[2] in (0, FINALS["ㄹ"]):
        return with_final(word.text, "ㄴ") + "다"
    return word.text + "는다"


def negated_past(word: Stem) -> str:
    """-지 않았다."""
    return word.text + "지 않았다"
