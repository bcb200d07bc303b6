"""Bits per byte of a model on held-out text, by language and source; lower is better.

    onnuri evaluate model=MODEL_DIR data=CORPUS_DIR
    onnuri evaluate model=MODEL_DIR data='texts/*.jsonl'

Bits per byte compares models with different tokenizers. Beside it stands what `xz -9e` reaches.
"""

from onnuri.config import run_cli
from onnuri.evaluate.config import EvaluateConfig


def run(config: EvaluateConfig) -> None:
    """Score and print."""
    from onnuri.evaluate.run import evaluate, table

    print(table(evaluate(config)))


def main() -> None:
    """The command."""
    run_cli(EvaluateConfig, run, __doc__, command="evaluate")


if __name__ == "__main__":
    main()
