"""Commit and reveal: the hash of the held-out text is public first, the text later.

The hash is sha256(nonce + "\\n" + file), so that nobody can try texts against it, and anybody can check it:

    (cat nonce; cat heldout.jsonl) | sha256sum
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.texts import Text

HELDOUT_FILE, NONCE_FILE = "heldout.jsonl", "nonce"
LARGEST_TEXT = 256 << 20
"""Bytes of held-out text."""
LANGUAGES = ("ko", "en")
"""That a score is made of."""


def write_texts(path: Path, texts: Sequence[Text]) -> None:
    """A line for each document, in their order: text, lang, source."""
    lines = (
        json.dumps({"text": each.text, "lang": each.lang, "source": each.source}, ensure_ascii=False)
        for each in texts
    )
    manifest.write_text(path, (f"{line}\n" for line in lines))


def read_texts(path: Path) -> list[Text]:
    """The documents of a file of `write_texts`. Raises UserError if it is damaged."""
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise UserError(f"{path} has more than {LARGEST_TEXT:,} bytes")
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [Text(str(row["text"]), str(row["lang"]), str(row["source"])) for row in rows]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {str(error)[:100]}") from None


def check_languages(texts: Sequence[Text], what: str) -> None:
    """Raise UserError unless there are Korean and English documents."""
    if missing := [name for name in LANGUAGES if not any(text.lang == name for text in texts)]:
        raise UserError(f"{what} has no document in {missing[0]}; needed: {', '.join(LANGUAGES)}")


def seal(folder: Path, texts: Sequence[Text]) -> str:
    """Write the held-out text and a nonce into a folder. Returns their hash."""
    write_texts(folder / HELDOUT_FILE, texts)
    manifest.write_text(folder / NONCE_FILE, [f"{secrets.token_hex(32)}\n"])
    return commitment(folder)


def commitment(folder: Path) -> str:
    """The hash of the held-out text and the nonce in a folder. Raises UserError if one is missing."""
    try:
        nonce, text = ((folder / name).read_bytes() for name in (NONCE_FILE, HELDOUT_FILE))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror or error}") from None
    return hashlib.sha256(nonce + text).hexdigest()
