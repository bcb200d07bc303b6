"""`sbom.cdx.json`: the model, its files and its data in CycloneDX 1.6, with a model card.

The schema has no place for energy without the names of the power plants, so it stands in the properties.
"""

from __future__ import annotations

import uuid
from typing import Any

from onnuri.export.card import wording
from onnuri.export.card.facts import Facts, Source
from onnuri.export.card.readme import LIMITS
from onnuri.export.card.results import Result


def cyclonedx(facts: Facts) -> dict[str, Any]:
    """The document. Equal facts give equal bytes."""
    metadata: dict[str, Any] = {"component": _model(facts)}
    if facts.ended:
        metadata = {"timestamp": facts.ended} | metadata
    if facts.stated.provider:
        contact = [{"name": facts.stated.contact}] if facts.stated.contact else []
        metadata["supplier"] = {"name": facts.stated.provider} | ({"contact": contact} if contact else {})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"cyclonedx:{facts.identity}").urn,
        "version": 1,
        "metadata": metadata,
        "components": [*_files(facts), *(_data(source) for source in facts.sources)],
    }


def _model(facts: Facts) -> dict[str, Any]:
    statements = facts.stated
    considerations = {
        "technicalLimitations": [text for text in (LIMITS, statements.limits) if text],
        "useCases": [wording.stated(statements.intended_use, "what the model is meant for")],
    }
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "self-supervised"},
            "task": "text-generation",
            "architectureFamily": "transformer decoder",
            "modelArchitecture": facts.architecture,
            "datasets": [{"ref": f"data-{source.name}"} for source in facts.sources],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "considerations": considerations,
        "properties": _properties(facts),
    }
    if facts.results:
        card["quantitativeAnalysis"] = {"performanceMetrics": [_metric(row) for row in facts.results]}
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": facts.name,
        "version": facts.identity[:12],
        "description": f"{facts.parameters} parameters, manifest {facts.identity}",
    }
    return component | _licences(statements.licence) | {"modelCard": card}


def _properties(facts: Facts) -> list[dict[str, str]]:
    found = {
        "step": facts.step,
        **({"weights": facts.averaged} if facts.averaged else {}),
        "tokens_seen": facts.tokens_seen,
        "training_flops": facts.flops,
        "training_flops_run": "not recorded" if facts.flops_run is None else facts.flops_run,
        "training_flops_share_of_1e26": facts.compute_share,
        "training_energy": wording.energy(facts),
        "hardware": wording.hardware(facts),
        "shards": facts.shards,
        "code": f"{facts.code['version']} {facts.code['commit']}".strip(),
    }
    return [{"name": f"onnuri:{name}", "value": str(value)} for name, value in found.items()]


def _metric(row: Result) -> dict[str, Any]:
    found: dict[str, Any] = {"type": row.metric, "value": str(row.value), "slice": row.task}
    if row.low is not None and row.high is not None:
        found["confidenceInterval"] = {"lowerBound": str(row.low), "upperBound": str(row.high)}
    return found


def _files(facts: Facts) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "bom-ref": f"file-{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
        }
        for name, entry in sorted(facts.files.items())
    ]


def _data(source: Source) -> dict[str, Any]:
    values = {
        "kind": source.kind,
        "collected": source.period,
        "legal_basis": source.legal_basis,
        "languages": source.languages,
        "url": source.url,
    }
    properties = {name: value or wording.NOT_STATED for name, value in values.items()} | {
        "documents": str(source.documents),
        "tokens": str(source.tokens),
        "bytes": str(source.bytes),
        "licence_verified": str(not source.unverified).lower(),
    }
    return {
        "type": "data",
        "bom-ref": f"data-{source.name}",
        "name": source.name,
        **_licences(source.licence),
        "data": [
            {
                "type": "dataset",
                "name": source.name,
                "contents": {
                    "properties": [{"name": f"onnuri:{k}", "value": v} for k, v in properties.items()]
                },
            }
        ],
    }


def _licences(licence: str) -> dict[str, Any]:
    if not licence:
        return {}
    named = {"expression": licence} if wording.is_expression(licence) else {"license": {"name": licence}}
    return {"licenses": [named]}
