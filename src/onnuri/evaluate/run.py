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
from onnuri.corpus.texts import data_identity, of_corpus, read_texts
from onnuri.evaluate import compare, contamination, held_out, olmes, stored, suite, task_scores
from onnuri.evaluate.chat.judging import answers_for_a_judge
from onnuri.evaluate.chat.suite import ChatSuite
from onnuri.evaluate.config import EvaluateConfig
from onnuri.evaluate.files import RESULT, answers_path, page_path, samples_path
from onnuri.evaluate.report import write_report
from onnuri.evaluate.report.comparable import check_comparable
from onnuri.hf.load import check_model_folder, check_scorable, first_token, load_model, model_context
from onnuri.run.locate import locate
from onnuri.run.metrics_file import read_metrics

log = logging.getLogger(__name__)

OF_A_MODEL = (
    "config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
)
"""What makes a model, besides its weights."""


def evaluate(config: EvaluateConfig, kept: bool = True) -> dict[str, Any]:
    """Score the model and write the result; a result for the same model, text and tasks is read again.

    `kept` is False where the caller throws the files away: then no message names them.
    """
    folder = Path(config.model)
    check_model_folder(folder)
    output = Path(config.output) if config.output else folder / RESULT
    suites = suite.load_all(config.tasks, config.tasks_dir, config.olmes, config.max_items, config.chat)
    request: dict[str, Any] = {"format": stored.FORMAT, "model": model_identity(folder)}
    if config.data:
        request["data"] = data_identity(config.data)
        request["text_column"] = "text" if of_corpus(config.data) else config.text_column
        request["max_documents"] = config.max_documents
    if suites:
        request["tasks"] = {each.name: each.protocol for each in suites}
    if config.corpus:
        request["corpus"] = manifest.read_whole(config.corpus, "corpus").identity
    others = [(compare.shared(each, request), theirs) for each, theirs in map(compare.read, config.compare)]
    if others:
        tasks = {each.name: {"protocol": each.protocol, "facts": each.facts} for each in suites}
        check_comparable([{"model": {"name": folder.name}, "tasks": tasks}, *(each for each, _ in others)])
        request["compare"] = [other["request"] for other, _ in others]
    curve = read_curve(config.run, set(request.get("tasks", {}))) if config.run else []
    if curve:
        request["curve"] = manifest.hash_json(curve)
    before = stored.read(output)
    if before and stored.answers(before, request):
        log.info(f"{output} has these scores already")
        return before.result
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise UserError(
            f"output={output}: folder {output.parent} cannot be written to; choose another output"
        )
    texts = read_texts(config.data, config.text_column, config.max_documents) if config.data else []
    items, documents = {each.name: len(each.items) for each in suites}, Counter(each.lang for each in texts)
    asked = {"request": request, "model": {"name": folder.resolve().name}}
    for line in stored.check_replaced(before, output, asked, items, documents) if before else []:
        log.info(line)
    model, tokenizer = load_model(config.model, dtype="float32")
    separator = first_token(tokenizer, config.model)
    check_scorable(model, tokenizer, config.model)
    result: dict[str, Any] = {
        "format": stored.FORMAT,
        "request": request,
        "model": model_facts(folder, request["model"], model),
    }
    if texts:
        result |= held_out.score(model, tokenizer, texts, separator, config.batch_tokens)
    samples: list[dict[str, Any]] = []
    if suites:
        leaked = contamination.find(suites, config.corpus) if config.corpus else None
        written = [each for each in suites if isinstance(each, ChatSuite)]
        compared = [each for each in suites if not isinstance(each, ChatSuite)]
        scores = task_scores.score(model, tokenizer, compared, separator, config.batch_tokens, leaked)
        result["tasks"], samples = scores
        probes = [each for each in compared if each.chat and each.items[0].measure == "exposure"]
        if written or probes:
            del model  # the generator loads the weights in the dtype that they are stored in
        for each in probes:
            from onnuri.evaluate.chat.extraction import with_extraction

            entry = with_extraction(config.model, each, result["tasks"][each.name])
            result["tasks"][each.name] = entry
        if written:
            from onnuri.evaluate.chat.score import score_model

            entries, lines = score_model(config.model, written, leaked)
            result["tasks"], samples = result["tasks"] | entries, [*samples, *lines]
        if leaked is not None:
            for entry in result["tasks"].values():
                entry["contamination"]["corpus"] = request["corpus"]
        result["results"] = task_scores.harness_results(result["tasks"])
    if curve:
        result["curve"] = curve
    if others:
        result["comparisons"] = compare.comparisons(result, samples, others)
    with stored.alone(output):
        if before := stored.read(output):
            stored.check_replaced(before, output, result, items, documents)
            if before.is_of(request):
                result, samples = stored.merged(before, result, samples)
            else:
                stored.remove(output)
        if mean := olmes.centred_mean(result.get("tasks", {})):
            result["means"] = {"olmes_4_centred_mean": mean}
        write(output, result, samples, [other for other, _ in others])
    if kept:
        log.info(f"wrote {output} and {page_path(output).name}")
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
        else:
            samples_path(output).unlink(missing_ok=True)
        if answers := [*answers_for_a_judge(samples)]:
            lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in answers)
            manifest.write_text(answers_path(output), lines)
        else:
            answers_path(output).unlink(missing_ok=True)
        write_report(page_path(output), [result, *others], samples)
        manifest.write_json(output, result)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from None


def model_identity(folder: Path) -> str:
    """Hash of a model: its manifest's, or its files' where it was not exported by this project.

    Raises UserError if the files are not those of the manifest.
    """
    if (folder / manifest.FILE_NAME).is_file():
        made = manifest.read(folder, "model")
        manifest.verify(folder, made)
        return made.identity
    names = sorted(p.name for p in folder.iterdir() if p.name in OF_A_MODEL or p.suffix == ".safetensors")
    return manifest.hash_json({name: manifest.hash_file(folder / name) for name in names})


def model_facts(folder: Path, identity: str, model: Any) -> dict[str, Any]:
    """Which model a result is of."""
    facts = {
        "name": folder.resolve().name,
        "identity": identity,
        "parameters": sum(p.numel() for p in model.parameters()),
        "context": model_context(model.config),
    }
    if (folder / manifest.FILE_NAME).is_file():
        counts = manifest.read(folder, "model").counts
        facts |= {name: counts[name] for name in ("step", "tokens") if name in counts}
    return facts
