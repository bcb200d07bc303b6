"""What licences allow, by their names: SPDX, KOGL (공공누리) and names of one's own.

A corpus takes any name, and its source says why the text may be used. Conversations are handed around with
less care: here a licence that forbids commercial use or changes is recognised by name, and one that lets
everybody use the text is a legal basis by itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

NONCOMMERCIAL, NO_DERIVATIVES = "noncommercial", "no-derivatives"

KOGL: dict[str, tuple[str, ...]] = {
    "0": (),
    "AI": (),
    "1": (),
    "2": (NONCOMMERCIAL,),
    "3": (NO_DERIVATIVES,),
    "4": (NONCOMMERCIAL, NO_DERIVATIVES),
}
"""Types of the Korea Open Government License: 0 asks for nothing, AI lets models learn from the work (both
since 28 January 2026), 1 asks for the source, 2 forbids commercial use, 3 changes, 4 both."""
OPEN = (
    *("Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "PSF-2.0", "Unlicense"),
    *("CC0-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-2.0", "CC-BY-SA-2.5"),
    *("CC-BY-SA-3.0", "CC-BY-SA-4.0", "PDDL-1.0", "ODC-By-1.0", "ODbL-1.0", "CDLA-Permissive-1.0"),
    *("CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "GFDL-1.3-or-later", "KOGL-0", "KOGL-AI", "KOGL-1"),
    *("ODC-By", "PDDL", "ODbL"),  # as the Hugging Face hub has them
)
"""Licences under which everybody may use the text, also for money and changed."""

NOT_STATED = ("unknown", "other", "none", "n/a", "null", "unlicensed", "noassertion", "미상")
"""What stands in place of a licence where none is known."""

_KOGL = re.compile(
    r"(?:licenseref-)?(?:kogl|공공누리)[- ]?(?:type[- ]?|제)?(ai|[0-4])(?:\.0)?(?:유형)?", re.IGNORECASE
)
_NAMES = {name.lower() for name in OPEN}
_NONCOMMERCIAL = re.compile(r"(?<![a-z])nc(?![a-z])|non-?commercial|비영리|비상업", re.IGNORECASE)
_NO_DERIVATIVES = re.compile(r"(?<![a-z])nd(?![a-z])|no-?deriv|변경 ?금지", re.IGNORECASE)


@lru_cache(1024)
def restrictions(licence: str) -> frozenset[str]:
    """What a licence forbids: noncommercial, no-derivatives.

    Of alternatives (A OR B) only what all of them forbid.
    """
    choices = [licence] if "(" in licence else re.split(r" OR ", licence)
    return frozenset.intersection(*map(_forbidden, choices))


def _forbidden(licence: str) -> frozenset[str]:
    found = set[str]()
    for part in re.split(r" (?:AND|WITH|OR) |[()]", licence):
        if kogl := _KOGL.fullmatch(part.strip()):
            found |= set(KOGL[kogl[1].upper()])
    if _NONCOMMERCIAL.search(licence):
        found.add(NONCOMMERCIAL)
    if _NO_DERIVATIVES.search(licence):
        found.add(NO_DERIVATIVES)
    return frozenset(found)


@lru_cache(1024)
def is_open(licence: str) -> bool:
    """Whether a licence, and each part of an expression, is known to let everybody use the text."""
    return all(map(_is_known_open, re.split(r" (?:AND|OR) ", licence.strip("() "))))


def _is_known_open(licence: str) -> bool:
    if kogl := _KOGL.fullmatch(licence.strip()):
        return not KOGL[kogl[1].upper()]
    return "-".join(licence.lower().split()) in _NAMES
