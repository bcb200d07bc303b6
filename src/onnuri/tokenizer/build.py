"""Train a tokenizer on a corpus folder and write it so that AutoTokenizer loads it."""

from __future__ import annotations

from pathlib import Path

from onnuri import manifest
from onnuri.corpus.documents import read_documents
from onnuri.errors import UserError
from onnuri.tokenizer.config import TokenizerConfig


def build(config: TokenizerConfig) -> int:
    """Write the tokenizer folder, or do nothing when it answers this request. Returns the exit status."""
    corpus = manifest.read(config.input, "corpus")
    settings = {
        "algorithm": config.algorithm,
        "vocab_size": config.vocab_size,
        "min_frequency": config.min_frequency,
    }
    inputs = {"corpus": corpus.identity}
    if manifest.up_to_date(config.output, "tokenizer", settings, inputs):
        print(f"{config.output} is up to date")
        return 0
    from tqdm import tqdm

    from onnuri.tokenizer.bpe import tokenizer_config, train_bpe

    if not any(
        entry["documents"] > entry["heldout_documents"] for entry in corpus.counts["sources"].values()
    ):
        raise UserError(f"{config.input} has no training documents")
    with manifest.building(config.output, "tokenizer") as partial:
        documents = tqdm(
            (batch["text"] for batch in read_documents(config.input, "train", ["text"])),
            desc="reading",
            unit="batch",
            disable=None,
        )
        tokenizer = train_bpe(iter(documents), config.vocab_size, config.min_frequency)
        size = tokenizer.get_vocab_size()
        fertility = tokens_per_character(config.input, tokenizer)
        tokenizer.save(str(partial / "tokenizer.json"))
        manifest.write_json(partial / "tokenizer_config.json", tokenizer_config())
        counts = {"vocab_size": size, "tokens_per_character": fertility}
        manifest.seal(partial, "tokenizer", settings, inputs, counts)
    shown = ", ".join(f"{language} {value:.3f}" for language, value in sorted(fertility.items()))
    print(f"{config.output}: {size:,} tokens; tokens per character on held-out documents: {shown}")
    if size < config.vocab_size:
        print(f"the corpus has pairs for {size:,} tokens only, {config.vocab_size:,} were asked for")
    return 0


def tokens_per_character(corpus: str | Path, tokenizer: object) -> dict[str, float]:
    """Tokens per character by language on held-out documents: lower is shorter and faster."""
    tokens: dict[str, int] = {}
    characters: dict[str, int] = {}
    for batch in read_documents(corpus, "heldout", ["text", "lang"]):
        encodings = tokenizer.encode_batch_fast(batch["text"])  # type: ignore[attr-defined]
        for text, language, encoding in zip(batch["text"], batch["lang"], encodings, strict=True):
            tokens[language] = tokens.get(language, 0) + len(encoding.ids)
            characters[language] = characters.get(language, 0) + len(text)
    return {name: tokens[name] / max(1, characters[name]) for name in tokens}


def load_tokenizer(folder: str | Path) -> object:
    """The HF tokenizer of a folder, with special-token strings in text read as plain text.

    Raises UserError if there is none or it cannot be read.
    """
    from tokenizers import Tokenizer

    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"tokenizer {path} does not exist; make one with scripts/tokenizer.py")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"tokenizer {path} cannot be read: {error}") from None
    tokenizer.encode_special_tokens = True
    return tokenizer
