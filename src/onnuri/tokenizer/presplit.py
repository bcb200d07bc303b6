"""Where text is cut before merges are counted, as regular expressions and as a table for compiled code.

A word is a run of Hangul, of Hanja, or of other letters, with one space before it (in `WORDS` a space, a
mark, or both); up to three digits; up to four loose jamo (ㅋㅋㅋㅋ); marks; or blanks. Line breaks take the
indentation after them along. A phrase is what a superword may span: everything but digits and loose jamo,
with single spaces, up to the end of the line. No word crosses the boundary of a phrase. `native/split.h`
cuts at the same places.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

HANJA = r"[\p{Han}&&[^\p{N}]]"
OTHER_LETTER = r"[\p{L}\p{M}&&[^가-힣ㄱ-ㆎ\p{Han}]]"
MARK = r"[^\s\p{L}\p{M}\p{N}\p{Han}]"
BLANK = r"[^\S\r\n]"
JOINS = r"(?= [^\s\p{N}])"
"""Before the space that goes with the word after it."""
INDENT = rf"(?:{BLANK}+{JOINS}|{BLANK}++(?:(?![^\s\p{{N}}])|(?<! )))?"
LINE_BREAKS = rf"[\r\n]+{INDENT}"

WORDS = "|".join(
    (
        rf" ?{MARK}?(?:[가-힣]+|{OTHER_LETTER}+|{HANJA}+)",
        r" ?[ㄱ-ㆎ]{1,4}",
        r"\p{N}{1,3}",
        rf" ?{MARK}+(?:{LINE_BREAKS})?",
        LINE_BREAKS,
        rf"{BLANK}+{JOINS}|{BLANK}+",
    )
)
"""Oniguruma regular expression; every character falls into exactly one piece."""

PHRASES = "|".join(
    (
        rf"(?>(?: ?[^\s\p{{N}}ㄱ-ㆎ])+)(?: (?=\p{{N}})|{LINE_BREAKS})?",
        r" ?[ㄱ-ㆎ]{1,4}",
        r"\p{N}{1,3}",
        LINE_BREAKS,
        rf"{BLANK}+{JOINS}|{BLANK}+",
    )
)
"""The same for superwords."""

LLAMA = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""That of Llama 3, which llama.cpp knows. Compiled code does not."""

CLASSES = {r"[\p{L}\p{M}]": 0, r"\p{Han}": 3, r"\p{N}": 4, r"\s": 7}
HANGUL, JAMO, MARKS, SPACE, NEWLINE = 1, 2, 5, 6, 8
ASSIGNED = (*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000))
"""Code points outside of these have no letters, digits or spaces."""


TABLE = Path(__file__).with_name("character_classes.npy")
"""Runs of code points of one class: rows of (first code point, class), uint32. `write_table` makes it."""


@cache
def character_classes() -> np.ndarray:
    """Class of each code point, uint8 [0x110000]: `enum Class` of split.h."""
    import numpy as np

    starts, classes = np.load(TABLE, allow_pickle=False).T
    return np.repeat(classes.astype(np.uint8), np.diff(starts, append=0x110000))


def engine_classes() -> np.ndarray:
    """The same, asked of the regular-expression engine of HF tokenizers, which takes a while.

    Engine and table must know the same version of Unicode; a test compares them.
    """
    import numpy as np
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    text, codes = "".join(map(chr, ASSIGNED)), np.array(ASSIGNED)
    table = np.full(0x110000, MARKS, dtype=np.uint8)
    for pattern, number in CLASSES.items():
        runs = Split(Regex(f"{pattern}+"), behavior="removed", invert=True).pre_tokenize_str(text)
        for _, (start, stop) in runs:
            table[codes[start:stop]] = number
    table[ord("가") : ord("힣") + 1] = HANGUL
    table[ord("ㄱ") : ord("ㆎ") + 1] = JAMO
    table[ord(" ")] = SPACE
    table[[ord("\r"), ord("\n")]] = NEWLINE
    return table


def write_table() -> None:
    """Write TABLE anew, for another version of HF tokenizers: python -m onnuri.tokenizer.presplit."""
    import numpy as np

    classes = engine_classes()
    starts = np.flatnonzero(np.diff(classes, prepend=255))
    np.save(TABLE, np.stack([starts, classes[starts]], axis=1).astype(np.uint32))


if __name__ == "__main__":
    write_table()
