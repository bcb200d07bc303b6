"""The families' Korean and their calendar against Unicode, KoPairs, Kiwi, NumPy and astronomy."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.chat.programmed import dates, hangul, numbers
from onnuri.chat.programmed.families import ages, counters, hanja
from onnuri.chat.programmed.lunar_calendar import LunarDate, months, to_lunar, to_solar
from onnuri.chat.programmed.make import tasks
from onnuri.chat.programmed.predicates import PREDICATES
from onnuri.chat.programmed.sentences import SUBJECTS
from onnuri.chat.programmed.words import NOUNS
from onnuri.evaluate.kopairs import hangul as kopairs

SYLLABLES = st.integers(0xAC00, 0xD7A3).map(chr)
WORDS = st.text(SYLLABLES, min_size=1, max_size=4)


def unicode_letters(word: str) -> str:
    """Letters by their names in Unicode: HANGUL CHOSEONG KIYEOK is HANGUL LETTER KIYEOK."""
    names = (unicodedata.name(letter) for letter in unicodedata.normalize("NFD", word))
    return "".join(unicodedata.lookup(f"HANGUL LETTER {name.split(' ', 2)[2]}") for name in names)


@given(WORDS)
def test_letters_are_those_of_unicode(word: str) -> None:
    assert hangul.apart(word) == unicode_letters(word)
    assert hangul.initials(word) == "".join(unicode_letters(each)[0] for each in word)
    assert "".join(hangul.compose(*hangul.letters(each)) for each in word) == word


@given(WORDS | st.integers(0, 99_999_999).map(str), st.sampled_from(list(kopairs.JOSA)))
def test_josa_is_that_of_kopairs(word: str, josa: str) -> None:
    assert hangul.with_josa(word, josa) == kopairs.josa(word, josa)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1), st.sampled_from(list(kopairs.JOSA)))
def test_josa_after_latin_letters_is_that_of_kopairs(word: str, josa: str) -> None:
    assert hangul.with_josa(word, josa) == kopairs.josa(word, josa)


READINGS = {
    1: "일",
    10: "십",
    16: "십육",
    100: "백",
    101: "백일",
    110: "백십",
    1_000: "천",
    1_111: "천백십일",
    10_000: "만",
    10_001: "만 일",
    12_345: "만 이천삼백사십오",
    20_000: "이만",
    110_000: "십일만",
    123_456: "십이만 삼천사백오십육",
    1_000_000: "백만",
    10_000_000: "천만",
    100_000_000: "일억",
    100_010_000: "일억 일만",
    110_000_000: "일억 천만",
    1_000_000_000_000: "일조",
    2_030_405_060_708: "이조 삼백사억 오백육만 칠백팔",
    0: "영",
}
NATIVE = """1 한, 2 두, 3 세, 4 네, 5 다섯, 10 열, 11 열한, 20 스무, 21 스물한, 22 스물두, 34 서른네,
45 마흔다섯, 56 쉰여섯, 67 예순일곱, 78 일흔여덟, 89 여든아홉, 99 아흔아홉"""


def test_number_readings() -> None:
    assert {value: numbers.sino(value, " ") for value in READINGS} == READINGS
    for value, reading in (pair.split() for pair in NATIVE.split(",")):
        assert numbers.native(int(value), before_counter=True) == reading
    assert [numbers.native(value) for value in (1, 20, 21, 99)] == ["하나", "스물", "스물하나", "아흔아홉"]
    said = {
        (6, "월"): "유월",
        (10, "월"): "시월",
        (12, "월"): "십이월",
        (12, "시"): "열두 시",
        (20, "살"): "스무 살",
    }
    assert {pair: counters.said(*pair) for pair in said} == said


@given(st.integers(0, 99_999_999))
def test_number_readings_are_those_of_kopairs(value: int) -> None:
    assert numbers.sino(value) == kopairs.number_reading(str(value))


@given(st.integers(1, 10**16 - 1))
def test_a_reading_is_read_back(value: int) -> None:
    for text in (numbers.sino(value), numbers.sino(value, " "), str(value), f"{value:,}", f"{value}개"):
        assert numbers.stated(text, ("개",)) == value


@given(st.text("일이삼구십백천만억영", max_size=6))
def test_what_is_read_is_written_so(text: str) -> None:
    """A reading is one that writing gives, but for 일 before 십, 백, 천 and 만."""
    value = numbers.sino_value(text)
    if value is not None:
        assert re.sub("일(?=[십백천만])", "", text) == re.sub("일(?=[십백천만])", "", numbers.sino(value))


def zeller(day: date) -> str:
    """Weekday by Zeller's congruence."""
    year, month = (day.year - 1, day.month + 12) if day.month < 3 else (day.year, day.month)
    number = (
        day.day + 13 * (month + 1) // 5 + year % 100 + year % 100 // 4 + year // 400 + 5 * (year // 100)
    )
    return "토일월화수목금"[number % 7] + "요일"


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_days(day: date) -> None:
    assert dates.weekday(day) == zeller(day)
    for text in (
        dates.written(day),
        day.isoformat(),
        f"{day:%Y. %m. %d.}",
        f"{dates.written(day)} ({zeller(day)})",
    ):
        assert dates.stated(text) == day


