"""Train a tokenizer on a corpus folder, compare tokenizers, or grow one.

python scripts/tokenizer.py input=CORPUS_DIR output=DIR algorithm=bpe vocab_size=32000
python scripts/tokenizer.py input=CORPUS_DIR output=DIR algorithm=superword vocab_size=131072
python scripts/tokenizer.py report input=CORPUS_DIR output=DIR tokenizers=[DIR_OR_FILE,...]
python scripts/tokenizer.py extend input=CORPUS_DIR tokenizer=DIR output=DIR new_tokens=20000
"""

import sys

from onnuri.config import run_door
from onnuri.tokenizer.config import TokenizerConfig


def main(config: TokenizerConfig) -> int:
    """Train and write."""
    from onnuri.tokenizer.build import build

    return build(config)


if __name__ == "__main__":
    if sys.argv[1:2] == ["report"]:
        from onnuri.tokenizer.report import ReportConfig, report

        del sys.argv[1]
        run_door(ReportConfig, report, "How short tokenizers make text, by source and language.")
    if sys.argv[1:2] == ["extend"]:
        from onnuri.tokenizer.extend import ExtendConfig, extend

        del sys.argv[1]
        run_door(ExtendConfig, extend, "Grow an existing Hugging Face tokenizer with tokens for new text.")
    run_door(TokenizerConfig, main, __doc__)
