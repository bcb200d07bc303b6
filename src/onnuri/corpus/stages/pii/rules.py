"""What a number is: from its digits, what stands left of it and what stands right.

Each rule takes the number as found and its context, and answers with a kind or None. They are tried in the
order of RULES, the most specific first, and the first that accepts wins. A rule sees nothing but its
arguments, so what is true of a number in one text is true of it in any.

Context is at most WIDTH characters, and stops at a boundary of the batch, at a value found before and at a
placeholder. A value that was found and a placeholder in its place therefore look the same to what follows,
which is what makes masking idempotent. What they hand on is their kind: of two phone numbers in a row, the
second needs no word of its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

from onnuri.corpus.stages.pii import shapes, words
from onnuri.corpus.stages.pii.korean_numbers import (
    RANDOM_SINCE,
    birth_date,
    business_check_digit,
    ean_check_digit,
    is_card,
    is_luhn,
    is_public,
    resident_check_digit,
)
from onnuri.corpus.text.joined import SEPARATOR

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
    """Kind of the value or placeholder right before `left`, "rrn" also for frn, "" if none within WIDTH."""
    has_words: bool
    """False if no word stands left or right, as in a table of numbers: nothing to look for."""

    def follows(self, kind: str) -> bool:
        """True if the candidate continues a list of values of this kind."""
        return self.previous == kind and len(self.left) <= LIST_GAP

    def touches_a_number(self) -> bool:
        """True in a row of numbers with spaces between."""
        return self.left[-2:-1].isdigit() or self.right[1:2].isdigit()

    def before(self, sought: re.Pattern[str], width: int) -> bool:
        """True if one of the words stands in the last `width` characters on the left."""
        return self.has_words and sought.search(self.left[-width:]) is not None

    def after(self, sought: re.Pattern[str], width: int) -> bool:
        """True if one of the words stands in the first `width` characters on the right."""
        return self.has_words and sought.search(self.right[:width]) is not None


def context_of(text: str, start: int, end: int, last: Span | None) -> Context:
    """What stands around text[start:end], when `last` is the value found before it."""
    left, previous = text[max(0, start - WIDTH) : start], ""
    if last is not None and last.end > start - WIDTH:
        left, previous = text[last.end : start], "rrn" if last.kind == "frn" else last.kind
    if SEPARATOR in left:
        left, previous = left.rpartition(SEPARATOR)[2], ""
    if "|>" in left:
        head, _, left = left.rpartition("|>")
        previous = head.rpartition("<|")[2]
    right = text[end : end + RIGHT_WIDTH]
    if SEPARATOR in right:
        right = right.partition(SEPARATOR)[0]
    if "<|" in right:
        right = right.partition("<|")[0]
    has_words = words.WORD.search(left) is not None or words.WORD.search(right) is not None
    return Context(left, right, previous, has_words)


def stands_alone(context: Context) -> bool:
    """False inside a longer number, code or e-mail address."""
    if words.RIGHT_JOINED.match(context.right):
        return False
    left = context.left[-8:]
    return not words.LEFT_JOINED.search(left) or bool(words.LEFT_LABEL.search(left))


def names_a_thing(context: Context) -> bool:
    """True right behind the label of an order, a parcel or a product."""
    label = context.left.rstrip(words.AFTER_THING)
    return label[-1:] in words.LAST_OF_THING and context.before(words.THING_BEFORE, 28)


def digits_of(found: str) -> str:
    """The digits of `found` without what stands between them."""
    return "".join(char for char in found if "0" <= char <= "9")


# Each rule takes the found text and its context, and returns the kind or None.


def _registration_kind(found: str, context: Context) -> str | None:
    digits = digits_of(found)
    born = birth_date(digits)
    if born is None or context.before(words.COMPANY_BEFORE, 24):
        return None
    kind = "rrn" if digits[6] in "1234" else "frn"
    bare = len(found) == 13
    named = words.REGISTRATION_WORDS
    if context.before(named, 36) or context.after(named, 14) or context.follows("rrn"):
        return kind
    if names_a_thing(context):
        return None
    if context.before(words.PERSON_WORDS, 20) and (not bare or context.left.endswith("(")):
        return kind
    if bare and (born.year < 1920 or _is_account_context(context) or _is_parcel(context)):
        return None
    if int(digits[12]) == resident_check_digit(digits):
        # Barcodes of Korean goods start with 880 and those of Japanese ones with 45 or 49.
        barcode = bare and int(digits[12]) == ean_check_digit(digits[:12])
        return None if barcode and (found.startswith("880") or born.year < 1950) else kind
    return kind if digits[6] in "3478" and born >= RANDOM_SINCE else None


def _card_kind(found: str, context: Context) -> str | None:
    digits = digits_of(found)
    named = len(found) > len(digits) or context.before(words.CARD_WORDS, 20)
    of_unknown_issuer = named and len(digits) == 16 and digits[0] in "345679" and is_luhn(digits)
    if not (is_card(digits) or of_unknown_issuer) or names_a_thing(context):
        return None
    # Only a card issued abroad has 14 digits; a bank account often has.
    return None if len(found) == 14 and _is_account_context(context) else "card"


def _licence_kind(found: str, context: Context) -> str | None:
    hyphens = found.count("-")
    if names_a_thing(context):
        return None
    if len(digits_of(found)) == 10:
        by_region = hyphens + found.count(" ") >= 1 and context.before(words.REGION_BEFORE, 8)
        return "driver_licence" if by_region else None
    if hyphens == 3 and not _is_account_context(context):
        return "driver_licence"
    named = context.before(words.LICENCE_WORDS, 24) or context.after(words.LICENCE_WORDS, 12)
    return "driver_licence" if named or context.follows("driver_licence") else None


def _phone_kind(found: str, context: Context) -> str | None:
    right = context.right
    if names_a_thing(context) or (right.startswith("호") and not right.startswith("호텔")):
        return None
    if shapes.SURE_PHONE.match(found) or (found.startswith("82") and context.left.endswith("+")):
        return "phone"
    if shapes.HYPHENED_SERVICE.fullmatch(found) and not found[:4] <= found[-4:] <= "2100":
        return "phone"
    if shapes.SPACED_LANDLINE.fullmatch(found) and context.has_words and not context.touches_a_number():
        return "phone"
    # Left: landlines without any mark, and service numbers that could be years.
    named = context.before(words.PHONE_WORDS, 25) or context.after(words.PHONE_WORDS, 8)
    return "phone" if named or context.follows("phone") else None


def _is_parcel(context: Context) -> bool:
    return context.before(words.COURIER_BEFORE, 12)


def _is_account_context(context: Context) -> bool:
    if context.before(words.NOT_ACCOUNT_BEFORE, 16) or _is_parcel(context):
        return False
    return (
        context.before(words.ACCOUNT_WORDS, 24) or context.follows("account") or _is_account_label(context)
    )


def _is_account_label(context: Context) -> bool:
    if not context.has_words:
        return False
    return context.before(words.BANK_BEFORE, 40) or words.BANK_AFTER.match(context.right) is not None


def _business_kind(found: str, context: Context) -> str | None:
    """Tried before accounts: a bank has a business number too, and old accounts share its shape."""
    if context.before(words.BUSINESS_WORDS, 32):
        return "business_number"
    digits = digits_of(found)
    right = found.count("-") == 2 and int(digits[9]) == business_check_digit(digits)
    return "business_number" if right and not _is_account_context(context) else None


def _health_insurance_kind(found: str, context: Context) -> str | None:
    named = context.before(words.HEALTH_WORDS, 24) or context.follows("health_insurance")
    return "health_insurance" if named and not words.AMOUNT_AFTER.match(context.right) else None


def _plate_kind(found: str, context: Context) -> str | None:
    named = context.before(words.VEHICLE_WORDS, 20) or context.follows("vehicle_plate")
    return "vehicle_plate" if named or context.before(words.REGION_BEFORE, 8) else None


def _account_kind(found: str, context: Context) -> str | None:
    if not 10 <= len(digits_of(found)) <= 14 or not _is_account_context(context):
        return None
    if words.AMOUNT_AFTER.match(context.right) or names_a_thing(context):
        return None
    if shapes.DATE_LED.match(found) or shapes.TIMESTAMP.match(found):
        return None
    if "-" in found or found.isdigit():
        return "account"
    # Groups with spaces are also a row of amounts: more than the name of a town has to stand beside them.
    sure = context.before(words.ACCOUNT_WORDS, 24) or context.after(words.ACCOUNT_WORDS, 14)
    return "account" if sure and _is_account_label(context) else None


def _ipv4_kind(found: str, context: Context) -> str | None:
    parts = [int(part) for part in found.split(".")]
    if not is_public(parts):
        return None
    left, right = context.left, context.right
    if left.endswith("//") or context.before(words.LOGIN_BEFORE, WIDTH):
        return "ip"
    if context.before(words.VERSION_BEFORE, 30) or words.VERSION_AFTER.match(right):
        return None
    # The number of a section stands at the start of a line, whatever the paragraph before it is about.
    starts_line = left[-1:] in ("", "\n")
    if starts_line and words.HEADING_AFTER.match(right):
        return None
    if sum(part >= 32 for part in parts) >= 2 or context.follows("ip"):
        return "ip"
    if starts_line and words.MAYBE_HEADING_AFTER.match(right):
        return "ip" if context.before(words.IP_LINE_BEFORE, 16) else None
    return "ip" if context.before(words.IP_WORDS, 30) or words.LOG_AFTER.match(right) else None


def _ipv6_kind(found: str, context: Context) -> str | None:
    if "::" not in found and found.count(":") != 7:
        return None
    if re.search("[0-9A-Fa-f]:\\Z", context.left[-2:]):
        return None
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return None
    return "ip" if address.is_global and sum(map(bool, found.split(":"))) >= 3 else None


RULES: tuple[tuple[re.Pattern[str], Callable[[str, Context], str | None]], ...] = (
    (shapes.MOBILE, _phone_kind),
    (shapes.REGISTRATION, _registration_kind),
    (shapes.CARD, _card_kind),
    (shapes.DRIVER_LICENCE, _licence_kind),
    (shapes.HEALTH_INSURANCE, _health_insurance_kind),
    (shapes.PHONE, _phone_kind),
    (shapes.BUSINESS, _business_kind),
    (shapes.ACCOUNT, _account_kind),
    (shapes.VEHICLE_PLATE, _plate_kind),
    (shapes.IPV4, _ipv4_kind),
    (shapes.IPV6, _ipv6_kind),
)
"""The most specific first: the first rule that accepts a candidate wins it."""

_SHAPE = re.compile("|".join(f"({pattern.pattern})" for pattern, _ in RULES))
_GROUPS = list(accumulate((1 + pattern.groups for pattern, _ in RULES), initial=1))
_RULE_OF_GROUP = {group: rule for rule, group in enumerate(_GROUPS[:-1])}


def accepted(
    text: str, start: int, context_at: Callable[[int], Context]
) -> Iterator[tuple[str, str, Context]]:
    """What the rules accept from text[start] on, the best first: what was found, its kind, its context.

    `context_at` gives the context of a candidate that ends there.
    """
    match = _SHAPE.match(text, start)
    rule = _RULE_OF_GROUP[match.lastindex or 1] if match else len(RULES)
    while match is not None:
        found, context = match.group(), context_at(match.end())
        kind = RULES[rule][1](found, context) if stands_alone(context) else None
        if kind is not None:
            yield found, kind, context
        match = None
        while match is None and rule + 1 < len(RULES):
            rule += 1
            match = RULES[rule][0].match(text, start)


def whole_start(start: int, found: str, kind: str, context: Context) -> int:
    """The start with '+' and '(' of '(+82) 10-...' or '(02) 123-...', or the region of a licence or
    plate."""
    left = context.left
    if kind == "phone":
        if found.startswith("82") and left.endswith("+"):
            start, left = start - 1, left[:-1]
        # In '문의(02)123-4567)' it opens the remark; in '(문의 (02)123-4567)' it is the number's.
        if left.endswith("(") and found.count(")") > found.count("("):
            closes_a_remark = context.right.startswith(")") and left[:-1].count("(") <= left.count(")")
            start -= not closes_a_remark
    if kind == "vehicle_plate" or (kind == "driver_licence" and len(digits_of(found)) == 10):
        region = words.REGION_BEFORE.search(left[-8:])
        start -= len(region.group()) if region else 0
    return start
