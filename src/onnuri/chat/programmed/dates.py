"""Days as Korean text, and the day that a text states."""

from __future__ import annotations

import re
from datetime import date

WEEKDAYS = "월화수목금토일"
_FORMS = (
    re.compile(r"([0-9]{4})년\s*([0-9]{1,2})월\s*([0-9]{1,2})일"),
    re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"),
    re.compile(r"([0-9]{4})\.\s*([0-9]{1,2})\.\s*([0-9]{1,2})\.?"),
)


def written(day: date) -> str:
    """2026년 11월 26일."""
    return f"{day.year}년 {day.month}월 {day.day}일"


def weekday(day: date) -> str:
    """목요일."""
    return f"{WEEKDAYS[day.weekday()]}요일"


def stated(text: str) -> date | None:
    """The one day of 2026년 11월 26일, 2026-11-26 or 2026. 11. 26.; its weekday may follow in brackets."""
    bare, _, suffix = text.strip().partition(" (") if text.strip().endswith(")") else (text.strip(), "", "")
    for form in _FORMS:
        if match := form.fullmatch(bare):
            try:
                day = date(*map(int, match.groups()))
            except ValueError:
                return None
            return day if suffix.rstrip(")") in ("", weekday(day), weekday(day)[0]) else None
    return None
