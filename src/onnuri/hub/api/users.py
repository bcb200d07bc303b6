"""Who a token stands for, and what is known of accounts."""

from __future__ import annotations

from sqlalchemy import select
from starlette.responses import Response

from onnuri.hub import accounts, schema
from onnuri.hub.api.call import Call, answer
from onnuri.hub.api.router import Route
from onnuri.hub.errors import HubError


def whoami(call: Call) -> Response:
    """The caller, in the form of huggingface.co's whoami-v2."""
    if call.caller is None:
        raise HubError(401, "a token is needed")
    with call.hub.database.reading() as connection:
        account = accounts.account_of(connection, call.caller.name)
        organisations = accounts.organisations_of(connection, call.caller.id)
        token = accounts.token_name(connection, call.caller)
    found = {
        "type": "user",
        "id": str(account.id),
        "name": account.name,
        "fullname": account.fullname or account.name,
        "email": account.email,
        "isPro": False,
        "orgs": [
            {"type": "org", "name": name, "fullname": full or name, "roleInOrg": role}
            for name, full, role in organisations
        ],
        "auth": {
            "type": "access_token",
            "accessToken": {"displayName": token, "role": call.caller.role},
        },
    }
    return answer(found)


def user_overview(call: Call) -> Response:
    """A user, as others may see him."""
    return _overview(call, "user")


def organisation_overview(call: Call) -> Response:
    """An organisation."""
    return _overview(call, "organisation")


def _overview(call: Call, kind: str) -> Response:
    _signed_in(call)
    with call.hub.database.reading() as connection:
        account = accounts.account_of(connection, call.names["account"], kind)
        organisations = accounts.organisations_of(connection, account.id)
    name = {"user": "user", "fullname": account.fullname or account.name}
    if kind == "organisation":
        return answer({"name": account.name, "fullname": account.fullname or account.name, "type": "org"})
    found = {**name, "user": account.name, "type": "user", "isPro": False}
    found["orgs"] = [{"name": each, "fullname": full or each} for each, full, _ in organisations]
    return answer(found)


def members(call: Call) -> Response:
    """Members of an organisation, shown to those who are signed in."""
    _signed_in(call)
    table, people = schema.members.c, schema.accounts.c
    with call.hub.database.reading() as connection:
        account = accounts.account_of(connection, call.names["account"], "organisation")
        rows = connection.execute(
            select(people.name, people.fullname)
            .join(schema.members, table.user == people.id)
            .where(table.organisation == account.id)
            .order_by(people.name_key)
        ).all()
    return answer(
        [{"user": row.name, "fullname": row.fullname or row.name, "type": "user"} for row in rows]
    )


def _signed_in(call: Call) -> None:
    if call.caller is None and not call.hub.config.anonymous:
        raise HubError(401, "a token is needed")


ROUTES = [
    Route("GET", "/api/whoami-v2", whoami),
    Route("GET", "/api/users/{account}/overview", user_overview),
    Route("GET", "/api/organizations/{account}/overview", organisation_overview),
    Route("GET", "/api/organizations/{account}/members", members),
]
