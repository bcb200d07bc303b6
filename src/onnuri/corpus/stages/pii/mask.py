"""Personal data in Korean and English web text: find it, and put a placeholder or a fake in its place.

A batch is joined into one string. Index arithmetic (personal_candidates) finds the positions where a value
can stand, only these are searched (personal_search) by shape, check digit and context (personal_rules),
and only the texts that hold a value are written again. The alternative, one substitution per kind on every
text, scans ten times and cannot see context.

Decisions, where a rule could go either way:

- Resident and foreigner numbers have random last digits since October 2020, so a wrong check digit is no
  proof. Right check digit: always masked. Wrong: masked if the holder was born since then (century digit
  3, 4, 7, 8), if a word such as 주민번호 stands beside it, or if it has a separator and stands after a word
  for a person (성명, 환자, 피고인). A masked tail (900101-1******) counts as already masked and stays.
- Without a separator, 13 digits are a barcode or an account at least as often: a label that says so, and
  births before 1920, keep them.
- Service numbers (1588-1234) and landlines are phones: sole traders publish theirs. Year ranges (1592-1598)
  and rows of bare numbers are not.
- A licence number is masked with the name of its region, which is a part of it: '서울 12-123456-01'.
- Private, loopback, multicast, reserved and documentation addresses are nobody's and stay. So does one
  with fewer than two parts of 32 or more and no word such as IP before it: mostly sections and versions.
- A label that names a thing directly before the number (주문번호, 송장, 품번, order no.) keeps it. Order
  numbers begin with a date, and one in ten has the check digit of a resident number by chance.
- Numbers inside a URL stay (article ids); e-mail in its query and an IP address as its host do not.
- Passports other than M123A4567, bank accounts, and numbers without separators that are not mobile phones
  need a word beside them that says what they are, before or (banks, 여권번호) after. In a list, the word
  before the first is enough.
- A business number is found by its check digit or by its label; an account never has that label.
- A postal address counts down to the building (see personal_address). It takes in what overlaps it, so it
  is looked for only when asked: off, it changes nothing of what else is found.

Boundaries are ASCII look-arounds, never `\\b`: between a digit and a josa there is no `\\b`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.stages.pii.layout import kept
from onnuri.corpus.stages.pii.rules import Span
from onnuri.corpus.stages.pii.search import find
from onnuri.corpus.stages.pii.surrogates import surrogate
from onnuri.corpus.text import joined

__all__ = ["DEFAULT_KINDS", "KINDS", "PLACEHOLDERS", "STYLES", "Span", "find", "mask", "surrogate"]

DEFAULT_KINDS: tuple[str, ...] = (
    "rrn",
    "frn",
    "phone",
    "card",
    "account",
    "passport",
    "driver_licence",
    "email",
    "ip",
    "vehicle_plate",
    "health_insurance",
)
KINDS = (*DEFAULT_KINDS, "business_number", "address")
"""The last two are masked only when asked for. A business number is public by law; addresses of offices,
courts and shops are public too, and stand all over laws, news and web pages."""
CHARACTERS_AT_ONCE = 1 << 18
"""Arrays of this size stay in the processor's cache."""
STYLES = ("placeholder", "surrogate")
PLACEHOLDERS = {kind: f"<|{kind}|>" for kind in KINDS} | {"frn": "<|rrn|>"}
"""Resident and foreigner numbers have one shape and one use, so they share a token."""


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
    masked = pc.fill_null(texts.cast(pa.large_string()), "")
    counts = np.zeros((len(texts), len(kinds)), np.int32)
    pending = np.arange(len(texts))
    while len(pending):
        found, replaced = _mask_once(
            masked if len(pending) == len(texts) else masked.take(pa.array(pending)), kinds, style
        )
        counts[pending] += found
        pending = pending[found.any(axis=1)]
        if len(pending):
            chosen = np.zeros(len(texts), bool)
            chosen[pending] = True
            masked = pc.replace_with_mask(masked, pa.array(chosen), pa.array(replaced, pa.large_string()))
        # A placeholder may free a neighbour that looked like a part of the value: look again.
        pending = pending if style == "placeholder" else pending[:0]
    columns = [pa.array(column, pa.int32()) for column in np.ascontiguousarray(counts.T)]
    return masked, pa.StructArray.from_arrays(columns, names=list(kinds))


def _mask_once(texts: pa.Array, kinds: Sequence[str], style: str) -> tuple[np.ndarray, list[str]]:
    """One pass of `mask` over N texts: int32 counts [N, kinds], and the new text of each that had any."""
    counts = np.zeros((len(texts), len(kinds)), np.int32)
    values = joined.strings(texts)
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    replaced: list[str] = []
    for first, last in joined.pieces(sizes, CHARACTERS_AT_ONCE):
        replaced += _mask_piece(values[first:last], counts[first:last], kinds, style)
    return counts, replaced


def _mask_piece(values: Sequence[str], counts: np.ndarray, kinds: Sequence[str], style: str) -> list[str]:
    """The new text of each that had any; what was found is added to int32 `counts` [N, kinds]."""
    batch = joined.join_strings(values)
    owner, done = 0, 0
    mine: dict[int, list[Span]] = {}
    for span in find(batch, with_addresses="address" in kinds):
        if span.kind in kinds:
            owner += batch.count(joined.SEPARATOR, done, span.start)
            done = span.start
            counts[owner, kinds.index(span.kind)] += 1
            mine.setdefault(owner, []).append(span)
    replaced = []
    for owner, spans in mine.items():
        offset = batch.rfind(joined.SEPARATOR, 0, spans[0].start) + 1
        # The text itself and not its part of the batch, in which a boundary of its own would be lost.
        text, pieces, done = values[owner], [], 0
        for start, end, kind in spans:
            pieces.append(text[done : start - offset])
            done = end - offset
            value = text[start - offset : done]
            pieces.append(
                PLACEHOLDERS[kind] + kept(value) if style == "placeholder" else surrogate(value, kind)
            )
        replaced.append("".join(pieces) + text[done:])
    return replaced
