"""Encode a corpus into memory-mapped token shards.

python scripts/pack.py input=CORPUS_DIR tokenizer=TOKENIZER_DIR output=DIR
"""

from onnuri.config import run_door
from onnuri.tokens.config import PackConfig


def main(config: PackConfig) -> int:
    """Encode and write."""
    from onnuri.tokens.pack import pack

    return pack(config)


if __name__ == "__main__":
    run_door(PackConfig, main, __doc__)
