"""The facts of an exported model, gathered once: every form of the card is written from them and adds none.

They come from four places: the folder's manifest, `training.json`, `evaluation.json` and the provider's
statements. What none of them says is None or "", and the card says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.export.card.config import Statements
from onnuri.export.card.energy import Energy, energy
from onnuri.export.card.results import Result, read_evaluation, results
from onnuri.export.card.training import TRAINING_FILE
from onnuri.export.weights import describe
from onnuri.run.run_file import context_of

COMPUTE_THRESHOLD = 1e26
"""FLOPs of training, summed up, from which the Korean AI Basic Act asks for safety measures."""


@dataclass(frozen=True)
class Source:
    """A source of the training data, as the shards describe it."""

    name: str
    languages: str
    licence: str
    legal_basis: str
    unverified: bool
    kind: str
    period: str
    url: str
    dataset: str
    """Name on the Hugging Face hub."""
    documents: int
    tokens: int
    bytes: int
    opt_out: bool | None
    """Whether a list of opt-outs was applied; None where the shards do not say."""
    opted_out: int
    domains: dict[str, int]
    """The largest domains with their bytes, the largest first."""
    num_domains: int
    tokens_seen: int | None = None
    """Tokens that the steps of training predict; None where the ledger does not say."""

    @property
    def epochs(self) -> float | None:
        """Tokens seen over unique tokens."""
        return None if self.tokens_seen is None else self.tokens_seen / max(1, self.tokens)


@dataclass(frozen=True)
class Facts:
    """All that the card says."""

    name: str
    identity: str
    files: dict[str, dict[str, Any]]
    stated: Statements
    ended: str
    """When the last step was recorded, as ISO 8601; "" without a ledger."""
    architecture: str
    parameters: int
    dtype: str
    vocab_size: int
    rows_trained: int
    context: int
    step: int
    averaged: str
    """What the weights are an average of; "": they are those after the last step."""
    chat_template: str
    """Hash of a chat model's template; "": a base model."""
    started_from: str
    """The folder whose weights training began with; "": they were drawn."""
    tokens_seen: int
    epochs: float
    flops: int
    flops_run: int | None
    """With the steps that were run more than once; None without a ledger."""
    steps_run: int | None
    segments: list[dict[str, Any]]
    energy: Energy
    languages: list[str]
    sources: list[Source]
    corpus: dict[str, Any]
    """Stages and counts; empty for shards of version 0.1."""
    config: dict[str, Any]
    code: dict[str, Any]
    shards: str
    tokenizer_sha256: str
    results: list[Result]
    device_hours: float
    wall_hours: float

    @property
    def compute_share(self) -> float:
        """Training FLOPs over COMPUTE_THRESHOLD."""
        return (self.flops_run or self.flops) / COMPUTE_THRESHOLD

    @property
    def steps_without_record(self) -> int:
        """Steps before a ledger that began again; 0 for a complete one."""
        return int(self.segments[0]["step"]) if self.segments else 0

    @property
    def devices(self) -> list[str]:
        """ "8 rank(s) on NVIDIA H200", one for each kind and number of devices that a segment ran on."""
        return list(
            dict.fromkeys(
                f"{s['world_size']} rank(s) on {s['environment']['processor']}" for s in self.segments
            )
        )


def read_folder(folder: Path) -> tuple[Manifest, dict[str, Any]]:
    """The manifest of an exported model and its `training.json`.

    Raises UserError for a folder that is no exported model, lacks a file, or is of an earlier version.
    """
    found = manifest.read_whole(folder, "model")
    if TRAINING_FILE not in found.files:
        raise UserError(
            f"{folder} was exported by an earlier version, which wrote no {TRAINING_FILE}; export it again"
        )
    path = folder / TRAINING_FILE
    if manifest.hash_file(path) != found.files[TRAINING_FILE]["sha256"]:
        raise UserError(f"{path} is not as it was exported; export the model again")
    return found, json.loads(path.read_text(encoding="utf-8"))


def gather(folder: Path, name: str, stated: Statements, watts: float = 0.0) -> Facts:
    """The facts of an exported model.

    Args:
        name: what to call the model where the provider does not say.
        watts: nominal power of a device; 0: by its name.

    Raises UserError as `read_folder` and `read_evaluation` do.
    """
    found, training = read_folder(folder)
    tokens, ledger = training["tokens"], training["ledger"]
    segments = ledger["segments"] if ledger else []
    seconds = [segment["seconds"] for segment in segments]
    seen = ledger.get("source_tokens") if ledger else None
    return Facts(
        name=stated.name or name,
        identity=found.identity,
        files=dict(found.files),
        stated=stated,
        ended=_iso(segments[-1]["ended"]) if segments else "",
        architecture=json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"],
        parameters=found.counts["parameters"],
        dtype=found.settings["dtype"],
        vocab_size=tokens["vocab_size"],
        rows_trained=training["rows_trained"],
        context=context_of(training),
        step=training["step"],
        averaged=describe(training.get("weights", {})),
        chat_template=training.get("chat", {}).get("template_sha256", ""),
        started_from=_started_from(training["config"], ledger or {}),
        tokens_seen=training["tokens_seen"],
        epochs=training["tokens_seen"] / max(1, tokens["train"]["tokens"]),
        flops=found.counts["training_flops"],
        flops_run=ledger["flops_run"] if ledger else None,
        steps_run=ledger["steps_run"] if ledger else None,
        segments=segments,
        energy=energy(segments, watts),
        languages=tokens["languages"],
        sources=[_source(entry, seen) for entry in tokens["sources"]],
        corpus=tokens.get("corpus", {}),
        config=training["config"],
        code=training["code"],
        shards=tokens["identity"],
        tokenizer_sha256=tokens["tokenizer_sha256"],
        results=results(read_evaluation(folder, found.identity)),
        device_hours=sum(segment["device_seconds"] for segment in segments) / 3600,
        wall_hours=sum(seconds) / 3600,
    )


def _started_from(config: dict[str, Any], ledger: dict[str, Any]) -> str:
    """The folder whose weights training began with; "" where they were drawn."""
    name = config["train"].get("init_from", "")
    identity = ledger.get("init_from", {}).get("identity", "")
    return (
        f"{Path(name).name}, {f'manifest {identity}' if identity else 'without a manifest'}" if name else ""
    )


def _source(entry: dict[str, Any], seen: dict[str, int] | None) -> Source:
    """A source of the shards' manifest; shards of version 0.1 say less of it."""
    return Source(
        name=entry["name"],
        languages=entry["lang"],
        licence=entry["license"],
        legal_basis=entry["legal_basis"],
        unverified=entry["unverified"],
        kind=entry.get("kind", ""),
        period=entry.get("collected_at", ""),
        url=entry.get("url", ""),
        dataset=entry.get("dataset", ""),
        documents=entry["train_documents"],
        tokens=entry["train_tokens"],
        bytes=entry["train_bytes"],
        opt_out=entry.get("opt_out"),
        opted_out=entry.get("opted_out", 0),
        domains=entry.get("domains", {}),
        num_domains=entry.get("num_domains", 0),
        tokens_seen=None if seen is None else seen.get(entry["name"], 0),
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
