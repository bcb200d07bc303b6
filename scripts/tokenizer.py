"""Train a tokenizer on a corpus folder.

python scripts/tokenizer.py input=CORPUS_DIR output=DIR algorithm=bpe vocab_size=32000
"""

from onnuri.config import run_door
from onnuri.tokenizer.config import TokenizerConfig


def main(config: TokenizerConfig) -> int:
    """Train and write."""
    from onnuri.tokenizer.build import build

    return build(config)


if __name__ == "__main__":
    run_door(TokenizerConfig, main, __doc__)
