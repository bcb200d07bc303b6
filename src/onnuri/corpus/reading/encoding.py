"""Bytes to text, and text that was once read with the wrong encoding back to what it was.

`decode` is strict. UTF-8 that decodes is UTF-8: other encodings practically never look like it. What is
declared comes next, and CP949 is tried against it by its share of common Hangul, for Korean pages lie
about being Latin-1. CP949 is what the web means by euc-kr (WHATWG Encoding). Johab is found by the same
share, where CP949 does not fit. UTF-8 goes through at 400 MB a second, CP949 at 60 (pages of 2 KB) to 300.
charset-normalizer 3.5.2 was left out: it guesses among forty encodings at 1 to 5 MB a second, and took 6
Korean pages of 150 for Cyrillic or for nothing. `decode_most` takes a text that is broken in a few places.

`repair` undoes CP949 and UTF-8 read as Latin-1 or Windows-1252, on a batch: a search in C (RE2, 500 to 900
MB a second) finds the few texts that look suspicious; those alone are tried in Python (6 MB a second), line
by line, then word by word. Nothing is repaired unless every byte fits and what comes out is Hangul, or
curly quotes. In 2.8 million trials on word lists of fourteen languages, with their accents, in capitals,
quotes and rows, nothing is touched. ftfy was left out: it does not know CP949 (issue 29), changes quotes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.reading.labels import codec_of, with_backslashes

MOST_NULS = 1 / 1000
MOST_CONTROLS = 1 / 100
"""Of all bytes. More of them is no text."""
SAMPLE = 1 << 12
"""Bytes or characters, from the first that is not ASCII, that tell one encoding from another."""
LEAST_HANGUL = 0.5
"""Common Hangul among the non-ASCII characters of what was written in CP949. Korean with many Chinese
characters has 0.6, GB 2312 read as CP949 0.55 (and it holds bytes that CP949 has not), Latin-1 0."""
LEAST_FREQUENT, LEAST_SYLLABLES, MOST_RARE = 0.4, 8, 0.1
"""Among tables, bullets and Chinese characters: of the Hangul, how much has the 160 frequent syllables, how
many there must be, and how much no one writes. Korean has 0.79 frequent ones, another script 0.07."""
LEAST_HANGUL_OF_JOHAB = 0.8
_SIGN_ROWS = (0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x30, 0x32, 0x33, 0xFF)
"""Of code points, by 256: line drawing, bullets, punctuation. Beside these, half the Hangul will do."""

_META = re.compile(
    rb"<meta[^>]{1,300}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})"
    rb"|<\?xml[^>]{1,100}?encoding\s*=\s*[\"']([\w.:-]{2,40})",
    re.IGNORECASE,
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_TEXT_BYTES = bytes(byte for byte in range(256) if byte >= 32 or byte in b"\0\t\n\v\f\r\x1a\x1b")

_COMMON = np.zeros(1 << 16, np.bool_)
"""By code point: a syllable of KS X 1001, one of the 2,350 that Korean is written with."""
_COMMON[
    [ord(char) for lead in range(0xB0, 0xC9) for char in bytes(
        byte for trail in range(0xA1, 0xFF) for byte in (lead, trail)
    ).decode("cp949")]
] = True  # fmt: skip


_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


class Decoded(NamedTuple):
    text: str
    encoding: str
    """Python's name of the codec."""


class Undecodable(ValueError):
    """What `decode` refuses. `text` is what could be read of it, `bad` how many characters could not.

    `bad` is 0 where nothing tells that the bytes are a text in that encoding.
    """

    def __init__(self, cause: str, text: str = "", bad: int = 0) -> None:
        super().__init__(cause)
        self.text, self.bad = text, bad


def decode_most(
    raw: bytes, declared: str = "", most_bad: float = 0, western: bool = True
) -> tuple[str, str]:
    """As `decode`, and a note "bad characters: N" on a text with some; they are U+FFFD.

    Raises Undecodable when there are more than `most_bad` for each byte.
    """
    try:
        return decode(raw, declared, western).text, ""
    except Undecodable as error:
        if not 0 < error.bad <= most_bad * len(raw):
            raise
        return error.text, f"bad characters: {error.bad}"