def test_date_tasks_by_numpy() -> None:
    for task in tasks("date_sums", 300, "train", 2, 5):
        start = dates.stated(task.prompt.split("에서")[0])
        assert start is not None
        text = task.prompt.split("에서 ")[1]
        days = int(text.split("일")[0]) * (1 if "뒤는" in text else -1)
        assert str(np.datetime64(start, "D") + days) == task.parameters["date"]


@given(st.dates(date(1950, 1, 1), date(2010, 1, 1)), st.integers(0, 9_000))
def test_ages_by_counting(born: date, days: int) -> None:
    day = born + timedelta(days)
    every_day = [born + timedelta(passed) for passed in range(1, days + 1)]
    birthdays = sum(
        (each.month, each.day) == (born.month, born.day)
        or ((born.month, born.day) == (2, 29) and (each.month, each.day) == (3, 1) and each.year % 4 > 0)
        for each in every_day
    )
    new_years = sum((each.month, each.day) == (1, 1) for each in every_day)
    assert ages.age(born, day, "만 나이") == birthdays
    assert ages.age(born, day, "연 나이") == new_years
    assert ages.age(born, day, "세는나이") == new_years + 1


NEW_YEARS = """
1960-01-28 1970-02-06 1980-02-16 1988-02-18 1990-01-27 1997-02-08 2000-02-05 2005-02-09
2010-02-14 2015-02-19 2020-01-25 2021-02-12 2022-02-01 2023-01-22 2024-02-10 2025-01-29
2026-02-17 2027-02-07 2028-01-27
"""
CHUSEOK = """
2019-09-13 2020-10-01 2021-09-21 2022-09-10 2023-09-29 2024-09-17 2025-10-06 2026-09-25
2027-09-15
"""
LEAP_MONTHS = {
    2001: 4,
    2004: 2,
    2006: 7,
    2009: 5,
    2012: 3,
    2014: 9,
    2017: 5,
    2020: 4,
    2023: 2,
    2025: 6,
    2028: 5,
}


def test_lunar_holidays() -> None:
    for month, day, holidays in ((1, 1, NEW_YEARS), (8, 15, CHUSEOK)):
        for text in holidays.split():
            solar = date.fromisoformat(text)
            assert to_solar(LunarDate(solar.year, month, False, day)) == solar
            assert to_lunar(solar) == (solar.year, month, False, day)
    found = {year: month for year, month, leap in months() if leap and 2000 < year < 2029}
    assert found == LEAP_MONTHS


def new_moon(number: int) -> datetime:
    """Korean time of a new moon, within minutes (Meeus, Astronomical Algorithms, chapter 49)."""
    century = number / 1236.85
    sun = math.radians(2.5534 + 29.10535670 * number)
    moon = math.radians(201.5643 + 385.81693528 * number + 0.0107582 * century**2)
    node = math.radians(160.7108 + 390.67050284 * number - 0.0016118 * century**2)
    days = 2451550.09766 + 29.530588861 * number + 0.00015437 * century**2
    days += -0.40720 * math.sin(moon) + 0.17241 * math.sin(sun) + 0.01608 * math.sin(2 * moon)
    days += 0.01039 * math.sin(2 * node) + 0.00739 * math.sin(moon - sun) - 0.00514 * math.sin(moon + sun)
    days += 0.00208 * math.sin(2 * sun) - 0.00111 * math.sin(moon - 2 * node)
    days += -0.00057 * math.sin(moon + 2 * node) + 0.00056 * math.sin(2 * moon + sun)
    return datetime(2000, 1, 1, 21) + timedelta(days - 2451545.0)


