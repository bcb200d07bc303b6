"""What a skilled forger does: a ledger chained anew, with metrics, run.json and checkpoints to match."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.challenge.entry import FORMAT, Entry
from onnuri.challenge.folder import Challenge
from onnuri.run.chain import BEGINNING, Ledger, read
from onnuri.run.checkpoints import FOLDER, name_of

OWN = ("event", "time", "previous", "hash")


def rewrite(run_dir: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the facts of every line, and make everything in the run directory fit."""
    lines = read(run_dir)
    (run_dir / "ledger.jsonl").unlink()
    ledger, heads = Ledger(run_dir), {BEGINNING: BEGINNING}
    steps, config = {}, {}
    for line in lines:
        facts = {name: value for name, value in line.items() if name not in OWN} | {"event": line["event"]}
        if line["event"] == "checkpoint":
            folder = run_dir / FOLDER / name_of(line["step"])
            old = manifest.read(folder, "checkpoint")
            counts = old.counts | {"ledger": heads.get(old.counts["ledger"], old.counts["ledger"])}
            made = manifest.seal(folder, "checkpoint", old.settings, old.inputs, counts)
            facts["identity"] = made.identity
        change(facts)
        event = facts.pop("event")
        ledger.add(event, facts)
        heads[line["hash"]] = ledger.head
        if event == "step":
            steps[facts["step"]] = facts
        config = facts.get("config", config)
    ledger.close()
    entries = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    for entry in entries:
        if "loss" in entry:
            entry |= {name: steps[entry["step"]][name] for name in ("loss", "grad_norm", "tokens")}
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    stored = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps(stored | {"config": config}))


def forged_entry(challenge: Challenge, run_dir: Path, name: str, path: Path) -> Path:
    """An entry for any run, as `commit` would write it if it checked nothing."""
    lines = read(run_dir)
    saved = {line["step"]: line for line in lines if line["event"] == "checkpoint"}
    last = saved[max(saved)]
    facts = (challenge.identity, name, f"<b>{name}</b>", last["step"], last["identity"], lines[-1]["hash"])
    manifest.write_json(path, asdict(Entry(FORMAT, *facts, checkpoints=tuple(sorted(saved)))))
    return path
