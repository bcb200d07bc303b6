"""Consent as a page or a script gives it."""

from __future__ import annotations

from typing import Any

from tests.hub.hubs import Server


def read_terms(hub: Server, who: str, name: str) -> Any:
    """The terms of a dataset, shown to someone."""
    with hub.client(who) as client:
        return client.get(f"/api/datasets/{name}/terms").raise_for_status().json()


def agreement(terms: Any) -> dict[str, Any]:
    """What accepts them, with the first option of each field that has some."""
    fields = {each["name"]: each["options"][0] for each in terms["fields"] if each["options"]}
    return {
        "terms": terms["sha256"],
        "language": "ko",
        "agreed": ["terms", "personal_data"],
        "affiliation": "대학",
        "purpose": "연구",
        "fields": fields,
    }


def ask(hub: Server, who: str, name: str) -> Any:
    """Read and accept the terms of a dataset."""
    body = agreement(read_terms(hub, who, name))
    with hub.client(who) as client:
        return client.post(f"/api/datasets/{name}/ask-access", json=body).raise_for_status().json()
