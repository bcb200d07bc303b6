"""A vocabulary in tiktoken's form: a line a token, base64 bytes and rank.

tiktoken merges any two neighbours that make a token, in the order of the tokens; HF tokenizers only those
that training merged. That makes no difference to nearly any text, and the file is written only if it makes
none to any held-out document and any token by itself.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from onnuri.base.manifest import write_json
from onnuri.corpus.documents import corpus_parts, read_part, text_bytes
from onnuri.tokenizer.native import Encoder, Merges, lay_out
from onnuri.tokenizer.presplit import PHRASES, WORDS
from onnuri.tokenizer.special import SPECIAL_TOKENS
from onnuri.tokenizer.training import BYTE_IDS, Vocabulary


def save_tiktoken(vocabulary: Vocabulary, corpus: str, folder: Path) -> bool:
    """Write tokenizer.tiktoken, and tiktoken.json with pattern and special tokens.

    Returns False, and writes nothing, where it would give other ids.

    In Python: tiktoken.Encoding("onnuri", mergeable_ranks=load_tiktoken_bpe(file), **json of the second).
    """
    rows, ranks = tiktoken_merges(vocabulary.tokens)
    ours, theirs = (
        Encoder(rules, BYTE_IDS, mark_prefix=not vocabulary.phrases, phrases=vocabulary.phrases)
        for rules in (
            Merges(vocabulary.merges, [vocabulary.tokens[joined] for joined in vocabulary.merges[:, 2]]),
            Merges(rows, [vocabulary.tokens[joined] for joined in rows[:, 2]], ranks),
        )
    )
    for text, offsets in _samples(vocabulary.tokens, corpus):
        if not np.array_equal(ours.encode(text, offsets)[0], theirs.encode(text, offsets)[0]):
            return False
    lines = [
        b"%s %d\n" % (base64.b64encode(token), number)
        for number, token in enumerate(vocabulary.tokens)
        if token
    ]
    (folder / "tokenizer.tiktoken").write_bytes(b"".join(lines))
    special = {name: number for number, name in enumerate(SPECIAL_TOKENS)}
    pattern = PHRASES if vocabulary.phrases else WORDS
    write_json(folder / "tiktoken.json", {"pat_str": pattern, "special_tokens": special})
    return True


def tiktoken_merges(tokens: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """What tiktoken merges with a vocabulary: rows of (left, right, joined) ids, and their ranks."""
    known = {token: number for number, token in enumerate(tokens) if token}
    rows = [
        (known[token[:cut]], known[token[cut:]], number)
        for number, token in enumerate(tokens)
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]
    array = np.array(rows, dtype=np.int32).reshape(-1, 3)
    return array, array[:, 2]


def _samples(tokens: Sequence[bytes], corpus: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    whole = []
    for token in tokens:
        try:
            token.decode()
        except UnicodeDecodeError:
            continue
        whole.append(token)
    yield lay_out(whole)
    for part in corpus_parts(corpus, "heldout"):
        for batch in read_part(part, ("text",)):
            yield text_bytes(batch["text"])
