"""Numbers that layout splits or disguises: the same rules over a view of the text without its layout.

A view is a short stretch of text, from a digit on, in which every digit is ASCII and whatever stands
between two groups of digits is one sign: a line end, a table cell, a tag, an odd mark, a word such as
뒷자리. Each character of a view knows where it came from, so a match in the view is a span of the text. The
alternative, a pattern for each kind of number in each layout, multiplies.

The rules of personal_rules find in a view what they would find in plain text. But neighbouring cells and
lines are seldom one number, so `_is_certain` asks for more: a label, a check digit, or a shape that nothing
else has.

Cost: some 20 microseconds for each view. Views are built only where personal_candidates finds digits that
could be such a number, and hold at most MOST_DIGITS digits.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from onnuri.corpus.stages.pii import shapes, words
from onnuri.corpus.stages.pii.korean_numbers import business_check_digit, resident_check_digit
from onnuri.corpus.stages.pii.rules import Context, Span, accepted, context_of, digits_of, whole_start
from onnuri.corpus.text.joined import SEPARATOR

MOST_DIGITS = 20
DENSE, MOST_FAILURES = 16, 64
"""After so many views without a value, each within so many characters of the one before, no more are
built."""
_WINDOW = 40
"""Characters on either side of an odd digit in which its number can begin or end."""

HANGUL_DIGITS = dict(zip("공일이삼사오육칠팔구영륙", "012345678906", strict=True))
LETTER_DIGITS = {"O": "0", "o": "0", "I": "1", "l": "1"}
_MARKED = (
    *range(0x2460, 0x2500),
    *range(0x2776, 0x2794),
    *range(0x1D7CE, 0x1D800),
    *range(0x1F100, 0x1F10B),
)
MARKED_DIGITS = {
    chr(code): str(unicodedata.digit(chr(code)))
    for code in _MARKED
    if unicodedata.digit(chr(code), None) is not None
}
"""Circled, parenthesised and mathematical ones. Superscripts are footnotes, so they stay out."""
VALUES = {str(digit): str(digit) for digit in range(10)} | HANGUL_DIGITS | LETTER_DIGITS | MARKED_DIGITS

_FAMILIES = (
    "０１２３４５６７８９",
    "⓪①②③④⑤⑥⑦⑧⑨",
    "⓿❶❷❸❹❺❻❼❽❾",
    "공일이삼사오육칠팔구",
    "영일이삼사오육칠팔구",
    *("".join(map(chr, range(first, first + 10))) for first in range(0x1D7CE, 0x1D800, 10)),
)

# How a stretch differs from a plain number.
_LINE, _CELL, _COMMA, _MARK, _MARKED_DIGIT, _HANGUL, _LETTER, _SPACED = (1 << bit for bit in range(8))

# 이 before these is an ending or a particle; a letter among other letters is no digit.
_DIGIT = (
    rf"(?:[0-9공영일삼사오육륙칠팔구{''.join(MARKED_DIGITS)}]|이(?![고다라에예며었면니지래거])"
    r"|(?<![A-HJ-NP-Za-kmnp-z])[OoIl](?![A-HJ-NP-Za-kmnp-z]))"
)
_TAG = r"</?(?:t[dhr]|br|span|div|p|li|b)\b[^<>\n]{0,40}>"
_WORD = r"에서?|의|다시|대시|하이픈|뒷 ?(?:자리|번호)(?:는|가|:)?|뒤(?:에|는)?"
_JOINT = rf"(?:[ \n\t|\-._~·/,:;'\"=()>\ufe0e\ufe0f\u20e3]|(?<!\*)\*(?!\*)|{_TAG}|{_WORD}|&nbsp;)"
_ONE_DIGIT = re.compile(_DIGIT)
_GROUP = re.compile(rf"{_DIGIT}{{1,{MOST_DIGITS}}}")
_BETWEEN = re.compile(rf"{_JOINT}{{1,10}}")
_RUN = re.compile(rf"(?:{_DIGIT}|{_JOINT}){{8,}}+")
_MOBILE_HEAD = re.compile(
    rf"[0Oo공영⓪⓿𝟎𝟘𝟢𝟬𝟶]{_JOINT}{{0,3}}[1lI일영공①❶➀➊𝟏𝟙𝟣𝟭𝟷]|8{_JOINT}{{0,3}}2|팔{_JOINT}{{0,3}}이"
)
_LONG = re.compile(rf"(?:{_DIGIT}{_JOINT}{{0,10}}){{8}}")
_IN_A_ROW = re.compile(r"[0-9][ \n\t|\"',;]{1,6}\Z")
_NEAR = rf"{_JOINT}{{0,4}}"
_PASSPORT = re.compile(
    rf"(?<![0-9A-Za-z])[A-Za-z]{{1,2}}{_NEAR}(?!(?:19|20){_DIGIT}{{2}}[-./])"
    rf"(?:(?:{_DIGIT}{_NEAR}){{6,7}}{_DIGIT}|(?:{_DIGIT}{_NEAR}){{3}}[A-Za-z]{_NEAR}(?:{_DIGIT}{_NEAR}){{3}}{_DIGIT})"
    r"(?![0-9A-Za-z])"
)
_LAYOUT = re.compile(rf"{_JOINT}{{0,4}}?(?:[\n\t|\"']|{_TAG}){_JOINT}{{0,10}}")
_MARKS_AT_AN_END = re.compile(r"\A ?[-.·~_*/]+|[-.·~_*/]+ ?\Z")
_NO_DIGITS = re.compile(rf"\A{words.REGION_BEFORE.pattern[:-2]}(?=[^가-힣])|{_WORD}")

_LABELS = re.compile(
    "주민 외국인 생년 거소 민증 rrn jumin ssn resident alien 전화 연락 문의 휴대 핸드폰 대표 센터 "
    "상담 팩스 예약 신고 접수 안심 배달 대출 매장 내선 문자 ☎ ☏ ✆ 📞 📱 fax tel phone mobile "
    "cell call contact hotline 카드 결제 card visa amex 계좌 통장 입금 예금 이체 송금 은행 뱅크 "
    "농협 수협 신협 새마을 우체국 acc bank 면허 licen 사업자 등록 business 번호 보험".replace(" ", "|")
)


class _Group(NamedTuple):
    digits: str
    start: int
    marks: int
    joint: str
    """What stands behind it, up to the next group; "" after the last."""


def starts(text: str, odd: list[int]) -> Iterator[int]:
    """Where a number of at least eight digits can begin that has one of the odd digits."""
    done = 0
    for position in odd:
        if position < done:
            continue
        first, done = max(done, position - _WINDOW), position + _WINDOW
        for run in _RUN.finditer(text, first, done):
            for match in _GROUP.finditer(text, *run.span()):
                start = match.start()
                upcoming = bisect_left(odd, start)
                if upcoming == len(odd) or odd[upcoming] >= run.end():
                    break
                if _LONG.match(text, start) and (
                    _MOBILE_HEAD.match(text, start) or _is_labelled(text, start)
                ):
                    yield start


def labelled(text: str, rows: list[int]) -> Iterator[int]:
    """Those with a label of numbers beside them."""
    return (start for start in rows if _is_labelled(text, start))


def _is_labelled(text: str, start: int) -> bool:
    return _LABELS.search(text[max(0, start - _WINDOW) : start + _WINDOW].lower()) is not None


def classify(text: str, start: int, limit: int, last: Span | None) -> Span | None:
    """The value that begins at `start` and ends before `limit`, if layout is all that hides it."""
    groups = _groups(text, start, limit)
    if sum(len(group.digits) for group in groups) < 8:
        return None
    for inside_a_group in (False, True):
        # A line can end between two groups or inside one.
        if inside_a_group and not any("\n" in group.joint for group in groups):
            break
        view, marks, offsets = _view(groups, inside_a_group)

        def contexts(end: int, offsets: Sequence[int] = offsets) -> Context:
            return context_of(text, start, offsets[end - 1] + 1, last)

        for found, kind, context in accepted(view, 0, contexts):
            bits = 0
            for mark in marks[: len(found)]:
                bits |= mark
            if bits and _is_certain(kind, found, context, bits):
                return Span(whole_start(start, found, kind, context), offsets[len(found) - 1] + 1, kind)
    return None


def passport(text: str, label: int) -> Span | None:
    """The passport number behind a label that stands at `label`, with layout or odd digits inside."""
    match = _PASSPORT.search(text, label, label + _WINDOW + 24)
    if match is None or SEPARATOR in text[label : match.start()] or match.start() > label + _WINDOW:
        return None
    return Span(match.start(), match.end(), "passport")


def kept(value: str) -> str:
    """What masking leaves of a value: its line ends, cell edges and tags, with the blanks beside them."""
    plain = shapes.plain(value)
    found = (value[match.start() : match.end()] for match in _LAYOUT.finditer(plain))
    return "".join(_MARKS_AT_AN_END.sub("", joint) for joint in found)


def digit_offsets(value: str, kind: str) -> list[int]:
    """Where the digits of a value stand, whatever they are written in."""
    plain = _NO_DIGITS.sub(lambda match: "-" * len(match.group()), shapes.plain(value))
    # The letters of these two are no digits: M123O4567, 12오3456.
    others = HANGUL_DIGITS | LETTER_DIGITS if kind in ("passport", "vehicle_plate") else {}
    return [match.start() for match in _ONE_DIGIT.finditer(plain) if match.group() not in others]


def like(char: str, digit: str) -> str:
    """`digit` written as `char` is: full-width, circled, in Hangul; in ASCII if there is no such sign."""
    return next((family[int(digit)] for family in _FAMILIES if char in family), digit)


def _groups(text: str, start: int, limit: int) -> list[_Group]:
    """The groups of digits from `start` on that nothing but layout separates."""
    groups: list[_Group] = []
    count = 0
    match = _GROUP.match(text, start, limit)
    while match is not None and count < MOST_DIGITS:
        found = match.group()
        count += len(found)
        marks = 0
        if not found.isascii() or not found.isdigit():
            marks |= _HANGUL * any(char in HANGUL_DIGITS for char in found)
            marks |= _LETTER * any(char in LETTER_DIGITS for char in found)
            marks |= _MARKED_DIGIT * any(char in MARKED_DIGITS for char in found)
        between = _BETWEEN.match(text, match.end(), limit)
        following = _GROUP.match(text, between.end(), limit) if between else None
        joint = between.group() if between and following else ""
        groups.append(_Group("".join(VALUES[char] for char in found), match.start(), marks, joint))
        match = following
    return groups


def _view(groups: list[_Group], inside_a_group: bool) -> tuple[str, list[int], list[int]]:
    """The characters of a view, the marks of each and the offset of each in the text."""
    view: list[str] = []
    marks: list[int] = []
    offsets: list[int] = []
    for number, group in enumerate(groups):
        view += group.digits
        marks += [group.marks] * len(group.digits)
        offsets += range(group.start, group.start + len(group.digits))
        if group.joint and number + 1 < len(groups):
            sign, mark = _sign(group.joint, inside_a_group)
            if sign == "(" and groups[number + 1].digits != "0":
                sign, mark = " ", mark | _MARK
            if len(group.digits) == len(groups[number + 1].digits) == 1 and sign == " ":
                sign, mark = "", mark | _SPACED
            view.append(sign)
            if sign:
                marks.append(mark)
                offsets.append(offsets[-1] + 1)
            else:
                marks[-1] |= mark
    return "".join(view), marks, offsets


def _sign(joint: str, inside_a_group: bool) -> tuple[str, int]:
    """The one sign that a joint amounts to, and how it differs from a plain one."""
    bare = joint.strip(" \n\t\ufe0e\ufe0f\u20e3")
    marks = _LINE * ("\n" in joint) | _COMMA * ("," in bare and '"' not in bare and "'" not in bare)
    marks |= _CELL * (
        (len(joint) > 1 and not joint.strip(" ")) or any(char in joint for char in "\t|\"';:=<>&")
    )
    if not bare:
        marks |= _MARKED_DIGIT * ("\u20e3" in joint)
        return ("" if (marks & _LINE and inside_a_group) or marks & _MARKED_DIGIT else " "), marks
    word = not bare.isascii() and bare != "·"
    marks |= _MARK * (bare not in "-()")
    if "(" in bare and bare != ")":
        return ("(" if bare == "(" else " "), marks
    if ")" in bare:
        return ")", marks
    if marks & _CELL and bare[0] in "|\"';:=<>&":
        return " ", marks
    return ("-" if word or any(char in bare for char in "-.~_·*/") else " "), marks


_MOBILE = re.compile(r"(?:(?:00[1-9]?[-. )]?)?82[-. )]?\(?0?\)?[-. ]?|0)1[016-9]")
_PARTED_MOBILE = re.compile(r"(?:.*[^0-9])?0?1[016-9][^0-9][0-9]{3,4}[^0-9][0-9]{4}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}[-. ](?:0?[1-9]|1[0-2])[-. ]")
_ACCOUNT_LABEL = re.compile(r"계좌|입금처|account|acct", re.I)
_PHONE_LABEL = re.compile(rf"{words.PHONE_WORDS.pattern}|번호|카톡|폰|집", re.I)


def _is_certain(kind: str, found: str, context: Context, marks: int) -> bool:
    """True if a value that a rule accepts in a view is one in spite of its layout.

    `found` is the value as the view shows it and `context` what stands around it in the text.
    """
    digits = digits_of(found)
    parted = len(found) > len(digits)
    if kind == "phone":
        named = context.before(_PHONE_LABEL, 40) or context.after(_PHONE_LABEL, 8)
        mobile = _MOBILE.match(found) is not None
        if marks & _COMMA and not (mobile and _PARTED_MOBILE.fullmatch(found)):
            return False
        if named or context.follows("phone"):
            return True
        if not mobile:
            return False
        if marks & _HANGUL:
            return True
        if marks & _SPACED:
            return "-" in found
        return _PARTED_MOBILE.fullmatch(found) is not None and not (marks & _CELL and _goes_on(context))
    if marks & _COMMA:
        return False
    if kind in ("rrn", "frn"):
        named = context.before(words.REGISTRATION_WORDS, 40) or context.after(words.REGISTRATION_WORDS, 14)
        right = int(digits[12]) == resident_check_digit(digits)
        if named:
            return right or not (marks & (_CELL | _LINE) and _goes_on(context))
        return right and parted and not marks & (_SPACED | _LETTER | _HANGUL)
    if kind == "card":
        named = context.before(words.CARD_WORDS, 40)
        return (named or ("-" in found and not marks & _CELL)) and not (marks & _CELL and _goes_on(context))
    if kind == "account":
        if _DATE.match(found):
            return False
        named = context.before(_ACCOUNT_LABEL, 40) or context.after(_ACCOUNT_LABEL, 14)
        return named or ("-" in found and not marks & (_CELL | _HANGUL))
    if kind == "health_insurance":
        return True
    if kind == "driver_licence":
        return context.before(words.LICENCE_WORDS, 40) or context.after(words.LICENCE_WORDS, 12)
    if kind == "business_number":
        named = context.before(words.BUSINESS_WORDS, 40)
        return named or (int(digits[9]) == business_check_digit(digits) and not marks & _CELL)
    return False


def _goes_on(context: Context) -> bool:
    """True in a row of numbers in cells or on lines."""
    return bool(_IN_A_ROW.search(context.left) or re.match(r"[ \t|\"',;]{1,6}[0-9]", context.right))
