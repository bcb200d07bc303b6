"""`onnuri evaluate`: bits per byte of held-out text and scores of tasks, as JSON, samples and a report."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.texts import data_identity, read_texts
from onnuri.evaluate import compare, contamination, held_out, olmes, suite, task_scores
from onnuri.evaluate.config import EvaluateConfig
from onnuri.evaluate.files import RESULT, page_path, samples_path
from onnuri.evaluate.report import write_report
from onnuri.evaluate.report.comparable import check_comparable
from onnuri.hf.load import check_model_folder, first_token, load_model
from onnuri.run.locate import locate
from onnuri.run.metrics_file import read_metrics

log = logging.getLogger(__name__)

FORMAT = 2
"""Of `evaluation.json`."""


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Score the model and write the result; a result for the same model, text and tasks is read again."""
    folder = Path(config.model)
    check_model_folder(folder)
    output = Path(config.output) if config.output else folder / RESULT
    suites = suite.load_all(config.tasks, config.tasks_dir, config.olmes, config.max_items)
    request: dict[str, Any] = {"format": FORMAT, "model": model_identity(folder)}
    if config.data:
        request["data"] = data_identity(config.data)
        request["text_column"], request["max_documents"] = config.text_column, config.max_documents
    if suites:
        request["tasks"] = {each.name: each.protocol for each in suites}
    if config.corpus:
        request["corpus"] = manifest.read_whole(config.corpus, "corpus").identity
    others = [compare.read(path) for path in config.compare]
    if others:
        asked = {each.name: {"protocol": each.protocol, "facts": each.facts} for each in suites}
        check_comparable([{"model": {"name": folder.name}, "tasks": asked}, *(each for each, _ in others)])
        request["compare"] = [other["request"] for other, _ in others]
    curve = read_curve(config.run, set(request.get("tasks", {}))) if config.run else []
    if curve:
        request["curve"] = manifest.hash_json(curve)
    result = stored_result(output, request)
    if result is not None:
        return result
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise UserError(
            f"output={output}: folder {output.parent} cannot be written to; choose another output"
        )
    texts = read_texts(config.data, config.text_column, config.max_documents) if config.data else []
    model, tokenizer = load_model(config.model, dtype="float32")
    separator = first_token(tokenizer, config.model)
    result = {"format": FORMAT, "request": request, "model": model_facts(folder, request["model"], model)}
    if texts:
        result |= held_out.score(model, tokenizer, texts, separator, config.batch_tokens)
    samples: list[dict[str, Any]] = []
    if suites:
        leaked = contamination.find(suites, config.corpus) if config.corpus else None
        scores = task_scores.score(model, tokenizer, suites, separator, config.batch_tokens, leaked)
        result["tasks"], samples = scores
        result["results"] = task_scores.harness_results(result["tasks"])
        if mean := olmes.centred_mean(result["tasks"]):
            result["means"] = {"olmes_4_centred_mean": mean}
    if curve:
        result["curve"] = curve
    if others:
        result["comparisons"] = compare.comparisons(result, samples, others)
    write(output, result, samples, [other for other, _ in others])
    return result


def read_curve(run_dir: str, tasks: set[str]) -> list[dict[str, Any]]:
    """Scores of these tasks during a run, from its metrics. Raises UserError if it has none.

    Of a task whose items changed while the run went on, those of the protocol with the most points.
    """
    lines = [line for line in read_metrics(locate(run_dir)[0]) if "tasks" in line]
    kept = {}
    for name in tasks:
        counted = Counter(line["tasks"][name]["protocol"] for line in lines if name in line["tasks"])
        if counted:
            kept[name], most = counted.most_common(1)[0]
            if other := counted.total() - most:
                log.info(f"{run_dir}: {other} scores of {name} by another protocol are not in the curve")
    found = [
        {"step": line["step"], "tokens": line["tokens"], "tasks": scores}
        for line in lines
        if (
            scores := {
                name: each for name, each in line["tasks"].items() if each["protocol"] == kept.get(name)
            }
        )
    ]
    if not found:
        raise UserError(f"run={run_dir} has no scores of these tasks; train with evaluation.tasks=[...]")
    return found


def write(
    output: Path, result: dict[str, Any], samples: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    """The samples and the page, then the result, which is complete when it is there."""
    try:
        if samples:
            lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in samples)
            manifest.write_text(samples_path(output), lines)
        write_report(page_path(output), [result, *others], samples)
        manifest.write_json(output, result)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from None


def model_identity(folder: Path) -> str:
    """Hash of a model: its manifest's, or its files' where it was not exported by this project."""
    if (folder / manifest.FILE_NAME).is_file():
        return manifest.read(folder, "model").identity
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".json", ".safetensors"))
    made_later = ("evaluation", "sbom")
    return manifest.hash_json(
        {name: manifest.hash_file(folder / name) for name in names if not name.startswith(made_later)}
    )


def model_facts(folder: Path, identity: str, model: Any) -> dict[str, Any]:
    """Which model a result is of."""
    facts = {
        "name": folder.resolve().name,
        "identity": identity,
        "parameters": sum(p.numel() for p in model.parameters()),
        "context": model.config.max_position_embeddings,
    }
    if (folder / manifest.FILE_NAME).is_file():
        counts = manifest.read(folder, "model").counts
        facts |= {name: counts[name] for name in ("step", "tokens") if name in counts}
    return facts


def stored_result(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """The result in `path` if it answers `request`. Raises UserError if the file is no result of ours."""
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = None
    if not isinstance(result, dict) or "request" not in result:
        raise UserError(f"output={path} exists and is no evaluation; choose another output")
    if result["request"] != request or (request.get("tasks") and not samples_path(path).is_file()):
        return None
    return result
