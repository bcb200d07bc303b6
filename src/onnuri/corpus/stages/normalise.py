"""One spelling for what looks the same, and no noise, without losing a syllable or a digit.

Promises, each a property test: the Hangul syllables (U+AC00-D7A3) and the digits (category Nd) of
the output are those of NFC(input), in the same order; doing it twice changes nothing more; NFD
input gives the same as NFC input; a text comes out the same alone as in any batch.

Rules, in this order:

- NFC, never NFKC: NFKC turns ㅋ (U+314B) into the conjoining U+110F and halfwidth ﾡ into U+1100.
- Out go control characters, U+FEFF, the soft hyphen, zero-width spaces, bidirectional controls.
  ZWNJ and ZWJ stay after a letter of a script that shapes by them (Arabic, Indic, ...) and ZWJ
  between emoji. Before a conjoining vowel or final any of these stays, for without it the
  syllable before would become another one.
- CR LF, CR, VT, FF, NEL, U+2028 and U+2029 are line ends. VT and FF are controls too, but to drop
  them would join two words.
- Every other Unicode space is a space, and so is a Hangul filler that holds no place in a
  syllable block.
- Blanks at the end of a line go. Indentation stays (code). Three spaces or more inside a line
  become two, by which columns can still be distinguished.
- A run of one jamo or one mark of emphasis (ㅋ ㅠ ! ? ~ ^ …) or of one pair of jamo (ㅋㅎㅋㅎ) is cut
  to three, a run of one character that draws rules, headings and leaders (- = # * _ . `) to six.
  Commas, brackets, slashes and ★ stay: in CSV, code and ratings their number means something.
- A line of such marks alone stands at most twice in a row. Lines with words are left to the
  repetition rules of the filter, since to drop one would break the first promise.
- One blank line at most between paragraphs, none at either end.

- Of combining marks on one letter 30 stay (see `composition`).

Method: one NumPy pass over the code points finds the lines that some rule could change (clean
prose has none), and the regular expressions see those lines only. They run over many lines at
once. A text that stays as it was is handed on as it is, without being encoded again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import chain, compress
from operator import ne
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.reading import encoding
from onnuri.corpus.stages.stage import Stage, empty_reason, notes, one_array, with_columns
from onnuri.corpus.text.composition import compose, unsure
from onnuri.corpus.text.joined import SEPARATOR, Codes, code_points, join_strings, pieces, strings

JAMO = "\u1100-\u115e\u1161-\u11a7\u3131-\u3163\u3165-\u318e\uffa1-\uffdc"
"""Conjoining initials and vowels, compatibility and halfwidth jamo, without the fillers."""
EMPHASIS = "!?~^…‥！？～。、♡♥" + JAMO
RULES = "-.=_*#`·─━═—―－"
"""Insides of a regular expression's brackets. The hyphen comes first, or it would make a range."""
MOST_EMPHASIS, MOST_RULES = 3, 6

_JOINS_SYLLABLE = "\u1161-\u1175\u11a8-\u11c2"
_SHAPED = "\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\ua95f"
_SHAPED += "\ua980-\uabdf\ufb50-\ufdcf\ufe70-\ufefc\U00010a00-\U00011fff"
_PICTURE = "\u2190-\u2bff\U0001f000-\U0001faff"

CONTROLS = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
)
JOINERS = "\u200c\u200d"
LINE_ENDS = "\r\x0b\x0c\x85\u2028\u2029"
SPACES = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000\u3164\uffa0"
FILLERS = "\u115f\u1160"

