"""Fakes in the place of personal values: the same shape, and nobody's.

Each fake follows from its value by a hash, so one number is one fake in any notation and on any machine,
without a table to keep. Only 16 bits of the hash go into it. With all of them, whoever knows how fakes are
made could try every card or phone number and read the true one back; with 16, thousands of values share
each fake. The price: two of 300 numbers in one corpus share a fake about once in two corpora.
"""

from __future__ import annotations

import hashlib
import re

from onnuri.corpus.stages.pii import layout, shapes
from onnuri.corpus.stages.pii.address import region_of
from onnuri.corpus.stages.pii.korean_numbers import business_check_digit, luhn_check_digit

_DAYS_THAT_ARE_NONE = ("0230", "0431", "0631", "0931", "1131")


def surrogate(found: str, kind: str) -> str:
    """A fake of the same shape that nobody can hold, the same for the same value in any notation.

    rrn, frn: a birth on 30 February or 31 of a short month. phone: exchange 000 or 0000, which no operator
    has; service numbers 1500. card, business_number: a wrong check digit. account: the first three digits
    000. passport: X, which is no type of passport, for each leading letter, and three digits 000.
    driver_licence: serial 000000. vehicle_plate: serial 00xx. health_insurance: 0 at the start. email:
    example.com (RFC 2606). ip: 192.0.2.0/24 (RFC 5737) or 2001:db8::/32 (RFC 3849). address: the same
    region, and a building number that starts with 0, which none does.

    `kind` is one of personal_data.KINDS and `found` a value that personal_data.find calls so.
    """
    plain = shapes.plain(found)
    old = "".join(layout.VALUES[plain[offset]] for offset in layout.digit_offsets(found, kind))
    seed, fresh = _drawn(kind, _identity(plain, old, kind))
    if kind in ("rrn", "frn"):
        return _refill(found, kind, fresh[:2] + _DAYS_THAT_ARE_NONE[seed % 5] + old[6] + fresh[2:8])
    if kind == "phone":
        return _refill(found, kind, _fake_phone(old, fresh[:4]))
    if kind == "card":
        body = old[0] + fresh[: len(old) - 2]
        return _refill(found, kind, _differing(body, luhn_check_digit(body), seed))
    if kind == "business_number":
        return _refill(found, kind, _differing(fresh[:9], business_check_digit(fresh[:9]), seed))
    if kind == "account":
        return _refill(found, kind, "000" + fresh[: len(old) - 3])
    if kind == "passport":
        letters = len(plain) - len(plain.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
        crosses = "".join("x" if letter.islower() else "X" for letter in plain[:letters])
        return crosses + _refill(found[letters:], kind, "000" + fresh[: len(old) - 3])
    if kind == "driver_licence":
        # The region, as two digits or as a name before the number, stays.
        region = old[: len(old) - 10]
        return _refill(found, kind, region + fresh[:2] + "000000" + fresh[2:4])
    if kind == "vehicle_plate":
        # Serials start at 0100.
        return _refill(found, kind, fresh[: len(old) - 4] + "00" + fresh[-2:])
    if kind == "health_insurance":
        return _refill(found, kind, "0" + fresh[:10])
    if kind == "email":
        return f"user{fresh[:6]}@example.com"
    if kind == "address":
        return f"{region_of(found)} 가나다로 0{fresh[:2]}"
    return f"2001:db8::{seed:x}" if ":" in plain else f"192.0.2.{1 + seed % 254}"


def _drawn(kind: str, identity: str) -> tuple[int, str]:
    """16 bits from the value, and 39 digits from nothing but these."""
    seed = int.from_bytes(hashlib.blake2b(f"{kind}:{identity}".encode(), digest_size=2).digest())
    wide = int.from_bytes(hashlib.blake2b(seed.to_bytes(2), digest_size=16).digest())
    return seed, f"{wide:039d}"[::-1]


def _identity(plain: str, digits: str, kind: str) -> str:
    """What all notations of a value have in common."""
    if kind == "phone":
        return re.sub(r"\A(?:00[1-9]?)?820?", "0", digits)
    if kind == "email":
        hidden = shapes.HIDDEN_EMAIL_DOMAIN.search(plain)
        if hidden is not None:
            labels = shapes.HOST_LABEL.findall(hidden["domain"])
            domain = ".".join(label for label in labels if not shapes.DOT_WORD.fullmatch(label))
            plain = plain[: hidden.start()] + "@" + domain
        return plain.lower()
    if kind == "passport":
        return re.sub("[- ]", "", plain).upper()
    if kind == "address":
        return re.sub(r"[^0-9A-Za-z가-힣-]", "", plain)
    return plain.lower() if kind == "ip" else digits


def _refill(found: str, kind: str, digits: str) -> str:
    """`found` with its digits replaced in order, each in the script of the old one, all else as it was."""
    chars = list(found)
    for offset, digit in zip(layout.digit_offsets(found, kind), digits, strict=False):
        chars[offset] = layout.like(chars[offset], digit)
    return "".join(chars)


def _differing(digits: str, check: int, seed: int) -> str:
    """`digits` with a last digit that is not `check`."""
    return digits + str((check + 1 + seed % 9) % 10)


def _fake_phone(digits: str, last: str) -> str:
    """The same area or operator code, an exchange of zeros and new last four digits."""
    if re.fullmatch(shapes.SERVICE_HEAD + "[0-9]{4}", digits):
        return "1500" + last
    head = re.match(r"(?:(?:00[1-9]?)?820?|0)(?:1[016-9]|2|50[2-8]|[3-8][0-9])", digits)
    assert head is not None, "PHONE matches only numbers with one of these heads"
    return head.group() + "0" * (len(digits) - head.end() - 4) + last