def decode(raw: bytes, declared: str = "", western: bool = True) -> Decoded:
    """The text of some bytes, whole or not at all; a character cut off at the very end is left out.

    `declared` is a label as in a Content-Type header ("" for none); a <meta charset> and the encoding of an
    XML declaration in the first 2 KiB count too. Windows-1252 is guessed if `western`.

    Raises Undecodable with the cause in one line.
    """
    for mark, codec in _MARKS:
        if raw.startswith(mark):
            return Decoded(_refuse_nuls(_whole(raw[len(mark) :], codec)), codec)
    codec = codec_of(declared)
    if b"\0" in raw:
        units = wide(raw) or (codec if codec.startswith(("utf-16", "utf-32")) else "")
        if units:
            return Decoded(_refuse_nuls(_whole(raw, units)), units)
        if raw.count(0) > MOST_NULS * len(raw):
            raise Undecodable(
                f"no text: {raw.count(0):,} NUL bytes in {len(raw):,}", _or_none(raw, "utf-8") or ""
            )
    if b"\x1b$)C" in raw[:4096]:
        return Decoded(_whole(raw, "iso2022_kr"), "iso2022_kr")
    controls = len(raw.translate(None, _TEXT_BYTES))
    if controls > MOST_CONTROLS * len(raw):
        raise Undecodable(f"no text: {controls:,} control bytes in {len(raw):,}")
    try:
        return Decoded(_strict(raw, "utf-8"), "utf-8")
    except Undecodable as error:
        not_utf8 = str(error)
    _refuse_damaged_utf8(raw, not_utf8)
    return _decode_legacy(raw, [codec, _meta(raw)], not_utf8, western)


def _decode_legacy(raw: bytes, declared: list[str], not_utf8: str, western: bool) -> Decoded:
    """What is neither ASCII nor UTF-8."""
    causes = [not_utf8]
    others = [
        codec for codec in declared if codec not in ("", "cp949", "cp1252") and not codec.startswith("utf")
    ]
    guesses = ["cp949", "johab", "cp1252"] if western else ["cp949", "johab"]
    for codec in dict.fromkeys([*others, *guesses]):
        try:
            text = _strict(raw, codec)
        except Undecodable as error:
            causes.append(str(error))
            continue
        if (codec in declared and codec != "cp1252") or _fits(text, codec):
            return Decoded(text, codec)
        if codec == "cp949":
            share = _hangul_share(_sample(text))
            causes.append(f"cp949: only {share:.0%} is Hangul; if it is CP949, state encoding: cp949")
    cause = f"no encoding fits: {'; '.join(causes[:4])}"
    texts = {codec: _text(raw, codec, "replace") for codec in dict.fromkeys([*others, "cp949", "utf-8"])}
    bad = {codec: text.count("\ufffd") for codec, text in texts.items()}
    best = min(bad, key=lambda codec: bad[codec])
    fits = best in declared or (best == "cp949" and _fits(texts[best].replace("\ufffd", ""), best))
    raise Undecodable(cause, texts[best], bad[best] if fits else 0)


def _fits(text: str, codec: str) -> bool:
    """Whether a text looks like what is written in that encoding."""
    if codec == "cp949":
        return _is_korean(_sample(text))
    if codec == "johab":
        sample = _sample(text)
        return len(sample) >= LEAST_SYLLABLES and _hangul_share(sample) >= LEAST_HANGUL_OF_JOHAB
    return codec != "cp1252" or _is_western(text)


def _is_korean(sample: str) -> bool:
    codes = _codes(sample)
    often = int(_OFTEN[codes].sum())
    is_hangul = bool(codes.size and _COMMON[codes].mean() >= LEAST_HANGUL)
    if is_hangul and often >= LEAST_FREQUENT / 3 * codes.size:
        return True
    hangul = codes[(codes >= 0xAC00) & (codes <= 0xD7A3)]
    frequent = often / max(hangul.size, 1)
    if is_hangul:
        return hangul.size < 2 * LEAST_SYLLABLES or frequent >= LEAST_FREQUENT / 3
    if not hangul.size or frequent < LEAST_FREQUENT or 1 - _COMMON[hangul].mean() > MOST_RARE:
        return False
    signs = int(np.isin(codes >> 8, _SIGN_ROWS).sum())
    return hangul.size >= (LEAST_SYLLABLES if hangul.size + signs < codes.size else LEAST_SYLLABLES / 2)


def _meta(raw: bytes) -> str:
    found = _META.search(raw, 0, 2048)
    return codec_of((found[1] or found[2]).decode("ascii", "replace")) if found else ""


def _text(raw: bytes, codec: str, errors: str = "strict") -> str:
    return with_backslashes(raw.decode(codec, errors), codec)


def _strict(raw: bytes, codec: str) -> str:
    try:
        return _text(raw, codec)
    except UnicodeDecodeError as error:
        cut = error.reason in ("unexpected end of data", "incomplete multibyte sequence", "truncated data")
        if not cut or error.start < len(raw) - 3:
            raise Undecodable(f"{codec}: byte {error.start:,} {error.reason}") from None
        return _text(raw[: error.start], codec)


def _whole(raw: bytes, codec: str) -> str:
    """As `_strict`, of bytes that are surely in this encoding."""
    try:
        return _strict(raw, codec)
    except Undecodable as error:
        text = raw.decode(codec, "replace")
        raise Undecodable(str(error), text, text.count("\ufffd")) from None


