"""Writing the card into the folder of an exported model, and finding out whether it still fits.

The card's files are not in the folder's manifest: they are written again when there is an evaluation, and
the identity of the model, which the evaluation names, must stay the same. `card.json`, written last, has
their hashes and that of the evaluation. A signature of the folder covers them all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.export.card.config import CardConfig, Statements, statements
from onnuri.export.card.cyclonedx import cyclonedx
from onnuri.export.card.eu_summary import eu_summary
from onnuri.export.card.facts import Facts, gather
from onnuri.export.card.model_index import eval_results
from onnuri.export.card.readme import readme
from onnuri.export.card.results import EVALUATION_FILE
from onnuri.export.card.spdx import spdx
from onnuri.run.run_file import SIGNATURE_FILE

log = logging.getLogger(__name__)

CARD_FILE = "card.json"
README_FILE = "README.md"
FORMAT = 1


def card(config: CardConfig) -> list[str]:
    """Write every form of the card, where it is not there already. Returns what was written.

    Raises UserError for a folder that is no exported model, an evaluation of another one, and a file of the
    card that was changed by hand.
    """
    folder, stated = Path(config.model), statements(config)
    facts = gather(folder, folder.resolve().name, stated, config.watts)
    files = {
        README_FILE: readme(facts),
        "eu_training_summary.md": eu_summary(facts),
        "sbom.spdx.json": _json(spdx(facts)),
        "sbom.cdx.json": _json(cyclonedx(facts)),
        **eval_results(facts),
    }
    written = _write(folder, files, facts, stated)
    if not written:
        log.info(f"{folder}: the card is up to date")
        return []
    log.info(f"{folder}: wrote {', '.join(written)}")
    if missing := [name for name, text in asdict(stated).items() if not text and name != "high_impact"]:
        log.info(f"not stated, and left to be completed: {', '.join(missing)}")
    if (folder / SIGNATURE_FILE).exists():
        log.info(
            f"{folder / SIGNATURE_FILE} does not cover this card: sign again with `onnuri ledger sign`"
        )
    return written


def write_first_card(folder: Path, name: str) -> None:
    """README.md of a model that has just been exported to `name` and was not evaluated."""
    stated = Statements()
    facts = gather(folder, name, stated)
    _write(folder, {README_FILE: readme(facts)}, facts, stated)


def problems(folder: Path) -> Iterator[str]:
    """What of a card is not as it was written, one line each; nothing for a folder without one."""
    record = _record(folder)
    if not record:
        return
    for name, digest in sorted(record["files"].items()):
        if not (folder / name).is_file():
            yield f"{folder / name} is missing, though {CARD_FILE} lists it; run `onnuri export card`"
        elif manifest.hash_file(folder / name) != digest:
            yield f"{folder / name} is not as `onnuri export card` wrote it"
    if record["model"] != manifest.read(folder, "model").identity:
        yield f"{folder / CARD_FILE} is of another model; run `onnuri export card`"
    if record["evaluation"] and record["evaluation"] != _evaluation_hash(folder):
        yield (
            f"{folder / EVALUATION_FILE} is not the one that the card was written from; run "
            "`onnuri export card`"
        )


def _write(folder: Path, files: dict[str, str], facts: Facts, stated: Statements) -> list[str]:
    """Write files that differ and the record of all. Returns the names of those that were written."""
    contents = {name: text.encode() for name, text in files.items()}
    old = _record(folder).get("files", {})
    record: dict[str, Any] = {
        "format": FORMAT,
        "model": facts.identity,
        "name": facts.name,
        "statements": asdict(stated),
        "evaluation": _evaluation_hash(folder),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    present = {name: _bytes(folder / name) for name in contents.keys() | old.keys()}
    for name, found in sorted(present.items()):
        known = {record["files"].get(name), old.get(name)}
        if found is not None and hashlib.sha256(found).hexdigest() not in known:
            raise UserError(
                f"{folder / name} was changed by hand; put the words into statements=FILE.yaml, "
                "move it away, and run this again"
            )
    try:
        written = [name for name, content in contents.items() if present[name] != content]
        for name in written:
            _replace(folder / name, contents[name])
        for name in old.keys() - contents.keys():
            (folder / name).unlink(missing_ok=True)
        if _record(folder) != record:
            manifest.write_json(folder / CARD_FILE, record)
            written.append(CARD_FILE)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror or error}") from None
    return written


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is either the old one or the new one, complete."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    manifest.sync(path.parent)


def _record(folder: Path) -> dict[str, Any]:
    """`card.json`, empty where there is none. Raises UserError for a damaged one."""
    path = folder / CARD_FILE
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record["files"], dict) or not {"model", "evaluation"} <= record.keys():
            raise ValueError("a part is missing")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it and run `onnuri export card`") from None
    return dict(record)


def _evaluation_hash(folder: Path) -> str:
    path = folder / EVALUATION_FILE
    return manifest.hash_file(path) if path.is_file() else ""


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
