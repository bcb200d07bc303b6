"""Korean numbers: Sino-Korean and native readings, and the number that a text states."""

from __future__ import annotations

import re
from functools import cache

DIGITS = ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
PLACES = ("", "십", "백", "천")
LARGE = ("", "만", "억", "조")
NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
NATIVE_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
BEFORE_COUNTER = {"하나": "한", "둘": "두", "셋": "세", "넷": "네"}


def sino(value: int, between: str = "") -> str:
    """Sino-Korean reading below 10^16: 123456 is 십이만삼천사백오십육.

    10,000 is 만, as people say it, and 100,000,000 is 일억. `between` goes between groups of four digits:
    a space is what the rules of spelling ask for (article 44).
    """
    if value == 0:
        return DIGITS[0]
    groups: list[str] = []
    for large in LARGE:
        value, group = divmod(value, 10_000)
        if group:
            text = "" if group == 1 and large == "만" and not value else _four(group)
            groups.insert(0, text + large)
    return between.join(groups)


def _four(group: int) -> str:
    text = ""
    for place in range(3, -1, -1):
        digit = group // 10**place % 10
        if digit:
            text += ("" if digit == 1 and place else DIGITS[digit]) + PLACES[place]
    return text


def native(value: int, before_counter: bool = False) -> str:
    """Native reading from 1 to 99: 20 is 스물, and 스무 before a counter."""
    tens, ones = divmod(value, 10)
    if before_counter and value == 20:
        return "스무"
    last = NATIVE_ONES[ones]
    return NATIVE_TENS[tens] + (BEFORE_COUNTER.get(last, last) if before_counter else last)


@cache
def _native_values() -> dict[str, int]:
    return {native(value, before): value for value in range(1, 100) for before in (False, True)}


_DECIMAL = re.compile(r"0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_APART = re.compile(r"[0-9]\s+[0-9,]")
_MIXED = re.compile(r"(?:([0-9,]+)조)?(?:([0-9,]+)억)?(?:([0-9,]+)만)?([0-9,]+)?")


def stated(text: str, units: tuple[str, ...] = ()) -> int | None:
    """The one number that a text states, with one of the units or without; None for anything else.

    Read are 12, 12,000, 1만 2,000, 만 이천, 일만 이천, 열두 개, 스무 살; not 1만 2천, and not 1 2.
    """
    if _APART.search(text):
        return None
    bare = "".join(text.split())
    forms = [bare, *(bare.removesuffix(unit) for unit in units if bare.endswith(unit))]
    found = {_value(form) for form in forms} - {None}
    return found.pop() if len(found) == 1 else None


def _value(bare: str) -> int | None:
    if _DECIMAL.fullmatch(bare):
        return int(bare.replace(",", ""))
    match = _MIXED.fullmatch(bare)
    if match and bare:
        parts = [part or "0" for part in match.groups()]
        if all(_DECIMAL.fullmatch(part) and int(part.replace(",", "")) < 10_000 for part in parts):
            trillions, hundred_millions, myriads, ones = (int(part.replace(",", "")) for part in parts)
            return ((trillions * 10_000 + hundred_millions) * 10_000 + myriads) * 10_000 + ones
    return _native_values().get(bare) or sino_value(bare)


_GROUP = re.compile(
    r"(?:([이삼사오육칠팔구]?)천)?(?:([이삼사오육칠팔구]?)백)?(?:([이삼사오육칠팔구]?)십)?([일이삼사오육칠팔구]?)"
)


def sino_value(bare: str) -> int | None:
    """The number of a Sino-Korean reading without spaces; both 만 and 일만 are 10,000."""
    if bare == DIGITS[0]:
        return 0
    total, rest, seen = 0, bare, False
    for power in range(3, -1, -1):
        large = LARGE[power]
        group, mark, after = rest.partition(large) if large else (rest, "", "")
        if large and not mark:
            continue
        rest = after
        if not large and not group:
            continue
        value = 1 if power == 1 and not group and not seen else _group_value(group)
        if not value:
            return None
        total, seen = total + value * 10_000**power, True
    return total or None


def _group_value(group: str) -> int:
    match = _GROUP.fullmatch(group)
    if not group or match is None:
        return 0
    values = [0 if part is None else DIGITS.index(part) if part else 1 for part in match.groups()[:3]]
    last = match[4]
    return values[0] * 1000 + values[1] * 100 + values[2] * 10 + (DIGITS.index(last) if last else 0)
