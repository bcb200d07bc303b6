"""Bits per byte of a model on held-out text, by language and source; lower is better.

    python scripts/evaluate.py model=MODEL_DIR data=CORPUS_DIR
    python scripts/evaluate.py model=MODEL_DIR data='texts/*.jsonl'

Bits per byte compares models with different tokenizers. Beside it stands what `xz -9e` reaches.
"""

from onnuri.config import run_door
from onnuri.evaluate.config import EvaluateConfig


def main(config: EvaluateConfig) -> int:
    """Score and print."""
    from onnuri.evaluate.run import evaluate

    return evaluate(config)


if __name__ == "__main__":
    run_door(EvaluateConfig, main, __doc__)
