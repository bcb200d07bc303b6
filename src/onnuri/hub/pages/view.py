"""What all pages share: templates, language, forms, the policy that browsers hold them to.

A form is taken only with the token of the cookie that it was shown to, so that no other site's page can
send one. Forms are for people who are signed in with a browser: a token of the API opens none of them.
"""

from __future__ import annotations

import hmac
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.datastructures import ImmutableMultiDict
from starlette.responses import HTMLResponse, RedirectResponse, Response

from onnuri.hub.api.call import Call
from onnuri.hub.errors import HubError, bad_request
from onnuri.hub.records import Caller
from onnuri.hub.sessions import COOKIE, form_token

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
LANGUAGE, VISITOR = "onnuri_language", "onnuri_form"
"""Cookies: the language chosen, and what stands in for a session in the forms of who has none."""
MOST_FIELDS = 500
FOLDER = Path(__file__).parent
FIELD = Markup('<input type="hidden" name="form_token" value="{}">')
ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def size_text(size: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def day(seconds: float) -> str:
    """A day in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def address(path: str) -> str:
    """A path as part of an address."""
    return quote(path, safe="/")


def part(name: str) -> str:
    """A revision as one part of an address."""
    return quote(name, safe="")


ENVIRONMENT.filters |= {"size": size_text, "day": day, "address": address, "part": part}


def language(call: Call) -> str:
    """ko or en: the one chosen, the browser's, or the hub's first."""
    offered = call.hub.config.languages
    chosen = call.request.cookies.get(LANGUAGE, "")
    if chosen in offered:
        return chosen
    wanted = []
    for index, each in enumerate(call.request.headers.get("accept-language", "")[:500].split(",")):
        name, _, quality = each.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), index, name[:2].lower()))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(wanted) if name in offered), offered[0])


def page(call: Call, name: str, /, status: int = 200, **values: Any) -> Response:
    """A template as an answer. In it `t(KOREAN, ENGLISH)` is a text, `form_field()` begins every form."""
    template: Template = ENVIRONMENT.get_template(name)
    tongue = language(call)
    secret, fresh = _secret(call)
    path = call.request.url.path + (f"?{call.request.url.query}" if call.request.url.query else "")
    text = template.render(
        t=lambda korean, english: korean if tongue == "ko" else english,
        language=tongue,
        languages=call.hub.config.languages,
        caller=call.caller,
        status=status,
        form_field=lambda: FIELD.format(form_token(secret)),
        here=path if call.request.method in ("GET", "HEAD") else "/",
        base=call.base,
        **values,
    )
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-store", "Vary": "Cookie"}
    response = HTMLResponse(text, status, headers)
    if fresh:
        set_cookie(call, response, VISITOR, secret, None)
    return response


def set_cookie(call: Call, response: Response, name: str, value: str, seconds: int | None) -> None:
    """A cookie that no script and no other site's form has; only over https where the hub has it."""
    secure = call.base.startswith("https://")
    response.set_cookie(name, value, seconds, path="/", httponly=True, samesite="lax", secure=secure)


def _secret(call: Call) -> tuple[str, bool]:
    """What the form token is made from, and whether a cookie must be set for it."""
    known = call.request.cookies.get(COOKIE, "") if call.caller else call.request.cookies.get(VISITOR, "")
    return (known, False) if known else (secrets.token_urlsafe(32), True)


def form(call: Call) -> ImmutableMultiDict[str, str]:
    """The fields of a form. Raises HubError 403 for one that was not shown to this browser."""
    if call.caller and not call.caller.method.startswith("session"):
        raise HubError(403, "forms are for browsers: sign in")
    if not call.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise bad_request("the body must be a form")
    try:
        fields = ImmutableMultiDict(
            parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        )
    except ValueError:
        raise bad_request(f"the body must be a form with {MOST_FIELDS} fields at most") from None
    secret, fresh = _secret(call)
    given = fields.get("form_token", "")
    if fresh or not hmac.compare_digest(form_token(secret).encode(), given.encode()):
        raise HubError(403, "the form has expired, or was sent by another site: load the page again")
    return fields


def signed_in(call: Call) -> Caller:
    """Who is signed in with a browser. Raises HubError 401 if nobody is."""
    if call.caller is None or not call.caller.method.startswith("session"):
        raise HubError(401, "sign in first")
    return call.caller


def visible(call: Call) -> None:
    """Raises HubError 401 where only those who are signed in see anything."""
    if call.caller is None and not call.hub.config.anonymous:
        raise HubError(401, "sign in first")


def see_other(path: str) -> RedirectResponse:
    """To a page of the hub, after a form."""
    return RedirectResponse(local(path), 303)


def local(path: str) -> str:
    """A path of this hub; the start page for whatever else it may be."""
    plain = path.isprintable() and "\\" not in path and len(path) < 2000
    return quote(path, safe="/%?&=+#,;:@!~*'()$-._") if plain and path[:1] == "/" != path[1:2] else "/"


def error_page(call: Call, error: HubError) -> Response | None:
    """An error as a page, if a browser asked for one."""
    path = call.request.url.path
    wants = "text/html" in call.request.headers.get("accept", "")
    if not wants or path.startswith(("/api/", "/cas/", "/health")) or "/resolve/" in path:
        return None
    if error.status == 401 and call.caller is None and call.request.method == "GET":
        query = f"?{call.request.url.query}" if call.request.url.query else ""
        return RedirectResponse(f"/login?next={quote(path + query, safe='')}", 303)
    response = page(call, "error.html", error.status, message=error.message)
    for name, value in error.headers().items():
        if name != "WWW-Authenticate":
            response.headers.setdefault(name, value)
    return response
