"""Quality and repetition rules (Gopher, FineWeb, FineWeb-2) on a batch of texts, without a morphological
analyser: a word is what stands between white space, in Korean an eojeol.

FineWeb-2 counts Kiwi morphemes for Korean, at 0.06 to 0.26 MB/s. `KOREAN` holds its thresholds carried over
to eojeols, by measuring both on the first 6,000 characters of 724 documents from 16 Korean sources
(kiwipiepy 0.24.1):
- 2.20 morphemes an eojeol in the median document (1.86 in translated manuals, 2.67 in news comments; 2.32
  over all): counts and rates a word are divided or multiplied by 2.2;
- 1.79 characters a morpheme, 3.68 an eojeol: mean word lengths are multiplied by 2.05;
- duplicate n-grams: the eojeol threshold that as many of the 724 documents exceed as exceed FineWeb-2's in
  morphemes (13.4 % for n = 5, 7.2 % for n = 10). About 4 % exceed FineWeb-2's own figures in eojeols: a
  long repeat covers as much in either unit, a legal formula is five morphemes but not five eojeols;
- top n-grams: FineWeb-2's figures as they stand. For n = 2, 3, 4 in eojeols 0.7, 2.3 and 3.2 % of the
  documents exceed them, in morphemes 0.4, 1.4 and 2.3 %: too few to move a threshold by.

Method: the code points of some documents as one NumPy array, one pass for character classes, word hashes
from prefix sums of a polynomial modulo 2**64. A repeated n-gram starts with a repeated (n-1)-gram, so each
order sorts only what the order before found repeated. Hashes are compared on 42 bits or more within a
document, so that about one pair of n-grams in 10**12 counts as equal without being so.

Left out of FineWeb's list: duplicate paragraphs and Gopher's duplicate line characters (20 %), which the
duplicate character ratio (1 %) of the same list implies, and the upper limit of 100,000 words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.stages.joined import BORDER, join

Flags = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Arrays of one block (some 10 bytes a character at a time) stay in the second-level cache.
BLOCK_CHARACTERS = 1 << 18

SPACE, NEWLINE, LETTER, HANGUL, WORDLIKE = 1, 2, 4, 8, 16
# Above it Unicode has no letter and no digit (16.0); the few assigned code points are tags and selectors.
TABLE_END = 0x33480
FIRST_SYLLABLE, SYLLABLES = 0xAC00, 11_172

FULL_STOP, ELLIPSIS, NUMBER_SIGN, LINE_FEED = ord("."), ord("…"), ord("#"), ord("\n")
BULLETS = "•-"
LINE_ENDS = ".?!\"'”’…。．？！」』"

# Odd constants: the hash base and the multipliers of MurmurHash3's finaliser.
BASE = 0x9E3779B97F4A7C15
BASE_INVERSE = pow(BASE, -1, 1 << 64)
MIX_1, MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


@dataclass(frozen=True)
class Rules:
    """Thresholds for one language. A document that is exactly on a threshold is kept.

    Sources: Gopher (Rae et al. 2021, table A1), FineWeb (Penedo et al. 2024), FineWeb-2 `kor_Hang.yml`,
    dps (Polyglot-Ko). "Carried over" is explained in the module docstring.
    """

    min_words: int
    """Fewest words with a letter or digit; 0 for dialogues and reviews (a text without any still goes).
    Gopher 50 words; 50 morphemes = 22 eojeols."""
    statistics_from_words: int
    """Below so many words a share says nothing: only `min_hangul` and the repetition rules are tested."""
    min_hangul: float
    """Smallest share of Hangul among characters that are not white space. dps 0.25; 0 turns it off."""
    word_length: tuple[float, float]
    """Mean characters a word, least and most. Gopher 3..10; 1..6 a morpheme, times 2.05, = 2..12."""
    min_letter_words: float
    """Smallest share of words with a letter. Gopher 0.8 of words between spaces; FineWeb-2 0.791."""
    max_symbols: float
    """Most '#', and most ellipses ('...', '…'), a word. Gopher 0.1; times 2.2 morphemes = 0.22."""
    max_bullet_lines: float
    """Largest share of lines that begin with '•' or '-'. Gopher 0.9. Not ○ and □: Korean official style."""
    max_ellipsis_lines: float
    """Largest share of lines that end in an ellipsis. Gopher 0.3."""
    min_ended_lines: float
    """Smallest share of lines ended by punctuation or `final_syllables`. FineWeb 0.12, FineWeb-2 0.062."""
    final_syllables: str
    """Last syllables that end a line without a full stop: web Korean and official style; "" for English."""
    max_short_lines: float
    """Largest share of lines of 30 characters at most. FineWeb 0.67; off (1) in FineWeb-2's Korean."""
    max_new_lines: float
    """Most line feeds a word. FineWeb 0.3; FineWeb-2 0.196 a morpheme, times 2.2, = 0.43."""
    min_stop_words: int
    """Fewest different stop words. Gopher 2."""
    stop_words: tuple[str, ...]
    """Whole words (Gopher's eight), or with `stop_suffixes` last syllables: josa and endings."""
    stop_suffixes: bool
    """Whether `stop_words` are single syllables that must end a longer eojeol."""
    max_duplicate_lines: float
    """Largest share of lines that an earlier line equals. Gopher 0.3, FineWeb-2 0.374."""
    max_duplicate_characters: float
    """Largest share of characters (line feeds aside) in such lines. FineWeb 0.01, FineWeb-2 0.1."""
    top_ngrams: tuple[tuple[int, float], ...]
    """n and largest share of characters in the most frequent n-gram that occurs twice or more. Gopher."""
    duplicate_ngrams: tuple[tuple[int, float], ...]
    """n and largest share of characters covered by n-grams that occurred before. Gopher; carried over."""