_INVISIBLE = re.compile(
    rf"[{CONTROLS}{JOINERS}](?![{_JOINS_SYLLABLE}])"
    rf"(?<!(?<=[{_SHAPED}])[{JOINERS}])(?<!(?<=[{_PICTURE}\ufe0f])\u200d(?=[{_PICTURE}]))"
)
_LINE_END = re.compile(f"[{LINE_ENDS}]")
_SPACE = re.compile(
    rf"[{SPACES}]|\u115f(?![\u1160-\u11a7\ud7b0-\ud7c6])|\u115f\u1160(?![\u11a8-\u11ff\ud7cb-\ud7fb])"
    r"|\u1160(?<![\u1100-\u115f\ua960-\ua97c]\u1160)"
)
# Each starts with what it consumes and looks behind afterwards: sre then skips to the next candidate in its
# fast loop. The look-behind for a second blank keeps a long run from being tried from each of its blanks.
_TRAILING = re.compile(rf"[ \t](?<![ \t][ \t])[ \t]*+(?![^\n{SEPARATOR}])")
_WIDE_GAP = re.compile(rf"   (?<=[^ \t\n{SEPARATOR}]   ) *")
_EMPHASIS_RUN = re.compile(rf"([{EMPHASIS}])\1{{{MOST_EMPHASIS},}}")
_RULE_RUN = re.compile(rf"([{RULES}])\1{{{MOST_RULES},}}")
_PAIR_RUN = re.compile(rf"([{JAMO}][{JAMO}])\1{{{MOST_EMPHASIS},}}")
# Without the backtick: to drop one fence of three would swap code and prose.
_MARKS = (RULES + EMPHASIS).replace("`", "")
_REPEATED_LINES = re.compile(
    rf"([{_MARKS}](?<![^\n{SEPARATOR}].)[{_MARKS} ]*+)(?:\n\1(?![^\n{SEPARATOR}])){{2,}}+", re.DOTALL
)
_BLANK_LINES = re.compile(r"\n\n\n+")

# Bits of a character. An end of a line is the bit above a blank, so that one shift lines the two up.
_ODD, _MARK, _BLANK, _END, _INK, _UNSURE = 1, 2, 4, 8, 16, 32
_PADDING = SEPARATOR * 4
# Blocks of this size stay in the processor's cache.
CHARACTERS_AT_ONCE = 1 << 17

Flags = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


def normalise(texts: pa.Array) -> pa.Array:
    """(D,) strings to (D,) large strings by the rules of this module. Nulls become empty texts."""
    texts = pc.fill_null(pc.cast(texts, pa.large_string()), "")
    values = strings(texts)
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    results: list[str] = []
    for first, last in pieces(sizes, CHARACTERS_AT_ONCE):
        results += _normalised(values[first:last])
    changed = np.fromiter(map(ne, values, results), np.bool_, len(values))
    if not changed.any():
        return texts
    new = pa.array(compress(results, changed), pa.large_string())
    return pc.replace_with_mask(texts, pa.array(changed), new)


def _normalised(values: Sequence[str]) -> list[str]:
    text = join_strings(values)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    codes, flags = _flags(text)
    if (flags & _UNSURE).any():
        composed = compose(text, codes[: len(text)])
        if composed != text:
            text = composed
            codes, flags = _flags(text)
    text, may_repeat = _rewrite_lines(text, codes, flags)
    if may_repeat:
        text = _REPEATED_LINES.sub(r"\1\n\1", text)
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    results = [value.strip("\n") for value in text.split(SEPARATOR)]
    if len(results) != len(values):
        raise ValueError(f"{len(results)} texts came back from {len(values)}: a pattern touched a boundary")
    return results


@cache
def _table() -> Flags:
    """[0x20001] bits of each character; the last entry stands for all above."""
    table = np.where(unsure(), _INK | _UNSURE, _INK).astype(np.uint8)
    for characters, bits in (
        (CONTROLS + JOINERS + LINE_ENDS + SPACES + FILLERS, _ODD),
        (RULES + EMPHASIS, _MARK | _INK),
        (" \t", _BLANK),
        ("\n" + SEPARATOR, _END),
    ):
        for first, last in re.findall(r"(.)(?:-(.))?", characters, re.DOTALL):
            part = table[ord(first) : ord(last or first) + 1]
            part[:] = part & _UNSURE | bits
    return table


def _flags(text: str) -> tuple[Codes, Flags]:
    """Code points and their bits, with a padding that keeps each look at the next few inside the array."""
    codes = code_points(text + _PADDING)
    table = _table()
    return codes, table[: 1 << 16].take(codes) if codes.dtype == np.uint16 else table.take(
        codes, mode="clip"
    )