def _refuse_nuls(text: str) -> str:
    if text.count("\0") > MOST_NULS * len(text):
        raise Undecodable(f"no text: {text.count(chr(0)):,} NULs in {len(text):,} characters")
    return text


def wide(raw: bytes) -> str:
    """The UTF-16 that bytes with NULs but without a mark are in, "" if they are in none."""
    sample = raw[: min(len(raw), 1 << 14) // 2 * 2]
    for codec, kind in (("utf-16-le", "<u2"), ("utf-16-be", ">u2")):
        units = np.frombuffer(sample, kind)
        ascii_text = ((units >= 32) & (units < 127)) | np.isin(units, (9, 10, 13))
        hangul = (units >= 0xAC00) & (units <= 0xD7A3)
        marks = (
            ((units >= 0x3000) & (units < 0x3190))
            | ((units >= 0xA0) & (units < 0x100))
            | (units >> 8 == 0x20)
        )
        if ascii_text.any() and (ascii_text | hangul | marks).mean() > 0.8:
            return codec
    return ""


def _refuse_damaged_utf8(raw: bytes, cause: str) -> None:
    """CP949 would read damaged UTF-8, as Chinese characters and rare syllables."""
    first = _NOT_ASCII.search(raw)
    sample = raw[first.start() : first.start() + SAMPLE].decode("utf-8", "replace") if first else ""
    bad = sample.count("\ufffd")
    good = len(sample) - len(sample.encode("ascii", "ignore")) - bad
    if good > 4 * bad:
        text = raw.decode("utf-8", "replace")
        bad = text.count("\ufffd") - raw.count(b"\xef\xbf\xbd")
        raise Undecodable(f"UTF-8 with {bad:,} bad bytes; {cause}", text, bad)


def _sample(text: str) -> str:
    first = re.search(r"[^\x00-\x7f]", text)
    return text[first.start() : first.start() + SAMPLE] if first else ""


def _codes(text: str) -> npt.NDArray[np.uint32]:
    """The non-ASCII code points, those above U+FFFF as U+FFFF."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return np.minimum(codes[codes > 127], 0xFFFF)


def _hangul_share(text: str) -> float:
    codes = _codes(text)
    return float(_COMMON[codes].mean()) if codes.size else 0.0


def _is_western(text: str) -> bool:
    """Accents and curly quotes stand alone or in pairs, among letters; others come in long runs."""
    high = text.count("") - 1 - len(text.encode("ascii", "ignore"))
    in_runs = sum(map(len, re.findall(r"[^\x00-\x7f]{3,}", text)))
    return in_runs <= high / 4 and high <= len(re.findall("[A-Za-z]", text))


# Mistaken readings. HIGH is what a byte from 0x80 became under Latin-1 or Windows-1252.
_CP1252 = {
    ord(bytes([byte]).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in b"\x81\x8d\x8f\x90\x9d"
}
_HIGH = "\x80-\xff" + "".join(map(chr, _CP1252))
_RUN = re.compile(f"[{_HIGH}][{_HIGH}\t -~]*")
_HIGH_CHARACTER = re.compile(f"[{_HIGH}]")
_HANGUL = re.compile("[가-힣]")
_LETTER = re.compile("[À-ÿ]")
_TWO_HANGUL = re.compile(r"([가-힣])(?!\1)[가-힣]")
_FREQUENT = re.compile(
    "[이다하는에의니을지로가기를한정서사수시고자제스은어있리인용요대합일도나보아해그면여으할습부세트과구조상장원법드전만비연개위우라"
    "경소설관파입데터문들치오선주안성되행게모적거음회화동재유무택프공국내호계없예않분된표목발명생영메작단마신려항것체키크야러미중"
    "당결와함임간포더때식배바른직령버록진또반업추실력통변및방션산본같현필등]"
)
"""The 160 most frequent syllables: 79 % of Korean text, and 7 % of those in KS X 1001."""
_OFTEN = np.zeros(1 << 16, np.bool_)
_OFTEN[[ord(char) for char in _FREQUENT.pattern[1:-1]]] = True
"""The same by code point."""
_LED_BY_HANGUL = "".join(
    bytes([a, b]).decode("cp949") for a in range(0xEA, 0xEE) for b in range(0xA1, 0xC0)
)
"""The Chinese characters that two bytes of a UTF-8 syllable are in CP949."""
_SUSPICIOUS_UNIT = re.compile("[\x80-\xb6\xb8-\xff]{2}|â€")
"""Without ·, which draws leaders in Korean; a mistaken text has other pairs as well."""
_SUSPICIOUS = f"{_SUSPICIOUS_UNIT.pattern}|\ufffd|[{_LED_BY_HANGUL}]"
_QUOTE = re.compile("â[€\x80]")
"""How curly quotes and dashes begin that were UTF-8; no language has this."""
_LOST = re.compile(f"[{_LED_BY_HANGUL}]|[\ufffd?](?=[가-힣{_LED_BY_HANGUL}])")

_ROW_OF_ONE = re.compile(r"((.)\2)\1+", re.DOTALL)  # pairs of one sign, which say nothing of the rest
CP949 = "cp949 as latin-1"
UTF8 = "utf-8 as latin-1"
LOST = "utf-8 as cp949, lost"
"""What `repair` reports. A lost text stays as it was: no line of 7,112 in Korean had kept all its bytes."""


def repair(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts with mistaken readings undone, and what was done to each (large strings, "" for nothing).

    Where parts of a text differ, all that was done is named, with ", " between. Nulls stay nulls.
    """
    suspicious = pc.fill_null(pc.match_substring_regex(texts, _SUSPICIOUS), False)
    notes: list[str] = [""] * len(texts)
    indices = np.flatnonzero(suspicious.to_numpy(zero_copy_only=False))
    if not indices.size:
        return texts, pa.array(notes, pa.large_string())
    repaired = []
    for index, text in zip(indices.tolist(), texts.take(pa.array(indices)).to_pylist(), strict=True):
        found: set[str] = set()
        better = _repair_lines(text, found, frozenset())
        if found and 2 * len(_HIGH_CHARACTER.findall(better)) <= len(_HIGH_CHARACTER.findall(text)):
            # Most of it was mistaken: what is left are single syllables and rare ones.
            better = _repair_lines(better, set(), frozenset(found))
        elif not found and _is_lost(text):
            found.add(LOST)
        repaired.append(better)
        notes[index] = ", ".join(sorted(found))
    better_texts = pc.replace_with_mask(texts, suspicious, pa.array(repaired, texts.type))
    return better_texts, pa.array(notes, pa.large_string())


def _repair_lines(text: str, found: set[str], known: frozenset[str]) -> str:
    suspicious = _HIGH_CHARACTER if known else _SUSPICIOUS_UNIT
    parts, end = list[str](), 0
    while hit := suspicious.search(text, end):
        start = text.rfind("\n", end, hit.start()) + 1 or end
        parts.append(text[end:start])
        end = text.find("\n", hit.end())
        end = len(text) if end < 0 else end
        line = text[start:end]
        repaired = _repair_runs(line, found, known)
        if repaired == line:  # a cut character spoils a line, not its other words
            repaired = re.sub("[^ \t]+", lambda word: _repair_runs(word[0], found, known), line)
        parts.append(repaired)
    return "".join([*parts, text[end:]])


def _repair_runs(text: str, found: set[str], known: frozenset[str]) -> str:
    return _RUN.sub(lambda run: _repair_run(run[0], found, known), text)


def _repair_run(run: str, found: set[str], known: frozenset[str]) -> str:
    """A run that bytes became under Latin-1 or Windows-1252, as it was if it is a run of that language."""
    raw = run.translate(_CP1252).encode("latin-1")
    text = _or_none(raw, "utf-8")
    if text is not None and known != {CP949}:  # two bytes of CP949 are often UTF-8 too (Å°)
        if UTF8 in known or _QUOTE.search(run) or _TWO_HANGUL.search(text):
            found.add(UTF8)
            return text
        again = _repair_run(text, found, known) if len(text) < len(run) and _RUN.fullmatch(text) else text
        return run if again == text else again  # mistaken twice
    text = _or_none(raw, "cp949")
    if text is not None and _hangul_share(text) >= 0.7 and (CP949 in known or _reads_well(run)):
        found.add(CP949)
        return text
    return run


def _reads_well(run: str) -> bool:
    """Not a row of signs (°°°°), nor capitals in a row (ÀÉÈÀ): the Hangul these would be is rare."""
    run = _ROW_OF_ONE.sub("", run)
    text = _or_none(run.translate(_CP1252).encode("latin-1"), "cp949") or ""
    often, hangul = len(_FREQUENT.findall(text)), len(_HANGUL.findall(text))
    varied = len(set(_HIGH_CHARACTER.findall(run))) >= 3 and bool(_LETTER.search(run))
    return (
        varied and _hangul_share(text) >= 0.7 and bool(_TWO_HANGUL.search(text)) and often >= 0.4 * hangul
    )


def _is_lost(text: str) -> bool:
    """One character in five is a sign of UTF-8 read as CP949, and syllables are rare ones."""
    signs = len(_LOST.findall(text))
    codes = _codes(text)
    hangul = codes[(codes >= 0xAC00) & (codes <= 0xD7A3)]
    rare = 1 - float(_COMMON[hangul].mean()) if hangul.size else 0.0
    return signs >= 3 and signs > 0.2 * codes.size and rare > 0.2


def _or_none(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None
