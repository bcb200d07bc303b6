"""Terms, the forms that name a person, and what is read of sources: without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from onnuri.export.card.cyclonedx import _data
from onnuri.export.card.facts import Source
from onnuri.hub import accounts, repositories
from onnuri.hub.config import HubConfig
from onnuri.hub.consent import basis, grants, requests, tables, terms
from onnuri.hub.errors import HubError
from onnuri.hub.hub import Hub
from onnuri.hub.records import Caller, Repository

DAY = 86_400


class Case:
    """A hub with a gated dataset of the institute's, and somebody who asks."""

    def __init__(self, hub: Hub, gate: str = "auto") -> None:
        self.hub = hub
        with hub.database.writing() as connection:
            boss = accounts.create_user(connection, "boss")
            user = accounts.create_user(connection, "park", "박 연구원", "park@example.go.kr")
            owner = accounts.create_organisation(connection, "institute", "국어 연구소", boss)
            made = repositories.create(connection, "dataset", owner, "corpus", False, "boss")
            repositories.set_facts(connection, made.id, gated=gate)
            self.repository = repositories.by_id(connection, made.id)
        self.person = Caller(user, "park", method="token:1")
        self.boss = Caller(boss, "boss", method="token:2")

    def ask(self) -> Any:
        with self.hub.database.writing() as connection:
            found = requests.show(connection, self.hub.signer, self.repository, self.person)
            given = {
                "terms": found.sha256,
                "language": "en",
                "agreed": ["terms", "personal_data"],
                "affiliation": "University",
                "purpose": "research",
            }
            return requests.ask(connection, self.hub.signer, self.repository, self.person, given)

    def why_not(self) -> str:
        with self.hub.database.reading() as connection:
            return grants.why_not(connection, self.person, self.repository)

    def sweep(self, days: float) -> int:
        with self.hub.database.writing() as connection:
            return requests.sweep(connection, time.time() + days * DAY)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    hub = Hub(HubConfig(data=str(tmp_path / "hub")))
    yield Case(hub)
    hub.close()


def test_what_names_a_person_is_deleted_in_time(case: Case) -> None:
    """The rows stay, under a pseudonym that leads to nobody."""
    case.ask()
    assert case.sweep(5000) == 0, "access goes on"
    with case.hub.database.writing() as connection:
        grants.withdraw(connection, case.repository, case.person)
    assert case.sweep(terms.RETENTION_DAYS - 1) == 0
    assert case.sweep(terms.RETENTION_DAYS + 1) == 1
    with case.hub.database.reading() as connection:
        rows = connection.execute(select(tables.grants)).all()
        assert [row.status for row in rows] == ["accepted", "withdrawn"]
        assert not connection.execute(select(tables.forms)).all()
        assert not connection.execute(select(tables.subjects)).all()
    assert b"park@example.go.kr" not in b"".join(repr(tuple(row)).encode() for row in rows)
    assert case.ask().subject == rows[0].subject, "the same secret gives the same pseudonym"


def test_a_request_that_nobody_decides_lapses(tmp_path: Path) -> None:
    hub = Hub(HubConfig(data=str(tmp_path / "hub")))
    try:
        case = Case(hub, "manual")
        case.ask()
        assert "awaits a decision" in case.why_not()
        assert case.sweep(terms.RETENTION_DAYS + 1) == 1
        assert "must be asked for" in case.why_not()
        assert case.ask().status == "pending"
    finally:
        hub.close()


def test_access_ends(case: Case) -> None:
    row = case.ask()
    assert not case.why_not()
    with case.hub.database.writing() as connection:
        ends = update(tables.grants).where(tables.grants.c.id == row.id)
        connection.execute(ends.values(expires=time.time() - 1))
    assert "ended on" in case.why_not()
    assert case.ask().id != row.id and not case.why_not()


def test_terms_name_their_recipient(case: Case) -> None:
    """Who gets the data is named; with another owner the terms are others."""
    repository = case.repository
    with case.hub.database.writing() as connection:
        found = terms.stored(connection, repository).content["items"]
        for vague in ("국어 연구소 등", "the institute and others"):
            items = {**found, "ko": {**found["ko"], "recipient": vague}}
            with pytest.raises(HubError, match="named in full"):
                terms.publish(connection, repository, "boss", {"items": items})
        for wrong in (
            {"items": {"ko": found["ko"]}},
            {"retention_days": 0},
            {"retention_days": True},
            {"text": {"ko": "", "en": "x"}},
            {"fields": [{"name": "x", "type": "file"}]},
            {"fields": [{"name": "x", "type": "select"}]},
            {"fields": [{"name": "x"}, {"name": "x "}]},
            {"more": 1},
        ):
            with pytest.raises(HubError):
                terms.publish(connection, repository, "boss", wrong)
        own = terms.publish(connection, repository, "boss", {"retention_days": 30})
        again = terms.publish(connection, repository, "boss", {"retention_days": 30})
        assert (own.version, again.sha256) == (2, own.sha256)
    case.ask()
    with case.hub.database.writing() as connection:
        other = accounts.create_organisation(connection, "other", "다른 연구소", case.boss.id)
        repositories.move(connection, repository, other, "corpus")
        case.repository = repositories.by_id(connection, repository.id)
    assert "have changed" in case.why_not()
    assert case.ask().recipient == "다른 연구소 (other)"
    assert not case.why_not()
    with case.hub.database.reading() as connection:
        assert [each.version for each in terms.history(connection, repository)] == [3, 2, 1]


