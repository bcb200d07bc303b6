"""`sbom.spdx.json`: the model, its files and its data in SPDX 3.0.1 (JSON-LD), profiles AI and Dataset."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from onnuri import __version__
from onnuri.export.card import wording
from onnuri.export.card.facts import Facts, Source
from onnuri.export.card.readme import LIMITS
from onnuri.run.run_file import flatten

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
CREATION = "_:creation"
NO_TIME = "1970-01-01T00:00:00Z"
"""`created` must be there: of a run without a ledger nobody knows when it ended."""
Element = dict[str, Any]


def spdx(facts: Facts) -> dict[str, Any]:
    """The document. Equal facts give equal bytes."""
    base = f"{uuid.uuid5(uuid.NAMESPACE_URL, f'spdx:{facts.identity}').urn}#"
    elements = [_provider(facts, base), _tool(base), _model(facts, base)]
    elements += [element for source in facts.sources for element in _dataset(facts, source, base)]
    elements += _files(facts, base)
    elements += _licence(facts.stated.licence, "model", base)
    data = [f"{base}data-{quote(source.name)}" for source in facts.sources]
    elements.append(_relationship("model", "trainedOn", data, base))
    if facts.results:
        tests = list(dict.fromkeys(row.task for row in facts.results))
        elements += [_benchmark(name, base) for name in tests]
        elements.append(_relationship("model", "testedOn", [f"{base}test-{quote(n)}" for n in tests], base))
    for element in elements:
        element["creationInfo"] = CREATION
    return {"@context": CONTEXT, "@graph": [*_document(facts, base, elements), *elements]}


def _document(facts: Facts, base: str, elements: list[Element]) -> list[Element]:
    creation = {
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": "3.0.1",
        "created": facts.ended or NO_TIME,
        "createdBy": [f"{base}provider"],
        "createdUsing": [f"{base}tool"],
    }
    if not facts.ended:
        creation["comment"] = "the time is not known: the run has no ledger"
    document = {
        "type": "SpdxDocument",
        "spdxId": f"{base}document",
        "creationInfo": CREATION,
        "name": f"{facts.name} {facts.identity[:12]}",
        "profileConformance": ["core", "software", "simpleLicensing", "ai", "dataset"],
        "rootElement": [f"{base}model"],
        "element": sorted(element["spdxId"] for element in elements),
    }
    return [creation, document]


def _provider(facts: Facts, base: str) -> Element:
    name = wording.stated(facts.stated.provider, "name of the provider")
    element: Element = {"type": "Organization", "spdxId": f"{base}provider", "name": name}
    if contact := facts.stated.contact:
        element["comment"] = f"contact: {contact}"
    return element


def _tool(base: str) -> Element:
    return {"type": "Tool", "spdxId": f"{base}tool", "name": f"onnuri {__version__}"}


def _model(facts: Facts, base: str) -> Element:
    statements = facts.stated
    element: Element = {
        "type": "ai_AIPackage",
        "spdxId": f"{base}model",
        "name": facts.name,
        "software_packageVersion": facts.identity[:12],
        "software_primaryPurpose": "model",
        "suppliedBy": f"{base}provider",
        "summary": f"{facts.architecture}, {facts.parameters} parameters, manifest {facts.identity}",
        "ai_typeOfModel": ["transformer decoder", facts.architecture],
        "ai_domain": ["text generation"],
        "ai_autonomyType": "noAssertion",
        "ai_useSensitivePersonalInformation": "noAssertion",
        "ai_limitation": " ".join(text for text in (LIMITS, statements.limits) if text),
        "ai_informationAboutApplication": wording.stated(
            statements.intended_use, "what the model is meant for"
        ),
        "ai_informationAboutTraining": f"{facts.tokens_seen} tokens in {facts.step} steps; "
        f"{facts.averaged}{'; ' * bool(facts.averaged)}"
        f"{wording.compute(facts)}; {wording.hardware(facts)}; energy {wording.energy(facts)}",
        "ai_modelDataPreprocessing": [_preparation(facts)],
        "ai_hyperparameter": [
            _entry(name, value)
            for part in ("model", "data", "optim", "schedule", "train", "engine")
            for name, value in sorted(flatten({part: facts.config.get(part, {})}).items())
            if name != "data.path"
        ],
    }
    if facts.ended:
        element["builtTime"] = facts.ended
    if statements.download:
        element["software_downloadLocation"] = statements.download
    else:
        element["comment"] = f"{wording.TO_COMPLETE}: download location."
    if facts.results:
        element["ai_metric"] = [_entry(f"{row.task} {row.metric}", row.value) for row in facts.results]
    if facts.energy.kwh is not None:
        element["ai_energyConsumption"] = {
            "type": "ai_EnergyConsumption",
            "ai_trainingEnergyConsumption": [
                {
                    "type": "ai_EnergyConsumptionDescription",
                    "ai_energyQuantity": f"{facts.energy.kwh:.6f}",
                    "ai_energyUnit": "kilowattHour",
                }
            ],
        }
    return element


def _dataset(facts: Facts, source: Source, base: str) -> list[Element]:
    reference = f"data-{quote(source.name)}"
    kind, period = source.kind or wording.NOT_STATED, source.period or wording.NOT_STATED
    element: Element = {
        "type": "dataset_DatasetPackage",
        "spdxId": f"{base}{reference}",
        "name": source.name,
        "software_primaryPurpose": "data",
        "dataset_datasetType": ["text"],
        "dataset_datasetSize": source.bytes,
        "dataset_dataCollectionProcess": f"kind {kind}; collected {period}; legal basis "
        f"{source.legal_basis or wording.NOT_STATED}{' (unverified)' if source.unverified else ''}",
        "dataset_dataPreprocessing": [_preparation(facts)],
        "dataset_hasSensitivePersonalInformation": "noAssertion",
        "dataset_intendedUse": "training of a language model",
        "comment": f"{source.documents} documents, {source.tokens} tokens; languages {source.languages}",
    }
    if masked := wording.personal_data(facts):
        element["dataset_anonymizationMethodUsed"] = [masked]
    if "://" in source.url:
        element["software_homePage"] = source.url
    return [element, *_licence(source.licence, reference, base)]


def _preparation(facts: Facts) -> str:
    names = ", ".join(wording.stages(facts))
    return f"stages of the corpus: {names}" if names else "stages of the corpus: not on record"


def _benchmark(name: str, base: str) -> Element:
    return {
        "type": "dataset_DatasetPackage",
        "spdxId": f"{base}test-{quote(name)}",
        "name": name,
        "software_primaryPurpose": "data",
        "dataset_datasetType": ["text"],
        "dataset_intendedUse": "evaluation of the model",
    }


def _files(facts: Facts, base: str) -> list[Element]:
    elements: list[Element] = [
        {
            "type": "software_File",
            "spdxId": f"{base}file-{quote(name)}",
            "name": name,
            "software_primaryPurpose": "model" if name.endswith(".safetensors") else "configuration",
            "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": entry["sha256"]}],
        }
        for name, entry in sorted(facts.files.items())
    ]
    ids = [element["spdxId"] for element in elements]
    return [*elements, _relationship("model", "contains", ids, base)]


def _licence(licence: str, whose: str, base: str) -> list[Element]:
    """The licence as declared; nothing for one that is not stated, or no expression of SPDX."""
    if not wording.is_expression(licence):
        return []
    element: Element = {
        "type": "simplelicensing_LicenseExpression",
        "spdxId": f"{base}licence-{whose}",
        "simplelicensing_licenseExpression": licence,
    }
    return [element, _relationship(whose, "hasDeclaredLicense", [element["spdxId"]], base)]


def _relationship(start: str, kind: str, ends: list[str], base: str) -> Element:
    return {
        "type": "Relationship",
        "spdxId": f"{base}{kind}-{start}",
        "from": f"{base}{start}",
        "relationshipType": kind,
        "to": ends,
    }


def _entry(key: str, value: object) -> Element:
    return {"type": "DictionaryEntry", "key": key, "value": str(value)}
