"""Korean syllables taken apart by arithmetic: final consonants and the josa that follow from them.

Unicode places the 11,172 modern syllables in the order of their letters (The Unicode Standard, 3.12), so
no table is needed: code = 0xAC00 + (initial * 21 + vowel) * 28 + final.
"""

from __future__ import annotations

from onnuri.evaluate.kopairs.listing import listed

FINALS = {"": 0, "ㄴ": 4, "ㄷ": 7, "ㄹ": 8, "ㅂ": 17, "ㅅ": 19, "ㅆ": 20, "ㅎ": 27}
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"

JOSA = {
    "을": ("을", "를"),
    "이": ("이", "가"),
    "은": ("은", "는"),
    "과": ("과", "와"),
    "이랑": ("이랑", "랑"),
    "이나": ("이나", "나"),
    "으로": ("으로", "로"),
}
"""Form after a consonant, form after a vowel. 으로 also becomes 로 after ㄹ."""

_DIGITS = dict(zip("0123456789", ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구"), strict=True))
_TENS = ("", "십", "백", "천")
_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        listed(
            "에이 비 시 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 브이 더블유 "
            "엑스 와이 제트"
        ),
        strict=True,
    )
)
UNITS = {
    "km": "킬로미터", "cm": "센티미터", "mm": "밀리미터", "m": "미터", "g": "그램", "mg": "밀리그램",
    "L": "리터", "mL": "밀리리터", "%": "퍼센트", "℃": "도", "GB": "기가바이트", "MB": "메가바이트",
    "W": "와트", "kW": "킬로와트", "V": "볼트", "Hz": "헤르츠", "kcal": "킬로칼로리", "t": "톤",
    "dB": "데시벨", "px": "픽셀",
}  # fmt: skip
"""Symbol to reading. kg is left out: it is read 킬로그램 or 킬로, and its josa changes with that."""


def letters(syllable: str) -> tuple[int, int, int]:
    """Numbers of initial, vowel and final (0 = none). Raises ValueError unless it is a syllable."""
    code = ord(syllable) - 0xAC00
    if not 0 <= code < 11172:
        raise ValueError(f"{syllable!r} is not a Hangul syllable")
    return code // 588, code // 28 % 21, code % 28


def syllable(initial: int, vowel: int, final: int = 0) -> str:
    """The syllable of these letters."""
    return chr(0xAC00 + (initial * 21 + vowel) * 28 + final)


def with_final(text: str, final: str) -> str:
    """`text` with the final consonant of its last syllable replaced ("" takes it away)."""
    initial, vowel, _ = letters(text[-1])
    return text[:-1] + syllable(initial, vowel, FINALS[final])


def final_of(text: str) -> int:
    """Final consonant of the last syllable, 0 for none; digits, Latin letters and units as read."""
    return letters(reading(text)[-1])[2]


def number_reading(digits: str) -> str:
    """Sino-Korean reading of a whole number below 100,000,000: 2007 is 이천칠, 10000 is 만."""
    value = int(digits)
    if value == 0:
        return "영"
    upper, lower = divmod(value, 10_000)
    if upper:
        return (
            ("" if upper == 1 else number_reading(str(upper)))
            + "만"
            + (number_reading(str(lower)) if lower else "")
        )
    text = ""
    for place in range(3, -1, -1):
        digit = value // 10**place % 10
        if digit:
            text += ("" if digit == 1 and place else _DIGITS[str(digit)]) + _TENS[place]
    return text


def reading(text: str) -> str:
    """How the end of `text` is read aloud, in Hangul: 3 is 삼, PDF is 피디에프, 5km is 오킬로미터.

    Raises ValueError for an end that has no reading here.
    """
    if "가" <= text[-1] <= "힣":
        return text
    start = len(text.rstrip("0123456789"))
    if start < len(text):
        return text[:start] + number_reading(text[start:])
    for unit in sorted(UNITS, key=len, reverse=True):
        if text.endswith(unit) and text[: -len(unit)][-1:].isdigit():
            return reading(text[: -len(unit)]) + UNITS[unit]
    if text[-1].upper() in _LETTERS:
        return "".join(_LETTERS.get(letter.upper(), letter) for letter in text)
    raise ValueError(f"{text!r} ends in a character that has no reading here")


def josa(text: str, name: str) -> str:
    """`text` with the josa that it takes. `name` is the form after a consonant, a key of JOSA."""
    return text + JOSA[name][_form(text, name)]


def wrong_josa(text: str, name: str) -> str:
    """`text` with the other form of the same josa: the mistake of who does not hear the final consonant."""
    return text + JOSA[name][1 - _form(text, name)]


def _form(text: str, name: str) -> int:
    final = final_of(text)
    return int(final == 0 or (name == "으로" and final == FINALS["ㄹ"]))
