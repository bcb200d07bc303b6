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

Method: cheap rules first, on the arrays of `words`; the n-grams of `ngrams` only for documents that are
still in. Blocks of some 200,000 characters stay in the processor's cache.

Left out of FineWeb's list: duplicate paragraphs and Gopher's duplicate line characters (20 %), which the
duplicate character ratio (1 %) of the same list implies, and the upper limit of 100,000 words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.text import ngrams
from onnuri.corpus.text.joined import Codes, code_points, pieces, strings
from onnuri.corpus.text.words import (
    FIRST_SYLLABLE,
    HANGUL,
    LETTER,
    NEWLINE,
    SYLLABLES,
    WORDLIKE,
    Block,
    Hashes,
    Indices,
    Mask,
    Polynomial,
    document_keys,
    parse,
    sorted_groups,
)

Shares = npt.NDArray[np.float64]

BLOCK_CHARACTERS = 1 << 18
# So many words of a document are looked at before all of them: stop words are found among the first few.
FIRST_WORDS = 64

FULL_STOP, ELLIPSIS, NUMBER_SIGN = ord("."), ord("…"), ord("#")
BULLETS = "•-"
LINE_ENDS = ".?!\"'”’…。．？！」』"


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
        chosen = texts if len(members) == len(texts) else texts.take(pa.array(members))
        values = strings(chosen)
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        for first, last in pieces(sizes, BLOCK_CHARACTERS):
            answer[members[first:last]] = _judge(values[first:last], own).reasons
    return pa.array(answer, pa.string())


class _Verdicts:
    """The first broken rule of each document of a block, and who is still in."""

    def __init__(self, count: int) -> None:
        self.reasons = np.full(count, "", dtype=object)
        self.kept = np.ones(count, dtype=np.bool_)

    def at_least(self, name: str, values: Shares | Indices, limit: float, tested: Mask) -> None:
        self._drop(f"{name}:", values, "<", limit, tested & (values < limit))

    def at_most(self, name: str, values: Shares | Indices, limit: float, tested: Mask) -> None:
        self._drop(f"{name}:", values, ">", limit, tested & (values > limit))

    def ngrams_at_most(self, name: str, values: Shares, limit: float) -> Mask:
        self._drop(name, values, ">", limit, values > limit)
        return self.kept

    def _drop(self, label: str, values: Shares | Indices, sign: str, limit: float, broken: Mask) -> None:
        documents = np.flatnonzero(broken & self.kept)
        for document, value in zip(documents.tolist(), values[documents].tolist(), strict=True):
            self.reasons[document] = f"{label} {value:.3g} {sign} {limit:g}"
        self.kept[documents] = False


def _judge(values: Sequence[str], rules: Rules) -> _Verdicts:
    """All rules on one block, cheap ones first: n-grams are counted for documents that are still in."""
    block = parse(values)
    verdicts = _Verdicts(len(values))
    wordlike = (block.classes & WORDLIKE) != 0
    num_wordlike = block.total(wordlike)
    everyone = np.ones(len(values), dtype=np.bool_)
    verdicts.at_least("words", num_wordlike, max(1, rules.min_words), everyone)
    left = np.flatnonzero(verdicts.kept)
    if 2 * len(left) < len(values):
        # So many short texts are gone that a new block without them is the lesser work.
        if len(left):
            verdicts.reasons[left] = _judge([values[index] for index in left.tolist()], rules).reasons
        return verdicts
    lengths = block.ends - block.starts
    if rules.min_hangul > 0:
        hangul = (block.flags & HANGUL) != 0
        count = np.add.reduceat(hangul.view(np.uint8), block.document_starts, dtype=np.int32)
        share = count / np.maximum(block.total(lengths), 1)
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
    verdicts.at_most("new lines", block.num_line_feeds / num_words, rules.max_new_lines, long)
    hashes = Polynomial(block.codes)
    _judge_lines(verdicts, rules, block, hashes, long)
    if rules.min_stop_words:
        seen = _stop_words_seen(block, hashes, rules, verdicts.kept & long)
        verdicts.at_least("stop words", seen, rules.min_stop_words, long)
    words = hashes.of(block.starts, block.ends)
    limits = dict(rules.top_ngrams), dict(rules.duplicate_ngrams)
    ngrams.judge(block, words, verdicts.kept, limits, verdicts.ngrams_at_most)
    return verdicts