KOREAN = Rules(
    min_words=22,
    statistics_from_words=22,
    min_hangul=0.25,
    word_length=(2, 12),
    min_letter_words=0.791,
    max_symbols=0.22,
    max_bullet_lines=0.9,
    max_ellipsis_lines=0.3,
    min_ended_lines=0.062,
    final_syllables="다요죠까음임함됨",
    max_short_lines=1.0,
    max_new_lines=0.43,
    min_stop_words=2,
    # FineWeb-2's morphemes that end an eojeol (에서 and 으로 by their last syllable). Its stems 하 했 있 되
    # do not, its dates 년 월 do; 요 도 과 와 지 stand in for them, so that speech is not at a disadvantage.
    stop_words=tuple("의다이는에을한은를고서가로인년월요도과와지"),
    stop_suffixes=True,
    max_duplicate_lines=0.374,
    max_duplicate_characters=0.1,
    top_ngrams=((2, 0.282), (3, 0.228), (4, 0.185)),
    duplicate_ngrams=((5, 0.072), (6, 0.079), (7, 0.073), (8, 0.070), (9, 0.073), (10, 0.066)),
)
"""FineWeb-2 `kor_Hang`, a word being an eojeol."""

ENGLISH = Rules(
    min_words=50,
    statistics_from_words=50,
    min_hangul=0.0,
    word_length=(3, 10),
    min_letter_words=0.8,
    max_symbols=0.1,
    max_bullet_lines=0.9,
    max_ellipsis_lines=0.3,
    min_ended_lines=0.12,
    final_syllables="",
    max_short_lines=0.67,
    max_new_lines=0.3,
    min_stop_words=2,
    stop_words=("the", "be", "to", "of", "and", "that", "have", "with"),
    stop_suffixes=False,
    max_duplicate_lines=0.3,
    max_duplicate_characters=0.01,
    top_ngrams=((2, 0.20), (3, 0.18), (4, 0.16)),
    duplicate_ngrams=((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)),
)
"""FineWeb with Gopher's rules, as published for English."""


RULES = {"ko": KOREAN, "en": ENGLISH}
"""Rules by language."""