def test_every_lunar_month_begins_with_a_new_moon() -> None:
    number = round((months()[1950, 1, False].first - date(2000, 1, 6)).days / 29.530588861)
    for offset, (month, (first, days)) in enumerate(months().items()):
        moon = new_moon(number + offset)
        near = {(moon + timedelta(minutes=minutes)).date() for minutes in (-15, 0, 15)}
        assert first in near, (month, first, moon)
        assert days in (29, 30)


BASE = dict(
    zip(
        "女老年來歷禮旅料流理利綠樂論勞冷陸良力練聯龍林立路離隣臨輪倫類糧兩淚內努能率列裂律劣鐵線露",
        "녀로년래력례려료류리리록락론로랭륙량력련련룡림립로리린림륜륜류량량루내노능률렬렬률렬철선로",
        strict=True,
    )
)
"""Readings without the initial-sound rule."""


def by_rule(word: str, index: int) -> str:
    """The reading of a character of BASE by articles 10 to 12 of the rules of spelling."""
    initial, vowel, final = hangul.letters(BASE[word[index]])
    if index == 0:
        if vowel in "ㅑㅕㅖㅛㅠㅣ" and initial in "ㄴㄹ":
            return hangul.compose("ㅇ", vowel, final)
        return hangul.compose("ㄴ" if initial == "ㄹ" else initial, vowel, final)
    return BASE[word[index]]


def test_the_initial_sound_rule() -> None:
    checked = 0
    for word, reading in (*hanja.INITIAL_SOUND, *hanja.TRICKY):
        for index, character in enumerate(word):
            if character not in BASE or word in ("娛樂", "快樂", "樂器"):
                continue
            expected = by_rule(word, index)
            before = hangul.letters(reading[index - 1])[2] if index else "ㄱ"
            if BASE[character] in ("렬", "률") and before in ("", "ㄴ"):
                expected = expected.replace("렬", "열").replace("률", "율")
            assert reading[index] == expected, (word, reading)
            checked += 1
    assert checked > 80
    words = [word for part in (hanja.COMMON, hanja.INITIAL_SOUND, hanja.TRICKY) for word in part]
    assert len({word for word, _ in words}) == len(words) > 200
    assert all(len(word) == len(reading) for word, reading in words)


def test_words_are_sorted_as_their_letters_are() -> None:
    order = sorted(NOUNS, key=lambda word: [ord(letter) for letter in unicodedata.normalize("NFD", word)])
    alone = [word for word in NOUNS if not any(other != word and other.startswith(word) for other in NOUNS)]
    assert [word for word in sorted(NOUNS) if word in alone] == [word for word in order if word in alone]
    assert len(set(NOUNS)) == len(NOUNS)


def test_subjects_are_named_once_or_not_at_all() -> None:
    for subject in SUBJECTS:
        assert all(body.count(subject.name) == 1 for body, _ in subject.naming)
        assert not any(subject.name in body + name for body, name in subject.others)
        assert len(subject.naming) == len(subject.others) == 6


def test_json_answers_satisfy_their_schemas() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for task in tasks("json_object", 90, "test", 0, 3):
        schema = json.loads(task.prompt.split("스키마: ")[1])
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(json.loads(task.answer), schema)


@pytest.mark.extra("morpheme")
def test_kiwi_conjugates_every_predicate_alike() -> None:
    kiwi: Any = pytest.importorskip("kiwipiepy").Kiwi(num_workers=1)
    for word, predicate in PREDICATES.items():
        tag = "VV" if predicate.verb else "VA"
        plain = "는다" if predicate.verb else "다"
        endings = [
            [("어", "EF")],
            [("어요", "EF")],
            [("습니다", "EF")],
            [(plain, "EF")],
            [("습니까", "EF")],
        ]
        endings += [[("었", "EP"), ("습니다", "EF")], [("을", "ETM"), ("거", "NNB"), ("예요", "EF")]]
        ours = [predicate.present(each) for each in ("casual", "polite", "formal", "plain")]
        ours += [predicate.asked("formal", False), predicate.past("formal"), predicate.future("polite")]
        theirs = [
            [kiwi.join([(predicate.stem, tag + kind), *ending]) for ending in endings]
            for kind in ("", "-R", "-I")
        ]
        assert ours in theirs, (word, ours, theirs)
