"""SPDX 3.0.1 and CycloneDX 1.6: what they refer to is there, and their schemas hold."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from onnuri.export.card.config import Statements
from onnuri.export.card.cyclonedx import cyclonedx
from onnuri.export.card.facts import Facts, gather
from onnuri.export.card.spdx import spdx
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from tests.export.card.made_model import task, write_evaluation


@pytest.fixture(scope="module")
def facts(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    folder = tmp_path_factory.mktemp("sboms") / "model"
    export(ExportConfig(checkpoint=str(undisturbed), output=str(folder)))
    write_evaluation(folder, kobest_copa=task(0.551))
    stated = Statements(provider="Some Lab", contact="a@b.kr", licence="Apache-2.0 OR MIT", limits="few")
    return gather(folder, "model", stated, watts=100)


def test_cyclonedx(facts: Facts) -> None:
    document = cyclonedx(facts)
    refs = [component["bom-ref"] for component in document["components"]]
    assert len(set(refs)) == len(refs) == len(facts.files) + len(facts.sources)
    model = document["metadata"]["component"]
    card = model["modelCard"]
    assert {each["ref"] for each in card["modelParameters"]["datasets"]} <= set(refs)
    assert model["licenses"] == [{"expression": "Apache-2.0 OR MIT"}]
    (metric, bits) = card["quantitativeAnalysis"]["performanceMetrics"]
    assert (metric["value"], metric["confidenceInterval"]["upperBound"]) == ("0.551", str(0.551 + 0.03))
    assert (bits["type"], bits["value"]) == ("bits_per_byte", "3.123456")
    found = {each["name"]: each["value"] for each in card["properties"]}
    assert "estimated, not measured" in found["onnuri:training_energy"]
    assert float(found["onnuri:training_flops_share_of_1e26"]) == facts.flops / 1e26


def test_cyclonedx_schema(facts: Facts) -> None:
    """Every version of the library brings the schema of 1.6."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(cyclonedx(facts))) is None
    broken = cyclonedx(facts) | {"metadata": {"component": {"type": "model", "name": "x"}}}
    assert validator.validate_str(json.dumps(broken)) is not None


def elements_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["spdxId"]: each for each in document["@graph"] if "spdxId" in each}


def test_spdx(facts: Facts) -> None:
    document = spdx(facts)
    elements = elements_of(document)
    assert len(elements) == len(document["@graph"]) - 1, "one element an id, and CreationInfo"
    (creation,) = (each for each in document["@graph"] if each["type"] == "CreationInfo")
    assert creation["created"] == facts.ended != ""
    for each in elements.values():
        if each["type"] == "Relationship":
            assert {each["from"], *each["to"]} <= elements.keys()
    kinds = [each.get("relationshipType") for each in elements.values()]
    assert {"trainedOn", "testedOn", "contains", "hasDeclaredLicense"} <= set(kinds)
    (model,) = (each for each in elements.values() if each["type"] == "ai_AIPackage")
    assert {"type": "DictionaryEntry", "key": "kobest_copa accuracy_bytes", "value": "0.551"} in model[
        "ai_metric"
    ]
    (energy,) = model["ai_energyConsumption"]["ai_trainingEnergyConsumption"]
    assert float(energy["ai_energyQuantity"]) == pytest.approx(facts.energy.kwh, abs=1e-6)
    sizes = {e["name"]: e.get("dataset_datasetSize") for e in elements.values() if "dataset" in e["type"]}
    assert {source.name: source.bytes for source in facts.sources}.items() <= sizes.items()


def test_spdx_as_its_own_library_reads_it(facts: Facts) -> None:
    """Types, cardinalities and enumerations. spdx3-validate, which also checks shapes, downloads them."""
    library: Any = importlib.import_module("spdx_python_model.bindings.v3_0_1")

    def read(document: dict[str, Any]) -> Any:
        found = library.SHACLObjectSet()
        library.JSONLDDeserializer().deserialize_data(document, found)
        return found

    (model,) = read(spdx(facts)).foreach_type("ai_AIPackage")
    assert model.name == "model"
    broken = spdx(facts)
    next(each for each in broken["@graph"] if each["type"] == "ai_AIPackage")["ai_autonomyType"] = "maybe"
    with pytest.raises(ValueError, match="maybe"):
        read(broken)


def test_no_provider_and_no_licence(facts: Facts) -> None:
    bare = Facts(**{**facts.__dict__, "stated": Statements(), "results": [], "ended": ""})
    elements = elements_of(spdx(bare))
    assert any("To be completed by the provider" in each.get("name", "") for each in elements.values())
    assert all(not each["spdxId"].endswith("#licence-model") for each in elements.values())
    document = cyclonedx(bare)
    assert "supplier" not in document["metadata"] and "timestamp" not in document["metadata"]
    assert "licenses" not in document["metadata"]["component"]
