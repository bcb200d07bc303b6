"""`onnuri evaluate kopairs`: the items as a file, the sheet for native raters, the scores of n-grams."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError, system_error
from onnuri.corpus.texts import data_identity, read_texts
from onnuri.evaluate.config import KoPairsConfig
from onnuri.evaluate.kopairs import controls
from onnuri.evaluate.kopairs.files import identity, write
from onnuri.evaluate.kopairs.items import Item
from onnuri.evaluate.kopairs.rating_sheet import read_ratings, write_rating_sheet

log = logging.getLogger(__name__)

CONTROLS = Path(__file__).with_name("controls.json")
"""Scores of n-grams trained on the Korean text of the sample corpus (recipe=sample), seed 1."""
ORDERS = {"bigram": 2, "6-gram": 6}


def export(config: KoPairsConfig) -> dict[str, Any]:
    """Write kopairs.jsonl and rating.html, with `text=` controls.json. Returns facts for people."""
    folder = Path(config.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise system_error(error, folder) from None
    items = write(folder / "kopairs.jsonl", config.seed)
    write_rating_sheet(folder / "rating.html", items, config.seed)
    facts: dict[str, Any] = {"items": len(items), "identity": identity(items)}
    if config.text:
        facts["controls"] = ngram_scores(items, config.text, config.text_column)
        manifest.write_json(folder / "controls.json", facts["controls"])
    if config.ratings:
        facts["ratings"] = {
            name: each._asdict() for name, each in read_ratings(map(Path, config.ratings), items).items()
        }
    log.info(f"{len(items):,} items of seed {config.seed} in {folder}: kopairs.jsonl, rating.html")
    return facts


def ngram_scores(items: Sequence[Item], text: str, text_column: str) -> dict[str, Any]:
    """Scores of n-grams by phenomenon, trained on the Korean documents of a text."""
    korean = [each.text for each in _training_texts(text, text_column) if each.lang == "ko"]
    if not korean:
        raise UserError(f"text={text} has no Korean document")
    scores = {
        name: controls.by_phenomenon(items, controls.ngram_control(items, korean, order))
        for name, order in ORDERS.items()
    }
    return {
        "items": identity(items),
        "text": data_identity(text, "text"),
        "bytes": sum(len(each.encode()) for each in korean),
        "phenomena": {
            name: {order: found[name] for order, found in scores.items()} for name in scores["bigram"]
        },
    }


def _training_texts(text: str, text_column: str) -> Iterable[Any]:
    """A corpus's training documents, or all of a file."""
    if not (Path(text) / manifest.FILE_NAME).is_file():
        return read_texts(text, text_column, 0, "text")
    from onnuri.corpus.documents import read_documents
    from onnuri.corpus.texts import Text

    return [
        Text(document, lang, source)
        for batch in read_documents(text, "train", ["text", "lang", "source"])
        for document, lang, source in zip(*batch.values(), strict=True)
    ]


def shipped_controls(items: Sequence[Item]) -> dict[str, dict[str, float]]:
    """The scores that come with Onnuri, by phenomenon; empty for items that they are not of."""
    found = json.loads(CONTROLS.read_text(encoding="utf-8"))
    return dict(found["phenomena"]) if found["items"] == identity(items) else {}


def table(facts: dict[str, Any]) -> str:
    """What was written, for people."""
    lines = [f"identity {facts['identity']}"]
    for name, scores in facts.get("controls", {}).get("phenomena", {}).items():
        lines.append(f"{name:<24}" + "".join(f"{order} {value:.3f}   " for order, value in scores.items()))
    for name, rating in facts.get("ratings", {}).items():
        agreement = "" if rating["agreement"] is None else f"{rating['agreement']:.2f}"
        lines.append(f"{name:<24}{rating['state']:<10}{agreement:>5}{rating['judgements']:>6} judgements")
    return "\n".join(lines)
