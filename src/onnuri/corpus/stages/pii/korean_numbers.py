"""Check digits and birth dates of the numbers that Korea and the card networks give to people.

Every function takes the bare digits as a string, without separators.

Sources: the resident number of article 2 of the Enforcement Rule of the Resident Registration Act, with the
random last six digits of October 2020; ISO/IEC 7812 for cards; ISO/IEC 15420 for EAN-13 barcodes;
presidio `country_specific/korea` for the foreigner and the business number.
"""

from __future__ import annotations

import ipaddress
from datetime import date

RESIDENT_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_BUSINESS_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
_CENTURY = {"1": 1900, "2": 1900, "3": 2000, "4": 2000, "5": 1900, "6": 1900, "7": 2000, "8": 2000}

RANDOM_SINCE = date(2020, 10, 1)
"""First day on which the last six digits of a new resident or foreigner number were random."""
LAST_BIRTH_YEAR = 2035
"""A later birth is no birth: without a limit 880123-4 would be a child of 2088, and barcodes start so."""


def birth_date(digits: str) -> date | None:
    """The birth date in the first seven of 13 digits (YYMMDD and the century digit), None if there is none.

    Century digits 9 and 0 (born before 1900) are not accepted: nobody alive has one, and dates of that
    shape are all over tables.
    """
    century = _CENTURY.get(digits[6])
    if century is None:
        return None
    try:
        born = date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return None
    return born if born.year <= LAST_BIRTH_YEAR else None


def resident_check_digit(digits: str) -> int:
    """The 13th digit of a resident (7th digit 1-4) or foreigner number (5-8) of 12 or 13 digits."""
    total = sum(weight * int(digit) for weight, digit in zip(RESIDENT_WEIGHTS, digits, strict=False))
    base = 13 if digits[6] in "5678" else 11
    return (base - total % 11) % 10


def business_check_digit(digits: str) -> int:
    """The 10th digit of a business number (AAA-BB-CCCCC) of 9 or 10 digits."""
    total = sum(weight * int(digit) for weight, digit in zip(_BUSINESS_WEIGHTS, digits, strict=False))
    total += int(digits[8]) * 5 // 10
    return (10 - total % 10) % 10


def luhn_check_digit(digits: str) -> int:
    """The digit to put after `digits` so that the whole passes the Luhn test of ISO/IEC 7812."""
    doubled = (int(digit) * 2 for digit in digits[::-2])
    total = sum(value - 9 if value > 9 else value for value in doubled) + sum(map(int, digits[-2::-2]))
    return (10 - total % 10) % 10


def is_luhn(digits: str) -> bool:
    """True if the last digit is the Luhn digit of the others."""
    return int(digits[-1]) == luhn_check_digit(digits[:-1])


def ean_check_digit(digits: str) -> int:
    """The 13th digit of an EAN-13 barcode (ISBN-13 included) of 12 digits."""
    return (10 - (sum(map(int, digits[0::2])) + 3 * sum(map(int, digits[1::2]))) % 10) % 10


def is_card(digits: str) -> bool:
    """True if the length fits a known issuer prefix and the Luhn digit is right.

    Visa 4; Mastercard 51-55, 2221-2720; Amex 34, 37; Diners 300-305, 36, 38; JCB 35; UnionPay and Discover
    60, 62, 64, 65; cards for use inside Korea only 94, 95.
    """
    length, two = len(digits), digits[:2]
    if two in ("34", "37"):
        known = length == 15
    elif two in ("36", "38") or "300" <= digits[:3] <= "305":
        known = length == 14
    elif two in ("60", "62", "64", "65"):
        known = 16 <= length <= 19
    elif digits[0] == "4":
        known = length in (16, 19)
    else:
        mastercard = "51" <= two <= "55" or "2221" <= digits[:4] <= "2720"
        known = length == 16 and (mastercard or two in ("35", "94", "95"))
    return known and is_luhn(digits)


def is_public(parts: list[int]) -> bool:
    """True if these four numbers are an IPv4 address that a person's machine can have on the internet.

    Not private, shared, loopback, link-local, documentation, benchmark, multicast or reserved (RFC 6890).
    """
    if max(parts) > 255 or parts[0] in (0, 10, 127) or parts[0] >= 224:
        return False
    # Only in these do some addresses belong to nobody; the standard library knows which, but slowly.
    special = parts[0] in (100, 169, 172, 192, 198, 203)
    return not special or ipaddress.IPv4Address(bytes(parts)).is_global
