"""Scores of a model: bits per byte of held-out text, benchmarks with intervals.

    onnuri evaluate model=MODEL_DIR data=CORPUS_DIR
    onnuri evaluate model=MODEL_DIR data='texts/*.jsonl' tasks=[kopairs]
    onnuri evaluate model=MODEL_DIR tasks=[kmmlu,my/task.yaml] tasks_dir=DIR
    onnuri evaluate model=CHAT_DIR tasks=[chat]      # or [chat/josa], written answers
    onnuri evaluate list                       # tasks, their files, columns and licences
    onnuri evaluate kopairs output=DIR         # KoPairs' items, and a sheet for native raters

Bits per byte compares models with different tokenizers. Beside it stands what `xz -9e` reaches.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from onnuri.config import print_any_text, run_cli
from onnuri.evaluate.config import EvaluateConfig, KoPairsConfig, ListConfig


def run(config: EvaluateConfig) -> None:
    """Score and print."""
    from onnuri.base.allocator import keep_freed_memory
    from onnuri.evaluate import held_out
    from onnuri.evaluate.chat import table as chat
    from onnuri.evaluate.run import evaluate
    from onnuri.evaluate.table import comparison_table, table
    from onnuri.hf.fetch import model_folder

    keep_freed_memory()
    result = evaluate(replace(config, model=model_folder(config.model, config.hub)))
    parts = [held_out.table(result) if "total" in result else "", table(result)]
    parts += [chat.table(result), comparison_table(result)]
    parts += [f"{name} {value:.4f}" for name, value in result.get("means", {}).items()]
    print("\n\n".join(part for part in parts if part))


def run_list(config: ListConfig) -> None:
    """Print the tasks."""
    from onnuri.evaluate.listing import listing

    print(listing(config))


def run_kopairs(config: KoPairsConfig) -> None:
    """Write the items."""
    from onnuri.evaluate.kopairs.export import export, table

    print(table(export(config)))


PARTS: dict[str, tuple[type, Callable[[Any], None], str]] = {
    "list": (ListConfig, run_list, "The tasks and their data files."),
    "kopairs": (KoPairsConfig, run_kopairs, "KoPairs, a benchmark of Korean grammar, as files."),
}


def main() -> None:
    """The command."""
    print_any_text()
    if sys.argv[1:2] and sys.argv[1] in PARTS:
        name = sys.argv.pop(1)
        schema, part, about = PARTS[name]
        run_cli(schema, part, about, command=f"evaluate {name}")
    run_cli(EvaluateConfig, run, __doc__, command="evaluate")


if __name__ == "__main__":
    main()
