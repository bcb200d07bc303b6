"""On what grounds the data of a repository may be given on: per source its licence, the legal basis under
the Korean Personal Information Protection Act, and who may receive it. This is the consent of the people in
the data, not that of whoever asks for the files.

Sources come from what Onnuri itself writes into a folder (manifest.json of a corpus or of token shards,
sbom.cdx.json of a model) and from what the uploader states, which says more about the same sources.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, insert, select

from onnuri.corpus.licences import NO_DERIVATIVES, NONCOMMERCIAL, restrictions
from onnuri.hub import schema
from onnuri.hub.consent import tables
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.records import Repository

UNVERIFIED, PSEUDONYMISED = "unverified", "pseudonymised"
BASES = (
    *("open-licence", "consent", "legitimate-interest", "public-data", "contract"),  # as in a recipe
    *("statute", PSEUDONYMISED, "none-contained", UNVERIFIED),
)
"""pseudonymised: article 28-2. none-contained: no personal data. Everything but the first line is stated
on the hub alone."""
NEED_REFERENCE = ("consent", "statute")
KEYS = ("name", "license", "legal_basis", "reference", "recipients")
MOST_SOURCES, LONGEST, MOST_RECIPIENTS = 2000, 500, 500
LARGEST_MANIFEST = 16 << 20
"""Bytes."""
_NOT_GIVEN_ON = re.compile(
    r"licenseref-(?:aihub|nikl)|(?<![a-z])ai[ -]?hub(?![a-z])|aihub\.or\.kr|ai ?허브"
    r"|모두의 ?말뭉치|kli\.korean\.go\.kr|no-?redistribution|재배포 ?금지",
    re.IGNORECASE,
)
"""Data that its provider gives to each user himself: who has it may not pass it on, nor carry it abroad."""

Sources = dict[str, dict[str, Any]]


def read_sources(content: Callable[..., bytes | None], paths: set[str]) -> dict[str, Any]:
    """What the files say: kind (data, model, "" of nothing known), and sources by name.

    Args:
        content: reads a file of a repository, up to a size; None if it is larger.
    """
    if "sbom.cdx.json" in paths:
        found = _json(content("sbom.cdx.json", LARGEST_MANIFEST))
        if found is None:
            return {"kind": "model", "sources": _unreadable("sbom.cdx.json")}
        if sources := _of_sbom(found):
            return {"kind": "model", "sources": sources}
    if "manifest.json" in paths:
        found = _json(content("manifest.json", LARGEST_MANIFEST))
        if found is None:
            return {"kind": "data", "sources": _unreadable("manifest.json")}
        if str(found.get("producer", "")).startswith("onnuri ") and found.get("kind") in (
            "corpus",
            "tokens",
        ):
            return {"kind": "data", "sources": _of_manifest(found)}
    return {"kind": "", "sources": {}}


def _unreadable(name: str) -> Sources:
    return {name: _source({"legal_basis": UNVERIFIED})}


def _json(content: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _of_manifest(manifest: dict[str, Any]) -> Sources:
    """Of a corpus, a dict by name; of token shards, a list."""
    counts = manifest.get("counts")
    given = counts.get("sources") if isinstance(counts, dict) else None
    rows = list(given.items()) if isinstance(given, dict) else []
    if isinstance(given, list):
        rows = [(each.get("name"), each) for each in given if isinstance(each, dict)]
    found: Sources = {}
    for name, entry in rows[:MOST_SOURCES]:
        if not isinstance(entry, dict):
            continue
        bases = str(entry.get("legal_basis") or "")
        unverified = bool(entry.get("unverified")) or not bases
        words = {"license": entry.get("license"), "url": entry.get("url")}
        found[str(name)[:LONGEST]] = _source(words | {"legal_basis": UNVERIFIED if unverified else bases})
    return found or _unreadable("manifest.json")


def _of_sbom(sbom: dict[str, Any]) -> Sources:
    found: Sources = {}
    components = sbom.get("components")
    for each in components if isinstance(components, list) else []:
        if not isinstance(each, dict) or each.get("type") != "data":
            continue
        facts: dict[str, str] = {}
        for entry in _walk(each.get("data")):
            if str(entry.get("name", "")).startswith("onnuri:"):
                facts[entry["name"].removeprefix("onnuri:")] = str(entry.get("value", ""))
        if not facts:
            continue
        licence = " AND ".join(
            str(value.get("expression") or value.get("name") or "")
            for value in _walk(each.get("licenses"))
            if value.get("expression") or value.get("name")
        )
        verified = facts.get("licence_verified") == "true" and facts.get("legal_basis")
        words = {"license": licence, "url": facts.get("url")}
        found[str(each.get("name"))[:LONGEST]] = _source(
            words | {"legal_basis": facts["legal_basis"] if verified else UNVERIFIED}
        )
    return dict(list(found.items())[:MOST_SOURCES])


def _walk(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    """All objects in a JSON value, those that hold others first."""
    if depth > 8:
        return []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [value] if isinstance(value, dict) else []
    return found + [each for part in inner for each in _walk(part, depth + 1)]


def _source(given: dict[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] = {
        key: str(given.get(key) or "")[:LONGEST] for key in ("license", "legal_basis", "reference", "url")
    }
    return source | {"recipients": list(given.get("recipients") or [])}


def sources_of(connection: Connection, repository: Repository) -> Sources:
    """All sources that are known, by name: what the files say, with what the uploader states upon it.

    A licence in the files stays beside the one that is stated, so that none is stated away.
    """
    found: Sources = {
        name: dict(entry)
        for name, entry in (repository.facts.get("sources") or {}).get("sources", {}).items()
    }
    for name, entry in stated(connection, repository).items():
        before = found.get(name)
        found[name] = dict(entry)
        if before and before["license"] and before["license"] != entry["license"]:
            found[name]["license"] = f"{entry['license']} AND {before['license']}".removeprefix(" AND ")
        if before and before["url"]:
            found[name]["url"] = before["url"]
    return found


def stated(connection: Connection, repository: Repository) -> Sources:
    """What the uploader states, by name."""
    table = tables.bases
    query = select(table.c.sources).where(table.c.repository == repository.uid).order_by(table.c.id.desc())
    return dict(connection.execute(query.limit(1)).scalar() or {})


def state(connection: Connection, repository: Repository, creator: str, given: Any) -> Sources:
    """Keep a statement of all sources. Raises HubError with what is wrong."""
    if not isinstance(given, list) or not 0 < len(given) <= MOST_SOURCES:
        raise bad_request(f"sources is a list of 1 to {MOST_SOURCES:,}")
    found: Sources = {}
    for each in given:
        name, entry = _checked(each)
        if name in found:
            raise bad_request(f"the source {name!r} is stated twice")
        found[name] = entry
    connection.execute(
        insert(tables.bases).values(
            repository=repository.uid, sources=found, creator=creator, created=time.time()
        )
    )
    return found


def _checked(given: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(given, dict) or set(given) - set(KEYS):
        raise bad_request(f"a source has {', '.join(KEYS)}")
    for key in ("name", "license", "legal_basis", "reference"):
        if not isinstance(given.get(key, ""), str) or len(given.get(key, "")) > LONGEST:
            raise bad_request(f"{key} of a source is a text of {LONGEST} characters at most")
    name, basis = given.get("name", "").strip(), given.get("legal_basis", "")
    if not name or basis not in BASES:
        raise bad_request(f"a source has a name and a legal_basis: one of {', '.join(BASES)}")
    if basis != UNVERIFIED and not given.get("license", "").strip():
        raise bad_request(f"the source {name!r} has no license: its SPDX name, or legal_basis unverified")
    if basis in NEED_REFERENCE and not given.get("reference", "").strip():
        raise bad_request(f"the source {name!r}: {basis} needs a reference, to the record or the article")
    recipients = given.get("recipients", [])
    if (
        not isinstance(recipients, list)
        or len(recipients) > MOST_RECIPIENTS
        or not all(isinstance(each, str) and 0 < len(each) <= LONGEST for each in recipients)
    ):
        raise bad_request("recipients is a list of names of accounts of this hub; empty: everybody")
    return name, _source(given)


def is_pseudonymised(connection: Connection, repository: Repository) -> bool:
    """Whether a source is under article 28-2, so that nobody may try to identify people in it."""
    return any(each["legal_basis"] == PSEUDONYMISED for each in sources_of(connection, repository).values())


def _not_given_on(sources: Sources, repository: Repository) -> list[str]:
    """Sources that must not be passed on; what was trained on them is not those data."""
    if repository.type == "model" and (repository.facts.get("sources") or {}).get("kind") != "data":
        return []
    words = {name: f"{name} {each['license']} {each['url']}" for name, each in sources.items()}
    return sorted(name for name, text in words.items() if _NOT_GIVEN_ON.search(text))


def why_not_public(connection: Connection, repository: Repository, required: bool = False) -> str:
    """Why a repository must not be public as it is; "" if it may.

    Args:
        required: whether a dataset whose sources nobody has stated may not be public either.
    """
    if repository.private:
        return ""
    sources = sources_of(connection, repository)
    if not sources and required and repository.type == "dataset":
        return "nobody has stated its sources: POST .../basis"
    unverified = sorted(name for name, each in sources.items() if each["legal_basis"] == UNVERIFIED)
    if unverified:
        return f"licence and legal basis are unverified: {_some(unverified)}"
    if kept := _not_given_on(sources, repository):
        return f"the licence forbids passing the data on: {_some(kept)}"
    if repository.gated:
        return ""
    closed = sorted(
        name for name, each in sources.items() if each["recipients"] or each["legal_basis"] == PSEUDONYMISED
    )
    if closed:
        return f"only named recipients, or research, may have it, so it must be gated: {_some(closed)}"
    return ""


def check_public(connection: Connection, repository: Repository, required: bool = False) -> None:
    """Raises HubError if a repository must not be public as it is."""
    if reason := why_not_public(connection, repository, required):
        raise HubError(403, f"{repository.full_name} must stay private: {reason}")


def may_leave(connection: Connection, repository: Repository) -> str:
    """Why a repository must not be carried to another hub; "" if it may. Private or not, it would be given
    to another there."""
    sources = sources_of(connection, repository)
    if kept := _not_given_on(sources, repository):
        return f"the licence forbids passing the data on: {_some(kept)}"
    unverified = sorted(name for name, each in sources.items() if each["legal_basis"] == UNVERIFIED)
    if unverified:
        return f"licence and legal basis are unverified: {_some(unverified)}"
    named = sorted(name for name, each in sources.items() if each["recipients"])
    if named:
        return f"it may be given to named recipients of this hub alone: {_some(named)}"
    return ""


def why_not_to(connection: Connection, repository: Repository, user: int, name: str) -> str:
    """Why a user must not receive the data, whoever grants it; "" if he may.

    He is covered by his own name or that of an organisation of his: an affiliation that he states himself
    counts for nothing.
    """
    limited = {
        source: {each.casefold() for each in entry["recipients"]}
        for source, entry in sources_of(connection, repository).items()
        if entry["recipients"]
    }
    if not limited:
        return ""
    accounts, members = schema.accounts.c, schema.members.c
    rows = connection.execute(
        select(accounts.name_key)
        .join(schema.members, members.organisation == accounts.id)
        .where(members.user == user)
    )
    names = {name.casefold(), *(row.name_key for row in rows)}
    outside = sorted(source for source, allowed in limited.items() if not names & allowed)
    if outside:
        return f"{name} is not among the recipients that the data may be given to: {_some(outside)}"
    return ""


def warnings(connection: Connection, repository: Repository) -> list[str]:
    """What an owner should know of a mix of licences."""
    sources = sources_of(connection, repository)
    found = []
    forbidden = {name: restrictions(each["license"]) for name, each in sources.items()}
    for restriction, text in (
        (NONCOMMERCIAL, "forbid commercial use, so that all of it is for non-commercial use"),
        (NO_DERIVATIVES, "forbid changes: a changed or mixed form must not be passed on"),
    ):
        names = sorted(name for name, each in forbidden.items() if restriction in each)
        if names and len(names) < len(sources):
            found.append(f"{_some(names)} {text}, while other sources allow it")
        elif names:
            found.append(f"{_some(names)} {text}")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
