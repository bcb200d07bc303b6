"""One corpus from beginning to end: find the input, read, reject, order, write, report."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from onnuri import manifest
from onnuri.corpus import files, huggingface, packages, python_library, recipe, report
from onnuri.corpus.config import CorpusConfig, EngineConfig
from onnuri.corpus.raw_text import Part
from onnuri.corpus.recipe import Recipe, Source


def build(config: CorpusConfig) -> int:
    """Follow a recipe and write a corpus folder; nothing to do if it is there already.

    Raises UserError for anything wrong with recipe, options or input, before output is touched.
    """
    options = asdict(config)
    plan = recipe.load(config.recipe, options)
    parts, inputs = find_input(plan)
    settings = {"recipe": plan.content()}
    inputs["recipe"] = manifest.hash_json(settings["recipe"])
    if manifest.up_to_date(config.output, "corpus", settings, inputs):
        print(f"{config.output} is up to date")
        return 0
    request = manifest.request_hash("corpus", settings, inputs)
    with manifest.building(config.output, "corpus", request) as folder:
        counts = _write(folder, plan, parts, config.engine)
        manifest.write_json(folder / "report.json", counts)
        (folder / "report.html").write_text(report.page(counts, report.examples(folder)), encoding="utf-8")
        manifest.seal(folder, "corpus", settings, inputs, counts)
    print(summary(counts))
    return 0


def find_input(plan: Recipe) -> tuple[list[Part], dict[str, str]]:
    """Everything there is to read, and the hash of each input by name."""
    parts: list[Part] = []
    inputs: dict[str, str] = {}
    for source in plan.sources:
        found, hashes, source_parts = _find(source)
        parts += source_parts
        file_hashes = {
            name: manifest.hash_file(path)
            for name, path in tqdm(found.items(), f"hashing {source.name}", unit="file", disable=None)
        }
        if source.reader == "python_docstrings":  # hundreds of small files: one line in the manifest
            file_hashes = {"python/*.py": manifest.hash_json(file_hashes)}
        inputs |= hashes | file_hashes
    return parts, inputs


def _find(source: Source) -> tuple[dict[str, Path], dict[str, str], list[Part]]:
    if source.reader == "files":
        found = files.find(source.input)
        return found, {}, files.parts(source, found)
    if source.reader == "huggingface":
        found, commits = huggingface.find(source)
        return found, commits, huggingface.parts(source, commits)
    if source.reader.startswith("python_"):
        found = python_library.find(source.reader)
        return found, {}, python_library.parts(source, found)
    found = packages.find(source.package, source.files)
    return found, {}, packages.parts(source, found)


def _write(folder: Path, plan: Recipe, parts: list[Part], where: EngineConfig) -> dict[str, Any]:
    from onnuri.corpus import engine
    from onnuri.corpus.stages.pipeline import READ
    from onnuri.corpus.store import Staging, write_shard
    from onnuri.corpus.tally import Tally

    engine.start(where.name, where.address)
    staging = Staging(folder / "staging")
    with tqdm(desc="reading", unit=" documents", initial=staging.rows, disable=None) as progress:
        for window, after in engine.windows(parts, staging.position):
            staging.add(engine.processed(window, plan.stages), after)
            progress.update(window.num_rows)
            progress.set_postfix_str(_megabytes(staging.bytes), refresh=False)
    names = [READ, *(stage.name for stage in plan.stages)]
    copies = engine.verdicts(staging.files)
    tally = Tally()
    for number, ids in enumerate(tqdm(staging.id_ranges(), "writing", unit="shard", disable=None)):
        done = staging.folder / f"tally-{number:05d}.json"
        if not done.is_file():
            ordered = engine.in_order(staging.files, copies, ids) if staging.files else iter(())
            write_shard(folder, number, ordered, plan.heldout_share, done)
        tally.add_json(json.loads(done.read_text(encoding="utf-8")))
    shutil.rmtree(staging.folder)
    return tally.counts(staging.rows, names)


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
