"""An open tokenizer as others publish it, and growing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from onnuri.corpus.documents import read_documents
from tests.conftest import run_command

Sample = Callable[[str], str]
NEW_TOKENS = 1500
GPT_4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UNREACHED = "ê°ľë°ľ"
"""개발 in the letters of byte-level vocabularies: a token that merges do not reach, as Llama 3 has some."""
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<|end|>",
    "chat_template": "{{ messages[0].content }}<|end|>",
}


def texts_of(corpus: str, split: str, language: str) -> list[str]:
    rows = [
        pair
        for batch in read_documents(corpus, split, ["text", "lang"])
        for pair in zip(batch["text"], batch["lang"], strict=True)
    ]
    return [text for text, name in rows if name == language]


def open_tokenizer(texts: list[str], folder: Path, ignore_merges: bool) -> None:
    """What an open model comes with: its added tokens stand behind the vocabulary, not in it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    split = pre_tokenizers.Split(Regex(GPT_4), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if ignore_merges:
        content = json.loads(tokenizer.to_str())
        content["model"]["vocab"][UNREACHED] = 800
        tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(["<|end|>", "IS"])  # the second stands in words of the sample, too
    tokenizer.add_tokens(["<think>", "감사"])
    folder.mkdir()
    content = json.loads(tokenizer.to_str())
    if not ignore_merges:  # as older files have it
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))
    (folder / "merges.txt").write_text("outdated")


def extend(sample: Sample, tokenizer: Path, output: Path, *words: str) -> None:
    inputs = [f"input={sample('corpus')}", f"tokenizer={tokenizer}", f"output={output}"]
    run_command("tokenizer", "extend", *inputs, f"new_tokens={NEW_TOKENS}", *words)


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def new_tokens(folder: Path) -> dict[int, list[int]]:
    content = json.loads((folder / "new_tokens.json").read_text())
    return {int(number): ids for number, ids in content.items()}


def error(sample: Sample, tokenizer: Path, tmp_path: Path, *words: str) -> str:
    inputs = [f"input={sample('corpus')}", f"tokenizer={tokenizer}", f"output={tmp_path / 'out'}"]
    result = run_command("tokenizer", "extend", *inputs, "new_tokens=10", *words, check=False)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()
    return result.stderr
