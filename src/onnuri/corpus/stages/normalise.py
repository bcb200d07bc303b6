"""One form for text that means the same, without ever losing a syllable or a digit.

NFC, never NFKC (which turns ㅋ into a conjoining jamo). Then: one kind of line feed; control, invisible and
bidirectional characters out; every kind of space is a space; no space at line ends, at most two inside a
line (indentation stays, for code); at most one empty line; at most three of a jamo or a mark in a row
(ㅋㅋㅋㅋㅋ, !!!!!) and two of a pair (ㅠㅜㅠㅜㅠㅜ); rules of -=_*# at most 80 long; a line that has no
syllable and no digit at most twice in a row.

Promise: the complete Hangul syllables and the decimal digits of the result are those of NFC(text), in the
same order. Normalising twice changes nothing more, and NFD input gives what NFC input gives.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

import pyarrow as pa

from onnuri.corpus.stages.joined import BORDER, join, split

REMOVED = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb"
)
"""Control characters but tab and line ends; soft hyphen; zero-width and bidirectional controls."""
PLAIN = f"\x00-\x7f가-힣ㄱ-ㆎᄀ-ᇿ{BORDER}"
"""Where a joiner (U+200C, U+200D) has no meaning beside it, unlike between emoji or Indic letters."""
LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
JOINERS = re.compile(
    f"(?:\\A|(?<=[{PLAIN}]))[\u200c\u200d]+|[\u200c\u200d]+(?=[{PLAIN}]|\\Z)|[\u200c\u200d]{{2,}}"
)
SPACES = re.compile("[\u00a0\u115f\u1160\u1680\u2000-\u200a\u202f\u205f\u3000\u3164\uffa0]")
TRAILING = re.compile(rf"(?<![ \t])[ \t]++(?=[\n{BORDER}]|\Z)")
INNER = re.compile(" {3,}")
LINE_FEEDS = re.compile("\n{3,}")
EDGE = re.compile(f"\n{{0,2}}{BORDER}\n{{0,2}}")
JAMO_RUN = re.compile(r"([ㄱ-ㆎ])\1{3,}")
JAMO_PAIR = re.compile(r"([ㄱ-ㆎ])(?!\1)([ㄱ-ㆎ])(?:\1\2){2,}")
MARK_RUN = re.compile(r"([!?.,~^;:·ㆍ…。、，！？～♥♡★☆])\1{3,}")
RULE_RUN = re.compile(r"([-=_*#])\1{80,}")
REPEATED_LINE = re.compile(
    rf"(?:\A|(?<=[\n{BORDER}]))([^\n\d가-힣{BORDER}]{{1,200}})\n\1\n\1(?:\n\1)*+(?=[\n{BORDER}]|\Z)"
)


@cache
def _joining() -> frozenset[str]:
    """Characters that can change what stands before them under NFC: marks, and second halves of a pair."""
    joining = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.combining(chr(code))}
    joining |= set(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            joining.add(chr(int(parts[1], 16)))
    return frozenset(joining)


REMOVED_RUN = re.compile(f"[{REMOVED}]+")


def normalise(texts: pa.Array) -> pa.Array:
    """The texts in their normal form; string array in, large string array out. Nulls become empty."""
    text = join(texts)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    text = LINE_END.sub("\n", text)
    text = SPACES.sub(" ", text)
    if REMOVED_RUN.search(text):
        text = REMOVED_RUN.sub(_nothing, text)
    if "\u200c" in text or "\u200d" in text:
        text = JOINERS.sub(_nothing, text)
    text = TRAILING.sub("", text)
    text = INNER.sub(_spaces, text)
    text = EDGE.sub(BORDER, LINE_FEEDS.sub("\n\n", text)).strip("\n")
    text = MARK_RUN.sub(r"\1\1\1", text)
    text = JAMO_PAIR.sub(r"\1\2\1\2", JAMO_RUN.sub(r"\1\1\1", text))
    text = RULE_RUN.sub(lambda run: run[1] * 80, text)
    text = REPEATED_LINE.sub(r"\1\n\1", text)
    return split(text, len(texts))


def _nothing(found: re.Match[str]) -> str:
    """Nothing; but a space where what follows would join another letter: 가 U+200B ᆨ is not 각."""
    end = found.end()
    return " " if found.string[end : end + 1] in _joining() and end < len(found.string) else ""


def _spaces(found: re.Match[str]) -> str:
    """Two spaces inside a line; an indentation as it is."""
    start = found.start()
    inside = start > 0 and found.string[start - 1] not in f"\n\t{BORDER}"
    return "  " if inside else found[0]
