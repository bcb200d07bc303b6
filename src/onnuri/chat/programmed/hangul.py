"""Hangul syllables by arithmetic, how digits and Latin letters sound, and the josa that follow.

Unicode places the 11,172 modern syllables in the order of their letters (The Unicode Standard, 3.12):
code = 0xAC00 + (initial * 21 + vowel) * 28 + final.
"""

from __future__ import annotations

from onnuri.chat.programmed.numbers import sino

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")

JOSA = {
    "은": ("은", "는"),
    "이": ("이", "가"),
    "을": ("을", "를"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
    "이랑": ("이랑", "랑"),
    "이나": ("이나", "나"),
    "이라고": ("이라고", "라고"),
    "이라는": ("이라는", "라는"),
    "이에요": ("이에요", "예요"),
}
"""Form after a consonant, form after a vowel. 으로 also becomes 로 after ㄹ."""

_NAMES = """에이 비 시 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 브이 더블유 엑스
와이 제트"""
LETTERS = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _NAMES.split(), strict=True))
"""Names of the letters, as the Korean standard dictionary has them."""


def is_syllable(character: str) -> bool:
    """True for one of the 11,172."""
    return "가" <= character <= "힣"


def letters(syllable: str) -> tuple[str, str, str]:
    """Initial, vowel and final ("" for none) of a syllable."""
    code = ord(syllable) - 0xAC00
    return INITIALS[code // 588], VOWELS[code // 28 % 21], FINALS[code % 28]


def compose(initial: str, vowel: str, final: str = "") -> str:
    """The syllable of these letters."""
    code = (INITIALS.index(initial) * 21 + VOWELS.index(vowel)) * 28 + FINALS.index(final)
    return chr(0xAC00 + code)


def with_final(text: str, final: str) -> str:
    """`text` with the final consonant of its last syllable replaced."""
    initial, vowel, _ = letters(text[-1])
    return text[:-1] + compose(initial, vowel, final)


def apart(word: str) -> str:
    """The letters of a word in a row: 값 is ㄱㅏㅄ."""
    return "".join("".join(letters(each)) for each in word)


def initials(word: str) -> str:
    """대한민국 is ㄷㅎㅁㄱ; spaces stay."""
    return "".join(letters(each)[0] if is_syllable(each) else each for each in word)


def sound(text: str) -> str:
    """How the end of a text is read aloud: 30 is 삼십, PDF is 피디에프."""
    if text[-1].isdigit():
        start = len(text.rstrip("0123456789"))
        return sino(int(text[start:]))
    return LETTERS.get(text[-1], text[-1])


def josa_form(word: str, josa: str) -> int:
    """0 for the form after a consonant, 1 for the one after a vowel."""
    final = letters(sound(word)[-1])[2]
    return int(final == "" or (josa == "으로" and final == "ㄹ"))


def with_josa(word: str, josa: str) -> str:
    """A word with the josa that it takes; `josa` is a key of JOSA."""
    return word + JOSA[josa][josa_form(word, josa)]
