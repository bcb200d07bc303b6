"""Results for the hub: `model-index` in the card, and `.eval_results/*.yaml` for benchmarks that it knows.

The hub takes a file in `.eval_results` only for a data set that is registered there as a benchmark (it has
an `eval.yaml` and is on a list of Hugging Face); its documentation calls the format work in progress. A
value there is the benchmark's own metric, so bits per byte of a gold answer never goes there.
"""

from __future__ import annotations

from typing import Any

import yaml

from onnuri.export.card.facts import Facts
from onnuri.export.card.results import Result

BENCHMARKS = {
    "gsm8k": ("openai/gsm8k", "gsm8k"),
    "mmlu_pro": ("TIGER-Lab/MMLU-Pro", "mmlu_pro"),
    "gpqa_diamond": ("Idavidrein/gpqa", "diamond"),
}
"""Task of ours to (data set on the hub, task within it): benchmarks seen in published result files."""
RESULTS_FOLDER = ".eval_results"


def model_index(facts: Facts) -> list[dict[str, Any]]:
    """`model-index` of the card's metadata: an entry a result."""
    return [{"name": facts.name, "results": [_entry(row) for row in facts.results]}]


def _entry(row: Result) -> dict[str, Any]:
    return {
        "task": {"type": "text-generation", "name": "text generation"},
        "dataset": {
            "name": row.title,
            "type": BENCHMARKS.get(row.task, (row.task,))[0],
            "args": {"protocol": row.protocol, "contamination": row.contamination},
        },
        "metrics": [{"type": row.metric, "name": f"{row.metric} ({row.formulation})", "value": row.value}],
    }


def eval_results(facts: Facts) -> dict[str, str]:
    """Path below the folder to content, for the accuracies on benchmarks that the hub knows."""
    files = {}
    for row in facts.results:
        if row.task not in BENCHMARKS or not row.metric.startswith(("accuracy", "exact_match")):
            continue
        dataset, task = BENCHMARKS[row.task]
        notes = f"{row.metric}, {row.formulation}, protocol {row.protocol[:12]}; "
        notes += f"contamination: {row.contamination}"
        entry = {"dataset": {"id": dataset, "task_id": task}, "value": row.value, "notes": notes}
        content = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True)
        files[f"{RESULTS_FOLDER}/{row.task}.yaml"] = content
    return files
