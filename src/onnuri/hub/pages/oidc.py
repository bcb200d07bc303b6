"""Signing in with an OpenID Connect provider.

What a sign-in began with is in a signed cookie, so that its answer is good in that browser alone.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response

from onnuri.hub.api.call import Call
from onnuri.hub.api.router import Route
from onnuri.hub.errors import HubError
from onnuri.hub.oidc import Identity, Refused, account_for
from onnuri.hub.pages.sign_in import begin
from onnuri.hub.pages.view import local, page, see_other, set_cookie

if TYPE_CHECKING:
    from onnuri.hub.provider import Provider

COOKIE, PURPOSE = "onnuri_oidc", "oidc"
LAST = 600
"""Seconds for a sign-in at the provider."""
STATUS = {"unreachable": 503, "untrusted": 502, "expired": 400, "name": 400, "taken": 409, "email": 409}
"""Of the page, by reason; 403 for the others."""


def start(call: Call) -> Response:
    """GET /login/oidc?next=PATH: to the provider."""
    provider = _provider(call)
    following = local(call.query("next", "/"))
    if call.caller:
        return see_other(following)
    words = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    try:
        address = provider.address(_redirect(call), **words)
    except Refused as refused:
        return _refused(call, refused)
    response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    value = call.hub.signer.sign(PURPOSE, words | {"next": following}, LAST)
    set_cookie(call, response, COOKIE, value, LAST)
    return response


def answer(call: Call) -> Response:
    """GET /login/oidc/callback: back from the provider."""
    provider = _provider(call)
    call.hub.limits.count_sign_in(call.address)
    subject = ""
    try:
        words = _words(call)
        if call.query("iss", provider.issuer) != provider.issuer:
            raise Refused("untrusted", "the answer is of another issuer")
        if not call.query("code"):
            raise Refused("refused", f"the provider answered {call.query('error')[:100]!r}")
        found = provider.identify(
            call.query("code"), _redirect(call), nonce=words["nonce"], verifier=words["verifier"]
        )
        subject = found.subject
        response = _begin(call, found, provider.create, words["next"])
    except Refused as refused:
        response = _refused(call, refused, subject)
    response.delete_cookie(COOKIE)
    return response


def _words(call: Call) -> dict[str, str]:
    """What this browser began with. Raises Refused if the answer is not to that."""
    try:
        words = call.hub.signer.check(PURPOSE, call.request.cookies.get(COOKIE, ""))
    except HubError:
        raise Refused("expired", "no sign-in was begun in this browser, or too long ago") from None
    if not hmac.compare_digest(words["state"].encode(), call.query("state").encode(errors="replace")):
        raise Refused("expired", "the state is of another sign-in")
    return words


def _begin(call: Call, found: Identity, create: bool, following: str) -> Response:
    with call.hub.database.writing() as connection:
        account, done = account_for(connection, found, create)
    who: dict[str, Any] = {"issuer": found.issuer, "subject": found.subject}
    if done:
        call.record(f"oidc: account {done}", name=account.name, **who)
    return begin(call, account.id, account.name, following, **who)


def _refused(call: Call, refused: Refused, subject: str = "") -> Response:
    call.record("sign-in refused", subject=subject, reason=refused.reason, detail=refused.detail)
    return page(call, "oidc.html", STATUS.get(refused.reason, 403), reason=refused.reason)


def _redirect(call: Call) -> str:
    return f"{call.base}/login/oidc/callback"


def _provider(call: Call) -> Provider:
    if call.hub.provider is None:
        raise HubError(404, "this hub has no OpenID Connect provider")
    return call.hub.provider


ROUTES = [
    Route("GET", "/login/oidc", start, anyone=True),
    Route("GET", "/login/oidc/callback", answer, anyone=True),
]
