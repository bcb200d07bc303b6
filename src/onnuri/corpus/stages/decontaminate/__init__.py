"""decontaminate: benchmark items are kept out of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option
from onnuri.corpus.report.words import percent
from onnuri.corpus.stages.decontaminate import benchmark_index, benchmarks, cut
from onnuri.corpus.stages.stage import COMMAND, Stage, Table, counts_of, one_array, with_columns


@dataclass
class DecontaminateOptions:
    """Which benchmarks are kept out, and how."""

    benchmarks: list[str] = path_option(default_factory=list, metadata={COMMAND: "benchmarks"})
    """Benchmark files or folders (benchmarks=...)."""
    action: str = "cut"
    """cut: take the item out of the document; drop: reject the document."""

    def __post_init__(self) -> None:
        check_choice("action", self.action, cut.ACTIONS)
        if not self.benchmarks:
            raise UserError("benchmarks=... is missing (benchmark files or folders)")


@dataclass
class Prepared(DecontaminateOptions):
    """The options once the benchmarks are ready to be looked for."""

    index: Path = Path()


def inputs(options: DecontaminateOptions) -> dict[str, str]:
    """The benchmark files."""
    return {
        f"benchmark {number} {name}": value
        for number, path in enumerate(options.benchmarks, 1)
        for name, value in benchmarks.hashes(path).items()
    }


def prepare(options: DecontaminateOptions, folder: Path) -> Prepared:
    """One index of all benchmarks for all workers."""
    path = folder / "benchmarks.npz"
    if not path.is_file():
        partial = path.with_suffix(".partial.npz")
        benchmark_index.save(benchmark_index.build_index(options.benchmarks), partial)
        partial.replace(path)
    return Prepared(options.benchmarks, options.action, path)


@lru_cache(maxsize=1)
def _index(path: Path) -> benchmark_index.Index:
    return benchmark_index.load(path)


def run(rows: pa.Table, options: Prepared) -> pa.Table:
    """The stage."""
    texts, reasons, hits = cut.decontaminate(one_array(rows["text"]), _index(options.index), options.action)
    return with_columns(rows, text=texts, reason=reasons, contamination=hits)


def summary(rows: pa.Table, options: Prepared) -> Mapping[str, Any]:
    """By benchmark the documents that hold one of its items; and by item, rejected documents included."""
    found = cut.summary(_index(options.index), rows["contamination"])
    return {
        "contamination": {name: entry["documents"] for name, entry in found.items()},
        "contaminating_items": counts_of(pc.list_flatten(rows["contamination"])),
    }


def total(counts: dict[str, Any], options: Prepared) -> Mapping[str, Any]:
    """By benchmark: its items, those that can be found, those found, and the documents that hold one."""
    items = [int(item) for item in counts.get("contaminating_items", {})]
    found = cut.summary(_index(options.index), pa.array([items], pa.list_(pa.int32())))
    documents = counts.get("contamination", {})
    return {
        "contamination": {
            name: {
                "items": entry["items"],
                "testable": entry["testable_items"],
                "found": entry["items_found"],
                "documents": documents.get(name, 0),
            }
            for name, entry in found.items()
        }
    }


def notes(row: Mapping[str, Any]) -> list[str]:
    """How many items the document held."""
    return [f"{len(row['contamination'])} benchmark items"] if row["contamination"] else []


STAGE = Stage(
    name="decontaminate",
    run=run,
    title="benchmarks · 평가 오염",
    options=DecontaminateOptions,
    columns=pa.schema([("contamination", pa.list_(pa.int32()))]),
    inputs=inputs,
    prepare=prepare,
    summary=summary,
    total=total,
    charts=(
        Table(
            "contamination",
            "Benchmarks found in the corpus · 말뭉치에서 찾은 평가 문항",
            (
                "benchmark · 평가",
                "items · 문항",
                "long enough to look for · 검사 가능",
                "found · 발견",
                "share · 비율",
                "documents · 문서",
            ),
            lambda entry: (
                f"{entry['items']:,}",
                f"{entry['testable']:,}",
                f"{entry['found']:,}",
                percent(entry["found"], entry["testable"]),
                f"{entry['documents']:,}",
            ),
        ),
    ),
    reasons={"contaminated": "benchmark text · 평가 문항 포함"},
    notes=notes,
)
