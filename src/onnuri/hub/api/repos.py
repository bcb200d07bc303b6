"""Repositories: making, naming, settings, what is known of one, lists."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from onnuri.hub import access, accounts, repositories
from onnuri.hub.api.call import Call, answer, flag, next_page
from onnuri.hub.api.describe import described, head, moment, summary
from onnuri.hub.api.router import Route
from onnuri.hub.api.search import matching, number_of
from onnuri.hub.consent import basis
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.names import TYPES, plural_of

LONGEST_LIST = 1000


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    wanted = call.json()
    kind = wanted.get("type") or "model"
    if kind not in TYPES.values():
        raise bad_request(f"type={kind!r}: models and datasets are kept here")
    name, hub = str(wanted.get("name", "")), call.hub
    if call.caller is None:
        raise HubError(401, "a token is needed")
    namespace = wanted.get("organization") or call.caller.name
    if "/" in name:
        namespace, _, name = name.partition("/")
    visibility = wanted.get("visibility")
    if visibility not in (None, "public", "private"):
        raise bad_request(f"visibility={visibility!r} is public or private here")
    private = visibility == "private" or bool(wanted.get("private"))
    with hub.database.writing() as connection:
        owner = accounts.account_of(connection, str(namespace))
        caller = access.check_namespace(connection, call.caller, owner.id, f"{owner.name}/{name}", "write")
        known = repositories.named(connection, kind, owner.name, name)
        if known is not None:
            url = f"{call.base}/{known.path}"
            raise HubError(409, "You already created this repo", url=url, id=known.full_name)
        made = repositories.create(connection, kind, owner.id, name, private, caller.name)
    call.record("create", repository=made.full_name, uid=made.uid, type=kind, private=private)
    found = {"url": f"{call.base}/{made.path}", "name": made.full_name, "id": made.full_name}
    return answer(found)


def remove(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    wanted = call.json()
    name, organisation = str(wanted.get("name", "")), wanted.get("organization")
    full = name if "/" in name else f"{organisation or (call.caller.name if call.caller else '')}/{name}"
    _name(call, wanted.get("type"), full)
    with call.hub.database.writing() as connection:
        repository, _ = call.writable(connection, "admin")
        repositories.remove(connection, repository)
    call.record("delete", repository=repository.full_name, uid=repository.uid, type=repository.type)
    return answer({"ok": True})


def move(call: Call) -> Response:
    """POST /api/repos/move."""
    wanted = call.json()
    _name(call, wanted.get("type"), str(wanted.get("fromRepo", "")))
    namespace, slash, name = str(wanted.get("toRepo", "")).partition("/")
    if not slash:
        raise bad_request("toRepo is NAMESPACE/NAME")
    with call.hub.database.writing() as connection:
        repository, caller = call.writable(connection, "admin")
        owner = accounts.account_of(connection, namespace)
        access.check_namespace(connection, caller, owner.id, f"{owner.name}/{name}", "write")
        repositories.move(connection, repository, owner.id, name)
    call.record("move", repository=repository.full_name, uid=repository.uid, to=f"{owner.name}/{name}")
    return answer({"ok": True})


def _name(call: Call, kind: Any, full: str) -> None:
    namespace, slash, name = full.partition("/")
    if not slash:
        raise bad_request("a repository is NAMESPACE/NAME")
    call.names = {"type": plural_of(kind or "model"), "namespace": namespace, "name": name}


def settings(call: Call) -> Response:
    """PUT /api/T/NAME/settings: who may see it, and whether access is asked for."""
    wanted = call.json()
    known = {"private", "visibility", "gated", "gatedNotificationsMode", "gatedNotificationsEmail"}
    if set(wanted) - known:
        raise bad_request(f"not kept here: {', '.join(sorted(set(wanted) - known))}")
    values: dict[str, Any] = {}
    if wanted.get("visibility") is not None:
        if wanted["visibility"] not in ("public", "private"):
            raise bad_request("visibility is public or private here")
        values["private"] = wanted["visibility"] == "private"
    elif wanted.get("private") is not None:
        values["private"] = bool(wanted["private"])
    if wanted.get("gated") is not None:
        values["gated"] = wanted["gated"] or ""
    with call.hub.database.writing() as connection:
        repository, _ = call.writable(connection, "admin")
        if values:
            repositories.set_facts(connection, repository.id, **values)
            after = repositories.by_id(connection, repository.id)
            basis.check_public(connection, after, call.hub.config.require_basis)
    call.record("settings", repository=repository.full_name, uid=repository.uid, **values)
    return answer({**wanted, "private": values.get("private", repository.private)})


def info(call: Call) -> Response:
    """GET /api/T/NAME[/revision/REV]."""
    blobs = flag(call.query("blobs")) or flag(call.query("files_metadata"))
    with call.hub.database.reading() as connection:
        repository = call.repository(connection)
        revision = repositories.resolve(
            connection, repository.id, call.names.get("revision", repositories.MAIN)
        )
        return answer(described(call, connection, repository, revision, blobs))


def listing(call: Call) -> Response:
    """GET /api/T: search, filters, order."""
    most = min(number_of(call, "limit", LONGEST_LIST), LONGEST_LIST)
    full_rows = flag(call.query("full")) or flag(call.query("cardData"))
    found: list[dict[str, Any]] = []
    with call.hub.database.reading() as connection:
        for number, repository in matching(call, connection, [call.kind]):
            if len(found) == most:
                return answer(found, headers=next_page(call, cursor=str(number)))
            shown = summary(call, repository, head(connection, repository))
            if full_rows:
                shown["cardData"] = repository.card
            found.append(shown)
    return answer(found)


def auth_check(call: Call) -> Response:
    """GET /api/T/NAME/auth-check: whether the caller may have the files."""
    with call.hub.database.reading() as connection:
        call.readable(connection)
    return answer({"ok": True})


def auth_check_write(call: Call) -> Response:
    """The same, for writing."""
    with call.hub.database.reading() as connection:
        call.writable(connection)
    return answer({"ok": True})


def branches_and_tags(call: Call) -> Response:
    """GET /api/T/NAME/refs."""
    with call.hub.database.reading() as connection:
        repository = call.repository(connection)
        found: dict[str, list[dict[str, str]]] = {"converts": [], "pullRequests": []}
        for kind, plural, prefix in (("branch", "branches", "heads"), ("tag", "tags", "tags")):
            found[plural] = [
                {"name": name, "ref": f"refs/{prefix}/{name}", "targetCommit": commit}
                for name, commit in repositories.refs(connection, repository.id, kind)
            ]
    return answer(found)


def history(call: Call) -> Response:
    """GET /api/T/NAME/commits/REV, 50 a page."""
    from itertools import islice

    from onnuri.hub.commits import history as rows_of

    page, size = number_of(call, "p"), 50
    with call.hub.database.reading() as connection:
        repository = call.readable(connection)
        revision = repositories.resolve(connection, repository.id, call.names["revision"])
        start = page * size
        rows = list(islice(rows_of(connection, repository.id, revision.commit), start, start + size + 1))
    found = [
        {
            "id": row.id,
            "title": row.title,
            "message": row.message,
            "authors": [{"user": row.author}],
            "date": moment(row.date),
        }
        for row in rows[:size]
    ]
    return answer(found, headers=next_page(call, p=str(page + 1)) if len(rows) > size else None)


def add_branch(call: Call) -> Response:
    """POST /api/T/NAME/branch/B."""
    return _add_ref(
        call, "branch", call.names["ref"], call.json().get("startingPoint") or repositories.MAIN
    )


def add_tag(call: Call) -> Response:
    """POST /api/T/NAME/tag/REV."""
    return _add_ref(call, "tag", str(call.json().get("tag", "")), call.names["ref"])


def _add_ref(call: Call, kind: str, name: str, at: str) -> Response:
    message = str(call.json().get("message") or "")
    with call.hub.database.writing() as connection:
        repository, _ = call.writable(connection)
        commit = repositories.resolve(connection, repository.id, at).commit
        repositories.add_ref(connection, repository.id, kind, name, commit, message)
    call.record(
        f"{kind} added", repository=repository.full_name, uid=repository.uid, name=name, commit=commit
    )
    return answer({"ref": name, "commit": commit})


def remove_branch(call: Call) -> Response:
    """DELETE /api/T/NAME/branch/B."""
    return _remove_ref(call, "branch")


def remove_tag(call: Call) -> Response:
    """DELETE /api/T/NAME/tag/T."""
    return _remove_ref(call, "tag")


def _remove_ref(call: Call, kind: str) -> Response:
    name = call.names["ref"]
    with call.hub.database.writing() as connection:
        repository, _ = call.writable(connection)
        repositories.remove_ref(connection, repository.id, kind, name)
    call.record(f"{kind} removed", repository=repository.full_name, uid=repository.uid, name=name)
    return answer({"ok": True})


def discussions(call: Call) -> Response:
    """GET /api/T/NAME/discussions: there are none here."""
    with call.hub.database.reading() as connection:
        call.repository(connection)
    return answer({"discussions": [], "count": 0, "start": 0})


def no_discussions(call: Call) -> Response:
    """POST .../discussions."""
    raise bad_request("pull requests and discussions are not kept here: commit to a branch")


def no_squash(call: Call) -> Response:
    """POST .../super-squash/B."""
    raise bad_request(
        "history is kept here: super-squash is not known; delete the repository to be rid of it"
    )


def no_harnesses(call: Call) -> Response:
    """GET /api/agent-harnesses, which every command of `hf` asks for."""
    raise HubError(404, "not kept here")


def known_tags(call: Call) -> Response:
    """GET /api/models-tags-by-type: no list of tags is kept."""
    return answer({})


REPO = "/api/{type}/{namespace}/{name}"
ROUTES = [
    Route("POST", "/api/repos/create", create),
    Route("DELETE", "/api/repos/delete", remove),
    Route("POST", "/api/repos/move", move),
    Route("GET", "/api/agent-harnesses", no_harnesses, anyone=True),
    Route("GET", "/api/models-tags-by-type", known_tags),
    Route("GET", "/api/datasets-tags-by-type", known_tags),
    Route("PUT", f"{REPO}/settings", settings),
    Route("GET", f"{REPO}/revision/{{revision}}", info),
    Route("GET", f"{REPO}/refs", branches_and_tags),
    Route("GET", f"{REPO}/commits/{{revision}}", history),
    Route("GET", f"{REPO}/auth-check", auth_check),
    Route("GET", f"{REPO}/auth-check/write", auth_check_write),
    Route("POST", f"{REPO}/branch/{{ref*}}", add_branch),
    Route("DELETE", f"{REPO}/branch/{{ref*}}", remove_branch),
    Route("POST", f"{REPO}/tag/{{ref*}}", add_tag),
    Route("DELETE", f"{REPO}/tag/{{ref*}}", remove_tag),
    Route("POST", f"{REPO}/super-squash/{{branch*}}", no_squash),
    Route("GET", f"{REPO}/discussions", discussions),
    Route("POST", f"{REPO}/discussions", no_discussions),
    Route("GET", REPO, info),
    Route("GET", "/api/{type}", listing),
]
