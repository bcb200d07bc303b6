"""Train a tokenizer on a corpus folder, compare tokenizers, or grow one.

onnuri tokenizer input=CORPUS_DIR output=DIR algorithm=bpe vocab_size=32000
onnuri tokenizer input=CORPUS_DIR output=DIR algorithm=superword vocab_size=131072
onnuri tokenizer report input=CORPUS_DIR output=DIR tokenizers=[DIR_OR_FILE,...]
onnuri tokenizer extend input=CORPUS_DIR tokenizer=DIR output=DIR new_tokens=20000
"""

import sys
from typing import Any

from onnuri.config import run_cli
from onnuri.tokenizer.config import TokenizerConfig


def run(config: TokenizerConfig) -> None:
    """Train and write."""
    from onnuri.tokenizer.build import build

    build(config)


def run_report(config: Any) -> None:
    """Measure, write and print."""
    from onnuri.tokenizer.report import report
    from onnuri.tokenizer.report.page import table

    print(table(report(config)))


def run_extend(config: Any) -> None:
    """Grow and write."""
    from onnuri.hf.extend_tokenizer import extend

    extend(config)


def main() -> None:
    """The command."""
    if sys.argv[1:2] == ["report"]:
        from onnuri.tokenizer.report import ReportConfig

        del sys.argv[1]
        run_cli(
            ReportConfig,
            run_report,
            "How short tokenizers make text, by source and language.",
            command="tokenizer report",
        )
    if sys.argv[1:2] == ["extend"]:
        from onnuri.tokenizer.extend import ExtendConfig

        del sys.argv[1]
        run_cli(
            ExtendConfig,
            run_extend,
            "Grow an existing Hugging Face tokenizer with tokens for new text.",
            command="tokenizer extend",
        )
    run_cli(TokenizerConfig, run, __doc__, command="tokenizer")


if __name__ == "__main__":
    main()