def reasons(texts: pa.Array, langs: pa.Array, rules: Mapping[str, Rules]) -> pa.Array:
    """Why each text should go: "" to keep it, else the first rule it breaks, "name: value > threshold".

    `texts` and `langs` are string arrays of one length; the answer is a string array of that length. The
    name before the colon is fixed, for reports to group by. A language without rules is kept untouched.
    """
    answer = np.full(len(texts), "", dtype=object)
    for lang, own in rules.items():
        members = np.flatnonzero(pc.fill_null(pc.equal(langs, lang), False).to_numpy(zero_copy_only=False))
        chosen = texts.take(pa.array(members))
        for start, stop in _blocks(chosen):
            answer[members[start:stop]] = _judge(chosen.slice(start, stop - start), own).reasons
    return pa.array(answer, pa.string())


def _blocks(texts: pa.Array) -> Iterator[tuple[int, int]]:
    """Ranges of neighbouring texts of about BLOCK_CHARACTERS together, each with one text at least."""
    ends = np.cumsum(pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False))
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK_CHARACTERS, side="right")))
        yield start, stop
        start = stop


class _Verdicts:
    """The first broken rule of each document of a block, and who is still in."""

    def __init__(self, count: int) -> None:
        self.reasons = np.full(count, "", dtype=object)
        self.kept = np.ones(count, dtype=np.bool_)

    def at_least(self, name: str, values: Shares | Indices, limit: float, tested: Mask) -> None:
        self._drop(f"{name}:", values, "<", limit, tested & (values < limit))

    def at_most(
        self, name: str, values: Shares | Indices, limit: float, tested: Mask, detail: str = ""
    ) -> None:
        self._drop(f"{name}:{detail}", values, ">", limit, tested & (values > limit))

    def _drop(self, label: str, values: Shares | Indices, sign: str, limit: float, broken: Mask) -> None:
        broken = broken & self.kept
        for document in np.flatnonzero(broken):
            self.reasons[document] = f"{label} {values[document]:.3g} {sign} {limit:g}"
        self.kept &= ~broken


@dataclass(frozen=True)
class _Block:
    """Some documents as arrays. D documents, W words, C code points with one border after each document."""

    codes: Codes  # (C,)
    flags: Flags  # (C,) class bits
    borders: Indices  # (D,) where each document ends
    document_starts: Indices  # (D,)
    num_characters: Indices  # (D,)
    starts: Indices  # (W,) first code point of each word
    ends: Indices  # (W,) after its last code point
    classes: Flags  # (W,) class bits of a word and the white space after it: NEWLINE if last of its line
    documents: Indices  # (W,) which document a word is in
    first_word: Indices  # (D + 1,)
    num_words: Indices  # (D,)
    hashes: _Polynomial

    def total(self, values: Indices | Mask) -> Indices:
        """(D,) sums of a word's values over each document; documents without a word give 0."""
        return np.diff(np.concatenate(([0], np.cumsum(values, dtype=np.int64)))[self.first_word])

    def characters(self, code: int) -> Indices:
        """(D,) how often a code point occurs."""
        return np.diff(np.searchsorted(np.flatnonzero(self.codes == code), self.borders), prepend=0)


def _parse(texts: pa.Array) -> _Block:
    codes = _codes(join(texts) + BORDER)
    flags = _character_table()[np.minimum(codes, TABLE_END)]
    borders = np.flatnonzero(codes == ord(BORDER))
    document_starts = np.concatenate(([0], borders[:-1] + 1))
    edges = np.flatnonzero(np.diff((flags & SPACE).view(np.bool_), prepend=True))
    starts = edges[0::2]
    first_word = np.append(np.searchsorted(starts, document_starts), len(starts))
    return _Block(
        codes=codes,
        flags=flags,
        borders=borders,
        document_starts=document_starts,
        num_characters=borders - document_starts,
        starts=starts,
        ends=edges[1::2],
        classes=np.bitwise_or.reduceat(flags, starts) if len(starts) else flags[:0],
        documents=np.repeat(np.arange(len(texts)), np.diff(first_word)),
        first_word=first_word,
        num_words=np.diff(first_word),
        hashes=_Polynomial(codes),
    )


