"""One corpus from beginning to end: plan, read, reject, compare, write, report."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.corpus import recipe
from onnuri.corpus.config import CorpusConfig, ExecutionConfig
from onnuri.corpus.execution import units
from onnuri.corpus.execution.units import Unit
from onnuri.corpus.reading import discovery
from onnuri.corpus.recipe import Recipe
from onnuri.corpus.stages.stage import paths_of
from onnuri.corpus.stages.table import STAGES

log = logging.getLogger(__name__)


def build(config: CorpusConfig) -> Manifest:
    """Follow a recipe and write a corpus folder; nothing to do if it is there already.

    Returns its manifest; `counts["kept"]` is 0 where every document was rejected.

    Raises UserError for anything wrong with recipe, options or input, before output is touched.
    """
    plan = recipe.load(config.recipe, asdict(config))
    work, inputs, file_counts = units.plan(plan)
    check_output(config.output, plan, work)
    settings = {"recipe": plan.content()}
    inputs["recipe"] = manifest.hash_json(settings["recipe"])
    for stage in plan.stages:
        inputs |= STAGES[stage.name].inputs(stage.options)
    if made := manifest.up_to_date(config.output, "corpus", settings, inputs):
        log.info("%s is up to date", config.output)
        _say_what_is_missing(made.counts | {"files": file_counts}, config.output)
        return made
    request = manifest.request_hash("corpus", settings, inputs)
    with manifest.building(config.output, "corpus", request) as folder:
        counts = _write(folder, plan, work, config.engine) | {"files": file_counts}
        from onnuri.corpus.report.examples import examples
        from onnuri.corpus.report.page import page

        manifest.write_json(folder / "report.json", counts)
        shown = examples(folder, counts["reasons_by_stage"])
        (folder / "report.html").write_text(page(counts, shown), encoding="utf-8")
        made = manifest.seal(folder, "corpus", settings, inputs, counts)
    log.info(summary(counts))
    _say_what_is_missing(counts, config.output)
    return made


def _say_what_is_missing(counts: Mapping[str, Any], output: str) -> None:
    """Files that were passed over, sources of which nothing was kept, and a corpus without a document."""
    for source, entry in counts["files"].items():
        if passed := discovery.describe(entry):
            left_out = entry["found"] - entry["read"]
            log.info(f"{source}: passed over {left_out:,} of {entry['found']:,} files: {passed}")
    for source, entry in counts.get("empty_sources", {}).items():
        reasons = "".join(f", {reason} {number:,}" for reason, number in entry["reasons"].items())
        log.info(f"{source}: nothing kept; documents read: {entry['read']:,}{reasons}")
    if not counts["read"]:
        log.error("nothing was kept: there is no document in what was read")
    elif not counts["kept"]:
        log.error(
            f"nothing was kept: {output}/report.html says why, "
            f"{output}/rejected/ holds each document with its reason"
        )


def check_output(output: str, plan: Recipe, work: list[Unit]) -> None:
    """Raise UserError if the corpus would be written over, or into, what it is made from."""
    folder = Path(output).resolve()
    # Text is compared, not Path: a source may be made of a hundred thousand files.
    folders = (f"{str(folder).rstrip('/')}/", f"{folder}.partial/")
    read = [piece.path for unit in work for piece in unit.pieces if piece.path and "://" not in piece.path]
    for source in plan.sources:
        root = Path(source.input).expanduser()
        if source.input and root.is_dir() and folder.is_relative_to(root.resolve()):
            raise UserError(f"output={output} lies in input={source.input}; choose a folder outside of it")
        read += [source.opt_out] if source.opt_out else []
    for stage in plan.stages:
        read += paths_of(stage.options)
    for path in dict.fromkeys(read):
        if f"{Path(path).expanduser().resolve()}/".startswith(folders):
            raise UserError(f"{path} is read and lies in output={output}, which would be replaced")


def _write(folder: Path, plan: Recipe, work: list[Unit], where: ExecutionConfig) -> dict[str, Any]:
    from onnuri.corpus.execution import engine, passes, pipeline, store
    from onnuri.corpus.report.tally import Tally

    staging = folder / "staging"
    staging.mkdir(exist_ok=True)
    for left_over in folder.rglob("*.partial"):  # of workers that were killed
        left_over.unlink()
    stages = [
        replace(each, options=STAGES[each.name].prepare(each.options, staging)) for each in plan.stages
    ]
    plan = replace(plan, stages=tuple(stages))
    with engine.workers(passes.Job(str(folder), plan, tuple(work)), where) as take:

        def run(one_pass: engine.Pass, done: Callable[[Path, int], Path], label: str) -> None:
            missing = [unit for unit in work if not done(folder, unit.number).is_file()]
            # The largest first, so that none of them is left over at the end for one worker alone.
            order = sorted(missing, key=lambda unit: -unit.size)
            show(take(one_pass, [unit.number for unit in order]), work, missing, label)

        if pipeline.comparison(plan):
            run(passes.first_pass, store.staged_path, "reading")
            if not all(store.verdict_path(folder, unit.number).is_file() for unit in work):
                list(take(passes.compare, [0]))
            run(passes.second_pass, store.tally_path, "writing")
        else:
            run(passes.only_pass, store.tally_path, "reading")
    tally = Tally(plan)
    for unit in work:
        tally.add_json(json.loads(store.tally_path(folder, unit.number).read_text(encoding="utf-8")))
    counts = tally.counts()
    shutil.rmtree(staging)
    for name in ("documents", "rejected"):
        (folder / name).mkdir(exist_ok=True)
    return counts


def show(facts: Iterator[dict[str, int]], work: list[Unit], missing: list[Unit], label: str) -> None:
    """Progress over the bytes of input: share, MB/s and time left from tqdm, documents/s beside them."""
    sizes = {unit.number: unit.size for unit in work}
    total = sum(sizes.values())
    first = total - sum(unit.size for unit in missing)
    documents = 0
    with tqdm(
        total=total, initial=first, desc=label, unit="B", unit_scale=True, disable=None, leave=False
    ) as bar:
        for entry in facts:
            documents += entry["documents"]
            seconds = bar.format_dict["elapsed"] or 1
            bar.set_postfix_str(f"{documents:,} documents, {documents / seconds:,.0f}/s", refresh=False)
            bar.update(sizes[entry["unit"]])


def summary(counts: dict[str, Any]) -> str:
    """The closing line of a run."""
    sizes = {lang: entry["bytes"] for lang, entry in counts["languages"].items()}
    languages = ", ".join(f"{lang} {_megabytes(size)}" for lang, size in sizes.items()) or "none"
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in counts["reasons"].items()) or "none"
    return (
        f"kept {counts['kept']:,} of {counts['read']:,} documents "
        f"({_megabytes(sum(sizes.values()))}; {languages}), "
        f"{counts['rejected']:,} rejected: {reasons}; held out {counts['heldout']:,}"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
