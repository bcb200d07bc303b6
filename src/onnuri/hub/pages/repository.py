"""A model or dataset: card, files, commits, branches and tags, first rows of a Parquet file."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from onnuri.hub import access, repositories
from onnuri.hub.api.call import Call
from onnuri.hub.api.describe import tags_of
from onnuri.hub.api.router import Route
from onnuri.hub.api.search import number_of
from onnuri.hub.commits import file_at
from onnuri.hub.commits import history as history_of
from onnuri.hub.errors import HubError, no_entry
from onnuri.hub.git import FOLDER
from onnuri.hub.names import clean_path
from onnuri.hub.pages import preview, provenance
from onnuri.hub.pages.card_text import html_of
from onnuri.hub.pages.view import page
from onnuri.hub.records import Repository

LARGEST_CARD, FILES, COMMITS = 1 << 20, 1000, 50
Shown = Callable[[Call], Response]


def frame(call: Call, connection: Connection, tab: str) -> tuple[Repository, dict[str, Any]]:
    """The repository of the address, and what every page of it shows."""
    repository = call.repository(connection)
    return repository, {
        "repository": repository,
        "tab": tab,
        "tags": tags_of(repository),
        "why_not": access.why_no_files(connection, call.caller, repository),
        "signed_in": call.caller is not None,
        "administers": access.has_role(connection, call.caller, repository, "admin"),
    }


def _revision(call: Call, connection: Connection, repository: Repository) -> repositories.Revision:
    return repositories.resolve(connection, repository.id, call.names.get("revision", repositories.MAIN))


def overview(call: Call) -> Response:
    """GET /[datasets/]NAME: the card, and how to use what it is about."""
    with call.hub.database.reading() as connection:
        repository, values = frame(call, connection, "card")
        tree = _revision(call, connection, repository).tree
        entry = call.hub.trees.find(connection, repository.id, tree, "README.md")
        card = None
        if entry and entry.kind != FOLDER and entry.size <= LARGEST_CARD:
            card = html_of(call.hub.content(entry.sha256, entry.size).decode(errors="replace"))
    return page(call, "repository.html", card=card, **values)


def files(call: Call) -> Response:
    """GET .../tree/REV[/PATH]: a folder."""
    path = clean_path(call.names["path"]) if call.names.get("path") else ""
    start = number_of(call, "cursor")
    with call.hub.database.reading() as connection:
        repository, values = frame(call, connection, "files")
        rows, name, more = [], call.names.get("revision", repositories.MAIN), False
        if not values["why_not"]:
            revision = _revision(call, connection, repository)
            entry = call.hub.trees.find(connection, repository.id, revision.tree, path)
            if entry is None or entry.kind != FOLDER:
                raise no_entry(path, revision.commit)
            walk = call.hub.trees.walk(connection, repository.id, entry.oid, path, recursive=False)
            rows = list(islice(walk, start, start + FILES + 1))
            more, rows = len(rows) > FILES, rows[:FILES]
    rows.sort(key=lambda row: (row[1].kind != FOLDER, row[0]))
    parts = path.split("/") if path else []
    above = [(part, "/".join(parts[: index + 1])) for index, part in enumerate(parts)]
    cursor = start + FILES if more else 0
    return page(call, "files.html", rows=rows, revision=name, above=above, cursor=cursor, **values)


def rows_of_file(call: Call) -> Response:
    """GET .../preview/REV/PATH: the first rows of a Parquet file."""
    path = clean_path(call.names["path"])
    if not path.endswith(".parquet"):
        raise HubError(400, "only Parquet files have a preview")
    with call.hub.database.reading() as connection:
        repository, values = frame(call, connection, "files")
        access.check_files(connection, call.caller, repository)
        commit, entry = file_at(connection, call.hub.trees, repository.id, call.names["revision"], path)
        access.check_scanned(connection, call.caller, repository, entry.sha256, path)
    if repository.private or repository.gated:
        call.record(
            "preview", False, repository=repository.full_name, uid=repository.uid, path=path, commit=commit
        )
    sample = preview.first_rows(call.hub, entry)
    return page(call, "preview.html", sample=sample, path=path, revision=call.names["revision"], **values)


def commits(call: Call) -> Response:
    """GET .../commits/REV."""
    number = number_of(call, "p")
    rows: list[Any] = []
    with call.hub.database.reading() as connection:
        repository, values = frame(call, connection, "commits")
        if not values["why_not"]:
            revision = _revision(call, connection, repository)
            walk = history_of(connection, repository.id, revision.commit)
            rows = list(islice(walk, number * COMMITS, (number + 1) * COMMITS + 1))
    following = number + 1 if len(rows) > COMMITS else 0
    return page(call, "commits.html", rows=rows[:COMMITS], following=following, **values)


def refs(call: Call) -> Response:
    """GET .../refs: branches and tags."""
    with call.hub.database.reading() as connection:
        repository, values = frame(call, connection, "refs")
        branches = repositories.refs(connection, repository.id, "branch")
        tags = repositories.refs(connection, repository.id, "tag")
    return page(call, "refs.html", branches=branches, versions=tags, **values)


def origins(call: Call) -> Response:
    """GET .../provenance: sources and licences, scores, who signed."""
    with call.hub.database.reading() as connection:
        repository, values = frame(call, connection, "provenance")
        found = None
        if not values["why_not"]:
            tree = _revision(call, connection, repository).tree
            found = provenance.read(call.hub, connection, repository, tree)
    return page(call, "provenance.html", found=found, **values)


def _typed(kind: str, handler: Shown) -> Shown:
    def shown(call: Call) -> Response:
        call.names["type"] = kind
        return handler(call)

    return shown


def both(methods: str, below: str, handler: Shown) -> list[Route]:
    """Routes of a page of datasets and models."""
    return [
        Route(methods, f"{prefix}/{{namespace}}/{{name}}{below}", _typed(kind, handler))
        for kind, prefix in (("datasets", "/datasets"), ("models", ""))
    ]


PAGES = [
    ("/tree/{revision}", files),
    ("/tree/{revision}/{path*}", files),
    ("/preview/{revision}/{path*}", rows_of_file),
    ("/commits/{revision}", commits),
    ("/refs", refs),
    ("/provenance", origins),
    ("", overview),
]
