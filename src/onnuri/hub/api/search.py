"""Search, filters and order of repositories, for lists of the API and for the pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, String, cast, func, or_

from onnuri.hub import access, records, schema
from onnuri.hub.api.call import Call, flag
from onnuri.hub.api.describe import tags_of
from onnuri.hub.errors import bad_request
from onnuri.hub.records import Repository

SORTS = {
    "lastModified": "modified",
    "last_modified": "modified",
    "createdAt": "created",
    "created_at": "created",
    "downloads": "downloads",
    "likes": "downloads",
    "trendingScore": "modified",
    "trending_score": "modified",
}


def matching(call: Call, connection: Connection, kinds: Sequence[str]) -> Iterator[tuple[int, Repository]]:
    """The repositories of these kinds that the query asks for and the caller may see, from `cursor` on,
    each with the cursor that leads to it."""
    words, table = call.request.query_params, schema.repositories.c
    query = records.REPOSITORY_ROWS.where(table.type.in_(kinds))
    for text in words.getlist("search"):
        key = f"%{_escaped(text.casefold())}%"
        words_of_card = f"%{_escaped(json.dumps(text.casefold())[1:-1])}%"  # JSON has Hangul as escapes
        full = func.lower(records.OWNER_KEY + "/" + table.name_key)
        query = query.where(
            or_(
                full.like(key, escape="\\"),
                func.lower(cast(table.card, String)).like(words_of_card, escape="\\"),
            )
        )
    if call.query("author"):
        query = query.where(records.OWNER_KEY.in_([call.query("author").casefold()]))
    column = table[SORTS.get(call.query("sort"), "modified")]
    query = query.order_by(column.asc() if call.query("direction") == "1" else column.desc(), table.id)
    start = number_of(call, "cursor")
    for number, row in enumerate(connection.execute(query)):
        if number < start:
            continue
        repository = records.repository_of(row)
        if access.may_see(connection, call.caller, repository, call.hub.config.anonymous) and _wanted(
            call, repository
        ):
            yield number, repository


def number_of(call: Call, name: str, default: int = 0) -> int:
    """A number of the query. Raises HubError if it is none."""
    value = call.query(name)
    if value and not (value.isdecimal() and len(value) < 10):
        raise bad_request(f"{name} must be a number")
    return int(value or default)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _wanted(call: Call, repository: Repository) -> bool:
    words = call.request.query_params
    tags = {tag.casefold() for tag in tags_of(repository)}
    asked = [each for value in words.getlist("filter") for each in value.split(",") if each]
    asked += [value for name in ("pipeline_tag", "library") for value in words.getlist(name)]
    if any(each.casefold() not in tags for each in asked):
        return False
    if "gated" in words:
        return bool(repository.gated) == flag(call.query("gated"))
    return True
