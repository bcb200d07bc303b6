"""Scores of a model: bits per byte of held-out text, benchmarks with intervals.

    onnuri evaluate model=MODEL_DIR data=CORPUS_DIR
    onnuri evaluate model=MODEL_DIR data='texts/*.jsonl' tasks=[kopairs]
    onnuri evaluate model=MODEL_DIR tasks=[kmmlu,my/task.yaml] tasks_dir=DIR
    onnuri evaluate list                       # tasks, their files, columns and licences

Bits per byte compares models with different tokenizers. Beside it stands what `xz -9e` reaches.
"""

import sys

from onnuri.config import print_any_text, run_cli
from onnuri.evaluate.config import EvaluateConfig, ListConfig


def run(config: EvaluateConfig) -> None:
    """Score and print."""
    from onnuri.evaluate import held_out
    from onnuri.evaluate.run import evaluate
    from onnuri.evaluate.table import table

    result = evaluate(config)
    parts = [held_out.table(result) if "total" in result else "", table(result)]
    print("\n\n".join(part for part in parts if part))


def run_list(config: ListConfig) -> None:
    """Print the tasks."""
    from onnuri.evaluate.listing import listing

    print(listing(config))


def main() -> None:
    """The command."""
    print_any_text()
    if sys.argv[1:2] == ["list"]:
        del sys.argv[1]
        run_cli(ListConfig, run_list, "The tasks and their data files.", command="evaluate list")
    run_cli(EvaluateConfig, run, __doc__, command="evaluate")


if __name__ == "__main__":
    main()
