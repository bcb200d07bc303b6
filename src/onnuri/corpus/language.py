"""Korean or not, by the share of Hangul among the letters. Enough to sort Korean from English text."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

KOREAN_SHARE = 0.2
CHARACTERS_LOOKED_AT = 4000


def detect(texts: pa.Array) -> pa.Array:
    """ "ko" where Hangul is at least a fifth of the letters in the first 4,000 characters, else "en"."""
    heads = pc.utf8_slice_codeunits(texts, 0, CHARACTERS_LOOKED_AT)
    hangul = pc.count_substring_regex(heads, r"\p{Hangul}")
    letters = pc.count_substring_regex(heads, r"\p{L}")
    korean = pc.and_(
        pc.greater(letters, 0),
        pc.greater_equal(
            pc.cast(hangul, pa.float64()), pc.multiply(pc.cast(letters, pa.float64()), KOREAN_SHARE)
        ),
    )
    return pc.if_else(korean, "ko", "en")
