"""The policy of an organisation about what is loaded as code."""

from __future__ import annotations

from sqlalchemy import update
from starlette.responses import Response

from onnuri.hub import access, accounts, schema
from onnuri.hub.api.call import Call, answer
from onnuri.hub.api.router import Route
from onnuri.hub.scan import policy


def show(call: Call) -> Response:
    """GET /api/organizations/NAME/policy, for its members."""
    return _policy(call, "read")


def change(call: Call) -> Response:
    """PUT /api/organizations/NAME/policy, for those who administer it; rules that are not named stay."""
    return _policy(call, "admin")


def _policy(call: Call, role: str) -> Response:
    writes = role == "admin"
    database = call.hub.database
    with database.writing() if writes else database.reading() as connection:
        account = accounts.account_of(connection, call.names["account"], "organisation")
        access.check_namespace(connection, call.caller, account.id, account.name, role)
        if not writes:
            return answer(policy.read(account))
        wanted = call.json()
        table = schema.accounts
        connection.execute(
            update(table).where(table.c.id == account.id).values(policy=policy.changed(account, wanted))
        )
        found = policy.read(accounts.account_of(connection, account.name))
    call.record("policy", organisation=account.name, **found)
    return answer(found)


ROUTES = [
    Route("GET", "/api/organizations/{account}/policy", show),
    Route("PUT", "/api/organizations/{account}/policy", change),
]
