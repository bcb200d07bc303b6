"""Personal data in Korean and English web text: find it, and put a placeholder or a fake in its place.

One scan in C looks for anything shaped like a number of interest; each candidate (about one in a thousand
characters of prose) is then classified in Python by check digit, context and boundaries, the most specific
kind first. The alternative, one substitution per kind, scans the text ten times and cannot see context.

Decisions, where a rule could go either way:

- Resident and foreigner numbers have random last digits since October 2020, so a wrong check digit is no
  proof. Right check digit: always masked. Wrong: masked if the holder was born since then (century digit
  3, 4, 7, 8) or if a word such as 주민번호 stands within 30 characters before. A masked tail
  (900101-1******) counts as already masked and stays.
- Service numbers (1588-1234) and landlines are phones: sole traders publish theirs. Year ranges (1592-1598)
  and rows of bare numbers are not.
- Private, loopback, multicast and documentation addresses are nobody's and stay. So does one
  with fewer than two parts of 32 or more and no word such as IP before it: mostly sections and versions.
- A label that names a thing directly before the number (주문번호, 송장, 품번, order no.) keeps it, except
  for a resident number with the right check digit.
- Numbers inside a URL stay (article ids); e-mail in its query and an IP address as its host do not.
- Passports of the old form, bank accounts, and numbers without separators that are not mobile phones need
  a word before them that says what they are.

Boundaries are ASCII look-arounds, never `\\b`: between a digit and a josa there is no `\\b`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.stages import joined
from onnuri.corpus.stages.korean_numbers import (
    birth_date,
    business_check_digit,
    ean_check_digit,
    is_card,
    luhn_check_digit,
    resident_check_digit,
)

DEFAULT_KINDS = ("rrn", "frn", "phone", "card", "account", "passport", "driver_licence", "email", "ip")
KINDS = (*DEFAULT_KINDS, "business_number")
"""A business number is public by law, so it is masked only when asked for."""
STYLES = ("placeholder", "surrogate")
PLACEHOLDERS = {kind: f"<|{kind}|>" for kind in KINDS} | {"frn": "<|rrn|>"}
"""Resident and foreigner numbers have one shape and one use, so they share a token."""

RANDOM_SINCE = date(2020, 10, 1)
"""First day on which the last six digits of a new resident number were random."""


class Span(NamedTuple):
    """Characters [start, end) of a text hold a value of this kind."""

    start: int
    end: int
    kind: str


# The hyphen comes first, so _DASH has to come first in a class: anywhere else it would make a range.
_DASH = "-‐‑‒–—−－"
_JOINT = rf"(?:\) ?|[ \u00a0]?[{_DASH}.·][ \u00a0]?|[ \u00a0])"
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|[67]0|50[2-8])"
_EXCHANGE = rf"{_JOINT}?[1-9][0-9]{{2,3}}{_JOINT}?[0-9]{{4}}"
_MOBILE = rf"1(?:0{_JOINT}?[1-9][0-9]{{3}}|[16-9]{_JOINT}?[2-9][0-9]{{2,3}}){_JOINT}?[0-9]{{4}}"
_FREE_CALL = rf"80{_JOINT}?[0-9]{{3,4}}{_JOINT}?[0-9]{{4}}"
_NATIONAL = rf"(?:{_MOBILE}|{_FREE_CALL}|{_AREA}{_EXCHANGE})"
_SERVICE_HEAD = (
    r"1(?:522|533|544|5[5-9]{2}|600|6(?:11|33|44|55|6[0-9]|7[0-9]|88|99)|8(?:00|11|33|55|77|99))"
)
_SERVICE = rf"{_SERVICE_HEAD}{_JOINT}?[0-9]{{4}}"

PHONE = re.compile(rf"(?:0{_NATIONAL}|82{_JOINT}?(?:\(0\)|0)?{_JOINT}?{_NATIONAL}|{_SERVICE})(?![0-9])")
# Enough by its form alone: a mobile number, or a landline with a mark after the area code.
_SURE_PHONE = re.compile(rf"01|82{_JOINT}?(?:\(0\)|0)?{_JOINT}?1|0(?:{_AREA}|80) ?[{_DASH}.·)]")
REGISTRATION = re.compile(rf"[0-9]{{6}} ?[{_DASH}]? ?[1-8][0-9]{{6}}(?![0-9])")
CARD = re.compile(
    rf"(?=[2-69])(?:[0-9]{{4}}(?:[{_DASH} ][0-9]{{4}}){{3}}(?:[{_DASH} ][0-9]{{3}})?"
    rf"|[0-9]{{4}}[{_DASH} ][0-9]{{6}}[{_DASH} ][0-9]{{4,5}}|[0-9]{{6}}[{_DASH} ][0-9]{{13}}"
    r"|[0-9]{14,19})(?![0-9])"
)
DRIVER_LICENCE = re.compile(
    rf"(?:1[1-9]|2[0-68])[{_DASH} ]?[0-9]{{2}}[{_DASH} ]?[0-9]{{6}}[{_DASH} ]?[0-9]{{2}}(?![0-9])"
)
BUSINESS = re.compile(rf"[0-9]{{3}}[{_DASH}][0-9]{{2}}[{_DASH}][0-9]{{5}}(?![0-9])")
ACCOUNT = re.compile(
    rf"(?=(?:[0-9][{_DASH}]?){{10}})(?:[0-9]{{3,6}}(?:[{_DASH}][0-9]{{1,8}}){{1,4}}|[0-9]{{10,14}})(?![0-9])"
)
IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")
IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Fa-f:])")
PASSPORT = re.compile(r"[MSRODG][0-9]{3}(?:[0-9]{5}|(?<!G[0-9]{3})[A-Z][0-9]{4})(?![0-9A-Za-z])")
EMAIL_DOMAIN = re.compile(
    r"(?:@|＠|\(at\) ?|\[at\] ?|골뱅이 ?)[A-Za-z0-9][A-Za-z0-9-]{0,62}+(?:\.[A-Za-z0-9-]{1,63}+)++", re.I
)
_LOCAL_PART = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-"
_TOP_LEVEL = re.compile(r"[a-z]{2,24}|[A-Z][a-z]{1,23}|[A-Z]{2,24}")
_FILE_SUFFIXES = frozenset(
    ("png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "js", "ts", "css", "py", "json", "html")
)

_LEFT_JOINED = re.compile(rf"(?:[0-9A-Za-z][{_DASH}_]?|[0-9]\.)\Z")
_LEFT_LABEL = re.compile(
    r"(?:\\[nrt]|(?<![A-Za-z])(?:tel|hp|phone|mobile|cell|fax|ip|rrn|card|no)[-_]?)\Z", re.I
)
_RIGHT_JOINED = re.compile(rf"[0-9A-Za-z@]|[{_DASH}_][0-9A-Za-z]|\.[0-9]")
_URL = re.compile(r"(?:https?://|ftp://|www\.)[!#-&*-;=?-~]*\Z", re.I)
_THING_LABEL = re.compile(
    r"(?:(?:주문|예약|접수|거래|문서|관리|상품|제품|품목|부품|품|일련|시리얼|모델|배송|등기|출원|특허|분류|공고|송장)"
    r" ?(?:번호?|코드|조회|명)|송장|바코드|시리얼|규격|모델|isbn|barcode|\blot|\bsku|[sp]/n|\bserial"
    r"|(?:order|tracking|serial|part|model|product|item)[ _-]?(?:id|no|num|number|code|#))"
    r"[ \t\"'#:：=.(은는이가]*\Z",
    re.I,
)
_REGISTRATION_WORDS = re.compile(r"주민|외국인 ?등록|생년월일|(?<![A-Za-z])rrn|resident reg", re.I)
# A company's number has 13 digits too, and those of the Seoul court start 110111: a birth on 2011-01-11.
_COMPANY_BEFORE = re.compile(r"법인 ?(?:등록)? ?번호[ \t\"':：=(은는이가]*\Z")
_PHONE_WORDS = re.compile(
    r"전화|연락처|문의|휴대|핸드폰|대표번호|고객센터|콜센터|상담|팩스|[☎☏📞📱]"
    r"|(?<![a-z])(?:fax|tel|phone|telephone|mobile|call|h\.?p)(?![a-z])",
    re.I,
)
_LICENCE_WORDS = re.compile(r"면허|licen[cs]e", re.I)
_PASSPORT_WORDS = re.compile(r"여권|passport", re.I)
_ACCOUNT_WORDS = re.compile(
    r"계좌|입금|예금주|이체|송금|은행|(?:카카오|토스|케이)뱅크|농협|새마을|우체국|수협|신협|SC제일"
    r"|bank account|account n",
    re.I,
)
# Everyday words too (우리 "our", 하나 "one", 부산): without 은행 they count only right before the number.
_BANK_BEFORE = re.compile(
    r"(?:국민|신한|우리|하나|기업|대구|부산|경남|광주|전북|제주|산업|씨티)[ :：)(]*\Z"
)
_AMOUNT_AFTER = re.compile(r" ?(?:원|won|krw|달러|건|명|개|%)", re.I)
_IP_WORDS = re.compile(
    r"아이피|접속|서버|주소|(?<![a-z])(?:ip(?:v[46])?(?![a-z])|host|server|addr|client|ping|dns|gateway)",
    re.I,
)
_VERSION_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])v|(?<![A-Za-z])ver|version|버전|빌드|build|release|릴리스|펌웨어|firmware|[A-Za-z]/)"
    r"[ .:=]*\Z",
    re.I,
)
_VERSION_AFTER = re.compile(r" ?(?:버전|version|절|장|항)")
_HEADING_AFTER = re.compile(r"\. ?[A-Z가-힣]")
_TIMESTAMP = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]"
)
_DATE_LED = re.compile(rf"(?:19|20)[0-9]{{2}}[{_DASH}](?:0[1-9]|1[0-2])[{_DASH}][0-3][0-9](?![0-9])")


def _digits(found: str) -> str:
    return "".join(char for char in found if "0" <= char <= "9")


def _before(text: str, start: int, width: int) -> str:
    """Up to `width` characters before `start`, back to a border of the batch or to a placeholder.

    A placeholder is no context: the word phone in it would turn the next number into one.
    """
    return text[max(0, start - width) : start].rpartition(joined.BORDER)[2].rpartition("|>")[2]


def _stands_alone(text: str, start: int, end: int, email_ends: Container[int] = ()) -> bool:
    """False inside a longer number, code or e-mail address; right behind an e-mail address is fine."""
    if _RIGHT_JOINED.match(text, end):
        return False
    before = _before(text, start, 8)
    return start in email_ends or not _LEFT_JOINED.search(before) or bool(_LEFT_LABEL.search(before))


def _in_url(text: str, start: int) -> re.Match[str] | None:
    return _URL.search(_before(text, start, 300))


def _names_a_thing(text: str, start: int) -> bool:
    return bool(_THING_LABEL.search(_before(text, start, 24)))


def _registration_kind(text: str, start: int, found: str) -> str | None:
    digits = _digits(found)
    born = birth_date(digits)
    if born is None:
        return None
    if _COMPANY_BEFORE.search(_before(text, start, 24)):
        return None
    kind = "rrn" if digits[6] in "1234" else "frn"
    if _REGISTRATION_WORDS.search(_before(text, start, 30)):
        return kind
    if int(digits[12]) == resident_check_digit(digits):
        # Barcodes of Korean goods start with 880, so they read as births in January 1988.
        barcode = found[:3] == "880" and found.isdigit() and int(digits[12]) == ean_check_digit(digits[:12])
        return None if barcode else kind
    if digits[6] in "3478" and born >= RANDOM_SINCE and not _names_a_thing(text, start):
        return kind
    return None


def _card_kind(text: str, start: int, found: str) -> str | None:
    return "card" if is_card(_digits(found)) and not _names_a_thing(text, start) else None


def _licence_kind(text: str, start: int, found: str) -> str | None:
    hyphens = sum(char in _DASH for char in found)
    if hyphens < 3 and not _LICENCE_WORDS.search(_before(text, start, 20)):
        return None
    return None if _names_a_thing(text, start) else "driver_licence"


def _phone_kind(text: str, start: int, found: str) -> str | None:
    if _names_a_thing(text, start) or (
        text[start - 1 : start] == "제" and text.startswith("호", start + len(found))
    ):
        return None
    if _SURE_PHONE.match(found) or (found.startswith("82") and text[start - 1 : start] == "+"):
        return "phone"
    if (
        re.fullmatch(_SERVICE_HEAD + rf"[{_DASH}][0-9]{{4}}", found)
        and not found[:4] <= found[5:] <= "2100"
    ):
        return "phone"
    # Left: landlines with spaces or nothing after the area code, and service numbers that could be years.
    return "phone" if _PHONE_WORDS.search(_before(text, start, 25)) else None


def _is_account_context(before: str) -> bool:
    return bool(_ACCOUNT_WORDS.search(before) or _BANK_BEFORE.search(before))


def _business_kind(text: str, start: int, found: str) -> str | None:
    """Tried before accounts: a bank has a business number too, and old accounts share its shape."""
    digits, before = _digits(found), _before(text, start, 20)
    if int(digits[9]) != business_check_digit(digits):
        return None
    return "business_number" if "사업자" in before or not _is_account_context(before) else None


def _account_kind(text: str, start: int, found: str) -> str | None:
    if not _is_account_context(_before(text, start, 20)):
        return None
    if not 10 <= len(_digits(found)) <= 14 or _AMOUNT_AFTER.match(text, start + len(found)):
        return None
    if _DATE_LED.match(found) or _TIMESTAMP.match(found) or _names_a_thing(text, start):
        return None
    return "account"


def _ip_kind(text: str, start: int, found: str) -> str | None:
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return None
    if not address.is_global or address.is_multicast:
        return None
    if address.version == 6:
        return "ip" if len([group for group in found.split(":") if group]) >= 3 else None
    before = _before(text, start, 30)
    if _VERSION_BEFORE.search(before) and not before.endswith("//"):
        return None
    if _VERSION_AFTER.match(text, start + len(found)):
        return None
    if before[-1:] in ("", "\n") and _HEADING_AFTER.match(text, start + len(found)):
        return None
    large_parts = sum(part >= 32 for part in address.packed)
    return "ip" if large_parts >= 2 or _IP_WORDS.search(before) else None


_RULES: tuple[tuple[re.Pattern[str], Callable[[str, int, str], str | None]], ...] = (
    (REGISTRATION, _registration_kind),
    (CARD, _card_kind),
    (DRIVER_LICENCE, _licence_kind),
    (PHONE, _phone_kind),
    (BUSINESS, _business_kind),
    (ACCOUNT, _account_kind),
    (IPV4, _ip_kind),
    (IPV6, _ip_kind),
)
"""The most specific first: the first rule that accepts a candidate wins it."""

_SHAPES = "|".join(pattern.pattern for pattern, _ in _RULES)
# The first item is a bare class so that sre skips to the next digit in its fast loop; the look-behind then
# steps back over that digit and tries the shapes from it. Before the shapes, one class of all their
# characters: most numbers of prose ("2024년") are shorter than the shortest shape.
_NUMBER = re.compile(
    rf"[0-9](?<=(?<![0-9])(?<![0-9][{_DASH}._])"
    rf"(?=[0-9][0-9.][{_DASH}0-9.·() \u00a0]{{5}}|[23][0-9A-Fa-f]{{3}}:)(?={_SHAPES})[0-9])"
)


def _numbers(text: str, email_ends: Container[int]) -> Iterator[Span]:
    """Everything that begins with a digit, left to right, without overlaps."""
    done = 0
    for candidate in _NUMBER.finditer(text):
        start = candidate.start()
        if start < done:
            continue
        for pattern, classify in _RULES:
            match = pattern.match(text, start)
            if match is None or not _stands_alone(text, start, match.end(), email_ends):
                continue
            kind = classify(text, start, match.group())
            if kind is None:
                continue
            url = _in_url(text, start)
            if url and not (kind == "ip" and url.group().endswith(("://", "@"))):
                continue
            done = match.end()
            if kind == "phone":
                start = _phone_start(text, start, match.group())
            yield Span(start, done, kind)
            break


def _phone_start(text: str, start: int, found: str) -> int:
    """The start with the plus sign and the opening parenthesis of '(+82) 10-...' or '(02) 123-...'."""
    if found.startswith("82") and text[start - 1 : start] == "+":
        start -= 1
    if text[start - 1 : start] == "(" and found.count(")") > found.count("("):
        start -= 1
    return start


def _emails(text: str) -> Iterator[Span]:
    done = 0
    for match in EMAIL_DOMAIN.finditer(text):
        at, sign = match.start(), text[match.start()]
        # 256 characters bound the step back; the longest local part allowed is 64.
        before = text[max(done, at - 256) : at]
        if sign not in "@＠":
            before = before.removesuffix(" ")
        local = before[len(before.rstrip(_LOCAL_PART)) :].lstrip("._%+-")
        end = _domain_end(text, match.end() - len(match.group().lstrip("@＠(at)[]골뱅이 ")), match.end())
        if not local or end is None or (local == "git" and text.startswith(":", end)):
            continue
        start = max(done, at - 256) + len(before) - len(local)
        url = _in_url(text, start)
        if url and "?" not in url.group():
            continue
        done = end
        yield Span(start, end, "email")


def _domain_end(text: str, start: int, end: int) -> int | None:
    """Where a host name ends, with letters glued to it cut off; None if there is no top level."""
    labels = text[start:end].split(".")
    while len(labels) > 1:
        match = _TOP_LEVEL.match(labels[-1])
        if match:
            whole = sum(len(label) + 1 for label in labels[:-1]) + match.end()
            return None if match.group().lower() in _FILE_SUFFIXES else start + whole
        labels.pop()
    return None


def _passports(text: str) -> Iterator[Span]:
    for match in PASSPORT.finditer(text):
        start, end = match.span()
        if not _stands_alone(text, start, end) or _names_a_thing(text, start) or _in_url(text, start):
            continue
        if not match.group()[1:].isdigit() or _PASSPORT_WORDS.search(_before(text, start, 30)):
            yield Span(start, end, "passport")


def find(text: str) -> list[Span]:
    """All personal values of `text`, of every kind in KINDS, in order and without overlaps.

    `text` may be a batch joined by `joined.join`: no span and no context crosses a border.
    """
    spans: list[Span] = []
    # An address such as 01012345678@naver.com starts where a number starts: sorting is stable, e-mail wins.
    emails = list(_emails(text))
    numbers = _numbers(text, {span.end for span in emails})
    for span in sorted((*emails, *numbers, *_passports(text)), key=lambda span: span.start):
        if not spans or span.start >= spans[-1].end:
            spans.append(span)
    return spans


def _refill(found: str, digits: str) -> str:
    """`found` with its digits replaced in order, everything else as it was."""
    source = iter(digits)
    return "".join(next(source) if "0" <= char <= "9" else char for char in found)


def _differing(digits: str, check: int, seed: int) -> str:
    """`digits` with a last digit that is not `check`."""
    return digits + str((check + 1 + seed % 9) % 10)


def surrogate(found: str, kind: str) -> str:
    """A fake of the same shape that nobody can hold, the same for the same number in any notation.

    rrn, frn: a birth on 30 February or 31 of a short month. phone: exchange 000 or 0000; service numbers
    1500. card, business_number: a wrong check digit. account, passport: the first three digits 000.
    driver_licence: serial 000000. email: example.com (RFC 2606). ip: 192.0.2.0/24 (RFC 5737) or
    2001:db8::/32 (RFC 3849).
    """
    old = _digits(found)
    identity = found.lower() if kind in ("email", "ip", "passport") else old
    if kind == "phone":
        identity = re.sub(r"\A820?", "0", old) if old.startswith("82") else old
    seed = int.from_bytes(hashlib.blake2b(f"{kind}:{identity}".encode(), digest_size=16).digest())
    fresh = f"{seed:039d}"[::-1]
    if kind in ("rrn", "frn"):
        day = ("0230", "0431", "0631", "0931", "1131")[seed % 5]
        return _refill(found, fresh[:2] + day + old[6] + fresh[2:8])
    if kind == "phone":
        return _refill(found, _fake_phone(old, fresh[:4]))
    if kind == "card":
        body = old[0] + fresh[: len(old) - 2]
        return _refill(found, _differing(body, luhn_check_digit(body), seed))
    if kind == "business_number":
        return _refill(found, _differing(fresh[:9], business_check_digit(fresh[:9]), seed))
    if kind == "account":
        return _refill(found, "000" + fresh[: len(old) - 3])
    if kind == "passport":
        return _refill(found, "000" + fresh[: len(old) - 3])
    if kind == "driver_licence":
        return _refill(found, old[:2] + fresh[:2] + "000000" + fresh[2:4])
    if kind == "email":
        return f"user{fresh[:6]}@example.com"
    return f"2001:db8::{seed % 0x10000:x}" if ":" in found else f"192.0.2.{1 + seed % 254}"


def _fake_phone(digits: str, last: str) -> str:
    """The same area or operator code, an exchange of zeros and new last four digits."""
    if re.fullmatch(_SERVICE, digits):
        return "1500" + last
    head = re.match(r"(?:820?|0)(?:1[016-9]|2|50[2-8]|[3-8][0-9])", digits)
    assert head is not None, "PHONE matches only numbers with one of these heads"
    return head.group() + "0" * (len(digits) - head.end() - 4) + last


def mask(
    texts: pa.Array, kinds: Sequence[str] = DEFAULT_KINDS, style: str = "placeholder"
) -> tuple[pa.Array, pa.StructArray]:
    """Personal data of `texts` (N strings; null counts as empty) replaced, and how much of it there was.

    Returns N large strings and a struct of N int32 counts, one field per kind in the order of `kinds`.
    style "placeholder" puts `<|phone|>` and so on, and masking again changes nothing; "surrogate" puts a
    fake (see `surrogate`), which a second run may take for a real value.

    Raises ValueError for an unknown kind or style.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or style not in STYLES:
        raise ValueError(
            f"unknown kinds {unknown} or style {style!r}: "
            f"kinds are {', '.join(KINDS)}; styles are {', '.join(STYLES)}"
        )
    masked = texts.cast(pa.large_string())
    counts = np.zeros((len(texts), len(kinds)), np.int32)
    pending = np.arange(len(texts))
    while len(pending):
        part, found = _mask_once(masked.take(pa.array(pending)), kinds, style)
        counts[pending] += found
        if len(pending) == len(texts):
            masked = part
        else:
            chosen = np.zeros(len(texts), bool)
            chosen[pending] = True
            masked = pc.replace_with_mask(masked, pa.array(chosen), part)
        # A placeholder may free a neighbour that looked like a part of the value: look again.
        pending = pending[found.any(axis=1)] if style == "placeholder" else pending[:0]
    columns = [pa.array(column, pa.int32()) for column in np.ascontiguousarray(counts.T)]
    return masked, pa.StructArray.from_arrays(columns, names=list(kinds))


def _mask_once(texts: pa.Array, kinds: Sequence[str], style: str) -> tuple[pa.Array, np.ndarray]:
    """One pass of `mask`: the texts, and int32 counts [texts, kinds]."""
    text = joined.join(texts)
    spans = [span for span in find(text) if span.kind in kinds]
    pieces, done = [], 0
    for start, end, kind in spans:
        pieces.append(text[done:start])
        pieces.append(PLACEHOLDERS[kind] if style == "placeholder" else surrogate(text[start:end], kind))
        done = end
    pieces.append(text[done:])
    lengths = pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
    starts = np.array([span.start for span in spans], np.int64)
    text_of_span = np.searchsorted(np.cumsum(lengths + 1), starts, side="right")
    counts = np.zeros((len(texts), len(kinds)), np.int32)
    np.add.at(counts, (text_of_span, np.array([kinds.index(span.kind) for span in spans], np.int64)), 1)
    return joined.split("".join(pieces), len(texts)), counts