def _judge(texts: pa.Array, rules: Rules) -> _Verdicts:
    """All rules on one block, cheap ones first: n-grams are sorted only for documents that are still in."""
    block = _parse(texts)
    verdicts = _Verdicts(len(texts))
    lengths = block.ends - block.starts
    wordlike = (block.classes & WORDLIKE) != 0
    num_wordlike = block.total(wordlike)
    everyone = np.ones(len(texts), dtype=np.bool_)
    verdicts.at_least("words", num_wordlike, max(1, rules.min_words), everyone)
    if not verdicts.kept.any():
        return verdicts
    if rules.min_hangul > 0:
        hangul = np.add.reduceat(block.flags >> 3 & 1, block.document_starts, dtype=np.int64)
        share = hangul / np.maximum(block.total(lengths), 1)
        verdicts.at_least("hangul share", share, rules.min_hangul, everyone)

    long = num_wordlike >= rules.statistics_from_words
    num_words = np.maximum(block.num_words, 1)
    mean_length = block.total(lengths * wordlike) / np.maximum(num_wordlike, 1)
    verdicts.at_least("word length", mean_length, rules.word_length[0], long)
    verdicts.at_most("word length", mean_length, rules.word_length[1], long)
    letters = block.total((block.classes & LETTER) != 0) / num_words
    verdicts.at_least("words with letters", letters, rules.min_letter_words, long)
    verdicts.at_most("ellipses", _ellipses(block) / num_words, rules.max_symbols, long)
    signs = block.characters(NUMBER_SIGN)
    verdicts.at_most("number signs", signs / num_words, rules.max_symbols, long)
    new_lines = block.characters(LINE_FEED)
    verdicts.at_most("new lines", new_lines / num_words, rules.max_new_lines, long)
    _judge_lines(verdicts, rules, block, long)

    words = block.hashes.of(block.starts, block.ends)
    if rules.min_stop_words:
        if rules.stop_suffixes:
            bits = _suffix_bits(block, rules.stop_words)
        else:
            bits = _word_bits(words, rules.stop_words)
        seen = np.zeros(len(texts), dtype=np.uint32)
        occupied = np.flatnonzero(block.num_words)
        seen[occupied] = np.bitwise_or.reduceat(bits, block.first_word[occupied])
        verdicts.at_least("stop words", np.bitwise_count(seen).astype(np.int64), rules.min_stop_words, long)
    _judge_ngrams(verdicts, rules, block, words)
    return verdicts


def _judge_lines(verdicts: _Verdicts, rules: Rules, block: _Block, long: Mask) -> None:
    """Rules on lines: those with at least one word, without the white space around them."""
    count = len(block.borders)
    last_words = np.flatnonzero(block.classes & NEWLINE)
    first_words = np.concatenate(([0], last_words[:-1] + 1))
    starts, ends = block.starts[first_words], block.ends[last_words]
    owners, sizes = block.documents[last_words], ends - starts
    num_lines = np.maximum(np.bincount(owners, minlength=count), 1)

    def share(chosen: Mask) -> Shares:
        return np.bincount(owners[chosen], minlength=count) / num_lines

    first, last = block.codes[starts], block.codes[ends - 1]
    verdicts.at_most("bullet lines", share(np.isin(first, _codes(BULLETS))), rules.max_bullet_lines, long)
    dots = (sizes >= 3) & (last == FULL_STOP)
    dots &= (block.codes[ends - 2] == FULL_STOP) & (block.codes[ends - 3] == FULL_STOP)
    verdicts.at_most("ellipsis lines", share(dots | (last == ELLIPSIS)), rules.max_ellipsis_lines, long)
    ended = np.isin(last, _codes(LINE_ENDS + rules.final_syllables))
    verdicts.at_least("ended lines", share(ended), rules.min_ended_lines, long)
    verdicts.at_most("short lines", share(sizes <= 30), rules.max_short_lines, long)

    order, new = _sorted_groups(block.hashes.of(starts, ends) + _document_keys(owners))
    repeated = np.zeros(len(order), dtype=np.bool_)
    repeated[order[~new]] = True
    everyone = np.ones(count, dtype=np.bool_)
    verdicts.at_most("duplicate lines", share(repeated), rules.max_duplicate_lines, everyone)
    inside = np.bincount(owners[repeated], weights=sizes[repeated], minlength=count)
    outside_feeds = np.maximum(block.num_characters - block.characters(LINE_FEED), 1)
    verdicts.at_most(
        "duplicate characters", inside / outside_feeds, rules.max_duplicate_characters, everyone
    )


