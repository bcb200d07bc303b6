"""What is in a bundle, for those who must approve it: a CycloneDX 1.6 document in JSON."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.utils import canonicalize_name

from onnuri.base.manifest import hash_file, hash_json
from onnuri.gpu.wheels import read_metadata

LONGEST_NAME = 100
"""Some packages have the whole text of their licence where its name belongs."""


def write_sbom(path: Path, wheels: Path, code: dict[str, str], time: int) -> None:
    """Name, version, package URL, licence and sha256 of every wheel. Equal wheels give equal bytes."""
    components = [component(wheel) for wheel in sorted(wheels.glob("*.whl"))]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.UUID(hash_json(components)[:32]).urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(time, UTC).isoformat(),
            "component": {
                "type": "application",
                "bom-ref": "onnuri-bundle",
                "name": "onnuri-bundle",
                "version": code["version"],
                "properties": [{"name": "onnuri:commit", "value": code["commit"] or "unknown"}],
            },
        },
        "components": components,
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def component(wheel: Path) -> dict[str, Any]:
    """A wheel as CycloneDX has it."""
    metadata = read_metadata(wheel)
    name, version = canonicalize_name(metadata["Name"]), metadata["Version"]
    purl = f"pkg:pypi/{name}@{quote(version)}"
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": hash_file(wheel)}],
        "properties": [{"name": "onnuri:file", "value": f"wheels/{wheel.name}"}],
    }
    if licences := licences_of(metadata):
        found["licenses"] = licences
    return found


def licences_of(metadata: Message) -> list[dict[str, Any]]:
    """The SPDX expression of a package, or else the name that it gives; none where it gives none."""
    if expression := metadata["License-Expression"]:
        return [{"expression": expression}]
    words = " ".join((metadata["License"] or "").split())
    if words and words.upper() != "UNKNOWN" and len(words) <= LONGEST_NAME:
        return [{"license": {"name": words}}]
    classifiers = metadata.get_all("Classifier") or []
    names = [word.rpartition(" :: ")[2] for word in classifiers if word.startswith("License :: ")]
    return [{"license": {"name": name}} for name in names if name != "OSI Approved"]