def _judge_lines(verdicts: _Verdicts, rules: Rules, block: Block, hashes: Polynomial, long: Mask) -> None:
    """Rules on lines: those with at least one word, without the white space around them."""
    count = len(block.boundaries)
    last_words = np.flatnonzero((block.classes & NEWLINE) != 0)
    first_words = np.concatenate(([0], last_words[:-1] + 1))
    starts, ends = block.starts[first_words], block.ends[last_words]
    owners, sizes = block.documents[last_words], ends - starts
    num_lines = np.maximum(np.bincount(owners, minlength=count), 1)

    def share(chosen: Mask) -> Shares:
        return np.bincount(owners[chosen], minlength=count) / num_lines

    first, last = block.codes[starts], block.codes[ends - 1]
    verdicts.at_most("bullet lines", share(_is_one_of(first, BULLETS)), rules.max_bullet_lines, long)
    dots = (sizes >= 3) & (last == FULL_STOP)
    dots &= (block.codes[ends - 2] == FULL_STOP) & (block.codes[ends - 3] == FULL_STOP)
    verdicts.at_most("ellipsis lines", share(dots | (last == ELLIPSIS)), rules.max_ellipsis_lines, long)
    ended = _is_one_of(last, LINE_ENDS + rules.final_syllables)
    verdicts.at_least("ended lines", share(ended), rules.min_ended_lines, long)
    verdicts.at_most("short lines", share(sizes <= 30), rules.max_short_lines, long)

    order, new = sorted_groups(hashes.of(starts, ends) + document_keys(count)[owners])
    repeated = np.zeros(len(order), dtype=np.bool_)
    repeated[order[~new]] = True
    everyone = np.ones(count, dtype=np.bool_)
    verdicts.at_most("duplicate lines", share(repeated), rules.max_duplicate_lines, everyone)
    inside = np.bincount(owners[repeated], weights=sizes[repeated], minlength=count)
    outside_feeds = np.maximum(block.boundaries - block.document_starts - block.num_line_feeds, 1)
    verdicts.at_most(
        "duplicate characters", inside / outside_feeds, rules.max_duplicate_characters, everyone
    )


def _is_one_of(codes: Codes, characters: str) -> Mask:
    """(L,) whether each code point is one of the characters, all in the basic plane."""
    return _characters_table(characters).take(codes, mode="clip")


@cache
def _characters_table(characters: str) -> Mask:
    table = np.zeros(1 << 16, dtype=np.bool_)
    table[code_points(characters)] = True
    return table


def _ellipses(block: Block) -> Indices:
    """(D,) ellipses of each document: one for each '…' and for every three of a run of full stops."""
    ellipses = block.characters(ELLIPSIS)
    stops = block.codes == FULL_STOP
    threes = np.flatnonzero(stops[:-2] & stops[1:-1] & stops[2:])
    if not len(threes):
        return ellipses
    run_starts = np.flatnonzero(np.diff(threes, prepend=-2) != 1)
    run_lengths = np.diff(run_starts, append=len(threes)) + 2
    owners = np.searchsorted(block.boundaries, threes[run_starts])
    np.add.at(ellipses, owners, run_lengths // 3)
    return ellipses


def _stop_words_seen(block: Block, hashes: Polynomial, rules: Rules, asked: Mask) -> Indices:
    """(D,) different stop words of the documents asked for, or at least as many as are needed."""
    seen = np.zeros(len(asked), dtype=np.int64)
    documents = np.flatnonzero(asked & (block.num_words > 0))
    for size in (FIRST_WORDS, len(block.starts)):
        counts = np.minimum(block.num_words[documents], size)
        begins = np.cumsum(counts) - counts
        words = np.arange(counts.sum()) + np.repeat(block.first_word[documents] - begins, counts)
        if not len(words):
            break
        if rules.stop_suffixes:
            bits = _suffix_bits(block, words, rules.stop_words)
        else:
            bits = _word_bits(hashes.of(block.starts[words], block.ends[words]), rules.stop_words)
        found = np.bitwise_count(np.bitwise_or.reduceat(bits, begins))
        seen[documents] = found
        documents = documents[(found < rules.min_stop_words) & (counts < block.num_words[documents])]
    return seen


def _word_bits(words: Hashes, stop_words: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """Bit i where a word is the i-th stop word."""
    bits = np.zeros(len(words), dtype=np.uint32)
    for index, wanted in enumerate(_hashes_of(stop_words)):
        bits |= (words == wanted).astype(np.uint32) << np.uint32(index)
    return bits


@cache
def _hashes_of(stop_words: tuple[str, ...]) -> tuple[np.uint64, ...]:
    codes = map(code_points, stop_words)
    return tuple(Polynomial(code).of(np.array([0]), np.array([len(code)]))[0] for code in codes)


def _suffix_bits(block: Block, words: Indices, stop_words: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """Bit i where the i-th syllable ends a longer word, up to three closing characters after it aside."""
    starts, last = block.starts[words], block.ends[words] - 1
    for _ in range(3):
        last -= ((block.flags[last] & WORDLIKE) == 0) & (last > starts)
    # Code points below the first syllable wrap to huge numbers: the empty last entry takes them too.
    bits = _suffix_table(stop_words)[np.minimum(block.codes[last] - FIRST_SYLLABLE, SYLLABLES)]
    return np.where(last > starts, bits, np.uint32(0))


@cache
def _suffix_table(stop_words: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """[SYLLABLES + 1] bit i for the i-th syllable."""
    table = np.zeros(SYLLABLES + 1, dtype=np.uint32)
    for index, syllable in enumerate(stop_words):
        table[ord(syllable) - FIRST_SYLLABLE] = 1 << index
    return table
