"""New repositories and settings of one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from onnuri.hub import access, accounts, repositories
from onnuri.hub.api.call import Call
from onnuri.hub.api.router import Route
from onnuri.hub.errors import bad_request
from onnuri.hub.names import TYPES
from onnuri.hub.pages.repository import frame
from onnuri.hub.pages.view import form, page, see_other, signed_in


def new(call: Call) -> Response:
    """GET /new."""
    caller = signed_in(call)
    with call.hub.database.reading() as connection:
        spaces = [
            name for name, _, role in accounts.organisations_of(connection, caller.id) if role != "read"
        ]
    return page(call, "new.html", spaces=[caller.name, *spaces])


def create(call: Call) -> Response:
    """POST /new."""
    caller, fields = signed_in(call), form(call)
    kind, name = fields.get("type", ""), fields.get("name", "").strip()
    if kind not in TYPES.values():
        raise bad_request("the type is model or dataset")
    private = fields.get("visibility") != "public"
    with call.hub.database.writing() as connection:
        owner = accounts.account_of(connection, fields.get("owner", ""))
        access.check_namespace(connection, caller, owner.id, f"{owner.name}/{name}", "write")
        made = repositories.create(connection, kind, owner.id, name, private, caller.name)
    call.record("create", repository=made.full_name, uid=made.uid, type=kind, private=private)
    return see_other(f"/{made.path}")


def show(call: Call) -> Response:
    """GET .../settings."""
    signed_in(call)
    with call.hub.database.reading() as connection:
        call.writable(connection, "admin")
        _, values = frame(call, connection, "settings")
    return page(call, "repository_settings.html", **values)


def change(call: Call) -> Response:
    """POST .../settings: visibility and gate, another name, or the end of the repository."""
    caller, fields = signed_in(call), form(call)
    action = fields.get("action", "")
    with call.hub.database.writing() as connection:
        repository, _ = call.writable(connection, "admin")
        facts: dict[str, Any] = {"repository": repository.full_name, "uid": repository.uid}
        leads = f"/{repository.path}/settings"
        if action == "save":
            values = {"private": fields.get("private") == "1", "gated": fields.get("gated", "")}
            repositories.set_facts(connection, repository.id, **values)
            event, facts = "settings", facts | values
        elif action == "move":
            namespace, _, name = fields.get("to", "").strip().partition("/")
            owner = accounts.account_of(connection, namespace)
            access.check_namespace(connection, caller, owner.id, f"{owner.name}/{name}", "write")
            repositories.move(connection, repository, owner.id, name)
            event, facts = "move", facts | {"to": f"{owner.name}/{name}"}
            leads = f"/{repositories.by_id(connection, repository.id).path}/settings"
        elif action == "delete":
            if fields.get("typed", "").strip() != repository.full_name:
                raise bad_request(f"type {repository.full_name} to delete it")
            repositories.remove(connection, repository)
            event, facts, leads = "delete", facts | {"type": repository.type}, "/"
        else:
            raise bad_request("the form has no known action")
    call.record(event, **facts)
    return see_other(leads)


NEW = [Route("GET", "/new", new), Route("POST", "/new", create)]