def _rewrite_lines(text: str, codes: Codes, flags: Flags) -> tuple[str, bool]:
    """The text with the rules for single lines applied to every line that they could change.

    And whether a line of marks may stand there three times in a row afterwards.
    """
    ends = np.flatnonzero((flags & _END) != 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    suspects = _lines_of_marks(flags, starts)
    positions = np.flatnonzero(_candidates(codes, flags) != 0)
    if not len(positions):
        return text, _three_in_a_row(suspects)
    lines = np.searchsorted(ends, positions)
    lines = lines[np.diff(lines, prepend=-1) != 0]
    if len(lines) > len(ends) // 4:
        # To cut out and put back so many lines would cost more than to run over them all.
        return _rewrite(text), True
    suspects[lines] = True
    line_starts, line_ends = starts[lines].tolist(), ends[lines].tolist()
    candidates = SEPARATOR.join([text[a:b] for a, b in zip(line_starts, line_ends, strict=True)])
    changed = _rewrite(candidates)
    between = [text[a:b] for a, b in zip([0, *line_ends], [*line_starts, len(text)], strict=True)]
    more_lines = "\n" in changed
    return _interleave(between, changed.split(SEPARATOR)), more_lines or _three_in_a_row(suspects)


def _lines_of_marks(flags: Flags, starts: Indices) -> npt.NDArray[np.bool_]:
    """(L,) True for lines that begin with a mark and hold marks and blanks only in their first four
    characters."""
    found: npt.NDArray[np.bool_] = (flags[starts] & _MARK) != 0
    lines = np.flatnonzero(found)
    for offset in (1, 2, 3):
        further = flags[starts[lines] + offset]
        found[lines[(further & (_MARK | _BLANK | _END)) == 0]] = False
        lines = lines[(further & (_MARK | _BLANK)) != 0]
    return found


def _three_in_a_row(found: npt.NDArray[np.bool_]) -> bool:
    return bool((found[:-2] & found[1:-1] & found[2:]).any())


def _candidates(codes: Codes, flags: Flags) -> Flags:
    """(C,) not 0 where a rule may apply. It may say so too often, but never too seldom."""
    found: Flags = flags & np.uint8(_ODD)
    found[:-1] |= (flags[:-1] << 1) & flags[1:] & _END
    gaps = flags[1:-2] & flags[2:-1] & flags[3:] & _BLANK
    found[:-3] |= flags[:-3] & (gaps << 2)
    # Runs of one mark and of a pair have this in common: the first four are equal two by two.
    equal = codes[:-2] == codes[2:]
    found[:-3] |= (equal[:-1] & equal[1:]) & (flags[:-3] & flags[1:-2] & _MARK) >> 1
    return found


def _rewrite(text: str) -> str:
    """Many lines with boundaries between them, rewritten. A line may become several."""
    while (visible := _INVISIBLE.sub("", text)) != text:
        # What now stands side by side may compose or change order, and so shape a joiner's surroundings.
        text = compose(visible, code_points(visible))
    text = _LINE_END.sub("\n", text)
    text = _SPACE.sub(" ", text)
    text = _TRAILING.sub("", text)
    text = _WIDE_GAP.sub("  ", text)
    text = _EMPHASIS_RUN.sub(r"\1" * MOST_EMPHASIS, text)
    text = _RULE_RUN.sub(r"\1" * MOST_RULES, text)
    return _PAIR_RUN.sub(r"\1" * MOST_EMPHASIS, text)


def _interleave(between: Sequence[str], changed: Sequence[str]) -> str:
    """The pieces in turn; `between` has one more than `changed`."""
    return "".join(chain.from_iterable(zip(between, [*changed, ""], strict=True)))


def run(rows: pa.Table, options: Any) -> pa.Table:
    """The stage: what was decoded wrongly is repaired first, and what cannot be repaired is rejected."""
    texts, repaired = encoding.repair(one_array(rows["text"]))
    repaired = _joined(one_array(rows["repaired"]), repaired.cast(pa.string()))
    texts = normalise(texts)
    lost = pc.match_substring(repaired, encoding.LOST)
    reason = pc.if_else(lost, f"mojibake: {encoding.LOST}", empty_reason(texts))
    return with_columns(rows, text=texts, repaired=pc.if_else(lost, "", repaired), reason=reason)


def _joined(first: pa.Array, second: pa.Array) -> pa.Array:
    """Two notes on each row as one."""
    if first.null_count == len(first):
        return second
    first = pc.fill_null(first, "")
    both = pc.and_(pc.not_equal(first, ""), pc.not_equal(second, ""))
    return pc.binary_join_element_wise(first, second, pc.if_else(both, ", ", ""))


STAGE = Stage(
    name="normalise",
    run=run,
    title="normalise · 정규화",
    by_default=True,
    notes=lambda row: notes(row, ("repaired",)),
)
