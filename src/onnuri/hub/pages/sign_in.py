"""Signing in with a password, signing out, the language of the pages, and files that pages load."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from onnuri.hub import accounts, sessions
from onnuri.hub.api.call import Call
from onnuri.hub.api.router import Route
from onnuri.hub.errors import HubError
from onnuri.hub.pages.view import FOLDER, LANGUAGE, VISITOR, form, local, page, see_other, set_cookie

STATIC = {
    "hub.css": "text/css; charset=utf-8",
    "hub.js": "text/javascript; charset=utf-8",
}
YEAR = 365 * 24 * 3600


def show(call: Call) -> Response:
    """GET /login."""
    if call.caller:
        return see_other(call.query("next", "/"))
    return _form(call, call.query("next", "/"))


def _form(call: Call, following: str, name: str = "", failed: bool = False) -> Response:
    status = 401 if failed else 200
    provider = call.hub.provider is not None
    return page(
        call, "login.html", status, following=local(following), name=name, failed=failed, provider=provider
    )


def sign_in(call: Call) -> Response:
    """POST /login."""
    call.hub.limits.count_sign_in(call.address)
    fields = form(call)
    name, following = fields.get("name", "").strip()[:200], fields.get("next", "/")
    with call.hub.database.reading() as connection:
        found = accounts.sign_in(connection, name, fields.get("password", ""))
    if found is None:
        call.record("sign-in refused", name=name)
        return _form(call, following, name, failed=True)
    return begin(call, found.id, found.name, following)


def begin(call: Call, user: int, name: str, following: str, **facts: Any) -> Response:
    """A new session of someone who has shown who he is; the one before, if any, ends."""
    with call.hub.database.writing() as connection:
        sessions.end_session(connection, call.request.cookies.get(sessions.COOKIE, ""))
        value = sessions.open_session(connection, user)
    call.record("sign-in", name=name, **facts)
    response = see_other(following)
    set_cookie(call, response, sessions.COOKIE, value, int(sessions.LAST))
    response.delete_cookie(VISITOR)
    return response


def sign_out(call: Call) -> Response:
    """POST /logout."""
    form(call)
    with call.hub.database.writing() as connection:
        sessions.end_session(connection, call.request.cookies.get(sessions.COOKIE, ""))
    call.record("sign-out")
    response = see_other("/login")
    response.delete_cookie(sessions.COOKIE)
    return response


def choose_language(call: Call) -> Response:
    """GET /settings/language?to=ko&next=PATH."""
    response = see_other(call.query("next", "/"))
    if call.query("to") in call.hub.config.languages:
        set_cookie(call, response, LANGUAGE, call.query("to"), YEAR)
    return response


def static(call: Call) -> Response:
    """GET /static/FILE."""
    name = call.names["file"]
    if name not in STATIC:
        raise HubError(404, "no such file")
    headers = {"Cache-Control": "public, max-age=300"}
    return Response((FOLDER / "static" / name).read_bytes(), 200, headers, STATIC[name])


ROUTES = [
    Route("GET", "/login", show, anyone=True),
    Route("POST", "/login", sign_in, anyone=True),
    Route("POST", "/logout", sign_out),
    Route("GET", "/settings/language", choose_language, anyone=True),
    Route("GET", "/static/{file}", static, anyone=True),
]
