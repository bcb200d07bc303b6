"""Terms of a gated repository, in versions. A version is never changed; who accepted an earlier one has to
accept the new one before he gets another file.

Where the owner has written none, they come from the front matter of README.md, as on huggingface.co
(extra_gated_prompt, extra_gated_heading, extra_gated_fields; with _ko or _en for one language), and from
the texts of `wording`. They name the owner as the recipient of personal data: with another owner, or other
front matter, they are another version.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from onnuri.base.manifest import hash_json
from onnuri.hub import schema
from onnuri.hub.consent import basis, tables, wording
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.records import Repository

KINDS = ("text", "checkbox", "date_picker", "country", "select")
"""Of fields, as on huggingface.co."""
RETENTION_DAYS = 365
MOST_DAYS = 3650
LONGEST_TEXT, LONGEST_ITEM, LONGEST_NAME, MOST_FIELDS, MOST_OPTIONS = 65_536, 4000, 200, 30, 200
_VAGUE = re.compile(r"(?:\s등|\s기타|\s외)[.)]?\s*$|\b(?:and others|etc\.?|among others)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Terms:
    """One version."""

    version: int
    sha256: str
    content: dict[str, Any]
    """heading and text by language; items by language and name; retention_days, access_days; fields."""
    origin: str
    creator: str = ""
    created: float = 0
    """0: not stored yet."""
    keeps_decisions: bool = False

    @property
    def fields(self) -> list[dict[str, Any]]:
        """What the form asks beside affiliation and purpose: name, type, options, required."""
        return list(self.content["fields"])

    def shown(self) -> dict[str, Any]:
        """As JSON, for a page and for a script."""
        return {
            "version": self.version,
            "sha256": self.sha256,
            "creator": self.creator,
            "created": self.created,
            "keepsDecisions": self.keeps_decisions,
            "titles": wording.TITLES,
            "boxes": wording.BOXES,
            **self.content,
        }


@dataclass
class _Card:
    """What the front matter says of terms."""

    prompt: dict[str, str] = field(default_factory=dict)
    heading: dict[str, str] = field(default_factory=dict)
    fields: list[dict[str, Any]] = field(default_factory=list)


def current(connection: Connection, repository: Repository) -> Terms:
    """The terms in force. They may have to be stored first: see `stored`."""
    row = _newest(connection, repository)
    if row is not None and row.origin == "owner":
        if row.owner == repository.owner:
            return _of(row)
        days = row.content["retention_days"]
        items = wording.default_items(_recipient(connection, repository), repository.full_name, days)
        content, origin = {**row.content, "items": items}, "owner"
    else:
        content, origin = _made(connection, repository)
        if row is not None and row.origin == origin:
            return _of(row)
    version = (row.version if row is not None else 0) + 1
    return Terms(version, _digest(repository, version, content), content, origin)


def stored(connection: Connection, repository: Repository) -> Terms:
    """The terms in force, in the tables."""
    found = current(connection, repository)
    return found if found.created else _store(connection, repository, found, "")


def history(connection: Connection, repository: Repository) -> list[Terms]:
    """All versions, the newest first."""
    table = tables.terms
    query = select(table).where(table.c.repository == repository.uid).order_by(table.c.version.desc())
    return [_of(row) for row in connection.execute(query)]


def publish(
    connection: Connection, repository: Repository, creator: str, given: dict[str, Any], keeps: bool = False
) -> Terms:
    """A new version by the owner; what he does not give stays as it is.

    Args:
        keeps: what he decided under the version before still counts for those who accept this one.
    """
    before = stored(connection, repository)
    unknown = set(given) - set(before.content)
    if unknown:
        raise bad_request(f"not known in terms: {', '.join(sorted(unknown))[:200]}")
    content = _checked({**before.content, **given})
    if content == before.content and before.origin == "owner":
        return before
    version = before.version + 1
    new = Terms(
        version, _digest(repository, version, content), content, "owner", keeps_decisions=bool(keeps)
    )
    return _store(connection, repository, new, creator)


def keeps_since(connection: Connection, repository: Repository, version: int) -> bool:
    """Whether every version after this one lets earlier decisions stand."""
    table = tables.terms.c
    rows = connection.execute(
        select(table.keeps_decisions).where(table.repository == repository.uid, table.version > version)
    )
    return all(row.keeps_decisions for row in rows)


def _newest(connection: Connection, repository: Repository) -> Row[Any] | None:
    table = tables.terms
    query = select(table).where(table.c.repository == repository.uid).order_by(table.c.version.desc())
    return connection.execute(query.limit(1)).one_or_none()


def _of(row: Row[Any]) -> Terms:
    return Terms(
        row.version, row.sha256, row.content, row.origin, row.creator, row.created, row.keeps_decisions
    )


def _store(connection: Connection, repository: Repository, new: Terms, creator: str) -> Terms:
    now = time.time()
    connection.execute(
        insert(tables.terms).values(
            repository=repository.uid,
            version=new.version,
            sha256=new.sha256,
            content=new.content,
            origin=new.origin,
            owner=repository.owner,
            keeps_decisions=new.keeps_decisions,
            creator=creator,
            created=now,
        )
    )
    return Terms(
        new.version, new.sha256, new.content, new.origin, creator, now, keeps_decisions=new.keeps_decisions
    )


def _digest(repository: Repository, version: int, content: dict[str, Any]) -> str:
    return hash_json({"repository": repository.uid, "version": version, "content": content})


def _recipient(connection: Connection, repository: Repository) -> str:
    """The owner, named in full."""
    accounts = schema.accounts.c
    fullname = connection.execute(select(accounts.fullname).where(accounts.id == repository.owner)).scalar()
    return f"{fullname} ({repository.namespace})" if fullname else repository.namespace


def _made(connection: Connection, repository: Repository) -> tuple[dict[str, Any], str]:
    """Terms that nobody has written, and the hash of what they depend on."""
    owner, name = _recipient(connection, repository), repository.full_name
    pseudonymised = basis.is_pseudonymised(connection, repository)
    card = _card(repository.card)
    content = {
        "heading": {each: card.heading.get(each, "") for each in wording.LANGUAGES},
        "text": {
            each: wording.rules_of_use(each, name, card.prompt.get(each, ""), pseudonymised)
            for each in wording.LANGUAGES
        },
        "items": wording.default_items(owner, name, RETENTION_DAYS),
        "retention_days": RETENTION_DAYS,
        "access_days": 0,
        "fields": card.fields,
    }
    return content, hash_json([owner, name, pseudonymised, card.prompt, card.heading, card.fields])


def _card(card: dict[str, Any]) -> _Card:
    """The front matter's part, with what makes no sense left out: a README.md cannot close a page."""
    found = _Card()
    for language in wording.LANGUAGES:
        for name, words in (("prompt", found.prompt), ("heading", found.heading)):
            value = card.get(f"extra_gated_{name}_{language}") or card.get(f"extra_gated_{name}")
            if isinstance(value, str) and value.strip():
                words[language] = value.strip()[:LONGEST_TEXT]
    given = card.get("extra_gated_fields")
    if isinstance(given, dict):
        for name, kind in list(given.items())[:MOST_FIELDS]:
            entry = {"name": name, **(kind if isinstance(kind, dict) else {"type": kind})}
            entry["required"] = not entry.pop("optional", False)
            try:
                found.fields.append(_field(entry))
            except HubError:
                continue
    return found


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """Terms as an owner may set them. Raises HubError with what is wrong."""
    for name in ("heading", "text"):
        _texts(content[name], name, LONGEST_TEXT, wording.LANGUAGES, empty=name == "heading")
    items = content["items"]
    if not isinstance(items, dict) or set(items) != set(wording.LANGUAGES):
        raise bad_request("items are given in ko and en")
    for language in wording.LANGUAGES:
        _texts(items[language], f"items.{language}", LONGEST_ITEM, wording.ITEMS)
        if _VAGUE.search(items[language]["recipient"]):
            raise bad_request("the recipient is named in full: no 'and others', no '등'")
    for name, least in (("retention_days", 1), ("access_days", 0)):
        value = content[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST_DAYS:
            raise bad_request(f"{name} is a number from {least} to {MOST_DAYS:,}")
    fields = content["fields"]
    if not isinstance(fields, list) or len(fields) > MOST_FIELDS:
        raise bad_request(f"fields is a list of {MOST_FIELDS} at most")
    found = [_field(each) for each in fields]
    if len({each["name"] for each in found}) < len(found):
        raise bad_request("two fields have the same name")
    return {**content, "fields": found}


def _texts(value: Any, name: str, longest: int, keys: tuple[str, ...], empty: bool = False) -> None:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise bad_request(f"{name} has {', '.join(keys)}")
    for key, text in value.items():
        if not isinstance(text, str) or len(text) > longest or not (empty or text.strip()):
            raise bad_request(f"{name}.{key} is a text of 1 to {longest:,} characters")


def _field(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise bad_request("a field has name, type and required")
    name, kind, options = given.get("name"), given.get("type", "text"), given.get("options") or []
    if not isinstance(name, str) or not 0 < len(name.strip()) <= LONGEST_NAME:
        raise bad_request(f"a field has a name of 1 to {LONGEST_NAME} characters")
    if kind not in KINDS:
        raise bad_request(f"the field {name.strip()!r} has a type of {', '.join(KINDS)}")
    if not isinstance(options, list) or len(options) > MOST_OPTIONS or (kind == "select") != bool(options):
        raise bad_request(f"the field {name.strip()!r}: options go with select, {MOST_OPTIONS} at most")
    texts = [
        str(each.get("label", "") if isinstance(each, dict) else each)[:LONGEST_NAME] for each in options
    ]
    required = given.get("required", True)
    return {"name": name.strip(), "type": kind, "options": texts, "required": bool(required)}
