"""Find personal data in a text: numbers by shape, check digit and context; e-mail; passports.

personal_candidates names the places to look at, about one in a thousand characters of prose. There, each
number is classified, the most specific kind first, from its digits, what stands left of it and what stands
right. The alternative, one substitution per kind, scans the text ten times and cannot see context. Cost: a
few microseconds for each candidate.

Context is at most WIDTH characters, and stops at a border of the batch, at a value found before and at a
placeholder. A value that was found and a placeholder in its place therefore look the same to what follows,
which is what makes masking idempotent. What they hand on is their kind: of two phone numbers in a row, the
second needs no word of its own.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

from onnuri.corpus.stages import personal_patterns as patterns
from onnuri.corpus.stages.joined import BORDER
from onnuri.corpus.stages.korean_numbers import (
    RANDOM_SINCE,
    birth_date,
    business_check_digit,
    ean_check_digit,
    is_card,
    is_luhn,
    is_public,
    resident_check_digit,
)
from onnuri.corpus.stages.personal_candidates import Candidates, candidates

WIDTH = 60
"""Characters of context on the left."""
RIGHT_WIDTH = 20
LIST_GAP = 30
"""Most characters between two values of one kind that share a label."""


class Span(NamedTuple):
    """Characters [start, end) of a text hold a value of this kind."""

    start: int
    end: int
    kind: str


class Context(NamedTuple):
    """What stands around a candidate."""

    left: str
    right: str
    previous: str
    """Kind of the value or placeholder right before `left`, "" if there is none within WIDTH."""
    has_words: bool
    """False if no word stands left or right, as in a table of numbers: then there is nothing to look for."""

    def follows(self, kind: str) -> bool:
        """True if the candidate goes on a list of values of this kind."""
        return self.previous == kind and len(self.left) <= LIST_GAP

    def before(self, words: re.Pattern[str], width: int) -> bool:
        """True if one of the words stands in the last `width` characters on the left."""
        return self.has_words and words.search(self.left[-width:]) is not None

    def after(self, words: re.Pattern[str], width: int) -> bool:
        """True if one of the words stands in the first `width` characters on the right."""
        return self.has_words and words.search(self.right[:width]) is not None


def _context(text: str, start: int, end: int, last: Span | None) -> Context:
    left, previous = text[max(0, start - WIDTH) : start], ""
    if last is not None and last.end > start - WIDTH:
        left, previous = text[last.end : start], last.kind
    if BORDER in left:
        left, previous = left.rpartition(BORDER)[2], ""
    if "|>" in left:
        head, _, left = left.rpartition("|>")
        previous = head.rpartition("<|")[2]
    right = text[end : end + RIGHT_WIDTH]
    if BORDER in right:
        right = right.partition(BORDER)[0]
    if "<|" in right:
        right = right.partition("<|")[0]
    has_words = patterns.WORD.search(left) is not None or patterns.WORD.search(right) is not None
    return Context(left, right, previous, has_words)


def _stands_alone(context: Context) -> bool:
    """False inside a longer number, code or e-mail address."""
    if patterns.RIGHT_JOINED.match(context.right):
        return False
    left = context.left[-8:]
    return not patterns.LEFT_JOINED.search(left) or bool(patterns.LEFT_LABEL.search(left))


class Urls:
    """The URLs of a text: which one a position is in, by bisection."""

    def __init__(self, text: str, places: list[int]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.queries: list[int] = []
        """Position of the first question mark of each, or its end."""
        end = 0
        for start in places:
            if start >= end:
                match = patterns.URL_BODY.match(text, start)
                assert match is not None, "URL_BODY matches the empty text"
                end = match.end()
                query = text.find("?", start, end)
                self.starts.append(start)
                self.ends.append(end)
                self.queries.append(end if query < 0 else query)

    def around(self, position: int) -> int | None:
        """Number of the URL that goes on at `position`, None if there is none."""
        number = bisect_left(self.starts, position) - 1
        return number if number >= 0 and position <= self.ends[number] else None


def _names_a_thing(context: Context) -> bool:
    label = context.left.rstrip(patterns.AFTER_THING)
    return label[-1:] in patterns.LAST_OF_THING and context.before(patterns.THING_LABEL, 28)


def _digits(found: str) -> str:
    return "".join(char for char in found if "0" <= char <= "9")


# Each rule takes the found text and its context, and returns the kind or None.


def _registration_kind(found: str, context: Context) -> str | None:
    digits = _digits(found)
    born = birth_date(digits)
    if born is None or context.before(patterns.COMPANY_BEFORE, 24):
        return None
    kind = "rrn" if digits[6] in "1234" else "frn"
    bare = len(found) == 13
    words = patterns.REGISTRATION_WORDS
    if context.before(words, 36) or context.after(words, 14) or context.follows("rrn"):
        return kind
    if _names_a_thing(context):
        return None
    if context.before(patterns.PERSON_BEFORE, 20) and (not bare or context.left.endswith("(")):
        return kind
    if bare and (_is_account_context(context) or born.year < 1920):
        return None
    if int(digits[12]) == resident_check_digit(digits):
        # Barcodes of Korean goods start with 880 and those of Japanese ones with 45 or 49.
        barcode = bare and int(digits[12]) == ean_check_digit(digits[:12])
        return None if barcode and (found.startswith("880") or born.year < 1950) else kind
    return kind if digits[6] in "3478" and born >= RANDOM_SINCE else None


def _card_kind(found: str, context: Context) -> str | None:
    digits = _digits(found)
    named = len(found) > len(digits) or context.before(patterns.CARD_WORDS, 20)
    of_unknown_issuer = named and len(digits) in (15, 16) and digits[0] in "345679" and is_luhn(digits)
    if not (is_card(digits) or of_unknown_issuer) or _names_a_thing(context):
        return None
    # Only a card issued abroad has 14 digits; a bank account often has.
    return None if len(found) == 14 and _is_account_context(context) else "card"


def _licence_kind(found: str, context: Context) -> str | None:
    hyphens = found.count("-")
    if _names_a_thing(context):
        return None
    if len(_digits(found)) == 10:
        by_region = hyphens + found.count(" ") >= 1 and context.before(patterns.REGION_BEFORE, 8)
        return "driver_licence" if by_region else None
    if hyphens == 3 and not _is_account_context(context):
        return "driver_licence"
    named = context.before(patterns.LICENCE_WORDS, 24) or context.after(patterns.LICENCE_WORDS, 12)
    return "driver_licence" if named or context.follows("driver_licence") else None


def _phone_kind(found: str, context: Context) -> str | None:
    right = context.right
    if _names_a_thing(context) or (right.startswith("호") and not right.startswith("호텔")):
        return None
    if patterns.SURE_PHONE.match(found) or (found.startswith("82") and context.left.endswith("+")):
        return "phone"
    if patterns.HYPHENED_SERVICE.fullmatch(found) and not found[:4] <= found[-4:] <= "2100":
        return "phone"
    # Left: landlines with spaces or nothing after the area code, and service numbers that could be years.
    named = context.before(patterns.PHONE_WORDS, 25) or context.after(patterns.PHONE_WORDS, 8)
    return "phone" if named or context.follows("phone") else None


def _is_account_context(context: Context) -> bool:
    if context.before(patterns.NOT_ACCOUNT_BEFORE, 16):
        return False
    return (
        context.before(patterns.ACCOUNT_WORDS, 24) or context.follows("account") or _is_account_label(context)
    )


def _is_account_label(context: Context) -> bool:
    if not context.has_words:
        return False
    return context.before(patterns.BANK_BEFORE, 40) or patterns.BANK_AFTER.match(context.right) is not None


def _business_kind(found: str, context: Context) -> str | None:
    """Tried before accounts: a bank has a business number too, and old accounts share its shape."""
    if context.before(patterns.BUSINESS_WORDS, 24):
        return "business_number"
    digits = _digits(found)
    right = int(digits[9]) == business_check_digit(digits)
    return "business_number" if right and not _is_account_context(context) else None


def _account_kind(found: str, context: Context) -> str | None:
    if not 10 <= len(_digits(found)) <= 14 or not _is_account_context(context):
        return None
    if patterns.AMOUNT_AFTER.match(context.right) or _names_a_thing(context):
        return None
    if patterns.DATE_LED.match(found) or patterns.TIMESTAMP.match(found):
        return None
    if "-" in found or found.isdigit():
        return "account"
    # Groups with spaces are also a row of amounts: more than the name of a town has to stand beside them.
    return "account" if _is_account_label(context) and context.before(patterns.ACCOUNT_WORDS, 24) else None


def _ipv4_kind(found: str, context: Context) -> str | None:
    parts = [int(part) for part in found.split(".")]
    if not is_public(parts):
        return None
    left, right = context.left, context.right
    if left.endswith("//") or context.before(patterns.LOGIN_BEFORE, WIDTH):
        return "ip"
    if context.before(patterns.VERSION_BEFORE, 30) or patterns.VERSION_AFTER.match(right):
        return None
    if sum(part >= 32 for part in parts) >= 2 or context.follows("ip"):
        return "ip"
    # The number of a section stands at the start of a line, whatever the paragraph before it is about.
    if left[-1:] in ("", "\n") and patterns.HEADING_AFTER.match(right):
        return "ip" if context.before(patterns.IP_LINE_BEFORE, 16) else None
    return "ip" if context.before(patterns.IP_WORDS, 30) or patterns.LOG_AFTER.match(right) else None


def _ipv6_kind(found: str, context: Context) -> str | None:
    if "::" not in found and found.count(":") != 7:
        return None
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return None
    return "ip" if address.is_global and sum(map(bool, found.split(":"))) >= 3 else None


_RULES: tuple[tuple[re.Pattern[str], Callable[[str, Context], str | None]], ...] = (
    (patterns.MOBILE, _phone_kind),
    (patterns.REGISTRATION, _registration_kind),
    (patterns.CARD, _card_kind),
    (patterns.DRIVER_LICENCE, _licence_kind),
    (patterns.PHONE, _phone_kind),
    (patterns.BUSINESS, _business_kind),
    (patterns.ACCOUNT, _account_kind),
    (patterns.IPV4, _ipv4_kind),
    (patterns.IPV6, _ipv6_kind),
)
"""The most specific first: the first rule that accepts a candidate wins it."""

# The first item is a bare class so that sre skips to the next digit in its fast loop; the look-behind then
# steps back over that digit and tries the shapes from it.
_SHAPES = "|".join(
    patterns.ROUGH_CARD if pattern is patterns.CARD else pattern.pattern for pattern, _ in _RULES
)
_NUMBER = re.compile(rf"[0-9](?<=(?<![0-9])(?<![0-9][-._])(?={_SHAPES})[0-9])")
_SHAPE = re.compile("|".join(f"({pattern.pattern})" for pattern, _ in _RULES))
_GROUPS = list(accumulate((1 + pattern.groups for pattern, _ in _RULES), initial=1))
_RULE_OF_GROUP = {group: rule for rule, group in enumerate(_GROUPS[:-1])}


def _number_starts(text: str, rows: list[tuple[int, int]]) -> Iterator[int]:
    for start, end in rows:
        for match in _NUMBER.finditer(text, start, end):
            yield match.start()


def _numbers(text: str, rows: list[tuple[int, int]], others: list[Span], urls: Urls) -> Iterator[Span]:
    """Everything that begins with a digit, left to right, without overlaps. `others` are context."""
    last: Span | None = None
    upcoming = 0
    for start in _number_starts(text, rows):
        while upcoming < len(others) and others[upcoming].end <= start:
            if last is None or others[upcoming].end > last.end:
                last = others[upcoming]
            upcoming += 1
        if last is not None and start < last.end:
            continue
        span = _classify(text, start, last, urls)
        if span is not None:
            last = span
            yield span


def _classify(text: str, start: int, last: Span | None, urls: Urls) -> Span | None:
    """The value that begins at `start`, by the first rule that accepts it."""
    match = _SHAPE.match(text, start)
    rule = _RULE_OF_GROUP[match.lastindex or 1] if match else len(_RULES)
    while match is not None:
        end = match.end()
        context = _context(text, start, end, last)
        kind = _RULES[rule][1](match.group(), context) if _stands_alone(context) else None
        if kind is not None:
            if urls.around(start) is None or (kind == "ip" and context.left.endswith(("://", "@"))):
                return Span(_whole_start(start, match.group(), kind, context), end, kind)
        match = None
        while match is None and rule + 1 < len(_RULES):
            rule += 1
            match = _RULES[rule][0].match(text, start)
    return None


def _whole_start(start: int, found: str, kind: str, context: Context) -> int:
    """The start with '+' and '(' of '(+82) 10-...' or '(02) 123-...', or the region of a licence."""
    left = context.left
    if kind == "phone":
        if found.startswith("82") and left.endswith("+"):
            start, left = start - 1, left[:-1]
        # In '문의(02)123-4567)' it opens the remark; in '(문의 (02)123-4567)' it is the number's.
        if left.endswith("(") and found.count(")") > found.count("("):
            closes_a_remark = context.right.startswith(")") and left[:-1].count("(") <= left.count(")")
            start -= not closes_a_remark
    if kind == "driver_licence" and len(_digits(found)) == 10:
        region = patterns.REGION_BEFORE.search(left[-8:])
        start -= len(region.group()) if region else 0
    return start


def _emails(text: str, places: Candidates, urls: Urls) -> Iterator[Span]:
    matches = [patterns.EMAIL_DOMAIN.match(text, at) for at in places.at_signs]
    for at in places.hidden:
        matches.append(patterns.HIDDEN_EMAIL_DOMAIN.match(text, at - (at > 0 and text[at - 1] == " ")))
    done = 0
    for match in sorted(filter(None, matches), key=lambda match: match.start()):
        at = match.start()
        # 256 characters bound the step back; the longest local part allowed is 64.
        before = text[max(done, at - 256) : max(done, at)]
        local = before[len(before.rstrip(patterns.LOCAL_PART)) :].lstrip("._%+-")
        if at < done or not local or local[-1] in ".%":
            continue
        start = at - len(local)
        hidden = match.re is patterns.HIDDEN_EMAIL_DOMAIN
        end = _hidden_end(match) if hidden else _domain_end(text, at + 1, match.end())
        if end is None or (local == "git" and text.startswith(":", end)):
            continue
        url = urls.around(start)
        if url is not None and start <= urls.queries[url]:
            continue
        done = end
        yield Span(start, end, "email")


def _domain_end(text: str, start: int, end: int) -> int | None:
    """Where a host name ends, with letters glued to it cut off; None if there is no top level."""
    labels = text[start:end].split(".")
    while len(labels) > 1:
        match = patterns.TOP_LEVEL.match(labels[-1])
        if match:
            whole = sum(len(label) + 1 for label in labels[:-1]) + match.end()
            return None if match.group().lower() in patterns.FILE_SUFFIXES else start + whole
        labels.pop()
    return None


def _hidden_end(match: re.Match[str]) -> int | None:
    """The end of a hidden host name; after a mere ' @ ', ' a ' or ' at ' it has to have a usual top level."""
    name = "domain" if match["domain"] else "words"
    sign = match["sign"] or match["spelt"]
    usual = sign.startswith(" ") and sign.strip(" ()[]{}<>") in ("a", "A", "@", "at")
    for label in reversed(list(re.finditer("[A-Za-z0-9가-힣-]+", match[name]))[1:]):
        top = (patterns.USUAL_TOP_LEVEL if usual else patterns.TOP_LEVEL).match(label.group())
        if top and top.group().lower() not in patterns.FILE_SUFFIXES:
            return match.start(name) + label.start() + top.end()
    return None


def _passports(text: str, digits: list[int], urls: Urls) -> Iterator[Span]:
    last: Span | None = None
    for place in digits:
        match = patterns.PASSPORT.search(text, max(last.end if last else 0, place - 4), place + 12)
        if match is None:
            continue
        start, end = match.span()
        context = _context(text, start, end, last)
        if not _stands_alone(context) or _names_a_thing(context) or urls.around(start) is not None:
            continue
        words = patterns.PASSPORT_WORDS
        named = context.before(words, 40) or context.after(words, 16) or context.follows("passport")
        if named or patterns.NEW_PASSPORT.fullmatch(match.group()):
            last = Span(start, end, "passport")
            yield last


def find(text: str) -> list[Span]:
    """All personal values of `text`, of every kind in personal_data.KINDS, in order, without overlaps.

    `text` may be a batch joined by `joined.join`: no span and no context crosses a border.
    """
    text = patterns.plain(text)
    places = candidates(text)
    urls = Urls(text, places.urls)
    others = sorted((*_emails(text, places, urls), *_passports(text, places.letters, urls)))
    spans: list[Span] = []
    # An address such as 01012345678@naver.com starts where a number starts: sorting is stable, e-mail wins.
    for span in sorted((*others, *_numbers(text, places.numbers, others, urls)), key=lambda span: span.start):
        if not spans or span.start >= spans[-1].end:
            spans.append(span)
    return spans