def _judge_ngrams(verdicts: _Verdicts, rules: Rules, block: _Block, words: Hashes) -> None:
    """Share of a document's characters in its most frequent n-gram, and in n-grams that occurred before.

    Covered characters are counted once where n-grams overlap, and without spaces, as Gopher has it.
    (datatrove steps over a found n-gram instead, which leaves out up to n - 1 words of a repeat.)
    `positions` are the first words of the n-grams that still occur twice or more, in rising order.
    """
    top, duplicate = dict(rules.top_ngrams), dict(rules.duplicate_ngrams)
    documents, count = block.documents, len(block.borders)
    num_characters = np.maximum(block.num_characters, 1)
    before = np.concatenate(([0], np.cumsum(block.ends - block.starts)))
    everyone = np.ones(count, dtype=np.bool_)
    positions = np.flatnonzero(verdicts.kept[documents])
    keys = words[positions] + _document_keys(documents[positions])
    for n in range(2, max([*top, *duplicate], default=0) + 1):
        owners = documents[positions]
        fits = (positions + n <= block.first_word[owners + 1]) & verdicts.kept[owners]
        positions = positions[fits]
        if len(positions) == 0:
            return
        keys = _mix(keys[fits] * MIX_1 + words[positions + n - 1])
        order, new = _sorted_groups(keys)
        group_starts = np.flatnonzero(new)
        sizes = np.diff(group_starts, append=len(order))
        if n in top:
            often = sizes > 1
            heads = positions[order[group_starts[often]]]
            lengths = before[heads + n] - before[heads] + n - 1
            # The count in the high half: the most frequent wins, the longest of equals.
            best = np.zeros(count, dtype=np.int64)
            np.maximum.at(best, documents[heads], sizes[often] << 32 | lengths)
            share = (best >> 32) * (best & 0xFFFFFFFF) / num_characters
            verdicts.at_most("top n-gram", share, top[n], everyone, f" {n} words")

        again = np.zeros(len(order), dtype=np.bool_)
        again[order[~new]] = True
        later = positions[again]
        covered = before[np.minimum(later + n, np.append(later[1:], len(words)))] - before[later]
        share = np.bincount(documents[later], weights=covered, minlength=count) / num_characters
        if n in duplicate:
            verdicts.at_most("duplicate n-gram", share, duplicate[n], everyone, f" {n} words")

        repeated = again
        repeated[order[group_starts[sizes > 1]]] = True
        if n >= max(top, default=0):
            # Longer n-grams cover no more than shorter ones: who is below every threshold left is done.
            left = [limit for size, limit in duplicate.items() if size > n]
            repeated &= (share > min(left, default=np.inf))[documents[positions]]
        positions, keys = positions[repeated], keys[repeated]


@lru_cache(maxsize=1)
def _character_table() -> Flags:
    """Class bits of every code point up to TABLE_END, which stands for all above it."""
    table = np.zeros(TABLE_END + 1, dtype=np.uint8)
    for code in range(TABLE_END):
        character = chr(code)
        if character.isspace():
            table[code] = SPACE
        elif character.isalpha():
            table[code] = LETTER | WORDLIKE
        elif character.isalnum():
            table[code] = WORDLIKE
    # [ㄱ-힣] would take in every CJK ideograph: jamo, compatibility jamo and syllables one by one.
    for first, last in ((0x1100, 0x11FF), (0x3131, 0x318E), (FIRST_SYLLABLE, 0xD7A3)):
        table[first : last + 1] |= HANGUL
    table[LINE_FEED] |= NEWLINE
    table[ord(BORDER)] = SPACE | NEWLINE
    return table