def test_a_token_that_only_reads_gives_no_consent(case: Case) -> None:
    case.person = Caller(case.person.id, "park", role="read", method="token:1")
    with pytest.raises(HubError, match="role write"):
        case.ask()


def read(**files: Any) -> dict[str, Any]:
    contents = {name.replace("_", "."): json.dumps(value).encode() for name, value in files.items()}
    return basis.read_sources(lambda path, most: contents.get(path), set(contents))


def test_sources_of_what_onnuri_writes(sample: Callable[[str], str]) -> None:
    for folder in ("corpus", "tokens"):
        manifest = json.loads(Path(sample(folder), "manifest.json").read_bytes())
        found = read(manifest_json=manifest)
        assert found["kind"] == "data" and found["sources"]
        given = manifest["counts"]["sources"]
        names = set(given) if isinstance(given, dict) else {each["name"] for each in given}
        assert set(found["sources"]) == names
        assert all(each["license"] and each["legal_basis"] for each in found["sources"].values())
    for damaged in ({"kind": "corpus", "producer": "onnuri 1", "counts": []}, [], None):
        (only,) = read(manifest_json=damaged)["sources"].values()
        assert only["legal_basis"] == "unverified"
    assert read(manifest_json={"name": "a web page's"}) == {"kind": "", "sources": {}}


def test_sources_of_an_exported_model() -> None:
    """As `onnuri export` writes them into sbom.cdx.json."""

    def source(name: str, unverified: bool) -> Source:
        texts = {"kind": "licensed", "period": "", "url": "https://example.kr", "dataset": ""}
        numbers = {"documents": 1, "tokens": 1, "bytes": 1, "opt_out": None, "opted_out": 0}
        rights = {"licence": "CC-BY-4.0", "legal_basis": "consent", "unverified": unverified}
        return Source(name, "ko", **rights, **texts, **numbers, domains={}, num_domains=0)

    components = [_data(source("news", False)), _data(source("talks", True)), {"type": "file"}]
    found = read(sbom_cdx_json={"components": components})
    assert found["kind"] == "model"
    assert {name: (each["license"], each["legal_basis"]) for name, each in found["sources"].items()} == {
        "news": ("CC-BY-4.0", "consent"),
        "talks": ("CC-BY-4.0", "unverified"),
    }


def with_sources(case: Case, kind: str, **sources: dict[str, Any]) -> Repository:
    full = {name: basis._source(entry) for name, entry in sources.items()}
    with case.hub.database.writing() as connection:
        facts = {"sources": {"kind": kind, "sources": full}}
        repositories.set_facts(connection, case.repository.id, facts=facts)
        return repositories.by_id(connection, case.repository.id)


def test_what_may_leave(case: Case) -> None:
    fine = {"license": "CC-BY-4.0", "legal_basis": "open-licence"}
    closed = {"license": "LicenseRef-AIHub", "legal_basis": "contract"}
    for sources, expected in (
        ({}, ""),
        ({"a": fine}, ""),
        ({"a": fine, "b": closed}, "forbids passing the data on: b"),
        ({"a": {**fine, "url": "https://aihub.or.kr/data/1"}}, "forbids passing the data on: a"),
        ({"a": {"legal_basis": "unverified"}}, "unverified: a"),
    ):
        repository = with_sources(case, "data", **sources)
        with case.hub.database.reading() as connection:
            assert expected in (found := basis.may_leave(connection, repository)) and bool(found) == bool(
                expected
            )


def test_pseudonymised_data_is_gated_and_says_so(case: Case) -> None:
    repository = with_sources(case, "data", a={"license": "x", "legal_basis": "pseudonymised"})
    with case.hub.database.writing() as connection:
        assert "pseudonymised" in terms.current(connection, repository).content["text"]["en"]
        assert not basis.why_not_public(connection, repository)
        repositories.set_facts(connection, repository.id, gated="")
        again = repositories.by_id(connection, repository.id)
        assert "must be gated" in basis.why_not_public(connection, again)
