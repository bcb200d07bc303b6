"""Options of scripts/tokenizer.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option
from onnuri.tokenizer.mixture import check_mixture
from onnuri.tokenizer.special import SPECIAL_TOKENS

PRE_TOKENIZERS = ("onnuri", "llama3")
ALGORITHMS = ("bpe", "superword", "morpheme", "morpheme_superword", "unigram")
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)


@dataclass
class TokenizerConfig:
    """What to train on, and how large."""

    input: str = path_option()
    """Corpus folder; held-out documents are never used."""
    output: str = path_option()
    """Folder to write: tokenizer.json and tokenizer_config.json, which AutoTokenizer loads."""
    algorithm: str = "bpe"
    """bpe: byte-level byte-pair encoding within words; superword: with merges across spaces in a second
    phase (SuperBPE); morpheme: bpe that keeps Korean particles and endings apart (needs kiwipiepy);
    morpheme_superword: both; unigram: sentencepiece's unigram model with byte fallback."""
    vocab_size: int = 32000
    """Tokens in all, special ones and the 256 bytes included; up to 65536 shards take 2 bytes a token."""
    min_frequency: int = 2
    """Pairs seen fewer times are not merged. unigram has no such limit."""
    superword_start: float = 0.8
    """superword: share of the vocabulary that is learned within words before merges may cross spaces."""
    max_token_bytes: int = 32
    """Longest token; a Hangul syllable takes 3. Longer ones mostly repeat boilerplate of one source."""
    pre_tokenizer: str = "onnuri"
    """bpe and morpheme: how text is cut before merging. onnuri: Hangul, Hanja and other letters apart;
    llama3: as Llama 3 does, so that llama.cpp can run the model (`onnuri export gguf`); packs slower."""
    split_digits: bool = False
    """Every digit a token of its own: better for sums and for reading numbers aloud, more tokens for
    numbers. Otherwise frequent numbers of up to three digits get tokens."""
    source_power: float = 0.5
    """A source of n bytes counts as n ** source_power: 1 as it is, 0 all sources alike."""
    source_weights: dict[str, float] = field(default_factory=dict)
    """Factor for single sources, on top: {NAME: 2.0, OTHER: 0}; 0 leaves a source out."""
    language_shares: dict[str, float] = field(default_factory=lambda: {"ko": 0.65, "en": 0.35})
    """Shares of the bytes that languages get among each other; others stay as they are. A Korean
    character takes 2.3 bytes on average, so 0.65 to 0.35 is 45 % of the characters for Korean."""
    memory_gb: float = 4.0
    """Memory for training, about. Word counts that outgrow an eighth of it go to disk; where even the
    distinct words do not fit, the rarest are left out, and phrases are sampled. unigram takes 2 GB more."""
    workers: int = 0
    """Threads; 0: one for each processor that this process may use. The result is the same for any."""

    def __post_init__(self) -> None:
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        if self.min_frequency < 1:
            raise UserError(f"min_frequency={self.min_frequency} must be at least 1")
        if self.vocab_size < SMALLEST_VOCABULARY:
            raise UserError(
                f"vocab_size={self.vocab_size} must be at least {SMALLEST_VOCABULARY}: "
                f"256 bytes and {len(SPECIAL_TOKENS)} special tokens"
            )
        check_choice("pre_tokenizer", self.pre_tokenizer, PRE_TOKENIZERS)
        if self.pre_tokenizer != "onnuri" and self.algorithm not in ("bpe", "morpheme"):
            raise UserError(
                f"pre_tokenizer={self.pre_tokenizer} goes with algorithm=bpe or morpheme, here it is "
                f"algorithm={self.algorithm}"
            )
        if not 0 < self.superword_start <= 1:
            raise UserError(f"superword_start={self.superword_start} must be above 0 and at most 1")
        if self.max_token_bytes < 4:
            raise UserError(f"max_token_bytes={self.max_token_bytes} must be at least 4: one character")
        check_mixture(self.source_power, self.source_weights, self.language_shares)
        if not self.memory_gb >= 0.001:
            raise UserError(f"memory_gb={self.memory_gb} must be at least 0.001")
        if self.workers < 0:
            raise UserError(f"workers={self.workers} must be at least 0")
