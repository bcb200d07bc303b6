"""What a worker does with a unit. The facts that come back are its number and how many documents it had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from onnuri.corpus.execution import pipeline, store
from onnuri.corpus.execution.units import Unit
from onnuri.corpus.reading.raw_text import merged
from onnuri.corpus.reading.readers import read
from onnuri.corpus.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """What every worker knows: where to write, what to do, and all units."""

    folder: str
    recipe: Recipe
    units: tuple[Unit, ...]


def only_pass(job: Job, number: int) -> dict[str, int]:
    """Read a unit, take it through all stages and write its documents."""
    tables = _first_stages(job, number)
    return {"unit": number, **store.finish(Path(job.folder), number, tables, job.recipe)}


def first_pass(job: Job, number: int) -> dict[str, int]:
    """Read a unit, take it through the stages up to the one that needs all documents, and stage it."""
    return {"unit": number, **store.stage(Path(job.folder), number, _first_stages(job, number))}


def _first_stages(job: Job, number: int) -> Iterator[pa.Table]:
    recipe = job.recipe
    pieces = job.units[number].pieces
    rank = pieces[0].source  # all of a unit are of one source
    source = recipe.sources[rank]
    for batch in merged(read(pieces, source, recipe.max_document_bytes)):
        yield pipeline.first_pass(batch, source, rank, recipe)


def compare(job: Job, number: int) -> dict[str, int]:
    """Judge all staged documents."""
    folder = Path(job.folder)
    staged = [store.staged_path(folder, unit.number) for unit in job.units]
    if found := pipeline.comparison(job.recipe):
        stage, how = found
        how.decide(staged, stage.options, folder / "staging")
    return {"unit": number}


def second_pass(job: Job, number: int) -> dict[str, int]:
    """Take a staged unit through the other stages and write its documents."""
    folder = Path(job.folder)
    tables = (pipeline.second_pass(*each, job.recipe) for each in store.judged(folder, number))
    return {"unit": number, **store.finish(folder, number, tables, job.recipe)}