def _codes(characters: str) -> Codes:
    return np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)


def _mix(hashes: Hashes) -> Hashes:
    """Spreads every bit over the whole word, for keys that are compared on their high bits only."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * MIX_2
    return hashes ^ (hashes >> np.uint64(29))


def _document_keys(documents: Indices) -> Hashes:
    """A different number for each document, added to a hash to keep documents apart."""
    return _mix((documents.astype(np.uint64) + np.uint64(1)) * MIX_1)


class _Polynomial:
    """Hashes of any stretch of a code point array in O(1), from prefix sums modulo 2**64."""

    def __init__(self, codes: Codes) -> None:
        powers = np.full(len(codes), BASE, dtype=np.uint64)
        powers[0] = 1
        np.multiply.accumulate(powers, out=powers)
        self.sums = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.cumsum(codes * powers, out=self.sums[1:])
        inverses = np.full(len(codes), BASE_INVERSE, dtype=np.uint64)
        inverses[0] = 1
        self.inverses = np.multiply.accumulate(inverses, out=inverses)

    def of(self, starts: Indices, ends: Indices) -> Hashes:
        return _mix((self.sums[ends] - self.sums[starts]) * self.inverses[starts])


def _sorted_groups(keys: Hashes) -> tuple[Indices, Mask]:
    """Indices that bring equal keys together (earlier first), and where in that order a new key begins.

    The index rides in the low bits of its key: one plain sort is half the time of an argsort.
    """
    width = np.uint64(max(1, len(keys) - 1).bit_length())
    low = (np.uint64(1) << width) - np.uint64(1)
    packed = np.sort((keys & ~low) | np.arange(len(keys), dtype=np.uint64))
    high = packed >> width
    new = np.ones(len(keys), dtype=np.bool_)
    np.not_equal(high[1:], high[:-1], out=new[1:])
    return (packed & low).astype(np.int64), new


def _ellipses(block: _Block) -> Indices:
    """(D,) ellipses of each document: one for each '…' and for every three of a run of full stops."""
    stops = np.flatnonzero(block.codes == FULL_STOP)
    run_starts = np.flatnonzero(np.diff(stops, prepend=-2) != 1)
    runs = np.diff(run_starts, append=len(stops)) // 3
    owners = np.searchsorted(block.borders, stops[run_starts])
    ellipses = block.characters(ELLIPSIS)
    np.add.at(ellipses, owners, runs)
    return ellipses


def _word_bits(words: Hashes, stop_words: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """Bit i where a word is the i-th stop word."""
    bits = np.zeros(len(words), dtype=np.uint32)
    for index, stop_word in enumerate(stop_words):
        codes = _codes(stop_word)
        wanted = _Polynomial(codes).of(np.array([0]), np.array([len(codes)]))[0]
        bits[words == wanted] |= np.uint32(1 << index)
    return bits


def _suffix_bits(block: _Block, stop_words: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """Bit i where the i-th syllable ends a longer word, up to three closing characters after it aside."""
    table = np.zeros(SYLLABLES + 1, dtype=np.uint32)
    for index, syllable in enumerate(stop_words):
        table[ord(syllable) - FIRST_SYLLABLE] = 1 << index
    last = block.ends - 1
    for _ in range(3):
        last -= ((block.flags[last] & WORDLIKE) == 0) & (last > block.starts)
    # Code points below the first syllable wrap to huge numbers: the empty last entry takes them too.
    bits = table[np.minimum(block.codes[last] - np.uint32(FIRST_SYLLABLE), SYLLABLES)]
    return np.where(last > block.starts, bits, np.uint32(0))
