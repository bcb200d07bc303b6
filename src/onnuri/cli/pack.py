"""Encode a corpus into memory-mapped token shards.

onnuri pack input=CORPUS_DIR tokenizer=TOKENIZER_DIR output=DIR
"""

from onnuri.config import run_cli
from onnuri.tokens.config import PackConfig


def run(config: PackConfig) -> None:
    """Encode and write."""
    from onnuri.tokens.pack import pack

    pack(config)


def main() -> None:
    """The command."""
    run_cli(PackConfig, run, __doc__, command="pack")


if __name__ == "__main__":
    main()
