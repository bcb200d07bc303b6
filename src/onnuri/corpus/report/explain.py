"""What happened to one document, stage by stage, from what a finished corpus folder holds of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.config import ExplainConfig
from onnuri.corpus.stages.stage import notes
from onnuri.corpus.stages.table import STAGES

SHOWN_CHARACTERS = 300
MOST_RELATIVES = 10


def explain(config: ExplainConfig) -> str:
    """The way of one document through the corpus, each of its copies with this id, for people to read.

    Raises UserError when there is no such document, or the beginning of an id fits several.
    """
    facts = manifest.read_whole(config.input, "corpus")
    if len(config.id) < 6 or not all(c in "0123456789abcdef" for c in config.id.lower()):
        raise UserError(f"id={config.id} must be at least 6 hexadecimal digits of a document's id")
    import pyarrow.compute as pc

    rows = _rows(Path(config.input), pc.starts_with(pc.field("id"), config.id.lower()))
    if not rows:
        raise UserError(f"id={config.id}: {config.input} has no such document, kept or rejected")
    ids = sorted({row["id"] for row in rows})
    if len(ids) > 1:
        raise UserError(f"id={config.id} fits {len(ids)} documents: {', '.join(ids[:5])}, ...")
    stages = ["read", *(row["stage"] for row in facts.counts["stages"] if row["stage"] != "read")]
    return "\n".join(line for row in rows for line in _lines(row, stages, Path(config.input)))


def _rows(folder: Path, condition: Any) -> list[dict[str, Any]]:
    """Rows of documents/ and rejected/ that meet a condition, with the file that they are in."""
    import pyarrow.dataset as ds

    found = []
    for part in ("documents", "rejected"):
        for path in sorted((folder / part).glob("*.parquet")):
            table = ds.dataset(str(path), format="parquet").to_table(filter=condition)
            found += [row | {"file": f"{part}/{path.name}"} for row in table.to_pylist()]
    return found


def _lines(row: dict[str, Any], stages: list[str], folder: Path) -> list[str]:
    terms = ", ".join(row[name] or "not stated" for name in ("license", "legal_basis"))
    answer = [
        f"document   {row['id']}",
        f"from       {row['source']}: {row['origin']}" + (f"  {row['url']}" if row["url"] else ""),
        f"terms      {terms}",
        f"language   {row['lang'] or 'unknown'}",
    ]
    sizes = [*row["sizes"], len(row["text"].encode())]
    for index, stage in enumerate(stages):
        size = row["sizes"][index]
        if size < 0:
            break
        left = next((after for after in sizes[index + 1 :] if after >= 0), size)
        change = "" if left == size else f" -> {left:,}"
        notes = [f"{size:,}{change} bytes", *_measured(row, stage)]
        if row.get("stage") == stage:
            notes.append(f"REJECTED: {row['reason']}")
        answer.append(f"{stage:<14} {'; '.join(notes)}")
    answer.append(f"now        {row['file']}" + ("" if row.get("reason") else " (kept)"))
    if (row["cluster_size"] or 1) > 1:
        answer += _relatives(row, folder)
    beginning = row["text"][:SHOWN_CHARACTERS]
    return [*answer, "", beginning + ("..." if len(row["text"]) > len(beginning) else ""), ""]


def _measured(row: dict[str, Any], name: str) -> list[str]:
    if name not in STAGES:
        return []
    stage = STAGES[name]
    return stage.notes(row) if stage.notes else notes(row, stage.columns.names)


def _relatives(row: dict[str, Any], folder: Path) -> list[str]:
    """The other copies, those that stayed first."""
    import pyarrow.compute as pc

    others = _rows(folder, pc.field("cluster") == row["cluster"])
    others = [other for other in others if (other["id"], other["origin"]) != (row["id"], row["origin"])]
    shown = [
        f"  copy     {other['id']}  {other.get('reason') or 'kept'}  {other['source']}: {other['origin']}"
        for other in others[:MOST_RELATIVES]
    ]
    left = len(others) - len(shown)
    return [*shown, f"  copy     and {left} more"] if left > 0 else shown
